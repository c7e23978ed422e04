"""Bits of codes as epilogue statements, computed in 32 bits, the upper ones of which repeat the sign."""

from __future__ import annotations

from irc.backends.fpga_hls.epilogue import EpilogueBuilder, computes
from irc.backends.fpga_hls.lower.math import wrapped
from irc.backends.fpga_hls.ranges import shifted_left
from irc.backends.fpga_hls.types import literal
from irc.ir.op import Op
from irc.ir.ops.bits import And, Bitwise, Not, Or, ShiftLeft, ShiftRight, Xor, all_ones

OPERATORS: dict[type[Op], str] = {And: "&", Or: "|", Xor: "^"}


@computes(And, Or, Xor)
def _bitwise(e: EpilogueBuilder, op: Bitwise) -> str:
    return f"int32_t({e.of(op.x)}) {OPERATORS[type(op)]} int32_t({e.of(op.y)})"


@computes(Not)
def _not(e: EpilogueBuilder, op: Not) -> str:
    return f"int32_t({e.of(op.x)}) ^ {literal(all_ones(op.x.type.scalar))}"


@computes(ShiftLeft)
def _shift_left(e: EpilogueBuilder, op: ShiftLeft) -> str:
    scalar = op.x.type.scalar
    shifted = f"shift_left<{scalar.bits}>({e.of(op.x)}, {e.of(op.by)})"
    return wrapped(shifted, shifted_left(e.cx.ranges, op), scalar)


@computes(ShiftRight)
def _shift_right(e: EpilogueBuilder, op: ShiftRight) -> str:
    return f"shift_right<{op.x.type.scalar.bits}>({e.of(op.x)}, {e.of(op.by)})"
