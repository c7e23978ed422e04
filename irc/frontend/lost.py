"""Operators of a saved program that are known by name not to be supported: torch sees the program without them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from irc.frontend.cut import Step, way_round_hint
from irc.frontend.problems import ImportFailed, Problems
from irc.ir.diagnostics import Diagnostic
from irc.ir.location import Loc


@dataclass(frozen=True)
class Lost:
    """What is wrong with them, one finding each; the names of inputs in place of their results; how many operators went
    with them (`unjudged`), and how many there are beside them (`others`).

    `steps`, `places` and `given` are of the whole program, `numbers` say which of its steps are lost.
    """

    diagnostics: tuple[Diagnostic, ...]
    stand_ins: frozenset[str]
    unjudged: int
    others: int
    steps: Sequence[Step[str]] = field(repr=False)
    places: Sequence[Loc] = field(repr=False)
    numbers: frozenset[int] = field(repr=False)
    given: frozenset[str] = field(repr=False)

    def way_round(self, more: Collection[Loc]) -> str:
        """How the hint for what is lost ends, the operators at the places `more` included."""
        also = {number for number, place in enumerate(self.places) if place in more}
        return way_round_hint(self.steps, self.numbers | also, self.given)

    def alone(self) -> ImportFailed:
        """These operators as the error, where the rest cannot be looked at."""
        return Problems.of_lost(self.diagnostics, self.others).failed(self.way_round(()), None)
