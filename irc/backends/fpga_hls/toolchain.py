"""The C++ compiler: C simulation of a project. The only user of subprocess here."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from irc.ir.diagnostics import Diagnostic, ToolError

FLAGS = ("-std=c++14", "-O2", "-ffp-contract=off", "-Wno-unknown-pragmas")


def find_compiler() -> str:
    """The C++ compiler: `$CXX`, else g++, else clang++. Raises ToolError if there is none."""
    for name in (os.environ.get("CXX", ""), "g++", "clang++"):
        if name and (path := shutil.which(name)):
            return path
    raise ToolError(
        "a C++ compiler is needed for the C simulation, and there is none",
        hint="install g++, or set CXX to a compiler",
    )


def compile_simulation(sources: Sequence[Path], program: Path, flags: Sequence[str] = FLAGS) -> None:
    """Compile and link. Raises ToolError with what the compiler said."""
    _run([find_compiler(), *flags, *map(str, sources), "-o", str(program)], "the C simulation does not compile", {})


def run_simulation(program: Path, arguments: Sequence[str | Path], **environment: str) -> None:
    """Run a simulation to its end. Raises ToolError with its messages if it stops early."""
    _run([str(program), *map(str, arguments)], "the C simulation failed", environment)


def _run(command: Sequence[str], failure: str, environment: Mapping[str, str]) -> None:
    variables = {**os.environ, **environment}
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, env=variables)
    except OSError as error:
        raise ToolError(f"{failure}: {Path(command[0]).name}: {error.strerror}") from error
    if done.returncode != 0:
        said = tuple((done.stderr or done.stdout).strip().splitlines()[:20])
        raise ToolError(Diagnostic(f"{failure} ({Path(command[0]).name}, status {done.returncode})", notes=said))
