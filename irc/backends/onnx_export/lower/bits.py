"""Bits of bools and integers. Shifts are computed in 64 bits without a sign, the only type that fits all of ours."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from irc.backends.onnx_export.lower.common import lowers
from irc.backends.onnx_export.lower.math import wrapped
from irc.backends.onnx_export.lowering import Lowering
from irc.backends.onnx_export.scalars import kind_of, width
from irc.ir.op import Op
from irc.ir.ops.bits import And, Bitwise, Not, Or, Shift, ShiftLeft, ShiftRight, Xor, all_ones
from irc.ir.scalars import BOOL

ON_BOOLS: dict[type[Op], str] = {And: "And", Or: "Or", Xor: "Xor"}
LAST = 63  # the longest shift that BitShift defines


@lowers(And, Or, Xor)
def lower_bitwise(cx: Lowering, op: Bitwise) -> str:
    name = ON_BOOLS[type(op)]
    operator = name if op.x.type.scalar == BOOL else f"Bitwise{name}"
    return cx.node(operator, cx.read(op.x), cx.read(op.y))


@lowers(Not)
def lower_not(cx: Lowering, op: Not) -> str:
    scalar = op.x.type.scalar
    if scalar == BOOL:
        return cx.node("Not", cx.read(op.x))
    if scalar.signed or scalar.bits == width(kind_of(scalar)):
        return cx.node("BitwiseNot", cx.read(op.x))
    return cx.node("BitwiseXor", cx.read(op.x), cx.const(all_ones(scalar), kind_of(scalar)))


class Distance(NamedTuple):
    """How far to shift, as u64 0 .. 63, and where bits stay (None: everywhere); elsewhere it is 63."""

    by: str
    within: str | None


def distance(cx: Lowering, op: Shift) -> Distance:
    bits, known = op.x.type.scalar.bits, cx.constant(op.by)
    if known is not None:
        within = (known.array >= 0) & (known.array < bits)
        by = cx.const(np.where(within, known.array, LAST).astype(np.uint64), "uint64")
        return Distance(by, None if np.all(within) else cx.const(within, "bool"))
    by = cx.read(op.by, "int64")
    above = cx.node("GreaterOrEqual", by, cx.const(0, "int64"))
    inside = cx.node("And", above, cx.node("Less", by, cx.const(bits, "int64")))
    chosen = cx.node("Where", inside, by, cx.const(LAST, "int64"))
    return Distance(cx.cast(chosen, "int64", "uint64"), inside)


@lowers(ShiftLeft)
def lower_shift_left(cx: Lowering, op: ShiftLeft) -> str:
    by, within = distance(cx, op)
    codes = wrapped(cx, _shifted(cx, cx.read(op.x, "int64"), by, "LEFT"), op.x.type.scalar)
    if within is not None:
        codes = cx.node("Where", within, codes, cx.const(0, "int64"))
    return cx.done(op, codes, "int64")


@lowers(ShiftRight)
def lower_shift_right(cx: Lowering, op: ShiftRight) -> str:
    """BitShift lets in zeros, so negative numbers are turned for it: x >> n = ~(~x >> n)."""
    by, _ = distance(cx, op)
    x = cx.read(op.x, "int64")
    if not op.x.type.scalar.signed:
        return cx.done(op, _shifted(cx, x, by, "RIGHT"), "int64")
    zero, ones = (cx.const(v, "int64") for v in (0, -1))
    sign = cx.node("Where", cx.node("Less", x, zero), ones, zero)
    positive = _shifted(cx, cx.node("BitwiseXor", x, sign), by, "RIGHT")
    return cx.done(op, cx.node("BitwiseXor", positive, sign), "int64")


def _shifted(cx: Lowering, x: str, by: str, direction: str) -> str:
    """The bits of an i64, shifted; casts between integers keep bits."""
    bits = cx.cast(x, "int64", "uint64")
    return cx.cast(cx.node("BitShift", bits, by, direction=direction), "uint64", "int64")
