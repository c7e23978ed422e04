"""Logic of bools, and bits of integers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from irc.frontend.onnx.context import Context
from irc.frontend.onnx.table import converts
from irc.ir.graph import Value
from irc.ir.op import Op
from irc.ir.ops.bits import And, Not, Or, ShiftLeft, ShiftRight, Xor
from irc.ir.scalars import BOOL, U8

TwoOperands = Callable[[Value, Value], Op]


def _logical(operator: str, op: TwoOperands) -> None:
    @converts(operator)
    def convert(c: Context, x: Value, y: Value, *, broadcast: int = 0) -> Value:
        return c.b(op(x, y))


def _bitwise(operator: str, op: TwoOperands) -> None:
    @converts(operator)
    def convert(c: Context, x: Value, y: Value) -> Value:
        return c.b(op(x, y))


for _operator, _op in {"And": And, "Or": Or, "Xor": Xor}.items():
    _logical(_operator, _op)
    _bitwise(f"Bitwise{_operator}", _op)


@converts("Not", "BitwiseNot")
def not_(c: Context, x: Value) -> Value:
    return c.b(Not(x))


@converts("BitShift")
def bit_shift(c: Context, x: Value, by: Value, *, direction: Literal["LEFT", "RIGHT"]) -> Value:
    """Numbers without a sign until operator set 28, which leaves to us what a shift by the whole width gives."""
    return c.b((ShiftLeft if direction == "LEFT" else ShiftRight)(x, by))


@converts("BitCast")
def bit_cast(c: Context, x: Value, *, to: int) -> Value:
    """Integers of one width wrap around; other bits are known where they are constant."""
    have, want = x.type.scalar, c.scalar(to)
    if (want == U8 and have == BOOL) or (have.is_integer and want.is_integer and have.bits == want.bits):
        return c.cast(x, want)
    values = c.constant(x)
    if values is None or values.dtype.itemsize != want.dtype.itemsize:
        c.unsupported(f"the bits of {have} as {want}", "integers of one width, or constants")
    return c.b.const(values.view(want.dtype), want)
