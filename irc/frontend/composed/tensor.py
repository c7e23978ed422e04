"""Movements of values that are made of others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from irc.frontend.building import Building
from irc.ir.dims import Dim, add, equal, sub
from irc.ir.graph import Value
from irc.ir.ops.tensor import Gather, Iota, Permute, Reshape, Slice
from irc.ir.scalars import I64


def cut(c: Building, x: Value, axis: int, start: Dim, stop: Dim, step: int = 1) -> Value:
    """`x[start:stop:step]` along an axis; x itself if that is all of it."""
    axis %= x.type.rank
    if start == 0 and step == 1 and equal(stop, x.type.shape[axis]) is True:
        return x
    return c.b(Slice(x, axis, start, stop, step))


def permuted(c: Building, x: Value, order: Sequence[int]) -> Value:
    """x with its axes in another order; x itself if that is none."""
    return x if list(order) == list(range(x.type.rank)) else c.b(Permute(x, tuple(order)))


def axis_last(axis: int, rank: int) -> tuple[int, ...]:
    """The order of axes in which one of them is the last."""
    return (*(i for i in range(rank) if i != axis), axis)


def moved_back(c: Building, x: Value, order: Sequence[int]) -> Value:
    """What was permuted into an order, as it was."""
    return permuted(c, x, [order.index(i) for i in range(x.type.rank)])


def pieces(c: Building, x: Value, axis: int, sizes: Sequence[Dim]) -> tuple[Value, ...]:
    """Consecutive slices of these sizes."""
    out: list[Value] = []
    start: Dim = 0
    for size in sizes:
        out.append(cut(c, x, axis, start, add(start, size)))
        start = add(start, size)
    return tuple(out)


def pad_axis(c: Building, x: Value, axis: int, before: int, after: int, mode: str) -> Value:
    """Padding that repeats elements is a lookup with constant indices."""
    size = c.number(x.type.shape[axis], f"the size in {mode} padding")
    c.countable(before + size + after, "padding")
    positions = np.arange(-before, size + after)
    if mode == "replicate":
        index = positions.clip(0, size - 1)
    elif mode == "circular":
        index = positions % size
    else:  # reflected at both ends, which are not repeated
        index = size - 1 - abs(size - 1 - abs(positions))
    return c.b(Gather(x, c.b.const(index, I64), axis))


def of_vectors(convert: Callable[..., Value]) -> Callable[..., Value]:
    """A converter of something along an axis, to which a number is a vector of one element."""

    @wraps(convert)
    def converted(c: Any, x: Value, *rest: Any) -> Value:
        if x.type.rank:
            return convert(c, x, *rest)
        return c.b(Reshape(convert(c, c.b(Reshape(x, (1,))), *rest), ()))

    return converted


def reversed_along(c: Building, x: Value, axis: int) -> Value:
    """The elements along an axis in reverse order."""
    size = x.type.shape[axis]
    return c.b(Gather(x, c.b(Iota(sub(size, 1), -1, shape=(size,))), axis % x.type.rank))
