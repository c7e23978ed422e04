"""Least squares of the factors of the estimate against the modules of a synthesis.

Stages are functions of their own, and so are the processes of an engine; Vitis HLS names a module after its function.
FIFOs between stages and ports belong to the top function and are not compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from irc.backends.fpga_hls.area import UNCALIBRATED, Area, Factors, total
from irc.backends.fpga_hls.calibration.csynth import Synthesis, Used
from irc.backends.fpga_hls.calibration.record import Calibration
from irc.backends.fpga_hls.engine.footprint import PRODUCTS, formulas
from irc.backends.fpga_hls.engine.plan import Plan
from irc.backends.fpga_hls.stage import Design
from irc.backends.fpga_hls.stage_area import module_parts
from irc.ir.diagnostics import IrcError, UsageError
from irc.ir.scalars import Array

PROCESSES = {
    "front": (("run_front",), ("rows", "folds")),
    "steps": (("run_steps",), ("steps",)),
    "moves": (("move_elements",), ("moves",)),
    "loads and stores": (
        ("load_first", "load_weights", "load_operands", "load_parameters", "store_rows"),
        ("loads and stores",),
    ),
}
"""Parts of an engine: their functions, and what of its footprint they are beside the sums of products of the front."""


FAR = 5.0
"""A factor beyond this, or below its inverse, is more than the formulas are off by (csynth reports up to about twice
the LUTs that are needed)."""


@dataclass(frozen=True)
class Unit:
    """A part of an accelerator with functions of its own: what it takes by the formulas."""

    name: str
    layer: str  # module path
    functions: tuple[str, ...]
    products: Area
    rest: Area

    @property
    def area(self) -> Area:
        return self.products + self.rest


@dataclass(frozen=True)
class Point:
    """A unit, and what the synthesis reports of its functions."""

    unit: Unit
    reported: Used


@dataclass(frozen=True)
class Fit:
    """A calibration, what it was fitted to, and units that the report does not know."""

    calibration: Calibration
    points: list[Point]
    unknown: list[Unit]
    common: bool  # one factor for all LUTs, since two cannot be told apart

    @property
    def doubts(self) -> list[str]:
        """What speaks against the report being one of this accelerator as it is."""
        found: list[str] = []
        factors = self.calibration.factors
        for name, value in ((PRODUCTS, factors.products), ("logic", factors.logic), ("flip-flops", factors.ff)):
            if not 1 / FAR <= value <= FAR:
                found.append(f"{name} times {value:g}: no synthesis is known to be so far from the estimate")
        if len(self.unknown) > len(self.points):
            parts = len(self.points) + len(self.unknown)
            found.append(f"the report has only {len(self.points)} of the {parts} parts of the artifact")
        return found


def units_of(lowered: Design | Plan) -> list[Unit]:
    """What can be compared of an accelerator."""
    if isinstance(lowered, Design):
        return [Unit(stage.name, stage.loc.path, (stage.name,), *module_parts(stage)) for stage in lowered.stages]
    parts = formulas(lowered.size)
    none = Area()
    return [
        Unit(name, "", functions, parts[PRODUCTS] if name == "front" else none, total(parts[p] for p in of))
        for name, (functions, of) in PROCESSES.items()
    ]


def fit(units: Sequence[Unit], synthesis: Synthesis, top: str, model: str) -> Fit:
    """Fit the factors; `model` is the name of what was synthesised, `top` that of its top function.

    Raises UsageError if the report is of another function, IrcError if it knows no unit.
    """
    if synthesis.top and synthesis.top != top:
        message = f"the report is of the top function '{synthesis.top}', the artifact has '{top}'"
        raise UsageError(message, hint="--artifact names another artifact")
    known = {name for unit in units for name in unit.functions}
    named = {name: found for name in known if (found := _module(name, known, synthesis)) is not None}
    points = [
        Point(unit, _sum(named[f] for f in unit.functions)) for unit in units if named.keys() >= {*unit.functions}
    ]
    if not points:
        raise IrcError(
            f"none of the {len(synthesis.modules)} modules of the report is a part of the artifact",
            hint=f"modules are known by the names of functions, here {', '.join(sorted(known)[:3])}",
        )
    factors, common = _factors(points)
    source = f"{model} by {synthesis.text}"
    calibration = Calibration(factors, len(points), *residuals(points, factors), source)
    seen = {point.unit.name for point in points}
    return Fit(calibration, points, [unit for unit in units if unit.name not in seen], common)


def residuals(points: Sequence[Point], factors: Factors = UNCALIBRATED) -> tuple[float, float]:
    """Of LUTs and flip-flops: root mean squares of what the formulas are off by, as a part of what is reported."""
    areas = [factors.of(point.unit.products, point.unit.rest) for point in points]
    pairs = (
        ([a.lut for a in areas], [p.reported.lut for p in points]),
        ([a.ff for a in areas], [p.reported.ff for p in points]),
    )
    lut, ff = (_share(np.array(mine, float), np.array(theirs, float)) for mine, theirs in pairs)
    return lut, ff


def _share(mine: Array, theirs: Array) -> float:
    size = float(np.linalg.norm(theirs))
    return round(float(np.linalg.norm(mine - theirs)) / size, 4) if size else 0.0


def _module(function: str, known: set[str], synthesis: Synthesis) -> Used | None:
    """The module of a function. Template arguments and a number may follow its name, that of the top function may be in
    front of it; a module with the whole name of another function is that function's."""
    pattern = re.compile(rf"({re.escape(synthesis.top)}_)?{re.escape(function)}(_Size)?(_s)?(_\d+)?")
    if function in synthesis.modules:
        return synthesis.modules[function]
    return next((used for m, used in synthesis.modules.items() if pattern.fullmatch(m) and m not in known), None)


def _sum(found: Iterable[Used]) -> Used:
    all_used = list(found)
    return Used(sum(u.lut for u in all_used), sum(u.ff for u in all_used))


def _factors(points: Sequence[Point]) -> tuple[Factors, bool]:
    """Least squares of LUTs in two factors, or in one if two would not be positive and certain; of flip-flops in one.

    A column of zeros leaves its factor at 1.
    """
    columns = np.array([[p.unit.products.lut, p.unit.rest.lut] for p in points], float)
    luts = np.array([p.reported.lut for p in points], float)
    ffs = np.array([p.reported.ff for p in points], float)
    there = columns.any(axis=0)
    values = np.ones(2)
    found, _, rank, _ = np.linalg.lstsq(columns[:, there], luts, rcond=None)
    common = bool(rank < there.sum() or (found <= 0).any())
    values[there] = _one(columns.sum(axis=1), luts) if common else found
    ff = _one(np.array([p.unit.area.ff for p in points], float), ffs)
    products, logic, flip_flops = (float(f"{value:.4g}") for value in (*values, ff))
    return Factors(products, logic, flip_flops), common


def _one(mine: Array, theirs: Array) -> float:
    """The factor of one column."""
    found = float(mine @ theirs) / float(mine @ mine)
    if found <= 0:
        raise IrcError("the modules of the report take no LUTs or no flip-flops, so there is nothing to fit")
    return found
