"""Values by their size, and values at places that the data tell."""

from __future__ import annotations

from irc.frontend.aten.table import converts
from irc.frontend.composed.math import numbers, truth
from irc.frontend.composed.order import ordered
from irc.frontend.composed.places import combined_elements
from irc.frontend.context import Context
from irc.ir.dims import Dim
from irc.ir.graph import Value
from irc.ir.scalars import BOOL


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


@converts("scatter_add.default")
def scatter_add(c: Context, x: Value, axis: int, index: Value, source: Value) -> Value:
    """x + the sum over j of source[i, j] at index[i, j]."""
    sums = combined_elements(c, numbers(c, x), axis, index, numbers(c, source), "add")
    return truth(c, sums) if x.type.scalar == BOOL else sums
