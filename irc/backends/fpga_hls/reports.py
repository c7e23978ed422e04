"""What `report.json` says about a design, layer by layer."""

from __future__ import annotations

from typing import Any

from irc.backends.base import ReportData
from irc.backends.fpga_hls.resources import cycles, multipliers
from irc.backends.fpga_hls.stage import Design, Stage


def report(design: Design, clock: float) -> ReportData:
    """Cycles and multipliers in all, and by module path. `clock` in MHz."""
    slowest = max(design.stages, key=cycles, default=None)
    pace = cycles(slowest) if slowest else 0
    summary: dict[str, Any] = {
        "stages": len(design.stages),
        "cycles per sample": pace,
        "samples per second": round(clock * 1e6 / pace) if pace else 0,
        "slowest stage": slowest.name if slowest else "none",
        "multipliers": sum(multipliers(stage) for stage in design.stages),
        "FIFO bits": sum(s.depth * s.code.bits for s in design.streams),
    }
    layers: dict[str, list[Stage]] = {}
    for stage in design.stages:
        layers.setdefault(stage.loc.path, []).append(stage)
    return {"summary": summary, "layers": [_row(path, stages) for path, stages in layers.items()]}


def _row(path: str, stages: list[Stage]) -> dict[str, Any]:
    return {
        "layer": path,
        "stages": ", ".join(stage.name for stage in stages),
        "cycles": max(cycles(stage) for stage in stages),
        "multipliers": sum(multipliers(stage) for stage in stages),
        "ROM bits": sum(rom.bits for stage in stages for rom in stage.roms),
    }
