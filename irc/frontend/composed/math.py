"""Elementwise functions that are made of others."""

from __future__ import annotations

import math

from irc.frontend.building import Building, Number
from irc.frontend.composed.tensor import cut
from irc.ir.graph import Value
from irc.ir.ops.bits import And, Or
from irc.ir.ops.math import Abs, Add, Compare, Div, Elu, Exp, Floor, Maximum, Minimum, Mul, Neg, Sqrt, Sub, Where
from irc.ir.ops.tensor import Concat
from irc.ir.scalars import BF16, BOOL, F16, F32, I32

ARCTAN = (
    *(2.8662257e-3, -1.61657367e-2, 4.29096138e-2, -7.52896400e-2),
    *(0.1065626393, -0.1420889944, 0.1999355085, -0.3333314528, 1.0),
)
"""Factors of x^17, x^15, ..., x."""


def positive(c: Building, x: Value) -> Value:
    return c.b(Compare(x, c.const(0, x.type.scalar), "gt"))


def expm1(c: Building, x: Value) -> Value:
    """Elu is exp(x) - 1 below 0, without cancellation."""
    return c.b(Where(positive(c, x), plus(c, c.b(Exp(x)), -1), c.b(Elu(x))))


def sinh(c: Building, x: Value) -> Value:
    """(1 - u^2) / 2u with u = exp(-|x|) near 0, from 1 - u without cancellation; beyond 1 from halves, which do not
    overflow before the result does.
    """
    if x.type.scalar in (F16, BF16):
        return c.cast(sinh(c, c.cast(x, F32)), x.type.scalar)
    size = c.b(Abs(x))
    less = c.b(Neg(c.b(Elu(c.b(Neg(size))))))  # 1 - u
    near = c.b(Div(c.b(Mul(less, _less(c, 2, less))), times(c, _less(c, 1, less), 2)))
    far = c.b(Sub(*_half_exponentials(c, size)))
    above = c.b(Where(c.b(Compare(size, c.const(1, x.type.scalar), "lt")), near, far))
    return c.b(Where(c.b(Compare(x, c.const(0, x.type.scalar), "lt")), c.b(Neg(above)), above))


def cosh(c: Building, x: Value) -> Value:
    if x.type.scalar in (F16, BF16):
        return c.cast(cosh(c, c.cast(x, F32)), x.type.scalar)
    return c.b(Add(*_half_exponentials(c, c.b(Abs(x)))))


def _half_exponentials(c: Building, x: Value) -> tuple[Value, Value]:
    """exp(x) / 2, which may be larger than exp(x) could, and exp(-x) / 2."""
    root = c.b(Exp(times(c, x, 0.5)))
    return c.b(Mul(times(c, root, 0.5), root)), times(c, c.b(Exp(c.b(Neg(x)))), 0.5)


def ceil(c: Building, x: Value) -> Value:
    return c.b(Neg(c.b(Floor(c.b(Neg(x)))))) if x.type.scalar.is_float else x


def trunc(c: Building, x: Value) -> Value:
    if not x.type.scalar.is_float:
        return x
    return c.b(Where(positive(c, x), c.b(Floor(x)), ceil(c, x)))


def sign(c: Building, x: Value) -> Value:
    zero, one = c.const(0, x.type.scalar), c.const(1, x.type.scalar)
    below = c.b(Where(c.b(Compare(x, zero, "lt")), c.const(-1, x.type.scalar), zero))
    return c.b(Where(c.b(Compare(x, zero, "gt")), one, below))


def arctan(c: Building, x: Value) -> Value:
    """Beyond 1, pi/2 less that of 1/x."""
    if x.type.scalar in (F16, BF16):
        return c.cast(arctan(c, c.cast(x, F32)), x.type.scalar)
    scalar, size = x.type.scalar, c.b(Abs(x))
    one = c.const(1, scalar)
    angle = _small_angle(c, c.b(Minimum(size, c.b(Div(one, size)))))
    angle = c.b(Where(c.b(Compare(size, one, "gt")), _less(c, math.pi / 2, angle), angle))
    return c.b(Where(c.b(Compare(x, c.const(0, scalar), "lt")), c.b(Neg(angle)), angle))


def _small_angle(c: Building, tangent: Value) -> Value:
    """A polynomial for 0 to 1, off by less than 2e-8 (Abramowitz and Stegun, 4.4.49)."""
    square, total = c.b(Mul(tangent, tangent)), c.const(ARCTAN[0], tangent.type.scalar)
    for factor in ARCTAN[1:]:
        total = plus(c, c.b(Mul(total, square)), factor)
    return c.b(Mul(total, tangent))


def _less(c: Building, whole: float, x: Value) -> Value:
    return c.b(Sub(c.const(whole, x.type.scalar), x))


def arctan2(c: Building, y: Value, x: Value) -> Value:
    """The angle of the point (x, y), from -pi to pi; zeros have signs, as in C."""
    scalar = y.type.scalar
    if scalar in (F16, BF16):
        return c.cast(arctan2(c, c.cast(y, F32), c.cast(x, F32)), scalar)
    up, along = c.b(Abs(y)), c.b(Abs(x))
    large, zero = c.b(Maximum(up, along)), c.const(0, scalar)
    ratio = c.b(Div(c.b(Minimum(up, along)), large))
    ratio = c.b(Where(c.b(Compare(up, along, "eq")), c.const(1, scalar), ratio))  # also of infinities
    ratio = c.b(Where(c.b(Compare(large, zero, "eq")), zero, ratio))
    angle = _small_angle(c, ratio)
    angle = c.b(Where(c.b(Compare(up, along, "gt")), _less(c, math.pi / 2, angle), angle))
    angle = c.b(Where(_below(c, x), _less(c, math.pi, angle), angle))
    return c.b(Where(_below(c, y), c.b(Neg(angle)), angle))


def _below(c: Building, x: Value) -> Value:
    """Whether the sign bit is set, also that of a zero."""
    zero = c.const(0, x.type.scalar)
    inverse = c.b(Div(c.const(1, x.type.scalar), x))
    return c.b(Or(c.b(Compare(x, zero, "lt")), c.b(Compare(inverse, zero, "lt"))))


def arcsin(c: Building, x: Value) -> Value:
    """arctan(x / sqrt((1 - x) * (1 + x)))"""
    one = c.const(1, x.type.scalar)
    return arctan(c, c.b(Div(x, c.b(Sqrt(c.b(Mul(c.b(Sub(one, x)), c.b(Add(one, x)))))))))


def arccos(c: Building, x: Value) -> Value:
    return c.b(Sub(c.const(math.pi / 2, x.type.scalar), arcsin(c, x)))


def times(c: Building, x: Value, factor: Number) -> Value:
    """`x * factor`; x itself for 1."""
    return x if factor == 1 else c.b(Mul(x, c.const(factor, x.type.scalar)))


def plus(c: Building, x: Value, term: Number) -> Value:
    return c.b(Add(x, c.const(term, x.type.scalar)))


def truth(c: Building, x: Value) -> Value:
    """Whether each element is not zero."""
    return x if x.type.scalar == BOOL else c.b(Compare(x, c.const(0, x.type.scalar), "ne"))


def product_along(c: Building, x: Value, axis: int) -> Value:
    """The product along an axis, which has then size 1. There is no op for it: halves are multiplied, then theirs."""
    size = c.number(x.type.shape[axis], "the size of the axis")
    while size > 1:
        half = size // 2
        joined = _multiplied(c, cut(c, x, axis, 0, half), cut(c, x, axis, half, 2 * half))
        x = c.b(Concat((joined, cut(c, x, axis, 2 * half, size)), axis)) if size % 2 else joined
        size -= half
    return x


def running_product(c: Building, x: Value, axis: int) -> Value:
    """The products of the first elements along an axis: of 2, 4, 8, ... that end at each place (Hillis and Steele)."""
    size, reach = c.number(x.type.shape[axis], "the size of the axis"), 1
    while reach < size:
        behind = _multiplied(c, cut(c, x, axis, reach, size), cut(c, x, axis, 0, size - reach))
        x = c.b(Concat((cut(c, x, axis, 0, reach), behind), axis))
        reach *= 2
    return x


def _multiplied(c: Building, x: Value, y: Value) -> Value:
    return c.cast(c.b(Mul(x, y)), x.type.scalar)


def rest(c: Building, x: Value, y: Value) -> Value:
    """x - trunc(x / y) * y, with the sign of x: x itself where the quotient is 0, also for an infinite y."""
    whole = trunc(c, c.b(Div(x, y)))
    zero = c.const(0, x.type.scalar)
    return c.b(Sub(x, c.b(Where(c.b(Compare(whole, zero, "eq")), zero, c.b(Mul(whole, y))))))


def floored_rest(c: Building, x: Value, y: Value) -> Value:
    """x - floor(x / y) * y, with the sign of y."""
    left, zero = rest(c, x, y), c.const(0, x.type.scalar)
    other = c.b(Compare(c.b(Compare(left, zero, "lt")), c.b(Compare(y, zero, "lt")), "ne"))
    turned = c.b(And(other, c.b(Compare(left, zero, "ne"))))
    return c.b(Where(turned, c.b(Add(left, y)), left))


def floor(c: Building, x: Value) -> Value:
    return c.b(Floor(x)) if x.type.scalar.is_float else x


def numbers(c: Building, x: Value) -> Value:
    """Truth values as 0 and 1, which can be compared; others as they are."""
    return c.cast(x, I32) if x.type.scalar == BOOL else x
