"""Rules about elementwise arithmetic: constants to the right, neutral elements, clamps, casts."""

from __future__ import annotations

import math

import numpy as np

from irc.ir.builder import Builder
from irc.ir.clone import rebuilt
from irc.ir.graph import Value
from irc.ir.op import Op
from irc.ir.ops.bits import And, Bitwise, Not, Or, ShiftLeft, ShiftRight, Xor, all_ones
from irc.ir.ops.math import (
    Add,
    Binary,
    Cast,
    Clamp,
    Div,
    Maximum,
    Minimum,
    Mul,
    Pow,
    Relu,
    Sub,
    Where,
)
from irc.ir.ops.quant import constant_of
from irc.ir.ops.structure import Const
from irc.ir.ops.tensor import Expand
from irc.ir.rewrite import Match, Miss, Rule, any_, op_
from irc.ir.scalars import Array, ScalarType
from irc.passes.analysis.steps import Floats, meets_step


def fits(array: Array, scalar: ScalarType) -> bool:
    """Whether f64 values stay finite in a float type."""
    with np.errstate(over="ignore"):
        return bool(np.all(np.isfinite(array.astype(scalar.dtype))))


class ConstantRight(Rule):
    """op(c, x) -> op(x, c) for a commutative op"""

    pattern = op_((Binary, Bitwise))

    def guard(self, m: Match) -> Miss | None:
        if not m.root.commutative:
            return Miss(f"{m.root.opname} does not commute")
        x, y = m.root.operands
        if not isinstance(x.node, Const) or isinstance(y.node, Const):
            return Miss("the constant is not on the left only")
        return None

    def build(self, m: Match, b: Builder) -> None:
        x, y = m.root.operands
        m.root.set_operand(0, y)
        m.root.set_operand(1, x)


class DivisionByConstant(Rule):
    """x / c -> x * (1/c) where that is exact (c a power of two) or no step, such as floor, can see the difference"""

    pattern = op_(Div, any_("x"), op_(Const, name="c"))

    def guard(self, m: Match) -> Miss | None:
        if miss := _reciprocal_miss(m["c"]):
            return miss
        c = constant_of(m["c"])
        if c is not None and not _powers_of_two(c) and meets_step(m.root.results[0]):
            return Miss("the reciprocal is rounded, and a step such as floor sees the last bit of the quotient")
        return None

    def build(self, m: Match, b: Builder) -> Value:
        return _times_reciprocal(m["x"], m["c"], b)


def _times_reciprocal(x: Value, divisor: Value, b: Builder) -> Value:
    c = constant_of(divisor)
    assert c is not None
    return b(Mul(x, b.const(_reciprocal(c), divisor.type.scalar)))


def _reciprocal_miss(value: Value) -> Miss | None:
    """Why there is no constant to multiply by instead of dividing by this one."""
    c = constant_of(value)
    if c is None:
        return Miss("the values of the constant are not loaded")
    reciprocal = _reciprocal(c)
    if not (fits(reciprocal, value.type.scalar) and np.all(np.abs(reciprocal) >= np.finfo(c.dtype).tiny)):
        return Miss("a reciprocal is zero, infinite or subnormal")
    return None


def _powers_of_two(c: Array) -> bool:
    return bool(np.all(np.abs(np.frexp(c)[0]) == 0.5))


def _reciprocal(c: Array) -> Array:
    with np.errstate(divide="ignore"):
        return 1 / c.astype(np.float64)


class QuotientAsProduct(Rule):
    """x / y -> x * y^-1, x / c -> x * (1/c), pow{exponent = -1} y for x = 1, if no integer is made of the quotient"""

    pattern = op_(Div, any_("x"), any_("y"))

    def guard(self, m: Match) -> Miss | None:
        if isinstance(m["y"].node, Const) and (miss := _reciprocal_miss(m["y"])):
            return miss
        counted = m.root.graph is not None and m.root.results[0] in Floats(m.root.graph).counted
        return Miss("an integer is made of the quotient") if counted else None

    def build(self, m: Match, b: Builder) -> Value:
        if isinstance(m["y"].node, Const):
            return _times_reciprocal(m["x"], m["y"], b)
        return b(Mul(b(Pow(m["y"], exponent=-1.0)), m["x"]))


class SubtractionOfConstant(Rule):
    """x - c -> x + (-c) on floats"""

    pattern = op_(Sub, any_("x"), op_(Const, name="c"))

    def guard(self, m: Match) -> Miss | None:
        if not m["c"].type.scalar.is_float:
            return Miss("the operands are integers")
        return None if constant_of(m["c"]) is not None else Miss("the values of the constant are not loaded")

    def build(self, m: Match, b: Builder) -> Value:
        c = constant_of(m["c"])
        assert c is not None
        return b(Add(m["x"], b.const(-c, m["c"].type.scalar)))


NEUTRAL: dict[type[Op], float] = {
    Add: 0.0,
    Sub: 0.0,
    Mul: 1.0,
    Div: 1.0,
    Maximum: -math.inf,
    Minimum: math.inf,
    Or: 0.0,
    Xor: 0.0,
    ShiftLeft: 0.0,
    ShiftRight: 0.0,
}


def neutral_of(op: Op) -> float:
    """The second operand that changes nothing."""
    return all_ones(op.results[0].type.scalar) if isinstance(op, And) else NEUTRAL[type(op)]


class NeutralElement(Rule):
    """x + 0, x - 0, x * 1, x / 1, max(x, -inf), x and -1, x or 0, x shifted by 0 and so on -> x, expanded if need be"""

    pattern = op_((And, *NEUTRAL), any_("x"), op_(Const, name="c"))

    def guard(self, m: Match) -> Miss | None:
        c = constant_of(m["c"])
        neutral = neutral_of(m.root)
        if c is None or not np.all(c == neutral):
            return Miss(f"the constant is not {neutral:g}")
        return _expand_miss(m["x"], m.root.results[0])

    def build(self, m: Match, b: Builder) -> Value:
        return b(Expand(m["x"], shape=m.root.results[0].type.shape))


def _expand_miss(x: Value, result: Value) -> Miss | None:
    """Why a value cannot take the place of a result by broadcasting alone."""
    encoding = x.type.encoding
    if x.type.element != result.type.element or (encoding is not None and not encoding.per_tensor):
        return Miss(f"the result is {result.type}, the operand {x.type}")
    return None


class ConstantCondition(Rule):
    """where(true, x, y) -> x, where(false, x, y) -> y, expanded if need be"""

    pattern = op_(Where, op_(Const, name="condition"), any_("x"), any_("y"))

    def guard(self, m: Match) -> Miss | None:
        condition = constant_of(m["condition"])
        if condition is None or condition.size == 0 or np.any(condition != condition.flat[0]):
            return Miss("the condition is not the same everywhere")
        return _expand_miss(self._chosen(m), m.root.results[0])

    def _chosen(self, m: Match) -> Value:
        condition = constant_of(m["condition"])
        assert condition is not None
        return m["x"] if condition.flat[0] else m["y"]

    def build(self, m: Match, b: Builder) -> Value:
        return b(Expand(self._chosen(m), shape=m.root.results[0].type.shape))


def opposed(c: Array | None, d: Array | None) -> bool:
    """Whether adding one of two constants takes away what the other added."""
    return c is not None and d is not None and bool(np.any(np.sign(c) * np.sign(d) < 0))


class MergeConstants(Rule):
    """(x + c) + d -> x + (c+d); (x * c) * d -> x * (c*d) on floats, unless a step, such as floor, sees the difference

    Only terms of one sign: (x + c) - c with a large c rounds x, and is meant to.
    """

    pattern = op_(
        (Add, Mul),
        op_((Add, Mul), any_("x"), op_(Const, name="c"), name="inner", once=True),
        op_(Const, name="d"),
    )

    def guard(self, m: Match) -> Miss | None:
        if type(m.root) is not type(m.node("inner")):
            return Miss(f"{m.node('inner').opname} inside {m.root.opname}")
        if not m["c"].type.scalar.is_float:
            return Miss("integer constants have encodings")
        merged = self._merged(m)
        if merged is None or not fits(merged, m["c"].type.scalar):
            return Miss("the merged constant is not finite")
        if merged.size > max(m.node("c").value.size, m.node("d").value.size):
            return Miss("the merged constant is larger than both")
        if isinstance(m.root, Add) and opposed(constant_of(m["c"]), constant_of(m["d"])):
            return Miss("the constants have different signs")
        if meets_step(m.root.results[0]):
            return Miss("a step such as floor sees the last bit of the result")
        return None

    def _merged(self, m: Match) -> Array | None:
        c, d = constant_of(m["c"]), constant_of(m["d"])
        if c is None or d is None:
            return None
        wide = c.astype(np.float64)
        return wide + d if isinstance(m.root, Add) else wide * d

    def build(self, m: Match, b: Builder) -> Value:
        merged = self._merged(m)
        assert merged is not None
        return b(rebuilt(m.root, x=m["x"], y=b.const(merged, m["c"].type.scalar)))


class MergeCasts(Rule):
    """cast(cast(x)) -> cast(x) where the first cast keeps every value"""

    pattern = op_(Cast, op_(Cast, any_("x"), name="inner"))

    def guard(self, m: Match) -> Miss | None:
        source, between = m["x"].type.scalar, m.node("inner").to.scalar
        return None if _holds(between, source) else Miss(f"{between} does not hold every {source}")

    def build(self, m: Match, b: Builder) -> Value:
        return b(rebuilt(m.root, x=m["x"]))


MANTISSA = {"f16": 11, "bf16": 8, "f32": 24, "f64": 53}


def _holds(wide: ScalarType, narrow: ScalarType) -> bool:
    """Whether every value of `narrow` is a value of `wide`."""
    if wide == narrow or narrow.kind == "bool":
        return True
    if narrow.is_float:
        return wide.is_float and wide.bits >= 2 * narrow.bits
    if wide.is_float:
        return narrow.bits - narrow.signed <= MANTISSA[str(wide)]
    return wide.is_integer and wide.min <= narrow.min and narrow.max <= wide.max


class DoubleNegation(Rule):
    """not not x -> x"""

    pattern = op_(Not, op_(Not, any_("x")))

    def build(self, m: Match, b: Builder) -> Value:
        return m["x"]


def clamp_bounds(op: Op) -> tuple[float, float]:
    """The bounds of a clamp or relu."""
    return (op.lo, op.hi) if isinstance(op, Clamp) else (0.0, math.inf)


class MergeClamps(Rule):
    """clamp(clamp(x)) -> clamp(x), relu counting as clamp{lo = 0}

    With g the outer clamp, g(clamp(x, lo, hi)) = clamp(x, g(lo), g(hi)), because g is monotone.
    """

    pattern = op_((Clamp, Relu), op_((Clamp, Relu), any_("x"), name="inner"))

    def build(self, m: Match, b: Builder) -> Value:
        lo, hi = clamp_bounds(m.root)
        inner_lo, inner_hi = (min(max(bound, lo), hi) for bound in clamp_bounds(m.node("inner")))
        return b(Clamp(m["x"], lo=inner_lo, hi=inner_hi))


class OpenClamp(Rule):
    """clamp{lo = -inf, hi = inf} x -> x"""

    pattern = op_(Clamp, any_("x"))

    def guard(self, m: Match) -> Miss | None:
        return None if clamp_bounds(m.root) == (-math.inf, math.inf) else Miss("it has a bound")

    def build(self, m: Match, b: Builder) -> Value:
        return m["x"]


class ClampToRelu(Rule):
    """clamp{lo = 0} x -> relu x on floats"""

    pattern = op_(Clamp, any_("x"))

    def guard(self, m: Match) -> Miss | None:
        if not m["x"].type.scalar.is_float:
            return Miss("relu is for floats")
        return None if clamp_bounds(m.root) == (0.0, math.inf) else Miss("its bounds are not 0 and none")

    def build(self, m: Match, b: Builder) -> Value:
        return b(Relu(m["x"]))


class ExtremumWithConstant(Rule):
    """max(x, c) -> clamp{lo = c} x; min(x, c) -> clamp{hi = c} x for one number c"""

    pattern = op_((Maximum, Minimum), any_("x"), op_(Const, name="c"))

    def guard(self, m: Match) -> Miss | None:
        c = constant_of(m["c"])
        if c is None or c.size == 0 or np.any(c != c.flat[0]):
            return Miss("the constant is not one number")
        if not m.root.results[0].type.matches(m["x"].type):
            return Miss("the constant broadcasts the operand")
        return None

    def build(self, m: Match, b: Builder) -> Value:
        c = constant_of(m["c"])
        assert c is not None
        bound = float(c.flat[0])
        return b(Clamp(m["x"], lo=bound) if isinstance(m.root, Maximum) else Clamp(m["x"], hi=bound))


RULES: tuple[Rule, ...] = (
    ConstantRight(),
    DivisionByConstant(),
    SubtractionOfConstant(),
    NeutralElement(),
    ConstantCondition(),
    ExtremumWithConstant(),
    MergeClamps(),
    OpenClamp(),
    ClampToRelu(),
    MergeCasts(),
    DoubleNegation(),
)
