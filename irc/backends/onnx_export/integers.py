"""Integer arithmetic that ONNX has no operator for, from those that it has: shifts, lengths in bits, square roots."""

from __future__ import annotations

import numpy as np

from irc.backends.onnx_export.lowering import Lowering

I64 = "int64"
LONGEST = 62  # bits of a value


def floor_divide(cx: Lowering, x: str, divisor: str) -> str:
    """x / divisor of i64, towards minus infinity: Div rounds towards zero, Mod has the sign of the divisor."""
    return cx.node("Div", cx.node("Sub", x, cx.node("Mod", x, divisor)), divisor)


def power(cx: Lowering, exponent: str | int) -> str:
    """2^exponent, for exponents 0 .. 62."""
    if isinstance(exponent, int):
        return cx.const(1 << exponent, I64)
    return cx.node("Gather", cx.const(np.int64(1) << np.arange(LONGEST + 1), I64), exponent, axis=0)


def shift_right(cx: Lowering, x: str, by: str | int) -> str:
    """x / 2^by, towards minus infinity."""
    return floor_divide(cx, x, power(cx, by))


def round_shift(cx: Lowering, x: str, by: int | str) -> str:
    """x / 2^by, half towards plus infinity; x for 0."""
    size = power(cx, by)
    half = cx.node("Div", size, cx.const(2, I64))
    return floor_divide(cx, cx.node("Add", x, half), size)


def bit_length(cx: Lowering, x: str, factor: int = 1) -> str:
    """The bits of `factor * x` for x >= 0 and 1 <= factor < 2^17, also where the product leaves 64 bits.

    They are as many as there are powers of two up to the product: 2^k <= factor * x, or ceil(2^k / factor) <= x.
    """
    limits = [-(-(1 << k) // factor) for k in range(LONGEST + 18)]
    reached = cx.const(np.array([n for n in limits if n < 2**63], np.int64), I64)
    column = cx.node("Unsqueeze", x, cx.ints(-1))
    hits = cx.cast(cx.node("GreaterOrEqual", column, reached), "bool", I64)
    return cx.node("ReduceSum", hits, cx.ints(-1), keepdims=0)


def isqrt(cx: Lowering, n: str) -> str:
    """floor(sqrt(n)) of i64 below 2^52."""
    one = cx.const(1, I64)
    root = cx.cast(cx.node("Sqrt", cx.cast(n, I64, "double")), "double", I64)
    above = cx.cast(cx.node("Greater", cx.node("Mul", root, root), n), "bool", I64)
    root = cx.node("Sub", root, above)
    following = cx.node("Add", root, one)
    reached = cx.cast(cx.node("LessOrEqual", cx.node("Mul", following, following), n), "bool", I64)
    return cx.node("Add", root, reached)


def rint(cx: Lowering, x: str) -> str:
    """f32 rounded half to even, as i64 saturated to 32 bits; NaN gives 0."""
    whole = cx.cast(cx.node("Round", x), "float", "double")
    number = cx.node("Where", cx.node("IsNaN", whole), cx.const(0, "double"), whole)
    return cx.cast(cx.clip(number, "double", -(2.0**31), 2.0**31 - 1), "double", I64)
