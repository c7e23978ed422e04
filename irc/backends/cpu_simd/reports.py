"""What `report.json` says about a library, layer by layer."""

from __future__ import annotations

from typing import Any

from irc.backends.base import ReportData
from irc.backends.cpu_simd.elf import code_bytes
from irc.backends.cpu_simd.isa import Isa
from irc.backends.cpu_simd.lowering import Launch
from irc.backends.cpu_simd.program import Program
from irc.backends.cpu_simd.views import Buffer

BYTES_A_LINE = {True: 4.5, False: 3.5}  # of LLVM text, as machine code: x86, Arm


def report(program: Program, isa: Isa, code: bytes) -> ReportData:
    """Sizes in all, and kernels and weights by module path. The workspace is that of the smallest sizes."""
    return _report(program, isa, {"code bytes": code_bytes(code)})


def estimate(program: Program, isa: Isa) -> ReportData:
    """The same before anything is compiled: machine code is about as long as the text it is made of (measured: within
    a third)."""
    lines = program.text(isa).count("\n")
    return _report(program, isa, {"code bytes, estimated": round(BYTES_A_LINE[isa.is_x86] * lines)})


def _report(program: Program, isa: Isa, code: dict[str, int]) -> ReportData:
    least = {name: symbol.lo for name, symbol in program.symbols.items()}
    most = {name: symbol.hi for name, symbol in program.symbols.items()}
    summary: dict[str, Any] = {
        "instruction set": isa.name,
        "kernels": len(program.kernels),
        "launches": len(program.launches),
        **code,
        "weight bytes": len(program.weights),
        "workspace bytes": program.workspace_bytes(least),
        **({"workspace bytes, largest sizes": program.workspace_bytes(most)} if most else {}),
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
