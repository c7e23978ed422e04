"""The C simulation: test bench, batch mode, and what is said when something is missing or wrong."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from hls_designs import job_of, legalised, need_compiler

from irc.backends.base import Job
from irc.backends.execute import traced
from irc.backends.fpga_hls.backend import HLS, Options
from irc.backends.fpga_hls.device import Part
from irc.backends.fpga_hls.toolchain import FLAGS, compile_simulation, find_compiler
from irc.ir.diagnostics import ToolError
from irc.ir.parser import parse

MODEL = """
func @main(%x: f32[1, 4]) -> f32[1, 2] {
  %r = const 2.0 : f32[]
  %w = const [[1, 2, 3, 4], [-4, 3, -2, 1]] : i8<0.5>[2, 4]
  %s = const 0.25 : f32[]
  %1 = quantize %x, %r : i8<0.5>[1, 4]
  %2 = linear %1, %w : i32<0.25>[1, 2]  at "fc" (Linear) model.py:1
  %3 = dequantize %2, %s : f32[1, 2]
  return %3
}
"""
TURNED = """
func @main(%x: f32[1, 4, 3]) -> f32[1, 3, 2] {
  %r = const 2.0 : f32[]
  %w = const [[1, 2, 3], [-4, 3, -2], [2, 0, 1]] : i8<0.5>[3, 3]
  %m = const 1073741824 : i32[]
  %v = const [[1, 2, 3, 4], [-4, 3, -2, 1]] : i8<0.5>[2, 4]
  %s = const 0.5 : f32[]
  %1 = quantize %x, %r : i8<0.5>[1, 4, 3]
  %2 = linear %1, %w : i32<0.25>[1, 4, 3]  at "fc" (Linear) model.py:1
  %3 = requantize %2, %m {shift = 32} : i8<1>[1, 4, 3]
  %4 = permute %3 {order = [0, 2, 1]} : i8<1>[1, 3, 4]
  %5 = linear %4, %v : i32<0.5>[1, 3, 2]  at "turned" (Linear) model.py:2
  %6 = dequantize %5, %s : f32[1, 3, 2]
  return %6
}
"""
CALLS = [[np.float32([[0, 1, 2, 3]])], [np.float32([[-1, 5, 0.3, 1]])]]


@pytest.fixture
def small(tmp_path: Path) -> Job[Part, Options]:
    """A project in tmp_path."""
    given = job_of(legalised(parse(MODEL)), CALLS)
    HLS.emit(given, HLS.lower(given), tmp_path)
    return given


def build(folder: Path) -> Path:
    need_compiler()
    program = folder / "tb"
    compile_simulation([folder / "src" / "accelerator.cpp", folder / "src" / "tb.cpp"], program)
    return program


def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, check=False)


@pytest.mark.tool("g++")
def test_the_test_bench_passes(small: Job[Part, Options], tmp_path: Path):
    done = run(build(tmp_path))
    assert (done.returncode, done.stdout) == (0, "PASS: 2 samples\n")


@pytest.mark.tool("g++")
def test_the_test_bench_shows_the_first_difference(small: Job[Part, Options], tmp_path: Path):
    golden = tmp_path / "src" / "golden.h"
    text = golden.read_text()
    head, tail = text.split("golden_y[2][2] = {")
    golden.write_text(f"{head}golden_y[2][2] = {{{tail.replace('40', '41', 1)}")
    done = run(build(tmp_path))
    assert done.returncode == 1
    assert done.stdout == "FAIL: sample 0, y[0] is 40, expected 41\n"


@pytest.mark.tool("g++")
def test_a_stream_that_is_brought_in_order_is_the_value_behind_the_permute(tmp_path: Path):
    need_compiler()
    module = legalised(parse(TURNED))
    call = [np.arange(12, dtype=np.float32).reshape(1, 4, 3) - 5]
    given = job_of(module, [call])
    HLS.emit(given, HLS.lower(given), tmp_path)
    expected = dict(traced(module, call))
    assert HLS.trace is not None
    shown = list(HLS.trace(given, tmp_path, call))
    assert "permute" in {value.node.opname for value, _ in shown if value.node is not None}
    for value, array in shown:
        np.testing.assert_array_equal(array, expected[value], err_msg=str(value.node))


@pytest.mark.tool("g++")
def test_batch_mode(small: Job[Part, Options], tmp_path: Path):
    program = build(tmp_path)
    codes = np.array([[0, 2, 4, 6], [-2, 10, 1, 2]], np.int8)
    codes.tofile(tmp_path / "in.bin")
    assert run(program, tmp_path / "in.bin", tmp_path / "out.bin", "2").returncode == 0
    weights = np.array([[1, 2, 3, 4], [-4, 3, -2, 1]])
    np.testing.assert_array_equal(np.fromfile(tmp_path / "out.bin", "<i4").reshape(2, 2), codes @ weights.T)

    short = run(program, tmp_path / "in.bin", tmp_path / "out.bin", "3")
    assert (short.returncode, "ends in sample 2" in short.stderr) == (1, True)
    missing = run(program, tmp_path / "none.bin", tmp_path / "out.bin", "1")
    assert (missing.returncode, "cannot open" in missing.stderr) == (1, True)
    assert run(program, "one").returncode == 2


@pytest.mark.tool("g++")
def test_main_runs_with_its_boundary(small: Job[Part, Options], tmp_path: Path):
    need_compiler()
    with HLS.start(small, tmp_path) as runner:
        results = runner(CALLS)
        assert runner([]) == []
    for result, golden in zip(results, small.golden, strict=True):
        np.testing.assert_array_equal(result[0], golden.outputs[0])


def test_no_compiler(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(ToolError, match="a C\\+\\+ compiler is needed") as caught:
        find_compiler()
    assert "install g++, or set CXX" in str(caught.value)
    assert caught.value.exit_code == 5
    monkeypatch.setenv("CXX", "nowhere-g++")
    monkeypatch.setenv("PATH", "/usr/bin")
    with pytest.raises(ToolError, match=r"the C\+\+ compiler 'nowhere-g\+\+' of the variable CXX is not there"):
        find_compiler()


@pytest.mark.tool("g++")
def test_what_the_compiler_says_is_shown(small: Job[Part, Options], tmp_path: Path):
    need_compiler()
    (tmp_path / "src" / "accelerator.cpp").write_text("this is no C++\n")
    with pytest.raises(ToolError, match="the C simulation does not compile") as caught, HLS.start(small, tmp_path):
        pass
    assert "accelerator.cpp:1:1: error:" in str(caught.value)


@pytest.mark.tool("g++")
def test_a_simulation_that_stops_early(small: Job[Part, Options], tmp_path: Path):
    """A design that leaves elements in a stream is stopped with its name."""
    need_compiler()
    source = tmp_path / "src" / "accelerator.cpp"
    source.write_text(source.read_text().replace("irc::save<2>", "irc::save<1>"))
    with (
        pytest.raises(ToolError, match="the C simulation failed") as caught,
        HLS.start(small, tmp_path) as runner,
    ):
        runner(CALLS)
    assert "fc_out" in str(caught.value)


def test_flags_do_not_fuse_products():
    assert "-ffp-contract=off" in FLAGS
