"""Moving values: shapes, slices, joins, padding, lookups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from irc.frontend.aten.table import converts
from irc.frontend.composed.math import truth
from irc.frontend.composed.places import combined_at, elements_at, merged, written_elements
from irc.frontend.composed.tensor import cut, pad_axis, permuted, pieces, reversed_along
from irc.frontend.context import Context, Number
from irc.ir.dims import Dim, Shape, add, equal, product, sub
from irc.ir.graph import Value
from irc.ir.ops.math import Add, Cast, Cumsum, Maximum, Minimum, Sub, Where
from irc.ir.ops.structure import Const
from irc.ir.ops.tensor import Concat, Expand, Gather, Iota, Pad, Permute, Reshape, Scatter, Slice
from irc.ir.scalars import BOOL, I64

# -- shapes: torch has already computed the shape of the result


@converts(
    "view.default",
    "_unsafe_view.default",
    "reshape.default",
    "flatten.using_ints",
    "unflatten.int",
    "squeeze.default",
    "squeeze.dim",
    "squeeze.dims",
    "unsqueeze.default",
)
def reshape(c: Context, x: Value, *rest: Any) -> Value:
    return x if x.type.shape == c.type.shape else c.b(Reshape(x, c.type.shape))


@converts("expand.default")
def expand(c: Context, x: Value, *rest: Any) -> Value:
    return x if x.type.shape == c.type.shape else c.b(Expand(x, c.type.shape))


@converts("permute.default")
def permute(c: Context, x: Value, order: Sequence[int]) -> Value:
    axes = tuple(a % x.type.rank for a in order)
    return x if axes == tuple(range(len(axes))) else c.b(Permute(x, axes))


@converts("transpose.int")
def transpose(c: Context, x: Value, first: int, second: int) -> Value:
    order = list(range(x.type.rank))
    order[first], order[second] = order[second], order[first]
    return permute(c, x, order)


@converts("t.default")
def transpose_matrix(c: Context, x: Value) -> Value:
    return x if x.type.rank < 2 else transpose(c, x, 0, 1)


@converts("repeat.default", "tile.default")
def repeat(c: Context, x: Value, times: Sequence[Dim]) -> Value:
    """Every axis as a pair (times, size), expanded and merged again."""
    rank = max(len(times), x.type.rank)
    sizes = (*[1] * (rank - x.type.rank), *x.type.shape)
    counts = (*[1] * (rank - len(times)), *times)
    pairs = tuple(d for size in sizes for d in (1, size))
    spread = tuple(d for count, size in zip(counts, sizes, strict=True) for d in (count, size))
    return c.b(Reshape(c.b(Expand(c.b(Reshape(x, pairs)), spread)), c.type.shape))


@converts("repeat_interleave.self_int")
def repeat_interleave(c: Context, x: Value, times: Dim, axis: int | None, output_size: Any) -> Value:
    shape = x.type.shape
    at = len(shape) - 1 if axis is None else axis % len(shape)
    inner = c.b(Reshape(x, (*shape[: at + 1], 1, *shape[at + 1 :])))
    return c.b(Reshape(c.b(Expand(inner, (*shape[: at + 1], times, *shape[at + 1 :]))), c.type.shape))


@converts("pixel_shuffle.default")
def pixel_shuffle(c: Context, x: Value, r: int) -> Value:
    """[..., C*r*r, H, W] -> [..., C, H*r, W*r]; Shi et al., 2016."""
    *batch, _, height, width = x.type.shape
    channels = c.type.shape[-3]
    n = len(batch)
    spread = c.b(Reshape(x, (*batch, channels, r, r, height, width)))
    order = (*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return c.b(Reshape(c.b(Permute(spread, order)), c.type.shape))


@converts("pixel_unshuffle.default")
def pixel_unshuffle(c: Context, x: Value, r: int) -> Value:
    """[..., C, H*r, W*r] -> [..., C*r*r, H, W]"""
    *batch, channels, _, _ = x.type.shape
    height, width = c.type.shape[-2:]
    n = len(batch)
    spread = c.b(Reshape(x, (*batch, channels, height, r, width, r)))
    order = (*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return c.b(Reshape(c.b(Permute(spread, order)), c.type.shape))


@converts("channel_shuffle.default", "native_channel_shuffle.default")
def channel_shuffle(c: Context, x: Value, groups: int) -> Value:
    batch, channels, *spatial = x.type.shape
    each = c.number(channels, "the number of channels") // groups
    spread = c.b(Reshape(x, (batch, groups, each, *spatial)))
    return c.b(Reshape(c.b(Permute(spread, (0, 2, 1, *range(3, x.type.rank + 1)))), c.type.shape))


# -- slices


def bound(c: Context, value: Dim | None, size: Dim, default: Dim) -> Dim:
    """A Python slice bound as a dimension within 0 .. size."""
    if value is None:
        return default
    if isinstance(value, int) and isinstance(size, int):
        return min(max(value + size if value < 0 else value, 0), size)
    if isinstance(value, int):
        if value >= 2**31:  # torch writes "to the end" as the largest integer
            return size
        return add(size, value) if value < 0 else value
    return value


@converts("slice.Tensor")
def slice_(c: Context, x: Value, axis: int, start: Dim | None, stop: Dim | None, step: int) -> Value:
    size = x.type.shape[axis]
    first = bound(c, start, size, 0)
    last = bound(c, stop, size, size)
    if isinstance(first, int) and isinstance(last, int):
        last = max(first, last)
    return cut(c, x, axis, first, last, step)


@converts("select.int")
def select(c: Context, x: Value, axis: int, index: Dim) -> Value:
    size = x.type.shape[axis]
    at = add(size, index) if isinstance(index, int) and index < 0 else index
    return c.b(Reshape(cut(c, x, axis, at, add(at, 1)), c.type.shape))


@converts("split.Tensor", "split_with_sizes.default", "split_with_sizes_copy.default", "chunk.default")
def split(c: Context, x: Value, _: Any, axis: int = 0) -> tuple[Value, ...]:
    """torch has computed the sizes of the parts."""
    return pieces(c, x, axis, [c.symbols.dim(part.shape[axis]) for part in c.fake])


@converts("unbind.int")
def unbind(c: Context, x: Value, axis: int) -> tuple[Value, ...]:
    size = c.number(x.type.shape[axis], "the number of tensors")
    axis %= x.type.rank
    shape = (*x.type.shape[:axis], *x.type.shape[axis + 1 :])
    return tuple(c.b(Reshape(part, shape)) for part in pieces(c, x, axis, [1] * size))


@converts("diagonal.default")
def diagonal(c: Context, x: Value, offset: int, rows: int, columns: int) -> Value:
    """A slice of the two axes made one, in steps of a row and a place."""
    rank = x.type.rank
    rows, columns = rows % rank, columns % rank
    front = tuple(i for i in range(rank) if i not in (rows, columns))
    height, width = (c.number(x.type.shape[i], "a size of the diagonal") for i in (rows, columns))
    shape = tuple(x.type.shape[i] for i in front)
    flat = c.b(Reshape(permuted(c, x, (*front, rows, columns)), (*shape, height * width)))
    start = offset if offset >= 0 else -offset * width
    count = max(0, min(height + min(offset, 0), width - max(offset, 0)))
    if not count:
        return c.b(Slice(flat, len(front), 0, 0))
    return cut(c, flat, len(front), start, start + (count - 1) * (width + 1) + 1, width + 1)


@converts("flip.default")
def flip(c: Context, x: Value, axes: Sequence[int]) -> Value:
    for axis in axes:
        x = reversed_along(c, x, axis)
    return x


@converts("roll.default")
def roll(c: Context, x: Value, shifts: Sequence[Dim], axes: Sequence[int]) -> Value:
    if not axes:
        c.unsupported("roll over the flattened tensor", "name the axis: roll(x, shift, dims=...)")
    for shift, axis in zip(shifts, axes, strict=True):
        size = x.type.shape[axis]
        by = c.number(shift, "the shift")
        if isinstance(size, int):
            at = size - by % size if size else 0
        else:
            at = sub(size, by) if by > 0 else -by
        if equal(at, size) is not True and at != 0:
            x = c.b(Concat((cut(c, x, axis, at, size), cut(c, x, axis, 0, at)), axis % x.type.rank))
    return x


# -- joins


@converts("cat.default", "concat.default", "concatenate.default")
def cat(c: Context, xs: Sequence[Value], axis: int) -> Value:
    # torch skips tensors of shape [0], whatever the others are.
    kept = [c.cast(x, c.type.scalar) for x in xs if x.type.shape != (0,) or c.type.rank == 1]
    return kept[0] if len(kept) == 1 else c.b(Concat(tuple(kept), axis % c.type.rank))


@converts("stack.default")
def stack(c: Context, xs: Sequence[Value], axis: int) -> Value:
    axis %= c.type.rank
    shape = (*c.type.shape[:axis], 1, *c.type.shape[axis + 1 :])
    rows = tuple(c.b(Reshape(c.cast(x, c.type.scalar), shape)) for x in xs)
    return rows[0] if len(rows) == 1 else c.b(Concat(rows, axis))


@converts("hstack.default", "vstack.default")
def stack_rows(c: Context, xs: Sequence[Value]) -> Value:
    axis = 0 if "vstack" in c.target or c.type.rank == 1 else 1
    wide = [c.b(Reshape(x, (1, x.type.shape[0]))) if c.type.rank > x.type.rank else x for x in xs]
    return cat(c, wide, axis)


@converts("meshgrid.indexing", "meshgrid.default")
def meshgrid(c: Context, xs: Sequence[Value], indexing: str = "ij") -> tuple[Value, ...]:
    out: list[Value] = []
    for i, (x, fake) in enumerate(zip(xs, c.fake, strict=True)):
        rank = len(fake.shape)
        at = 1 - i if indexing == "xy" and i < 2 and rank > 1 else i
        row = c.b(Reshape(x, (*[1] * at, *x.type.shape, *[1] * (rank - at - 1))))
        out.append(c.b(Expand(row, c.type_of(fake).shape)))
    return tuple(out)


@converts("slice_scatter.default")
def slice_scatter(
    c: Context, x: Value, source: Value, axis: int, start: Dim | None, stop: Dim | None, step: int
) -> Value:
    """x with x[start:stop] replaced by `source`."""
    size = x.type.shape[axis]
    first, last = bound(c, start, size, 0), bound(c, stop, size, size)
    if step != 1:
        places = range(c.number(first, "the start"), c.number(last, "the end"), step)
        return _interleave(c, x, source, axis % x.type.rank, places)
    return _replace(c, x, c.b(Expand(source, _with(x.type.shape, axis, sub(last, first)))), axis, first, last)


def _interleave(c: Context, x: Value, source: Value, axis: int, places: range) -> Value:
    """x with x[places] along an axis replaced by `source`: a lookup in both, one behind the other."""
    size = c.number(x.type.shape[axis], "the size")
    rows = c.b(Expand(c.cast(source, x.type.scalar), _with(x.type.shape, axis, len(places))))
    index = np.arange(size)
    index[places] = size + np.arange(len(places))
    return c.b(Gather(c.b(Concat((x, rows), axis)), c.b.const(index, I64), axis))


@converts("select_scatter.default")
def select_scatter(c: Context, x: Value, source: Value, axis: int, index: Dim) -> Value:
    """x with x[index] along an axis replaced by `source`."""
    size = x.type.shape[axis]
    at = add(size, index) if isinstance(index, int) and index < 0 else index
    return _replace(c, x, c.b(Reshape(source, _with(x.type.shape, axis, 1))), axis, at, add(at, 1))


def _with(shape: tuple[Dim, ...], axis: int, size: Dim) -> tuple[Dim, ...]:
    axis %= len(shape)
    return (*shape[:axis], size, *shape[axis + 1 :])


def _replace(c: Context, x: Value, source: Value, axis: int, start: Dim, stop: Dim) -> Value:
    size = x.type.shape[axis]
    parts: list[Value] = []
    if start != 0:
        parts.append(cut(c, x, axis, 0, start))
    parts.append(c.cast(source, x.type.scalar))
    if equal(stop, size) is not True:
        parts.append(cut(c, x, axis, stop, size))
    return parts[0] if len(parts) == 1 else c.b(Concat(tuple(parts), axis % x.type.rank))


@converts("unfold.default")
def unfold(c: Context, x: Value, axis: int, size: int, step: int) -> Value:
    """Windows along an axis; the place within a window is the last axis of the result."""
    if not x.type.rank:
        return cut(c, c.b(Reshape(x, (1,))), 0, 0, size)
    axis %= x.type.rank
    count = c.number(c.type.shape[axis], "the number of windows")
    index = step * np.arange(count)[:, None] + np.arange(size)
    windows = c.b(Gather(x, c.b.const(index, I64), axis))
    order = [i for i in range(windows.type.rank) if i != axis + 1]
    return permute(c, windows, [*order, axis + 1])


# -- padding


@converts("constant_pad_nd.default")
def constant_pad(c: Context, x: Value, widths: Sequence[int], value: Number) -> Value:
    """Pairs (before, after) from the last axis backwards; negative widths cut."""
    rank = x.type.rank
    before, after = [0] * rank, [0] * rank
    for i in range(len(widths) // 2):
        before[rank - 1 - i], after[rank - 1 - i] = widths[2 * i], widths[2 * i + 1]
    for axis in range(rank):
        if before[axis] < 0 or after[axis] < 0:
            x = cut(c, x, axis, max(-before[axis], 0), add(x.type.shape[axis], min(after[axis], 0)))
    positive = tuple(max(v, 0) for v in before), tuple(max(v, 0) for v in after)
    return c.b(Pad(x, *positive, float(value))) if any((*positive[0], *positive[1])) else x


@converts("pad.default")
def pad(c: Context, x: Value, widths: Sequence[int], mode: str, value: float | None) -> Value:
    if mode == "constant":
        return constant_pad(c, x, widths, value or 0.0)
    for i in range(len(widths) // 2):
        x = pad_axis(c, x, x.type.rank - 1 - i, widths[2 * i], widths[2 * i + 1], mode)
    return x


@converts("reflection_pad1d.default", "reflection_pad2d.default", "reflection_pad3d.default")
def reflection_pad(c: Context, x: Value, widths: Sequence[int]) -> Value:
    return pad(c, x, widths, "reflect", None)


@converts("replication_pad1d.default", "replication_pad2d.default", "replication_pad3d.default")
def replication_pad(c: Context, x: Value, widths: Sequence[int]) -> Value:
    return pad(c, x, widths, "replicate", None)


# -- lookups


@converts("embedding.default")
def embedding(c: Context, weight: Value, index: Value, padding: Dim, by_frequency: bool, sparse: bool) -> Value:
    return c.b(Gather(weight, index, 0))


@converts("index_select.default")
def index_select(c: Context, x: Value, axis: int, index: Value) -> Value:
    return c.b(Gather(x, index, axis % x.type.rank)) if x.type.rank else x


@converts("gather.default")
def gather(c: Context, x: Value, axis: int, index: Value, sparse: bool) -> Value:
    return elements_at(c, x, axis, index)


@converts("index.Tensor", "_unsafe_index.Tensor")
def index_tensor(c: Context, x: Value, indices: Sequence[Value | None]) -> Value:
    """Integer tensors on neighbouring axes: the axes are merged and looked up once."""
    axes, given = _indexed(c, indices)
    if (grid := _whole_axes(x, axes, given)) is not None:
        return c.b(Reshape(x, grid))
    whole, flat = _merged(c, x, axes, given)
    return c.b(Gather(whole, flat, axes[0]))


@converts("index_put.default", "_unsafe_index_put.default")
def index_put(c: Context, x: Value, indices: Sequence[Value | None], source: Value, accumulate: bool = False) -> Value:
    """x with x[indices] replaced: what `index_tensor` looks up, written."""
    if accumulate and x.type.scalar == BOOL:
        return truth(c, index_put(c, c.cast(x, I64), indices, c.cast(source, I64), True))
    source = c.cast(source, x.type.scalar)
    if len(indices) == 1 and (mask := indices[0]) is not None and mask.type.scalar == BOOL:
        rows = _at_true(c, mask, source, x.type.shape)
        return c.b(Where(_over(c, mask, x.type.shape), c.b(Add(x, rows)) if accumulate else rows, x))
    axes, given = _indexed(c, indices)
    whole, flat = _merged(c, x, axes, given)
    first, behind = axes[0], whole.type.shape[axes[0] + 1 :]
    updates = c.b(Expand(source, (*whole.type.shape[:first], *flat.type.shape, *behind)))
    out = (
        combined_at(c, whole, flat, updates, first, "add") if accumulate else c.b(Scatter(whole, flat, updates, first))
    )
    return c.b(Reshape(out, x.type.shape))


def _at_true(c: Context, mask: Value, source: Value, shape: Shape) -> Value:
    """The rows of `source`, one after the other, where a mask of the leading axes is true; elsewhere any."""
    if source.type.rank <= len(shape) - mask.type.rank or source.type.shape[0] == 1:
        return c.b(Expand(source, shape)) if source.type.shape != shape else source
    count = product(mask.type.shape)
    nth = c.b(Cumsum(c.cast(c.b(Reshape(mask, (count,))), I64), 0))
    last = c.b(Sub(c.size(source.type.shape[0]), c.const(1, I64)))
    at = c.b(Minimum(c.b(Maximum(c.b(Sub(nth, c.const(1, I64))), c.const(0, I64))), last))
    return c.b(Expand(c.b(Gather(source, c.b(Reshape(at, mask.type.shape)), 0)), shape))


def _over(c: Context, mask: Value, shape: Shape) -> Value:
    """A mask of the leading axes for all of them."""
    return c.b(Expand(c.b(Reshape(mask, (*mask.type.shape, *[1] * (len(shape) - mask.type.rank)))), shape))


@converts("index_copy.default")
def index_copy(c: Context, x: Value, axis: int, index: Value, source: Value) -> Value:
    """x with x[index] along an axis replaced."""
    if not x.type.rank:
        return c.cast(source, x.type.scalar)
    places = c.b(Reshape(index, (source.type.shape[axis],)))
    return c.b(Scatter(x, places, c.cast(source, x.type.scalar), axis % x.type.rank))


@converts("scatter.src")
def scatter(c: Context, x: Value, axis: int, index: Value, source: Value) -> Value:
    """out[i, index[i, j]] = source[i, j] along an axis."""
    return written_elements(c, x, axis, index, source)


@converts("scatter.value")
def scatter_value(c: Context, x: Value, axis: int, index: Value, value: Number) -> Value:
    """out[i, index[i, j]] = value along an axis."""
    return scatter(c, x, axis, index, c.b(Expand(c.const(value, x.type.scalar), index.type.shape)))


def _indexed(c: Context, indices: Sequence[Value | None]) -> tuple[list[int], list[Value]]:
    """The neighbouring axes that are indexed, and their indices."""
    axes = [i for i, index in enumerate(indices) if index is not None]
    given = [index for index in indices if index is not None]
    if any(not index.type.scalar.is_integer for index in given):
        c.unsupported("a bool mask as index, whose result has a size that depends on data", "use where instead")
    if axes != list(range(axes[0], axes[0] + len(axes))):
        c.unsupported("index tensors on axes that are not neighbours", "permute first")
    return axes, given


def _merged(c: Context, x: Value, axes: Sequence[int], indices: Sequence[Value]) -> tuple[Value, Value]:
    """x with the indexed axes made one, and the indices into that one."""
    first, shape = axes[0], x.type.shape
    if len(axes) == 1:
        return x, indices[0]
    flat, size = merged(c, indices, [shape[axis] for axis in axes])
    return c.b(Reshape(x, (*shape[:first], size, *shape[axes[-1] + 1 :]))), flat


def _whole_axes(x: Value, axes: Sequence[int], indices: Sequence[Value]) -> Shape | None:
    """The shape of a lookup that is a view: `mask[arange(b)[:, None, None], arange(n)]` takes whole axes in order."""
    places: list[int] = []
    shape: list[Dim] = [1] * max(index.type.rank for index in indices)
    for axis, index in zip(axes, indices, strict=True):
        moving = [i for i, d in enumerate(index.type.shape) if d != 1]
        if len(moving) != 1 or not _is_range(index, x.type.shape[axis]):
            return None
        places.append(moving[0] + len(shape) - index.type.rank)
        shape[places[-1]] = x.type.shape[axis]
    if places != sorted(set(places)):
        return None
    return (*x.type.shape[: axes[0]], *shape, *x.type.shape[axes[-1] + 1 :])


def _is_range(x: Value, size: Dim) -> bool:
    """Whether the elements are 0, 1, ... size - 1, in order."""
    match x.node:
        case Iota(start=0, step=1, shape=(length,)):
            return equal(length, size) is True
        case Add(x=a, y=Value(node=Const(value=data))) if not data.array.any():
            return _is_range(a, size)
        case Reshape(x=a) | Cast(x=a):
            return _is_range(a, size)
        case _:
            return False
