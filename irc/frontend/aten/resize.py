"""Images of another size, elements at places between others, and windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from irc.frontend.aten.table import converts
from irc.frontend.composed.grid import Mode, Outside, grid_sample
from irc.frontend.composed.linear import along_axis
from irc.frontend.composed.windows import elements_of_windows, from_windows
from irc.frontend.context import Context
from irc.ir.graph import Value
from irc.ir.ops.tensor import Gather, Pad, Permute, Reshape
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


MODES: tuple[Mode, ...] = ("linear", "nearest", "cubic")
OUTSIDE: tuple[Outside, ...] = ("zeros", "border", "reflection")


@converts("grid_sampler.default", "grid_sampler_2d.default", "grid_sampler_3d.default")
def grid_sampler(c: Context, x: Value, grid: Value, mode: int, padding: int, corners: bool) -> Value:
    return grid_sample(c, x, grid, MODES[mode], OUTSIDE[padding], corners)


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
    return elements_of_windows(c, kernel, dilation, 0, stride, count).T


@converts("col2im.default")
def col2im(
    c: Context,
    x: Value,
    size: Sequence[int],
    kernel: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    stride: Sequence[int],
) -> Value:
    """[..., C * kh * kw, windows] -> [..., C, H, W], the sum of what windows have there."""
    return from_windows(c, x, c.type.shape[:-3], size, kernel, dilation, [*padding, *padding], stride)
