"""What the README of a project tells an engineer to do can be done, in both styles."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hls_designs import ap_types, job_of, legalised, need_compiler
from test_hls_simulation import CALLS, MODEL

from irc.backends.base import Job
from irc.backends.fpga_hls.backend import HLS, Options
from irc.backends.fpga_hls.device import Part
from irc.ir.parser import parse

STYLES = ("dataflow", "engine")


@pytest.fixture(params=STYLES)
def project(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Job[Part, Options], Path]:
    """A job, and the folder of its project."""
    given = replace(job_of(legalised(parse(MODEL)), CALLS), options=Options(style=request.param))
    HLS.emit(given, HLS.lower(given), tmp_path)
    return given, tmp_path / "src"


def make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("make") is None:
        pytest.skip("no make")
    return subprocess.run(["make", *words], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.tool("g++")
def test_make_simulates(project: tuple[Job[Part, Options], Path]):
    need_compiler()
    assert make(project[1]).stdout.endswith("PASS: 2 samples\n")


@pytest.mark.tool("g++")
def test_make_ap_simulates_or_says_what_it_needs(project: tuple[Job[Part, Options], Path]):
    need_compiler()
    missing = make(project[1], "ap")
    assert missing.returncode != 0
    assert "AP_TYPES is to be the folder of ap_int.h: make ap AP_TYPES=<folder>" in missing.stderr
    assert make(project[1], "ap", f"AP_TYPES={ap_types()[-1]}").stdout.endswith("PASS: 2 samples\n")


@pytest.mark.tool("g++")
def test_codes_go_to_the_bench_and_back(project: tuple[Job[Part, Options], Path]):
    """Floats to codes, through the simulation, to floats, as `main` has them."""
    need_compiler()
    given, folder = project
    names = [value.name for value in given.module.main.inputs]
    inputs = {name: np.concatenate([call.inputs[i] for call in given.golden]) for i, name in enumerate(names)}
    np.savez(folder / "samples.npz", **inputs)

    def run(*words: str) -> str:
        return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True).stdout

    make(folder)
    assert run(sys.executable, "codes.py", "encode", "samples.npz", "in.bin") == "in.bin: 2 samples\n"
    run("./tb", "in.bin", "out.bin", "2")
    assert run(sys.executable, "codes.py", "decode", "out.bin", "results.npz") == "results.npz: 2 samples\n"
    with np.load(folder / "results.npz") as results:
        for i, name in enumerate(results.files):
            np.testing.assert_array_equal(results[name], np.concatenate([call.outputs[i] for call in given.golden]))
    np.savez(folder / "others.npz", other=np.zeros(2))
    wrong = subprocess.run(
        [sys.executable, "codes.py", "encode", "others.npz", "in.bin"], cwd=folder, capture_output=True, text=True
    )
    assert wrong.stderr.startswith("others.npz has no x: ports of other names")
    wrong = subprocess.run([sys.executable, "codes.py"], cwd=folder, capture_output=True, text=True, check=False)
    assert "python3 codes.py encode samples.npz in.bin" in wrong.stderr


def test_files_and_reports_are_where_the_guide_says(project: tuple[Job[Part, Options], Path]):
    folder = project[1]
    guide = (folder / "README.md").read_text()
    table = guide[guide.index("## Files") :]
    named = [name for row in table.splitlines() if row.startswith("| `") for name in re.findall("`([^`]+)`", row)]
    named = [name for name in named if "/" in name or "." in name]
    assert len(named) >= 7
    assert all(list(folder.glob(name)) for name in named if name != "irc/rom.h")
    script = (folder / "run_hls.tcl").read_text()
    assert "open_project -reset accelerator_hls\n" in script
    assert "open_solution -reset solution\n" in script
    assert "irc calibrate accelerator_hls/solution/syn/report/csynth.xml" in guide
    assert max(map(len, guide.splitlines())) < 160


def test_the_example_of_a_schedule_is_one(project: tuple[Job[Part, Options], Path]):
    """Every stage or layer of it is in the table, and the line is taken back."""
    given, folder = project
    guide = (folder / "README.md").read_text()
    (line,) = [line for line in guide.splitlines() if "--schedule FILE" in line]
    lines = dict(text.split(" = ") for text in re.findall("`([^`]+)`", line))
    assert lines
    again = HLS.lower(replace(given, schedule=lines))
    assert type(again) is type(HLS.lower(given))
    for name in lines:
        assert name == "engine size" or f"| `{name}` |" in guide
