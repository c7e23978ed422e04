"""QONNX: quantization to any number of bits in a float graph (Pappalardo et al., 2022)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from irc.frontend.onnx.context import Context, Converter
from irc.frontend.onnx.ops.linear import conv
from irc.frontend.onnx.ops.pool import max_pool
from irc.frontend.onnx.ops.quant import Meaning, dequantized, quantized
from irc.frontend.onnx.ops.tensor import transpose
from irc.frontend.onnx.table import converts
from irc.ir.constants import Data
from irc.ir.graph import Value
from irc.ir.ops.math import Add, Clamp, Compare, Mul, Sum, Where
from irc.ir.ops.tensor import Reshape
from irc.ir.scalars import F32, I32, Array, ScalarType, integer
from irc.ir.types import Encoding

DOMAINS = ("qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")
MOST_BITS = 32


def _converts(operator: str) -> Callable[[Converter], Converter]:
    def register(function: Converter) -> Converter:
        for domain in DOMAINS:
            converts(operator, domain=domain)(function)
        return function

    return register


@_converts("Quant")
def quant(
    c: Context,
    x: Value,
    scale: Value,
    zp: Value,
    bits: Value,
    *,
    signed: int = 1,
    narrow: int = 0,
    rounding_mode: str = "ROUND",
) -> Value:
    """clip(round(x / scale + zp)), minus zp, times scale."""
    width = c.single(bits, "the number of bits")
    if width != int(width) or not 1 <= width <= MOST_BITS:
        c.unsupported(f"{width:g} bits", f"1 to {MOST_BITS}")
    if rounding_mode.upper() not in ("ROUND", "HALF_EVEN"):
        c.unsupported(f"rounding_mode={rounding_mode}", "ROUND")
    kind = integer(int(width), signed=bool(signed))
    means = _meaning(c, x, scale, zp)
    low = kind.min + int(bool(signed and narrow))
    high = kind.max - int(bool(narrow and not signed))
    values = c.constant(x)
    if values is not None and means.encoding is not None:
        return dequantized(c, _rounded(c, values, means.encoding, kind, low, high), means)
    codes = quantized(c, x, means, kind)
    if (low, high) != (kind.min, kind.max):
        codes = c.b(Clamp(codes, float(low), float(high)))
    return dequantized(c, codes, means)


def _rounded(c: Context, values: Array, encoding: Encoding, kind: ScalarType, low: int, high: int) -> Value:
    """The codes of constants."""
    scales, zps = (_spread(v, encoding.axis, values.ndim) for v in (encoding.scales, encoding.zps))
    codes = np.clip(np.rint(values.astype(np.float32) / scales + zps.astype(np.float32)), low, high)
    return c.b.const(codes.astype(np.int64), kind, encoding)


def _spread(vector: Array, axis: int | None, rank: int) -> Array:
    return vector if axis is None or not vector.ndim else vector.reshape([-1 if i == axis else 1 for i in range(rank)])


def _meaning(c: Context, x: Value, scale: Value, zp: Value | None) -> Meaning:
    """One scale, or one an index of the only axis along which scale or zero point differ."""
    scales = c.values(scale, "the scale").astype(np.float32)
    offsets = np.zeros((), np.float32) if zp is None else c.values(zp, "the zero point")
    if np.any(offsets != np.rint(offsets)):
        c.unsupported("a zero point that is no integer")
    axis = _axis(c, x, np.broadcast_shapes(scales.shape, offsets.shape))
    shape = () if axis is None else (c.number(x.type.shape[axis], "the number of channels"),)
    factors, zps = _vector(scales, shape), _vector(offsets, shape).astype(np.int32)
    if not np.all((factors > 0) & np.isfinite(factors)):
        c.unsupported("a scale that is not positive")
    some = bool(np.any(zps))
    factor, offset = c.b.const(factors, F32), c.b.const(zps, I32) if some else None
    if axis is None:
        return Meaning(factor, offset, None, None, Encoding(float(factors), int(zps)))
    return Meaning(factor, offset, axis, None, Encoding(Data.of(factors), Data.of(zps) if some else 0, axis))


def _vector(values: Array, shape: tuple[int, ...]) -> Array:
    """A parameter as one number a channel, or one number."""
    return np.array(np.broadcast_to(values.reshape(-1) if values.size > 1 else values.reshape(()), shape))


def _axis(c: Context, x: Value, shape: tuple[int, ...]) -> int | None:
    """The axis of x along which a parameter of that shape differs."""
    moving = [i - len(shape) for i, d in enumerate(shape) if d != 1]
    if not moving:
        return None
    if len(moving) > 1 or -moving[0] > x.type.rank or x.type.shape[moving[0]] != shape[moving[0]]:
        c.unsupported(f"scales of the shape {list(shape)} for {x.type}", "one scale, or one a channel")
    return moving[0] + x.type.rank


@_converts("BipolarQuant")
def bipolar_quant(c: Context, x: Value, scale: Value) -> Value:
    """scale where x >= 0, else -scale: codes 1 and -1."""
    means, kind = _meaning(c, x, scale, None), integer(2, signed=True)
    values = c.constant(x)
    if values is not None:
        return dequantized(c, c.b.const(np.where(values >= 0, 1, -1), kind, means.encoding), means)
    codes = c.b(Where(c.b(Compare(x, c.const(0, x.type.scalar), "ge")), c.const(1, kind), c.const(-1, kind)))
    return dequantized(c, codes, replace(means, encoding=None))


@_converts("MultiThreshold")
def multi_threshold(
    c: Context,
    x: Value,
    thresholds: Value,
    *,
    out_dtype: str = "",
    out_scale: float = 1.0,
    out_bias: float = 0.0,
    data_layout: str = "NCHW",
) -> Value:
    """out_scale * (how many thresholds x reaches) + out_bias; one row of thresholds a channel, or one for all."""
    rows, count = thresholds.type.shape
    last = data_layout.endswith("C")
    channel = x.type.rank - 1 if last or x.type.rank < 2 else 1
    column = [1] * x.type.rank
    column[channel] = c.number(rows, "the number of channels")
    bounds = c.b(Reshape(thresholds, (*column, count)))
    reached = c.b(Compare(c.b(Reshape(x, (*x.type.shape, 1))), bounds, "ge"))
    steps = c.cast(c.b(Sum(c.cast(reached, I32), (x.type.rank,))), x.type.scalar)
    scaled = c.b(Mul(steps, c.const(out_scale, x.type.scalar)))
    return c.b(Add(scaled, c.const(out_bias, x.type.scalar)))


# -- the same operators on channels that come last


def _channels_last(operator: str, convert: Converter) -> None:
    @converts(operator, domain="qonnx.custom_op.channels_last")
    @functools.wraps(convert)
    def wrapped(c: Context, x: Value, *others: Value, **attributes: object) -> Value:
        rank = x.type.rank
        to_front = (0, rank - 1, *range(1, rank - 1))
        operands = [transpose(c, v, perm=to_front) if v.type.rank == rank else v for v in (x, *others)]
        found = convert(c, *operands, **attributes)
        out = found[0] if isinstance(found, tuple) else found
        assert out is not None
        return transpose(c, out, perm=(0, *range(2, rank), 1))


_channels_last("Conv", conv)
_channels_last("MaxPool", max_pool)
