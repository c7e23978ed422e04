"""Sums of products: linear, matrix products, einsum, convolutions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from irc.frontend.aten.table import converts
from irc.frontend.context import Context, Number
from irc.ir.dims import Dim, add, mul, product
from irc.ir.graph import Value
from irc.ir.ops.linear import Conv, Linear, Matmul
from irc.ir.ops.math import Add, Mul, Sum
from irc.ir.ops.structure import Const
from irc.ir.ops.tensor import Expand, Pad, Permute, Reshape, Slice
from irc.ir.scalars import Array


@converts("linear.default")
def linear(c: Context, x: Value, w: Value, b: Value | None) -> Value:
    return c.b(Linear(x, w, b))


@converts("matmul.default", "mm.default", "bmm.default", "mv.default", "dot.default")
def matmul(c: Context, x: Value, y: Value) -> Value:
    if not x.type.scalar.is_float:
        c.unsupported(f"product of {x.type.scalar} matrices", "cast to float")
    # A vector counts as a row on the left and a column on the right, and its dimension of size 1 goes away again.
    left = c.b(Reshape(x, (1, x.type.shape[0]))) if x.type.rank == 1 else x
    right = c.b(Reshape(y, (y.type.shape[0], 1))) if y.type.rank == 1 else y
    out = c.b(Matmul(left, right))
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


# -- einsum


@converts("einsum.default")
def einsum(c: Context, equation: str, operands: Sequence[Value], path: object) -> Value:
    """One or two operands without repeated letters or `...`: sums, transpositions and one batched matmul."""
    terms, _, out = equation.replace(" ", "").partition("->")
    letters = terms.split(",")
    if "->" not in equation:  # the implicit result: letters that occur once, sorted
        out = "".join(sorted(x for x in set(terms) - {","} if terms.count(x) == 1))
    repeated = any(len(set(term)) != len(term) for term in (*letters, out))
    if "." in equation or repeated or not 1 <= len(operands) <= 2:
        c.unsupported(f"equation '{equation}'", "write it with permute, matmul and sum")
    if len(operands) == 1:
        (x,), (names,) = operands, letters
        x, names = _sum_out(c, x, names, [n for n in names if n not in out])
        return _permuted(c, x, names, out)
    (x, y), (a, b) = operands, letters
    x, a = _sum_out(c, x, a, [n for n in a if n not in b + out])
    y, b = _sum_out(c, y, b, [n for n in b if n not in a + out])
    shared = [n for n in a if n in b and n in out]
    inner = [n for n in a if n in b and n not in out]
    left = [n for n in a if n not in b]
    right = [n for n in b if n not in a]
    sizes = dict(zip(a, x.type.shape, strict=True)) | dict(zip(b, y.type.shape, strict=True))
    product_ = c.b(
        Matmul(
            _grouped(c, _permuted(c, x, a, [*shared, *left, *inner]), sizes, (shared, left, inner)),
            _grouped(c, _permuted(c, y, b, [*shared, *inner, *right]), sizes, (shared, inner, right)),
        )
    )
    names = [*shared, *left, *right]
    whole = c.b(Reshape(product_, tuple(sizes[n] for n in names)))
    return _permuted(c, whole, names, out)


def _sum_out(c: Context, x: Value, names: str, gone: Sequence[str]) -> tuple[Value, str]:
    if not gone:
        return x, names
    axes = tuple(names.index(n) for n in gone)
    return c.b(Sum(x, axes)), "".join(n for n in names if n not in gone)


def _permuted(c: Context, x: Value, names: Sequence[str], wanted: Sequence[str]) -> Value:
    order = tuple(names.index(n) for n in wanted)
    return x if order == tuple(range(len(order))) else c.b(Permute(x, order))


def _grouped(c: Context, x: Value, sizes: dict[str, Dim], groups: Sequence[Sequence[str]]) -> Value:
    batch, rows, columns = (product(tuple(sizes[n] for n in g)) for g in groups)
    return c.b(Reshape(x, (batch, rows, columns)))


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
    return _unbatched(c, Conv(batch, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups), x)


def _unbatched(c: Context, op: Conv, x: Value) -> Value:
    out = c.b(op)
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
    mirrored = _mirrored(w.node.value.array, groups)
    steps = spread(dilation, n)
    before = tuple(d * (k - 1) - p for d, k, p in zip(steps, mirrored.shape[2:], spread(padding, n), strict=True))
    after = tuple(v + extra for v, extra in zip(before, spread(output_padding, n), strict=True))
    if min((*before, *after)) < 0:
        c.unsupported(f"padding {list(padding)} is larger than the kernel", "slice the result instead")
    weights = c.b.const(mirrored, w.type.scalar, name=w.name)
    batch = c.b(Reshape(x, (1, *x.type.shape))) if x.type.rank == n + 1 else x
    sparse = _with_gaps(c, batch, spread(stride, n))
    return _unbatched(
        c, Conv(sparse, weights, b, stride=(1,) * n, padding=(*before, *after), dilation=steps, groups=groups), x
    )


def _mirrored(w: Array, groups: int) -> Array:
    """w[C, O/groups, *kernel] of a transposed convolution as w[O, C/groups, *kernel] of the convolution it equals."""
    inputs, outputs, *kernel = w.shape
    grouped = w.reshape(groups, inputs // groups, outputs, *kernel).swapaxes(1, 2)
    return np.flip(grouped.reshape(groups * outputs, inputs // groups, *kernel), tuple(range(2, w.ndim)))


def _with_gaps(c: Context, x: Value, stride: tuple[int, ...]) -> Value:
    """x[N, C, *spatial] with `stride - 1` zeros between neighbours."""
    for axis, step in enumerate(stride, start=2):
        if step > 1:
            *front, size = x.type.shape[: axis + 1]
            back = x.type.shape[axis + 1 :]
            column = c.b(Reshape(x, (*front, size, 1, *back)))
            after = [0] * column.type.rank
            after[axis + 1] = step - 1
            padded = c.b(Pad(column, (0,) * len(after), tuple(after)))
            whole = c.b(Reshape(padded, (*front, mul(size, step), *back)))
            x = c.b(Slice(whole, axis, 0, add(mul(size, step), 1 - step)))
    return x


@converts("outer.default")
def outer(c: Context, x: Value, y: Value) -> Value:
    column = c.b(Reshape(x, (x.type.shape[0], 1)))
    return c.b(Mul(column, c.b(Reshape(y, (1, y.type.shape[0])))))


def repeat_heads(c: Context, x: Value, times: int) -> Value:
    """Grouped-query attention: every head `times` times in a row, x[..., H, N, D] -> [..., H * times, N, D]."""
    *batch, heads, rows, columns = x.type.shape
    spread = c.b(Reshape(x, (*batch, heads, 1, rows, columns)))
    spread = c.b(Expand(spread, (*batch, heads, times, rows, columns)))
    return c.b(Reshape(spread, (*batch, mul(heads, times), rows, columns)))
