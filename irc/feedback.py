"""How the driver talks while it works: the command line prints, Python code gets warnings."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

from irc.ir.arguments import in_python
from irc.passes.base import Progress, no_progress


class IrcWarning(UserWarning):
    """Something the user should know, though the result is valid."""


def python_warning(text: str) -> None:
    """A Python warning."""
    warnings.warn(in_python(text), IrcWarning, stacklevel=2)


def silence(text: str) -> None:
    """Nobody listens."""


@dataclass(frozen=True)
class Feedback:
    """Where warnings, fallbacks, steps (`-v`), what was measured on request, IR and tables that were asked for, and
    progress go."""

    warn: Callable[[str], None] = python_warning
    tell: Callable[[str], None] = silence
    step: Callable[[str], None] = silence
    found: Callable[[str], None] = silence
    show: Callable[[str], None] = print
    progress: Progress = no_progress
