"""What `report.json` says about an engine, layer by layer."""

from __future__ import annotations

from typing import Any

from irc.backends.base import ReportData
from irc.backends.fpga_hls.area import UNCALIBRATED, Area, Factors
from irc.backends.fpga_hls.device import PARTS, Part
from irc.backends.fpga_hls.engine.cost import Cost, cost
from irc.backends.fpga_hls.engine.emit import kind_of
from irc.backends.fpga_hls.engine.footprint import footprint
from irc.backends.fpga_hls.engine.plan import Plan
from irc.backends.fpga_hls.engine.program import Computed, Fold, Gemm, Layer, Size
from irc.backends.fpga_hls.engine.sizes import candidates
from irc.backends.fpga_hls.reports import fitting, mask_texts, misfit, resources
from irc.backends.fpga_hls.utilisation import Bill

ESTIMATE = (
    "Cycles, DSP, BRAM, LUT and FF are an estimate from the structure of the templates, not the result of a synthesis: "
    "every memory port is taken to carry a word of 16 bytes a cycle, LUT and FF may be off by half."
)


def engine_bill(plan: Plan, part: Part, factors: Factors = UNCALIBRATED) -> Bill:
    """An engine against a part."""
    return Bill(footprint(plan.size, factors), Area(), part)


OTHER_STYLE = "cycles and memory below are those of all weights; style=dataflow leaves blocks, filters and N:M out"
"""What to do about masks."""

Costs = list[tuple[Layer, Cost]]
"""The layers in order, and what each takes."""


def costs(plan: Plan) -> Costs:
    return [(layer, cost(layer, tiling, plan.size)) for layer, tiling in zip(plan.layers, plan.tilings, strict=True)]


def utilisation(layers: Costs, size: Size) -> float:
    """The part of the multipliers that is busy while sums of products run."""
    found = [c for layer, c in layers if isinstance(layer.run, Gemm)]
    return sum(c.macs for c in found) / (max(1, sum(c.cycles for c in found)) * size.multipliers)


def engine_report(plan: Plan, known: Costs, bill: Bill, clock: float) -> ReportData:
    """Cycles, memory traffic and what the engine takes of the part, in all and by module path. `clock` in MHz."""
    cycles = sum(c.cycles for _, c in known)
    products = [c for layer, c in known if isinstance(layer.run, Gemm)]
    summary: dict[str, Any] = {
        "style": f"engine; {plan.why}",
        "layers": len(known),
        "cycles per sample": cycles,
        "milliseconds per sample": round(cycles / clock / 1e3, 3),
        "samples per second": round(clock * 1e6 / cycles),
        "multipliers": plan.size.multipliers,
        "cycles of sums of products": sum(c.cycles for c in products),
        "multipliers busy in these": f"{100 * utilisation(known, plan.size):.0f} %",
        "memory traffic per sample, bytes": sum(c.bytes for _, c in known),
        "memory, bytes": plan.activation_bytes + len(plan.weights) + len(plan.parameters),
        **resources(bill),
    }
    paths: dict[str, Costs] = {}
    for layer, found in known:
        paths.setdefault(layer.loc.path, []).append((layer, found))
    rows = [_row(path, found, plan.size) for path, found in paths.items()]
    return {"summary": summary, "layers": rows, "notes": [ESTIMATE]}


def _row(path: str, found: Costs, size: Size) -> dict[str, Any]:
    cycles = sum(c.cycles for _, c in found)
    slowest = max(found, key=lambda pair: pair[1].cycles)[1]
    macs = sum(c.macs for _, c in found)
    return {
        "layer": path,
        "kinds": ", ".join(kind_of(layer).lower() for layer, _ in found),
        "cycles": cycles,
        "iterations": sum(c.iterations for _, c in found),
        "bound": slowest.bound,
        "traffic bytes": sum(c.bytes for _, c in found),
        "multipliers busy": f"{100 * macs / (cycles * size.multipliers):.0f} %" if macs else "",
    }


def _mask_of(layer: Layer) -> str:
    """The mask of the weights of a layer: the engine skips no zeros."""
    run = layer.run
    if isinstance(run, Gemm):
        return "" if isinstance(run.w, Computed) else run.w.mask
    return run.mask if isinstance(run, Fold) else ""


def engine_unmet(
    plan: Plan,
    known: Costs,
    bill: Bill,
    clock: float,
    fps: float | None,
    factors: Factors = UNCALIBRATED,
    way_out: str = "",
) -> list[str]:
    """What of the part and of the goal is missed; `way_out` is what to do if it is the part."""
    found: list[str] = []
    if bill.lacking:
        fits = fitting(engine_bill(plan, part, factors) for part in PARTS.values())
        least = plan.size.multipliers == min(size.multipliers for size in candidates())
        found.append(misfit("the smallest engine" if least else "the engine", bill, fits, way_out))
    reached = clock * 1e6 / sum(c.cycles for _, c in known)
    if fps is not None and reached < fps:
        slowest = max(known, key=lambda pair: pair[1].cycles)[0].name
        found.append(f"fps={fps:g} is not reached: {reached:.0f} samples a second, most of the time in {slowest}")
    return [*found, *mask_texts(((_mask_of(layer), layer.name) for layer in plan.layers), lambda _: OTHER_STYLE)]
