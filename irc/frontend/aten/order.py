"""Values by their size, and values at places that the data tell."""

from __future__ import annotations

from irc.frontend.aten.table import converts
from irc.frontend.composed.math import numbers, truth
from irc.frontend.composed.order import ordered
from irc.frontend.composed.places import combined_elements, elements_at
from irc.frontend.composed.tensor import cut
from irc.frontend.context import Context, promote
from irc.ir.dims import Dim, product
from irc.ir.graph import Value
from irc.ir.ops.bits import Not
from irc.ir.ops.math import Amax, Argmax, Compare, Sum, Where
from irc.ir.ops.tensor import Reshape
from irc.ir.scalars import BOOL, I64


@converts("topk.default")
def topk(c: Context, x: Value, count: Dim, axis: int, largest: bool, in_order: bool) -> tuple[Value, Value]:
    """PyTorch leaves open which of equal values come first; here the first ones do."""
    return ordered(c, x, count, axis, largest)


@converts("sort.default")
def sort(c: Context, x: Value, axis: int, descending: bool) -> tuple[Value, Value]:
    return ordered(c, x, x.type.shape[axis] if x.type.rank else 1, axis, descending)


@converts("sort.stable")
def sort_stable(c: Context, x: Value, stable: bool, axis: int, descending: bool) -> tuple[Value, Value]:
    return sort(c, x, axis, descending)


@converts("argsort.default")
def argsort(c: Context, x: Value, axis: int, descending: bool) -> Value:
    return sort(c, x, axis, descending)[1]


@converts("kthvalue.default")
def kthvalue(c: Context, x: Value, k: int, axis: int, keepdims: bool) -> tuple[Value, Value]:
    """The k-th smallest is the last of the largest, of which NaN is the first."""
    axis = axis % x.type.rank if x.type.rank else 0
    size = c.number(x.type.shape[axis], "the size of the axis") if x.type.rank else 1
    values, places = ordered(c, x, size - k + 1, axis, True)
    if not x.type.rank:
        return values, places
    values, places = (cut(c, v, axis, size - k, size - k + 1) for v in (values, places))
    return (values, places) if keepdims else (_without(c, values, axis), _without(c, places, axis))


def _without(c: Context, x: Value, axis: int) -> Value:
    """x without an axis of size 1."""
    return c.b(Reshape(x, (*x.type.shape[:axis], *x.type.shape[axis + 1 :])))


@converts("median.dim")
def median(c: Context, x: Value, axis: int, keepdims: bool) -> tuple[Value, Value]:
    """The lower of the two in the middle of an even number; NaN where there is one."""
    if not x.type.rank:
        return kthvalue(c, x, 1, 0, keepdims)
    size = c.number(x.type.shape[axis], "the size of the axis")
    values, places = kthvalue(c, x, (size + 1) // 2, axis, keepdims)
    if not x.type.scalar.is_float:
        return values, places
    axes = (axis % x.type.rank,)
    most, first = c.b(Amax(x, axes, keepdims)), c.b(Argmax(x, axes, keepdims))
    lost = c.b(Compare(most, most, "ne"))
    return c.b(Where(lost, most, values)), c.b(Where(lost, first, places))


@converts("median.default")
def median_of_all(c: Context, x: Value) -> Value:
    return median(c, c.b(Reshape(x, (product(x.type.shape),))), 0, False)[0]


@converts("bucketize.Tensor")
def bucketize(c: Context, x: Value, bounds: Value, out_int32: bool, right: bool) -> Value:
    return searchsorted(c, bounds, x, out_int32, right, None, None)


@converts("searchsorted.Tensor")
def searchsorted(
    c: Context, bounds: Value, x: Value, out_int32: bool, right: bool, side: str | None, sorter: Value | None
) -> Value:
    """How many bounds of a sorted row are below each value, or, on the right side, not above it; NaN is above all."""
    if sorter is not None:
        bounds = elements_at(c, bounds, -1, sorter)
    scalar = promote(x, bounds)
    values = c.b(Reshape(c.cast(x, scalar), (*x.type.shape, 1)))
    bounds = c.cast(bounds, scalar)
    if bounds.type.rank > 1:
        *front, size = bounds.type.shape
        bounds = c.b(Reshape(bounds, (*front, 1, size)))
    passed = c.b(Not(c.b(Compare(bounds, values, "gt" if right or side == "right" else "ge"))))
    return c.cast(c.b(Sum(c.cast(passed, I64), (passed.type.rank - 1,))), c.type.scalar)


@converts("scatter_add.default")
def scatter_add(c: Context, x: Value, axis: int, index: Value, source: Value) -> Value:
    """x + the sum over j of source[i, j] at index[i, j]."""
    sums = combined_elements(c, numbers(c, x), axis, index, numbers(c, source), "add")
    return truth(c, sums) if x.type.scalar == BOOL else sums
