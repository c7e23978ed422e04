"""`cse`: what is computed twice is computed once."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, cast

from irc.ir.graph import Graph, Module, Value
from irc.ir.location import fuse
from irc.ir.op import Op
from irc.ir.rewrite import graphs_of
from irc.passes.base import Pass, PassContext


@dataclass(frozen=True)
class Cse(Pass):
    """Merge pure nodes with equal operands, attributes and types; the first stays and takes all locations."""

    name = "cse"
    effect = "exact"

    def run(self, module: Module, cx: PassContext) -> None:
        for graph in graphs_of(module):
            _merge(graph, self.name)


def _merge(graph: Graph, pass_name: str) -> None:
    numbers: dict[Value, int] = {}  # in order of definition, so that nothing depends on addresses
    first: dict[Hashable, Op] = {}
    for value in graph.inputs:
        numbers[value] = len(numbers)
    for node in graph.nodes:
        op = cast(Op, node)
        known = first.setdefault(_key(op, numbers), op) if op.pure and not op.regions else op
        if known is op:
            for value in op.results:
                numbers[value] = len(numbers)
        else:
            known.loc = fuse((known.loc, op.loc)).via(pass_name)
            op.replace_by(*known.results)


def _key(op: Op, numbers: dict[Value, int]) -> Hashable:
    operands = [numbers[v] for v in op.operands]
    if op.commutative:
        operands.sort()
    attributes = tuple((name, _exact(value)) for name, value in op.attributes.items())
    return type(op), tuple(operands), op.segments, attributes, tuple(v.type for v in op.results)


def _exact(value: Any) -> Hashable:
    """An attribute so that equal keys mean equal bits: 0.0 is not -0.0, 1 is not 1.0."""
    if isinstance(value, tuple):
        return tuple(_exact(item) for item in cast("tuple[Any, ...]", value))
    return type(value).__name__, repr(value) if isinstance(value, float) else value
