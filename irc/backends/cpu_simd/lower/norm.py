"""Softmax and normalisations of floats, row by row."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from irc.backends.cpu_simd.codegen import functions
from irc.backends.cpu_simd.codegen.lanes import Lane
from irc.backends.cpu_simd.kernel import register
from irc.backends.cpu_simd.lower.common import computed, lowers
from irc.backends.cpu_simd.lowering import Lowering
from irc.backends.cpu_simd.rows import Accumulators, Row, Spot, lower_rows, sums
from irc.backends.cpu_simd.views import View
from irc.backends.regions import Region
from irc.ir.dims import floordiv, mul
from irc.ir.graph import Value
from irc.ir.ops.norm import BatchNorm, GroupNorm, LayerNorm, RmsNorm, Softmax
from irc.ir.scalars import F64


def larger(left: Accumulators, right: Accumulators) -> Accumulators:
    """Accumulators that are maxima; NaN may be lost."""
    return [a.f.select(a.compare("ogt", b), a, b) for a, b in zip(left, right, strict=True)]


@lowers(Softmax, epilogue=True)
def lower_softmax(cx: Lowering, region: Region) -> None:
    """Three passes: the maximum; exponentials into memory of one row, and their sum; their shares.

    A NaN in a row makes its sum NaN, even if the maximum does not see it.
    """
    op = region.anchor
    assert isinstance(op, Softmax)
    x, kind = cx.view(op.x), register(op.x.type.scalar)

    def row_of(row: Row) -> None:
        f = row.rows.k.f
        kept = row.rows.scratch(computed(x.scalar))
        (top,) = row.fold([f.const(-math.inf, kind)], lambda spot, acc: larger([spot.read(x)], acc), larger)

        def grow(spot: Spot, acc: Accumulators) -> Accumulators:
            e = functions.exp_below_one(spot.read(x) - top)
            spot.keep(e, kept)
            return [acc[0] + e]

        (total,) = row.fold([f.const(0.0, kind)], grow, sums)
        share = f.const(1.0, kind, total.lanes) / total
        row.each(lambda spot: spot.finish(spot.kept(kept) * share))

    lower_rows(cx, region, x, [op.axis % op.x.type.rank], row_of)


def parameter(cx: Lowering, value: Value | None, like: View, after: int = 0) -> list[View]:
    """The view of an optional factor or offset along the last dimensions (but `after` of them); empty without one."""
    return [] if value is None else [spread(cx.view(value), like, after)]


def spread(view: View, like: View, after: int) -> View:
    """A view along the last dimensions of another, but `after` of them, as one of its shape."""
    view = replace(view, shape=(*view.shape, *[1] * after), strides=(*view.strides, *[0] * after))
    return view.broadcast(like.shape)


@lowers(LayerNorm, epilogue=True)
def lower_layer_norm(cx: Lowering, region: Region) -> None:
    op = region.anchor
    assert isinstance(op, LayerNorm)
    x = cx.view(op.x)
    g, b = parameter(cx, op.g, x), parameter(cx, op.b, x)
    rank = len(x.shape)

    def row_of(row: Row) -> None:
        normalize(row, x, g, b, op.eps)

    lower_rows(cx, region, x, range(rank - op.axes, rank), row_of, parameters=[*g, *b])


@lowers(GroupNorm, epilogue=True)
def lower_group_norm(cx: Lowering, region: Region) -> None:
    op = region.anchor
    assert isinstance(op, GroupNorm)
    x = cx.view(op.x)
    spatial = len(x.shape) - 2

    def grouped(view: View) -> View:
        (n, c, *rest), (over_n, over_c, *over_rest) = view.shape, view.strides
        each = floordiv(c, op.groups)
        return replace(view, shape=(n, op.groups, each, *rest), strides=(over_n, mul(over_c, each), over_c, *over_rest))

    g, b = ([grouped(v) for v in parameter(cx, value, x, spatial)] for value in (op.g, op.b))
    parted = grouped(x)

    def row_of(row: Row) -> None:
        normalize(row, parted, g, b, op.eps)

    dims = range(2, len(parted.shape))
    lower_rows(cx, region, parted, dims, row_of, arrange=grouped, parameters=[*g, *b])


def normalize(row: Row, x: View, g: list[View], b: list[View], eps: float) -> None:
    """(x - mean) / sqrt(var + eps) * g + b.

    Mean and variance by the corrected two-pass algorithm (Chan, Golub and LeVeque, 1983): deviations from a first mean
    also give what is wrong with it, so that sums in the precision of x suffice even where the mean is large.
    """
    f, kind = row.rows.k.f, register(x.scalar)
    count, zero = f.convert("sitofp", row.rows.count, kind), f.const(0.0, kind)
    (total,) = row.fold([zero], lambda spot, acc: [acc[0] + spot.read(x)], sums)
    first = total / count

    def grow(spot: Spot, acc: Accumulators) -> Accumulators:
        deviation = spot.read(x) - first
        return [acc[0] + deviation, f.fma(deviation, deviation, acc[1])]

    off, squares = row.fold([zero, zero], grow, sums)
    off = off / count
    variance = squares / count - off * off
    scale = f.const(1.0, kind, off.lanes) / f.intrinsic("sqrt", functions.at_least(variance, 0.0) + eps)
    shift = f.neg(off * scale)

    def finish(spot: Spot) -> None:
        deviation = spot.read(x) - first
        scaled = f.fma(deviation, scale, shift)
        spot.finish(_affine(spot, scaled, g, b))

    row.each(finish)


def _affine(spot: Spot, y: Lane, g: list[View], b: list[View]) -> Lane:
    """y * g + b, of which each may be missing."""
    if g and b:
        return y.f.fma(y, spot.read(g[0]), spot.read(b[0]))
    y = y * spot.read(g[0]) if g else y
    return y + spot.read(b[0]) if b else y


@lowers(RmsNorm, epilogue=True)
def lower_rms_norm(cx: Lowering, region: Region) -> None:
    op = region.anchor
    assert isinstance(op, RmsNorm)
    x, kind = cx.view(op.x), register(op.x.type.scalar)
    g = parameter(cx, op.g, x)

    def row_of(row: Row) -> None:
        f = row.rows.k.f

        def grow(spot: Spot, acc: Accumulators) -> Accumulators:
            item = spot.read(x)
            return [f.fma(item, item, acc[0])]

        (squares,) = row.fold([f.const(0.0, kind)], grow, sums)
        mean = squares / f.convert("sitofp", row.rows.count, kind)
        scale = f.const(1.0, kind, mean.lanes) / f.intrinsic("sqrt", mean + op.eps)
        row.each(lambda spot: spot.finish(_affine(spot, spot.read(x) * scale, g, [])))

    lower_rows(cx, region, x, [len(x.shape) - 1], row_of, parameters=g)


@lowers(BatchNorm, epilogue=True)
def lower_batch_norm(cx: Lowering, region: Region) -> None:
    """In f64, as the interpreter; factors and offsets of constant statistics are computed here."""
    op = region.anchor
    assert isinstance(op, BatchNorm)
    x, spatial = cx.view(op.x), op.x.type.rank - 2
    given = [op.mean, op.var, op.g, op.b]
    arrays = [None if v is None else cx.constant(v) for v in given]
    known = all((v is None) == (array is None) for v, array in zip(given, arrays, strict=True))
    if known:
        mean, var, g, b = arrays
        assert mean is not None
        assert var is not None
        vectors = [cx.stored(np.broadcast_to(v, mean.shape), F64) for v in op.affine(mean, var, g, b)]
        views = [spread(view, x, spatial) for view in vectors]
        optional: list[View | None] = []
    else:
        optional = [None if v is None else spread(cx.view(v), x, spatial) for v in given]
        views = [v for v in optional if v is not None]

    def row_of(row: Row) -> None:
        spot, f = row.spot, row.rows.k.f

        def wide(view: View | None, missing: float) -> Lane:
            return (
                f.const(missing, "double", spot.lanes)
                if view is None
                else f.convert("fpext", spot.read(view), "double")
            )

        if known:
            scale, offset = (spot.read(view) for view in views)
        else:
            mean, var, g, b = (wide(v, missing) for v, missing in zip(optional, (0.0, 1.0, 1.0, 0.0), strict=True))
            scale = g / f.intrinsic("sqrt", var + op.eps)
            offset = b - mean * scale
        y = f.fma(wide(x, 0.0), scale, offset)
        spot.finish(f.convert("fptrunc", y, register(x.scalar)))

    lower_rows(cx, region, x, [], row_of, parameters=views)
