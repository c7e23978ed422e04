"""Sums of products: linear, matmul, conv."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from irc.backends.cpu_simd.copies import copy
from irc.backends.cpu_simd.lower.common import lowers
from irc.backends.cpu_simd.lower.products import Products, lower_products
from irc.backends.cpu_simd.lowering import Lowering
from irc.backends.cpu_simd.ukernels.dots import DOUBLE, FLOAT, DotForm, integer_form
from irc.backends.cpu_simd.ukernels.products import Depth, Panels, pack, tile_of
from irc.backends.cpu_simd.views import View
from irc.backends.regions import Region
from irc.ir.dims import Shape, equal, product
from irc.ir.graph import Value
from irc.ir.location import Loc
from irc.ir.ops.linear import Conv, Linear
from irc.ir.scalars import F64, Array, ScalarType
from irc.passes.analysis.codes import code_interval


def range_of(value: Value) -> tuple[int, int]:
    """The lowest and the highest code of an integer value."""
    found = code_interval(value)
    return int(found[0]), int(found[1])


@dataclass(frozen=True)
class Weights:
    """Constant weights [columns, *outer, depth] with zero point 0, and the form that takes them and the activations."""

    codes: Array
    form: DotForm
    offset: int  # of the activations, as the form takes them
    start: Array | None

    @staticmethod
    def of(cx: Lowering, op: Linear | Conv, x: Value) -> Weights:
        w = cx.constant(op.w)
        assert w is not None
        b = None if op.b is None else cx.constant(op.b)
        if x.type.scalar.is_float:
            return Weights(w, DOUBLE if x.type.scalar == F64 else FLOAT, 0, b)
        zps = np.asarray(op.w_zp, np.int64)
        centred = w.astype(np.int64) - zps.reshape(-1, *[1] * (w.ndim - 1))
        form = integer_form(cx.isa, range_of(x), (int(centred.min()), int(centred.max())))
        offset = form.offset(*range_of(x)) or 0
        taken = (op.x_zp + offset) * centred.sum(axis=tuple(range(1, w.ndim)))
        start = (0 if b is None else b.astype(np.int64)) - taken
        return Weights(centred, form, offset, start.astype(np.int32))


def prepared(cx: Lowering, view: View, scalar: ScalarType, offset: int, form: DotForm, loc: Loc) -> View:
    """Activations as a dot product takes them: of its type, with its offset, neighbours along the last dimension."""
    same_type = scalar.dtype == form.a.dtype and offset == 0
    in_a_run = equal(view.strides[-1], 1) is True or equal(view.shape[-1], 1) is True
    readable = view.buffer.space != "input" or form.group == 1
    if same_type and in_a_run and readable:
        return view
    out = cx.scratch(form.a, view.shape)
    copy(cx, view, out, loc, offset=offset)
    return out


@lowers(Linear, epilogue=True)
def lower_linear(cx: Lowering, region: Region) -> None:
    op = region.anchor
    assert isinstance(op, Linear)
    x = cx.view(op.x)
    w = Weights.of(cx, op, cx.resolve(op.x))
    a = prepared(cx, x, op.x.type.scalar, w.offset, w.form, op.loc)
    columns, length = w.codes.shape
    out = op.results[0].type.shape
    panels = Panels(columns, tile_of(cx.isa, w.form, product(out[:-1]), columns))
    b = cx.stored(pack(w.codes, w.form, panels), w.form.b)
    fixed = View(b.buffer, out, tuple(0 for _ in out))
    job = Products(
        w.form,
        Depth((), length),
        panels,
        replace(a, shape=out, strides=(*a.strides[:-1], 0)),
        fixed,
        start_view(cx, w, panels, out),
        lambda view: view,
    )
    lower_products(cx, region, job)


def start_view(cx: Lowering, w: Weights, panels: Panels, out: Shape) -> View | None:
    """The initial sums along the columns, with zeros to fill the last panel."""
    if w.start is None:
        return None
    filled = np.zeros(panels.padded, w.start.dtype)
    filled[: len(w.start)] = w.start
    stored = cx.stored(filled)
    return View(stored.buffer, out, (*[0] * (len(out) - 1), 1))
