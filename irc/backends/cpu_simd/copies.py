"""Copies between views: what strides cannot say, and what a kernel wants in another type."""

from __future__ import annotations

from irc.backends.cpu_simd.elementwise import declare_dims, spans
from irc.backends.cpu_simd.kernel import Axis, axes_of, loops
from irc.backends.cpu_simd.lowering import Lowering
from irc.backends.cpu_simd.views import View
from irc.ir.graph import Value
from irc.ir.location import Loc


def copy(cx: Lowering, source: View, target: View, loc: Loc, *values: Value, offset: int = 0) -> None:
    """A kernel that copies a view into another of its shape; codes may get an offset and another type on the way."""
    views = [target, source]
    axes = axes_of(target.shape, views) or [Axis(1, (1, 1))]
    with cx.kernel("copy", loc, *values) as k:
        at = [k.pointer(view) for view in views]
        declare_dims(k, axes)
        *outer, inner = axes
        with loops(k, outer, views, at) as (to, from_):
            for start, stop, width in spans(k, inner.size, k.isa.lanes):
                with k.f.loop(start, stop, width) as loop:
                    there = k.step(target, to, inner.strides[0], loop.index)
                    here = k.step(source, from_, inner.strides[1], loop.index)
                    item = k.load_strided(source, here, inner.strides[1], width)
                    k.store_strided(item + offset if offset else item, target, there, inner.strides[0])
