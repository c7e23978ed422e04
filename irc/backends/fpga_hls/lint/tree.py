"""A C++ program as the rules see it: the syntax tree of the files of a project, in plain values.

Templates are seen as they are written, once, not as they are instantiated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

Place = tuple[str, int]
"""A file and an offset in it, which identifies a declaration."""


@dataclass(eq=False)
class Node:
    """A declaration, statement or expression. `refers` are the declarations that a name may stand for."""

    kind: str  # as libclang calls it
    name: str
    type: str
    file: str
    line: int
    place: Place  # of the name, for declarations
    begin: int
    end: int
    refers: tuple[Place, ...]
    source: str = field(repr=False)  # of the whole file
    children: list[Node] = field(default_factory=list["Node"], repr=False)

    @cached_property
    def text(self) -> str:
        return self.source[self.begin : self.end]

    def walk(self) -> Iterator[Node]:
        """The node and everything in it, in the order of the source."""
        yield self
        for child in self.children:
            yield from child.walk()

    def holds(self, file: str, offset: int) -> bool:
        return self.file == file and self.begin <= offset < self.end


@dataclass(frozen=True)
class Note:
    """What the parser says: an unknown pragma, or an error."""

    file: str
    line: int
    message: str
    is_pragma: bool


@dataclass
class Program:
    """One translation unit: top-level declarations of the project's files, their texts, what the parser says."""

    roots: list[Node]
    files: dict[str, str]
    notes: list[Note]
