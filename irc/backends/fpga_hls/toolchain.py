"""The C++ compiler: C simulation of a project."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from irc.backends.programs import run_program
from irc.ir.diagnostics import ToolError

FLAGS = ("-std=c++14", "-O2", "-ffp-contract=off", "-Wno-unknown-pragmas")


def find_compiler() -> str:
    """The C++ compiler: `$CXX` if that is set, else g++, else clang++. Raises ToolError if there is none."""
    wanted = os.environ.get("CXX", "")
    for name in (wanted,) if wanted else ("g++", "clang++"):
        if path := shutil.which(name):
            return path
    if wanted:
        raise ToolError(f"the C++ compiler '{wanted}' of the variable CXX is not there", hint="unset CXX for g++")
    raise ToolError(
        "a C++ compiler is needed for the C simulation, and there is none",
        hint="install g++, or set CXX to a compiler",
    )


def compile_simulation(sources: Sequence[Path], program: Path, flags: Sequence[str] = FLAGS) -> None:
    """Compile and link. Raises ToolError with what the compiler said."""
    command = [find_compiler(), *flags, *map(str, sources), "-o", str(program)]
    run_program(command, "the C simulation does not compile")


def run_simulation(program: Path, arguments: Sequence[str | Path], **environment: str) -> None:
    """Run a simulation to its end. Raises ToolError with its messages if it stops early."""
    run_program([str(program), *map(str, arguments)], "the C simulation failed", environment)
