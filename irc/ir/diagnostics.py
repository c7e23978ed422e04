"""What users see when something is wrong: a message, a place, notes and a way out, and the exit code of its kind."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from typing import ClassVar

from irc.ir.arguments import in_python
from irc.ir.location import ROOT, UNKNOWN, Loc, Source

WIDEST = 160  # characters of a line that an excerpt shows
SHOWN_PLACES = 6  # how many further places a diagnostic lists


@dataclass(frozen=True, slots=True)
class Span:
    """A half-open range of characters of a named text; prints as file:line:column with the line and carets."""

    source: str
    text: str
    start: int
    end: int

    @property
    def line(self) -> int:
        return self.text.count("\n", 0, self.start) + 1

    @property
    def column(self) -> int:
        return self.start - (self.text.rfind("\n", 0, self.start) + 1) + 1

    def excerpt(self) -> str:
        begin = self.text.rfind("\n", 0, self.start) + 1
        end = self.text.find("\n", self.start)
        line = self.text[begin : len(self.text) if end < 0 else end]
        column = self.start - begin
        width = max(1, min(self.end - begin, len(line)) - column)
        if len(line) > WIDEST:
            first = max(0, column - WIDEST // 2)
            line, column = line[first : first + WIDEST], column - first
            width = min(width, WIDEST - column)
        return f"  {line}\n  {' ' * column}{'^' * width}"

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding. `place` is free text before the message (a file, an option) where neither span nor location fits.
    `others` are further places with the same finding.
    """

    message: str
    loc: Loc = UNKNOWN
    span: Span | None = None
    place: str = ""
    notes: tuple[str, ...] = ()
    hint: str = ""
    others: tuple[Loc, ...] = ()

    @property
    def uses(self) -> int:
        """How often it was found."""
        return 1 + len(self.others)

    def __str__(self) -> str:
        where: list[str] = []
        if self.span:
            where.append(f"{self.span}: ")
        if self.place:
            where.append(f"{self.place}: ")
        if self.loc.sources:
            where.append(f"{_shown(self.loc.sources[0])}: ")
        lines = ["".join(where) + self.message]
        if self.span:
            lines.append(self.span.excerpt())
        lines += [f"  note: {note}" for note in self.notes]
        if self.others:
            places = list(dict.fromkeys(_shown(loc.sources[0]) for loc in self.others if loc.sources))
            shown = ", ".join(places[:SHOWN_PLACES]) + (", ..." if len(places) > SHOWN_PLACES else "")
            lines.append(f"  note: and {len(self.others)} more" + (f": {shown}" if shown else ""))
        if self.hint:
            lines.append(f"  hint: {self.hint}")
        return "\n".join(lines)


def _shown(source: Source) -> str:
    """A place, without the empty path of the model itself."""
    return str(source).removeprefix('""').lstrip() or ROOT


def merged(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Each finding once, with all its places, in order; findings in a text keep their own lines."""
    found: dict[object, Diagnostic] = {}
    for d in diagnostics:
        key = (d.message, d.place, d.notes, d.hint, d.span)
        first = found.get(key)
        found[key] = d if first is None else replace(first, others=(*first.others, d.loc, *d.others))
    return list(found.values())


class IrcError(Exception):
    """The model, IR or artifact is at fault; carries every diagnostic that was collected. Exit code 1.

    As a text it is for Python code; diagnostics name options of the command line.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, diagnostics: Diagnostic | str | Iterable[Diagnostic], *, hint: str = "") -> None:
        if isinstance(diagnostics, str):
            diagnostics = Diagnostic(diagnostics, hint=hint)
        if isinstance(diagnostics, Diagnostic):
            diagnostics = (diagnostics,)
        self.diagnostics: tuple[Diagnostic, ...] = tuple(diagnostics)
        super().__init__("\n".join(in_python(str(d)) for d in self.diagnostics))

    def saying(self, diagnostics: Iterable[Diagnostic]) -> IrcError:
        """The same error with other diagnostics."""
        return type(self)(diagnostics)

    def __reduce__(self) -> tuple[type[IrcError], tuple[tuple[Diagnostic, ...]]]:
        return type(self), (self.diagnostics,)


class UsageError(IrcError):
    """A bad option, an unknown name, an unwritable or existing output. Exit code 2."""

    exit_code = 2


class MismatchError(IrcError):
    """Two results that must agree do not. Exit code 3."""

    exit_code = 3


class BudgetError(IrcError):
    """A budget is not met. Exit code 4."""

    exit_code = 4


class ToolError(IrcError):
    """An external tool is missing or failed. Exit code 5."""

    exit_code = 5


class UnsafeInputError(IrcError):
    """Input that could run code or touch foreign files is refused. Exit code 6."""

    exit_code = 6


class InternalError(IrcError):
    """irc, or a plug-in, is at fault. Exit code 70."""

    exit_code = 70


def described(error: BaseException) -> str:
    """An unexpected exception in one line: its type, its message, where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({PurePath(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


def fault(what: str, error: BaseException, loc: Loc = UNKNOWN, *, way_round: str = "") -> InternalError:
    """An unexpected exception as an error at a place of the model; `way_round` ends the hint."""
    hint = f"this is a fault of irc or a plug-in, please report it{way_round}"
    return InternalError(Diagnostic(f"{what}: {described(error)}", loc, hint=hint))


@dataclass
class Collector:
    """Gathers diagnostics so that a user sees all of them at once."""

    found: list[Diagnostic] = field(default_factory=list[Diagnostic])

    def add(self, message: str, loc: Loc = UNKNOWN, *, notes: Sequence[str] = (), hint: str = "") -> None:
        self.found.append(Diagnostic(message, loc, notes=tuple(notes), hint=hint))

    def raise_if_any(self, error: type[IrcError] = IrcError) -> None:
        if self.found:
            raise error(self.found)


def nearest(name: str, candidates: Iterable[str]) -> str:
    """A hint that names the candidate that is spelt most like it; empty if none is."""
    close = difflib.get_close_matches(name, sorted(candidates), n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else ""


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """A hint that names the nearest candidate, or lists them all if there are few; empty if nothing helps."""
    known = sorted(candidates)
    few = 0 < len(known) <= 40
    return nearest(name, known) or (f"known: {', '.join(known)}" if few else "")
