"""The verifier: structure, dominance, types, declared symbols, and what each op checks. It collects all it finds."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from irc.ir.attrs import FuncRef
from irc.ir.diagnostics import Collector, Diagnostic, IrcError, Span
from irc.ir.dims import Symbol, bounds
from irc.ir.graph import Graph, Module, Node, Value
from irc.ir.location import UNKNOWN
from irc.ir.op import Op

IDENTIFIER = re.compile(r"[A-Za-z0-9_.$]+", re.ASCII)


def verify(module: Module, spans: Mapping[object, Span] | None = None) -> None:
    """Check a whole module. Raises IrcError with every finding.

    `spans` says where functions, nodes and values stand in a text, for findings about them.
    """
    check = _Verifier(spans or {})
    for name, function in module.functions.items():
        if function.name != name or function.module is not module:
            check.found(f"function @{function.name} is filed as @{name}", function)
        check.function(function)
    check.recursion(module)
    check.collected.raise_if_any()


class _Verifier:
    def __init__(self, spans: Mapping[object, Span]) -> None:
        self.spans = spans
        self.collected = Collector()
        self.symbols: Mapping[str, Symbol] = {}

    def found(self, message: str, at: Graph | Node | Value) -> None:
        loc = UNKNOWN if isinstance(at, Graph) else at.loc
        self.collected.found.append(Diagnostic(message, loc, self.spans.get(at)))

    # -- functions

    def function(self, function: Graph) -> None:
        self.symbols = function.symbols
        for name in [function.name, *function.symbols]:
            if not IDENTIFIER.fullmatch(name):
                self.found(f"'{name}' is not a name: letters, digits, '_', '.' and '$'", function)
        named: set[str] = set()
        for value in function.inputs:
            if value.name and (value.name in named or not IDENTIFIER.fullmatch(value.name)):
                self.found(f"input name '{value.name}' is used twice or is not a name", value)
            named.add(value.name)
        self.graph(function, "return")

    def recursion(self, module: Module) -> None:
        """Report functions that call themselves, by whatever way."""
        for name, function in module.functions.items():
            reached: set[str] = set()
            ahead = list(_callees(function))
            while ahead:
                callee = ahead.pop()
                if callee in module.functions and callee not in reached:
                    reached.add(callee)
                    ahead += _callees(module.functions[callee])
            if name in reached:
                self.found(f"@{name} calls itself", function)

    # -- graphs and nodes

    def graph(self, graph: Graph, terminator: str) -> None:
        visible: set[Value] = set(graph.inputs)
        for value in graph.inputs:
            self.value(value)
        last: Node | None = None
        for node in graph.nodes:
            if last is not None and last.terminator:
                self.found(f"{node.opname} follows the terminator", node)
            self.node(node, visible)
            visible.update(node.results)
            last = node
        owner = graph.parent or graph
        if last is None or last.opname != terminator:
            what = "region" if graph.parent else f"function @{graph.name}"
            self.found(f"{what} does not end with '{terminator}'", owner)

    def node(self, node: Node, visible: set[Value]) -> None:
        for index, value in enumerate(node.operands):
            if value not in visible:
                name = f"%{value.name or '?'}"
                self.found(f"{node.opname}: operand {index} ({name}) is not defined before its use in this graph", node)
        if not isinstance(node, Op):
            self.found(f"{node.opname} is not a declared op", node)
            return
        for region in node.regions:
            self.graph(region, "yield")
        try:
            inferred = node.infer_types()
            node.check()
        except IrcError as error:
            self.collected.found += [replace(d, span=d.span or self.spans.get(node)) for d in error.diagnostics]
            return
        if len(inferred) != len(node.results):
            self.found(f"{node.opname} has {len(node.results)} results, expected {len(inferred)}", node)
            return
        for value, expected in zip(node.results, inferred, strict=True):
            if not value.type.matches(expected):
                self.found(f"{node.opname}: result is {value.type}, expected {expected}", node)
            self.value(value)

    def value(self, value: Value) -> None:
        """Check a type by itself: its encoding, its symbols, the range of its dimensions."""
        if problem := value.type.problem():
            self.found(f"{value.type}: {problem}", value)
            return
        undeclared = sorted(value.type.symbols() - set(self.symbols))
        for name in undeclared:
            self.found(f"symbol {name} is not declared in 'where'", value)
        if undeclared:
            return
        for dim in value.type.shape:
            try:
                if bounds(dim, self.symbols)[1] < 0:
                    self.found(f"{value.type}: dimension {dim} is negative", value)
            except IrcError as error:
                self.found(f"{value.type}: {error.diagnostics[0].message}", value)


def _callees(function: Graph) -> Iterator[str]:
    """The functions that nodes of this one refer to."""
    for node in function.walk():
        for attribute in node.attributes.values():
            if isinstance(attribute, FuncRef):
                yield attribute
