"""Where the elements of a value lie: buffers, and strided views of them.

Reshapes, permutations, slices and expansions of a view are views again wherever strides can say so; only what they
cannot say is copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from irc.ir.dims import Dim, Shape, add, equal, floordiv, mul, product
from irc.ir.scalars import ScalarType

Space = Literal["input", "output", "weights", "workspace"]


@dataclass(eq=False)
class Buffer:
    """Memory of a run: an argument, a constant, or a part of the workspace.

    `size` in elements of `scalar`, which hold codes plus `shift`; `index` is the position of an argument, `offset` the
    place of a constant in bytes. Parts of the workspace are placed by `plan`: `first` and `last` are the steps between
    which they are in use. A kernel's `own` parts hold nothing between its calls: each thread has them elsewhere.
    """

    space: Space
    scalar: ScalarType
    size: Dim
    index: int = 0
    offset: int = 0
    shift: int = 0
    own: bool = False
    first: int = -1
    last: int = -1

    def used(self, step: int) -> None:
        """Keep the buffer alive during a step."""
        self.first = step if self.first < 0 else min(self.first, step)
        self.last = max(self.last, step)


@dataclass(frozen=True)
class View:
    """Elements of a buffer as a tensor: element (i, j, ...) lies at `offset + i*strides[0] + j*strides[1] + ...`."""

    buffer: Buffer
    shape: Shape
    strides: Shape
    offset: Dim = 0

    @property
    def scalar(self) -> ScalarType:
        return self.buffer.scalar

    @property
    def size_bytes(self) -> int:
        """Bytes of one element."""
        return self.scalar.dtype.itemsize

    def permuted(self, order: Sequence[int]) -> View:
        return replace(self, shape=tuple(self.shape[i] for i in order), strides=tuple(self.strides[i] for i in order))

    def sliced(self, axis: int, start: Dim, size: Dim, step: int) -> View:
        shape, strides = list(self.shape), list(self.strides)
        offset = add(self.offset, mul(start, strides[axis]))
        shape[axis], strides[axis] = size, mul(strides[axis], step)
        return replace(self, shape=tuple(shape), strides=tuple(strides), offset=offset)

    def broadcast(self, shape: Shape) -> View:
        """The view with dimensions of size 1 repeated, and leading ones added, to reach `shape`."""
        missing = len(shape) - len(self.shape)
        strides = [0] * missing + [
            stride if equal(have, want) is True else 0
            for have, want, stride in zip(self.shape, shape[missing:], self.strides, strict=True)
        ]
        return replace(self, shape=shape, strides=tuple(strides))

    def reshaped(self, shape: Shape) -> View | None:
        """The same elements in C order with another shape; None if no strides say so."""
        if self.is_dense:
            return replace(self, shape=shape, strides=dense_strides(shape))
        groups = _groups(self.shape, shape)
        if groups is None:
            return None
        strides: list[Dim] = [0] * len(shape)
        for old, new in groups:
            stride = _merged_stride([(self.shape[i], self.strides[i]) for i in old])
            if stride is None:
                return None
            for place in reversed(new):
                strides[place] = stride
                stride = mul(stride, shape[place])
        return replace(self, shape=shape, strides=tuple(strides))

    @property
    def is_dense(self) -> bool:
        """Whether the elements lie in C order without gaps."""
        return all(
            equal(size, 1) is True or equal(have, want) is True
            for size, have, want in zip(self.shape, self.strides, dense_strides(self.shape), strict=True)
        )


def dense_strides(shape: Shape, order: Sequence[int] | None = None) -> Shape:
    """Strides without gaps; `order` names the dimensions from the outermost to the innermost (default: C order)."""
    strides: list[Dim] = [0] * len(shape)
    stride: Dim = 1
    for axis in reversed(order if order is not None else range(len(shape))):
        strides[axis] = stride
        stride = mul(stride, shape[axis])
    return tuple(strides)


def dense_view(buffer: Buffer, shape: Shape, order: Sequence[int] | None = None) -> View:
    return View(buffer, shape, dense_strides(shape, order))


def _merged_stride(dims: Sequence[tuple[Dim, Dim]]) -> Dim | None:
    """The stride of (size, stride) dimensions run through as one; None if they are not evenly spaced."""
    kept = [(size, stride) for size, stride in dims if equal(size, 1) is not True]
    for (_, outer), (size, inner) in pairwise(kept):
        if equal(outer, mul(size, inner)) is not True:
            return None
    return kept[-1][1] if kept else 0


def _groups(old: Shape, new: Shape) -> list[tuple[list[int], list[int]]] | None:
    """Runs of dimensions of both shapes with equal products, in order; None if symbols leave it open."""
    groups: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(old) or j < len(new):
        a, b = [i] if i < len(old) else [], [j] if j < len(new) else []
        i, j = i + len(a), j + len(b)
        while equal(_size(old, a), _size(new, b)) is not True:
            left, right = _size(old, a), _size(new, b)
            shorter = _is_smaller(left, right)
            if shorter is True and i < len(old):
                a, i = [*a, i], i + 1
            elif shorter is False and j < len(new):
                b, j = [*b, j], j + 1
            else:
                return None
        groups.append((a, b))
    return groups


def _size(shape: Shape, places: Sequence[int]) -> Dim:
    return product(tuple(shape[p] for p in places))


def _is_smaller(a: Dim, b: Dim) -> bool | None:
    """Whether a is smaller: by number, or because it divides b. None if neither divides the other."""
    if isinstance(a, int) and isinstance(b, int):
        return a < b
    if _divides(a, b):
        return True
    return False if _divides(b, a) else None


def _divides(a: Dim, b: Dim) -> bool:
    return equal(a, 0) is not True and equal(mul(floordiv(b, a), a), b) is True
