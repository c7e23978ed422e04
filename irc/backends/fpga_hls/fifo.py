"""FIFO depths that rule out deadlock and stalls where paths part and join again.

Time is counted in samples. If everything ran evenly, part f of every stream would come at time f. A stream really comes
within f + early .. f + late: each stage adds what it waits for (lines of an image, a row, a whole operand) and its
pipeline. A stage that reads several streams begins when the last of them allows it; every other one needs a FIFO for
what comes until then. With these depths the schedule in which everything comes at its time is possible, and a network of
blocking FIFOs that has a possible schedule never deadlocks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from irc.backends.fpga_hls.resources import cycles, latency
from irc.backends.fpga_hls.stage import Design, Pace, Stage, Stream

SMALLEST = 16
"""Depth where only one path leads: a shift register, which lets neighbours run out of step for a moment."""


@dataclass(frozen=True)
class Arrival:
    """When a stream comes, against even progress."""

    early: float
    late: float


def size_fifos(design: Design) -> None:
    """Set the depth of every stream of a folded design."""
    pace = max((cycles(stage) for stage in design.stages), default=1)
    arrivals = {port.stream: Arrival(0.0, 0.0) for port in design.inputs}
    for stream in design.streams:
        stream.depth = SMALLEST
    for stage in design.stages:
        _visit(stage, arrivals, latency(stage) / pace)


def _visit(stage: Stage, arrivals: dict[Stream, Arrival], pipeline: float) -> None:
    """Depths of the inputs of a stage, and arrivals of its outputs. Streams from ROMs come whenever they are wanted."""
    timed = [
        (stream, arrivals[stream], stage.takes.get(i, Pace()))
        for i, stream in enumerate(stage.inputs)
        if stream in arrivals
    ]
    if not timed:
        return
    start = max(arrival.late - take.first for _, arrival, take in timed)
    for stream, arrival, take in timed:
        if len(timed) > 1:
            throttled = start > arrival.late - take.first
            held = start + (take.last if throttled else take.first) - arrival.early
            stream.depth = SMALLEST + math.ceil(max(0.0, held) * stream.count)
    soonest = min(arrival.early - take.last for _, arrival, take in timed)
    for i, stream in enumerate(stage.outputs):
        give = stage.gives.get(i, Pace())
        arrivals[stream] = Arrival(soonest + give.first, start + give.last + pipeline)
