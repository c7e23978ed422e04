"""`irc check`: every blocker at once, what is covered, what falls back, estimates; and nothing is run or written."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from conftest import Irc
from onnx import TensorProto, helper
from torch import nn

import irc as library
from irc.cli.check import KEYS
from irc.feedback import Feedback, silence
from irc.frontend.aten import CONVERTERS

SAMPLES = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
BROKEN = Path(__file__).parent / "broken_things.py"
NET = """func @main(%x: f32[1, 3]) -> {result} {
  %w = const [[1, 2, 3], [-1, 2, 1]] : f32[2, 3]
  %y = linear %x, %w : f32[1, 2]  at "fc" (Linear) net.py:1
  %z = {head}  at "head" (Head) net.py:2
  return %z
}
"""
SOFTMAX = NET.replace("{result}", "f32[1, 2]").replace("{head}", "softmax %y {axis = 1} : f32[1, 2]")
ARGMAX = NET.replace("{result}", "i64[1]").replace("{head}", "argmax %y {axes = [1]} : i64[1]")


class Strange(nn.Module):
    """Operators that are not supported between some that are."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.special.i0(self.first(x))
        y = torch.cumsum(torch.fft.fft(y).real, 1)
        return torch.special.i0(self.last(torch.erfinv(y)))


def test_a_model_that_can_be_compiled(irc: Irc, model: Path, tmp_path: Path):
    names = {p.name for p in tmp_path.iterdir()}
    said = irc("check", model).stdout
    assert "3 of 3 can be compiled (100.0 %)" in said
    assert "176 of 176 can be compiled" in said
    assert said.endswith("mlp can be compiled for reference (any)\n")
    assert irc("check", model, "--quiet").output == ""
    assert {p.name for p in tmp_path.iterdir()} == names


def test_what_a_backend_moves_into_a_function_counts_once(irc: Irc, model: Path):
    for backend in ("cpu", "hls"):
        found = json.loads(irc("check", model, "--backend", backend, "--passes", "quant8,fuse", "--json").stdout)
        assert found["coverage"]["macs"] == found["coverage"]["compiled macs"] == 176


def test_a_fault_of_the_frontend_leaves_its_traceback(irc: Irc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: object) -> object:
        raise KeyError("lost")

    monkeypatch.setitem(CONVERTERS, "aten.relu.default", fail)
    torch.export.save(torch.export.export(nn.ReLU(), (torch.ones(3),)), tmp_path / "model.pt2")
    error = irc("check", "model.pt2", code=70).stderr
    assert "importing aten.relu.default failed: KeyError: 'lost' (test_cli_check.py:" in error
    assert "note: the traceback is in irc-reproducer/error.txt\n  hint: this is a fault of irc or a plug-in" in error
    assert "KeyError: 'lost'" in (tmp_path / "irc-reproducer/error.txt").read_text()


def test_nothing_is_run(irc: Irc, model: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("calibrate", "quantize", "smooth"):
        monkeypatch.delattr(f"irc.passes.{name}.interpret")
    for passes in ("quant8,fuse", "quant4{rounding=mse}", "qdq8"):
        irc("check", model, "--passes", passes)


def test_refusals_of_a_backend(irc: Irc, model: Path):
    options = ("--load", BROKEN, "--backend", "refusing")
    found = irc("check", model, *options, code=1)
    assert "linear: not here\n  note: and 1 more" in found.stderr
    assert "1 of 3 can be compiled (33.3 %)" in found.stdout
    assert "0 of 176 can be compiled (0.0 %)" in found.stdout
    assert found.stdout.endswith("mlp cannot be compiled for refusing (any)\n")


def test_json(irc: Irc, model: Path):
    found = json.loads(irc("check", model, "--load", BROKEN, "--backend", "refusing", "--json", code=1).stdout)
    assert (found["schema"], found["exit"], found["backend"]) == (1, 1, "refusing")
    (error,) = found["errors"]
    assert (error["layer"], error["uses"]) == ("fc1", 2)
    assert error["places"] == ['"fc1" (Linear) mlp.py:11', '"fc2" (Linear) mlp.py:12']
    assert found["coverage"] == {"operators": 3, "compiled operators": 1, "macs": 176, "compiled macs": 0}
    assert list(found) == list(KEYS)
    fine = json.loads(irc("check", model, "--json").stdout)
    assert (fine["exit"], fine["errors"], list(fine)) == (0, [], list(KEYS))


def test_all_operators_that_cannot_be_imported_and_what_the_backend_has_against_the_rest():
    found = library.check(Strange(), (torch.ones(2, 8),), passes="clean", backend="hls")
    texts = {d.message: d.uses for d in found.blockers}
    assert texts["aten.i0.default is not supported"] == 2
    assert texts["aten._fft_r2c.default is not supported"] == 1
    assert texts["aten.erfinv.default is not supported"] == 1
    assert [d.loc.sources[0].file for d in found.blockers if "i0" in d.message] == ["test_cli_check.py"]
    assert found.coverage.compiled < found.coverage.operators
    error = found.error()
    assert error is not None
    assert error.exit_code == 1


def test_what_stands_behind_an_unsupported_operator_is_found_too():
    class Model(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cumsum(torch.special.i0(x), 1).softmax(-1)

    found = library.check(Model(), (torch.ones(2, 8),), passes="clean,hls-boundary", backend="cpu")
    assert [d.message for d in found.blockers] == ["aten.i0.default is not supported"]
    reached = found.coverage
    assert (reached.operators, reached.compiled) == (3, 2)


class Rows(nn.Module):
    """Sizes that depend on the data, results without a type in the IR, and sound layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 8), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = self.first(x)
        rows = y[torch.nonzero(y[:, 0] > 0)[:, 0]].relu()
        z = torch.erfinv(y).exp()
        return rows, self.last(torch.polygamma(1, z) + torch.complex(y, y).real.tanh())


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> tuple[torch.export.ExportedProgram, Path]:
    path = tmp_path_factory.mktemp("rows") / "rows.pt2"
    program = torch.export.export(Rows().eval(), (torch.ones(2, 4),))
    torch.export.save(program, path)
    return program, path


def test_a_saved_program_is_judged_as_the_program_is(rows: tuple[torch.export.ExportedProgram, Path]):
    wanted, found = (library.check(model, passes="clean", backend="cpu") for model in rows)
    assert found.coverage == wanted.coverage
    assert 0 < found.coverage.compiled < found.coverage.operators
    assert 0 < found.coverage.compiled_macs == found.coverage.macs
    assert sorted(map(str, found.blockers)) == sorted(map(str, wanted.blockers))
    assert {d.loc.sources[0].file for d in found.blockers} == {"test_cli_check.py"}


def test_where_the_rest_cannot_be_looked_at(
    irc: Irc, rows: tuple[torch.export.ExportedProgram, Path], monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object, **_named: object) -> object:
        raise RuntimeError("no")

    monkeypatch.setattr("irc.frontend.capture.decomposed", fail)
    found = irc("check", rows[1], code=1)
    assert "aten.erfinv.default is not supported" in found.stderr
    assert "RuntimeError" not in found.stderr
    assert "0 of 18 can be compiled (0.0 %)" in found.stdout
    assert found.stdout.endswith("rows cannot be compiled for reference (any)\n")


def test_operators_of_an_onnx_file(irc: Irc, tmp_path: Path):
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="/stem/Relu"),
        helper.make_node("NonZero", ["a"], ["b"], name="/one/NonZero"),
        helper.make_node("NonZero", ["a"], ["c"], name="/two/NonZero"),
        helper.make_node("Concat", ["b", "c"], ["d"], axis=0),
        helper.make_node("Unique", ["d"], ["y"]),
    ]
    ends = [
        helper.make_tensor_value_info(*v) for v in (("x", TensorProto.FLOAT, [2, 4]), ("y", TensorProto.INT64, ["n"]))
    ]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "net.onnx")
    found = irc("check", "net.onnx", code=1)
    assert '"one" (NonZero): NonZero (opset 17) is not supported' in found.stderr
    assert 'note: and 1 more: "two" (NonZero)' in found.stderr
    assert "Unique (opset 17) is not supported" in found.stderr
    assert "1 of 5 can be compiled (20.0 %)" in found.stdout


# -- fallbacks


def test_islands_are_told_and_no_error():
    found = library.check(library.parse(SOFTMAX), passes="quant8,fuse", backend="cpu")
    assert [f.text for f in found.fallbacks] == ['softmax runs in float, between integers: "head" (Head) net.py:2']
    assert found.error(strict=True) is None


def test_islands_are_chosen_on_the_command_line(irc: Irc, tmp_path: Path):
    (tmp_path / "net.irc").write_text(SOFTMAX)

    def opnames(option: str) -> set[str]:
        options = ["--passes", "quant8,fuse", "--backend", "cpu", *([option] if option else [])]
        irc("compile", "net.irc", *options, "--force", "-o", "net.cpu")
        text = irc("inspect", "net.cpu", "--text").stdout
        return set(re.findall(r"\b(?:int_)?softmax\b", text))

    assert opnames("") == opnames("--float-islands") == {"softmax"}
    assert opnames("--integer-only") == {"int_softmax"}
    for option in ("--integer-only", "--float-islands"):
        refused = irc("check", "net.irc", "--passes", "clean", "--backend", "cpu", option, code=2)
        assert f"{option}: no pass makes integers" in refused.stderr


def test_what_runs_on_the_host_is_an_error_if_strict(irc: Irc, tmp_path: Path):
    text = "argmax runs on the host, in float"
    options = ("check", "net.irc", "--passes", "quant8,fuse", "--backend", "hls")
    (tmp_path / "net.irc").write_text(ARGMAX)
    assert f"fallback: {text}" in irc(*options).stdout
    found = irc(*options, "--strict", code=1)
    assert text in found.stderr
    assert "compile the part before it with --stop-at" in found.stderr
    (tmp_path / "net.irc").write_text(ARGMAX.replace('"head" (Head)', '"" (Net)'))
    found = irc(*options, "--strict", code=1)
    assert "or move it to a module of its own, where --stop-at can end" in found.stderr
    (tmp_path / "net.irc").write_text(ARGMAX)
    assert json.loads(irc(*options, "--json").stdout)["fallbacks"][0]["message"] == text


def test_compile_tells_of_fallbacks_and_refuses_them_if_strict():
    model = library.parse(ARGMAX)
    told: list[str] = []
    voice = Feedback(warn=silence, tell=told.append)
    options = {"passes": "quant8,fuse", "backend": "hls", "feedback": voice}
    artifact = library.compile(model, **options)
    (text,) = told
    assert text.startswith("argmax runs on the host, in float")
    assert text in artifact.report["notes"]
    with pytest.raises(library.IrcError, match="a fallback, which strict=True makes an error"):
        library.compile(model, strict=True, calib={"x": SAMPLES}, **options)


# -- estimates


def test_what_hls_will_take(irc: Irc, model: Path):
    options = ("check", model, "--passes", "quant8,fuse", "--backend")
    said = irc(*options, "hls").stdout
    assert "cycles per sample" in said
    assert "fits zcu102, estimated" in said
    missed = irc(*options, "hls{fps=1e9}", "--strict", code=4)
    assert "missed: fps=1e+09 is not reached" in missed.stdout
    assert "fps=1e+09 is not reached" in missed.stderr
    irc(*options, "hls{fps=1e9}")


@pytest.mark.parametrize("target", ["x86-64-v3", "aarch64+dotprod"])
def test_the_size_of_code_is_about_right(target: str):
    model = library.parse(SOFTMAX)
    found = library.check(model, passes="quant8,fuse", backend="cpu", target=target)
    artifact = library.compile(model, passes="quant8,fuse", backend="cpu", target=target, calib={"x": SAMPLES})
    actual = artifact.report["summary"]
    assert found.estimate["code bytes, estimated"] == pytest.approx(actual["code bytes"], rel=0.5)
    for key in ("weight bytes", "workspace bytes", "kernels"):
        assert found.estimate[key] == actual[key]


# -- the page


PAGE = (Path(__file__).parents[2] / "docs" / "check.md").read_text(encoding="utf-8")


def detector() -> onnx.ModelProto:
    """Boxes and scores of three candidates, and what selects among them."""
    weights = [
        helper.make_tensor("wb", 1, [12, 8], np.linspace(-1, 1, 96)),
        helper.make_tensor("ws", 1, [3, 8], np.linspace(1, -1, 24)),
        *(helper.make_tensor(n, 7, [3], v) for n, v in (("boxed", [1, 3, 4]), ("scored", [1, 1, 3]))),
        helper.make_tensor("most", 7, [1], [2]),
    ]
    nodes = [
        helper.make_node("Gemm", ["x", "wb"], ["b0"], transB=1, name="/neck/boxes/Gemm"),
        helper.make_node("Reshape", ["b0", "boxed"], ["boxes"], name="/neck/boxes/Reshape"),
        helper.make_node("Gemm", ["x", "ws"], ["s0"], transB=1, name="/neck/scores/Gemm"),
        helper.make_node("Reshape", ["s0", "scored"], ["scores"], name="/neck/scores/Reshape"),
        helper.make_node("NonMaxSuppression", ["boxes", "scores", "most"], ["y"], name="/head/nms/NonMaxSuppression"),
    ]
    ends = [helper.make_tensor_value_info("x", 1, [1, 8]), helper.make_tensor_value_info("y", 7, ["n", 3])]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


def test_the_case_of_the_page(irc: Irc, tmp_path: Path):
    onnx.save(detector(), tmp_path / "detector.onnx")
    said = irc("check", "detector.onnx", "--backend", "cpu", code=1).stderr
    assert said.replace("\n", "\n    ").strip() in PAGE
    assert "    $ irc compile detector.onnx --backend cpu --stop-at head.nms\n" in PAGE
    irc("compile", "detector.onnx", "--backend", "cpu", "--stop-at", "head.nms")
    boxes, scores = library.load(tmp_path / "detector.cpu").run(np.ones((1, 8), np.float32))
    assert (boxes.shape, scores.shape) == ((1, 3, 4), (1, 1, 3))
    assert irc("check", "detector.onnx", "--stop-at", "/head").stdout.endswith("can be compiled for reference (any)\n")
    text = irc("inspect", "detector.onnx", "--stop-at", "head", "--text").stdout
    (tmp_path / "part.irc").write_text(text)
    assert "linear" in text


def test_opt_stops_too(irc: Irc, model: Path):
    text = irc("opt", model, "--stop-at", "fc2").stdout
    assert text.count("linear") == 1
    assert "-> f32[b, 16]" in text
    assert "did you mean 'fc2'?" in irc("opt", model, "--stop-at", "fc22", code=2).stderr


def test_the_page_lists_the_keys():
    rows = [line.split("|")[1:3] for line in PAGE.split("|---|---|\n")[1].splitlines()]
    assert {key.strip(" `"): text.strip() for key, text in rows} == dict(KEYS)
