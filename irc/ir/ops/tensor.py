"""Ops that move values without changing them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY

import numpy as np

from irc.ir.dims import Dim, Shape, add, bounds, equal, evaluate, floordiv, mul, product, sub
from irc.ir.graph import Value
from irc.ir.op import Op, of_result
from irc.ir.ops.common import axis_of
from irc.ir.scalars import I64, Array
from irc.ir.types import Element, TensorType, shape_text


def numbers(shape: Shape, dims: Mapping[str, int]) -> tuple[int, ...]:
    """A shape with every symbol replaced by its number."""
    return tuple(evaluate(d, dims) for d in shape)


def _without_axis_encoding(op: Op, element: Element) -> Element:
    if element.encoding is not None and not element.encoding.per_tensor:
        op.fail("the operand has a scale per channel, which this movement would lose")
    return element


class Reshape(Op, name="reshape"):
    """The same elements in C order with another shape."""

    view = True
    x: Value
    shape: Shape = of_result()

    def infer(self) -> TensorType:
        if equal(product(self.x.type.shape), product(self.shape)) is not True:
            self.fail(f"{shape_text(self.x.type.shape)} cannot be reshaped to {shape_text(self.shape)}")
        return TensorType(_without_axis_encoding(self, self.x.type.element), self.shape)

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
        element = t.element
        if element.encoding is not None and element.encoding.axis is not None:
            element = Element(element.scalar, element.encoding.moved(self.order.index(element.encoding.axis)))
        return TensorType(element, tuple(t.shape[i] for i in self.order))

    def reference(self, x: Array) -> Array:
        return np.ascontiguousarray(np.transpose(x, self.order))


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
        return TensorType(_without_axis_encoding(self, self.x.type.element), self.shape)

    def reference(self, x: Array, *, dims: Mapping[str, int]) -> Array:
        return np.ascontiguousarray(np.broadcast_to(x, numbers(self.shape, dims)))


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
        _without_axis_encoding(self, first.element)
        return TensorType(first.element, (*first.shape[:axis], total, *first.shape[axis + 1 :]))

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
        symbols = self.graph.function.symbols if self.graph is not None else {}
        if self.step < 1:
            self.fail(f"step {self.step} is not positive")
        for bound, what in ((self.start, "start"), (self.stop, "stop")):
            if isinstance(bound, int) and bound < 0:
                self.fail(f"{what} {bound} is negative")
        if (
            isinstance(t.shape[axis], int)
            and isinstance(self.stop, int)
            and self.stop > bounds(t.shape[axis], symbols)[1]
        ):
            self.fail(f"stop {self.stop} is beyond the size {t.shape[axis]}")
        length = sub(self.stop, self.start)
        if isinstance(length, int) and length < 0:
            self.fail(f"{self.start} .. {self.stop} is empty")
        size = floordiv(add(length, self.step - 1), self.step)
        element = t.element
        if element.encoding is not None and element.encoding.axis == axis:
            self.fail("cannot slice along the axis of its scales")
        return TensorType(element, (*t.shape[:axis], size, *t.shape[axis + 1 :]))

    def reference(self, x: Array, *, dims: Mapping[str, int]) -> Array:
        index = [slice(None)] * x.ndim
        index[self.axis] = slice(evaluate(self.start, dims), evaluate(self.stop, dims), self.step)
        return np.ascontiguousarray(x[tuple(index)])


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
        if t.scalar.is_integer and not (self.value == int(self.value) and t.scalar.min <= self.value <= t.scalar.max):
            self.fail(f"padding value {self.value} is no {t.scalar} code")
        shape = tuple(add(d, b + a) for d, b, a in zip(t.shape, self.before, self.after, strict=True))
        return TensorType(_without_axis_encoding(self, t.element), shape)

    def reference(self, x: Array) -> Array:
        widths = list(zip(self.before, self.after, strict=True))
        return np.pad(x, widths, constant_values=x.dtype.type(self.value))


class Gather(Op, name="gather"):
    """`x[..., indices, ...]` along `axis`: the dimensions of `indices` take the place of the axis (embedding for axis 0)."""

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
        return TensorType(_without_axis_encoding(self, t.element), (*t.shape[:axis], *i.shape, *t.shape[axis + 1 :]))

    def reference(self, x: Array, indices: Array) -> Array:
        size = x.shape[self.axis]
        if indices.size and (indices.min() < -size or indices.max() >= size):
            self.fail(
                f"index {indices.min() if indices.min() < -size else indices.max()} of a dimension of size {size}"
            )
        return np.take(x, indices, axis=self.axis)


class Iota(Op, name="iota"):
    """start, start + step, ... as plain i64."""

    start: Dim
    step: int = 1
    _: KW_ONLY
    shape: Shape = of_result()

    def infer(self) -> TensorType:
        if len(self.shape) != 1:
            self.fail(f"iota has one dimension, not {shape_text(self.shape)}")
        return TensorType(Element(I64), self.shape)

    def reference(self, *, dims: Mapping[str, int]) -> Array:
        (length,) = numbers(self.shape, dims)
        return (evaluate(self.start, dims) + np.arange(length, dtype=np.int64) * self.step).astype(np.int64)


def squeezed(shape: Shape, axis: int) -> Shape:
    """The shape without one dimension."""
    return (*shape[:axis], *shape[axis + 1 :])


def flattened(shape: Shape, start: int, end: int) -> Shape:
    """The shape with dimensions start .. end (inclusive) merged."""
    merged: Dim = 1
    for d in shape[start : end + 1]:
        merged = mul(merged, d)
    return (*shape[:start], merged, *shape[end + 1 :])
