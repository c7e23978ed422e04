"""Elementwise functions that are made of others."""

from __future__ import annotations

from irc.frontend.building import Building, Number
from irc.ir.graph import Value
from irc.ir.ops.math import Add, Compare, Elu, Exp, Floor, Mul, Neg, Where
from irc.ir.scalars import BOOL


def positive(c: Building, x: Value) -> Value:
    return c.b(Compare(x, c.const(0, x.type.scalar), "gt"))


def expm1(c: Building, x: Value) -> Value:
    """Elu is exp(x) - 1 below 0, without cancellation."""
    return c.b(Where(positive(c, x), plus(c, c.b(Exp(x)), -1), c.b(Elu(x))))


def ceil(c: Building, x: Value) -> Value:
    return c.b(Neg(c.b(Floor(c.b(Neg(x)))))) if x.type.scalar.is_float else x


def trunc(c: Building, x: Value) -> Value:
    return c.b(Where(positive(c, x), c.b(Floor(x)), ceil(c, x)))


def sign(c: Building, x: Value) -> Value:
    zero, one = c.const(0, x.type.scalar), c.const(1, x.type.scalar)
    below = c.b(Where(c.b(Compare(x, zero, "lt")), c.const(-1, x.type.scalar), zero))
    return c.b(Where(c.b(Compare(x, zero, "gt")), one, below))


def times(c: Building, x: Value, factor: Number) -> Value:
    """`x * factor`; x itself for 1."""
    return x if factor == 1 else c.b(Mul(x, c.const(factor, x.type.scalar)))


def plus(c: Building, x: Value, term: Number) -> Value:
    return c.b(Add(x, c.const(term, x.type.scalar)))


def truth(c: Building, x: Value) -> Value:
    """Whether each element is not zero."""
    return x if x.type.scalar == BOOL else c.b(Compare(x, c.const(0, x.type.scalar), "ne"))
