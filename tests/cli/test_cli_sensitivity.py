"""`irc analyze sensitivity`: which layer loses what, and a pipeline that repairs it."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from conftest import Irc
from small_model import two_layers

import irc as package
from irc.backends.data import read_data
from irc.ir.files import read_module, write_module
from irc.ir.graph import Module
from irc.passes.pipeline import with_words

FC1 = '"fc1" (Linear) mlp.py:11'
FOUR = "quant4{ends=4},fuse"


@pytest.fixture
def spiky(tmp_path: Path) -> Path:
    """The small model, one weight of whose first layer is far larger than the rest of its row."""
    module = two_layers("b")
    const = next(n for n in module.walk() if n.opname == "linear").operands[1].node
    array = const.value.array.copy()
    array[:, 0] *= 40
    const.value = package.Data.of(array)
    path = tmp_path / "spiky.irc"
    write_module(module, path)
    return path


def quality(module: Module, float_graph: Module, data: Path) -> float:
    """Signal to noise of the whole graph."""
    x = np.load(data)["x"]
    (a,), (b,) = package.interpret(module, [x]), package.interpret(float_graph, [x])
    return float(10 * np.log10(np.sum(b**2) / np.sum((a - b) ** 2)))


def test_the_advice_repairs(irc: Irc, spiky: Path, data: Path) -> None:
    """The printed option goes to `compile` as it is, and gives what is promised."""
    out = irc("analyze", "sensitivity", spiky, "--passes", FOUR, "--calib", data, "--bits", "8,4").stdout
    lines = out.splitlines()
    assert lines[0] == "spiky, 10 samples, one layer at a time:"
    assert lines[1].split() == ["layer", "line", "what", "bits", "sqnr", "dB", "cos", "top-1", "lost", "bytes", "saved"]
    weights = next(line for line in lines if line.split()[2:4] == ["weights", "4"])  # the worst of 4-bit weights
    assert weights.split()[:2] == ["fc1", "mlp.py:11"]
    assert weights.split()[-1] == str(16 * 8 * 28 // 8)
    assert lines[-4].startswith("quant4{ends=4},fuse: sqnr ")
    assert lines[-3].startswith("8 bits for 1 layer with ")
    words = shlex.split(lines[-2])
    assert words == ["--passes", "quant4{ends=4 layers=fc1:w8},fuse"]
    promised = re.search(r"gives sqnr ([\d.]+) dB, top-1 lost .* %, (\d+) bytes of constants", lines[-1])
    assert promised is not None
    irc("compile", spiky, *words, "--calib", data, "-o", "fixed")
    irc("compile", spiky, "--passes", FOUR, "--calib", data, "-o", "broken")
    fixed, broken = (package.load(name) for name in ("fixed", "broken"))
    assert quality(fixed.module, fixed.captured, data) == pytest.approx(float(promised[1]), abs=0.06)
    assert quality(fixed.module, fixed.captured, data) > quality(broken.module, broken.captured, data) + 3


def test_losses_are_those_of_one_layer(irc: Irc, model: Path, data: Path) -> None:
    """A row is what `quantize` gives that quantizes this layer alone."""
    found = json.loads(
        irc("analyze", "sensitivity", model, "--passes", "quant4", "--calib", data, "--json", "--bits", "3").stdout
    )
    assert (found["schema"], found["model"], found["samples"], found["labelled"]) == (1, "mlp", 10, True)
    rows = {(row["place"], row["what"], row["bits"]): row for row in found["layers"]}
    assert {bits for _, _, bits in rows} == {3, 8}
    float_graph = read_module(model)
    only = float_graph.apply(
        "clean,quantize{weights=3 ends=8 activations=none layers=fc1:w3,fc2:w8}", calib={"x": np.load(data)["x"]}
    )
    assert quality(only, float_graph, data) == pytest.approx(rows[FC1, "weights", 3]["sqnr"], abs=0.5)
    ranked = [row["sqnr"] for row in found["layers"]]
    assert ranked == sorted(ranked)
    assert found["passes"] is None  # both are ends, which have 8 bits
    assert rows['"fc2" (Linear) mlp.py:12', "inputs", 3]["bytes saved"] == 0


def test_without_labels(irc: Irc, model: Path, data: Path) -> None:
    x = np.load(data)["x"]
    np.savez("plain.npz", x=x)
    out = irc("analyze", "sensitivity", model, "--calib", "plain.npz", "--data", "plain.npz", "--top", 1).stdout
    assert "classes changed" in out
    assert re.search(r"\.\.\. \d+ more \(--top\)", out)
    assert out.rstrip().endswith("more bits for single layers do not help")


def test_weights_only(irc: Irc, data: Path) -> None:
    write_module(two_layers("b"), Path("m.irc"))
    out = irc(
        *("analyze", "sensitivity", "m.irc", "--passes", "clean,quantize{weights=4 ends=4 activations=none}"),
        *("--calib", data),
    ).stdout
    assert "inputs" not in out
    assert "layers=fc" in out


def test_mistakes(irc: Irc, model: Path, data: Path) -> None:
    done = irc("analyze", "sensitivity", model, "--passes", "clean", "--calib", data, code=2)
    assert "the pipeline does not run 'quantize'" in done.stderr
    assert (
        "'9,4' is not a list of numbers from 2 to 8"
        in irc("analyze", "sensitivity", model, "--bits", "9,4", code=2).stderr
    )
    assert (
        "--data=no.npz: there is no such file"
        in irc("analyze", "sensitivity", model, "--calib", data, "--data", "no.npz", code=2).stderr
    )


def test_from_python(data: Path) -> None:
    module = two_layers("b")
    samples = read_data(data, module.main, "--data").samples
    found = package.sensitivity(module, samples, passes=FOUR, calib=samples, widths=[4], limit=5)
    assert found.samples == 5
    assert {loss.part for loss in found.losses} == {"weights", "inputs"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("quantize", "quantize{layers=a:w8}"),
        ("clean,quant4,fuse", "clean,quant4{layers=a:w8},fuse"),
        (" quant4{layers=b:w3 residual=8}", "quant4{layers=b:w3,a:w8 residual=8}"),
    ],
)
def test_words_are_added_to_an_option(text: str, expected: str) -> None:
    assert with_words(text, "quantize", "layers", ["a:w8"]) == expected


def test_words_of_a_pass_that_does_not_run() -> None:
    with pytest.raises(package.IrcError, match="the pipeline does not run 'fold'"):
        with_words("cse,dce", "fold", "x", ["y"])


PICKS = """func @main(%x: f32[2, 8]) -> (f32[2, 2], i64[2, 2]) {
  %w = const [[1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 1, 0, 0, 0, 1, 3], [3, 1, 0, 0, 0, 0, 0, 3]] : f32[3, 8]
  %y = linear %x, %w : f32[2, 3]  at "fc" (Linear) net.py:1
  %p = topk %y : i64[2, 2]
  %o = const [[0], [3]] : i64[2, 1]
  %q = add %p, %o : i64[2, 2]
  %f = reshape %y : f32[6]
  %v = gather %f, %q : f32[2, 2]
  return %v, %p
}
"""


def test_what_is_picked_is_judged_by_what_it_is(irc: Irc, data: Path) -> None:
    """Classes by the share that is equal, scores in decibels, and no top-1 of scores in the order of a ranking."""
    Path("picks.irc").write_text(PICKS)
    out = irc("analyze", "sensitivity", "picks.irc", "--passes", "quant4", "--calib", data, "--bits", "2").stdout
    assert "(sqnr and cos of output0; equal of output1)" in out
    assert out.splitlines()[2].split() == [
        "layer",
        "line",
        "what",
        "bits",
        "sqnr",
        "dB",
        "cos",
        "equal",
        "bytes",
        "saved",
    ]
    assert re.search(r"\nquant4: output0 sqnr \d+\.\d dB, output1 \d+\.\d\d % equal, \d+ bytes", out)
    assert "no top-1: output0 does not score classes" in out
    found = json.loads(
        irc(
            "analyze", "sensitivity", "picks.irc", "--passes", "quant4", "--calib", data, "--json", "--bits", "2"
        ).stdout
    )
    assert found["before"]["outputs"][1] == {"equal": found["before"]["equal"]}
    assert found["before"]["top1"] is None
    irc("compile", "picks.irc", "--passes", "quant4", "--calib", data, "-o", "picks")
    said = irc("verify", "picks", "--data", data).stdout
    assert "no top-1: output0 does not score classes" in said
    assert re.search(r"output1 against the float graph: \d+ of 20 integers equal", said)
    said = irc("compare", "picks.irc", "picks", "--data", data, "--metric", "equal", "--metric", "cos=-1").stdout
    assert "no top-1" in said
    assert re.search(r"output1 +[01][.\d]* ", said)


def test_labels_that_are_no_classes(irc: Irc, model: Path) -> None:
    np.savez("odd.npz", x=np.ones((4, 8), np.float32), labels=[0, 1, 2, 17])
    done = irc("analyze", "sensitivity", model, "--calib", "odd.npz", code=2)
    assert "labels: 17 is none of the 3 classes that output0 scores" in done.stderr
