"""Parts of sums of products that are made of other ops."""

from __future__ import annotations

import numpy as np

from irc.frontend.building import Building
from irc.frontend.composed.tensor import axis_last, moved_back, permuted
from irc.ir.dims import add, mul
from irc.ir.graph import Value
from irc.ir.ops.linear import Matmul
from irc.ir.ops.math import Mul, Sum
from irc.ir.ops.tensor import Expand, Pad, Reshape, Slice
from irc.ir.scalars import Array


def mirrored(w: Array, groups: int) -> Array:
    """w[C, O/groups, *kernel] of a transposed convolution as w[O, C/groups, *kernel] of the convolution it equals."""
    inputs, outputs, *kernel = w.shape
    grouped = w.reshape(groups, inputs // groups, outputs, *kernel).swapaxes(1, 2)
    return np.flip(grouped.reshape(groups * outputs, inputs // groups, *kernel), tuple(range(2, w.ndim)))


def with_gaps(c: Building, x: Value, stride: tuple[int, ...]) -> Value:
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


def repeat_heads(c: Building, x: Value, times: int) -> Value:
    """Grouped-query attention: every head `times` times in a row, x[..., H, N, D] -> [..., H * times, N, D]."""
    *batch, heads, rows, columns = x.type.shape
    spread = c.b(Reshape(x, (*batch, heads, 1, rows, columns)))
    spread = c.b(Expand(spread, (*batch, heads, times, rows, columns)))
    return c.b(Reshape(spread, (*batch, mul(heads, times), rows, columns)))


def matrix_product(c: Building, x: Value, y: Value) -> Value:
    """x[..., M, K] times y[..., K, N]; integers exactly, in their own type."""
    if x.type.scalar.is_float:
        return c.b(Matmul(x, y))
    *rows, size = x.type.shape
    *batch, inner, columns = y.type.shape
    wide = c.b(Mul(c.b(Reshape(x, (*rows, size, 1))), c.b(Reshape(y, (*batch, 1, inner, columns)))))
    return c.cast(c.b(Sum(wide, (-2,))), x.type.scalar)


def along_axis(c: Building, x: Value, axis: int, matrix: np.ndarray) -> Value:
    """Every line of x along `axis` times `matrix[new size, size]`."""
    weights = c.b.const(matrix.T.astype(x.type.scalar.dtype), x.type.scalar)
    order = axis_last(axis, x.type.rank)
    return moved_back(c, c.b(Matmul(permuted(c, x, order), weights)), order)
