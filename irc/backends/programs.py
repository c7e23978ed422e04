"""Starting other programs, which only happens here."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from irc.ir.diagnostics import Diagnostic, ToolError

LINES = 20  # of what a program said that are shown


def status_of(command: Sequence[str]) -> tuple[int, str]:
    """Run a program of the user's to its end: its exit status and what it said. Raises ToolError if it cannot start."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        raise ToolError(f"{command[0]} cannot be started: {error.strerror}") from error
    return done.returncode, (done.stderr or done.stdout).strip()


def run_program(command: Sequence[str], failure: str, environment: Mapping[str, str] | None = None) -> None:
    """Run a program to its end. Raises ToolError, `failure` and what the program said, unless it ends well."""
    variables = {**os.environ, **(environment or {})}
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, env=variables)
    except OSError as error:
        raise ToolError(f"{failure}: {Path(command[0]).name}: {error.strerror}") from error
    if done.returncode != 0:
        said = tuple((done.stderr or done.stdout).strip().splitlines()[:LINES])
        raise ToolError(Diagnostic(f"{failure} ({Path(command[0]).name}, status {done.returncode})", notes=said))
