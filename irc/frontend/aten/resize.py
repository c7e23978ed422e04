"""Images of another size, elements at places between others, and windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from irc.frontend.aten.table import converts
from irc.frontend.composed.linear import along_axis
from irc.frontend.composed.tensor import cut
from irc.frontend.context import Context
from irc.ir.dims import mul
from irc.ir.graph import Value
from irc.ir.ops.math import Add, Clamp, Compare, Floor, LogicalAnd, Mul, Round, Sub, Where
from irc.ir.ops.tensor import Gather, Iota, Pad, Permute, Reshape
from irc.ir.scalars import I64, Array


@converts("upsample_nearest1d.vec", "upsample_nearest2d.vec", "upsample_nearest3d.vec")
def upsample_nearest_vec(c: Context, x: Value, size: Any, factors: Sequence[float] | None) -> Value:
    scales = list(factors) if factors else [None] * (x.type.rank - 2)
    return _nearest(c, x, scales)


@converts("upsample_nearest1d.default", "upsample_nearest2d.default", "upsample_nearest3d.default")
def upsample_nearest(c: Context, x: Value, size: Any, *factors: float | None) -> Value:
    return _nearest(c, x, list(factors))


def _nearest(c: Context, x: Value, factors: Sequence[float | None]) -> Value:
    """Element i of the result is element floor(i * old / new) of x."""
    for axis, factor in enumerate(factors, start=2):
        old, new = _sizes(c, x, axis)
        ratio = np.float32(1 / factor if factor else old / new)
        index = np.minimum(np.floor(np.arange(new, dtype=np.float32) * ratio), old - 1)
        if new != old:
            x = c.b(Gather(x, c.b.const(index.astype(np.int64), I64), axis))
    return x


@converts("upsample_bilinear2d.vec", "upsample_linear1d.vec", "upsample_trilinear3d.vec")
def upsample_linear_vec(c: Context, x: Value, size: Any, corners: bool, factors: Sequence[float] | None) -> Value:
    return _linear(c, x, corners, list(factors) if factors else [None] * (x.type.rank - 2))


@converts("upsample_linear1d.default", "upsample_trilinear3d.default")
def upsample_linear(c: Context, x: Value, size: Any, corners: bool, *factors: float | None) -> Value:
    return _linear(c, x, corners, list(factors))


def _linear(c: Context, x: Value, corners: bool, factors: Sequence[float | None]) -> Value:
    """Linear interpolation is one matrix product an axis."""
    for axis, factor in enumerate(factors, start=2):
        old, new = _sizes(c, x, axis)
        if new != old:
            x = along_axis(c, x, axis, _linear_matrix(old, new, corners, factor))
    return x


def _place(i: int, old: int, new: int, corners: bool, factor: float | None) -> float:
    """Where element i of the result lies among those of x."""
    if corners:
        return i * (old - 1) / max(new - 1, 1)
    return (i + 0.5) * (1 / factor if factor else old / new) - 0.5


def _linear_matrix(old: int, new: int, corners: bool, factor: float | None) -> Array:
    """[new, old]: two weights a row."""
    matrix = np.zeros((new, old))
    for i in range(new):
        place = max(_place(i, old, new, corners, factor), 0)
        low = min(math.floor(place), old - 1)
        matrix[i, low] += 1 - (place - low)
        matrix[i, min(low + 1, old - 1)] += place - low
    return matrix


@converts("upsample_bicubic2d.vec")
def upsample_cubic_vec(c: Context, x: Value, size: Any, corners: bool, factors: Sequence[float] | None) -> Value:
    return _cubic(c, x, corners, list(factors) if factors else [None] * 2)


def _cubic(c: Context, x: Value, corners: bool, factors: Sequence[float | None]) -> Value:
    """Cubic convolution (Keys, 1981, with a = -0.75) is one matrix product an axis."""
    for axis, factor in enumerate(factors, start=2):
        old, new = _sizes(c, x, axis)
        if new != old:
            x = along_axis(c, x, axis, _cubic_matrix(old, new, corners, factor))
    return x


def _cubic_matrix(old: int, new: int, corners: bool, factor: float | None) -> Array:
    """[new, old]: four weights a row, those beyond an end at the end."""
    matrix = np.zeros((new, old))
    for i in range(new):
        place = _place(i, old, new, corners, factor)
        for at in range(math.floor(place) - 1, math.floor(place) + 3):
            matrix[i, min(max(at, 0), old - 1)] += _cubic_weight(abs(place - at))
    return matrix


def _cubic_weight(t: float, a: float = -0.75) -> float:
    """Of an element so far away, below 2."""
    return ((a + 2) * t - (a + 3)) * t * t + 1 if t <= 1 else a * (((t - 5) * t + 8) * t - 4)


def _sizes(c: Context, x: Value, axis: int) -> tuple[int, int]:
    """The size of an axis before and after."""
    return c.number(x.type.shape[axis], "the size"), c.number(c.type.shape[axis], "the new size")


# -- places that the data tell


@converts("grid_sampler.default", "grid_sampler_2d.default")
def grid_sample(c: Context, x: Value, grid: Value, mode: int, padding: int, corners: bool) -> Value:
    """x[N, C, H, W] at grid[N, h, w, (x, y)], where -1 and 1 are the ends; weights of neighbours times lookups."""
    if x.type.rank != 4 or mode > 1 or padding > 1:
        c.unsupported("only images, linear or nearest, with zeros or the border outside, have an equivalent")
    sizes = c.number(x.type.shape[2], "the height"), c.number(x.type.shape[3], "the width")
    y, x_ = (_on_axis(c, grid, 1 - i, size, corners, border=padding == 1) for i, size in enumerate(sizes))
    if mode == 1:
        return _looked_up(c, x, [(c.b(Round(y)), c.b(Round(x_)), None)])
    corner: list[tuple[Value, Value, Value | None]] = []
    for row, row_weight in _neighbours(c, y):
        for column, column_weight in _neighbours(c, x_):
            corner.append((row, column, c.b(Mul(row_weight, column_weight))))
    return _looked_up(c, x, corner)


def _on_axis(c: Context, grid: Value, axis: int, size: int, corners: bool, border: bool) -> Value:
    """Places [N, h, w] in elements."""
    scalar = grid.type.scalar
    at = c.b(Reshape(cut(c, grid, 3, axis, axis + 1), grid.type.shape[:3]))
    scale = (size - 1) / 2 if corners else size / 2
    found = c.b(Add(c.b(Mul(at, c.const(scale, scalar))), c.const((size - 1) / 2, scalar)))
    return c.b(Clamp(found, 0.0, float(size - 1))) if border else found


def _neighbours(c: Context, at: Value) -> tuple[tuple[Value, Value], tuple[Value, Value]]:
    """The elements in front of and behind a place, each with its weight."""
    one = c.const(1, at.type.scalar)
    low = c.b(Floor(at))
    share = c.b(Sub(at, low))
    return (low, c.b(Sub(one, share))), (c.b(Add(low, one)), share)


def _looked_up(c: Context, x: Value, terms: Sequence[tuple[Value, Value, Value | None]]) -> Value:
    """The sum over terms of x[n, :, row, column] * weight, 0 outside of x; rows and columns are whole floats."""
    batch, channels, height, width = x.type.shape
    image = c.b(Reshape(c.b(Permute(x, (0, 2, 3, 1))), (mul(batch, mul(height, width)), channels)))
    first = c.b(Mul(c.b(Iota(0, 1, shape=(batch,))), c.size(mul(height, width))))
    total: Value | None = None
    for row, column, weight in terms:
        (y, inside), (z, also) = _within(c, row, height), _within(c, column, width)
        place = c.b(Add(c.b(Mul(y, c.size(width))), z))
        place = c.b(Add(place, c.b(Reshape(first, (batch, 1, 1)))))
        found = c.b(Gather(image, place, 0))
        shape = (*place.type.shape, 1)
        valid = c.b(Reshape(c.b(LogicalAnd(inside, also)), shape))
        zero = c.const(0, x.type.scalar)
        found = c.b(Where(valid, found, zero))
        if weight is not None:
            found = c.b(Mul(found, c.b(Reshape(weight, shape))))
        total = found if total is None else c.b(Add(total, found))
    assert total is not None
    return c.b(Permute(total, (0, 3, 1, 2)))


def _within(c: Context, at: Value, size: Any) -> tuple[Value, Value]:
    """Places as i64 of an axis, and whether they lie on it."""
    last = c.number(size, "the size") - 1
    scalar = at.type.scalar
    low, high = c.b(Compare(at, c.const(0, scalar), "ge")), c.b(Compare(at, c.const(last, scalar), "le"))
    return c.cast(c.b(Clamp(at, 0.0, float(last))), I64), c.b(LogicalAnd(low, high))


# -- windows of images


@converts("im2col.default")
def windows_of(
    c: Context, x: Value, kernel: Sequence[int], dilation: Sequence[int], padding: Sequence[int], stride: Sequence[int]
) -> Value:
    """[..., C, H, W] -> [..., C * kh * kw, windows]"""
    rank = x.type.rank
    widths = (0,) * (rank - 2) + tuple(padding)
    x = c.b(Pad(x, widths, widths)) if any(widths) else x
    for i, axis in enumerate((rank - 2, rank)):  # the first lookup makes one axis two
        places = _windows(c, x, axis, kernel[i], dilation[i], stride[i])
        x = c.b(Gather(x, c.b.const(places, I64), axis))
    order = (*range(rank - 2), rank - 2, rank, rank - 1, rank + 1)
    return c.b(Reshape(c.b(Permute(x, order)), c.type.shape))


def _windows(c: Context, x: Value, axis: int, kernel: int, dilation: int, stride: int) -> Array:
    """[kernel, windows]: the element at each place of each window along an axis."""
    count = (c.number(x.type.shape[axis], "the size") - dilation * (kernel - 1) - 1) // stride + 1
    return dilation * np.arange(kernel)[:, None] + stride * np.arange(count)


@converts("col2im.default")
def from_windows(
    c: Context,
    x: Value,
    size: Sequence[int],
    kernel: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    stride: Sequence[int],
) -> Value:
    """[..., C * kh * kw, windows] -> [..., C, H, W], the sum of what windows have there: a matrix product an axis."""
    *batch, channels, _, _ = c.type.shape
    counts = [
        (s + 2 * p - d * (k - 1) - 1) // step + 1
        for s, p, d, k, step in zip(size, padding, dilation, kernel, stride, strict=True)
    ]
    n = len(batch)
    x = c.b(Reshape(x, (*batch, channels, *kernel, *counts)))
    x = c.b(Permute(x, (*range(n + 1), n + 1, n + 3, n + 2, n + 4)))
    x = c.b(Reshape(x, (*batch, channels, *(k * m for k, m in zip(kernel, counts, strict=True)))))
    for i, axis in enumerate((n + 1, n + 2)):
        places = dilation[i] * np.arange(kernel[i])[:, None] + stride[i] * np.arange(counts[i]) - padding[i]
        matrix = np.arange(size[i])[:, None] == places.reshape(1, -1)
        x = along_axis(c, x, axis, matrix.astype(np.float64))
    return x
