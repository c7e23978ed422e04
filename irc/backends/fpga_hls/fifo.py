"""FIFO depths that rule out deadlock and stalls where paths part and join again.

Time is counted in samples. If everything ran evenly, part f of every stream would come at time f. A stream really comes
within f + early .. f + late: each stage adds what it waits for (lines of an image, a row, a whole operand), its
pipeline, and by how much it reads or writes unevenly. A stage that joins paths begins when the last of them allows it;
every other one needs a FIFO for what has come until then. With these depths the schedule in which everything happens at
its time is possible, and a network of blocking FIFOs that has a possible schedule never deadlocks.

Only what happens between the point where paths part and the point where they join matters: times are counted from the
last stage that all paths to the join pass through.

A count comes before the data that it counts, and is read with the first of it. Its FIFOs hold one a sample, so with as
many as SMALLEST samples behind a selector nothing waits for one. Sizes that a count decides enter as what they are at
most: of a smaller sample less is held anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from irc.backends.fpga_hls.resources import cycles, latency, pace
from irc.backends.fpga_hls.stage import Design, Pace, Stage, Stream

SMALLEST = 16
"""Depth where only one path leads: a shift register, which lets neighbours run out of step for a moment."""


@dataclass(frozen=True)
class Arrival:
    """When a stream comes, against even progress; its last element not behind `end`, which may be far before `late`."""

    early: float
    late: float
    end: float


Arrivals = dict[Stream, Arrival]


def size_fifos(design: Design) -> None:
    """Set the depth of every stream of a folded design."""
    for stream in design.streams:
        stream.depth = SMALLEST
    sample = pace(design)
    inputs = [port.stream for port in design.inputs]
    gates = _last_gates(inputs, design.stages)
    for place, stage in enumerate(design.stages):
        gate = gates[place]
        if gate is None:
            continue
        arrivals = _outputs(design.stages[gate], _NOW, 0.0) if gate >= 0 else dict.fromkeys(inputs, _NOW)
        for between in design.stages[gate + 1 : place]:
            arrivals |= _pass(between, arrivals, sample)
        _size_inputs(stage, arrivals, sample)


def delay(design: Design) -> int:
    """Cycles from the first element of a sample to its last result, if no sample is in the way."""
    sample = pace(design)
    arrivals = dict.fromkeys((port.stream for port in design.inputs), _NOW)
    for stage in design.stages:
        arrivals |= _pass(stage, arrivals, sample)
    last = max((arrivals[p.stream].late for p in design.outputs if p.stream in arrivals), default=0.0)
    return math.ceil((1 + last) * sample)


_NOW = Arrival(0.0, 0.0, 0.0)
_ENTRY = -1  # stands for the inputs of the accelerator in the place of a stage


def _last_gates(inputs: Sequence[Stream], stages: Sequence[Stage]) -> list[int | None]:
    """For each stage that joins paths, the last earlier stage that all of them pass through; None for the others.

    The immediate dominators of the graph without what only ROMs feed (Cooper, Harvey and Kennedy, 2001).
    """
    producer = dict.fromkeys(inputs, _ENTRY)
    above: list[int] = []  # immediate dominator of each stage

    def meet(a: int, b: int) -> int:
        while a != b:
            a, b = (above[a], b) if a > b else (a, above[b])
        return a

    gates: list[int | None] = []
    for place, stage in enumerate(stages):
        sources = [producer[s] for s in stage.inputs if s in producer and s.carries is None]
        gate = sources[0] if sources else _ENTRY
        for other in sources[1:]:
            gate = meet(gate, other)
        above.append(gate)
        gates.append(gate if len(sources) > 1 else None)
        if sources:
            producer |= dict.fromkeys(stage.outputs, place)
    return gates


def _timed(stage: Stage, arrivals: Arrivals, sample: int) -> list[tuple[Stream, Arrival, Pace]]:
    """The inputs of a stage that come at some time; streams from ROMs come whenever they are wanted.

    What has to be there as a whole is as late as its end, from which on it is read as fast as it can be.
    """
    found: list[tuple[Stream, Arrival, Pace]] = []
    for i, stream in enumerate(stage.inputs):
        if stream in arrivals and stream.carries is None:
            arrival, take = arrivals[stream], stage.takes.get(i, Pace())
            if take.whole:
                arrival = replace(arrival, late=min(arrival.late, arrival.end + stream.count / sample))
            found.append((stream, arrival, take))
    return found


def _start(timed: Sequence[tuple[Stream, Arrival, Pace]]) -> float:
    """When a stage can begin so that it never waits: its results are counted from there."""
    return max(arrival.late - take.first for _, arrival, take in timed)


def _pass(stage: Stage, arrivals: Arrivals, sample: int) -> Arrivals:
    """When the outputs of a stage come. Behind a join they come evenly, since its FIFOs hold what is uneven.

    The only input of a stage is read as it comes, so it is through a time of its own behind the end of that.
    """
    timed = _timed(stage, arrivals, sample)
    if not timed:
        return {}
    start, pipeline = _start(timed), latency(stage) / sample
    if len(timed) > 1:
        return _outputs(stage, Arrival(start, start, start), pipeline)
    ((_, arrival, take),) = timed
    end = min(start, arrival.end + cycles(stage) / sample)
    waited = take.last if arrival.end == arrival.late else 0.0  # what comes in one go is waited for no sample
    return _outputs(stage, Arrival(arrival.early - waited, start, end), pipeline)


def _outputs(stage: Stage, progress: Arrival, pipeline: float) -> Arrivals:
    found: Arrivals = {}
    for i, stream in enumerate(stage.outputs):
        give = stage.gives.get(i, Pace())
        late = progress.late + give.last + pipeline
        end = progress.end + pipeline if give.end is None else progress.late + give.end + pipeline
        found[stream] = Arrival(progress.early + give.first, late, min(late, end))
    return found


def _size_inputs(stage: Stage, arrivals: Arrivals, sample: int) -> None:
    """Depths of the inputs of a join: what has come until it is read, and what the other paths may stall."""
    timed = _timed(stage, arrivals, sample)
    start = _start(timed)
    uneven = max(arrival.late - arrival.early for _, arrival, _ in timed)
    for stream, arrival, take in timed:
        held = start + take.last - arrival.early + uneven
        stream.depth = SMALLEST + math.ceil(max(0.0, held) * stream.count)
