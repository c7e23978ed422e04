"""Sums of products: Gemm, MatMul, convolutions, Einsum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from irc.frontend.composed.einsum import einsum
from irc.frontend.composed.linear import mirrored, with_gaps
from irc.frontend.composed.math import times
from irc.frontend.composed.tensor import cut, reversed_along
from irc.frontend.onnx.context import Context
from irc.frontend.onnx.ops.tensor import transpose
from irc.frontend.onnx.table import converts
from irc.ir.dims import add, equal, sub
from irc.ir.graph import Value
from irc.ir.ops.linear import Conv, Linear, Matmul
from irc.ir.ops.math import Add, Silu
from irc.ir.ops.quant import Dequantize
from irc.ir.ops.structure import Const
from irc.ir.ops.tensor import Concat, Pad, Permute, Reshape
from irc.ir.scalars import F64, Array


@converts("MatMul")
def matmul(c: Context, x: Value, y: Value) -> Value:
    """A vector counts as a row on the left and as a column on the right; its axis of size 1 goes away again."""
    scalar = x.type.scalar
    if not scalar.is_float:  # products in f64, which holds them
        return c.cast(matmul(c, c.cast(x, F64), c.cast(y, F64)), scalar)
    if y.type.rank == 2 and isinstance(y.node, Const | Dequantize) and x.type.rank:
        return c.b(Linear(x, transpose(c, y, perm=(1, 0))))
    left = c.b(Reshape(x, (1, *x.type.shape))) if x.type.rank == 1 else x
    right = c.b(Reshape(y, (*y.type.shape, 1))) if y.type.rank == 1 else y
    out = c.b(Matmul(left, right))
    shape = list(out.type.shape)
    if x.type.rank == 1:
        del shape[-2]
    if y.type.rank == 1:
        del shape[-1]
    return c.reshape(out, tuple(shape))


@converts("Gemm")
def gemm(
    c: Context,
    a: Value,
    b: Value,
    bias: Value | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
    broadcast: int = 0,
) -> Value:
    """alpha * a' @ b' + beta * bias"""
    if not a.type.scalar.is_float:
        wide = [None if v is None else c.cast(v, F64) for v in (a, b, bias)]
        out = gemm(c, *wide, alpha=alpha, beta=beta, transA=transA, transB=transB)  # pyright: ignore
        return c.cast(out, a.type.scalar)
    x = transpose(c, a) if transA else a
    w = b if transB else transpose(c, b, perm=(1, 0))
    row = _as_row(c, bias, w) if alpha == beta == 1 else None
    if row is not None:
        return c.b(Linear(x, w, row))
    out = times(c, c.b(Linear(x, w)), alpha)
    return out if bias is None or beta == 0 else c.b(Add(out, times(c, bias, beta)))


def _as_row(c: Context, bias: Value | None, w: Value) -> Value | None:
    """A bias that is the same for all rows, as a vector."""
    if bias is None or bias.type.rank not in (1, 2) or equal(bias.type.shape[-1], w.type.shape[0]) is not True:
        return None
    if bias.type.rank == 2 and bias.type.shape[0] != 1:
        return None
    return c.reshape(bias, bias.type.shape[-1:])


@converts("Einsum")
def einsum_(c: Context, *xs: Value, equation: str) -> Value:
    return einsum(c, equation, xs)


# -- convolutions


def window(
    c: Context,
    x: Value,
    kernel: Sequence[int],
    strides: Sequence[int] | None,
    pads: Sequence[int] | None,
    dilations: Sequence[int] | None,
    auto_pad: str,
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Strides, padding (begins..., ends...) and dilations of a window over the spatial axes of x[N, C, *spatial]."""
    n = x.type.rank - 2
    steps, gaps = c.default(strides, 1, n), c.default(dilations, 1, n)
    if auto_pad in ("NOTSET", ""):
        return steps, c.default(pads, 0, 2 * n), gaps
    if auto_pad == "VALID":
        return steps, (0,) * (2 * n), gaps
    if auto_pad not in ("SAME_UPPER", "SAME_LOWER"):
        c.unsupported(f"auto_pad={auto_pad}")
    before: list[int] = []
    after: list[int] = []
    for i, k in enumerate(kernel):
        span = (k - 1) * gaps[i] + 1
        # With a stride the padding depends on the size.
        rest = 1 if steps[i] == 1 else c.number(x.type.shape[2 + i], "the size, with auto_pad,")
        total = max((-(-rest // steps[i]) - 1) * steps[i] + span - rest, 0)
        small = total // 2
        before.append(small if auto_pad == "SAME_UPPER" else total - small)
        after.append(total - before[-1])
    return steps, (*before, *after), gaps


def kernel_of(c: Context, w: Value) -> tuple[int, ...]:
    return tuple(c.number(d, "the size of the kernel") for d in w.type.shape[2:])


def padded(c: Context, x: Value, padding: tuple[int, ...]) -> tuple[Value, tuple[int, ...]]:
    """The input and what is left to pad: negative padding cuts."""
    n = x.type.rank - 2
    for i in range(n):
        start, stop = max(-padding[i], 0), min(padding[n + i], 0)
        x = cut(c, x, 2 + i, start, add(x.type.shape[2 + i], stop))
    return x, tuple(max(v, 0) for v in padding)


@converts("Conv")
def conv(
    c: Context,
    x: Value,
    w: Value,
    b: Value | None = None,
    *,
    kernel_shape: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    group: int = 1,
    auto_pad: str = "NOTSET",
) -> Value:
    stride, padding, dilation = window(c, x, kernel_of(c, w), strides, pads, dilations, auto_pad)
    x, padding = padded(c, x, padding)
    return c.b(Conv(x, w, b, stride=stride, padding=padding, dilation=dilation, groups=group))


@converts("ConvTranspose")
def conv_transpose(
    c: Context,
    x: Value,
    w: Value,
    b: Value | None = None,
    *,
    kernel_shape: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
    pads: Sequence[int] | None = None,
    dilations: Sequence[int] | None = None,
    output_padding: Sequence[int] | None = None,
    output_shape: Sequence[int] | None = None,
    group: int = 1,
    auto_pad: str = "NOTSET",
) -> Value:
    """A convolution with mirrored weights of x with `stride - 1` zeros between its elements."""
    n = x.type.rank - 2
    steps, gaps = c.default(strides, 1, n), c.default(dilations, 1, n)
    extra = c.default(output_padding, 0, n)
    spans = [g * (k - 1) for g, k in zip(gaps, kernel_of(c, w), strict=True)]
    padding = _transposed_padding(c, x, steps, spans, extra, pads, output_shape, auto_pad)
    before = [s - p for s, p in zip(spans, padding[:n], strict=True)]
    after = [s - p + e for s, p, e in zip(spans, padding[n:], extra, strict=True)]
    sparse, rest = padded(c, with_gaps(c, x, steps), (*before, *after))
    turned = _mirrored(c, w, group)
    return c.b(Conv(sparse, turned, b, stride=(1,) * n, padding=rest, dilation=gaps, groups=group))


def _mirrored(c: Context, w: Value, groups: int) -> Value:
    values, op = c.constant(w), w.node
    if values is not None:
        return c.b.const(mirrored(values, groups), w.type.scalar, name=w.name)
    if isinstance(op, Dequantize) and op.group is None and (op.axis is None or (op.axis == 1 and groups == 1)):
        codes = c.constant(op.x)
        if codes is not None:
            return _mirrored_codes(c, op, codes, groups)
    return _mirrored_at_run_time(c, w, groups)


def _mirrored_codes(c: Context, op: Dequantize, codes: Array, groups: int) -> Value:
    """Quantized constants are mirrored as codes; the scales a channel of axis 1 become those of axis 0."""
    axis, known = (None if op.axis is None else 0), op.x.type.encoding
    if known is not None and known.axis is not None:
        known = known.moved(axis)
    turned = c.b.const(mirrored(codes, groups), op.x.type.scalar, known, op.x.name)
    return c.b(Dequantize(turned, op.scale, op.zp, axis=axis, to=op.to))


def _mirrored_at_run_time(c: Context, w: Value, groups: int) -> Value:
    """w[C, O/groups, *kernel] as w[O, C/groups, *kernel], each kernel axis reversed."""
    inputs, outputs, *kernel = (c.number(d, "the size of the weights") for d in w.type.shape)
    grouped = c.b(Reshape(w, (groups, inputs // groups, outputs, *kernel)))
    turned = c.b(Permute(grouped, (0, 2, 1, *range(3, 3 + len(kernel)))))
    out = c.b(Reshape(turned, (groups * outputs, inputs // groups, *kernel)))
    for axis in range(2, out.type.rank):
        out = reversed_along(c, out, axis)
    return out


def _transposed_padding(
    c: Context,
    x: Value,
    steps: Sequence[int],
    spans: Sequence[int],
    extra: Sequence[int],
    pads: Sequence[int] | None,
    output_shape: Sequence[int] | None,
    auto_pad: str,
) -> tuple[int, ...]:
    """What is cut off on both sides: as stated, or so that the result has the stated shape."""
    n = len(steps)
    if output_shape is None and auto_pad in ("NOTSET", "VALID", ""):
        return c.default(pads, 0, 2 * n)
    sizes = [c.number(d, "the size") for d in x.type.shape[2:]]
    whole = output_shape[-n:] if output_shape else [s * step for s, step in zip(sizes, steps, strict=True)]
    before: list[int] = []
    after: list[int] = []
    for i in range(n):
        total = steps[i] * (sizes[i] - 1) + extra[i] + spans[i] + 1 - whole[i]
        first = total // 2 if auto_pad == "SAME_UPPER" else total - total // 2
        before.append(first)
        after.append(total - first)
    return (*before, *after)


@converts("CausalConvWithState")
def causal_conv(
    c: Context,
    x: Value,
    w: Value,
    b: Value | None = None,
    past: Value | None = None,
    *,
    activation: Literal["none", "silu", "swish"] = "none",
) -> tuple[Value, Value]:
    """A convolution of each channel of x[N, C, L] behind the last elements of the past, and what is last now."""
    width = c.number(w.type.shape[2], "the size of the kernel") - 1
    channels = c.number(x.type.shape[1], "the number of channels")
    if past is None:
        whole = c.b(Pad(x, (0, 0, width), (0, 0, 0)))
    else:
        whole = c.b(Concat((past, x), 2))
    out = c.b(Conv(whole, w, b, stride=(1,), padding=(0, 0), dilation=(1,), groups=channels))
    length = whole.type.shape[2]
    last = cut(c, whole, 2, sub(length, width), length)
    return out if activation == "none" else c.b(Silu(out)), last
