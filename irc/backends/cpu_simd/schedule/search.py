"""Schedules that are measured to be faster than those of the rules, kernel by kernel, in the whole model.

Each trial compiles the model with another schedule of every kernel, and reads a clock between kernels. Runs of it and
of the best so far alternate; a kernel keeps what is faster by more than noise. So each is measured with the data, the
neighbours and the state of the caches that it will have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np

from irc.backends.cpu_simd.compiler import Compiled
from irc.backends.cpu_simd.isa import Isa
from irc.backends.cpu_simd.runtime import session
from irc.backends.cpu_simd.schedule.choose import AXES, Axis
from irc.backends.cpu_simd.schedule.record import Record
from irc.backends.cpu_simd.timing import Clocked, clocked
from irc.ir.graph import Graph
from irc.ir.scalars import Array
from irc.passes.base import Progress

Compile = Callable[[Mapping[str, Record]], Compiled]
"""The model with these schedules in place of the rules'."""

RUNS = 15
"""Of each of two that are compared, alternating."""

WORTH = 0.97
"""Of the time, above which a change is noise."""


def search(
    graph: Graph, isa: Isa, compile_: Compile, inputs: Sequence[Array], open_: Iterable[str], progress: Progress
) -> Found:
    """The best schedules found for the problems `open_`, on the inputs of one call; one axis after another.

    Raises ToolError if this machine cannot run the instruction set.
    """
    with ExitStack() as stack:

        def ready(records: Mapping[str, Record]) -> Trial:
            found = compile_(records)
            program = replace(found.program, timed=True)
            return Trial(found, clocked(program, stack.enter_context(session(graph, program, isa)), inputs))

        best = first = ready({})
        records = {key: best.compiled.records[key] for key in open_}
        for name, axis in AXES:
            rounds = proposals(best.compiled, records, axis, isa)
            with progress(f"timing {name}", len(rounds)) as tick:
                for trial in rounds:
                    if better := faster(best, ready({**records, **trial}), trial):
                        records |= better
                        best = ready(records)
                    tick()
        before, after = alternating(first, best)
        share = float(np.sum(np.median(after, axis=0)) / np.sum(np.median(before, axis=0)))
    return Found(records, share)


@dataclass(frozen=True)
class Found:
    """Schedules by problem, and the share of its time that a run takes with them."""

    records: dict[str, Record]
    share: float


@dataclass(frozen=True)
class Trial:
    """A compiled model, loaded; `run` gives the ticks that each of its launches took."""

    compiled: Compiled
    run: Clocked

    def by_problem(self, ticks: Array) -> dict[str, float]:
        """The sums over all launches of a problem."""
        total = dict.fromkeys(self.compiled.scheduled, 0.0)
        for launch, count in zip(self.compiled.program.launches, ticks, strict=True):
            if launch.schedule:
                total[launch.schedule] += float(count)
        return total


def proposals(now: Compiled, records: Mapping[str, Record], axis: Axis, isa: Isa) -> list[dict[str, Record]]:
    """What to try along an axis: the first proposal of every problem, the second of those that have one, ..."""
    each = {
        key: [r for r in dict.fromkeys(axis(now.scheduled[key].problem, record, isa)) if r != record]
        for key, record in records.items()
    }
    longest = max(map(len, each.values()), default=0)
    return [{key: found[i] for key, found in each.items() if i < len(found)} for i in range(longest)]


def faster(best: Trial, trial: Trial, proposed: Mapping[str, Record]) -> dict[str, Record]:
    """What is proposed and takes less time than in the best so far."""
    ticks = alternating(best, trial)
    kept = dict(proposed)
    for middle in (np.median, np.min):  # a disturbance of one of the two does not look the same in both
        before, after = (
            each.by_problem(middle(found, axis=0)) for each, found in zip((best, trial), ticks, strict=True)
        )
        kept = {key: record for key, record in kept.items() if after[key] < WORTH * before[key]}
    return kept


def alternating(*trials: Trial) -> list[Array]:
    """The ticks of RUNS runs of each, by run and launch; they take turns."""
    rounds = [[each.run() for each in trials] for _ in range(RUNS)]
    return [np.array(found) for found in zip(*rounds, strict=True)]
