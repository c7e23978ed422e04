"""Operators that onnxruntime's tools write (domain com.microsoft), by those of the standard."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from irc.frontend.composed.math import times
from irc.frontend.onnx.context import Context, Converter
from irc.frontend.onnx.ops.linear import matmul
from irc.frontend.onnx.ops.norm import layer_norm, rms_norm
from irc.frontend.onnx.ops.pool import average_pool
from irc.frontend.onnx.ops.quant import (
    dequantize_linear,
    dequantized,
    integer_product,
    meaning,
    quantize_linear,
    requantized,
)
from irc.frontend.onnx.ops.tensor import transpose
from irc.frontend.onnx.table import converts
from irc.ir.constants import Data
from irc.ir.graph import Value
from irc.ir.op import Op
from irc.ir.ops.linear import Linear
from irc.ir.ops.math import Add, Gelu, LeakyRelu, Mean, Mul, Sigmoid
from irc.ir.ops.norm import Softmax
from irc.ir.ops.quant import Dequantize
from irc.ir.ops.tensor import Concat
from irc.ir.scalars import F32, I32, Array, integer
from irc.ir.types import Element, Encoding

MICROSOFT = "com.microsoft"


def _converts(operator: str) -> Callable[[Converter], Converter]:
    return converts(operator, domain=MICROSOFT)


# -- functions and norms


@_converts("Gelu")
def gelu(c: Context, x: Value) -> Value:
    return c.b(Gelu(x))


@_converts("BiasGelu")
def bias_gelu(c: Context, x: Value, bias: Value) -> Value:
    return c.b(Gelu(c.b(Add(x, bias))))


@_converts("FastGelu")
def fast_gelu(c: Context, x: Value, bias: Value | None = None) -> Value:
    return c.b(Gelu(x if bias is None else c.b(Add(x, bias)), "tanh"))


@_converts("QuickGelu")
def quick_gelu(c: Context, x: Value, *, alpha: float = 1.702) -> Value:
    return c.b(Mul(x, c.b(Sigmoid(times(c, x, alpha)))))


def _with_skip(c: Context, x: Value, skip: Value, bias: Value | None) -> Value:
    total = c.b(Add(x, skip))
    return total if bias is None else c.b(Add(total, bias))


@_converts("SkipLayerNormalization")
def skip_layer_norm(
    c: Context,
    x: Value,
    skip: Value,
    g: Value,
    b: Value | None = None,
    bias: Value | None = None,
    *,
    epsilon: float = 1e-12,
) -> tuple[Value | None, ...]:
    total = _with_skip(c, x, skip, bias)
    return (*layer_norm(c, total, g, b, epsilon=epsilon), None, None, total)


@_converts("SkipSimplifiedLayerNormalization")
def skip_rms_norm(
    c: Context, x: Value, skip: Value, g: Value, bias: Value | None = None, *, epsilon: float = 1e-12
) -> tuple[Value | None, ...]:
    total = _with_skip(c, x, skip, bias)
    return (rms_norm(c, total, g, epsilon=epsilon), None, None, total)


converts("SimplifiedLayerNormalization")(rms_norm)
converts("SimplifiedLayerNormalization", domain=MICROSOFT)(rms_norm)

# -- products


@_converts("FusedMatMul")
def fused_matmul(
    c: Context,
    a: Value,
    b: Value,
    *,
    alpha: float = 1.0,
    transA: int = 0,
    transB: int = 0,
    transBatchA: int = 0,
    transBatchB: int = 0,
) -> Value:
    if transBatchA or transBatchB:
        c.unsupported("transBatchA and transBatchB", "transpose in front of it")
    left, right = (_last_two(c, v) if t else v for v, t in ((a, transA), (b, transB)))
    return times(c, matmul(c, left, right), alpha)


def _last_two(c: Context, x: Value) -> Value:
    n = x.type.rank
    return transpose(c, x, perm=(*range(n - 2), n - 1, n - 2)) if n > 1 else x


@_converts("MatMulIntegerToFloat")
def matmul_integer_to_float(
    c: Context,
    a: Value,
    b: Value,
    a_scale: Value,
    b_scale: Value,
    a_zp: Value | None = None,
    b_zp: Value | None = None,
    bias: Value | None = None,
) -> Value:
    sums = c.cast(integer_product(c, a, b, a_zp, b_zp), a_scale.type.scalar)
    out = c.b(Mul(sums, c.b(Mul(a_scale, b_scale))))
    return out if bias is None else c.b(Add(out, bias))


@_converts("MatMulNBits")
def matmul_n_bits(
    c: Context,
    a: Value,
    b: Value,
    scales: Value,
    zps: Value | None = None,
    order: Value | None = None,
    bias: Value | None = None,
    *,
    K: int,
    N: int,
    block_size: int,
    bits: int = 4,
    accuracy_level: int = 0,
) -> Value:
    """a[..., K] times weights of few bits, w[N, K], with a scale a block of K."""
    if order is not None:
        c.unsupported("g_idx", "quantize without reordering")
    if K % block_size:
        c.unsupported(f"{K} inputs in blocks of {block_size}", "a block size that divides them")
    blocks, kind = K // block_size, integer(bits, signed=False)
    codes = _codes(c.values(b, "the weights"), bits).reshape(N, -1)[:, :K]
    factors = c.values(scales, "the scales").astype(np.float32).reshape(N, blocks)
    offsets = np.full((N, blocks), 1 << (bits - 1), np.int32)
    if zps is not None:
        packed = c.values(zps, "the zero points")
        given = _codes(packed.reshape(N, -1), bits) if packed.dtype == np.uint8 else packed.reshape(N, -1)
        offsets = given[:, :blocks].astype(np.int32)
    encoding = Encoding(Data.of(factors), Data.of(offsets), 1, block_size)
    w = c.b.const(codes, kind, encoding, b.name)
    scale, zp = c.b.const(factors, F32), c.b.const(offsets, I32)
    dense = c.b(Dequantize(w, scale, zp, axis=1, group=block_size, to=Element(F32)))
    return c.b(Linear(a, c.cast(dense, a.type.scalar), bias))


def _codes(packed: Array, bits: int) -> Array:
    """Codes of 2, 4 or 8 bits, the first in the low bits of a byte, along the last axis."""
    each = 8 // bits
    parts = (packed[..., None].astype(np.uint8) >> (bits * np.arange(each, dtype=np.uint8))) & ((1 << bits) - 1)
    return parts.reshape(*packed.shape[:-1], packed.shape[-1] * each)


# -- quantized operators: dequantize, compute, quantize

converts("QuantizeLinear", domain=MICROSOFT)(quantize_linear)
converts("DequantizeLinear", domain=MICROSOFT)(dequantize_linear)


def _real(c: Context, x: Value, scale: Value, zp: Value | None) -> Value:
    return dequantized(c, x, meaning(c, x, scale, zp, 0, 0))


def _binary(operator: str, op: Callable[[Value, Value], Op]) -> None:
    @_converts(operator)
    def convert(
        c: Context,
        a: Value,
        a_scale: Value,
        a_zp: Value | None,
        b: Value,
        b_scale: Value,
        b_zp: Value | None,
        y_scale: Value,
        y_zp: Value | None = None,
    ) -> Value:
        return quantize_linear(c, c.b(op(_real(c, a, a_scale, a_zp), _real(c, b, b_scale, b_zp))), y_scale, y_zp)


_binary("QLinearAdd", Add)
_binary("QLinearMul", Mul)


@_converts("QLinearSigmoid")
def qlinear_sigmoid(
    c: Context, x: Value, x_scale: Value, x_zp: Value | None, y_scale: Value, y_zp: Value | None = None
) -> Value:
    return quantize_linear(c, c.b(Sigmoid(_real(c, x, x_scale, x_zp))), y_scale, y_zp)


@_converts("QLinearLeakyRelu")
def qlinear_leaky_relu(
    c: Context,
    x: Value,
    x_scale: Value,
    x_zp: Value | None,
    y_scale: Value,
    y_zp: Value | None = None,
    *,
    alpha: float = 0.01,
) -> Value:
    return quantize_linear(c, c.b(LeakyRelu(_real(c, x, x_scale, x_zp), alpha)), y_scale, y_zp)


@_converts("QLinearSoftmax")
def qlinear_softmax(
    c: Context,
    x: Value,
    x_scale: Value,
    x_zp: Value | None,
    y_scale: Value,
    y_zp: Value | None = None,
    *,
    opset: int,
    axis: int = -1,
) -> Value:
    at = c.axis(axis, x.type.rank)
    if opset < 13 and at != x.type.rank - 1:
        c.unsupported("softmax over several axes (opset below 13)")
    return quantize_linear(c, c.b(Softmax(_real(c, x, x_scale, x_zp), at)), y_scale, y_zp)


@_converts("QLinearGlobalAveragePool")
def qlinear_global_average_pool(
    c: Context, x: Value, x_scale: Value, x_zp: Value, y_scale: Value, y_zp: Value, *, channels_last: int = 0
) -> Value:
    axes = tuple(range(1, x.type.rank - 1) if channels_last else range(2, x.type.rank))
    return quantize_linear(c, c.b(Mean(_real(c, x, x_scale, x_zp), axes, True)), y_scale, y_zp)


@_converts("QLinearAveragePool")
def qlinear_average_pool(
    c: Context,
    x: Value,
    x_scale: Value,
    x_zp: Value | None,
    y_scale: Value,
    y_zp: Value | None = None,
    *,
    kernel_shape: Sequence[int],
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    auto_pad: str = "NOTSET",
    channels_last: int = 0,
) -> Value:
    if channels_last:
        c.unsupported("channels_last", "transpose around it")
    real = _real(c, x, x_scale, x_zp)
    pooled = average_pool(
        c,
        real,
        kernel_shape=kernel_shape,
        strides=strides,
        pads=pads,
        ceil_mode=ceil_mode,
        count_include_pad=count_include_pad,
        auto_pad=auto_pad,
    )
    return quantize_linear(c, pooled, y_scale, y_zp)


@_converts("QLinearConcat")
def qlinear_concat(c: Context, y_scale: Value, y_zp: Value, *parts: Value, axis: int) -> Value:
    reals = [_real(c, *parts[i : i + 3]) for i in range(0, len(parts), 3)]
    return quantize_linear(c, c.b(Concat(tuple(reals), c.axis(axis, reals[0].type.rank))), y_scale, y_zp)


@_converts("QGemm")
def qgemm(
    c: Context,
    a: Value,
    a_scale: Value,
    a_zp: Value,
    b: Value,
    b_scale: Value,
    b_zp: Value,
    bias: Value | None = None,
    y_scale: Value | None = None,
    y_zp: Value | None = None,
    *,
    alpha: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Value:
    if alpha != 1:
        c.unsupported(f"alpha={alpha:g}", "1")
    x = transpose(c, a) if transA else a
    w = transpose(c, b) if transB else b
    sums = integer_product(c, x, w, a_zp, b_zp, bias)
    if y_scale is not None:
        kind = a.type.scalar if y_zp is None else y_zp.type.scalar
        return requantized(c, sums, (a_scale, b_scale), y_scale, y_zp, -1, kind)
    return c.b(Mul(c.cast(sums, F32), c.b(Mul(a_scale, b_scale))))
