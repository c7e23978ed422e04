"""Computing at compile time what depends on constants only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from irc.ir.builder import Builder
from irc.ir.constants import Data
from irc.ir.dims import Expr
from irc.ir.graph import Value
from irc.ir.op import Op
from irc.ir.ops.linear import Conv, Linear, Matmul
from irc.ir.ops.structure import STRUCTURAL, Const
from irc.ir.ops.tensor import Expand
from irc.ir.rewrite import Match, Miss, Rule, op_


@dataclass(frozen=True)
class FoldConstants(Rule):
    """op(constants) -> constant

    The result may have more elements than the operands together only up to `grow`, so that an `expand` stays one, or
    if it only serves to compute weights: those that were packed, grouped or of low rank are written out.
    """

    grow: int

    pattern = op_(Op)

    def guard(self, m: Match) -> Miss | None:
        op = m.root
        if isinstance(op, STRUCTURAL) or not op.pure:
            return Miss(f"{op.opname} is no computation")
        operands = [v.node for v in op.operands]
        if not all(isinstance(n, Const) and n.value.loaded for n in operands):
            return Miss("an operand is not a constant with loaded values")
        constants = cast("list[Const]", operands)
        if any(c.mask for c in constants):
            return Miss("the mask of a constant would be lost")
        results = [v.type for v in op.results]
        if any(c.to.encoding for c in constants) and not all(t.encoding for t in results):
            return Miss("codes would lose their encoding")
        shapes = [t.static_shape for t in results]
        if any(s is None for s in shapes) or any(_symbolic(a) for a in op.attributes.values()):
            return Miss("the result depends on a symbolic dimension")
        size = sum(int(np.prod(s, dtype=np.int64)) for s in shapes if s is not None)
        if size > max(self.grow, sum(c.value.size for c in constants)) and not _makes_weights(op):
            return Miss(f"the result has {size} elements, more than its operands and than {self.grow}")
        return None

    def build(self, m: Match, b: Builder) -> Sequence[Value]:
        op = m.root
        arrays = [cast(Const, v.node).value.array for v in op.operands]
        dims: dict[str, Any] = {"dims": {}} if op.takes_dims else {}
        with np.errstate(all="ignore"):  # infinities and NaNs are legal values of float graphs
            out: Any = op.reference(*op.by_field(arrays), **dims)
        results = cast("tuple[Any, ...]", out) if isinstance(out, tuple) else (out,)
        return [
            b(Const(Data.of(array, value.type.scalar), value.type.element), value.name)
            for array, value in zip(results, op.results, strict=True)
        ]


def _makes_weights(op: Op) -> bool:
    """Whether all that reads the result computes weights from constants, and it is no mere repetition of others."""
    if isinstance(op, Expand):
        return False
    todo, seen = list(op.results), set[Value]()
    while todo:
        value = todo.pop()
        if not value.uses:
            return False
        for use in value.uses:
            reader = use.node
            if isinstance(reader, Linear | Conv | Matmul) and use.index == 1:
                continue
            if not (isinstance(reader, Op) and _of_constants(reader)):
                return False
            todo += [v for v in reader.results if v not in seen]
            seen.update(reader.results)
    return True


def _of_constants(op: Op) -> bool:
    """Whether an op, and all that its operands are computed by, depends on constants only."""
    todo: list[Any] = [op]
    seen: set[Any] = set()
    while todo:
        node = todo.pop()
        if isinstance(node, Const):
            continue
        if not isinstance(node, Op) or isinstance(node, STRUCTURAL) or not node.pure:
            return False
        todo += [v.node for v in node.operands if v.node not in seen]
        seen.update(v.node for v in node.operands)
    return True


class EmptyConstant(Rule):
    """op, whose results have no elements -> empty constants"""

    pattern = op_(Op)

    def guard(self, m: Match) -> Miss | None:
        op = m.root
        if isinstance(op, STRUCTURAL) or not op.pure:
            return Miss(f"{op.opname} is no computation")
        full = [v.type for v in op.results if 0 not in (v.type.static_shape or ())]
        return Miss(f"the result is {full[0]}") if full else None

    def build(self, m: Match, b: Builder) -> Sequence[Value]:
        types = [v.type for v in m.root.results]
        empty = [np.zeros(t.static_shape or (), t.scalar.dtype) for t in types]
        return [b(Const(Data.of(a, t.scalar), t.element)) for a, t in zip(empty, types, strict=True)]


def _symbolic(attribute: Any) -> bool:
    """Whether an attribute holds a symbolic dimension."""
    if isinstance(attribute, tuple):
        return any(_symbolic(item) for item in cast("tuple[Any, ...]", attribute))
    return isinstance(attribute, Expr)
