"""Times of several contenders on a machine that others disturb.

They run in turn in slices of a few milliseconds. A loop that touches no memory runs before and behind each slice; the
slice counts only if both times it was nearly as fast as it ever was, which throws out stolen time and throttling.
Who shares the core all the time escapes that, and shows in the share of it that this process had.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from irc.passes.base import Progress

SLICE = 0.004  # seconds
NEARLY = 0.93  # of the best speed of the loop
TRIES = 8  # slices for each that is wanted
FEWEST = 5  # slices that a median can be taken of


@dataclass(frozen=True)
class Times:
    """Seconds a run of the slices that counted; `calm` is False if there were too few, and all were taken."""

    seconds: tuple[float, ...]
    calm: bool

    @property
    def median(self) -> float:
        return float(np.median(self.seconds))

    def percentile(self, share: float) -> float:
        return float(np.percentile(self.seconds, share))


@dataclass(frozen=True)
class Measured:
    """Times by contender, the best speed of the loop, and for what share of the time this process had a core."""

    times: Mapping[str, Times]
    peak: float
    share: float


def interleaved(
    contenders: Mapping[str, Callable[[], object]], peak: Callable[[], float], slices: int, progress: Progress
) -> Measured:
    """Time contenders until each has so many slices that count, or too many did not. `peak` is the loop's speed."""
    rounds = {name: _rounds(run) for name, run in contenders.items()}
    best = max(peak() for _ in range(10))
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    began, computed = time.perf_counter(), time.process_time()
    with progress("timing", slices) as tick:
        for attempt in range(slices * TRIES):
            for name, run in contenders.items():
                before = peak()
                seconds = _slice(run, rounds[name])
                slower = min(before, peak())
                best = max(best, before)
                taken[name].append((seconds, slower))
            if attempt < slices:
                tick()
            if all(_kept(found, best) >= slices for found in taken.values()):
                break
    share = (time.process_time() - computed) / max(time.perf_counter() - began, 1e-9)
    return Measured({name: _times(found, best) for name, found in taken.items()}, best, min(1.0, share))


def _rounds(run: Callable[[], object]) -> int:
    """Runs that fill a slice."""
    run()
    once = min(_slice(run, 1) for _ in range(3))
    return max(1, round(SLICE / max(once, 1e-9)))


def _slice(run: Callable[[], object], rounds: int) -> float:
    """Seconds a run."""
    started = time.perf_counter()
    for _ in range(rounds):
        run()
    return (time.perf_counter() - started) / rounds


def _kept(found: list[tuple[float, float]], best: float) -> int:
    return sum(speed >= NEARLY * best for _, speed in found)


def _times(found: list[tuple[float, float]], best: float) -> Times:
    kept = tuple(seconds for seconds, speed in found if speed >= NEARLY * best)
    return Times(kept, True) if len(kept) >= FEWEST else Times(tuple(seconds for seconds, _ in found), False)
