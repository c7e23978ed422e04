"""Linear ops on few rows of floats whose weights are dequantized constants: these stay codes in memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from irc.backends.cpu_simd.codegen.lanes import Lane
from irc.backends.cpu_simd.kernel import Kernel, axes_of
from irc.backends.cpu_simd.lower.codes import FEW
from irc.backends.cpu_simd.lower.products import Products, panels_of, start_view
from irc.backends.cpu_simd.lowering import Lowering
from irc.backends.cpu_simd.parts import Part, loops, sizes_of
from irc.backends.cpu_simd.schedule.choose import Problem, extent
from irc.backends.cpu_simd.ukernels.codes import WIDTHS, Codes
from irc.backends.cpu_simd.ukernels.dots import DotForm
from irc.backends.cpu_simd.ukernels.products import Depth
from irc.backends.cpu_simd.ukernels.scaled import Scaled, pack_scaled, scaled_tile
from irc.backends.cpu_simd.views import View
from irc.backends.cpu_simd.work import MOVED
from irc.ir.dims import equal, mul, product
from irc.ir.ops.linear import Linear
from irc.ir.ops.quant import Dequantize, group_scales
from irc.ir.scalars import F32, Array


def scaled_products(cx: Lowering, op: Linear, form: DotForm, start: Array | None, bias: View | None) -> Products | None:
    """What is summed, if there are few rows and codes of at most 8 bits with one zero point; else None."""
    out, weight = op.results[0].type.shape, cx.resolve(op.w).node
    rows, x = product(out[:-1]), cx.view(op.x)
    if not isinstance(weight, Dequantize) or not isinstance(rows, int) or rows > FEW or x.scalar != F32:
        return None
    found = scaled_of(cx, weight, form)
    if found is None or equal(x.strides[-1], 1) is not True:
        return None
    scaled, codes, scales = found
    key = f"linear {extent((rows, *codes.shape))} {form.name} {scaled.codes.bits} bits by {scaled.group} words"
    tile = scaled_tile(rows, len(codes), cx.isa.lanes)
    panels = panels_of(cx, Problem(key, form, rows, len(codes), tile, words=True))
    b = cx.stored(pack_scaled(codes, scales, scaled, panels), scaled.codes.word)
    a, taken = prepare(cx, op, x, scaled)
    return Products(
        form,
        Depth((), scaled.depth),
        panels,
        replace(a, shape=out, strides=(*a.strides[:-1], 0)),
        View(b.buffer, out, (0,) * len(out)),
        start_view(cx, start, panels, out),
        lambda view: view,
        more=replace(taken, shape=out, strides=(*taken.strides[:-1], 0)),
        scaled=scaled,
        bias=bias,
    )


def scaled_of(cx: Lowering, weight: Dequantize, form: DotForm) -> tuple[Scaled, Array, Array] | None:
    """The codes [columns, depth] and scales [columns, groups] of dequantized constants."""
    codes, scale = cx.constant(weight.x), cx.constant(weight.scale)
    zp = None if weight.zp is None else cx.constant(weight.zp)
    if codes is None or scale is None or (weight.zp is not None and zp is None):
        return None
    depth = codes.shape[1]
    along_depth = scale.ndim > 0 and weight.axis is not None and weight.axis % 2 == 1
    group = (weight.group or 1) if along_depth else depth
    zps = np.unique(0 if zp is None else zp)
    low, high = int(codes.min()), int(codes.max())
    bits = next((bits for bits in WIDTHS if high - low < 1 << bits), None)
    if bits is None or len(zps) > 1 or (group < depth and group % (32 // bits)):
        return None
    spread = group_scales(scale, weight.axis, weight.group, 2)
    scales = np.ascontiguousarray(np.broadcast_to(spread, codes.shape)[:, ::group], np.float32)
    return Scaled(Codes(form, bits, -low), depth, group, float(zps[0] - low)), codes.astype(np.int64), scales


def prepare(cx: Lowering, op: Linear, x: View, scaled: Scaled) -> tuple[View, View]:
    """x times the factors of parts, [..., depth], and minus the centre times the sum of each group, [..., groups]."""
    a = cx.scratch(F32, x.shape)
    taken = cx.scratch(F32, (*x.shape[:-1], scaled.groups))
    views = [replace(v, shape=x.shape[:-1], strides=v.strides[:-1]) for v in (a, taken, x)]
    axes = axes_of(x.shape[:-1], views)
    with cx.kernel("scaled_rows", op.loc, work=mul(product(x.shape), MOVED)) as k:
        at = [k.pointer(view) for view in views]
        with (
            loops(Part.of(k, sizes_of(axes)), axes, views, at) as (_, (to, sums, row)),
            k.f.loop(0, scaled.groups) as loop,
        ):
            first = loop.index * scaled.group
            total = prepare_group(k, scaled, k.f.at(row, first, 4), k.f.at(to, first, 4))
            k.f.store(total * -scaled.centre, k.f.at(sums, loop.index, 4))
    return a, taken


def prepare_group(k: Kernel, scaled: Scaled, row: Lane, to: Lane) -> Lane:
    """Store a group times the factors; its sum."""
    f, total = k.f, k.f.const(0.0, "float")
    lanes = max(k.isa.lanes, scaled.codes.parts)
    factors = scaled.factors * (lanes // scaled.codes.parts)
    whole = scaled.group - scaled.group % lanes
    if whole:
        with f.loop(0, whole, lanes, [f.const(0.0, "float", lanes)]) as loop:
            x = f.load(f.at(row, loop.index, 4), "float", lanes)
            f.store(x * f.vector(factors, "float"), f.at(to, loop.index, 4))
            loop.next(loop.carried[0] + x)
        total = f.reduce(Lane.__add__, loop.results[0])
    for place in range(whole, scaled.group):
        x = f.load(f.at(row, place, 4), "float")
        f.store(x * factors[place - whole], f.at(to, place, 4))
        total = total + x
    return total
