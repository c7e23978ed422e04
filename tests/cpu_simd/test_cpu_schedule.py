"""Schedules: their text, what they change and what they do not, the search, what is remembered, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irc.backends.base import Golden, Job
from irc.backends.cpu_simd.backend import CPU, Options, lower, tune
from irc.backends.cpu_simd.compiler import Compiled, compile_graph
from irc.backends.cpu_simd.isa import ISAS, host
from irc.backends.cpu_simd.runtime import session
from irc.backends.cpu_simd.schedule import search as searching
from irc.backends.cpu_simd.schedule.cache import place, remember, remembered
from irc.backends.cpu_simd.schedule.choose import AXES, unrolls
from irc.backends.cpu_simd.schedule.record import Direct, Record, Winograd, read_records, text_of
from irc.backends.cpu_simd.schedule.search import proposals, search
from irc.ir.builder import Builder
from irc.ir.diagnostics import UsageError
from irc.ir.graph import Graph, Module
from irc.ir.ops.linear import Conv, Linear
from irc.ir.ops.structure import Return
from irc.ir.scalars import F32, Array
from irc.ir.types import tensor
from irc.passes.base import no_progress

RNG = np.random.default_rng(0)
AVX2 = ISAS["x86-64-v3"]
LINEAR = "linear 13x70x40 fma"
CONV = "conv 1x24x12x12 24x16x3x3 fma"


def layers() -> Module:
    """A linear op and a 3x3 convolution."""
    graph = Graph(name="main")
    b = Builder.at_end(graph)
    x = graph.add_input(tensor(F32, (13, 40)), "x")
    image = graph.add_input(tensor(F32, (1, 16, 12, 12)), "image")
    w, taps = (b.const(RNG.standard_normal(shape).astype(np.float32), F32) for shape in ((70, 40), (24, 16, 3, 3)))
    window = {"stride": (1, 1), "padding": (1, 1, 1, 1), "dilation": (1, 1)}
    b.add(Return((b(Linear(x, w)), b(Conv(image, taps, **window)))))
    return Module([graph])


MODULE = layers()
INPUTS = [RNG.standard_normal((13, 40)).astype(np.float32), RNG.standard_normal((1, 16, 12, 12)).astype(np.float32)]


def outputs(schedules: Mapping[str, Record]) -> list[Array]:
    found = compile_graph(MODULE.main, host(), schedules=schedules)
    with session(MODULE.main, found.program, host()) as run:
        return run(INPUTS)


directs = st.builds(Direct, st.integers(1, 9), st.integers(1, 4), st.integers(1, 5), st.booleans())
winograds = st.builds(
    Winograd, st.sampled_from([2, 4]), st.integers(1, 9), st.integers(1, 6), st.integers(1, 3), st.integers(1, 3)
)


@given(st.dictionaries(st.sampled_from([LINEAR, CONV]), directs | winograds))
def test_records_read_back(records: dict[str, Record]):
    assert read_records(text_of(records)) == records


def test_every_problem_has_a_schedule_by_rule():
    assert compile_graph(MODULE.main, AVX2).records == {
        LINEAR: Direct(4, 3, 2),
        CONV: Winograd(4, 9, 4, 3, 2),
    }


@settings(max_examples=5)
@given(directs, directs)
def test_another_tile_gives_the_same_bits(linear: Direct, conv: Direct):
    plain = Direct(1, 1, 1)
    for given_, wanted in zip(
        outputs({LINEAR: linear, CONV: conv}), outputs({LINEAR: plain, CONV: plain}), strict=True
    ):
        np.testing.assert_array_equal(given_, wanted)


@settings(max_examples=5)
@given(winograds)
def test_minimal_filtering_as_it_is_told(record: Winograd):
    expected = outputs({CONV: Direct(4, 2, 2)})[1]
    assert np.abs(outputs({CONV: record})[1] - expected).max() < 1e-5 * np.abs(expected).max()


def test_proposals_differ_from_what_there_is_and_can_be_compiled():
    now = compile_graph(MODULE.main, AVX2)
    for _, axis in AXES:
        for trial in proposals(now, now.records, axis, AVX2):
            assert all(trial[key] != now.records[key] for key in trial)
            assert {**now.records, **trial} == compile_graph(MODULE.main, AVX2, schedules=trial).records


def test_the_search_keeps_what_is_faster(monkeypatch: pytest.MonkeyPatch):
    """By a clock that likes tiles of two rows, one group a round, and no prefetching."""

    def ticks(found: Compiled) -> Array:
        cost = {key: abs(r.rows - 2) + r.unroll + 10 * isinstance(r, Winograd) for key, r in found.records.items()}
        ahead = {key: getattr(r, "ahead", False) for key, r in found.records.items()}
        return np.array(
            [1.0 + cost[s] + ahead[s] if (s := launch.schedule) else 5.0 for launch in found.program.launches]
        )

    compiled: list[Compiled] = []

    def with_(records: Mapping[str, Record]) -> Compiled:
        compiled.append(compile_graph(MODULE.main, host(), schedules=records))
        return compiled[-1]

    def clocked(*given_: object) -> object:
        mine = compiled[-1]
        return lambda: ticks(mine)

    monkeypatch.setattr(searching, "clocked", clocked)
    found = search(MODULE.main, host(), with_, INPUTS, [LINEAR], no_progress)
    assert found.records == {LINEAR: Direct(2, found.records[LINEAR].vectors, 1, False)}
    assert 0 < found.share < 1
    assert compiled[-1].records[CONV] == compiled[0].records[CONV]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def job() -> Job[object, Options]:
    return Job(MODULE, host(), Options(), golden=[Golden(INPUTS, [])])


def test_tuning_measures_once_and_remembers(cache: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(searching, "RUNS", 1)
    monkeypatch.setattr(searching, "AXES", [("unrolling", unrolls)])
    found = tune(job(), lower(job())).schedule
    assert set(found) == {LINEAR, CONV}
    assert text_of(remembered(host())) == found
    monkeypatch.setattr(searching, "AXES", None)  # a second search would fail
    assert tune(job(), lower(job())).schedule == found
    assert lower(replace(job(), schedule=found)).records == read_records(found)


def test_what_the_user_lays_out_is_not_tuned(cache: Path):
    fixed = replace(job(), schedule=dict.fromkeys((LINEAR, CONV), "direct{rows=1 vectors=1 unroll=1}"))
    assert tune(fixed, lower(fixed)).schedule == {}


def test_a_damaged_memory_is_forgotten(cache: Path):
    remember(host(), {LINEAR: Direct(1, 1, 1)})
    place(host()).write_text("not a schedule")
    assert remembered(host()) == {}


def refusal(text: str, problem: str = LINEAR) -> str:
    with pytest.raises(UsageError) as caught:
        CPU.lower(replace(job(), schedule={problem: text}))
    return str(caught.value)


def test_refusals():
    assert "no kernel has the schedule 'linear 13x70x41 fma'" in (
        said := refusal("direct{rows=1 vectors=1 unroll=1}", "linear 13x70x41 fma")
    )
    assert f"did you mean '{LINEAR}'" in said
    assert f"{LINEAR}: there is no schedule 'tiled'" in refusal("tiled{rows=1}")
    assert "direct: rows=0, expected 1 to 32" in refusal("direct{rows=0 vectors=1 unroll=1}")
    assert "winograd: results=3, expected 2 or 4" in refusal("winograd{results=3 block=1 rows=1 vectors=1 unroll=1}")
    assert f"{LINEAR}: winograd does not apply" in refusal("winograd{results=4 block=1 rows=1 vectors=1 unroll=1}")
    assert f"{CONV}: a block of 10 of 9 tiles" in refusal(
        "winograd{results=4 block=10 rows=1 vectors=1 unroll=1}", CONV
    )
    assert "direct needs the option vectors, unroll" in refusal("direct{rows=1}")
