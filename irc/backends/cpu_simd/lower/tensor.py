"""Movement of values: views where strides can say it, copies where they cannot."""

from __future__ import annotations

import numpy as np

from irc.backends.cpu_simd.copies import copy
from irc.backends.cpu_simd.lower.common import lowers
from irc.backends.cpu_simd.lowering import Lowering
from irc.backends.cpu_simd.views import View
from irc.backends.regions import Region
from irc.ir.dims import Dim, add, floordiv, sub
from irc.ir.graph import Value
from irc.ir.location import Loc
from irc.ir.ops.tensor import Concat, Expand, Pad, Permute, Reshape, Slice


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
    axis = op.axis % op.results[0].type.rank
    out = cx.result(op.results[0])
    start: Dim = 0
    for place, x in enumerate(op.xs):
        size = x.type.shape[axis]
        done = op.results if place == len(op.xs) - 1 else ()
        copy(cx, cx.view(x), out.sliced(axis, start, size, 1), op.loc, *done)
        start = add(start, size)


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
