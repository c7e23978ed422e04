"""Where the largest values of windows stand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from irc.frontend.building import Building
from irc.frontend.composed.windows import elements_of_windows
from irc.ir.graph import Value
from irc.ir.ops.math import Add, Argmax
from irc.ir.ops.tensor import Gather, Permute, Reshape
from irc.ir.scalars import I64, Array


def window_places(c: Building, size: int, kernel: int, stride: int, before: int, dilation: int, count: int) -> Array:
    """[count, kernel]: the elements of each window along an axis; for those in the padding the nearest of the window.

    Repeating an element changes neither which one is the largest nor which one of equal ones comes first.
    """
    places = elements_of_windows(c, kernel, dilation, before, stride, count)
    inside = (places >= 0) & (places < size)
    first, last = np.where(inside, places, size).min(1), np.where(inside, places, -1).max(1)
    return places.clip(first[:, None], last[:, None])


def places_of_largest(c: Building, x: Value, windows: Sequence[Array]) -> Value:
    """For each window of x[..., *spatial] the i64 position of its largest element among the flattened spatial axes.

    `windows` has [count, elements] for each spatial axis. Of equal elements the first one counts, as in PyTorch.
    """
    n, first = len(windows), x.type.rank - len(windows)
    batch, sizes = x.type.shape[:first], [c.number(d, "the size") for d in x.type.shape[first:]]
    counts, kernel = [len(w) for w in windows], [w.shape[1] for w in windows]
    each = math.prod(kernel)
    c.countable(math.prod(counts) * each, "windows")
    for i, places in enumerate(windows):
        x = c.b(Gather(x, c.b.const(places, I64), first + 2 * i))
    order = (*range(first), *(first + 2 * i for i in range(n)), *(first + 2 * i + 1 for i in range(n)))
    rows = c.b(Reshape(c.b(Permute(x, order)), (*batch, *counts, each)))
    starts = (np.arange(math.prod(counts)) * each).reshape(counts)
    at = c.b(Add(c.b(Argmax(rows, (-1,))), c.b.const(starts, I64)))
    return c.b(Gather(c.b.const(_positions(sizes, windows), I64), at, 0))


def _positions(sizes: Sequence[int], windows: Sequence[Array]) -> Array:
    """The flat position of each element of each window, window after window."""
    n, total = len(windows), np.zeros((), np.int64)
    for i, places in enumerate(windows):
        spread = np.expand_dims(places, [a for a in range(2 * n) if a not in (i, n + i)])
        total = total + spread * math.prod(sizes[i + 1 :])
    return total.ravel()
