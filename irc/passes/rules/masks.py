"""Rules about attention masks: whatever adds a very negative number to scores becomes `where(keep, scores, -inf)`.

All of this is exact for rows that keep something: exp underflows to 0 long before `VERY_NEGATIVE`, unless kept scores
differ by about as much themselves. A row that keeps nothing was a softmax over shifted scores and becomes NaN (zeros in
`sdpa` and `int_softmax`), as `-inf` always meant.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from irc.ir.builder import Builder
from irc.ir.clone import rebuilt
from irc.ir.dims import same_shape
from irc.ir.graph import Value
from irc.ir.op import Op
from irc.ir.ops.attention import Sdpa
from irc.ir.ops.bits import And, Not
from irc.ir.ops.math import Add, Cast, Compare, Mul, Sub, Where
from irc.ir.ops.norm import Softmax
from irc.ir.ops.quant import constant_of
from irc.ir.ops.structure import Const
from irc.ir.ops.tensor import Expand, Permute, Reshape, Slice
from irc.ir.rewrite import Match, Miss, Rule, any_, op_
from irc.ir.scalars import BOOL
from irc.passes.matchers import VERY_NEGATIVE, is_mask_fill

Recipe = Callable[[Builder], Value]
"""Builds the bool tensor that is true where a mask keeps."""

MAX_DEPTH = 16  # of the expression that computes a mask


def keeps(value: Value, depth: int = MAX_DEPTH) -> Recipe | None:
    """How to compute where an additive mask keeps (is 0); None if the value is no such mask."""
    node = value.node
    reader = READERS.get(type(node)) if isinstance(node, Op) and depth else None
    return reader(node, depth - 1) if reader else None


def _is(value: Value, number: float) -> bool:
    array = constant_of(value)
    return array is not None and bool(np.all(array == number))


def _constant(node: Const, depth: int) -> Recipe | None:
    """A constant of zeros and very negative numbers, both present."""
    array = constant_of(node.result)
    if array is None or not node.value.scalar.is_float:
        return None
    zero, fill = array == 0, array <= VERY_NEGATIVE
    if not (np.all(zero | fill) and np.any(zero) and np.any(fill)):
        return None
    return lambda b: b.const(zero, BOOL)


def _where(node: Where, depth: int) -> Recipe | None:
    """where(keep, 0, fill), where(hide, fill, 0), and where(v is not 0, fill, v)."""
    if not same_shape(node.condition.type.shape, node.result.type.shape):
        return None
    if _is(node.x, 0) and is_mask_fill(node.y):
        return lambda b: node.condition
    if is_mask_fill(node.x) and (_is(node.y, 0) or _tests(node.condition, node.y)):
        return lambda b: b(Not(node.condition))
    return None


def _tests(condition: Value, value: Value) -> bool:
    """Whether a condition is `value != 0`."""
    node = condition.node
    if isinstance(node, Cast):
        return node.x is value
    return isinstance(node, Compare) and node.how == "ne" and node.x is value and _is(node.y, 0)


def _product(node: Mul, depth: int) -> Recipe | None:
    """(1 - mask) * fill: 0 where the mask is 1, which is all it may be besides 0."""
    rest, fill = node.x.node, constant_of(node.y)
    if not isinstance(rest, Sub) or not _is(rest.x, 1) or fill is None or not is_mask_fill(node.y):
        return None
    if not np.all(np.isfinite(fill)):  # 0 * -inf is no 0
        return None
    mask = rest.y
    if not same_shape(mask.type.shape, node.result.type.shape):
        return None
    if isinstance(mask.node, Cast) and mask.node.x.type.scalar == BOOL:
        flags = mask.node.x
        return lambda b: flags
    return lambda b: b(Compare(mask, b.const(1, mask.type.scalar), how="eq"))


def _sum(node: Add, depth: int) -> Recipe | None:
    """Two masks added, such as a causal one and one of padding."""
    first, second = keeps(node.x, depth), keeps(node.y, depth)
    if first is None or second is None:
        return None
    return lambda b: b(And(first(b), second(b)))


def _moved(node: Any, depth: int) -> Recipe | None:
    """A mask that is moved, or cast to another float type."""
    inner = keeps(node.x, depth)
    if inner is None:
        return None
    return inner if isinstance(node, Cast) else lambda b: b(rebuilt(node, x=inner(b)))


READERS: dict[type[Op], Callable[[Any, int], Recipe | None]] = {
    Const: _constant,
    Where: _where,
    Mul: _product,
    Add: _sum,
    **dict.fromkeys((Reshape, Expand, Permute, Slice, Cast), _moved),
}


def _only_softmax(value: Value) -> Miss | None:
    """A miss unless all that reads the value is softmax."""
    other = next((u for u in value.users if not isinstance(u, Softmax)), None)
    return Miss(f"the scores are read by {other.opname}, not only by softmax") if other else None


class AdditiveMask(Rule):
    """scores + mask of zeros and very negative numbers -> where(keep, scores, -inf), in front of softmax"""

    pattern = op_(Add)

    def guard(self, m: Match) -> Miss | None:
        return _only_softmax(m.root.results[0]) if _split(m.root) else Miss("no operand is an additive mask")

    def build(self, m: Match, b: Builder) -> Value:
        found = _split(m.root)
        assert found is not None
        scores, keep = found
        return b(Where(keep(b), scores, b.const(-math.inf, scores.type.scalar)))


def _split(op: Op) -> tuple[Value, Recipe] | None:
    """A sum as (scores, where the mask among its operands keeps)."""
    x, y = op.operands
    for scores, mask in ((x, y), (y, x)):
        if (keep := keeps(mask)) is not None:
            return scores, keep
    return None


class FillOnTheRight(Rule):
    """where(hide, very negative, scores) -> where(not hide, scores, very negative), in front of softmax"""

    pattern = op_(Where, name="where")

    def guard(self, m: Match) -> Miss | None:
        where = m.node("where")
        if not is_mask_fill(where.x) or is_mask_fill(where.y):
            return Miss("its first value is not a very negative constant")
        return _only_softmax(where.result)

    def build(self, m: Match, b: Builder) -> Value:
        where = m.node("where")
        return b(Where(b(Not(where.condition)), where.y, where.x))


class MaskOfMasked(Rule):
    """where(keep, where(also, scores, fill), very negative) -> where(keep and also, scores, very negative), in front of
    softmax
    """

    pattern = op_(Where, any_(), op_(Where, name="inner", once=True), name="outer")

    def guard(self, m: Match) -> Miss | None:
        if not (is_mask_fill(m.node("outer").y) and is_mask_fill(m.node("inner").y)):
            return Miss("one of them does not fill with a very negative constant")
        return _only_softmax(m.node("outer").result)

    def build(self, m: Match, b: Builder) -> Value:
        outer, inner = m.node("outer"), m.node("inner")
        return b(Where(b(And(outer.condition, inner.condition)), inner.x, outer.y))


class AdditiveAttentionMask(Rule):
    """sdpa with an additive mask -> sdpa with a bool mask"""

    pattern = op_(Sdpa, name="sdpa")

    def guard(self, m: Match) -> Miss | None:
        mask = m.node("sdpa").mask
        if mask is None or mask.type.scalar == BOOL:
            return Miss("there is no float mask")
        return None if keeps(mask) else Miss("the mask is not made of zeros and very negative numbers")

    def build(self, m: Match, b: Builder) -> Value:
        sdpa = m.node("sdpa")
        keep = keeps(sdpa.mask)
        assert keep is not None
        return b(rebuilt(sdpa, mask=keep(b)))


RULES: tuple[Rule, ...] = (AdditiveMask(), FillOnTheRight(), MaskOfMasked(), AdditiveAttentionMask())
