"""Everything that stands in the way of an import, told once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

from irc.ir.builder import Builder
from irc.ir.diagnostics import Diagnostic, IrcError, merged
from irc.ir.graph import Graph, Module
from irc.ir.ops.structure import Const, Return
from irc.ir.verify import verify


class ImportFailed(IrcError):
    """Some operators have no equivalent.

    `missing` is how many could not be imported, `unjudged` how many were not tried, since they work on what those give;
    `partial` is what the others are, with inputs in place of the missing results (None if nothing could be built).
    """

    def __init__(
        self, diagnostics: Iterable[Diagnostic], *, missing: int = 0, unjudged: int = 0, partial: Module | None = None
    ) -> None:
        super().__init__(diagnostics)
        self.missing = missing
        self.unjudged = unjudged
        self.partial = partial

    def saying(self, diagnostics: Iterable[Diagnostic]) -> ImportFailed:
        """The same failure with other diagnostics."""
        return ImportFailed(diagnostics, missing=self.missing, unjudged=self.unjudged, partial=self.partial)


@dataclass
class Problems:
    """Diagnostics as they are found; a problem of twelve equal blocks is told once, with all its places.

    `lost` are those of operators that could not be imported, by number; `unjudged` counts those that were not tried.
    """

    found: list[Diagnostic] = field(default_factory=list[Diagnostic])
    lost: dict[int, list[Diagnostic]] = field(default_factory=dict[int, list[Diagnostic]])
    unjudged: int = 0

    @classmethod
    def of_lost(cls, diagnostics: Sequence[Diagnostic], unjudged: int) -> Problems:
        """Those of operators that are gone already, which have numbers below 0."""
        return cls(list(diagnostics), {~number: [d] for number, d in enumerate(diagnostics)}, unjudged)

    def add(self, diagnostic: Diagnostic) -> None:
        self.found.append(diagnostic)

    def lose(self, number: int, diagnostics: Iterable[Diagnostic]) -> None:
        """The operator of that number cannot be imported."""
        self.lost.setdefault(number, []).extend(diagnostics)
        self.found.extend(diagnostics)

    def raise_if_any(self, graph: Graph, way_round: Callable[[Collection[int]], str]) -> None:
        """Raise ImportFailed with what was built in the graph so far, if there are any. `way_round` is how the hint for
        lost operators ends.
        """
        if self.found:
            raise self.failed(way_round(self.lost), _partial(graph))

    def failed(self, hint: str, partial: Module | None) -> ImportFailed:
        """What was found as the error; `hint` is how the hint for lost operators ends."""
        about = {id(d) for found in self.lost.values() for d in found}
        told = [replace(d, hint=f"{d.hint}{hint}".removeprefix("; ")) if id(d) in about else d for d in self.found]
        return ImportFailed(merged(told), missing=len(self.lost), unjudged=self.unjudged, partial=partial)


def _partial(graph: Graph) -> Module | None:
    """A module of what was built: what nothing reads are its results."""
    ends = [v for node in graph.nodes if not isinstance(node, Const) for v in node.results if not v.uses]
    if not ends:
        return None
    Builder.at_end(graph).add(Return(tuple(ends)))
    for node in graph.nodes:
        if isinstance(node, Const) and not node.result.uses:
            node.erase()
    module = Module([graph])
    try:
        verify(module)
    except IrcError:
        return None
    return module
