"""Folding: how many multipliers each stage gets.

All stages work at once on different samples or rows, so the slowest one sets the pace. Starting from one multiplier
each, the slowest stage is made faster by the cheapest step that helps, until it cannot be, the target is reached or the
budget is spent: DSPs for wide products, LUTs for narrow ones.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from irc.backends.fpga_hls.area import UNCALIBRATED, Area, Factors, total
from irc.backends.fpga_hls.resources import CONV, LINEAR, cycles, multipliers
from irc.backends.fpga_hls.stage import Stage
from irc.backends.fpga_hls.stage_area import area
from irc.ir.diagnostics import UsageError, did_you_mean


@dataclass(frozen=True)
class Budget:
    """DSPs and LUTs to spend, as `stage_area.py` estimates them, and the number of cycles a sample that is enough."""

    dsps: int
    luts: int
    cycles: int = 1

    def allows(self, used: Area) -> bool:
        return used.dsp <= self.dsps and used.lut <= self.luts


def fold(
    stages: Sequence[Stage],
    budget: Budget,
    fixed: Mapping[str, tuple[int, int]] | None = None,
    factors: Factors = UNCALIBRATED,
) -> None:
    """Set `pe` and `simd` of every stage; those in `fixed` (by name) are left to the user."""
    chosen = fixed or {}
    _check_fixed(stages, chosen)
    for stage in stages:
        if stage.name in chosen:
            stage.set_fold(*chosen[stage.name])
    areas = [area(stage, factors) for stage in stages]
    queue = [(-cycles(stage), i) for i, stage in enumerate(stages)]
    heapq.heapify(queue)
    while queue:
        slowest, i = queue[0]
        stage = stages[i]
        if -slowest <= budget.cycles or not stage.foldable or stage.name in chosen:
            return
        others = total(a for place, a in enumerate(areas) if place != i)
        step = _cheapest_step(stage, others, budget, factors)
        if step is None:
            return
        stage.set_fold(*step)
        areas[i] = area(stage, factors)
        heapq.heapreplace(queue, (-cycles(stage), i))


def _check_fixed(stages: Sequence[Stage], fixed: Mapping[str, tuple[int, int]]) -> None:
    known = {s.name: s for s in stages if s.foldable}
    for name, (_, simd) in fixed.items():
        if name not in known:
            raise UsageError(f"fold: there is no stage '{name}' to fold", hint=did_you_mean(name, known))
        step = known[name].simd_step
        if simd % step:
            message = f"fold: {simd} input channels at once cut the groups of {step} of the mask of '{name}'"
            raise UsageError(message, hint=f"a multiple of {step}")


WORTHWHILE = 0.9
"""A step has to save a tenth of the cycles of its stage; below that, something else bounds the stage."""


def lanes_of(stage: Stage) -> tuple[int, int]:
    """The most that `pe` and `simd` of a stage can use."""
    config = stage.config
    if stage.template in LINEAR:
        return stage.number("channels_out"), stage.number("channels_in")
    if stage.template in CONV:
        groups = stage.number("groups")
        return stage.number("channels_out") // groups, stage.number("channels_in") // groups
    if stage.template == "matmul":
        return stage.number("columns"), stage.number("depth")
    return int(config["channels"]), 1


def _cheapest_step(stage: Stage, others: Area, budget: Budget, factors: Factors) -> tuple[int, int] | None:
    """The next (pe, simd) that saves cycles: least multipliers first, then least cycles, then the more even fold."""
    pe, simd = stage.fold
    most_pe, most_simd = lanes_of(stage)
    now, cost = cycles(stage), multipliers(stage)
    candidates: list[tuple[int, int, int, tuple[int, int]]] = []
    for wider_pe, wider_simd in ((pe * 2, simd), (pe, simd * 2), (pe * 2, simd * 2)):
        step = (min(wider_pe, most_pe), min(wider_simd, most_simd))
        if step == (pe, simd):
            continue
        stage.set_fold(*step)
        better, extra = cycles(stage), multipliers(stage) - cost
        if better <= now * WORTHWHILE and budget.allows(others + area(stage, factors)):
            candidates.append((extra, better, abs(step[0] - step[1]), step))
    stage.set_fold(pe, simd)
    return min(candidates)[3] if candidates else None
