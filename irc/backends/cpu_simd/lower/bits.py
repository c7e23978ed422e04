"""Bits of lanes."""

from __future__ import annotations

from irc.backends.cpu_simd.codegen.lanes import BITS, Lane
from irc.backends.cpu_simd.kernel import Kernel
from irc.backends.cpu_simd.lower.common import ON_ALL, computes
from irc.backends.cpu_simd.lower.math import wrapped
from irc.backends.cpu_simd.lowering import Lowering
from irc.ir.ops.bits import And, Not, Or, Shift, ShiftLeft, ShiftRight, Xor, all_ones


@computes(And, lanes=ON_ALL)
def and_(cx: Lowering, k: Kernel, op: And, lanes: list[Lane]) -> Lane:
    return lanes[0] & lanes[1]


@computes(Or, lanes=ON_ALL)
def or_(cx: Lowering, k: Kernel, op: Or, lanes: list[Lane]) -> Lane:
    return lanes[0] | lanes[1]


@computes(Xor, lanes=ON_ALL)
def xor(cx: Lowering, k: Kernel, op: Xor, lanes: list[Lane]) -> Lane:
    return lanes[0] ^ lanes[1]


@computes(Not, lanes=ON_ALL)
def not_(cx: Lowering, k: Kernel, op: Not, lanes: list[Lane]) -> Lane:
    x, scalar = lanes[0], op.x.type.scalar
    return x ^ (all_ones(scalar) if BITS[x.kind] > scalar.bits else -1)


@computes(ShiftLeft)
def shift_left(cx: Lowering, k: Kernel, op: ShiftLeft, lanes: list[Lane]) -> Lane:
    x, by = lanes
    return k.f.select(within(op, by), wrapped(x << by, op.x.type.scalar), k.f.const(0, x.kind, x.lanes))


@computes(ShiftRight)
def shift_right(cx: Lowering, k: Kernel, op: ShiftRight, lanes: list[Lane]) -> Lane:
    """Registers are signed: all bits behind the sign are those of x, or 0."""
    x, by = lanes
    return x >> k.f.select(within(op, by), by, k.f.const(BITS[x.kind] - 1, x.kind, x.lanes))


def within(op: Shift, by: Lane) -> Lane:
    """Whether bits stay: a negative number is a large one without a sign."""
    return by.compare("ult", op.x.type.scalar.bits)
