"""Sums of products: of floats, and exactly of integers.

Integer products are not left to MatMulInteger and ConvInteger: on machines without an 8-bit dot product these may
saturate in between. MatMul of i32 is exact; convolutions have a kernel for f32 alone, which is exact as long as no sum
of magnitudes reaches 2^24, so weights are cut into parts of fewer bits until that holds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from irc.backends.onnx_export.lower.common import centred, lowers, single
from irc.backends.onnx_export.lower.quant import dequantized
from irc.backends.onnx_export.lowering import Lowering, computed_in
from irc.backends.onnx_export.scalars import Kind
from irc.ir.graph import Value
from irc.ir.op import Op
from irc.ir.ops.common import largest_sum, magnitude
from irc.ir.ops.linear import Conv, Linear, Matmul
from irc.ir.ops.quant import Dequantize
from irc.ir.scalars import Array, ScalarType

EXACT = 2**24
"""f32 holds every integer up to here."""


@lowers(Linear)
def lower_linear(cx: Lowering, op: Linear) -> str:
    if op.x.type.scalar.is_integer:
        w = cx.node("Transpose", centred(cx, op.w, op.w_zp, "int32"), perm=[1, 0])
        sums = cx.node("MatMul", centred(cx, op.x, op.x_zp, "int32"), w)
        return sums if op.b is None else cx.node("Add", sums, cx.read(op.b))
    kind = computed_in(op.x.type.scalar)
    bias = () if op.b is None else (cx.read(op.b, kind),)
    if op.x.type.rank == 2:
        return cx.done(op, cx.node("Gemm", cx.read(op.x, kind), cx.read(op.w, kind), *bias, transB=1), kind)
    y = cx.node("MatMul", cx.read(op.x, kind), transposed(cx, op.w, kind))
    return cx.done(op, cx.node("Add", y, *bias) if bias else y, kind)


def transposed(cx: Lowering, w: Value, kind: Kind) -> str:
    """A matrix turned around: in the file if it is a constant or the codes of one."""
    if (data := cx.constant(w)) is not None:
        return cx.cast(cx.writer.const(data.array.T, cx.kind(w), w.name or "constant"), cx.kind(w), kind)
    if isinstance(w.node, Dequantize) and (found := dequantized(cx, w.node, turned=True)):
        return cx.cast(found, "float", kind)
    return cx.node("Transpose", cx.read(w, kind), perm=[1, 0])


@lowers(Matmul)
def lower_matmul(cx: Lowering, op: Matmul) -> str:
    if op.x.type.scalar.is_integer:
        return cx.node("MatMul", centred(cx, op.x, op.x_zp, "int32"), centred(cx, op.y, op.y_zp, "int32"))
    kind = computed_in(op.x.type.scalar)
    return cx.done(op, cx.node("MatMul", cx.read(op.x, kind), cx.read(op.y, kind)), kind)


@lowers(Conv)
def lower_conv(cx: Lowering, op: Conv) -> str:
    if op.x.type.scalar.is_integer:
        return _integer_conv(cx, op)
    kind = single(cx, op, op.x.type.scalar)
    operands = [cx.read(v, kind) for v in (op.x, op.w, op.b) if v is not None]
    return cx.done(op, cx.node("Conv", *operands, **_window(op)), kind)


def _window(op: Conv) -> dict[str, Any]:
    return {
        "strides": list(op.stride),
        "pads": list(op.padding),
        "dilations": list(op.dilation),
        "group": op.groups,
        "kernel_shape": list(op.w.type.static_shape or ())[2:],
    }


def _integer_conv(cx: Lowering, op: Conv) -> str:
    data = cx.constant(op.w)
    if data is None:
        cx.refuse(op, "integer weights that are computed", "keep them constant, or the layer in float")
    x = cx.cast(centred(cx, op.x, op.x_zp, "int32"), "int32", "float")
    zps = np.asarray(op.w_zp, np.int64)
    w = data.array.astype(np.int64) - zps.reshape((-1, *[1] * (data.array.ndim - 1)) if zps.ndim else ())
    total = "" if op.b is None else cx.node("Reshape", cx.read(op.b), cx.ints(-1, *[1] * (op.x.type.rank - 2)))
    for part, shift in exact_parts(cx, op, w, farthest(op.x.type.scalar, op.x_zp)):
        sums = cx.cast(cx.node("Conv", x, cx.const(part, "float"), **_window(op)), "float", "int32")
        sums = cx.node("Mul", sums, cx.const(1 << shift, "int32")) if shift else sums
        total = cx.node("Add", sums, total) if total else sums
    return total


def farthest(scalar: ScalarType, zp: int) -> int:
    """The largest distance of a code from its zero point."""
    return max(scalar.max - zp, zp - scalar.min)


def exact_parts(cx: Lowering, op: Op, w: Array, largest: int) -> Iterator[tuple[Array, int]]:
    """Weights as a sum of parts times 2^shift, each of whose sums with codes up to `largest` f32 holds exactly."""
    axes, shift = tuple(range(1, w.ndim)), 0
    while True:
        bits = max(1, magnitude(w).bit_length())
        low = next((n for n in range(bits, 0, -1) if _sum_of(w, n, axes) * largest < EXACT), 0)
        if not low:
            cx.refuse(op, f"sums over {math.prod(w.shape[1:])} products leave what f32 holds", "fewer bits, or float")
        yield np.sign(w) * (np.abs(w) & ((1 << low) - 1)), shift
        w, shift = np.sign(w) * (np.abs(w) >> low), shift + low
        if not np.any(w):
            return


def _sum_of(w: Array, bits: int, axes: tuple[int, ...]) -> int:
    """The largest sum of the lowest bits of magnitudes."""
    return largest_sum(np.abs(w) & ((1 << bits) - 1), axes)
