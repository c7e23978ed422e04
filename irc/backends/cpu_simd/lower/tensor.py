"""Movement of values: views where strides can say it, copies where they cannot."""

from __future__ import annotations

import numpy as np

from irc.backends.cpu_simd.copies import copy, mover
from irc.backends.cpu_simd.kernel import Axis, axes_of, memory, merged
from irc.backends.cpu_simd.lower.common import lowers
from irc.backends.cpu_simd.lowering import Lowering
from irc.backends.cpu_simd.parts import Part, loops, sizes_of, spans, units
from irc.backends.cpu_simd.placement import parts_of
from irc.backends.cpu_simd.views import View
from irc.backends.cpu_simd.work import MOVED
from irc.backends.regions import Region
from irc.ir.dims import Shape, add, floordiv, mul, product, sub
from irc.ir.graph import Value
from irc.ir.location import Loc
from irc.ir.ops.tensor import Concat, Expand, Gather, Iota, Pad, Permute, Reshape, Scatter, Slice


def dense(cx: Lowering, value: Value, loc: Loc) -> View:
    """A value in C order, copied unless it lies so already."""
    view = cx.view(value)
    if view.is_dense:
        return view
    packed = cx.scratch(view.scalar, view.shape)
    copy(cx, view, packed, loc)
    return packed


@lowers(Reshape)
def lower_reshape(cx: Lowering, region: Region) -> None:
    op = region.anchor
    assert isinstance(op, Reshape)
    view = cx.view(op.x).reshaped(op.shape) or dense(cx, op.x, op.loc).reshaped(op.shape)
    assert view is not None, "dense views take any shape"
    cx.views[op.results[0]] = view


@lowers(Permute)
def lower_permute(cx: Lowering, region: Region) -> None:
    op = region.anchor
    assert isinstance(op, Permute)
    cx.views[op.results[0]] = cx.view(op.x).permuted(op.order)


@lowers(Expand)
def lower_expand(cx: Lowering, region: Region) -> None:
    op = region.anchor
    assert isinstance(op, Expand)
    cx.views[op.results[0]] = cx.view(op.x).broadcast(op.shape)


@lowers(Slice)
def lower_slice(cx: Lowering, region: Region) -> None:
    op = region.anchor
    assert isinstance(op, Slice)
    axis = op.axis % op.x.type.rank
    size = floordiv(add(sub(op.stop, op.start), op.step - 1), op.step)
    cx.views[op.results[0]] = cx.view(op.x).sliced(axis, op.start, size, op.step)


@lowers(Concat)
def lower_concat(cx: Lowering, region: Region) -> None:
    op = region.anchor
    assert isinstance(op, Concat)
    parts = parts_of(op, cx.result(op.results[0]))
    missing = [(cx.view(x), place) for x, place in parts if cx.view(x) != place]
    for source, place in missing:
        copy(cx, source, place, op.loc, *(op.results if place is missing[-1][1] else ()))


@lowers(Pad)
def lower_pad(cx: Lowering, region: Region) -> None:
    op = region.anchor
    assert isinstance(op, Pad)
    out = cx.result(op.results[0])
    fill = cx.stored(np.asarray(op.value), op.x.type.scalar).broadcast(out.shape)
    copy(cx, fill, out, op.loc)
    inside = out
    for axis, (before, size) in enumerate(zip(op.before, op.x.type.shape, strict=True)):
        inside = inside.sliced(axis, before, size, 1)
    copy(cx, cx.view(op.x), inside, op.loc, *op.results)


OUT_OF_RANGE = 1
"""What a kernel returns that meets an index outside of the dimension it belongs to."""


@lowers(Gather)
def lower_gather(cx: Lowering, region: Region) -> None:
    op = region.anchor
    assert isinstance(op, Gather)
    _look_up(cx, op, cx.view(op.x), cx.result(op.results[0]), writes=False)


@lowers(Scatter)
def lower_scatter(cx: Lowering, region: Region) -> None:
    op = region.anchor
    assert isinstance(op, Scatter)
    out = cx.result(op.results[0])
    copy(cx, cx.view(op.x), out, op.loc)
    _look_up(cx, op, out, cx.view(op.updates), writes=True)


def _look_up(cx: Lowering, op: Gather | Scatter, table: View, rows: View, *, writes: bool) -> None:
    """Loops over the indices: what each of them names in the table is read to the rows, or written from them.

    It moves as raw bytes, in whole vectors where it lies in a run. Writing is not split: the last of several rows for
    one place stays.
    """
    axis = op.axis % op.x.type.rank
    indices = cx.view(op.indices)
    named = _spread(table, rows.shape, axis, len(indices.shape))
    chosen = View(
        indices.buffer,
        rows.shape,
        (*[0] * axis, *indices.strides, *[0] * (len(table.shape) - axis - 1)),
        indices.offset,
    )
    views = [rows, named, chosen]
    axes = [Axis(size, tuple(v.strides[i] for v in views)) for i, size in enumerate(rows.shape)]
    places = range(axis, axis + len(indices.shape))
    looked_up = merged([a for i, a in enumerate(axes) if i in places])
    moved = axes_of(
        tuple(size for i, size in enumerate(rows.shape) if i not in places),
        [v.permuted([i for i in range(len(rows.shape)) if i not in places]) for v in views],
    ) or [Axis(1, (1, 1, 0))]
    *outer, inner = moved
    work = mul(product(rows.shape), MOVED)
    with cx.kernel(op.opname, op.loc, op.results[0], work=work, registers=mover(table, rows)) as k:
        lanes = k.isa.vector_bytes // rows.size_bytes if k.register is memory else k.isa.lanes
        at = [k.pointer(rows), k.pointer(named), k.pointer(chosen)]
        size = k.f.like(k.dim(table.shape[axis]), k.f.const(0, "i64"))
        part = Part(k) if writes else Part.of(k, sizes_of(looked_up))
        with loops(part, looked_up, views, at) as (_, (row, start, index)):
            place = k.f.load(index, memory(chosen.scalar))
            place = k.f.convert("sext" if chosen.scalar.signed else "zext", place, "i64") - chosen.buffer.shift
            place = k.f.select(place.compare("slt", 0), place + size, place)
            with k.f.when(place.compare("uge", size)):
                k.f.ret(k.f.const(OUT_OF_RANGE, "i32"))
            start = k.step(named, start, table.strides[axis], place)
            with loops(Part(k), outer, views, [row, start, index]) as (all_, (row, start, _)):
                for begin, end, width in spans(all_, inner.size, lanes):
                    with k.f.loop(begin, end, width) as loop:
                        here = (rows, k.step(rows, row, inner.strides[0], loop.index), inner.strides[0])
                        there = (named, k.step(named, start, inner.strides[1], loop.index), inner.strides[1])
                        source, target = (here, there) if writes else (there, here)
                        k.store_strided(k.load_strided(*source, width), *target)


def _spread(x: View, shape: Shape, axis: int, count: int) -> View:
    """x with the dimensions of the indices in place of an axis: they do not move it."""
    return View(x.buffer, shape, (*x.strides[:axis], *[0] * count, *x.strides[axis + 1 :]), x.offset)


@lowers(Iota)
def lower_iota(cx: Lowering, region: Region) -> None:
    op = region.anchor
    assert isinstance(op, Iota)
    out = cx.result(op.results[0])
    with cx.kernel("iota", op.loc, op.results[0], work=mul(out.shape[0], MOVED)) as k:
        at, stride = k.pointer(out), out.strides[0]
        start = k.f.like(k.dim(op.start), k.f.const(0, "i64"))
        part = Part.of(k, [units(out.shape[0], k.isa.lanes)])
        for begin, end, width in spans(part, out.shape[0], k.isa.lanes):
            steps = k.f.vector([lane * op.step for lane in range(width)], "i64") if width > 1 else k.f.const(0, "i64")
            with k.f.loop(begin, end, width) as loop:
                first = k.f.splat(start + loop.index * op.step, width)
                k.store_strided(first + steps, out, k.step(out, at, stride, loop.index), stride)
