"""Values by their size, and values at places that the data tell."""

from __future__ import annotations

from irc.frontend.aten.table import converts
from irc.frontend.aten.tensor import gather, permute
from irc.frontend.context import Context
from irc.ir.dims import Dim, equal
from irc.ir.graph import Value
from irc.ir.ops.math import Add, Compare, Neg, Sum, Topk, Where
from irc.ir.ops.tensor import Iota, Reshape
from irc.ir.scalars import I64


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


def ordered(c: Context, x: Value, count: Dim, axis: int, largest: bool) -> tuple[Value, Value]:
    """The first so many values along an axis, and where they stood."""
    if x.type.rank == 0:
        return x, c.b(Reshape(c.const(0, I64), ()))
    axis %= x.type.rank
    order = (*(i for i in range(x.type.rank) if i != axis), axis)
    rows = permute(c, x, order)
    keys = rows if largest else c.b(Neg(rows))
    places = c.b(Topk(keys, (*rows.type.shape[:-1], count)))
    back = [order.index(i) for i in range(x.type.rank)]
    index = permute(c, places, back)
    return gather(c, x, axis, index, False), index


@converts("scatter_add.default")
def scatter_add(c: Context, x: Value, axis: int, index: Value, source: Value) -> Value:
    """x + the sum over j of source[i, j] at index[i, j], where the axis goes last."""
    axis %= max(x.type.rank, 1)
    sizes = zip(x.type.shape, index.type.shape, strict=True)
    if any(i != axis and equal(a, b) is not True for i, (a, b) in enumerate(sizes)):
        c.unsupported("an index that leaves out rows of the tensor", "slice the tensor first")
    order = (*(i for i in range(x.type.rank) if i != axis), axis)
    rows, places, values = (permute(c, v, order) for v in (x, index, source))
    wanted = c.b(Reshape(c.cast(places, I64), (*places.type.shape, 1)))
    hits = c.b(Compare(wanted, c.b(Iota(0, 1, shape=(rows.type.shape[-1],))), "eq"))
    column = c.b(Reshape(values, (*values.type.shape, 1)))
    added = c.b(Sum(c.b(Where(hits, column, c.const(0, x.type.scalar))), (-2,)))
    return permute(c, c.b(Add(rows, added)), [order.index(i) for i in range(x.type.rank)])
