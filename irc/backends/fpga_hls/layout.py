"""The order in which the elements of a tensor travel through a stream.

A layout is a nest of loops, outermost first; each has an extent and a stride, counted in elements of the tensor in C
order. A [2, 3, 4] tensor in C order is one loop ((24, 1),); with its last dimension outermost it is ((4, 1), (6, 4)).
So a reshape never changes a layout, and a permute only renames strides.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from irc.ir.scalars import Array

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Loop:
    """One loop over a part of dimension `dim`: `extent` indices of that dimension, `step` apart."""

    dim: int
    extent: int
    step: int = 1


@dataclass(frozen=True, slots=True)
class Layout:
    """(extent, stride) of every loop, outermost first. Loops that continue one another are merged: layouts compare."""

    loops: tuple[tuple[int, int], ...]

    @property
    def count(self) -> int:
        """The number of elements."""
        return math.prod(extent for extent, _ in self.loops)

    def positions(self) -> Array:
        """For each element of the stream, its place in C order."""
        places = np.zeros(1, np.int64)
        for extent, stride in self.loops:
            places = (places[:, None] + np.arange(extent, dtype=np.int64) * stride).reshape(-1)
        return places

    def arrange(self, tensor: Array) -> Array:
        """The elements of a tensor in the order of the stream."""
        return tensor.reshape(-1)[self.positions()]

    def restore(self, stream: Array, shape: Shape) -> Array:
        """The tensor of that shape whose elements came in the order of the stream."""
        tensor = np.empty(stream.size, stream.dtype)
        tensor[self.positions()] = stream
        return tensor.reshape(shape)

    def split(self, shape: Shape) -> tuple[Loop, ...] | None:
        """The loops by dimension of a tensor of that shape; None if a loop runs across dimensions in an uneven way."""
        found: list[Loop] = []
        strides = _strides(shape)
        for extent, stride in reversed(self.loops):
            while extent > 1:
                dim = next(d for d in range(len(shape)) if shape[d] > 1 and strides[d] <= stride)
                room, rest = divmod(strides[dim] * shape[dim], stride)
                inside = min(extent, room)
                if stride % strides[dim] or extent % inside or (extent > inside and rest):
                    return None
                found.append(Loop(dim, inside, stride // strides[dim]))
                extent, stride = extent // inside, strides[dim] * shape[dim]
        return tuple(reversed(found))

    def around(self, shape: Shape, dim: int) -> tuple[tuple[Loop, ...], tuple[Loop, ...]] | None:
        """The loops outside and inside the only loop of `dim`; None if it has several, or none as its size is 1."""
        loops = self.split(shape)
        if loops is None:
            return None
        places = [i for i, loop in enumerate(loops) if loop.dim == dim]
        if len(places) != 1:
            return None
        return loops[: places[0]], loops[places[0] + 1 :]

    def grouped(self, shape: Shape, inner: Iterable[int]) -> tuple[tuple[Loop, ...], tuple[Loop, ...]] | None:
        """The loops of the other dimensions, and those of `inner`, if the latter are the innermost ones; else None."""
        loops = self.split(shape)
        if loops is None:
            return None
        dims = set(inner)
        first = next((i for i, loop in enumerate(loops) if loop.dim in dims), len(loops))
        if any(loop.dim not in dims for loop in loops[first:]):
            return None
        return loops[:first], loops[first:]

    def permuted(self, shape: Shape, order: Sequence[int]) -> Layout | None:
        """The same stream as the tensor whose dimension i is dimension order[i]; None where `split` is."""
        loops = self.split(shape)
        if loops is None:
            return None
        return nest(tuple(shape[d] for d in order), [Loop(order.index(x.dim), x.extent, x.step) for x in loops])


def extent_of(loops: Iterable[Loop]) -> int:
    """The number of iterations of a nest."""
    return math.prod(loop.extent for loop in loops)


def nest(shape: Shape, loops: Iterable[Loop]) -> Layout:
    """The layout of a tensor of that shape that these loops describe."""
    strides = _strides(shape)
    return merged((loop.extent, loop.step * strides[loop.dim]) for loop in loops)


def merged(loops: Iterable[tuple[int, int]]) -> Layout:
    """The canonical form of a nest: no loop of one iteration, none that continues the one outside it."""
    out: list[tuple[int, int]] = []
    for extent, stride in loops:
        if extent == 1:
            continue
        if out and out[-1][1] == extent * stride:
            extent *= out.pop()[0]
        out.append((extent, stride))
    return Layout(tuple(out))


def c_order(shape: Shape) -> Layout:
    """The last dimension innermost."""
    return merged([(math.prod(shape), 1)])


def dims_order(shape: Shape, order: Iterable[int]) -> Layout:
    """The dimensions in this order, outermost first."""
    return nest(shape, [Loop(d, shape[d]) for d in order])


def channels_last(shape: Shape) -> Layout:
    """The order of images [N, C, *spatial]: the channels innermost."""
    return dims_order(shape, [0, *range(2, len(shape)), 1])


def places_in(loops: Sequence[Loop]) -> Array:
    """The indices of the only dimension of `loops`, in the order in which they come."""
    return Layout(tuple((loop.extent, loop.step) for loop in loops)).positions()


def refined(layouts: Sequence[Layout]) -> list[Layout] | None:
    """The layouts with their loops cut at the same strides (not merged); None if these do not divide one another."""
    cuts = sorted({cut for layout in layouts for extent, stride in layout.loops for cut in (stride, extent * stride)})
    if any(b % a for a, b in pairwise(cuts)):
        return None
    return [Layout(tuple(part for loop in layout.loops for part in _cut(loop, cuts))) for layout in layouts]


def _cut(loop: tuple[int, int], cuts: Sequence[int]) -> list[tuple[int, int]]:
    extent, stride = loop
    inside = [c for c in cuts if stride <= c <= extent * stride]
    return [(b // a, a) for a, b in pairwise(inside)][::-1]


def _strides(shape: Shape) -> list[int]:
    return [math.prod(shape[d + 1 :]) for d in range(len(shape))]
