"""`--stop-at`: the part before a module, whatever lies behind it, from every kind of model."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

import irc
from irc import IrcError
from irc.frontend.stop import stopping
from irc.frontend.untyped import quiet
from irc.ir.diagnostics import UsageError


class Head(nn.Module):
    """Boxes and scores from features, with something that irc does not know."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode, self.scale = mode, nn.Linear(4, 4)

    def forward(self, features: torch.Tensor, score: torch.Tensor) -> torch.Tensor:
        if self.mode == "export fails" and float(score.sum()) > 0:
            return features
        if self.mode == "not supported":
            features = torch.special.i0(features)
        return self.scale(features)[score[:, 0] > 0] if self.mode == "data" else self.scale(features) * score


class Detector(nn.Module):
    """A backbone with an in-place activation, then a head that is called for two maps."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(8, 16), nn.ReLU(inplace=True), nn.Linear(16, 4))
        self.rate = nn.Linear(4, 1)
        self.head = Head(mode)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = self.backbone(x)
        score = self.rate(y)
        return self.head(y, score), self.head(y + 1, score)


X = torch.linspace(-1, 1, 16).reshape(2, 8)


def parts(model: Detector) -> list[np.ndarray]:
    y = model.backbone(X)
    return [t.detach().numpy() for t in (y, model.rate(y), y + 1)]


def agree(module: irc.Module, wanted: list[np.ndarray]) -> None:
    given = irc.interpret(module, [X.numpy()])
    assert len(given) == len(wanted)
    for a, b in zip(given, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("mode", ["plain", "not supported"])
def test_what_a_module_reads_are_the_results(mode: str):
    torch.manual_seed(0)
    model = Detector(mode).eval()
    module = irc.capture(model, (X,), stop_at="head")
    agree(module, parts(model))
    assert not any("head" in node.loc.path for node in module.main.nodes)
    agree(irc.capture(torch.export.export(model, (X,)), stop_at="head"), parts(model))


def test_torch_need_not_export_the_rest():
    """Then it is the first call that counts."""
    torch.manual_seed(0)
    model = Detector("export fails").eval()
    with pytest.raises(IrcError, match="depends on the data"):
        irc.capture(model, (X,))
    agree(irc.capture(model, (X,), stop_at="head"), parts(model)[:2])
    with pytest.raises(UsageError, match=r"stop_at=heat: the model has no such module\n  hint: did you mean 'head'"):
        irc.capture(model, (X,), stop_at="heat")
    with pytest.raises(UsageError, match="stop_at=backbone: nothing comes before it"):
        irc.capture(model, (X,), stop_at="backbone")


@pytest.mark.parametrize(("mode", "wanted"), [("plain", (0, 2)), ("export fails", (0, 1))])
def test_several_modules(mode: str, wanted: tuple[int, ...]):
    """What one makes and another reads is a result only where torch cannot export the whole."""
    torch.manual_seed(0)
    model = Detector(mode).eval()
    agree(irc.capture(model, (X,), stop_at="rate,head"), [parts(model)[i] for i in wanted])
    with pytest.raises(UsageError, match="stop_at=heat: the model has no such module"):
        irc.capture(model, (X,), stop_at="rate,heat")


def test_a_module_that_is_not_called():
    model = nn.Module()
    model.spare = nn.ReLU()
    model.forward = lambda x: x.relu()
    with stopping(model, "spare"), pytest.raises(UsageError, match="spare: the model does not call this module"):
        model(X)


def test_mistakes():
    with pytest.raises(UsageError, match=r"stop_at=rat: the model has no such module\n  hint: did you mean 'rate'"):
        irc.capture(Detector("plain"), (X,), stop_at="rat")
    many = nn.Sequential(*[nn.ReLU() for _ in range(50)])
    with pytest.raises(UsageError, match="irc inspect MODEL shows module paths"):
        irc.capture(many, (X,), stop_at="head")
    with pytest.raises(UsageError, match=r"stop_at=backbone.0: nothing comes before it\n  hint: it reads inputs"):
        irc.capture(Detector("plain"), (X,), stop_at="backbone.0")


def test_saved_programs_are_cut_before_they_are_looked_at(tmp_path: Path):
    library = torch.library.Library("irc_test_stop", "DEF")
    library.define("strange(Tensor x) -> Tensor")
    library.impl("strange", lambda x: x.clone(), "CompositeExplicitAutograd")
    library.impl("strange", lambda x: torch.empty_like(x), "Meta")

    class Strange(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.ops.irc_test_stop.strange(x)

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(inplace=True), nn.Linear(8, 4), Strange(), nn.ReLU()).eval()
    path = tmp_path / "strange.pt2"
    torch.export.save(torch.export.export(model, (X,)), path)
    with pytest.raises(IrcError, match=r"irc_test_stop.strange.default is not supported[\s\S]*stop_at=3"):
        irc.capture(path)
    agree(irc.capture(path, stop_at="3"), [model[:3](X).detach().numpy()])
    with pytest.raises(UsageError, match="the model has no such module"):
        irc.capture(path, stop_at="7")


def test_a_hint_says_where_to_stop():
    class Late(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(*[nn.Linear(8, 8) for _ in range(4)])
            self.post = Post()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.post(self.body(x))

    class Post(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.special.i0(torch.erfinv(x))

    with pytest.raises(IrcError) as caught:
        irc.capture(Late(), (X,))
    ends = [re.search(r"--stop-at=(\S+)$", d.hint) for d in caught.value.diagnostics]
    assert [end and end[1] for end in ends] == ["post", "post"]
    early = nn.Sequential(Post(), nn.Linear(8, 8), nn.Linear(8, 8))
    with pytest.raises(IrcError) as caught:
        irc.capture(early, (X,))
    assert "stop_at=" not in str(caught.value)


def onnx_model() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="/stem/Relu"),
        helper.make_node("Neg", ["a"], ["b"], name="/stem/Neg"),
        helper.make_node("Abs", ["b"], ["c"], name="/neck/Abs"),
        helper.make_node("NonZero", ["c"], ["d"], name="/head/nms/NonZero"),
        helper.make_node("Sqrt", ["c"], ["y"], name="Sqrt_7"),
    ]
    ends = [
        helper.make_tensor_value_info(*v) for v in (("x", 1, [2, 4]), ("y", 1, [2, 4]), ("d", TensorProto.INT64, None))
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


@pytest.mark.parametrize("name", ["head", "head.nms", "/head/nms", "/head/nms/NonZero", "Sqrt_7"])
def test_onnx_models_by_scope_and_by_name(name: str):
    module = irc.capture(onnx_model(), stop_at=name)
    x = np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)
    np.testing.assert_array_equal(irc.interpret(module, [x])[0], np.maximum(x, 0))


def test_scopes_of_the_older_exporter():
    """It repeats the scope of an nn.Sequential in those inside of it."""
    made = onnx_model()
    for node, name in zip(made.graph.node, ("/b/b.0/Relu", "/b/b.1/b.1.0/c/Neg", "/b/b.10/Abs"), strict=False):
        node.name = name
    paths = [node.loc.path for node in list(irc.capture(made, stop_at="head").main.nodes)]
    assert paths[:3] == ["b.0", "b.1.0.c", "b.10"]
    for name in ("b.1.0", "/b/b.1/b.1.0"):
        assert len(list(irc.capture(made, stop_at=name).main.nodes)) == 2


class Listed(nn.Module):
    """A list of layers by the name of the module that it lies in."""

    def __init__(self) -> None:
        super().__init__()
        self.f = nn.ModuleList([nn.Linear(8, 8), nn.Sequential(nn.ReLU(), nn.Linear(8, 8)), nn.Tanh()])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.f:
            x = layer(x)
        return x


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("inner", ["list", "sequential"])
def test_lists_by_the_name_of_the_module_they_lie_in(inner: str, tmp_path: Path):
    """The older exporter names their scopes as those of an nn.Sequential."""
    model = nn.Module()
    listed = Listed()
    model.f = listed if inner == "list" else nn.Sequential(*listed.f)
    model.forward = lambda x: model.f(x)
    with quiet():
        torch.onnx.export(model.eval(), (X,), tmp_path / "f.onnx", dynamo=False)
    names = [node.name for node in onnx.load(tmp_path / "f.onnx").graph.node]
    assert names == ["/f/f.0/Gemm", "/f/f.1/f.1.0/Relu", "/f/f.1/f.1.1/Gemm", "/f/f.2/Tanh"]
    module = irc.capture(tmp_path / "f.onnx")
    found = [node.loc.path for node in module.main.nodes if node.opname in ("linear", "relu", "tanh")]
    f = "f.f" if inner == "list" else "f"
    assert found == [f"{f}.0", f"{f}.1.0", f"{f}.1.1", f"{f}.2"]
    assert len(irc.capture(tmp_path / "f.onnx", stop_at=f"{f}.1").main.outputs) == 1


def test_onnx_mistakes():
    with pytest.raises(UsageError, match="stop_at=stem: nothing comes before it"):
        irc.capture(onnx_model(), stop_at="stem")
    with pytest.raises(UsageError, match="did you mean 'neck'"):
        irc.capture(onnx_model(), stop_at="necks")
    with pytest.raises(IrcError, match=r"NonZero .* is not supported") as caught:
        irc.capture(onnx_model())
    assert str(caught.value).endswith("stop_at=head.nms")


def test_ir_too():
    torch.manual_seed(0)
    model = Detector("plain").eval()
    whole = irc.capture(model, (X,))
    text = str(whole)
    agree(irc.capture(whole, stop_at="head"), parts(model))
    assert str(whole) == text
    with pytest.raises(UsageError, match="did you mean 'head'"):
        irc.capture(whole, stop_at="heads")
