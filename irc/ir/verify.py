"""The verifier: structure, dominance, types, declared symbols, and what each op checks. Collects everything it finds."""

from __future__ import annotations

from irc.ir.diagnostics import Collector, IrcError
from irc.ir.graph import Graph, Module, Node, Value
from irc.ir.op import Op


def verify(module: Module) -> None:
    """Check a whole module. Raises IrcError with every finding."""
    found = Collector()
    for name, function in module.functions.items():
        if function.name != name or function.module is not module:
            found.add(f"function @{function.name} is filed as @{name}")
        _graph(function, set(), found)
    found.raise_if_any()


def _graph(graph: Graph, symbols: set[str], found: Collector) -> None:
    known = symbols | set(graph.symbols)
    visible: set[Value] = set(graph.inputs)
    for value in graph.inputs:
        _declared(value, known, found)
    last: Node | None = None
    for node in graph.nodes:
        if last is not None and last.terminator:
            found.add(f"{node.opname} follows the terminator", node.loc)
        _node(node, visible, known, found)
        visible.update(node.results)
        last = node
    if last is None or not last.terminator:
        found.add(f"{'region' if graph.parent else f'function @{graph.name}'} has no terminator")


def _node(node: Node, visible: set[Value], symbols: set[str], found: Collector) -> None:
    for index, value in enumerate(node.operands):
        if value not in visible:
            found.add(
                f"{node.opname}: operand {index} (%{value.name or '?'}) is not defined before its use in this graph",
                node.loc,
            )
    if not isinstance(node, Op):
        found.add(f"{node.opname} is not a declared op", node.loc)
        return
    for region in node.regions:
        _graph(region, symbols, found)
    try:
        inferred = node.infer_types()
        node.check()
    except IrcError as error:
        found.found += error.diagnostics
        return
    if len(inferred) != len(node.results):
        found.add(f"{node.opname} has {len(node.results)} results, expected {len(inferred)}", node.loc)
        return
    for value, expected in zip(node.results, inferred, strict=True):
        if not value.type.matches(expected):
            found.add(f"{node.opname}: result is {value.type}, expected {expected}", node.loc)
        _declared(value, symbols, found)


def _declared(value: Value, symbols: set[str], found: Collector) -> None:
    for name in sorted(value.type.symbols() - symbols):
        found.add(f"symbol {name} is not declared in 'where'", value.loc)
