"""Copies between views: what strides cannot say, and what a kernel wants in another type."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from irc.backends.cpu_simd.kernel import Axis, Kernel, axes_of, memory, register
from irc.backends.cpu_simd.lowering import Lowering
from irc.backends.cpu_simd.parts import Part, loops, sizes_of, spans, units
from irc.backends.cpu_simd.views import View
from irc.backends.cpu_simd.work import MOVED
from irc.ir.dims import Dim, add, mul, product
from irc.ir.graph import Value
from irc.ir.location import Loc
from irc.ir.scalars import ScalarType


def copy(cx: Lowering, source: View, target: View, loc: Loc, *values: Value) -> None:
    """A kernel that copies a view into another of its shape; codes may get another type and shift on the way."""
    if 0 in target.shape:
        return
    work = mul(product(target.shape), MOVED)
    with cx.kernel("copy", loc, *values, work=work, registers=mover(source, target)) as k:
        emit_copy(k, source, target)


def spread(cx: Lowering, value: Value, axis: int, group: int, loc: Loc) -> View:
    """What groups of so many elements of an axis share, once for each element."""
    known, view = cx.constant(value), cx.view(value)
    if known is not None:
        return cx.stored(np.repeat(known, group, axis=axis), value.type.scalar)
    shape = (*view.shape[: axis + 1], group, *view.shape[axis + 1 :])
    source = replace(view, shape=shape, strides=(*view.strides[: axis + 1], 0, *view.strides[axis + 1 :]))
    target = cx.scratch(view.scalar, shape, shift=view.buffer.shift)
    copy(cx, source, target, loc)
    whole = target.reshaped((*view.shape[:axis], mul(view.shape[axis], group), *view.shape[axis + 1 :]))
    assert whole is not None, "what is dense has every shape"
    return whole


def mover(source: View, target: View) -> Callable[[ScalarType], str]:
    """The registers of a copy: what stays as it is moves as raw bytes."""
    return memory if (source.scalar, source.buffer.shift) == (target.scalar, target.buffer.shift) else register


def emit_copy(k: Kernel, source: View, target: View) -> None:
    """The loops of a copy."""
    views = [target, source]
    axes = axes_of(target.shape, views) or [Axis(1, (1, 1))]
    at = [k.pointer(view) for view in views]
    *outer, inner = axes
    lanes = k.isa.vector_bytes // target.size_bytes if k.register is memory else k.isa.lanes
    part = Part.of(k, [*sizes_of(outer), units(inner.size, lanes)])
    with loops(part, outer, views, at) as (row, (to, from_)):
        for start, stop, width in spans(row, inner.size, lanes):
            with k.f.loop(start, stop, width) as loop:
                there = k.step(target, to, inner.strides[0], loop.index)
                here = k.step(source, from_, inner.strides[1], loop.index)
                item = k.load_strided(source, here, inner.strides[1], width)
                k.store_strided(item, target, there, inner.strides[0])


def fill_border(cx: Lowering, image: View, border: Sequence[int], fill: float, loc: Loc) -> None:
    """A kernel that fills what lies around an image [N, C, *spatial]: `border` is (begins..., ends...)."""
    n = len(border) // 2
    value = cx.stored(np.asarray(fill, np.int32 if image.scalar.is_integer else image.scalar.dtype))
    sides: list[View] = []
    for axis in range(2, 2 + n):
        for start, width in ((-border[axis - 2], border[axis - 2]), (image.shape[axis], border[axis - 2 + n])):
            if width:
                sides.append(image.sliced(axis, start, width, 1))
        image = widened(image, axis, border[axis - 2], border[axis - 2 + n])  # later sides reach into the corners
    work: Dim = 0
    for side in sides:
        work = add(work, mul(product(side.shape), MOVED))
    with cx.kernel("border", loc, work=work) as k:
        for side in sides:
            emit_copy(k, value.broadcast(side.shape), side)


def widened(view: View, axis: int, before: int, behind: int) -> View:
    """A view with what lies in front of and behind one of its dimensions."""
    return view.sliced(axis, -before, add(view.shape[axis], before + behind), 1)
