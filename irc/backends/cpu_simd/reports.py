"""What `report.json` says about a library, layer by layer."""

from __future__ import annotations

from typing import Any

from irc.backends.base import ReportData
from irc.backends.cpu_simd.elf import code_bytes
from irc.backends.cpu_simd.isa import Isa
from irc.backends.cpu_simd.lowering import Launch
from irc.backends.cpu_simd.program import Program
from irc.backends.cpu_simd.views import Buffer


def report(program: Program, isa: Isa, code: bytes) -> ReportData:
    """Sizes in all, and kernels and weights by module path. The workspace is that of the smallest sizes."""
    least = {name: symbol.lo for name, symbol in program.symbols.items()}
    summary: dict[str, Any] = {
        "instruction set": isa.name,
        "kernels": len(program.kernels),
        "launches": len(program.launches),
        "code bytes": code_bytes(code),
        "weight bytes": len(program.weights),
        "workspace bytes": program.workspace_bytes(least),
    }
    layers: dict[str, list[Launch]] = {}
    for launch in program.launches:
        layers.setdefault(launch.loc.path, []).append(launch)
    counted: set[Buffer] = set()
    rows = [_row(path, launches, counted) for path, launches in layers.items()]
    return {"summary": summary, "layers": rows}


def _row(path: str, launches: list[Launch], counted: set[Buffer]) -> dict[str, Any]:
    """A layer; constants that several layers share count for the first."""
    stored = {v.buffer for launch in launches for v in launch.views if v.buffer.space == "weights"} - counted
    counted |= stored
    sizes = [b.size * b.scalar.dtype.itemsize for b in stored if isinstance(b.size, int)]
    return {
        "layer": path,
        "kernels": ", ".join(dict.fromkeys(launch.kernel for launch in launches)),
        "weight bytes": sum(sizes),
    }
