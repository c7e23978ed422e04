"""Folding: how many multipliers each stage gets, and of what.

All stages work at once on different samples or rows, so the slowest one sets the pace. Starting from one multiplier
each, the slowest stage is made faster by the cheapest step that helps, until it cannot be, the target is reached or the
budget is spent. Wide products are DSPs, as many of them in each as it holds. Narrow ones are LUTs; when these run out,
the stage that gives back most of them for a DSP makes its products in DSPs from then on.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

from irc.backends.fpga_hls.area import DSP_PORTS, UNCALIBRATED, Area, Factors, total
from irc.backends.fpga_hls.packing import packable
from irc.backends.fpga_hls.resources import CONV, LINEAR, cycles, multiplications, tiles
from irc.backends.fpga_hls.stage import Stage
from irc.backends.fpga_hls.stage_area import area, takes_dsps
from irc.backends.schedule import refuse_unknown
from irc.ir.diagnostics import UsageError

Folding: TypeAlias = "tuple[int, int, int]"
"""`pe`, `simd` and `packing` of a stage."""


def read_foldings(schedule: Mapping[str, str]) -> dict[str, Folding]:
    """The folding of each stage that the user sets: `stage = PExSIMD`, or `PExSIMD/PACKING` for several products a DSP.

    Raises UsageError for what is none.
    """
    found: dict[str, Folding] = {}
    for stage, text in schedule.items():
        parts = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)(?:/([1-9]\d*))?", text, re.ASCII)
        if parts is None:
            hint = f"for example {stage} = 8x4, or 8x4/2 for two products a DSP"
            raise UsageError(f"{stage}: the folding '{text}' is not PExSIMD or PExSIMD/PACKING", hint=hint)
        pe, simd, packing = parts.groups(default="1")
        found[stage] = (int(pe), int(simd), int(packing))
    return found


def folding_text(stage: Stage) -> str:
    """The folding of a stage, as `read_foldings` takes it."""
    pe, simd = stage.fold
    return f"{pe}x{simd}/{stage.packing}" if stage.packing > 1 else f"{pe}x{simd}"


@dataclass(frozen=True)
class Budget:
    """DSPs and LUTs to spend, as `stage_area.py` estimates them, and the number of cycles a sample that is enough.

    `ports` are the bits of the two factors that a DSP takes.
    """

    dsps: int
    luts: int
    cycles: int = 1
    ports: tuple[int, int] = DSP_PORTS

    def allows(self, used: Area) -> bool:
        return used.dsp <= self.dsps and used.lut <= self.luts


def fold(
    stages: Sequence[Stage],
    budget: Budget,
    fixed: Mapping[str, Folding] | None = None,
    factors: Factors = UNCALIBRATED,
) -> None:
    """Set `pe`, `simd` and `packing` of every stage; those in `fixed` (by name) are left to the user."""
    chosen = fixed or {}
    _check_fixed(stages, chosen, budget)
    ways = {stage: _ways(stage, budget) for stage in stages if stage.foldable and stage.name not in chosen}
    for stage in stages:
        if stage.name in chosen:
            stage.set_fold(*chosen[stage.name])
        elif stage in ways:
            stage.set_fold(*stage.fold, ways[stage][0])
    solver = _Solver(ways, budget, factors, {stage: area(stage, factors) for stage in stages})
    queue = [(-cycles(stage), i) for i, stage in enumerate(stages)]
    heapq.heapify(queue)
    while queue:
        slowest, i = queue[0]
        if -slowest <= budget.cycles or stages[i] not in ways or not solver.widen(stages[i]):
            return
        heapq.heapreplace(queue, (-cycles(stages[i]), i))


def _check_fixed(stages: Sequence[Stage], fixed: Mapping[str, Folding], budget: Budget) -> None:
    known = {s.name: s for s in stages if s.foldable}
    refuse_unknown(fixed, known, "there is no such stage to fold:")
    for name, (pe, simd, packing) in fixed.items():
        step, lanes = known[name].simd_step, packable(known[name], budget.ports)
        if simd % step:
            message = f"fold: {simd} input channels at once cut the groups of {step} of the mask of '{name}'"
            raise UsageError(message, hint=f"a multiple of {step}")
        most_pe, most_simd = lanes_of(known[name])
        if pe > most_pe or simd > most_simd:
            message = f"fold: '{name}' has no {pe} outputs and {simd} inputs to work on at once"
            raise UsageError(message, hint=f"at most {most_pe}x{most_simd}")
        if packing > pe:
            message = f"fold: {packing} products of '{name}' by one DSP are those of {packing} outputs, not of {pe}"
            raise UsageError(message, hint="at least as many outputs at once")
        if packing > lanes:
            wide, narrow = budget.ports
            message = f"fold: {packing} products of '{name}' do not fit one DSP of {wide} x {narrow} bits"
            raise UsageError(message, hint=f"at most {lanes}")


def _ways(stage: Stage, budget: Budget) -> tuple[int, ...]:
    """How many products one multiplication may make, the first choice first: one alone where that is LUTs."""
    lanes = packable(stage, budget.ports)
    return (lanes,) if lanes == 1 or takes_dsps(stage) else (1, lanes)


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


def least_alike(stage: Stage) -> tuple[int, int]:
    """`pe` and `simd` with the fewest multipliers, by halves, that give a stage the cycles that it has."""
    least, now = stage.fold, cycles(stage)
    with _restored(stage):
        while fewer := _half_of(stage, least, now):
            least = fewer
    return least


def _half_of(stage: Stage, fold: tuple[int, int], most: int) -> tuple[int, int] | None:
    """Half of `pe` or of `simd`, if so many cycles are enough for it."""
    pe, simd = fold
    for half in ((tiles(pe, 2), simd), (pe, tiles(simd, 2))):
        stage.set_fold(*half)
        if stage.fold != fold and cycles(stage) <= most:
            return stage.fold
    return None


@contextmanager
def _restored(stage: Stage) -> Generator[None]:
    """Try other foldings; the stage has its own again behind it."""
    folding = (*stage.fold, stage.packing)
    yield
    stage.set_fold(*folding)


@dataclass(frozen=True)
class _Solver:
    """Steps within a budget: `ways` says which stages may take one, `areas` what all stages take as they are."""

    ways: Mapping[Stage, tuple[int, ...]]
    budget: Budget
    factors: Factors
    areas: dict[Stage, Area]

    def widen(self, stage: Stage) -> bool:
        """Let a stage do more at once; False if there is no room for that, whatever is packed."""
        before = {other: other.packing for other in self.ways}
        while (step := self._cheapest_step(stage)) is None:
            if not self._pack_one():
                for other, packing in before.items():
                    self._set(other, (*other.fold, packing))
                return False
        self._set(stage, step)
        return True

    def _set(self, stage: Stage, folding: Folding) -> None:
        stage.set_fold(*folding)
        self.areas[stage] = area(stage, self.factors)

    def _cheapest_step(self, stage: Stage) -> Folding | None:
        """The next folding that saves cycles, packed as it is if there is room for that: least multiplications first,
        then least cycles, then the more even one."""
        (pe, simd), packing, (most_pe, most_simd) = stage.fold, stage.packing, lanes_of(stage)
        now, others = cycles(stage), total(self.areas.values()) - self.areas[stage]
        candidates: list[tuple[bool, int, int, int, Folding]] = []
        wider = ((pe * 2, simd), (pe, simd * 2), (pe * 2, simd * 2))
        with _restored(stage):
            for way, (wider_pe, wider_simd) in product(self.ways[stage], wider):
                step = (min(wider_pe, most_pe), min(wider_simd, most_simd), way)
                stage.set_fold(*step)
                better, cost = cycles(stage), multiplications(stage)
                if better <= now * WORTHWHILE and self.budget.allows(others + area(stage, self.factors)):
                    candidates.append((way != packing, cost, better, abs(step[0] - step[1]), step))
        return min(candidates)[-1] if candidates else None

    def _pack_one(self) -> bool:
        """Move the products of a stage from LUTs into DSPs, if there are enough: most LUTs for each come back."""
        left = self.budget.dsps - total(self.areas.values()).dsp
        found: list[tuple[float, int, Stage]] = []
        for place, (stage, ways) in enumerate(self.ways.items()):
            if stage.packing < ways[-1]:
                taken = self._packed(stage) - self.areas[stage]
                if taken.lut < 0 and taken.dsp <= left:
                    found.append((taken.lut / taken.dsp, place, stage))
        if found:
            stage = min(found)[-1]
            self._set(stage, (*stage.fold, self.ways[stage][-1]))
        return bool(found)

    def _packed(self, stage: Stage) -> Area:
        """What a stage takes with its products in DSPs."""
        with _restored(stage):
            stage.set_fold(*stage.fold, self.ways[stage][-1])
            return area(stage, self.factors)
