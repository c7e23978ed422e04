"""The table of lowerings, and what families share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from irc.backends.onnx_export.lowering import Lower, Lowering, computed_in
from irc.backends.onnx_export.scalars import Kind
from irc.ir.graph import Value
from irc.ir.op import Op
from irc.ir.scalars import ScalarType

LOWERINGS: dict[type[Op], Lower] = {}
F = TypeVar("F", bound=Lower)


def lowers(*ops: type[Op]) -> Callable[[F], F]:
    """Enter a function as the lowering of op classes."""

    def enter(function: F) -> F:
        LOWERINGS.update(dict.fromkeys(ops, function))
        return function

    return enter


def widest(*values: Value) -> Kind:
    """The type in which operands are computed with: i64 if one does not fit i32."""
    kinds: list[Kind] = [computed_in(v.type.scalar) for v in values]
    return "int64" if "int64" in kinds else kinds[0]


def single(cx: Lowering, op: Op, scalar: ScalarType) -> Kind:
    """`float`, for operators without f64 kernels. Raises IrcError for f64."""
    kind = computed_in(scalar)
    if kind == "double":
        cx.refuse(op, "onnxruntime has no kernel for f64", "widen makes it f32 (put it in front of the other passes)")
    return kind


def centred(cx: Lowering, value: Value, zp: int | tuple[int, ...], kind: Kind, axis: int = 0) -> str:
    """Codes minus their zero point, or zero points along an axis."""
    codes, zps = cx.read(value, kind), np.asarray(zp)
    if not np.any(zps):
        return codes
    if zps.ndim:
        zps = zps.reshape([-1 if i == axis else 1 for i in range(value.type.rank)])
    return cx.node("Sub", codes, cx.const(zps, kind))
