"""Modules, graphs, nodes and values: a mutable graph in SSA form with use lists.

A `Graph` is the body of a function or of a region: inputs, an ordered list of nodes, and a terminator node (`return` or
`yield`) whose operands are its results. Every edit goes through the methods here, which keep the use lists right and
count mutations, so that "changed" is observed and never reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from irc.ir.attrs import Attr
from irc.ir.diagnostics import IrcError
from irc.ir.dims import Symbol
from irc.ir.location import UNKNOWN, Loc
from irc.ir.printer import attr_text, print_graph, print_module, print_node
from irc.ir.types import TensorType
from irc.tables import API


@dataclass(frozen=True, slots=True)
class Use:
    """One reading of a value: operand `index` of `node`."""

    node: Node
    index: int


class Value:
    """The result of a node or an input of a graph. The name is a hint for the printer and never identity."""

    __slots__ = ("_uses", "index", "name", "owner", "type")

    def __init__(self, type: TensorType, owner: Node | Graph, index: int, name: str = "") -> None:
        self.type = type
        self.owner = owner
        self.index = index
        self.name = name
        self._uses: dict[Use, None] = {}

    @property
    def node(self) -> Node | None:
        """The node that computes it; None for an input of a graph."""
        return self.owner if isinstance(self.owner, Node) else None

    @property
    def graph(self) -> Graph | None:
        """The graph it lives in; None while its node is not inserted."""
        return self.owner if isinstance(self.owner, Graph) else self.owner.graph

    @property
    def uses(self) -> tuple[Use, ...]:
        return tuple(self._uses)

    @property
    def users(self) -> tuple[Node, ...]:
        """The nodes that read it, each once, in order of first use."""
        return tuple(dict.fromkeys(use.node for use in self._uses))

    @property
    def loc(self) -> Loc:
        return self.owner.loc if isinstance(self.owner, Node) else UNKNOWN

    def replace_by(self, other: Value) -> None:
        """Let every use read `other` instead."""
        for use in self.uses:
            use.node.set_operand(use.index, other)
        if self.name and not other.name and isinstance(other.owner, Node):
            other.name = self.name

    def _add_use(self, use: Use) -> None:
        self._uses[use] = None

    def _drop_use(self, use: Use) -> None:
        del self._uses[use]

    def __repr__(self) -> str:
        return f"%{self.name or '?'} : {self.type}"


class Node:
    """One operation: operands, attributes, regions, results, location. Typed access is in its `Op` class."""

    opname: ClassVar[str] = ""
    terminator: ClassVar[bool] = False

    __slots__ = ("_next", "_operands", "_prev", "attributes", "graph", "loc", "regions", "results", "segments")

    def __init__(
        self,
        operands: Sequence[Value],
        segments: tuple[int, ...],
        attributes: Mapping[str, Attr],
        regions: Sequence[Graph],
        loc: Loc,
    ) -> None:
        self._operands: list[Value] = list(operands)
        self.segments = segments  # number of operands of each operand field, in order
        self.attributes: dict[str, Attr] = dict(attributes)
        self.regions: tuple[Graph, ...] = tuple(regions)
        self.results: tuple[Value, ...] = ()
        self.loc = loc
        self.graph: Graph | None = None
        self._prev: Node | None = None
        self._next: Node | None = None
        for index, value in enumerate(self._operands):
            value._add_use(Use(self, index))  # pyright: ignore[reportPrivateUsage]
        for region in self.regions:
            region.parent = self

    @property
    def operands(self) -> tuple[Value, ...]:
        return tuple(self._operands)

    @property
    def result(self) -> Value:
        """The only result. Raises ValueError if there is not exactly one."""
        (value,) = self.results
        return value

    @property
    def next(self) -> Node | None:
        return self._next

    @property
    def prev(self) -> Node | None:
        return self._prev

    def set_operand(self, index: int, value: Value) -> None:
        """Let operand `index` read `value`."""
        old = self._operands[index]
        if old is value:
            return
        old._drop_use(Use(self, index))  # pyright: ignore[reportPrivateUsage]
        self._operands[index] = value
        value._add_use(Use(self, index))  # pyright: ignore[reportPrivateUsage]
        self.touch()

    def set_operands(self, operands: Sequence[Value], segments: tuple[int, ...]) -> None:
        """Replace all operands at once."""
        self.drop_operands()
        self._operands = list(operands)
        self.segments = segments
        for index, value in enumerate(self._operands):
            value._add_use(Use(self, index))  # pyright: ignore[reportPrivateUsage]
        self.touch()

    def drop_operands(self) -> None:
        """Read nothing any more (before being erased)."""
        for index, value in enumerate(self._operands):
            value._drop_use(Use(self, index))  # pyright: ignore[reportPrivateUsage]
        self._operands = []

    def touch(self) -> None:
        """Count a mutation."""
        if self.graph is not None:
            self.graph.touch()

    def erase(self) -> None:
        """Remove the node from its graph. Raises ValueError if a result is still used."""
        for value in self.results:
            if value.uses:
                raise ValueError(f"cannot erase {self.opname}: {value!r} is still used by {value.users[0].opname}")
        for region in self.regions:
            for node in reversed(list(region.nodes)):
                node.erase()
        self.drop_operands()
        if self.graph is not None:
            self.graph.unlink(self)

    def replace_by(self, *values: Value) -> None:
        """Let every use of the results read `values` instead, then erase the node."""
        for old, new in zip(self.results, values, strict=True):
            old.replace_by(new)
        self.erase()

    def operand_groups(self) -> list[Value | None]:
        """The operands as they print; None stands for a missing one."""
        return list(self._operands)

    def shown_attributes(self) -> tuple[list[str], list[tuple[str, str]]]:
        """Attribute texts in front of the operands, and (name, text) pairs for the braces."""
        return [], [(name, attr_text(value)) for name, value in self.attributes.items()]

    def walk(self) -> Iterator[Node]:
        """This node and everything in its regions."""
        yield self
        for region in self.regions:
            yield from region.walk()

    def __repr__(self) -> str:
        return print_node(self)


class _Cursor:
    """An iteration: the node it has handed out, and where it goes on once that node has left its place."""

    __slots__ = ("current", "following")

    def __init__(self) -> None:
        self.current: Node | None = None
        self.following: Node | None = None


class Graph:
    """A list of nodes with inputs: the body of a function (with a name and symbols) or of a region (with a parent)."""

    __slots__ = ("_cursors", "_first", "_last", "inputs", "module", "mutations", "name", "parent", "symbols")

    def __init__(
        self,
        inputs: Iterable[TensorType] = (),
        *,
        names: Sequence[str] = (),
        name: str = "",
        symbols: Iterable[Symbol] = (),
    ) -> None:
        types = list(inputs)
        hints = list(names) + [""] * (len(types) - len(names))
        self.inputs: list[Value] = [Value(t, self, i, n) for i, (t, n) in enumerate(zip(types, hints, strict=True))]
        self.name = name
        self.symbols: dict[str, Symbol] = {s.name: s for s in symbols}
        self.parent: Node | None = None
        self.module: Module | None = None
        self.mutations = 0
        self._first: Node | None = None
        self._last: Node | None = None
        self._cursors: list[_Cursor] = []

    # -- reading

    @property
    def nodes(self) -> Iterator[Node]:
        """The nodes in order. Any node may be erased, moved or inserted while iterating.

        Nodes inserted behind the current one are met; where that has left its place, the iteration goes on behind it.
        """
        cursor = _Cursor()
        self._cursors.append(cursor)
        try:
            cursor.current = self._first
            while (node := cursor.current) is not None:
                yield node
                cursor.current = node.next if cursor.current is node else cursor.following
        finally:
            self._cursors.remove(cursor)

    @property
    def terminator(self) -> Node | None:
        return self._last if self._last is not None and self._last.terminator else None

    @property
    def outputs(self) -> tuple[Value, ...]:
        """What the graph returns or yields; empty while it has no terminator."""
        return self.terminator.operands if self.terminator else ()

    @property
    def function(self) -> Graph:
        """The function this graph is in (itself unless it is a region)."""
        graph = self
        while graph.parent is not None and graph.parent.graph is not None:
            graph = graph.parent.graph
        return graph

    def walk(self) -> Iterator[Node]:
        """All nodes in order, those in regions after their owner."""
        for node in self.nodes:
            yield from node.walk()

    # -- editing

    def touch(self) -> None:
        self.mutations += 1
        if self.parent is not None:
            self.parent.touch()

    def add_input(self, type: TensorType, name: str = "") -> Value:
        value = Value(type, self, len(self.inputs), name)
        self.inputs.append(value)
        self.touch()
        return value

    def remove_input(self, index: int) -> None:
        """Remove an unused input. Raises ValueError if it is used."""
        if self.inputs[index].uses:
            raise ValueError(f"input {index} is still used")
        del self.inputs[index]
        for position, value in enumerate(self.inputs):
            value.index = position
        self.touch()

    def append(self, node: Node) -> Node:
        return self.insert(node, after=self._last)

    def insert(self, node: Node, *, before: Node | None = None, after: Node | None = None) -> Node:
        """Link a new node in front of `before` or behind `after` (at the start if both are None)."""
        if node.graph is not None:
            raise ValueError(f"{node.opname} is already in a graph")
        if before is not None:
            after = before.prev
        following = after.next if after is not None else self._first
        node._prev, node._next, node.graph = after, following, self  # pyright: ignore[reportPrivateUsage]
        if after is None:
            self._first = node
        else:
            after._next = node  # pyright: ignore[reportPrivateUsage]
        if following is None:
            self._last = node
        else:
            following._prev = node  # pyright: ignore[reportPrivateUsage]
        self.touch()
        return node

    def unlink(self, node: Node) -> None:
        """Take a node out without touching its operands (to move it; otherwise use `Node.erase`)."""
        if node.graph is not self:
            raise ValueError(f"{node.opname} is not in this graph")
        before, following = node.prev, node.next
        for cursor in self._cursors:
            if cursor.current is node:
                cursor.current, cursor.following = None, following
            elif cursor.current is None and cursor.following is node:
                cursor.following = following
        if before is None:
            self._first = following
        else:
            before._next = following  # pyright: ignore[reportPrivateUsage]
        if following is None:
            self._last = before
        else:
            following._prev = before  # pyright: ignore[reportPrivateUsage]
        node._prev = node._next = node.graph = None  # pyright: ignore[reportPrivateUsage]
        self.touch()

    def __str__(self) -> str:
        return print_graph(self)


class Module:
    """Named functions, in order. `main` is the one that is compiled."""

    def __init__(self, functions: Iterable[Graph] = ()) -> None:
        self.functions: dict[str, Graph] = {}
        self._removed = 0  # mutations of functions that are gone
        for function in functions:
            self.add(function)

    @property
    def main(self) -> Graph:
        """The function that is compiled. Raises IrcError if there is none."""
        if "main" not in self.functions:
            raise IrcError("there is no function @main", hint="the one to be compiled has that name")
        return self.functions["main"]

    @property
    def mutations(self) -> int:
        return sum(f.mutations + 1 for f in self.functions.values()) + self._removed

    def add(self, function: Graph) -> Graph:
        """Add a function. Raises ValueError if the name is taken."""
        if function.name in self.functions:
            raise ValueError(f"function @{function.name} exists already")
        function.module = self
        self.functions[function.name] = function
        return function

    def remove(self, name: str) -> None:
        """Remove a function that nothing calls."""
        function = self.functions.pop(name)
        function.module = None
        self._removed += function.mutations + 2

    def walk(self) -> Iterator[Node]:
        for function in self.functions.values():
            yield from function.walk()

    def apply(self, passes: str, **settings: Any) -> Module:
        """A copy of this module behind a pipeline: `module.apply("quant8,fuse", calib=arrays)`; see `irc.apply`."""
        return API.get("apply")(self, passes, **settings)

    def __str__(self) -> str:
        return print_module(self)
