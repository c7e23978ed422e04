"""Sums of products: linear, matrix products, einsum, convolutions."""

from __future__ import annotations

from collections.abc import Sequence

from irc.frontend.aten.math import mul
from irc.frontend.aten.table import converts
from irc.frontend.composed.einsum import einsum
from irc.frontend.composed.linear import matrix_product, mirrored, with_gaps
from irc.frontend.context import Context, Number
from irc.ir.graph import Value
from irc.ir.ops.linear import Conv, Linear
from irc.ir.ops.math import Add, Mul
from irc.ir.ops.structure import Const
from irc.ir.ops.tensor import Reshape


@converts("linear.default")
def linear(c: Context, x: Value, w: Value, b: Value | None) -> Value:
    if w.type.rank == 2:
        return _with_bias(c, Linear(x, w), b)
    row = c.b(Linear(x, c.b(Reshape(w, (1, *w.type.shape))), None))  # a vector is one output without a dimension
    out = c.b(Reshape(row, x.type.shape[:-1]))
    return out if b is None else c.b(Add(out, b))


def _with_bias(c: Context, op: Linear | Conv, b: Value | None) -> Value:
    """The layer with its bias, behind it if it has integers: PyTorch's are of their type, our sums i32."""
    if op.x.type.scalar.is_float:
        op.b = b
        return c.b(op)
    out = c.cast(c.b(op), op.x.type.scalar)
    if b is None:
        return out
    behind = out.type.rank - 2 if isinstance(op, Conv) else 0
    return c.b(Add(out, c.b(Reshape(b, (*b.type.shape, *(1,) * behind)))))


@converts("matmul.default", "mm.default", "bmm.default", "mv.default", "dot.default")
def matmul(c: Context, x: Value, y: Value) -> Value:
    # A vector counts as a row on the left and a column on the right, and its dimension of size 1 goes away again.
    left = c.b(Reshape(x, (1, x.type.shape[0]))) if x.type.rank == 1 else x
    right = c.b(Reshape(y, (y.type.shape[0], 1))) if y.type.rank == 1 else y
    out = matrix_product(c, left, right)
    return out if left is x and right is y else c.b(Reshape(out, c.type.shape))


@converts("addmm.default", "baddbmm.default", "addmv.default")
def addmm(c: Context, bias: Value, x: Value, y: Value, beta: Number, alpha: Number) -> Value:
    out = matmul(c, x, y)
    if alpha != 1:
        out = c.b(Mul(out, c.const(alpha, out.type.scalar)))
    if beta == 0:
        return out
    if beta != 1:
        bias = c.b(Mul(bias, c.const(beta, bias.type.scalar)))
    return c.b(Add(out, bias))


@converts("einsum.default")
def einsum_of(c: Context, equation: str, operands: Sequence[Value], path: object) -> Value:
    return einsum(c, equation, operands)


# -- convolutions


def conv(
    c: Context,
    x: Value,
    w: Value,
    b: Value | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Value:
    n = w.type.rank - 2
    before = spread(padding, n)
    return _batched(c, x, w, b, spread(stride, n), (*before, *before), spread(dilation, n), groups)


def spread(values: Sequence[int] | int, n: int) -> tuple[int, ...]:
    """One number for every spatial axis."""
    numbers = (values,) if isinstance(values, int) else tuple(values)
    return numbers * n if len(numbers) == 1 else numbers


def _batched(
    c: Context,
    x: Value,
    w: Value,
    b: Value | None,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
) -> Value:
    """The convolution; an input without batch dimension gets one for the time being."""
    batch = c.b(Reshape(x, (1, *x.type.shape))) if x.type.rank < w.type.rank else x
    op = Conv(batch, w, None, stride=stride, padding=padding, dilation=dilation, groups=groups)
    return _unbatched(c, _with_bias(c, op, b), x)


def _unbatched(c: Context, out: Value, x: Value) -> Value:
    return out if out.type.rank == x.type.rank else c.b(Reshape(out, out.type.shape[1:]))


converts("conv1d.default", "conv2d.default", "conv3d.default")(conv)


@converts("conv1d.padding", "conv2d.padding", "conv3d.padding")
def conv_padding(
    c: Context,
    x: Value,
    w: Value,
    b: Value | None,
    stride: Sequence[int],
    padding: str,
    dilation: Sequence[int],
    groups: int,
) -> Value:
    """Padding by word: `valid`, or `same`, whose odd element goes to the end."""
    n = w.type.rank - 2
    steps = spread(dilation, n)
    kernel = [k for k in w.type.shape[2:] if isinstance(k, int)]
    total = [d * (k - 1) if padding == "same" else 0 for d, k in zip(steps, kernel, strict=True)]
    pads = (*(t // 2 for t in total), *(t - t // 2 for t in total))
    return _batched(c, x, w, b, spread(stride, n), pads, steps, groups)


@converts("convolution.default")
def convolution(
    c: Context,
    x: Value,
    w: Value,
    b: Value | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Value:
    if transposed:
        return conv_transpose(c, x, w, b, stride, padding, output_padding, groups, dilation)
    return conv(c, x, w, b, stride, padding, dilation, groups)


@converts("conv_transpose1d.default", "conv_transpose2d.input", "conv_transpose3d.input")
def conv_transpose(
    c: Context,
    x: Value,
    w: Value,
    b: Value | None,
    stride: Sequence[int],
    padding: Sequence[int],
    output_padding: Sequence[int],
    groups: int,
    dilation: Sequence[int],
) -> Value:
    """A convolution with mirrored weights of x with `stride - 1` zeros between its elements."""
    n = w.type.rank - 2
    if not isinstance(w.node, Const):
        c.unsupported("transposed convolution with computed weights", "upsample (nearest) and convolve instead")
    turned = mirrored(w.node.value.array, groups)
    steps = spread(dilation, n)
    before = tuple(d * (k - 1) - p for d, k, p in zip(steps, turned.shape[2:], spread(padding, n), strict=True))
    after = tuple(v + extra for v, extra in zip(before, spread(output_padding, n), strict=True))
    if min((*before, *after)) < 0:
        c.unsupported(f"padding {list(padding)} is larger than the kernel", "slice the result instead")
    weights = c.b.const(turned, w.type.scalar, name=w.name)
    batch = c.b(Reshape(x, (1, *x.type.shape))) if x.type.rank == n + 1 else x
    sparse = with_gaps(c, batch, spread(stride, n))
    op = Conv(sparse, weights, None, stride=(1,) * n, padding=(*before, *after), dilation=steps, groups=groups)
    return _unbatched(c, _with_bias(c, op, b), x)


@converts("outer.default")
def outer(c: Context, x: Value, y: Value) -> Value:
    column = c.b(Reshape(x, (x.type.shape[0], 1)))
    return mul(c, column, c.b(Reshape(y, (1, y.type.shape[0]))))
