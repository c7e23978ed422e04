"""Ops that move values without changing them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from irc.ir.dims import Dim, Shape, add, equal, evaluate, floordiv, mul, product, sub
from irc.ir.graph import Value
from irc.ir.op import Op, of_result
from irc.ir.ops.common import axis_of
from irc.ir.scalars import I64, Array
from irc.ir.types import Element, TensorType, shape_text


def numbers(shape: Shape, dims: Mapping[str, int]) -> tuple[int, ...]:
    """A shape with every symbol replaced by its number."""
    return tuple(evaluate(d, dims) for d in shape)


def one_scale(op: Op, t: TensorType) -> Element:
    """The element of an operand. Fails at `op` if scales belong to an axis that the movement does not keep."""
    if t.encoding is not None and not t.encoding.per_tensor:
        op.fail(f"operand is {t}, expected one scale")
    return t.element


class Reshape(Op, name="reshape"):
    """The same elements in C order with another shape."""

    view = True
    x: Value
    shape: Shape = of_result()

    def infer(self) -> TensorType:
        if equal(product(self.x.type.shape), product(self.shape)) is not True:
            self.fail(f"{shape_text(self.x.type.shape)} cannot be reshaped to {shape_text(self.shape)}")
        return TensorType(one_scale(self, self.x.type), self.shape)

    def reference(self, x: Array, *, dims: Mapping[str, int]) -> Array:
        return np.reshape(x, numbers(self.shape, dims))


class Permute(Op, name="permute"):
    """Dimension `i` of the result is dimension `order[i]` of x."""

    view = True
    x: Value
    order: tuple[int, ...]

    def infer(self) -> TensorType:
        t = self.x.type
        if sorted(self.order) != list(range(t.rank)):
            self.fail(f"order {list(self.order)} is no permutation of {t.rank} dimensions")
        known = t.encoding
        if known is not None and known.axis is not None:
            if known.group is not None:
                self.fail(f"operand is {t}; a tensor with a scale per group is not permuted")
            known = known.moved(self.order.index(known.axis))
        return TensorType(Element(t.scalar, known), tuple(t.shape[i] for i in self.order))

    def reference(self, x: Array) -> Array:
        return np.asarray(np.transpose(x, self.order), order="C")


class Expand(Op, name="expand"):
    """Repeats dimensions of size 1, and adds leading ones, to reach `shape`."""

    view = True
    x: Value
    shape: Shape = of_result()

    def infer(self) -> TensorType:
        given = self.x.type.shape
        tail = self.shape[len(self.shape) - len(given) :]
        fits = len(self.shape) >= len(given) and all(
            equal(g, 1) is True or equal(g, w) is True for g, w in zip(given, tail, strict=True)
        )
        if not fits:
            self.fail(f"{shape_text(given)} cannot be expanded to {shape_text(self.shape)}")
        return TensorType(one_scale(self, self.x.type), self.shape)

    def reference(self, x: Array, *, dims: Mapping[str, int]) -> Array:
        return np.asarray(np.broadcast_to(x, numbers(self.shape, dims)), order="C")


class Concat(Op, name="concat"):
    """Joins tensors along `axis`; they have one element type, so one scale."""

    view = True
    xs: tuple[Value, ...]
    axis: int

    def infer(self) -> TensorType:
        if not self.xs:
            self.fail("nothing to join")
        first = self.xs[0].type
        axis = axis_of(self, self.axis, first.rank)
        total: Dim = 0
        for value in self.xs:
            t = value.type
            if t.element != first.element:
                self.fail(
                    f"operands are {first} and {t}, expected one element type", hint="requantize to a common scale"
                )
            others = t.rank == first.rank and all(
                i == axis or equal(a, b) is True for i, (a, b) in enumerate(zip(t.shape, first.shape, strict=True))
            )
            if not others:
                self.fail(f"{first} and {t} differ outside axis {axis}")
            total = add(total, t.shape[axis])
        return TensorType(one_scale(self, first), (*first.shape[:axis], total, *first.shape[axis + 1 :]))

    def reference(self, xs: list[Array]) -> Array:
        return np.concatenate(xs, axis=self.axis)


class Slice(Op, name="slice"):
    """`x[..., start:stop:step, ...]` along `axis`; bounds are dimensions within 0 .. size."""

    view = True
    x: Value
    axis: int
    start: Dim
    stop: Dim
    step: int = 1

    def infer(self) -> TensorType:
        t = self.x.type
        axis = axis_of(self, self.axis, t.rank)
        if self.step < 1:
            self.fail(f"step {self.step} is not positive")
        for left in self._room(t.shape[axis]):
            if isinstance(left, int) and left < 0:
                self.fail(f"{self.start} .. {self.stop} is no range of a dimension of size {t.shape[axis]}")
        size = floordiv(add(sub(self.stop, self.start), self.step - 1), self.step)
        known = t.encoding
        if known is not None and (known.axis == axis or known.group is not None):
            self.fail(f"operand is {t}, which cannot be sliced along axis {axis} with its scales")
        return TensorType(t.element, (*t.shape[:axis], size, *t.shape[axis + 1 :]))

    def _room(self, size: Dim) -> tuple[Dim, Dim, Dim]:
        """What must not be negative: the room in front of, inside and behind the range."""
        return self.start, sub(self.stop, self.start), sub(size, self.stop)

    def reference(self, x: Array, *, dims: Mapping[str, int]) -> Array:
        start, stop = evaluate(self.start, dims), evaluate(self.stop, dims)
        if not 0 <= start <= stop <= x.shape[self.axis]:
            self.fail(f"{start} .. {stop} is no range of a dimension of size {x.shape[self.axis]}")
        index = [slice(None)] * x.ndim
        index[self.axis] = slice(start, stop, self.step)
        return np.asarray(x[tuple(index)], order="C")


class Pad(Op, name="pad"):
    """Adds `before[i]` and `after[i]` copies of `value` around dimension i; on integers `value` is a code."""

    view = True
    x: Value
    before: tuple[int, ...]
    after: tuple[int, ...]
    value: float = 0.0

    def infer(self) -> TensorType:
        t = self.x.type
        if len(self.before) != t.rank or len(self.after) != t.rank or min((*self.before, *self.after), default=0) < 0:
            self.fail(f"padding {list(self.before)}, {list(self.after)} does not fit {t}")
        if t.scalar.is_integer and not (self.value.is_integer() and t.scalar.min <= self.value <= t.scalar.max):
            self.fail(f"padding value {self.value} is no {t.scalar} code")
        shape = tuple(add(d, b + a) for d, b, a in zip(t.shape, self.before, self.after, strict=True))
        return TensorType(one_scale(self, t), shape)

    def reference(self, x: Array) -> Array:
        widths = np.array([self.before, self.after], np.int64).T
        return np.pad(x, widths, constant_values=x.dtype.type(self.value)) if x.ndim else x


class Gather(Op, name="gather"):
    """`x[..., indices, ...]` along `axis`: the dimensions of `indices` take its place (an embedding for axis 0)."""

    anchor = True
    view = True
    x: Value
    indices: Value
    axis: int = 0

    def infer(self) -> TensorType:
        t, i = self.x.type, self.indices.type
        axis = axis_of(self, self.axis, t.rank)
        if not i.scalar.is_integer or i.encoding:
            self.fail(f"indices are {i}, expected plain integers")
        return TensorType(one_scale(self, t), (*t.shape[:axis], *i.shape, *t.shape[axis + 1 :]))

    def reference(self, x: Array, indices: Array) -> Array:
        return np.take(x, _places(self, indices, x.shape[self.axis]), axis=self.axis)


class Scatter(Op, name="scatter"):
    """`x` with `x[..., indices, ...]` along `axis` replaced by `updates`; the last of several for one place stays."""

    anchor = True
    view = True
    x: Value
    indices: Value
    updates: Value
    axis: int = 0

    def infer(self) -> TensorType:
        t, i, u = self.x.type, self.indices.type, self.updates.type
        axis = axis_of(self, self.axis, t.rank)
        if not i.scalar.is_integer or i.encoding:
            self.fail(f"indices are {i}, expected plain integers")
        wanted = TensorType(one_scale(self, t), (*t.shape[:axis], *i.shape, *t.shape[axis + 1 :]))
        if not u.matches(wanted):
            self.fail(f"updates are {u}, expected {wanted}")
        return t

    def reference(self, x: Array, indices: Array, updates: Array) -> Array:
        places = _places(self, indices, x.shape[self.axis]).ravel()
        axis = self.axis % x.ndim
        rows = updates.reshape(*x.shape[:axis], places.size, *x.shape[axis + 1 :])
        out = x.copy()
        for row, place in enumerate(places):
            np.moveaxis(out, axis, 0)[place] = np.moveaxis(rows, axis, 0)[row]
        return out


class Iota(Op, name="iota"):
    """start, start + step, ... as plain i64."""

    start: Dim
    step: int
    shape: Shape = of_result()

    def infer(self) -> TensorType:
        if len(self.shape) != 1:
            self.fail(f"iota has one dimension, not {shape_text(self.shape)}")
        return TensorType(Element(I64), self.shape)

    def reference(self, *, dims: Mapping[str, int]) -> Array:
        (length,) = numbers(self.shape, dims)
        return (evaluate(self.start, dims) + np.arange(length, dtype=np.int64) * self.step).astype(np.int64)


def _places(op: Op, indices: Array, size: int) -> Array:
    """The indices of a dimension, all of which must lie in it."""
    if indices.size and (indices.min() < -size or indices.max() >= size):
        op.fail(f"index {indices.min() if indices.min() < -size else indices.max()} of a dimension of size {size}")
    return indices


def squeezed(shape: Shape, axis: int) -> Shape:
    """The shape without one dimension."""
    return (*shape[:axis], *shape[axis + 1 :])


def flattened(shape: Shape, start: int, end: int) -> Shape:
    """The shape with dimensions start .. end (inclusive) merged."""
    merged: Dim = 1
    for d in shape[start : end + 1]:
        merged = mul(merged, d)
    return (*shape[:start], merged, *shape[end + 1 :])
