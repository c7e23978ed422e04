"""Everything that stands in the way of an import, told once."""

from __future__ import annotations

from dataclasses import dataclass, field

from irc.ir.diagnostics import Diagnostic, IrcError

SHOWN_PLACES = 6  # how many further places a diagnostic lists


@dataclass
class Problems:
    """Diagnostics by message, so that a problem of twelve equal blocks is told once, with all its places."""

    found: dict[str, list[Diagnostic]] = field(default_factory=dict[str, list[Diagnostic]])

    def add(self, diagnostic: Diagnostic) -> None:
        self.found.setdefault(diagnostic.message, []).append(diagnostic)

    def raise_if_any(self) -> None:
        if self.found:
            raise IrcError([_merged(group) for group in self.found.values()])


def _merged(group: list[Diagnostic]) -> Diagnostic:
    first, *others = group
    places = list(dict.fromkeys(str(d.loc.sources[0]) for d in others if d.loc.sources))
    if not others:
        return first
    shown = ", ".join(places[:SHOWN_PLACES]) + (", ..." if len(places) > SHOWN_PLACES else "")
    note = f"and {len(others)} more: {shown}"
    return Diagnostic(first.message, first.loc, notes=(*first.notes, note), hint=first.hint)
