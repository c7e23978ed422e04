"""Rules about attention masks: whatever adds a very negative number to scores becomes `where(keep, scores, -inf)`.

All of this is exact for rows that keep something: exp underflows to 0 long before `VERY_NEGATIVE`, unless kept scores
differ by about as much themselves. A row that keeps nothing stays what it was: NaN where the mask adds -inf, uniform
where it adds so much that scores vanish beside it. Less than that, such as -10000, leaves a softmax of the scores, so
`canonicalize` changes nothing there unless every row is known to keep something. Integers have no sums of codes and
such numbers: `decompose` takes the rest, whose rows that keep nothing become uniform (zeros in `int_softmax`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
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
from irc.ir.scalars import BOOL, ScalarType
from irc.passes.matchers import VERY_NEGATIVE, is_mask_fill
from irc.passes.rules.arithmetic import MANTISSA

MAX_DEPTH = 16  # of the expression that computes a mask
LARGEST_SCORE = 30.0  # of attention: e^30 is beyond what f32 tells from 1


@dataclass(frozen=True)
class Mask:
    """What is known of an additive mask. `keep` builds the bool tensor that is true where it is 0, `fill` is the least
    that it hides with, `full` tells that every row (last axis) keeps something.
    """

    keep: Callable[[Builder], Value]
    fill: float
    full: bool = False

    def is_exact(self, scalar: ScalarType) -> bool:
        """Whether rows that keep nothing stay what they were if all that they hide is replaced by one number."""
        return self.full or -self.fill * 2.0 ** -MANTISSA[str(scalar)] >= LARGEST_SCORE

    def fill_of(self, scalar: ScalarType) -> float:
        """What to put in place of hidden scores: -inf gives NaN in rows that keep nothing, as it did."""
        lowest = np.finfo(np.float32 if str(scalar) == "bf16" else scalar.dtype).min
        return -math.inf if self.full or math.isinf(self.fill) else float(lowest)


def additive_mask(value: Value, depth: int = MAX_DEPTH) -> Mask | None:
    """What is known of a mask of zeros and very negative numbers; None if the value is no such mask."""
    node = value.node
    reader = READERS.get(type(node)) if isinstance(node, Op) and depth else None
    return reader(node, depth - 1) if reader else None


def _is(value: Value, number: float) -> bool:
    array = constant_of(value)
    return array is not None and bool(np.all(array == number))


def _fill(value: Value) -> float:
    array = constant_of(value)
    assert array is not None
    return float(np.max(array, initial=-math.inf))


def _constant(node: Const, depth: int) -> Mask | None:
    """A constant of zeros and very negative numbers, both present."""
    array = constant_of(node.result)
    if array is None or not node.value.scalar.is_float:
        return None
    zero, fill = array == 0, array <= VERY_NEGATIVE
    if not (np.all(zero | fill) and np.any(zero) and np.any(fill)):
        return None
    full = bool(zero.any(axis=-1).all()) if zero.ndim else bool(zero)
    return Mask(lambda b: b.const(zero, BOOL), float(array[fill].max()), full)


def _where(node: Where, depth: int) -> Mask | None:
    """where(keep, 0, fill), where(hide, fill, 0), and where(v is not 0, fill, v)."""
    if not same_shape(node.condition.type.shape, node.result.type.shape):
        return None
    if _is(node.x, 0) and is_mask_fill(node.y):
        return Mask(lambda b: node.condition, _fill(node.y))
    if is_mask_fill(node.x) and (_is(node.y, 0) or _tests(node.condition, node.y)):
        return Mask(lambda b: b(Not(node.condition)), _fill(node.x))
    return None


def _tests(condition: Value, value: Value) -> bool:
    """Whether a condition is `value != 0`."""
    node = condition.node
    if isinstance(node, Cast):
        return node.x is value
    return isinstance(node, Compare) and node.how == "ne" and node.x is value and _is(node.y, 0)


def _product(node: Mul, depth: int) -> Mask | None:
    """(1 - mask) * fill with a mask of bools or of integers, which are 0 and 1; floats may lie between."""
    rest, fill = node.x.node, constant_of(node.y)
    if not isinstance(rest, Sub) or not _is(rest.x, 1) or fill is None or not is_mask_fill(node.y):
        return None
    if not np.all(np.isfinite(fill)):  # 0 * -inf is no 0
        return None
    mask = rest.y
    if not same_shape(mask.type.shape, node.result.type.shape) or not _is_whole(mask):
        return None
    if isinstance(mask.node, Cast) and mask.node.x.type.scalar == BOOL:
        flags = mask.node.x
        return Mask(lambda b: flags, _fill(node.y))
    return Mask(lambda b: b(Compare(mask, b.const(1, mask.type.scalar), how="eq")), _fill(node.y))


def _is_whole(value: Value) -> bool:
    """Whether floats are bools or integers that were cast, and maybe moved."""
    while isinstance(node := value.node, Reshape | Expand | Permute | Slice | Cast):
        value = node.x
        if not value.type.scalar.is_float:
            return True
    return False


def _sum(node: Add, depth: int) -> Mask | None:
    """Two masks added, such as a causal one and one of padding."""
    first, second = additive_mask(node.x, depth), additive_mask(node.y, depth)
    if first is None or second is None:
        return None
    return Mask(lambda b: b(And(first.keep(b), second.keep(b))), max(first.fill, second.fill))


def _moved(node: Any, depth: int) -> Mask | None:
    """A mask that is moved, or cast to another float type."""
    inner = additive_mask(node.x, depth)
    if inner is None or isinstance(node, Cast):
        return inner
    return Mask(lambda b: b(rebuilt(node, x=inner.keep(b))), inner.fill, inner.full and isinstance(node, Expand))


READERS: dict[type[Op], Callable[[Any, int], Mask | None]] = {
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


class HardMask(Rule):
    """scores + mask of zeros and very negative numbers -> where(keep, scores, lowest), in front of softmax"""

    pattern = op_(Add)

    def guard(self, m: Match) -> Miss | None:
        return _only_softmax(m.root.results[0]) if _split(m.root) else Miss("no operand is an additive mask")

    def build(self, m: Match, b: Builder) -> Value:
        found = _split(m.root)
        assert found is not None
        scores, mask = found
        scalar = scores.type.scalar
        return b(Where(mask.keep(b), scores, b.const(mask.fill_of(scalar), scalar)))


class AdditiveMask(HardMask):
    """scores + mask of zeros and very negative numbers -> where(keep, scores, lowest), in front of softmax, if rows
    that keep nothing stay what they were
    """

    def guard(self, m: Match) -> Miss | None:
        found = _split(m.root)
        return (found and exactness_miss(found[1], found[0])) or super().guard(m)


def _split(op: Op) -> tuple[Value, Mask] | None:
    """A sum as (scores, the mask among its operands)."""
    x, y = op.operands
    for scores, mask in ((x, y), (y, x)):
        if (found := additive_mask(mask)) is not None:
            return scores, found
    return None


def exactness_miss(mask: Mask, scores: Value) -> Miss | None:
    """A miss if rows that keep nothing would change."""
    if mask.is_exact(scores.type.scalar):
        return None
    return Miss(f"rows may keep nothing, and scores do not vanish beside {mask.fill:g}")


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
    """sdpa with an additive mask -> sdpa with a bool mask, where zeros are meant for rows that keep nothing"""

    pattern = op_(Sdpa, name="sdpa")

    def guard(self, m: Match) -> Miss | None:
        mask = m.node("sdpa").mask
        if mask is None or mask.type.scalar == BOOL:
            return Miss("there is no float mask")
        found = additive_mask(mask)
        if found is None:
            return Miss("the mask is not made of zeros and very negative numbers")
        return None if found.full or math.isinf(found.fill) else Miss("rows may keep nothing, and the mask is finite")

    def build(self, m: Match, b: Builder) -> Value:
        sdpa = m.node("sdpa")
        mask = additive_mask(sdpa.mask)
        assert mask is not None
        return b(rebuilt(sdpa, mask=mask.keep(b)))


RULES: tuple[Rule, ...] = (AdditiveMask(), FillOnTheRight(), MaskOfMasked(), AdditiveAttentionMask())
