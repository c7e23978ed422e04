"""Shared libraries, which the C compiler of the target links where there is one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from irc.backends.cpu_simd.codegen.llvm import host_triple
from irc.backends.cpu_simd.isa import Isa
from irc.backends.programs import run_program
from irc.ir.diagnostics import ToolError

FLAGS = ("-shared", "-nostdlib", "-Wl,--build-id=none", "-Wl,-z,noexecstack", "-Wl,-z,defs")
"""Nothing but the object goes in, and nothing that differs from run to run."""


def candidates(isa: Isa) -> list[str]:
    """C compilers that link for a target, best first."""
    if isa.arch == host_triple().split("-")[0]:
        return [name for name in (os.environ.get("CC", ""), "cc", "gcc", "clang") if name]
    return [f"{isa.arch}-linux-gnu-gcc"]


def find_linker(isa: Isa) -> str | None:
    """The first of them that is installed."""
    return next((path for name in candidates(isa) if (path := shutil.which(name))), None)


def need_linker(isa: Isa) -> str:
    """As `find_linker`. Raises ToolError if there is none."""
    found = find_linker(isa)
    if found is None:
        raise ToolError(
            f"a shared library for {isa.name} needs a linker ({' or '.join(candidates(isa))}), and there is none",
            hint="install one, or compile with --backend 'cpu{so=no}': the object and the archive need none",
        )
    return found


def link_shared(linker: str, code: Path, out: Path) -> None:
    """Link an object into a shared library. Raises ToolError with what the linker said."""
    soname = f"-Wl,-soname,{out.name}"
    run_program([linker, *FLAGS, soname, str(code), "-o", str(out)], "the shared library does not link")
