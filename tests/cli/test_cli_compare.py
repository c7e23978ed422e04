"""`irc compare`: any two of PyTorch, ONNX, IR text and artifacts, with the first layer that differs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from conftest import Irc
from onnx import helper, numpy_helper
from small_model import two_layers

import irc as package
from irc.ir.files import read_module, write_module
from irc.tables import BACKENDS, BUILT_IN, Row

BROKEN = '''
from dataclasses import dataclass

from irc import Data, Module, Pass, PassContext


@dataclass(frozen=True)
class Spoil(Pass):
    """Double the weights of a layer."""

    name = "spoil"
    effect = "exact"
    layer: str = "fc2"

    def run(self, module: Module, cx: PassContext) -> None:
        for node in module.walk():
            if node.opname == "linear" and node.loc.path == self.layer:
                node.w.node.value = Data.of(2 * node.w.node.value.array)
                node.touch()
'''


class Net(torch.nn.Module):
    """Two layers with a batch norm."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc1, self.norm, self.fc2 = torch.nn.Linear(8, 16), torch.nn.BatchNorm1d(16), torch.nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(torch.relu(self.norm(self.fc1(x))))


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.pt2"
    torch.export.save(torch.export.export(Net().eval(), (torch.ones(2, 8),)), path)
    return path


def rows(out: str) -> list[list[str]]:
    """The cells of the table of layers."""
    return [line.split() for line in out.partition("\nlayer ")[2].splitlines()[1:]]


def test_pytorch_against_integers(irc: Irc, net: Path, data: Path) -> None:
    """Values meet by where they come from, codes as what they stand for."""
    irc("compile", net, "--passes", "quant8,fuse", "--calib", data, "-o", "q", "--backend", "reference")
    out = irc("compare", net, "q", "--data", data, "--layerwise").stdout
    head, columns = out.splitlines()[:2]
    assert head == f"q on reference against {net} on PyTorch, 10 samples"
    assert columns.split() == ["linf", "rel", "cos", "sqnr"]
    assert "top-1: A" in out
    assert "3 layers, 8 samples" in out
    found = rows(out)
    assert (found[0][0], found[0][2]) == ("norm", "batch_norm")
    assert [row[-5] for row in found] == ["linear", "requantize", "linear"]
    assert all(30 < float(row[-1]) < 80 for row in found)


def test_text_against_pytorch(irc: Irc, net: Path) -> None:
    irc("inspect", net, "--text")
    irc("compile", net, "-o", "f")
    out = irc("compare", net, "f/input.irc", "--layerwise", "--metric", "rel=1e-5").stdout
    assert [row[:1] for row in rows(out)][:2] == [["fc1"], ["norm"]]
    irc("compare", "f/input.irc", "f/lowered.irc", "--layerwise")
    irc("compare", f"{net}@interpreter", net, "--input", "x=f32[2, 8]")


def test_onnx_in_onnxruntime_and_imported(irc: Irc, net: Path) -> None:
    irc("export", "onnx", net, "-o", "net.onnx")
    out = irc("compare", "net.onnx", "net.onnx@interpreter", "--layerwise").stdout
    assert "net.onnx on the interpreter against net.onnx on onnxruntime" in out
    assert [row[0] for row in rows(out)][-1] == "fc2"
    out = irc("compare", net, "net.onnx", "--layerwise", "--quiet")
    assert out.stdout == ""
    # The file says of a folded batch norm that it is both, so it stands beside the batch norm.
    assert "norm" in [row[0] for row in rows(irc("compare", net, "net.onnx", "--layerwise").stdout)]


def test_codes_of_onnxruntime_are_read_as_the_file_says(irc: Irc) -> None:
    """Its integers meet those of the interpreter, and where these are read as reals that is the same place."""
    numbers = {
        "s": np.float32(0.1),
        "z": np.uint8(3),
        "t": np.float32(0.5),
        "y": np.uint8(9),
        "w": np.uint8([[3], [9]]),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], "quantizes"),
        helper.make_node("QLinearMatMul", ["q", "s", "z", "w", "s", "z", "t", "y"], ["m"], "multiplies"),
        helper.make_node("DequantizeLinear", ["m", "t", "y"], ["o"], "reads"),
        helper.make_node("Relu", ["o"], ["r"], "ends"),
    ]
    ports = [helper.make_tensor_value_info(name, 1, shape) for name, shape in (("x", [1, 2]), ("r", [1, 1]))]
    weights = [numpy_helper.from_array(np.asarray(array), name) for name, array in numbers.items()]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "codes.onnx")
    out = irc("compare", "codes.onnx", "codes.onnx@interpreter", "--layerwise", "--metric", "linf=0").stdout
    assert [row[:3] for row in rows(out)] == [
        ["quantizes", "QuantizeLinear", "quantize"],
        ["multiplies", "QLinearMatMul", "requantize"],
        ["ends", "Relu", "relu"],
    ]
    assert "3 layers, 8 samples; 1 of A and 0 of B have no partner" in out
    found = json.loads(irc("compare", "codes.onnx", "codes.onnx@interpreter", "--layerwise", "--json").stdout)
    assert found["alone"] == {"a": 1, "b": 0}


def test_codes_meet_where_they_are_read(irc: Irc) -> None:
    """One side computes the reals that codes stand for, the other only says where codes are read."""
    head = "func @main(%x: f32[1, 4]) -> f32[1, 4] {{\n  %r = const 2.0 : f32[]\n{}  return %z\n}}\n"
    bodies = {
        "codes": """  %q = quantize %x, %r : i8<0.5>[1, 4]  at "q" (Q) net.py:1
  %s = const 0.5 : f32[]
  %y = dequantize %q, %s : f32[1, 4]  at "d" (D) net.py:2
  %z = neg %y : f32[1, 4]  at "n" (N) net.py:3
""",
        "reals": """  %y = mul %x, %r : f32[1, 4]  at "d" (D) net.py:2
  %z = neg %y : f32[1, 4]  at "n" (N) net.py:3
""",
    }
    for name, body in bodies.items():
        Path(f"{name}.irc").write_text(head.format(body))
    out = irc("compare", "codes.irc", "reals.irc", "--layerwise", "--metric", "cos=-1").stdout
    assert [row[-3:-1] for row in rows(out)] == [["quantize", "mul"], ["neg", "neg"]]


def test_the_same_bits(irc: Irc, model: Path, data: Path) -> None:
    """Two runs of one graph are held to equal bits, value by value."""
    irc("compile", model, "--passes", "quant8,fuse", "--calib", data, "-o", "q")
    found = json.loads(irc("compare", "q@interpreter", "q", "--layerwise", "--json").stdout)
    assert (found["schema"], found["agrees"], found["bounds"]) == (1, True, {"linf": 0.0})
    assert {row["linf"] for row in found["layers"]} == {0.0}
    assert found["outputs"][0]["sqnr"] == "inf"
    assert found["first divergence"] is None


@pytest.mark.parametrize("layer", ["fc1", "fc2"])
def test_the_first_layer_that_differs(irc: Irc, model: Path, layer: str) -> None:
    Path("spoil.py").write_text(BROKEN)
    irc("opt", model, "--load", "spoil.py", "--passes", f"spoil{{layer={layer}}}", "-o", "bad.irc")
    done = irc("compare", model, "bad.irc", "--layerwise", code=3)
    assert "output0 of bad.irc on the interpreter against" in done.stderr
    number = layer[-1]
    assert f'"{layer}" (Linear) mlp.py:1{number}: the first layer that differs: linear against linear, rel is' in (
        done.stderr
    )
    assert [row[0] for row in rows(done.stdout) if row[-1] == "<-"] == [layer]
    assert "compared on random data (use --data)" in done.stderr
    found = json.loads(irc("compare", model, "bad.irc", "--layerwise", "--json", code=3).stdout.split("\n{\n")[0])
    assert found["first divergence"].startswith(f'"{layer}"')


def test_bounds(irc: Irc, model: Path, data: Path) -> None:
    irc("compile", model, "--passes", "quant4,fuse", "--calib", data, "-o", "q")
    irc("compare", model, "q", "--data", data, "--metric", "sqnr=3", "--metric", "top1")
    done = irc("compare", model, "q", "--data", data, "--metric", "sqnr=200", "--metric", "linf=1e-9", code=3)
    assert "dB, demanded at least 200 dB; linf is " in done.stderr
    assert done.stdout.splitlines()[1].split() == ["sqnr", "linf"]


def test_texts_without_places_meet_by_name(irc: Irc) -> None:
    for name, op in (("a", "gelu"), ("b", "relu")):
        Path(f"{name}.irc").write_text(
            f"func @main(%x: f32[1, 4]) -> f32[1, 4] {{\n"
            f"  %act = {op} %x : f32[1, 4]\n  %end = neg %act : f32[1, 4]\n  return %end\n}}\n"
        )
    done = irc("compare", "a.irc", "b.irc", "--layerwise", "--quiet", code=3)
    assert "the first layer that differs: relu against gelu, rel is" in done.stderr


def test_sides_of_other_batches(irc: Irc, data: Path) -> None:
    """A batch of 4 against a batch that varies: samples that fill up the last batch do not count."""
    write_module(two_layers(4), Path("four.irc"))
    write_module(two_layers("b"), Path("any.irc"))
    out = irc("compare", "four.irc", "any.irc", "--data", data, "--layerwise").stdout
    assert "3 layers" in out
    assert "10 samples" in out


def test_inputs_may_have_other_names(irc: Irc, model: Path, data: Path) -> None:
    Path("y.irc").write_text(str(read_module(model)).replace("%x", "%y"))
    done = irc("compare", model, "y.irc", "--weights", "mlp.safetensors", "--data", data, code=2)
    assert "mlp.safetensors" in done.stderr
    irc("compare", model, "y.irc", "--weights", model.parent / "weights.safetensors", "--data", data)


def test_nothing_in_common(irc: Irc) -> None:
    for name in ("a", "b"):
        Path(f"{name}.irc").write_text(
            f'func @main(%x: f32[1, 4]) -> f32[1, 4] {{\n  %0 = neg %x : f32[1, 4]  at "{name}"\n  return %0\n}}\n'
        )
    out = irc("compare", "a.irc", "b.irc", "--layerwise").stdout
    assert "the two sides have no place in the model in common" in out


def test_mistakes(irc: Irc, model: Path, artifact: Path) -> None:
    for arguments, message in [
        (("--metric", "snr=3"), "--metric snr=3: there is no metric 'snr'"),
        (("--metric", "sqnr=high"), "--metric sqnr=high: 'high' is no number"),
        (("--data", "none.npz"), "--data=none.npz: there is no such file"),
    ]:
        assert message in irc("compare", model, artifact, *arguments, code=2).stderr
    assert "mlp.irc: torch does not run it" in irc("compare", f"{model}@torch", artifact, code=2).stderr
    assert "what does: compiled, interpreter" in irc("compare", f"{artifact}@onnxruntime", model, code=2).stderr


def test_models_that_do_not_compare(irc: Irc, model: Path) -> None:
    two = "func @main(%x: f32[b, 8], %y: f32[b, 8]) -> f32[b, 8] where b in [1, 8] {\n  %0 = add %x, %y : f32[b, 8]\n"
    Path("two.irc").write_text(two + "  return %0\n}\n")
    assert "takes the inputs x, y; given are x" in irc("compare", model, "two.irc", code=2).stderr
    one = "func @main(%x: f32[b, 8]) -> f32[b, 8] where b in [1, 8] {\n  %0 = neg %x : f32[b, 8]\n"
    Path("one.irc").write_text(one + "  return %0\n}\n")
    assert "output0 has the shape [32, 3] in" in irc("compare", model, "one.irc", code=2).stderr
    many = one.replace("-> f32[b, 8]", "-> (f32[b, 8], f32[b, 8])")
    Path("many.irc").write_text(many + "  return %0, %x\n}\n")
    assert "has 1 outputs, " in irc("compare", "one.irc", "many.irc", code=2).stderr


def test_a_backend_that_cannot_show_its_layers(irc: Irc, artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blind = replace(BACKENDS.get("reference"), trace=None)
    monkeypatch.setitem(BACKENDS._rows, "reference", Row(blind, BUILT_IN, lazy=False))
    assert "art on reference cannot show its layers" in irc("compare", "art", "art", "--layerwise", code=2).stderr
    irc("compare", "art", "art")


def test_from_python(irc: Irc, data: Path) -> None:
    net = Net().eval()
    module = package.capture(net, torch.ones(2, 8))
    samples = {"x": np.load(data)["x"]}
    found = package.compare(net, module, samples, layerwise=True, inputs=torch.ones(2, 8))
    assert found.agrees
    assert found.first is None
    small = module.apply("quant4", calib=samples)
    found = package.compare(module, small, samples, layerwise=True, bounds={"sqnr": 60})
    assert found.first is not None
    assert found.first.source is not None
    assert found.first.source.path == "norm"
    with pytest.raises(package.IrcError, match="the first layer that differs"):
        found.require()


def test_native_code_against_floats_and_the_interpreter(irc: Irc, model: Path, data: Path) -> None:
    irc("compile", model, "--passes", "quant8,fuse", "--calib", data, "--backend", "cpu", "-o", "m.cpu")
    out = irc("compare", model, "m.cpu", "--data", data, "--layerwise", "--metric", "sqnr=25").stdout
    assert [row[0] for row in rows(out)] == ["act", "fc2"]
    irc("compare", "m.cpu@interpreter", "m.cpu", "--data", data, "--layerwise", "--metric", "linf=0")


@pytest.mark.slow
@pytest.mark.tool("g++")
def test_an_accelerator_against_native_code(irc: Irc, model: Path, data: Path) -> None:
    """Two backends, of which one takes a batch of 1, on one integer graph: the same numbers in every layer."""
    for backend in ("hls", "cpu"):
        passes = "quant8{requant=fixed},fuse"
        irc("compile", model, "--passes", passes, "--calib", data, "--backend", backend, "-o", f"m.{backend}")
    out = irc("compare", "m.cpu", "m.hls", "--data", data, "--layerwise", "--metric", "linf=0").stdout
    assert [row[0] for row in rows(out)] == ["act", "fc2"]


CLASSES = """func @main(%x: f32[b, 4]) -> i64[b] where b in [1, 64] {{
  %w = const {weights} : f32[4, 4]
  %y = linear %x, %w : f32[b, 4]  at "fc" (Linear) net.py:1
  %z = argmax %y {{axes = [1]}} : i64[b]
  return %z
}}
"""
LIKE = "[[4, 0, 0, 0], [0, 4, 0, 0], [0, 0, 4, 0], [0, 0, 0, 4]]"
OTHER = LIKE.replace("0, 4]]", "0, 1]]")


def test_classes_are_equal_or_not(irc: Irc, tmp_path: Path) -> None:
    """A class that is off by one is as wrong as any other; their size says nothing."""
    x = np.tile(np.eye(4, dtype=np.float32), (8, 1))
    x[-1] = [0, 0, 0.9, 1]  # the last class by one set of weights, the third by the other
    np.savez(tmp_path / "x.npz", x=x)
    for name, weights in (("a", LIKE), ("b", OTHER)):
        (tmp_path / f"{name}.irc").write_text(CLASSES.format(weights=weights))
    same = irc("compare", "a.irc", "a.irc", "--data", "x.npz")
    assert "of integers" not in same.stdout
    found = irc("compare", "a.irc", "b.irc", "--data", "x.npz", code=3)
    assert "of integers, equal must be 1 or more" in found.stdout
    assert "equal is 0.969, demanded at least 1" in found.stderr
    irc("compare", "a.irc", "b.irc", "--data", "x.npz", "--metric", "equal=0.9")
    irc("opt", "a.irc", "--passes", "quant8", "--calib", "x.npz", "-o", "q.irc")
    told = json.loads(irc("compare", "b.irc", "q.irc", "--data", "x.npz", "--json").stdout)
    assert (told["agrees"], told["bounds"], told["bounds of integers"]) == (True, {"sqnr": 10.0}, {"equal": 0.9})
