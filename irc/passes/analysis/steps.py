"""Where floats meet a step: on its other side comes out another integer or bool, so there the last bit counts."""

from __future__ import annotations

from typing import cast

from irc.ir.graph import Graph, Use, Value
from irc.ir.op import Op
from irc.ir.ops.linear import Conv, Linear, Matmul
from irc.ir.ops.math import Add, Cast, Compare, Cumsum, Floor, Mean, Mul, Round, Sub, Sum
from irc.ir.ops.pool import AvgPool
from irc.ir.ops.structure import Const, Return
from irc.ir.scalars import BOOL

SUMS = (Linear, Conv, Matmul, Add, Sub, Mul, Sum, Cumsum, Mean, AvgPool)


def hands_on(op: Op) -> bool:
    """Whether a small error of an operand is one of the result: elementwise arithmetic and data movement."""
    return bool(op.elementwise) or op.view


def is_step(op: Op) -> bool:
    """Whether the result jumps where an operand changes a little."""
    return isinstance(op, Floor | Round | Compare) or (isinstance(op, Cast) and not op.to.scalar.is_float)


def meets_step(value: Value) -> bool:
    """Whether a value reaches a step through elementwise arithmetic and data movement."""
    todo, seen = [value], set[Value]()
    while todo:
        current = todo.pop()
        if current in seen:
            continue
        seen.add(current)
        readers = [cast(Op, user) for user in current.users]
        if any(map(is_step, readers)):
            return True
        todo += [result for op in readers if hands_on(op) for result in op.results]
    return False


class Floats:
    """The values of a function that are no quantities for codes of a few bits, but stay floats.

    `counted`: those from which elementwise arithmetic and data movement make integers, such as indices, whatever else
    reads them. `flags`: those that serve for comparisons alone. Of both only what enters the function, is made by
    such arithmetic or is a sum; the results of other ops have codes. `moved`: inputs, and parts of inputs, that are
    results.
    """

    def __init__(self, graph: Graph) -> None:
        self.counted: set[Value] = set()
        self.flags: set[Value] = set()
        self.moved: set[Value] = set()
        nodes = [cast(Op, node) for node in graph.nodes]
        for op in reversed(nodes):
            for value in op.results:
                self._note(value)
        for value in graph.inputs:
            self._note(value)
        for found in (self.counted, self.flags):
            found -= {v for v in found if not (v.node is None or _may_stay(cast(Op, v.node)))}
        self._note_moved(graph, nodes)

    def _note(self, value: Value) -> None:
        if not value.type.scalar.is_float:
            return
        readers = [cast(Op, user) for user in value.users]
        if any(_makes_integers(op) or self._hands_on_to(op, self.counted) for op in readers):
            self.counted.add(value)
        elif readers and all(_makes_bools(op) or self._hands_on_to(op, self.flags) for op in readers):
            self.flags.add(value)

    def _hands_on_to(self, op: Op, found: set[Value]) -> bool:
        return hands_on(op) and any(result in found for result in op.results)

    def _note_moved(self, graph: Graph, nodes: list[Op]) -> None:
        inputs = {v for v in graph.inputs if v.type.scalar.is_float}
        for op in nodes:
            if op.view and all(v in inputs for v in _floats_of(op)):
                inputs.update(v for v in op.results if v.type.scalar.is_float)
        for op in reversed(nodes):
            if isinstance(op, Return) or any(v in self.moved for v in op.results):
                self.moved.update(v for v in op.operands if v in inputs)

    def computes(self, op: Op) -> bool:
        """Whether an op works on such floats alone."""
        floats = _floats_of(op)
        if op.view and floats and all(v in self.moved for v in (*floats, *op.results)):
            return True
        return hands_on(op) and bool(floats) and all(v in self.counted or v in self.flags for v in floats)

    def reads(self, use: Use) -> bool:
        """Whether a reader takes one of the values, or a constant, as it is."""
        op, value = cast(Op, use.node), use.node.operands[use.index]
        if isinstance(value.node, Const):
            return self.computes(op)
        known = value in self.counted or value in self.flags or value in self.moved
        return known and (isinstance(op, Return) or self.computes(op))

    def makes(self, op: Op) -> bool:
        """Whether a result is one of the values that become integers or bools."""
        return any(v in self.counted or v in self.flags for v in op.results)


def _may_stay(op: Op) -> bool:
    return hands_on(op) or isinstance(op, SUMS)


def _makes_integers(op: Op) -> bool:
    return isinstance(op, Cast) and op.to.scalar.is_integer and op.to.scalar != BOOL


def _makes_bools(op: Op) -> bool:
    return isinstance(op, Compare) or (isinstance(op, Cast) and op.to.scalar == BOOL)


def _floats_of(op: Op) -> list[Value]:
    """The operands that are floats, but for constants."""
    return [v for v in op.operands if v.type.scalar.is_float and not isinstance(v.node, Const)]
