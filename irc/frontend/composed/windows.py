"""Windows of images as columns, and images made of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from irc.frontend.building import Building
from irc.frontend.composed.linear import along_axis
from irc.ir.dims import Dim
from irc.ir.graph import Value
from irc.ir.ops.tensor import Permute, Reshape
from irc.ir.scalars import Array


def elements_of_windows(c: Building, kernel: int, dilation: int, before: int, stride: int, count: int) -> Array:
    """[count, kernel]: where each element of each window along an axis lies; outside of the axis in the padding."""
    c.countable(kernel * count, "windows")
    return stride * np.arange(count)[:, None] - before + dilation * np.arange(kernel)


def from_windows(
    c: Building,
    x: Value,
    batch: Sequence[Dim],
    size: Sequence[int],
    kernel: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    stride: Sequence[int],
) -> Value:
    """x[*batch, C * kernel, windows] -> [*batch, C, *size], the sum of what windows have there: a product an axis.

    `padding` is in front of each axis and, behind them, behind each axis.
    """
    n, m = len(size), len(batch)
    ends = zip(size, padding[:n], padding[n:], kernel, dilation, stride, strict=True)
    counts = [(s + before + after - d * (k - 1) - 1) // step + 1 for s, before, after, k, d, step in ends]
    channels = c.number(x.type.shape[-2], "the number of channels") // math.prod(kernel)
    x = c.b(Reshape(x, (*batch, channels, *kernel, *counts)))
    x = c.b(Permute(x, (*range(m + 1), *(m + 1 + i + j for i in range(n) for j in (0, n)))))
    x = c.b(Reshape(x, (*batch, channels, *(k * count for k, count in zip(kernel, counts, strict=True)))))
    for i in range(n):
        matrix = _sums(c, size[i], kernel[i], dilation[i], padding[i], stride[i], counts[i])
        x = along_axis(c, x, m + 1 + i, matrix)
    return x


def _sums(c: Building, size: int, kernel: int, dilation: int, before: int, stride: int, count: int) -> Array:
    """[size, kernel * count]: 1 where that element of that window lies there."""
    c.countable(size * kernel * count, "windows")
    places = elements_of_windows(c, kernel, dilation, before, stride, count).T
    return (np.arange(size)[:, None] == places.reshape(1, -1)).astype(np.float64)
