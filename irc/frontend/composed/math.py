"""Elementwise functions that are made of others."""

from __future__ import annotations

import math

from irc.frontend.building import Building, Number
from irc.frontend.composed.tensor import cut
from irc.ir.graph import Value
from irc.ir.ops.bits import And
from irc.ir.ops.math import Abs, Add, Compare, Div, Elu, Exp, Floor, Minimum, Mul, Neg, Sqrt, Sub, Where
from irc.ir.scalars import BF16, BOOL, F16, F32, I32

MOST_FACTORS = 64
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
    """A polynomial up to 1, off by less than 2e-8 (Abramowitz and Stegun, 4.4.49); beyond, pi/2 less that of 1/x."""
    if x.type.scalar in (F16, BF16):
        return c.cast(arctan(c, c.cast(x, F32)), x.type.scalar)
    scalar, size = x.type.scalar, c.b(Abs(x))
    one = c.const(1, scalar)
    near = c.b(Minimum(size, c.b(Div(one, size))))
    square, total = c.b(Mul(near, near)), c.const(ARCTAN[0], scalar)
    for factor in ARCTAN[1:]:
        total = plus(c, c.b(Mul(total, square)), factor)
    angle = c.b(Mul(total, near))
    angle = c.b(Where(c.b(Compare(size, one, "gt")), c.b(Sub(c.const(math.pi / 2, scalar), angle)), angle))
    return c.b(Where(c.b(Compare(x, c.const(0, scalar), "lt")), c.b(Neg(angle)), angle))


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
    """The product along an axis, which has then size 1. There is no op for it: a chain of products, for short axes."""
    size = c.number(x.type.shape[axis], "the size of the axis")
    if size > MOST_FACTORS:
        c.unsupported(f"a product of {size} factors", f"at most {MOST_FACTORS}")
    out = cut(c, x, axis, 0, 1)
    for i in range(1, size):
        out = c.cast(c.b(Mul(out, cut(c, x, axis, i, i + 1))), x.type.scalar)
    return out


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
