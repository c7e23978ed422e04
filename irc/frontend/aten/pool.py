"""Pooling and resizing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from irc.frontend.aten.linear import spread
from irc.frontend.aten.table import converts
from irc.frontend.composed.linear import along_axis
from irc.frontend.composed.math import trunc
from irc.frontend.composed.pool import places_of_largest, window_places
from irc.frontend.composed.tensor import cut
from irc.frontend.context import Context, Later
from irc.frontend.nested import is_list
from irc.ir.graph import Value
from irc.ir.ops.math import Amax, Div, Mean, Mul, Round
from irc.ir.ops.pool import AvgPool, MaxPool
from irc.ir.ops.tensor import Concat, Pad, Reshape
from irc.ir.scalars import F64, Array


def _with_batch(c: Context, x: Value, n: int) -> Value:
    """x[N, C, *spatial]; torch also takes x[C, *spatial]."""
    return x if x.type.rank == n + 2 else c.b(Reshape(x, (1, *x.type.shape)))


def _without_batch(c: Context, y: Value, x: Value) -> Value:
    return y if y.type.rank == x.type.rank else c.b(Reshape(y, y.type.shape[1:]))


@converts("max_pool1d.default", "max_pool2d.default", "max_pool3d.default")
def max_pool(
    c: Context,
    x: Value,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil: bool,
) -> Value:
    n = _axes(c)
    size, pads = spread(kernel, n), spread(padding, n)
    steps = spread(stride, n) if stride else size
    pool = MaxPool(_with_batch(c, x, n), size, steps, (*pads, *pads), spread(dilation, n), ceil)
    return _without_batch(c, c.b(pool), x)


def _axes(c: Context) -> int:
    """The number of spatial axes, which the name of the op says: `aten.max_pool2d.default`."""
    return next(int(digit) for digit in "123" if f"pool{digit}d" in c.target)


@converts("max_pool2d_with_indices.default", "max_pool3d_with_indices.default", "max_pool1d_with_indices.default")
def max_pool_with_indices(
    c: Context,
    x: Value,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil: bool,
) -> tuple[Value | Later, ...]:
    n = _axes(c)
    steps = (spread(kernel, n), spread(stride or kernel, n), spread(padding, n), spread(dilation, n))

    def places() -> Value:
        axes = zip(_sizes(c, x, n), *steps, _sizes_of(c, n), strict=True)
        return places_of_largest(c, x, [window_places(c, *how) for how in axes])

    return max_pool(c, x, kernel, stride, padding, dilation, ceil), places


@converts("avg_pool1d.default")
def avg_pool1d(
    c: Context,
    x: Value,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil: bool,
    count_pad: bool,
) -> Value:
    return avg_pool(c, x, kernel, stride, padding, ceil, count_pad, None)


@converts("avg_pool2d.default", "avg_pool3d.default")
def avg_pool(
    c: Context,
    x: Value,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil: bool,
    count_pad: bool,
    divisor: int | None,
) -> Value:
    if not x.type.scalar.is_float:  # PyTorch divides whole sums and rounds towards zero
        mean = avg_pool(c, c.cast(x, F64), kernel, stride, padding, ceil, count_pad, divisor and 1)
        if divisor is not None:
            mean = c.b(Div(c.b(Round(mean)), c.const(divisor, F64)))
        return c.cast(trunc(c, mean), x.type.scalar)
    n = _axes(c)
    size, pads = spread(kernel, n), spread(padding, n)
    steps = spread(stride, n) if stride else size
    if divisor is not None and ceil:  # zeros up to the end of the last window, so that each has as many elements
        pads, ceil, x = (0,) * n, False, _filled_up(c, x, size, steps, pads)
    pool = AvgPool(_with_batch(c, x, n), size, steps, (*pads, *pads), ceil, count_pad or divisor is not None)
    out = _without_batch(c, c.b(pool), x)
    return out if divisor is None else c.b(Mul(out, c.const(math.prod(size) / divisor, out.type.scalar)))


def _filled_up(c: Context, x: Value, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]) -> Value:
    """x with zeros in front, and behind up to the end of the last window."""
    n = len(kernel)
    after = [
        max((count - 1) * step + k - before - size, 0)
        for size, count, k, step, before in zip(_sizes(c, x, n), _sizes_of(c, n), kernel, stride, padding, strict=True)
    ]
    batch = (0,) * (x.type.rank - n)
    return c.b(Pad(x, (*batch, *padding), (*batch, *after)))


@converts(
    "adaptive_avg_pool1d.default",
    "adaptive_avg_pool2d.default",
    "adaptive_avg_pool3d.default",
    "_adaptive_avg_pool2d.default",
    "_adaptive_avg_pool3d.default",
)
def adaptive_avg_pool(c: Context, x: Value, output: Sequence[int]) -> Value:
    """A mean for output size 1, windows where sizes divide, else one matrix product an axis."""
    n = _axes(c)
    spatial = tuple(range(x.type.rank - n, x.type.rank))
    if all(size == 1 for size in c.type.shape[-n:]):
        return c.b(Mean(x, spatial, True))
    sizes = _sizes(c, x, n)
    wanted = _sizes_of(c, n)
    if all(s % w == 0 for s, w in zip(sizes, wanted, strict=True)):
        kernel = tuple(s // w for s, w in zip(sizes, wanted, strict=True))
        pool = AvgPool(_with_batch(c, x, n), kernel, kernel, (0,) * (2 * n), False, True)
        return _without_batch(c, c.b(pool), x)
    for axis, size, want in zip(spatial, sizes, wanted, strict=True):
        x = along_axis(c, x, axis, _adaptive_matrix(size, want))
    return x


@converts("adaptive_max_pool1d.default", "adaptive_max_pool2d.default", "adaptive_max_pool3d.default")
def adaptive_max_pool(c: Context, x: Value, output: Sequence[int]) -> tuple[Value | Later, ...]:
    n = _axes(c)

    def places() -> Value:
        return places_of_largest(
            c, x, [_adaptive_places(s, w) for s, w in zip(_sizes(c, x, n), _sizes_of(c, n), strict=True)]
        )

    return _adaptive_max(c, x, n), places


def _adaptive_max(c: Context, x: Value, n: int) -> Value:
    """The largest value for output size 1, windows where sizes divide, else slices of every axis."""
    spatial = tuple(range(x.type.rank - n, x.type.rank))
    wanted = _sizes_of(c, n)
    if all(size == 1 for size in wanted):
        return c.b(Amax(x, spatial, True))
    sizes = _sizes(c, x, n)
    if any(s % w for s, w in zip(sizes, wanted, strict=True)):
        for axis, size, want in zip(spatial, sizes, wanted, strict=True):
            rows = tuple(c.b(Amax(cut(c, x, axis, *end), (axis,), True)) for end in _adaptive_ends(size, want))
            x = c.b(Concat(rows, axis))
        return x
    kernel = tuple(s // w for s, w in zip(sizes, wanted, strict=True))
    pool = MaxPool(_with_batch(c, x, n), kernel, kernel, (0,) * (2 * n), (1,) * n)
    return _without_batch(c, c.b(pool), x)


def _sizes_of(c: Context, n: int) -> list[int]:
    """The sizes of the first result."""
    first = c.fake[0] if is_list(c.fake) else c.fake
    return [c.number(d, "the new size") for d in c.type_of(first).shape[-n:]]


def _sizes(c: Context, x: Value, n: int) -> tuple[int, ...]:
    """The spatial sizes."""
    return tuple(c.number(d, "the size") for d in x.type.shape[-n:])


def _adaptive_ends(size: int, want: int) -> list[tuple[int, int]]:
    """Window i has the elements floor(i*size/want) .. ceil((i+1)*size/want)."""
    return [(i * size // want, -(-(i + 1) * size // want)) for i in range(want)]


def _adaptive_places(size: int, want: int) -> Array:
    """[want, elements]: the elements of each window, the last one repeated where a window has fewer than others."""
    ends = _adaptive_ends(size, want)
    longest = max(end - begin for begin, end in ends)
    return np.array([[min(begin + i, end - 1) for i in range(longest)] for begin, end in ends], np.int64)


def _adaptive_matrix(size: int, want: int) -> np.ndarray:
    """[want, size]: row i averages the elements of window i."""
    matrix = np.zeros((want, size))
    for i, (begin, end) in enumerate(_adaptive_ends(size, want)):
        matrix[i, begin:end] = 1 / (end - begin)
    return matrix
