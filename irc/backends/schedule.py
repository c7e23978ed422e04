"""Schedules as a file: how a backend lays out each kernel or stage, one line each, to be read, kept and edited.

    # how kernels are laid out; again: irc compile MODEL --backend cpu --schedule FILE
    linear 197x768x192 fma = direct{rows=4 vectors=3 unroll=2}

What stands in front of the first `=` names what is laid out, what stands behind it says how; both are the backend's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from irc.ir.diagnostics import Diagnostic, Span, UsageError, nearest
from irc.ir.files import read_text

FILE = "schedule.txt"
SIGN = "="
SHOWN = 6  # names in a message


def schedule_text(schedule: Mapping[str, str], backend: str) -> str:
    """The content of a file."""
    head = f"# how kernels are laid out; again: irc compile MODEL --backend {backend} --schedule FILE"
    return "\n".join((head, *(f"{what} {SIGN} {how}" for what, how in schedule.items()), ""))


def read_schedule(path: Path) -> dict[str, str]:
    """The lines of a file. Raises UsageError, with the line, for one that is no schedule or the second of its name."""
    found: dict[str, str] = {}
    text = read_text(path)
    start = 0
    for line in text.splitlines(keepends=True):
        what, sign, how = (part.strip() for part in line.partition(SIGN))
        span = Span(str(path), text, start, start + max(1, len(line.rstrip())))
        start += len(line)
        if not line.strip() or line.startswith("#"):
            continue
        if not (what and sign and how):
            raise UsageError(Diagnostic("expected WHAT = HOW", span=span, hint="as in the schedule.txt of an artifact"))
        if what in found:
            raise UsageError(Diagnostic(f"a second schedule of '{what}'", span=span))
        found[what] = how
    return found


def refuse_unknown(given: Iterable[str], known: Collection[str], message: str) -> None:
    """Raise UsageError if names of a schedule are not `known`: once for all of them, behind `message`."""
    unknown = [name for name in given if name not in known]
    if unknown:
        near = nearest(unknown[0], known) if len(unknown) == 1 else ""
        hint = near or f"is it of another model? This one has {_named(known) or 'none'}"
        raise UsageError(Diagnostic(f"{message} {_named(unknown)}", place="--schedule", hint=hint))


def _named(names: Collection[str]) -> str:
    shown = [f"'{name}'" for name in list(names)[:SHOWN]]
    return ", ".join(shown) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
