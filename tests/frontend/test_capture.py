"""What `capture` keeps of a model: names, structure of inputs and outputs, symbols, state of the module."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch_support import Function, assert_round_trip, assert_same, check, outputs_of

from irc.frontend import capture as capturing
from irc.frontend.capture import capture
from irc.frontend.untyped import decomposed, quiet
from irc.ir.diagnostics import IrcError, UsageError
from irc.ir.equal import difference
from irc.ir.graph import Module
from irc.ir.interpret import interpret
from irc.ir.ops.structure import Const


class Net(nn.Module):
    """A convolution, a batch norm and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.bn = nn.BatchNorm2d(4)
        self.act = nn.ReLU(inplace=True)
        self.head = nn.Linear(4, 3)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(self.act(self.bn(self.conv(image))).mean((2, 3)))


def ops(module: Module) -> list[str]:
    return [node.opname for node in module.main.nodes]


def consts(module: Module) -> dict[str, Const]:
    return {n.result.name: n for n in module.main.nodes if isinstance(n, Const)}


def test_layers_stay_whole_and_inputs_keep_their_names() -> None:
    captured = check(Net(), torch.randn(2, 1, 6, 6))
    layers = [name for name in ops(captured.module) if name != "const"]
    assert layers == ["conv", "batch_norm", "relu", "mean", "linear", "return"]
    assert [v.name for v in captured.module.main.inputs] == ["image"]
    assert captured.name == "Net"
    assert captured.random_samples is False
    assert set(captured.sample_inputs) == {"image"}


def test_parameters_are_named_and_located() -> None:
    found = consts(capture(Net(), (1, 1, 6, 6)).module)
    assert set(found) == {
        *("conv.weight", "conv.bias", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var"),
        *("head.weight", "head.bias"),
    }
    assert str(found["bn.running_var"].loc) == 'at "bn"'


class Layers(nn.Module):
    """Attention, dropout, batch norm, views and a part that nothing reads: no op writes."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, dropout=0.1, batch_first=True)
        self.dropout = nn.Dropout(0.1)
        self.bn = nn.BatchNorm1d(8)
        self.head = nn.Linear(24, 3)

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.attention(x, x, x, need_weights=False)
        self.head.bias.exp()
        left, right = self.bn(self.dropout(y).transpose(1, 2)).chunk(2, 1)
        return self.head(torch.cat((left.relu(), right), 1).flatten(1).to(torch.float32))


def test_a_program_that_needs_no_decomposition_is_imported_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same as what torch would make of it."""
    inputs, dynamic = torch.randn(2, 3, 8), {"x": {0: "b"}}
    asked: list[bool] = []
    monkeypatch.setattr(capturing, "decomposed", lambda program, keep: asked.append(True) or decomposed(program, keep))
    model = Layers()
    as_it_is = check(model, inputs, dynamic=dynamic).module
    assert asked == []
    monkeypatch.setattr(capturing, "is_decomposed", lambda program, keep: False)
    assert not difference(as_it_is, capture(model, (inputs,), dynamic=dynamic).module)
    assert asked == [True]


def test_the_module_is_left_as_it_was() -> None:
    model = Net().train()
    model.bn.eval()
    capture(model, (1, 1, 6, 6))
    assert model.training
    assert model.conv.training
    assert not model.bn.training
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.parametrize("size", [1, 3])
def test_symbolic_batch(size: int) -> None:
    model = Net()
    captured = capture(model, (1, 1, 6, 6), dynamic={"image": {0: ("batch", 1, 16)}})
    assert str(captured.module.main.symbols["batch"]) == "batch in [1, 16]"
    assert str(captured.module.main.inputs[0].type) == "f32[batch, 1, 6, 6]"
    assert captured.sample_inputs["image"].shape == (1, 1, 6, 6)
    image = torch.randn(size, 1, 6, 6)
    assert_same(interpret(captured.module, [image.numpy()]), outputs_of(model, image))
    assert_round_trip(captured.module)


def test_two_symbols_and_sizes_computed_from_them() -> None:
    def function(x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        flat = torch.cat((x, y), 1).reshape(-1)
        return flat, x.repeat(1, 2), x[:, 1:], x.flip(1), y.roll(1, 1), x.sum(1, keepdim=True).expand(-1, y.shape[1])

    axes = {"x": {0: "b", 1: ("n", 3, 64)}, "y": {0: "b", 1: ("m", 3, 64)}}

    class Two(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
            return function(x, y)

    captured = capture(Two(), [(2, 4), (2, 5)], dynamic=axes)
    assert [str(v.type) for v in captured.module.main.outputs][:2] == ["f32[b*m+b*n]", "f32[b, n*2]"]
    for b, n, m in ((1, 4, 3), (3, 3, 6)):
        x, y = torch.randn(b, n), torch.randn(b, m)
        assert_same(interpret(captured.module, [x.numpy(), y.numpy()]), list(function(x, y)))
    assert_round_trip(captured.module)


def test_causal_attention_over_a_symbolic_length() -> None:
    class Causal(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True)

    captured = capture(Causal(), (2, 4, 8), dynamic={"x": {1: "n"}})
    x = torch.randn(2, 7, 8)
    assert_same(interpret(captured.module, [x.numpy()]), outputs_of(Causal(), x))


def test_a_name_for_the_first_axis_of_every_input() -> None:
    class Sum(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return x + y

    captured = capture(Sum(), [(2, 3), (2, 3)], dynamic="b")
    assert "where b in [1, 8]" in str(capture(Sum(), [(2, 3), (2, 3)], dynamic=("b", 1, 8)).module)
    apart = capture(Sum(), [(2, 3), (1, 3)], dynamic="b")  # the second is no batch
    assert [str(v.type) for v in apart.module.main.inputs] == ["f32[b, 3]", "f32[1, 3]"]
    assert [str(v.type) for v in captured.module.main.inputs] == ["f32[b, 3]", "f32[b, 3]"]


class Structured(nn.Module):
    """Nested inputs, a flag, a keyword; a dict of tensors and lists as result."""

    def forward(self, pair: tuple[Tensor, Tensor], flag: bool = True, *, scale: Tensor | None = None) -> Any:
        x, y = pair
        z = x + y if flag else x - y
        return {"sum": z, "parts": [x, (y, None)], "scaled": z * scale if scale is not None else z}


def test_structured_inputs_and_outputs() -> None:
    x, y, s = torch.randn(2), torch.randn(2), torch.randn(2)
    inputs = {"pair": (x, y), "flag": False, "scale": s}
    captured = capture(Structured(), inputs)
    assert [v.name for v in captured.module.main.inputs] == ["pair_0", "pair_1", "scale"]
    expected = outputs_of(Structured(), **inputs)
    assert_same(interpret(captured.module, captured.sample_inputs), expected)
    assert len(expected) == 4


def test_optional_input_that_is_not_given() -> None:
    captured = capture(Structured(), ((torch.ones(2), torch.ones(2)),))
    assert [v.name for v in captured.module.main.inputs] == ["pair_0", "pair_1"]


def test_unused_inputs_stay() -> None:
    captured = capture(Function(lambda x, y: x * 2), [(2,), (3,)])
    assert len(captured.module.main.inputs) == 2


def test_tied_weights_are_one_constant() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(7, 4)
            self.head = nn.Linear(4, 7, bias=False)
            self.head.weight = self.embed.weight
            self.register_buffer("copy", self.embed.weight.data)

        def forward(self, ids: Tensor) -> Tensor:
            return self.head(self.embed(ids)) + self.copy.sum()

    captured = check(Tied(), torch.tensor([[1, 2]]))
    data = [n.value for n in consts(captured.module).values()]
    assert len({id(d) for d in data}) == 1


def test_writes_to_tensors_become_values() -> None:
    def function(x: Tensor) -> tuple[Tensor, ...]:
        y = x.clone()
        y[:, 0] = 1
        y[0].mul_(2)
        y.add_(1).relu_()
        z = torch.zeros(3)
        z.zero_().copy_(x[0])
        x.clamp_(min=0)  # an input, in place
        return y, z, x + 1

    check(Function(function), torch.randn(2, 3))


def test_state_made_in_forward_without_gradient() -> None:
    def function(x: Tensor) -> Tensor:
        with torch.no_grad():
            y = x * 2
        with torch.autocast("cpu", enabled=False):
            return y + 1

    check(Function(function), torch.randn(3))


def test_what_torch_can_decompose_is_supported() -> None:
    def function(x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        return (
            nn.functional.cosine_similarity(x, y),
            torch.var_mean(x, 1),
            nn.functional.glu(x),
            x.diff(),
            nn.functional.softsign(x),
            torch.tensordot(x, y, ([1], [1])),
        )

    check(Function(function), torch.randn(3, 4), torch.randn(3, 4))


@pytest.mark.skipif(
    tuple(map(int, torch.__version__.split(".")[:2])) < (2, 13),
    reason="older torch cannot export recurrent layers this way",
)
@pytest.mark.parametrize("build", [nn.LSTM, nn.GRU])
def test_recurrent_layers_are_unrolled(build: type[nn.LSTM | nn.GRU]) -> None:
    check(build(3, 4, batch_first=True), torch.randn(2, 3, 3))


@pytest.mark.parametrize("norm_first", [True, False])
def test_torch_transformer_layer(norm_first: bool) -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=norm_first, activation="gelu")
    captured = check(layer, torch.randn(2, 5, 8))
    assert ops(captured.module).count("sdpa") == 1


def test_traced_graph_module() -> None:
    model = Net().eval()
    check(torch.fx.symbolic_trace(model), torch.randn(2, 1, 6, 6))


def test_torchscript_module() -> None:
    with quiet():
        script = torch.jit.trace(Net().eval(), torch.ones(2, 1, 6, 6))
    check(script, torch.randn(2, 1, 6, 6))


def exported(model: nn.Module, *inputs: Tensor) -> torch.export.ExportedProgram:
    return torch.export.export(model.eval(), inputs)


def test_exported_program() -> None:
    model, image = Net(), torch.randn(2, 1, 6, 6)
    program = exported(model, image)
    captured = capture(program)
    assert not difference(captured.module, capture(model, image).module)
    assert_same(interpret(captured.module, captured.sample_inputs), outputs_of(model, image))


def test_core_aten_program() -> None:
    """A program that was decomposed before keeps its meaning."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval()
    x = torch.randn(2, 5, 8)
    with quiet():
        program = exported(layer, x).run_decompositions()
    assert_same(interpret(capture(program).module, [x.numpy()]), outputs_of(layer, x))


def test_a_saved_program_is_the_same_as_the_module(tmp_path: Path) -> None:
    model, image = Net(), torch.randn(2, 1, 6, 6)
    torch.export.save(exported(model, image), tmp_path / "net.pt2")
    captured = capture(tmp_path / "net.pt2")
    assert captured.name == "net"
    np.testing.assert_array_equal(captured.sample_inputs["image"], image.numpy())
    assert not difference(captured.module, capture(model, image).module)


def test_saved_keyword_arguments(tmp_path: Path) -> None:
    class Late(nn.Module):
        def forward(self, x: Tensor, *, b: Tensor, a: Tensor) -> Tensor:
            return x + 2 * b - a

    inputs = {name: torch.full((2,), float(i)) for i, name in enumerate("xab")}
    program = torch.export.export(Late(), (inputs["x"],), {"a": inputs["a"], "b": inputs["b"]})
    torch.export.save(program, tmp_path / "late.pt2")
    captured = capture(tmp_path / "late.pt2")
    assert {k: float(v[0]) for k, v in captured.sample_inputs.items()} == {"x": 0, "b": 2, "a": 1}
    assert_same(interpret(captured.module, captured.sample_inputs), [torch.full((2,), 3.0)])


def test_saved_symbols_are_named_by_axis(tmp_path: Path) -> None:
    class Twice(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.reshape(x.shape[0], -1) * 2

    dims = {"x": {0: torch.export.Dim("any", min=1, max=8), 2: torch.export.Dim("len", min=2)}}
    program = torch.export.export(Twice(), (torch.randn(2, 3, 4),), dynamic_shapes=dims)
    torch.export.save(program, tmp_path / "twice.pt2")
    module = capture(tmp_path / "twice.pt2").module
    assert [str(s) for s in module.main.symbols.values()] == ["b in [1, 8]", "n in [2, 4096]"]
    assert str(module.main.outputs[0].type) == "f32[b, n*3]"


def test_run_torch() -> None:
    model, image = Net(), torch.randn(2, 1, 6, 6)
    captured = capture(model, image)
    (given,) = captured.run_torch({"image": image.numpy()})
    np.testing.assert_allclose(given, outputs_of(model, image)[0].numpy(), rtol=1e-5)
    with pytest.raises(IrcError, match="input 'image' is missing; got other"):
        captured.run_torch({"other": image.numpy()})


def test_capture_is_deterministic() -> None:
    model = Net()
    assert str(capture(model, (1, 1, 6, 6)).module) == str(capture(model, (1, 1, 6, 6)).module)


def test_unknown_objects() -> None:
    with pytest.raises(UsageError, match="cannot capture dict"):
        capture({"a": 1})  # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError, match="arch goes with a file of weights"):
        capture(Net(), (1, 1, 6, 6), arch="a:b")


def test_one_tensor_given_for_two_inputs_stays_two():
    same = torch.ones(2, 3)
    module = capture(Function(lambda x, y: x - 2 * y), (same, same)).module
    x, y = np.full((2, 3), 5, np.float32), np.ones((2, 3), np.float32)
    assert (interpret(module, [x, y])[0] == 3).all()
