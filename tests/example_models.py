"""The example models, captured once a process."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from irc.frontend.capture import capture
from irc.ir.clone import clone
from irc.ir.graph import Module

EXAMPLES = Path(__file__).parents[1] / "examples"


@cache
def _captured(name: str) -> Module:
    return capture(EXAMPLES / f"{name}.pt2").module


def captured(name: str) -> Module:
    """A module of an example of one's own, to be changed."""
    return clone(_captured(name))
