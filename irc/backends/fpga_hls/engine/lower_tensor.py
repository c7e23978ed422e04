"""Data movement: most of it is another view of the same memory; what is left are copies."""

from __future__ import annotations

from typing import cast

import numpy as np

from irc.backends.fpga_hls.engine.lowering import EngineLowering, runs
from irc.backends.fpga_hls.engine.memory import View, new_view, padded
from irc.backends.fpga_hls.layout import Shape
from irc.backends.regions import Region
from irc.ir.ops.tensor import Concat, Expand, Pad, Permute, Reshape, Slice


@runs(Reshape)
def lower_reshape(cx: EngineLowering, region: Region, op: Reshape) -> None:
    cx.define(op.results[0], reshaped(cx, cx.view(op.x), cx.shape(op.results[0])))


def reshaped(cx: EngineLowering, view: View, shape: Shape) -> View:
    """The elements in another shape, copied side by side if they do not lie evenly."""
    found = view.reshaped(shape)
    if found is None:
        found = cx.copied(view, range(len(view.shape)), compact=True).reshaped(shape)
    assert found is not None
    return found


@runs(Permute)
def lower_permute(cx: EngineLowering, region: Region, op: Permute) -> None:
    cx.define(op.results[0], cx.view(op.x).permuted(op.order))


@runs(Expand)
def lower_expand(cx: EngineLowering, region: Region, op: Expand) -> None:
    cx.define(op.results[0], cx.view(op.x).expanded(cx.shape(op.results[0])))


@runs(Slice)
def lower_slice(cx: EngineLowering, region: Region, op: Slice) -> None:
    axis = op.axis % op.x.type.rank
    kept = range(cast(int, op.start), cast(int, op.stop), op.step)
    cx.define(op.results[0], cx.view(op.x).sliced(axis, kept))


@runs(Concat)
def lower_concat(cx: EngineLowering, region: Region, op: Concat) -> None:
    """Each operand is copied to its place, in order: words may reach into the next one, but not into the next row."""
    result = op.results[0]
    axis = op.axis % result.type.rank
    first = next((v for v in op.xs if cx.constant(v) is None), op.xs[0])
    y = new_view(cx.name("concatenation"), cx.code(result), cx.shape(result), cx.view(first).order())
    across = axis != y.order()[-1]
    whole, begin = padded(cx.shape(result)[axis]), 0
    for value in op.xs:
        size = cx.shape(value)[axis]
        place = y.sliced(axis, range(begin, begin + size))
        cx.move(cx.view(value), place, cx.name("concat"), spill=across or begin + padded(size) <= whole)
        begin += size
    cx.done(result, y)


@runs(Pad)
def lower_pad(cx: EngineLowering, region: Region, op: Pad) -> None:
    """Everything is filled, then the operand is copied into the middle."""
    result = op.results[0]
    shape = cx.shape(result)
    y = new_view(cx.name("padded"), cx.code(result), shape, cx.view(op.x).order())
    value = cx.constant_view(np.full(y.shape[y.order()[-1]], int(op.value)), cx.code(result), [0])
    fill = View(value.buffer, shape, tuple(int(d == y.order()[-1]) for d in range(len(shape))))
    cx.move(fill, y, cx.name("fill"), spill=True)
    inner = y
    for dim, before in enumerate(op.before):
        inner = inner.sliced(dim, range(before, before + cx.shape(op.x)[dim]))
    channel = y.order()[-1]
    cx.move(cx.view(op.x), inner, cx.name("pad"), spill=not op.before[channel] and not op.after[channel])
    cx.done(result, y)
