"""Pooling over windows. Where ONNX counts windows or divisors otherwise, padding is an operator of its own."""

from __future__ import annotations

import math

import numpy as np

from irc.backends.onnx_export.lower.common import centred, lowers, single
from irc.backends.onnx_export.lower.linear import EXACT, farthest
from irc.backends.onnx_export.lowering import Lowering
from irc.backends.onnx_export.scalars import Kind
from irc.ir.ops.pool import AvgPool, MaxPool, SumPool

Pool = MaxPool | AvgPool | SumPool


def _spatial(cx: Lowering, op: Pool) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The sizes of the spatial axes of operand and result. Raises IrcError if they are symbolic."""
    given = tuple(d for d in op.x.type.shape[2:] if isinstance(d, int))
    windows = tuple(d for d in op.results[0].type.shape[2:] if isinstance(d, int))
    if len(given) != op.x.type.rank - 2 or len(windows) != len(given):
        cx.refuse(op, "windows that reach over the end of a symbolic dimension", "specialize fixes it")
    return given, windows


def _plain(op: Pool) -> bool:
    """Whether ONNX has the same windows: none reach over the end, padding is narrower than they are."""
    return not op.ceil and all(p < k for p, k in zip(op.padding, (*op.kernel, *op.kernel), strict=True))


def _padded(cx: Lowering, op: Pool, x: str, kind: Kind, value: float) -> str:
    """x with all that windows see and nothing else, also in ceil mode; a negative padding cuts off."""
    size, windows = _spatial(cx, op)
    n = len(size)
    dilation = op.dilation if isinstance(op, MaxPool) else (1,) * n
    seen = [(windows[i] - 1) * op.stride[i] + dilation[i] * (op.kernel[i] - 1) + 1 for i in range(n)]
    ends = [seen[i] - size[i] - op.padding[i] for i in range(n)]
    pads = cx.ints(0, 0, *op.padding[:n], 0, 0, *ends)
    return cx.node("Pad", x, pads, cx.const(value, kind))


@lowers(MaxPool)
def lower_max_pool(cx: Lowering, op: MaxPool) -> str:
    scalar = op.x.type.scalar
    kind = cx.kind(op.x)
    if kind not in ("float", "double", "int8", "uint8"):  # f64 holds the codes of 32 bits
        kind = "float" if scalar.is_float else "double"
    if scalar.bits > 53 and scalar.is_integer:
        cx.refuse(op, f"onnxruntime has no kernel for {scalar}", "cast to 32 bits in the model")
    x = cx.read(op.x, kind)
    plain = _plain(op)
    if not plain:
        x = _padded(cx, op, x, kind, -math.inf if scalar.is_float else scalar.min)
    pads = list(op.padding) if plain else None
    window = {"kernel_shape": list(op.kernel), "strides": list(op.stride), "dilations": list(op.dilation)}
    return cx.done(op, cx.node("MaxPool", x, pads=pads, **window), kind)


@lowers(AvgPool)
def lower_avg_pool(cx: Lowering, op: AvgPool) -> str:
    kind = single(cx, op, op.x.type.scalar)
    x = cx.read(op.x, kind)
    window = {"kernel_shape": list(op.kernel), "strides": list(op.stride)}
    if _plain(op):
        counted = int(op.count_pad)
        return cx.done(op, cx.node("AveragePool", x, pads=list(op.padding), count_include_pad=counted, **window), kind)
    mean = cx.node("AveragePool", _padded(cx, op, x, kind, 0.0), **window)
    with np.errstate(divide="ignore"):  # the mean of nothing is NaN: 0 times infinity
        share = math.prod(op.kernel) / op.divisor((1, 1, *_spatial(cx, op)[0]))
    return cx.done(op, cx.node("Mul", mean, cx.const(share, kind)), kind)


@lowers(SumPool)
def lower_sum_pool(cx: Lowering, op: SumPool) -> str:
    """A convolution with ones: exact, as f32 holds every sum."""
    channels = op.x.type.shape[1]
    largest = farthest(op.x.type.scalar, op.x_zp) * math.prod(op.kernel)
    if largest >= EXACT or not isinstance(channels, int):
        cx.refuse(op, f"sums up to {largest} of {channels} channels", "fewer bits, or float")
    x = cx.cast(centred(cx, op.x, op.x_zp, "int32"), "int32", "float")
    x = _padded(cx, op, x, "float", 0.0) if op.ceil else x
    ones = cx.const(np.ones((channels, 1, *op.kernel)), "float")
    pads = None if op.ceil else list(op.padding)
    sums = cx.node("Conv", x, ones, pads=pads, strides=list(op.stride), group=channels, kernel_shape=list(op.kernel))
    return cx.cast(sums, "float", "int32")
