"""Crossing between floats and integers (QDQ), and products of integers (QOperator)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from irc.frontend.onnx.context import Context
from irc.frontend.onnx.ops.linear import kernel_of, padded, window
from irc.frontend.onnx.table import converts
from irc.ir.constants import Data
from irc.ir.graph import Value
from irc.ir.ops.linear import Conv, Linear, Matmul
from irc.ir.ops.math import Add, Div, Mul, Sub
from irc.ir.ops.quant import Dequantize, Quantize, Requantize
from irc.ir.ops.structure import Const
from irc.ir.ops.tensor import Permute
from irc.ir.scalars import F32, I32, U8, Array, ScalarType
from irc.ir.types import Element, Encoding


@dataclass(frozen=True)
class Meaning:
    """Scale and zero point of codes as operands, and as an encoding where they are constants."""

    scale: Value
    zp: Value | None
    axis: int | None
    group: int | None
    encoding: Encoding | None


def meaning(c: Context, x: Value, scale: Value, zp: Value | None, axis: int, block: int) -> Meaning:
    """What codes of the shape of `x` mean: one scale, one an index of an axis, or one a block of an axis."""
    scale = c.cast(scale, F32)
    zp = None if zp is None else c.cast(zp, I32)
    count = scale.type.static_shape
    if block:
        at: int | None = c.axis(axis, x.type.rank)
        group: int | None = block
    elif count is not None and all(d == 1 for d in count):
        at = group = None
        scale = c.reshape(scale, ())
        zp = None if zp is None else c.reshape(zp, ())
    else:
        at, group = c.axis(axis, x.type.rank), None
    scales, zps = c.constant(scale), None if zp is None else c.constant(zp)
    if zps is not None and not np.any(zps):
        zp = None
    known = scales is not None and (zp is None or zps is not None)
    return Meaning(scale, zp, at, group, _encoding(scales, zps, at, group) if known else None)


def _encoding(scales: Array | None, zps: Array | None, axis: int | None, group: int | None) -> Encoding | None:
    """The encoding of constants; None for scales that cannot be one."""
    if scales is None or not np.all((scales > 0) & np.isfinite(scales)):
        return None
    if axis is None:
        return Encoding(float(scales), 0 if zps is None else int(zps))
    if zps is None or not np.any(zps):
        return Encoding(Data.of(scales), 0, axis, group)
    return Encoding(Data.of(scales), Data.of(np.broadcast_to(zps, scales.shape).astype(np.int32)), axis, group)


@converts("QuantizeLinear")
def quantize_linear(
    c: Context,
    x: Value,
    scale: Value,
    zp: Value | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
    saturate: int = 1,
    precision: int = 0,
) -> Value:
    kind = zp.type.scalar if zp is not None else c.scalar(output_dtype) if output_dtype else U8
    means = meaning(c, x, scale, zp, axis, block_size)
    wide = c.cast(x, F32) if not x.type.scalar.is_float else x
    return quantized(c, wide, means, kind)


def quantized(c: Context, x: Value, means: Meaning, kind: ScalarType) -> Value:
    """Floats as codes."""
    r = c.b(Div(c.const(1, F32), means.scale))
    codes = c.b(Quantize(x, r, means.zp, axis=means.axis, group=means.group, to=Element(kind)))
    if means.encoding is not None:
        c.encodings[codes] = means.encoding
    return codes


@converts("DequantizeLinear")
def dequantize_linear(
    c: Context,
    x: Value,
    scale: Value,
    zp: Value | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
) -> Value:
    kind = c.scalar(output_dtype) if output_dtype else scale.type.scalar
    return c.cast(dequantized(c, x, meaning(c, x, scale, zp, axis, block_size)), kind)


def dequantized(c: Context, x: Value, means: Meaning) -> Value:
    """Codes as floats."""
    codes = encoded(c, x, means.encoding)
    return c.b(Dequantize(codes, means.scale, means.zp, axis=means.axis, group=means.group, to=Element(F32)))


def encoded(c: Context, x: Value, encoding: Encoding | None) -> Value:
    """The codes with their meaning, if they are constants; others get theirs from where they were made."""
    if encoding is None or not isinstance(x.node, Const):
        return x
    return c.b.const(x.node.value.array, x.type.scalar, encoding, x.name)


# -- products of integers


def whole(c: Context, zp: Value | None) -> int | tuple[int, ...] | None:
    """Zero points as numbers: one, or one a channel; None if the model computes them."""
    if zp is None:
        return 0
    values = c.constant(zp)
    if values is None:
        return None
    flat = [int(v) for v in values.ravel()]
    return flat[0] if len(set(flat)) == 1 else tuple(flat)


def centred(c: Context, x: Value, zp: Value | None) -> Value:
    """i32 codes minus a zero point that is computed."""
    return c.cast(x, I32) if zp is None else c.b(Sub(c.cast(x, I32), c.cast(zp, I32)))


def _plain(c: Context, x: Value, zp: Value | None) -> tuple[Value, int]:
    """An operand and its zero point as a number; the operand without one, if it is computed or not the same for all."""
    number = whole(c, zp)
    return (x, number) if isinstance(number, int) else (centred(c, x, zp), 0)


def integer_product(
    c: Context, a: Value, b: Value, a_zp: Value | None, b_zp: Value | None, bias: Value | None = None
) -> Value:
    """sum((a - a_zp) * (b - b_zp)) as i32; with a constant matrix as a linear."""
    rows = a_zp is not None and a_zp.type.rank == 1 and a.type.rank > 1
    if rows and a_zp is not None:  # one a row of a
        a_zp = c.reshape(a_zp, (*a_zp.type.shape, 1)) if a_zp.type.shape != (1,) else a_zp
    zps = whole(c, b_zp)
    if isinstance(b.node, Const) and b.type.rank == 2 and zps is not None:
        return _integer_linear(c, a, b, a_zp, zps, bias)
    x, x_zp = _plain(c, a, a_zp)
    y, y_zp = _plain(c, b, b_zp)
    out = c.b(Matmul(x, y, x_zp, y_zp))
    return out if bias is None else c.b(Add(out, bias))


def _integer_linear(
    c: Context, a: Value, b: Value, a_zp: Value | None, zps: int | tuple[int, ...], bias: Value | None
) -> Value:
    w = c.b(Permute(b, (1, 0)))
    number = whole(c, a_zp)
    if isinstance(number, int):
        return c.b(Linear(a, w, bias, x_zp=number, w_zp=zps))
    sums = c.b(Linear(a, w, bias, w_zp=zps))
    # (a - z) @ w = a @ w - z * (sum of w)
    offset = np.asarray(zps, np.int64).reshape(-1, 1)
    values = c.values(w, "the matrix").astype(np.int64) - offset
    total = c.b.const(values.sum(axis=1).astype(np.int32), I32)
    assert a_zp is not None
    return c.b(Sub(sums, c.b(Mul(c.cast(a_zp, I32), total))))


@converts("MatMulInteger")
def matmul_integer(c: Context, a: Value, b: Value, a_zp: Value | None = None, b_zp: Value | None = None) -> Value:
    return integer_product(c, a, b, a_zp, b_zp)


@converts("ConvInteger")
def conv_integer(
    c: Context,
    x: Value,
    w: Value,
    x_zp: Value | None = None,
    w_zp: Value | None = None,
    *,
    kernel_shape: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    group: int = 1,
    auto_pad: str = "NOTSET",
) -> Value:
    return _integer_conv(c, x, w, x_zp, w_zp, None, strides, pads, dilations, group, auto_pad)


def _integer_conv(
    c: Context,
    x: Value,
    w: Value,
    x_zp: Value | None,
    w_zp: Value | None,
    bias: Value | None,
    strides: Sequence[int] | None,
    pads: Sequence[int] | None,
    dilations: Sequence[int] | None,
    group: int,
    auto_pad: str,
) -> Value:
    stride, padding, dilation = window(c, x, kernel_of(c, w), strides, pads, dilations, auto_pad)
    x, number = _plain(c, x, x_zp)
    x, padding = padded(c, x, padding)
    zps = whole(c, w_zp)
    if zps is None and w_zp is not None:
        column = c.reshape(w_zp, (*w_zp.type.shape, *[1] * (w.type.rank - 1))) if w_zp.type.rank else w_zp
        w, zps = centred(c, w, column), 0
    op = Conv(x, w, bias, stride=stride, padding=padding, dilation=dilation, groups=group, x_zp=number, w_zp=zps or 0)
    return c.b(op)


def requantized(
    c: Context, sums: Value, scales: Sequence[Value], y_scale: Value, y_zp: Value | None, axis: int, kind: ScalarType
) -> Value:
    """i32 sums of products as codes: times scale of x, scale of w, divided by scale of y, in f32."""
    x_scale, w_scale, out_scale = (c.values(v, "a scale").astype(np.float32) for v in (*scales, y_scale))
    if x_scale.size != 1 or out_scale.size != 1:
        c.unsupported("scales a row", "one scale for x and y, one or one an output channel for w")
    zp = 0 if y_zp is None else int(c.single(y_zp, "the zero point"))
    m = x_scale.reshape(()) * w_scale / out_scale.reshape(())
    m = m.reshape(()) if m.size == 1 else m.reshape(-1)
    place = axis % sums.type.rank if m.ndim else None
    factor = c.b.const(m.astype(np.float32), F32)
    codes = c.b(Requantize(sums, factor, mode="float", axis=place, zp=zp, to=Element(kind)))
    c.encodings[codes] = Encoding(float(out_scale.reshape(())), zp)
    return codes


@converts("QLinearConv")
def qlinear_conv(
    c: Context,
    x: Value,
    x_scale: Value,
    x_zp: Value,
    w: Value,
    w_scale: Value,
    w_zp: Value,
    y_scale: Value,
    y_zp: Value,
    bias: Value | None = None,
    *,
    kernel_shape: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    group: int = 1,
    auto_pad: str = "NOTSET",
) -> Value:
    w = encoded(c, w, meaning(c, w, w_scale, w_zp, 0, 0).encoding)
    sums = _integer_conv(c, x, w, x_zp, w_zp, bias, strides, pads, dilations, group, auto_pad)
    return requantized(c, sums, (x_scale, w_scale), y_scale, y_zp, 1, y_zp.type.scalar)


@converts("QLinearMatMul")
def qlinear_matmul(
    c: Context,
    a: Value,
    a_scale: Value,
    a_zp: Value,
    b: Value,
    b_scale: Value,
    b_zp: Value,
    y_scale: Value,
    y_zp: Value,
) -> Value:
    if b.type.rank == 2:
        b = encoded(c, b, meaning(c, b, b_scale, b_zp, 1, 0).encoding)
    sums = integer_product(c, a, b, a_zp, b_zp)
    return requantized(c, sums, (a_scale, b_scale), y_scale, y_zp, -1, y_zp.type.scalar)
