"""Bits of bools and integers. Casts between integers keep the lowest bits, as the standard says."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from irc.backends.onnx_export.lower.common import lowers
from irc.backends.onnx_export.lower.math import wrapped
from irc.backends.onnx_export.lowering import Lowering, computed_in
from irc.backends.onnx_export.scalars import Kind, dtype_of, kind_of, width
from irc.ir.op import Op
from irc.ir.ops.bits import And, Bitwise, Not, Or, Shift, ShiftLeft, ShiftRight, Xor, all_ones
from irc.ir.scalars import BOOL

ON_BOOLS: dict[type[Op], str] = {And: "And", Or: "Or", Xor: "Xor"}


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
    """How far to shift, and where bits stay (None: everywhere); elsewhere it is as far as `BitShift` defines."""

    by: str
    within: str | None


def distance(cx: Lowering, op: Shift) -> Distance:
    bits, known, (wide, unsigned) = op.x.type.scalar.bits, cx.constant(op.by), _kinds(op)
    last = width(unsigned) - 1
    if known is not None:
        within = (known.array >= 0) & (known.array < bits)
        by = cx.const(np.where(within, known.array, last).astype(dtype_of(unsigned)), unsigned)
        return Distance(by, None if np.all(within) else cx.const(within, "bool"))
    by = cx.read(op.by, wide)
    above = cx.node("GreaterOrEqual", by, cx.const(0, wide))
    inside = cx.node("And", above, cx.node("Less", by, cx.const(bits, wide)))
    return Distance(cx.cast(cx.node("Where", inside, by, cx.const(last, wide)), wide, unsigned), inside)


def _kinds(op: Shift) -> tuple[Kind, Kind]:
    """The type in which a shift is computed, and the one without a sign that BitShift takes."""
    scalar = op.x.type.scalar
    return computed_in(scalar), "uint64" if scalar.bits == 64 else "uint32"


@lowers(ShiftLeft)
def lower_shift_left(cx: Lowering, op: ShiftLeft) -> str:
    by, within = distance(cx, op)
    _, unsigned = _kinds(op)
    shifted = cx.node("BitShift", cx.read(op.x, unsigned), by, direction="LEFT")
    codes = wrapped(cx, cx.cast(shifted, unsigned, "int64"), op.x.type.scalar)
    return cx.done(op, _where(cx, within, codes, "int64"), "int64")


@lowers(ShiftRight)
def lower_shift_right(cx: Lowering, op: ShiftRight) -> str:
    """BitShift lets in zeros, so negative numbers are turned for it: x >> n = ~(~x >> n)."""
    by, within = distance(cx, op)
    wide, unsigned = _kinds(op)
    x = cx.read(op.x, wide)
    zero, ones = (cx.const(v, wide) for v in (0, -1))
    sign = cx.node("Where", cx.node("Less", x, zero), ones, zero) if op.x.type.scalar.signed else ""
    positive = cx.cast(cx.node("BitwiseXor", x, sign) if sign else x, wide, unsigned)
    shifted = cx.cast(cx.node("BitShift", positive, by, direction="RIGHT"), unsigned, wide)
    codes = _where(cx, within, shifted, wide)
    return cx.done(op, cx.node("BitwiseXor", codes, sign) if sign else codes, wide)


def _where(cx: Lowering, within: str | None, codes: str, kind: Kind) -> str:
    """0 where no bits stay."""
    return codes if within is None else cx.node("Where", within, codes, cx.const(0, kind))
