"""Logic of bools, and bits of integers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from irc.frontend.aten.table import converts
from irc.frontend.composed.math import truth
from irc.frontend.context import Context, Number
from irc.ir.graph import Value
from irc.ir.op import Op
from irc.ir.ops.bits import And, Not, Or, ShiftLeft, ShiftRight, Xor
from irc.ir.ops.common import wrapped

TwoOperands = Callable[[Value, Value], Op]


def _logical(target: str, op: TwoOperands) -> None:
    @converts(target)
    def convert(c: Context, x: Value, y: Value) -> Value:
        return c.b(op(truth(c, x), truth(c, y)))


@converts("logical_not.default")
def logical_not(c: Context, x: Value) -> Value:
    return c.b(Not(truth(c, x)))


def _bitwise(targets: tuple[str, ...], op: TwoOperands) -> None:
    @converts(*targets)
    def convert(c: Context, x: Value | Number, y: Value | Number) -> Value:
        return c.b(op(_operand(c, x), _operand(c, y)))


def _operand(c: Context, x: Value | Number) -> Value:
    """An operand in the type of the result; numbers wrap around, as torch's do."""
    scalar = c.type.scalar
    if isinstance(x, Value) or not scalar.is_integer:
        return c.operand(x, scalar)
    return c.b.const(wrapped(np.asarray(x, np.int64), scalar), scalar)


for _name, _op in {"and": And, "or": Or, "xor": Xor}.items():
    _logical(f"logical_{_name}.default", _op)
    _mixed = tuple(f"bitwise_{_name}.{kind}" for kind in ("Tensor", "Scalar", "Scalar_Tensor"))
    _bitwise((*_mixed, f"__{_name}__.Tensor", f"__{_name}__.Scalar"), _op)
for _name, _op in {"left": ShiftLeft, "right": ShiftRight}.items():
    _mixed = tuple(f"bitwise_{_name}_shift.{kind}" for kind in ("Tensor", "Tensor_Scalar", "Scalar_Tensor"))
    _bitwise((*_mixed, f"__{_name[0]}shift__.Tensor", f"__{_name[0]}shift__.Scalar"), _op)


@converts("bitwise_not.default")
def bitwise_not(c: Context, x: Value) -> Value:
    return c.b(Not(x))
