"""Counts that are born in the run, in accelerators: loops bounded by them, the bits of the interpreter."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
from concurrent_sources import concurrent
from hls_designs import Trial, ap_types, job_of, legalised, need_compiler, run_trials, write
from hls_examples import differing, job
from scalar_evolution import Program
from test_iterations import differing_from

from irc.backends.fpga_hls.backend import HLS
from irc.backends.fpga_hls.lint.check import lint
from irc.backends.fpga_hls.project import sources
from irc.backends.fpga_hls.stage import Design
from irc.ir.diagnostics import IrcError
from irc.ir.graph import Module, Value
from irc.ir.interpret import interpret
from irc.ir.parser import parse
from irc.ir.scalars import Array

THREE = "specialize{batch=1},token-select{kind=threshold threshold=0.01},quant8,fuse"
ONE = "specialize{batch=1},token-select{kind=threshold threshold=0.01 at=2},quant8,fuse"
libclang = pytest.mark.skipif(importlib.util.find_spec("clang") is None, reason="no libclang: the extra `lint`")

TOKENS = """
func @main(%x: i8[1, 9, 4], %s: i8[1, 9]) -> (i32[1, 1, 6], i8[1, 1, 4]) where n1 <= 9 {{
  %w = const {w} : i8[6, 4]
  %m = const [1, 2, 3, 4] : i8[4]
  %t = select %x, %s {{threshold = {threshold}}} : i8[1, n1, 4]
  %f = linear %t, %w : i32[1, n1, 6]  at "fc"
  %p = permute %t {{order = [0, 2, 1]}} : i8[1, 4, n1]
  %a = matmul %t, %p : i32[1, n1, n1]  at "qk"
  %c = clamp %a {{lo = -99.0, hi = 99.0}} : i32[1, n1, n1]
  %b = cast %c : i8[1, n1, n1]
  %v = matmul %b, %t : i32[1, n1, 4]  at "pv"
  %e = clamp %v {{lo = -90.0, hi = 90.0}} : i32[1, n1, 4]
  %g = cast %e : i8[1, n1, 4]
  %h = maximum %g, %m : i8[1, n1, 4]
  %y = slice %f {{axis = 1, start = 0, stop = 1}} : i32[1, 1, 6]
  %z = slice %h {{axis = 1, start = 0, stop = 1}} : i8[1, 1, 4]
  return %y, %z
}}
"""


def tokens(threshold: float = 3.0) -> Module:
    rng = np.random.default_rng(1)
    return legalised(parse(TOKENS.format(w=rng.integers(-99, 99, (6, 4)).tolist(), threshold=threshold)))


def samples(scores: list[int]) -> list[Array]:
    rng = np.random.default_rng(abs(sum(scores)))
    return [rng.integers(-128, 128, (1, 9, 4)).astype(np.int8), np.array([scores], np.int8)]


SCORES = [
    [-128] * 9,  # the pinned row alone
    [127] * 9,
    [0, 3, 2, 3, 2, 3, 2, 3, 2],  # the threshold itself stays
    [5, 0, 0, 0, 0, 0, 0, 0, 9],
    [0, 9, 9, 0, 0, 0, 0, 9, 9],
]


def trial(name: str = "top") -> Trial:
    return Trial.of(name, tokens(), [samples(s) for s in SCORES], np.random.default_rng(2))


@pytest.mark.tool("g++")
def test_counts_of_every_size(tmp_path: Path):
    need_compiler()
    assert run_trials([trial()], tmp_path, ["-fsanitize=address,undefined"]) == []


@pytest.mark.tool("g++")
def test_counts_with_vendor_types(tmp_path: Path):
    need_compiler()
    assert run_trials([trial()], tmp_path, [*ap_types(), "-Wno-maybe-uninitialized"]) == []


@pytest.mark.tool("g++")
@libclang
def test_bounded_fifos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    need_compiler()
    record = tmp_path / "occupancy.txt"
    monkeypatch.setenv("IRC_OCCUPANCY", str(record))
    wrong = run_trials(
        [trial()], tmp_path, ["-O0"], rewrite=lambda files, name: concurrent(files, name, tmp_path / "as_is" / name)
    )
    assert wrong == []
    rows = [line.rsplit(" ", 2) for line in record.read_text().splitlines()]
    assert rows
    assert [row for row in rows if int(row[2]) > int(row[1])] == []


@pytest.mark.slow
@pytest.mark.tool("g++")
def test_first_images(tmp_path: Path):
    need_compiler()
    given = job("digits_vit", THREE, 16)
    HLS.emit(given, HLS.lower(given), tmp_path)
    assert differing(given, tmp_path, 16) == []


@libclang
@pytest.mark.parametrize("model", ["tokens", pytest.param("digits_vit", marks=pytest.mark.slow)])
def test_the_linter_finds_nothing(tmp_path: Path, model: str):
    write(sources(trial().design if model == "tokens" else folded(THREE), "top", "m_axi"), tmp_path)
    assert lint(tmp_path / "top.cpp", tmp_path) == []


def at_most(files: dict[str, str], most: int) -> dict[str, str]:
    """The sources with every count a constant."""
    return {
        name: re.sub(r"int n;\s*irc::take_count\(count, n\);", f"const int n = {most};", t) for name, t in files.items()
    }


@pytest.mark.tool("clang")
@libclang
@pytest.mark.parametrize("model", ["tokens", pytest.param("digits_vit", marks=pytest.mark.slow)])
def test_trip_counts_at_the_bound(tmp_path: Path, model: str):
    design, most = (trial().design, 9) if model == "tokens" else (folded(ONE), 65)
    files = sources(design, "top", "m_axi")
    bound = at_most(files, most)
    assert bound != files
    write(bound, tmp_path)
    assert differing_from(design, Program(tmp_path / "top.cpp")) == []


def folded(preset: str) -> Design:
    design = HLS.lower(job("digits_vit", preset, 16))
    assert isinstance(design, Design)
    return design


# -- what cannot be built


def refusal(text: str) -> tuple[str, str]:
    with pytest.raises(IrcError) as raised:
        HLS.lower(job_of(legalised(parse(text)), style="dataflow"))
    (found,) = raised.value.diagnostics
    return found.message, found.hint


def behind(lines: str, result: str) -> str:
    return (
        f"func @main(%x: i8[1, 9, 4], %s: i8[1, 9]) -> {result} where n1 <= 9 {{\n"
        f"  %t = select %x, %s {{threshold = 3.0}} : i8[1, n1, 4]\n  {lines}\n}}"
    )


STATIC = "token-select{keep=0.7} keeps as many tokens of every sample"


def test_a_result_of_counted_size():
    message, hint = refusal(behind("%y = neg %t : i8[1, n1, 4]\n  return %y", "i8[1, n1, 4]"))
    assert (
        message == "a result is i8[1, n1, 4], whose size shows only while it runs; ports carry as much of every sample"
    )
    assert hint == STATIC


def test_loops_that_are_fixed():
    largest = '%y = amax %t {axes = [1], keepdims = false} : i8[1, 4]  at "top"\n  return %y'
    message, hint = refusal(behind(largest, "i8[1, 4]"))
    assert message == "max_pool: how many of up to 9 rows come shows only while it runs; its loops are fixed"
    assert hint == STATIC


def test_no_pinned_row():
    text = behind("%y = slice %t {axis = 1, start = 0, stop = 1} : i8[1, 1, 4]\n  return %y", "i8[1, 1, 4]")
    message, hint = refusal(text.replace("{threshold", "{pinned = 0, threshold"))
    assert message == "select: without a pinned row it may keep none; the accelerator computes on one at least"
    assert hint == "pinned = 1"


# -- what reports say


def test_reports_know_the_average(tmp_path: Path):
    module = tokens()
    given = job_of(module, [samples(s) for s in SCORES], style="dataflow")
    told = HLS.emit(given, HLS.lower(given), tmp_path)
    kept = [1, 9, 5, 2, 5]  # of SCORES
    summary = told["summary"]
    assert summary["tokens kept, average"] == f"{np.mean(kept):.1f} of 9 (golden samples: 5)"
    assert summary["latency in cycles, average"] < summary["latency in cycles"]
    (products,) = [row for row in told["layers"] if row["layer"] == "fc"]
    guide = (tmp_path / "src" / "README.md").read_text()
    assert "- `model_select`: 1 to 9\n" in guide
    assert products["cycles, average"] == round(np.mean(kept) / 9 * products["cycles"])


@pytest.mark.tool("g++")
def test_every_value_of_a_run_can_be_watched(tmp_path: Path):
    """Layer by layer, as `irc verify` compares where results differ."""
    need_compiler()
    given = job_of(tokens(), style="dataflow")
    HLS.emit(given, HLS.lower(given), tmp_path)
    seen: dict[Value, Array] = {}
    interpret(given.module, samples(SCORES[2]), observe=lambda value, array: seen.__setitem__(value, array))
    watched = list(HLS.trace(given, tmp_path, samples(SCORES[2])))
    assert {array.shape for _, array in watched} >= {(1, 5, 4), (1, 5, 6), (1, 5, 5)}
    assert [value.name for value, array in watched if not np.array_equal(array, seen[value])] == []
