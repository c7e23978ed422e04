"""Token selection on an engine: the bits of the interpreter, the cycles of the layers it takes, what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hls_designs import SANITIZED, ap_types, job_of, legalised, need_compiler, run_trials
from hls_engines import EngineTrial
from hls_examples import IMAGES, differing, job

from irc.backends.base import Job
from irc.backends.fpga_hls.backend import HLS, Options
from irc.backends.fpga_hls.device import Part
from irc.backends.fpga_hls.engine.cost import TILE_LATENCY
from irc.backends.fpga_hls.engine.plan import Plan
from irc.backends.fpga_hls.engine.reports import costs
from irc.ir.diagnostics import IrcError
from irc.ir.parser import parse
from irc.ir.scalars import integer

KEEP = "token-select{keep=0.7},quant8,fuse"


def engine(preset: str, calibration: int = 16) -> Job[Part, Options]:
    return replace(job("digits_vit", preset, calibration), options=Options(style="engine"))


def plan_of(given: Job[Part, Options]) -> Plan:
    plan = HLS.lower(given)
    assert isinstance(plan, Plan)
    return plan


@pytest.mark.tool("g++")
def test_first_images(tmp_path: Path):
    need_compiler()
    given = engine(KEEP)
    HLS.emit(given, HLS.lower(given), tmp_path)
    assert differing(given, tmp_path, 8) == []


@pytest.mark.slow
@pytest.mark.tool("g++")
@pytest.mark.parametrize("preset", [KEEP, "token-select{keep=0.5},quant4,fuse"])
def test_whole_test_split(tmp_path: Path, preset: str):
    need_compiler()
    given = engine(preset, 10_000)
    HLS.emit(given, HLS.lower(given), tmp_path)
    assert differing(given, tmp_path, len(IMAGES)) == []


# -- small graphs

SCORES = ("i8", "u8", "i16", "i32", "u16")


def selection(seed: int) -> EngineTrial:
    """Few different scores, so that most of them are equal to others; rows that lie evenly, and rows that do not."""
    rng = np.random.default_rng(seed)
    lead = [(1,), (3,), (2, 3)][seed % 3]
    given, width = int(rng.integers(1, 40)), int(rng.integers(1, 40))
    kept = int(rng.integers(1, given, endpoint=True))
    pinned = int(rng.integers(0, min(3, kept), endpoint=True))
    kind, scalar = SCORES[seed % len(SCORES)], ("i8", "i16")[seed % 2]
    x, y, s = (", ".join(map(str, shape)) for shape in ((*lead, given, width), (*lead, kept, width), (*lead, given)))
    turned = ", ".join(map(str, (*lead, width, given)))
    order = [*range(len(lead)), len(lead) + 1, len(lead)]
    result = f"{scalar}[{y}]"
    text = f"""
func @main(%x: {scalar}[{x}], %t: {scalar}[{turned}], %s: {kind}[{s}], %r: {result}) -> ({result}, {result}) {{
  %1 = select %x, %s {{pinned = {pinned}}} : {result}  at "first"
  %2 = maximum %1, %r : {result}  at "first"
  %3 = permute %t {{order = {order}}} : {scalar}[{x}]  at "second"
  %4 = select %3, %s {{pinned = {pinned}}} : {result}  at "second"
  return %2, %4
}}
"""
    bits, signed = int(kind[1:]), kind[0] == "i"
    code, element = integer(bits, signed=signed), integer(int(scalar[1:]), signed=True)
    calls = []
    for _ in range(3):
        levels = rng.integers(code.min, code.max, 3, endpoint=True)
        values = [
            rng.integers(element.min, element.max, n, endpoint=True)
            for n in ((*lead, given, width), (*lead, width, given), (*lead, kept, width))
        ]
        first, second, rest = (v.astype(element.dtype) for v in values)
        calls.append([first, second, rng.choice(levels, (*lead, given)).astype(code.dtype), rest])
    return EngineTrial.of(f"g{seed}", legalised(parse(text)), calls, rng)


@pytest.mark.tool("g++")
@pytest.mark.parametrize("flags", [["-O0", *SANITIZED], "vendor"], ids=["sanitized", "vendor"])
def test_small_graphs(tmp_path: Path, flags: list[str] | str):
    need_compiler()
    chosen = ["-O0", *ap_types()] if isinstance(flags, str) else flags
    trials = [selection(seed) for seed in range(3 if isinstance(flags, str) else 5)]
    assert run_trials(trials, tmp_path, chosen) == []


@pytest.mark.slow
@pytest.mark.tool("g++")
def test_many_small_graphs(tmp_path: Path):
    need_compiler()
    assert run_trials([selection(seed) for seed in range(100, 400)], tmp_path, ["-O0"]) == []


# -- cycles

ONE = """
func @main(%x: i8[1, 200, 192], %s: i32[1, 200]) -> i8[1, 140, 192] {
  %1 = select %x, %s : i8[1, 140, 192]  at "blocks.3"
  return %1
}
"""


def test_cycles_of_a_selector():
    """200 scores of 4 bytes, ranked a pack of 16 at a time; 140 rows of 192 codes are read behind their indices."""
    rank, gather = (c for layer, c in costs(plan_of(job_of(legalised(parse(ONE)), style="engine"))))
    assert rank.loops["first"] == 13 * 4
    assert rank.loops["compute"] == 200 * 13
    assert gather.loops["first"] == 140 + 140 * 12
    assert gather.busy["first"] >= gather.loops["first"] + 2 * TILE_LATENCY


# -- what is refused


def refused(text: str) -> str:
    with pytest.raises(IrcError) as raised:
        HLS.lower(job_of(legalised(parse(text)), style="engine"))
    return "\n".join(map(str, raised.value.diagnostics))


def test_a_count_of_the_run_is_refused():
    text = refused("""
func @main(%x: i8[1, 9, 4], %s: i8[1, 9]) -> i32[1, 4] where n1 <= 9 {
  %1 = select %x, %s {threshold = 3.0} : i8[1, n1, 4]  at "blocks.3"
  %2 = sum %1 {axes = [1], keepdims = false} : i32[1, 4]  at "pool"
  return %2
}
""")
    assert '"blocks.3": select: how many rows it keeps shows only in the run; the table of an engine' in text
    assert "token-select{keep=0.7} keeps as many tokens of every sample, hls{style=dataflow} counts in the run" in text


def test_long_rows_of_scores_are_refused():
    text = refused("""
func @main(%x: i8[1, 3000, 4], %s: i8[1, 3000]) -> i8[1, 9, 4] {
  %1 = select %x, %s : i8[1, 9, 4]  at "blocks.3"
  return %1
}
""")
    assert '"blocks.3": select: it ranks 3000 scores; the engine takes 2048' in text
    assert "hls{style=dataflow}" in text
