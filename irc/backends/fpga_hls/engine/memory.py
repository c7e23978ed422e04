"""Tensors in memory: buffers, and views of them by strides. Permutations, slices and most reshapes are views."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from irc.backends.fpga_hls.layout import Layout, Shape, merged
from irc.backends.fpga_hls.types import Code
from irc.ir.scalars import Array

WORD = 16
"""Bytes of a memory word, and elements of a pack: `WORD_BYTES` and `LANES` of templates/engine_layer.h."""


def tiles(length: int, size: int) -> int:
    return -(-length // size)


def padded(length: int) -> int:
    """A length as whole packs."""
    return tiles(length, WORD) * WORD


def element_bytes(code: Code) -> int:
    """Bytes of an element in memory: 1, 2 or 4."""
    return code.port_bits // 8


@dataclass(eq=False)
class Buffer:
    """A piece of the memory of activations. With `contents` it is there from the start, and for good."""

    name: str
    code: Code
    size: int  # elements
    contents: Array | None = None
    place: int = 0  # byte at which it begins, from plan.py

    @property
    def bytes(self) -> int:
        return self.size * element_bytes(self.code)


@dataclass(frozen=True)
class View:
    """A tensor of some shape in a buffer; strides and offset in elements."""

    buffer: Buffer
    shape: Shape
    strides: tuple[int, ...]
    offset: int = 0

    @property
    def code(self) -> Code:
        return self.buffer.code

    @property
    def element(self) -> int:
        """Bytes of an element."""
        return element_bytes(self.buffer.code)

    def permuted(self, order: Sequence[int]) -> View:
        return replace(self, shape=tuple(self.shape[d] for d in order), strides=tuple(self.strides[d] for d in order))

    def sliced(self, axis: int, kept: range) -> View:
        """The indices `kept` of an axis."""
        shape, strides = list(self.shape), list(self.strides)
        shape[axis], strides[axis] = len(kept), self.strides[axis] * kept.step
        offset = self.offset + kept.start * self.strides[axis]
        return replace(self, shape=tuple(shape), strides=tuple(strides), offset=offset)

    def expanded(self, shape: Shape) -> View:
        """Broadcast to a shape: what repeats has stride 0."""
        own = (*[1] * (len(shape) - len(self.shape)), *self.shape)
        known = (*[0] * (len(shape) - len(self.shape)), *self.strides)
        strides = tuple(s if n == m else 0 for s, n, m in zip(known, own, shape, strict=True))
        return replace(self, shape=shape, strides=strides)

    def reshaped(self, shape: Shape) -> View | None:
        """The same elements in another shape; None if they do not lie evenly enough for that."""
        loops = self.loops()
        strides: list[int] = []
        for extent in reversed(shape):
            if extent == 1:
                strides.append(0)
                continue
            if not loops or loops[-1][0] % extent:
                return None
            inner, stride = loops.pop()
            strides.append(stride)
            if inner > extent:
                loops.append((inner // extent, stride * extent))
        return replace(self, shape=shape, strides=tuple(reversed(strides)))

    def loops(self) -> list[tuple[int, int]]:
        """(extent, stride) in C order, without those of one iteration, joined where one continues the other."""
        return list(merged(zip(self.shape, self.strides, strict=True)).loops)

    def order(self, channel: int | None = None) -> list[int]:
        """The dimensions as they lie in memory, outermost first; `channel`, if given, last."""
        dims = sorted(range(len(self.shape)), key=lambda d: (self.shape[d] > 1, -self.strides[d]))
        return dims if channel is None else [*(d for d in dims if d != channel), channel]

    @property
    def layout(self) -> Layout | None:
        """The order of the elements in memory, if they fill a piece of it without gaps."""
        loops = [(self.shape[d], self.strides[d]) for d in self.order() if self.shape[d] > 1]
        dense = 1
        for extent, stride in reversed(loops):
            if stride != dense:
                return None
            dense *= extent
        c_strides = [math.prod(self.shape[d + 1 :]) for d in range(len(self.shape))]
        return merged((self.shape[d], c_strides[d]) for d in self.order())

    def packs(self, channel: int) -> bool:
        """Whether rows along `channel` can be read in words: each begins at one, and its elements lie side by side."""
        pitches = [s for d, (n, s) in enumerate(zip(self.shape, self.strides, strict=True)) if n > 1 and d != channel]
        beside = self.shape[channel] == 1 or self.strides[channel] == 1
        return beside and all(pitch * self.element % WORD == 0 for pitch in (self.offset, *pitches))


def new_view(name: str, code: Code, shape: Shape, order: Sequence[int], *, compact: bool = False) -> View:
    """A tensor in a buffer of its own, its dimensions in this order; rows fill whole packs unless `compact`."""
    strides = [0] * len(shape)
    size = 1
    for place, dim in enumerate(reversed(order)):
        strides[dim] = size
        size *= shape[dim] if place or compact else padded(shape[dim])
    return View(Buffer(name, code, max(size, 1 if compact else WORD)), shape, tuple(strides))


def constant_view(name: str, code: Code, array: Array, order: Sequence[int]) -> View:
    """A constant in memory, rows in whole packs."""
    view = new_view(name, code, array.shape, order)
    contents = np.zeros(view.buffer.size, np.int64)
    places = np.zeros((), np.int64)
    for extent, stride in zip(view.shape, view.strides, strict=True):
        places = places[..., None] + np.arange(extent, dtype=np.int64) * stride
    contents[places.reshape(-1)] = array.reshape(-1)
    view.buffer.contents = contents
    return view


Loop = tuple[int, tuple[int, ...]]
"""How often, and the stride of each of some views."""


def common_loops(dims: Sequence[int], views: Sequence[View]) -> list[Loop]:
    """The loops over some dimensions that views of one shape share, outermost first, joined where all of them allow."""
    found: list[Loop] = []
    for dim in dims:
        extent, strides = views[0].shape[dim], tuple(v.strides[dim] for v in views)
        if extent == 1:
            continue
        if found and found[-1][1] == tuple(s * extent for s in strides):
            extent *= found.pop()[0]
        found.append((extent, strides))
    return found
