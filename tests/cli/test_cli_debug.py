"""`irc debug`: a wrong pass and a wrong lowering are found, and reduced to what shows them."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import Irc
from small_model import two_layers

import irc as package
from irc.ir.files import read_module, write_module
from irc.tools.reduce import smallest

PASSES = '''
from dataclasses import dataclass

from irc import Data, Module, Pass, PassContext


@dataclass(frozen=True)
class Spoil(Pass):
    """Add one to the biases of a layer."""

    name = "spoil"
    layer: str = "fc2"

    def run(self, module: Module, cx: PassContext) -> None:
        for node in module.walk():
            if node.opname == "linear" and node.loc.path == self.layer:
                bias = node.operands[2].node
                bias.value = Data.of(bias.value.array + 1)
                bias.touch()


@dataclass(frozen=True)
class Fall(Pass):
    """Fail on relus."""

    name = "fall"

    def run(self, module: Module, cx: PassContext) -> None:
        for node in module.walk():
            if node.opname == "relu":
                raise RuntimeError(f"no way behind {node.loc.path}")
'''

WRONG = '''
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from irc import Plugin
from irc.backends.reference import REFERENCE
from irc.ir.interpret import bind_dims, run_node


def lowered_relu(x):
    return np.abs(x)  # the deliberate mistake


def every_value(job, arrays):
    graph, values = job.module.main, dict(zip(job.module.main.inputs, arrays))
    for node in graph.nodes:
        if node.terminator:
            return values
        operands = [values[v] for v in node.operands]
        right = [lowered_relu(*operands)] if node.opname == "relu" else run_node(
            node, operands, bind_dims(graph, arrays), job.module
        )
        values.update(zip(node.results, right))


def trace(job, folder, arrays):
    return [(v, a) for v, a in every_value(job, arrays).items() if v.node is not None]


@contextmanager
def start(job, folder):
    yield lambda calls: [[every_value(job, c)[v] for v in job.module.main.outputs] for c in calls]


@dataclass(frozen=True)
class Options:
    """None."""

    name = "wrong"


WRONG = replace(REFERENCE, name="wrong", options=Options, start=start, trace=trace)
plugin = Plugin(backends={"wrong": WRONG})
'''


SUMS = """func @main(%x: f32[b, 8]) -> f32[b, 8] where b in [1, 64] {
  %third = const 0.3333333 : f32[]
  %y = mul %x, %third : f32[b, 8]
  %z = mul %y, %third : f32[b, 8]
  return %z
}
"""
REORDER = '''
from dataclasses import dataclass

import numpy as np

from irc import Data, Module, Pass, PassContext


@dataclass(frozen=True)
class Reorder(Pass):
    """Take the first factor for both, and 1 for the second."""

    name = "reorder"
    by: float = 1.0

    def run(self, module: Module, cx: PassContext) -> None:
        first, second = (node for node in module.walk() if node.opname == "mul")
        third = first.operands[1].node
        product = float(third.value.array) ** 2 * self.by
        third.value = Data.of(np.asarray(product, np.float32))
        third.touch()
        second.result.replace_by(first.result)
'''


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(PASSES)
    Path("wrong.py").write_text(WRONG)


def deep() -> str:
    """Eight layers of ops in a row, with a branch."""
    lines = ["func @main(%x: f32[b, 4]) -> f32[b, 4] where b in [1, 8] {"]
    last = "%x"
    for i, op in enumerate(["tanh", "neg", "abs", "sigmoid", "neg", "relu", "exp", "tanh"]):
        lines.append(f'  %v{i} = {op} {last} : f32[b, 4]  at "layer{i}"')
        last = f"%v{i}"
    lines += ["  %sum = add %v2, %v7 : f32[b, 4]", "  return %sum", "}"]
    return "\n".join(lines) + "\n"


def test_bisect_finds_the_pass_and_the_layer(irc: Irc, model: Path, data: Path) -> None:
    words = ("debug", "bisect", model, "--load", "mine.py", "--calib", data)
    out = irc(*words, "--passes", "canonicalize,fold,spoil{layer=fc1},cse,dce").stdout.splitlines()
    assert out[0] == "the check holds behind 2 passes, then the pass spoil{layer=fc1} breaks it"
    assert out[1].startswith("  output0: rel is ")
    assert out[2] == '  first at "fc1" (Linear) mlp.py:11: linear against linear'
    assert out[3] == "irc-reproducer/command.txt shows it again"
    # The reproducer has the graph in front of the pass, and a command that blames it again.
    folder = Path("irc-reproducer")
    command = shlex.split((folder / "command.txt").read_text())
    assert command[:4] == ["irc", "debug", "bisect", "before.irc"]
    assert (folder / "error.txt").read_text().startswith("the pass spoil{layer=fc1}: output0: rel is ")
    command[command.index("before.irc")] = "irc-reproducer/before.irc"
    command[command.index("inputs.npz")] = "irc-reproducer/inputs.npz"
    found = json.loads(irc(*command[1:], "--json").stdout)
    assert (found["good"], found["step"], found["layer"]) == (0, "the pass spoil{layer=fc1}", "fc1")


def test_bisect_quantization_by_a_bound(irc: Irc, model: Path, data: Path) -> None:
    out = irc("debug", "bisect", model, "--passes", "quant4", "--calib", data, "--metric", "sqnr=100").stdout
    assert "then the pass quantize{weights=4} breaks it" in out
    assert "demanded at least 100 dB" in out


def test_bisect_by_a_bound_that_is_stricter_than_floats(irc: Irc, data: Path) -> None:
    """A pass that is exact but for rounding is not blamed for it without a word."""
    Path("sums.irc").write_text(SUMS)
    Path("mine.py").write_text(REORDER)
    words = ("debug", "bisect", "sums.irc", "--calib", data, "--load", "mine.py", "--passes", "reorder")
    out = irc(*words, "--metric", "sqnr=200").stdout.splitlines()
    assert out[0] == "the check holds behind 0 passes, then the pass reorder breaks it"
    assert out[2].startswith("  this is an exact pass, and outputs change by ")
    assert out[2].endswith(
        " of the largest: floats round in another order; the check is stricter than float arithmetic"
    )
    assert 0 < json.loads(irc(*words, "--metric", "sqnr=200", "--json").stdout)["rounding"] < 1e-6
    spoiled = irc(*words[:-1], "reorder{by=1.001}", "--metric", "sqnr=200").stdout
    assert "this is an exact pass" not in spoiled


def test_bisect_finds_the_lowering(irc: Irc, model: Path, data: Path) -> None:
    words = ("debug", "bisect", model, "--load", "wrong.py", "--calib", data, "--backend", "wrong")
    out = irc(*words, "--passes", "clean").stdout.splitlines()
    assert out[0] == "the check holds behind 5 passes, then the lowering of the backend wrong breaks it"
    assert 'the first value that differs is "act" (ReLU) mlp.py:20: relu differs in ' in out[1]


def test_bisect_with_a_command(irc: Irc, model: Path, data: Path) -> None:
    """The command sees the text; 125 is for what it cannot tell."""
    Path("check.py").write_text(
        "import sys\ntext = open(sys.argv[1]).read()\nprint('there is an observe')\n"
        "sys.exit(125 if 'via quantize' in text and 'via integerize' not in text else 'via integerize' in text)\n"
    )
    check = f"{shlex.quote(sys.executable)} check.py"
    words = ("debug", "bisect", model, "--calib", data, "--check", check)
    out = irc(*words, "--passes", "calibrate,quantize,integerize").stdout
    assert (
        "holds behind 1 passes, then the pass quantize or the pass integerize{requant=fixed islands=none} breaks it"
        in out
    )
    assert "ends with 1: there is an observe" in out
    assert f"--check {shlex.quote(check)}" in Path("irc-reproducer/command.txt").read_text()


def test_bisect_a_pass_that_fails(irc: Irc, model: Path, data: Path) -> None:
    out = irc("debug", "bisect", model, "--load", "mine.py", "--calib", data, "--passes", "fold,fall,cse").stdout
    assert "holds behind 1 passes, then the pass fall breaks it" in out
    assert "RuntimeError: no way behind act" in out


def test_reduce_to_one_layer(irc: Irc, data: Path) -> None:
    write_module(two_layers("b"), Path("m.irc"))
    words = ("debug", "reduce", "m.irc", "--load", "mine.py", "--calib", data, "--passes", "fold,spoil,cse")
    out = irc(*words).stdout.splitlines()
    assert out[0].startswith("1 of 3 nodes are enough: output0: rel is ")
    assert out[1:] == ['  linear at "fc2" (Linear) mlp.py:12', "irc-reproducer/command.txt shows it again"]
    small = read_module(Path("irc-reproducer/before.irc"))
    assert [node.opname for node in small.main.nodes if node.opname != "const"] == ["linear", "return"]
    assert str(small).startswith("func @main(%value: f32[b, 16]) -> f32[b, 3] where b in [1, 64]")
    # What became an input has the values that it had.
    x, module = np.load(data)["x"], read_module(Path("m.irc"))
    (expected,) = package.interpret(module, [x])
    (given,) = package.interpret(small, [np.load("irc-reproducer/inputs.npz")["value"]])
    np.testing.assert_allclose(given, expected, rtol=1e-6)


def test_reduce_a_wrong_lowering(irc: Irc) -> None:
    Path("deep.irc").write_text(deep())
    np.savez("x.npz", x=np.linspace(-2, 2, 24, dtype=np.float32).reshape(6, 4))
    words = ("debug", "reduce", "deep.irc", "--load", "wrong.py", "--backend", "wrong", "--calib", "x.npz")
    found = json.loads(irc(*words, "--json").stdout)
    assert found["nodes"] == [{"op": "relu", "layer": "layer5"}]
    assert found["of"] == 9


def test_reduce_a_crash(irc: Irc, model: Path, data: Path) -> None:
    out = irc("debug", "reduce", model, "--load", "mine.py", "--passes", "fold,fall", "--calib", data).stdout
    assert out.splitlines()[:2] == [
        "1 of 3 nodes are enough: RuntimeError: no way behind act (mine.py:31)",
        '  relu at "act" (ReLU) mlp.py:20',
    ]


def test_nothing_to_find(irc: Irc, model: Path, data: Path) -> None:
    for verb, message in [
        ("bisect", "the check holds behind every pass"),
        ("reduce", "nothing fails on the whole model"),
    ]:
        done = irc("debug", verb, model, "--passes", "clean", "--calib", data, code=2)
        assert message in done.stderr
    failing = f"{shlex.quote(sys.executable)} -c 'raise SystemExit(3)'"
    done = irc("debug", "bisect", model, "--passes", "clean", "--calib", data, "--check", failing, code=2)
    assert "the check does not hold in front of all passes: " in done.stderr
    assert "ends with 3" in done.stderr


def test_mistakes(irc: Irc, model: Path, data: Path) -> None:
    for arguments, message, code in [
        (("--metric", "sqnr"), "--metric needs a bound here", 2),
        (("--metric", "sqnr=3", "--check", "true"), "--check and --metric are two checks", 2),
        (("--check", " "), "--check is empty", 2),
        (("--check", "no-such-program"), "no-such-program cannot be started: ", 5),
    ]:
        done = irc("debug", "bisect", model, "--calib", data, *arguments, code=code)
        assert message in done.stderr


@pytest.mark.parametrize("wanted", [{3}, {0, 7}, {2, 3, 11}, {0, 1, 2, 3, 4}])
def test_smallest(wanted: set[int]) -> None:
    asked: list[int] = []

    def fails(items: list[int]) -> bool:
        asked.append(len(items))
        return wanted <= set(items)

    assert set(smallest(range(12), fails)) == wanted


def test_from_python(data: Path) -> None:
    module = two_layers("b")
    samples = {"x": np.load(data)["x"]}
    found = package.bisect(module, "quant4", calib=samples, bounds={"sqnr": 100})
    assert found.step == "the pass quantize{weights=4}"
    small = package.reduce(module, "quant4", calib=samples, bounds={"sqnr": 100})
    assert len(small.nodes) == 1
