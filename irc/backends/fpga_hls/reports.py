"""What `report.json` says about a design, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import mean
from typing import Any

from irc.backends.base import ReportData
from irc.backends.fpga_hls.area import Area, total
from irc.backends.fpga_hls.device import PARTS
from irc.backends.fpga_hls.fifo import delay
from irc.backends.fpga_hls.folding import folding_text, least_alike
from irc.backends.fpga_hls.iterations import iterations
from irc.backends.fpga_hls.resources import cycles, multipliers, pace
from irc.backends.fpga_hls.stage import Design, Stage
from irc.backends.fpga_hls.utilisation import Bill

ESTIMATE = (
    "DSP, BRAM, LUT and FF are an estimate from the structure of the templates, not the result of a synthesis: DSP and "
    "BRAM follow from widths and depths, LUT and FF may be off by half. Products with an operand below 9 bits count as "
    "LUTs, which Vitis HLS may decide otherwise, but where several share a DSP (packing). Ports count for the model "
    "itself."
)


Seen = Sequence[Mapping[str, int]]
"""Of some samples the counts that were born in their run, by name."""


def report(design: Design, bill: Bill, clock: float, seen: Seen = ()) -> ReportData:
    """Cycles, multipliers and what they take of the part, in all and by module path. `clock` in MHz.

    Cycles are those of a sample with as many tokens as can be; where counts decide that, the average over the samples
    whose counts are `seen` stands beside them.
    """
    samples = _samples(design, seen)
    slowest = max(design.stages, key=cycles, default=None)
    summary: dict[str, Any] = {
        "style": "dataflow, a stage for each layer",
        "stages": len(design.stages),
        "cycles per sample": pace(design),
        "samples per second": round(clock * 1e6 / pace(design)),
        "latency in cycles": delay(design),
        **averages(design, seen),
        "slowest stage": slowest.name if slowest else "none",
        "multipliers": sum(multipliers(stage) for stage in design.stages),
        "FIFO bits": sum(s.depth * s.code.bits for s in design.streams),
        **resources(bill),
    }
    layers: dict[str, list[Stage]] = {"": []}
    for stage in design.stages:
        layers.setdefault(stage.loc.path, []).append(stage)
    rows = [_row(path, stages, bill, samples) for path, stages in layers.items()]
    return {"summary": summary, "layers": rows, "notes": [ESTIMATE]}


def _samples(design: Design, seen: Seen) -> list[Design]:
    """The design with the counts of each sample; none where no count varies."""
    return [design.at(counts) for counts in seen] if design.counts else []


def averages(design: Design, seen: Seen) -> dict[str, Any]:
    """What counts make of the samples that were seen; nothing where there are none."""
    if not (samples := _samples(design, seen)):
        return {}
    kept = [f"{mean(counts[c.name] for counts in seen):.1f} of {c.most}" for c in design.counts]
    return {
        "cycles per sample, average": round(mean(map(pace, samples))),
        "latency in cycles, average": round(mean(map(delay, samples))),
        "tokens kept, average": ", ".join(kept) + f" (golden samples: {len(samples)})",
    }


def unmet(design: Design, bill: Bill, clock: float, fps: float | None, way_out: str = "") -> list[str]:
    """What of the part and of the goal is missed; `way_out` is what to do if it is the part."""
    found: list[str] = []
    if bill.lacking:
        fits = fitting(replace(bill, part=part) for part in PARTS.values())
        found.append(misfit("the design", bill, fits, way_out))
    reached = clock * 1e6 / pace(design)
    if fps is not None and reached < fps:
        slowest = max(design.stages, key=cycles).name
        found.append(f"fps={fps:g} is not reached: {reached:.0f} samples a second, most of the time in {slowest}")
    return found


def fitting(bills: Iterable[Bill]) -> str:
    """Which parts have room."""
    names = [bill.part.name for bill in sorted(bills, key=lambda b: b.part.luts) if not bill.lacking]
    return f"it fits {', '.join(names)}" if names else "no part that irc knows has room for it"


def misfit(what: str, bill: Bill, fits: str, way_out: str) -> str:
    """That something does not fit: what is missing, which parts have room, what else to do."""
    told = "; ".join(filter(None, (bill.lacking, fits, way_out)))
    return f"{what} does not fit {bill.part.name}, by the estimate: {told}"


LEFT_OUT = "those of blocks, of whole filters and of N:M would be left out"


def idle_masks(design: Design) -> list[str]:
    """One text for each kind of mask whose zeros are stored and multiplied like any weight."""
    return mask_texts(((stage.idle_mask, stage.name) for stage in design.stages), {"unstructured": LEFT_OUT}.get)


def mask_texts(masks: Iterable[tuple[str, str]], way_out: Callable[[str], str | None]) -> list[str]:
    """The same for (mask, what has it); no mask is empty. `way_out` says what to do about a mask."""
    found: dict[str, list[str]] = {}
    for mask, name in masks:
        if mask:
            found.setdefault(mask, []).append(name)
    texts: list[str] = []
    for mask, names in found.items():
        text = f"a mask of the kind {mask} saves nothing in hardware, its zeros are multiplied: {', '.join(names)}"
        texts.append("; ".join(filter(None, (text, way_out(mask)))))
    return texts


def idle_multipliers(stages: Iterable[Stage]) -> list[str]:
    """One text for each stage whose folding has multipliers that save no cycle."""
    texts: list[str] = []
    for stage in stages:
        enough = least_alike(stage)
        if enough != stage.fold:
            pe, simd = enough
            texts.append(
                f"{stage.name}: {folding_text(stage)} is no faster than {pe}x{simd}, {cycles(stage)} cycles a sample; "
                "one element a cycle enters and leaves a stage"
            )
    return texts


def resources(bill: Bill) -> dict[str, str]:
    """The estimate against the part: each kind, and whether it all fits."""
    texts = {f"{use.kind}, estimated": use.text for use in bill.uses}
    fits = f"no: {bill.lacking}" if bill.lacking else "yes"
    return {**texts, f"fits {bill.part.name}, estimated": fits}


def _row(path: str, stages: list[Stage], bill: Bill, samples: Sequence[Design]) -> dict[str, Any]:
    """A layer; what has no path includes what is beside all stages."""
    names = {stage.name for stage in stages}
    taken = [max((cycles(s) for s in sample.stages if s.name in names), default=0) for sample in samples]
    beside = bill.beside if path == "" else Area()
    used = total([beside, *(bill.areas[stage.name] for stage in stages)])
    return {
        "layer": path,
        "stages": ", ".join(stage.name for stage in stages),
        "cycles": max(map(cycles, stages), default=0),
        **({"cycles, average": round(mean(taken))} if taken else {}),
        "iterations": max((count for stage in stages for _, count in iterations(stage)), default=0),
        "multipliers": sum(multipliers(stage) for stage in stages),
        "packing": max((stage.packing for stage in stages), default=1),
        "ROM bits": sum(rom.bits(stage.fold) for stage in stages for rom in stage.roms),
        "DSP": used.dsp,
        "BRAM18": used.bram18,
        "URAM": used.uram,
        "LUT": used.lut,
        "FF": used.ff,
    }
