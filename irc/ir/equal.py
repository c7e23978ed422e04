"""Structural equality of modules: everything but value names, locations included; and what the first difference is."""

from __future__ import annotations

from irc.ir.graph import Graph, Module, Node, Value


def difference(a: Module, b: Module) -> str:
    """Where two modules first differ, in words; empty if they are equal."""
    if list(a.functions) != list(b.functions):
        return f"functions {list(a.functions)} and {list(b.functions)}"
    for name in a.functions:
        if found := _graphs(a.functions[name], b.functions[name], {}):
            return f"@{name}: {found}"
    return ""


def equal(a: Module, b: Module) -> bool:
    """Whether two modules are the same but for the names of values inside functions."""
    return not difference(a, b)


def _graphs(a: Graph, b: Graph, pairs: dict[Value, Value]) -> str:
    if a.symbols != b.symbols:
        return f"symbols {list(map(str, a.symbols.values()))} and {list(map(str, b.symbols.values()))}"
    if len(a.inputs) != len(b.inputs):
        return f"{len(a.inputs)} and {len(b.inputs)} inputs"
    if found := _values(a.inputs, b.inputs, pairs, "input"):
        return found
    nodes_a, nodes_b = list(a.nodes), list(b.nodes)
    for index, (x, y) in enumerate(zip(nodes_a, nodes_b, strict=False)):
        if found := _nodes(x, y, pairs):
            return f"node {index} ({x.opname}): {found}"
    return f"{len(nodes_a)} and {len(nodes_b)} nodes" if len(nodes_a) != len(nodes_b) else ""


def _values(
    a: list[Value] | tuple[Value, ...], b: list[Value] | tuple[Value, ...], pairs: dict[Value, Value], what: str
) -> str:
    for index, (x, y) in enumerate(zip(a, b, strict=True)):
        if not x.type.matches(y.type):
            return f"{what} {index} is {x.type} and {y.type}"
        pairs[x] = y
    return ""


def _nodes(a: Node, b: Node, pairs: dict[Value, Value]) -> str:
    if a.opname != b.opname:
        return f"{a.opname} and {b.opname}"
    if a.segments != b.segments or [pairs.get(v) for v in a.operands] != list(b.operands):
        return "different operands"
    if a.attributes != b.attributes:
        return f"attributes {a.attributes} and {b.attributes}"
    if a.loc != b.loc:
        return f"locations '{a.loc}' and '{b.loc}'"
    if len(a.results) != len(b.results) or len(a.regions) != len(b.regions):
        return "different numbers of results or regions"
    for x, y in zip(a.regions, b.regions, strict=True):
        if found := _graphs(x, y, pairs):
            return found
    return _values(a.results, b.results, pairs, "result")
