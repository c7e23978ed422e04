"""Reading and writing at places that the data tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

from irc.frontend.building import Building
from irc.frontend.composed.math import product_along
from irc.frontend.composed.tensor import axis_last, cut, moved_back, permuted
from irc.ir.dims import Dim, equal, mul, product
from irc.ir.graph import Value
from irc.ir.op import Op
from irc.ir.ops.math import Add, Amax, Argmax, Cast, Clamp, Compare, Maximum, Minimum, Mul, Neg, Sum, Topk, Where
from irc.ir.ops.structure import Const
from irc.ir.ops.tensor import Concat, Expand, Gather, Iota, Permute, Reshape, Scatter, Slice
from irc.ir.scalars import I64

How: TypeAlias = Literal["add", "mul", "max", "min"]
JOINED: dict[How, Callable[[Value, Value], Op]] = {"add": Add, "mul": Mul, "max": Maximum, "min": Minimum}

# -- indices


def from_start(c: Building, index: Value, size: Dim) -> Value:
    """i64 indices counted from the start; unless that is known, an index may count from the end."""
    index = c.cast(index, I64)
    if _never_negative(index):
        return index
    below = c.b(Compare(index, c.const(0, I64), "lt"))
    return c.b(Where(below, c.b(Add(index, c.size(size))), index))


def _never_negative(x: Value) -> bool:
    """Whether the values are 0 or more because of how they are made: positions, and sums and views of them."""
    match x.node:
        case Const(value=data):
            return not data.size or bool(data.array.min() >= 0)
        case Iota(start=int(start), step=step):
            return start >= 0 and step >= 0
        case Add(x=a, y=b) | Mul(x=a, y=b):
            return _never_negative(a) and _never_negative(b)
        case Clamp(lo=lowest):
            return lowest >= 0
        case Argmax() | Topk():
            return True
        case Reshape(x=a) | Expand(x=a) | Permute(x=a) | Slice(x=a) | Cast(x=a):
            return _never_negative(a)
        case _:
            return False


def along(c: Building, axis: int, size: Dim, rank: int) -> Value:
    """0, 1, ... along one of `rank` axes."""
    return c.b(Reshape(c.b(Iota(0, 1, shape=(size,))), tuple(size if i == axis else 1 for i in range(rank))))


def merged(c: Building, indices: Sequence[Value], sizes: Sequence[Dim]) -> tuple[Value, Dim]:
    """Indices of neighbouring axes as one into these axes made one, and its size."""
    flat, whole = from_start(c, indices[0], sizes[0]), sizes[0]
    for index, size in zip(indices[1:], sizes[1:], strict=True):
        flat = c.b(Add(c.b(Mul(flat, c.size(size))), from_start(c, index, size)))
        whole = mul(whole, size)
    return flat, whole


# -- an index for every element


def elements_at(c: Building, x: Value, axis: int, index: Value) -> Value:
    """out[i, j] = x[i, index[i, j]] along an axis: one lookup in the flattened rows. Indices count from the start."""
    axis %= x.type.rank
    for other, size in enumerate(index.type.shape):
        if other != axis:
            x = cut(c, x, other, 0, size)
    order = axis_last(axis, x.type.rank)
    rows, places = permuted(c, x, order), permuted(c, index, order)
    *batch, size = rows.type.shape
    count = product(tuple(batch))
    start = c.b(Mul(c.b(Iota(0, 1, shape=(count,))), c.size(size)))
    within = c.b(Reshape(c.cast(places, I64), (count, places.type.shape[-1])))
    flat = c.b(Add(within, c.b(Reshape(start, (count, 1)))))
    found = c.b(Gather(c.b(Reshape(rows, (product(rows.type.shape),))), flat, 0))
    return moved_back(c, c.b(Reshape(found, places.type.shape)), order)


def written_elements(c: Building, x: Value, axis: int, index: Value, source: Value) -> Value:
    """x with out[i, index[i, j]] = source[i, j] along an axis: one write to the flattened tensor."""
    axis %= x.type.rank
    shape, places, rank = x.type.shape, index.type.shape, x.type.rank
    indices = [index if at == axis else along(c, at, count, rank) for at, count in enumerate(places)]
    for at, count in enumerate(places):
        source = cut(c, source, at, 0, count)
    flat, size = merged(c, indices, shape)
    updates = c.b(Reshape(c.cast(source, x.type.scalar), (product(places),)))
    where = c.b(Reshape(c.b(Expand(flat, places)), (product(places),)))
    return c.b(Reshape(c.b(Scatter(c.b(Reshape(x, (size,))), where, updates, 0)), shape))


def combined_elements(c: Building, x: Value, axis: int, index: Value, source: Value, how: How) -> Value:
    """x with all source[i, j] combined into out[i, index[i, j]] along an axis; an index may leave out the last rows."""
    axis %= x.type.rank
    part = x
    for at, count in enumerate(index.type.shape):
        source = cut(c, source, at, 0, count)
        part = part if at == axis else cut(c, part, at, 0, count)
    order = axis_last(axis, x.type.rank)
    rows, places, values = (permuted(c, v, order) for v in (part, index, source))
    size = rows.type.shape[-1]
    wanted = c.b(Reshape(from_start(c, places, size), (*places.type.shape, 1)))
    hits = c.b(Compare(wanted, c.b(Iota(0, 1, shape=(size,))), "eq"))
    column = c.b(Reshape(c.cast(values, x.type.scalar), (*values.type.shape, 1)))
    return _corner(c, x, moved_back(c, _combined(c, rows, hits, column, x.type.rank - 1, how), order))


def _corner(c: Building, x: Value, part: Value) -> Value:
    """x with its first elements along every axis replaced."""
    for axis in reversed(range(x.type.rank)):
        have, size = part.type.shape[axis], x.type.shape[axis]
        if equal(have, size) is True:
            continue
        rest = cut(c, x, axis, have, size)
        for other in range(axis):
            rest = cut(c, rest, other, 0, part.type.shape[other])
        part = c.b(Concat((part, rest), axis))
    return part


# -- an index for rows


def combined_at(c: Building, x: Value, places: Value, updates: Value, axis: int, how: How) -> Value:
    """x with `updates` combined into what is at `places` along an axis, which may name a place twice."""
    front, size, behind = x.type.shape[:axis], x.type.shape[axis], x.type.shape[axis + 1 :]
    count = product(places.type.shape)
    wanted = c.b(Reshape(from_start(c, places, size), (count, 1, *[1] * len(behind))))
    hits = c.b(Compare(wanted, along(c, 0, size, 1 + len(behind)), "eq"))
    return _combined(c, x, hits, c.b(Reshape(updates, (*front, count, 1, *behind))), axis, how)


def _combined(c: Building, x: Value, hits: Value, updates: Value, axis: int, how: How) -> Value:
    """x combined, at each place along an axis, with the updates (along that axis, places behind it) that hit it."""
    scalar = x.type.scalar
    if how == "min":
        return c.b(Neg(_combined(c, c.b(Neg(x)), hits, c.b(Neg(updates)), axis, "max")))
    neutral = {"add": 0, "mul": 1, "max": float("-inf") if scalar.is_float else scalar.min}[how]
    given = c.b(Where(hits, updates, c.const(neutral, scalar)))
    if how == "mul":
        shape = given.type.shape
        found = c.b(Reshape(product_along(c, given, axis), (*shape[:axis], *shape[axis + 1 :])))
    else:
        found = c.b(Sum(given, (axis,)) if how == "add" else Amax(given, (axis,)))
    return c.cast(c.b(JOINED[how](x, c.cast(found, scalar))), scalar)


# -- an index for the leading axes


def leading(c: Building, indices: Value, sizes: Sequence[Dim]) -> tuple[Value, Dim]:
    """indices[..., n] into n axes as one index into these axes made one, and its size."""
    *places, _ = indices.type.shape
    rank = indices.type.rank
    columns = [c.b(Reshape(cut(c, indices, rank - 1, i, i + 1), tuple(places))) for i in range(len(sizes))]
    return merged(c, columns, sizes)
