"""Which dot product an anchor uses, from the codes that meet in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from irc.backends.cpu_simd.isa import Isa
from irc.backends.cpu_simd.ukernels.dots import DotForm, float_form, integer_form
from irc.ir.graph import Value
from irc.ir.ops.linear import Conv, Linear, Matmul
from irc.ir.ops.structure import Const
from irc.ir.scalars import Array
from irc.passes.analysis.codes import code_interval


@dataclass(frozen=True)
class Operands:
    """The form, and what it adds to activations: codes are stored with this shift."""

    form: DotForm
    shift: int = 0


def operands_of(op: Linear | Conv | Matmul, isa: Isa, resolve: Callable[[Value], Value]) -> Operands:
    """How the sums of products of an op are taken on a machine."""
    x = resolve(op.x)
    if not x.type.scalar.is_integer:
        return Operands(float_form(isa, x.type.scalar))
    low, high = range_of(x)
    if isinstance(op, Conv) and any(op.padding):
        low, high = min(low, op.x_zp), max(high, op.x_zp)
    form = integer_form(isa, (low, high), _weights(op, resolve))
    return Operands(form, form.shift(low, high) or 0)


def range_of(value: Value) -> tuple[int, int]:
    """The lowest and the highest code of an integer value."""
    low, high = code_interval(value)
    return int(low), int(high)


def centred(w: Array, zp: int | tuple[int, ...]) -> Array:
    """Weights minus their zero point, or the one of each column."""
    return w.astype(np.int64) - np.asarray(zp, np.int64).reshape(-1, *[1] * (w.ndim - 1))


def _weights(op: Linear | Conv | Matmul, resolve: Callable[[Value], Value]) -> tuple[int, int]:
    """The interval of `w - w_zp`."""
    if isinstance(op, Matmul):
        low, high = range_of(resolve(op.y))
        return low - op.y_zp, high - op.y_zp
    w = resolve(op.w)
    if isinstance(w.node, Const):
        codes = centred(w.node.value.array, op.w_zp)
        return int(codes.min()), int(codes.max())
    zps = np.asarray(op.w_zp)
    low, high = range_of(w)
    return low - int(zps.max()), high - int(zps.min())
