"""`irc export params`: who reads only the files gets the same bits, in NumPy and in C."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import Irc
from small_model import two_layers

import irc as library
from irc.ir.files import write_module
from irc.tools.params.formulas import FORMULAS, NOTATION

# Knows NumPy, the two files, and what the JSON file says about arithmetic; nothing of irc.
READER = """
import json, sys
import numpy as np
about = json.load(open(sys.argv[1] + "/params.json"))
arrays = np.load(sys.argv[1] + "/params.npz")
RANGE = {"i8": (-128, 127), "u8": (0, 255), "i16": (-2**15, 2**15 - 1), "i32": (-2**31, 2**31 - 1)}
def of(name):
    return arrays[name if name in about["constants"] else "golden/" + name]
checked = 0
for op in about["ops"]:
    (result,) = op["results"]
    a = op["attributes"]
    o = {k: of(v) for k, v in op["operands"].items() if v is not None}
    if op["op"] == "linear":
        w = o["w"].astype(np.int64) - np.asarray(a["w_zp"]).reshape(-1, 1)
        y = (o["x"].astype(np.int64) - a["x_zp"]) @ w.T + o.get("b", 0)
    elif op["arithmetic"] == "requantize fixed":
        m, shift = np.asarray(op["scale"]["multiplier"]), op["scale"]["shift"]
        y = (((o["x"].astype(np.int64) - a["x_zp"]) * m + (1 << (shift - 1))) >> shift) + a["zp"]
    elif op["arithmetic"] == "requantize float":
        m = np.asarray(op["scale"]["float"], np.float32)
        y = np.rint((o["x"].astype(np.int64) - a["x_zp"]).astype(np.float32) * m).astype(np.int64) + a["zp"]
    else:
        continue
    y = np.clip(y, *RANGE[about["values"][result]["type"]])
    assert (y == of(result)).all(), op
    checked += 1
print(checked)
"""
# One layer: linear, then requantize, from the headers alone.
PROGRAM = """
#include <stdio.h>
#include "params.h"
#include "golden.h"
int main(void) {
  int n, k;
  for (n = 0; n < @ROWS@; n++) {
    int32_t acc = @B@[n];
    for (k = 0; k < @COLUMNS@; k++) acc += (@X@[k] - @LINEAR@_X_ZP) * @W@[n * @COLUMNS@ + k];
    if (acc != @SUMS@[n]) return 1;
    int64_t v = (((int64_t)acc - @Q@_X_ZP) * @M@[n] + ((int64_t)1 << (@Q@_SHIFT - 1))) >> @Q@_SHIFT;
    v += @Q@_ZP;
    v = v < @LO@ ? @LO@ : v > @HI@ ? @HI@ : v;
    if (v != @CODES@[n]) return 2;
  }
  puts("same");
  return 0;
}
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write_module(two_layers("b"), tmp_path / "small.irc")
    return tmp_path / "small.irc"


@pytest.fixture
def calib(tmp_path: Path) -> Path:
    np.savez(tmp_path / "calib.npz", x=np.random.default_rng(2).normal(size=(16, 8)).astype(np.float32))
    return tmp_path / "calib.npz"


@pytest.mark.parametrize(("backend", "mode"), [("hls", "fixed"), ("cpu", "float")])
def test_numpy_alone_gives_the_same_bits(irc: Irc, model: Path, calib: Path, tmp_path: Path, backend: str, mode: str):
    options = {"passes": "quant8,fuse", "backend": backend, "calib": str(calib)}
    artifact = library.compile(str(model), out=tmp_path / "small.art", **options).path
    irc("export", "params", artifact, "-o", tmp_path / "p")
    (tmp_path / "read.py").write_text(READER)
    said = subprocess.run([sys.executable, "-I", tmp_path / "read.py", tmp_path / "p"], capture_output=True, text=True)
    assert said.stderr == ""
    assert int(said.stdout) >= 3
    about = json.loads((tmp_path / "p" / "params.json").read_text())
    assert {op["scale"]["exact"] for op in about["ops"] if op["op"] == "requantize"} == {mode}
    assert f"requantize {mode}" in about["arithmetic"]


MOVED = """func @main(%x: i8<0.5>[2, 3]) -> f32[3, 1] {
  %s = const 0.5 : f32[]
  %t = permute %x {order = [1, 0]} : i8<0.5>[3, 2]
  %a = amax %t {axes = [1], keepdims = true} : i8<0.5>[3, 1]
  %y = dequantize %a, %s : f32[3, 1]
  return %y
}
"""


def test_every_op_has_its_arithmetic(irc: Irc, tmp_path: Path):
    (tmp_path / "moved.irc").write_text(MOVED)
    said = irc("export", "params{files=npz,json}", tmp_path / "moved.irc", "-o", tmp_path / "p").stdout
    assert re.fullmatch(r".*p: 2 files, [\d ]+ bytes\n", said)
    about = json.loads((tmp_path / "p" / "params.json").read_text())
    assert about["arithmetic"] == {
        "amax": "The largest value over `axes`; integer codes keep their type.",
        "dequantize": "f32(x - zp) * scale, one f32 multiply",
        "permute": "Dimension `i` of the result is dimension `order[i]` of x.",
    }


def test_what_formulas_use_is_defined():
    """By the notation in the same file, or as a row quantity of the formula itself."""
    used = {function for text in FORMULAS.values() for function in re.findall(r"\b(\w+)\(", text)}
    assert {f for f in used if not re.search(rf"\b{f}\b", " ".join(NOTATION))} == {"sum", "min", "max"}
    for op, names in (("int_softmax", "top T S t r"), ("int_norm", "C c n e q p D")):
        assert all(f" {name} = " in FORMULAS[op] for name in names.split())


@pytest.mark.tool("cc")
def test_c_gives_the_same_bits(irc: Irc, model: Path, calib: Path, tmp_path: Path):
    irc("export", "params", model, "--passes", "quant8", "--calib", calib, "-o", tmp_path / "p")
    about = json.loads((tmp_path / "p" / "params.json").read_text())
    linear = next(op for op in about["ops"] if op["op"] == "linear")
    quant = next(op for op in about["ops"] if op["operands"].get("x") == linear["results"][0])
    assert quant["op"] == "requantize"
    code = about["values"][quant["results"][0]]["type"]
    rows, columns = about["constants"][linear["operands"]["w"]]["shape"]
    known = {
        "ROWS": rows,
        "COLUMNS": columns,
        "B": linear["operands"]["b"],
        "W": linear["operands"]["w"],
        "X": f"golden_{linear['operands']['x']}",
        "LINEAR": linear["results"][0].upper(),
        "SUMS": f"golden_{linear['results'][0]}",
        "Q": quant["results"][0].upper(),
        "M": quant["operands"]["m"],
        "CODES": f"golden_{quant['results'][0]}",
        "LO": {"i8": -128, "u8": 0}[code],
        "HI": {"i8": 127, "u8": 255}[code],
    }
    text = PROGRAM
    for key, value in known.items():
        text = text.replace(f"@{key}@", str(value))
    (tmp_path / "p" / "layer.c").write_text(text)
    built = subprocess.run(
        [
            "cc",
            "-std=c99",
            "-Wall",
            "-Werror",
            "-Wno-unused-const-variable",
            "-Wno-unused-variable",
            "layer.c",
            "-o",
            "layer",
        ],
        cwd=tmp_path / "p",
        capture_output=True,
        text=True,
    )
    assert built.stderr == ""
    assert subprocess.run([tmp_path / "p" / "layer"], capture_output=True, text=True).stdout == "same\n"


def test_memories_hold_the_constants(irc: Irc, model: Path, calib: Path, tmp_path: Path):
    irc("export", "params", model, "--passes", "quant4", "--calib", calib, "-o", tmp_path / "p")
    about = json.loads((tmp_path / "p" / "params.json").read_text())
    with np.load(tmp_path / "p" / "params.npz") as archive:
        arrays = dict(archive)
    for name, entry in about["constants"].items():
        flat = arrays[name].reshape(-1)
        mem = [x for x in (tmp_path / "p" / "mem" / f"{name}.mem").read_text().splitlines() if not x.startswith("//")]
        coe = (tmp_path / "p" / "coe" / f"{name}.coe").read_text()
        assert coe.split("vector=\n")[1].rstrip().rstrip(";").split(",\n") == mem
        bits = int(entry["type"][1:])
        if entry["type"].startswith("f"):
            values = np.array([int(x, 16) for x in mem], np.uint32).view(np.float32)
        else:
            values = [
                v - (1 << bits) if entry["type"][0] == "i" and v >> (bits - 1) else v for v in (int(x, 16) for x in mem)
            ]
        np.testing.assert_array_equal(values, flat)
    text = next((tmp_path / "p" / "mem").iterdir()).read_text()
    assert "// a >> s is the arithmetic (floor) shift" in text
    assert "// linear: b[n] + sum over k" in text


def test_the_same_bytes_again(irc: Irc, model: Path, calib: Path, tmp_path: Path):
    for folder in ("a", "b"):
        irc("export", "params", model, "--passes", "quant8", "--calib", calib, "-o", tmp_path / folder)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*") if p.is_file())
    assert {p.suffix for p in files} == {".npz", ".json", ".h", ".mem", ".coe"}
    assert all((tmp_path / "a" / p).read_bytes() == (tmp_path / "b" / p).read_bytes() for p in files)


def test_from_python_and_only_some_files(model: Path, calib: Path, tmp_path: Path):
    library.export_params(
        str(model), tmp_path / "p", format="params{files=npz,json}", passes="quant8", calib=str(calib)
    )
    assert sorted(p.name for p in (tmp_path / "p").iterdir()) == ["params.json", "params.npz"]


def test_mistakes(irc: Irc, model: Path, calib: Path, tmp_path: Path):
    said = irc("export", "params", model, "-o", tmp_path / "p", "--quiet", code=1).stderr
    assert "the model has no integer parameters" in said
    assert "quantize: --passes=quant8 --calib=DATA" in said
    assert not (tmp_path / "p").exists()
    options = ("export", "params", model, "--passes", "quant8", "--calib", calib, "-o")
    irc(*options, tmp_path / "p")
    assert "exists already" in irc(*options, tmp_path / "p", code=2).stderr
    irc(*options, tmp_path / "p", "--force")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    said = irc(*options, tmp_path / "mine", "--force", code=2).stderr
    assert "is no folder of parameters, so --force does not replace it" in said
    assert (
        "params has no option 'weights'"
        in irc("export", "params{weights=1}", *options[2:], tmp_path / "q", code=2).stderr
    )
    assert irc("export", "params{files=txt}", *options[2:], tmp_path / "q", code=2).stderr.count("option 'files'") == 1
    assert "calib.npz" in irc(*options, calib / "below", code=2).stderr
