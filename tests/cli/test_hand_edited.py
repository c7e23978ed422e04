"""Dumps are files like any other: a person may edit one and compile what it says."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest

BIAS = re.compile(r"= const \[(-?\d+), (-?\d+), (-?\d+)\] : i32\[3\]  at \"fc2\"")
SCALES = re.compile(r"i32<\[\S+, \S+, (\S+)\], axis=1>\[b, 3\]")
RAISED = 5000  # the bias of the last class, in steps of its sum


@pytest.mark.tool("g++")
@pytest.mark.usefixtures("unoptimized")
def test_edited_dump_compiles_and_runs(irc, model, data, tmp_path):
    if shutil.which("g++") is None:
        pytest.skip("no C++ compiler")
    irc("compile", model, "--passes", "quant8,fuse", "--calib", data, "--dump-ir", "dump", "-o", "before")
    (dump,) = (tmp_path / "dump").glob("*-integerize.irc")
    text = dump.read_text()
    first, second, third = BIAS.search(text).groups()
    edited = dump.with_name("edited.irc")
    edited.write_text(BIAS.sub(f'= const [{first}, {second}, {int(third) + RAISED}] : i32[3]  at "fc2"', text))
    irc("compile", edited, "--passes", "fuse", "--backend", "hls", "--calib", data, "-o", "after")
    assert "bit-equal to the interpreter (30 of 30" in irc("verify", "after", "--data", data).stdout
    irc("run", "before", "--data", data, "-o", "before.npz")
    irc("run", "after", "--data", data, "-o", "after.npz")
    with np.load(tmp_path / "before.npz") as before, np.load(tmp_path / "after.npz") as after:
        moved = after["output0"] - before["output0"]
    scale = float(SCALES.search(text)[1])
    np.testing.assert_allclose(moved, np.tile([0, 0, RAISED * scale], (10, 1)), atol=1e-5)
