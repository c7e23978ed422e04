"""Sums of products: linear, matmul, conv."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from irc.backends.cpu_simd.copies import copy
from irc.backends.cpu_simd.lower.common import lowers
from irc.backends.cpu_simd.lower.pack import pack_computed
from irc.backends.cpu_simd.lower.products import Products, lower_products
from irc.backends.cpu_simd.lowering import Lowering
from irc.backends.cpu_simd.ukernels.dots import DOUBLE, FLOAT, DotForm, integer_form
from irc.backends.cpu_simd.ukernels.products import Depth, Panels, pack, tile_of
from irc.backends.cpu_simd.views import View
from irc.backends.regions import Region
from irc.ir.dims import Dim, Shape, add, equal, mul, product
from irc.ir.graph import Value
from irc.ir.location import Loc
from irc.ir.ops.linear import Conv, Linear, Matmul
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
        return Weights(centred, form, offset, start.astype(np.int32))  # sums wrap around, and so does their start


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


def start_view(cx: Lowering, start: Array | None, panels: Panels, shape: Shape) -> View | None:
    """The initial sums along the columns, with zeros to fill the last panel; one row a batch where `start` has rows.

    `shape` is that of the arranged result; the rows belong to the dimension behind the first.
    """
    if start is None:
        return None
    assert isinstance(panels.padded, int)
    filled = np.zeros((*start.shape[:-1], panels.padded), start.dtype)
    filled[..., : start.shape[-1]] = start
    strides = [0] * (len(shape) - 1) + [1]
    if start.ndim == 2:
        strides[1] = panels.padded
    return View(cx.stored(filled).buffer, shape, tuple(strides))


@lowers(Linear, epilogue=True)
def lower_linear(cx: Lowering, region: Region) -> None:
    op = region.anchor
    assert isinstance(op, Linear)
    if cx.constant(op.w) is None:
        y = cx.view(op.w).permuted((1, 0))
        lower_computed(cx, region, op.x, y, op.w, op.x_zp, whole_number(op, op.w_zp))
        return
    w = Weights.of(cx, op, cx.resolve(op.x))
    a = prepared(cx, cx.view(op.x), op.x.type.scalar, w.offset, w.form, op.loc)
    columns, length = w.codes.shape
    out = op.results[0].type.shape
    panels = Panels(columns, tile_of(cx.isa, w.form, product(out[:-1]), columns))
    b = cx.stored(pack(w.codes, w.form, panels), w.form.b)
    job = Products(
        w.form,
        Depth((), length),
        panels,
        replace(a, shape=out, strides=(*a.strides[:-1], 0)),
        View(b.buffer, out, (0,) * len(out)),
        start_view(cx, w.start, panels, out),
        lambda view: view,
    )
    lower_products(cx, region, job)


def whole_number(op: Linear, zp: int | tuple[int, ...]) -> int:
    """The one zero point of computed weights. Fails at `op` if there are several."""
    if isinstance(zp, tuple):
        op.fail("computed weights have one zero point")
    return zp


@lowers(Matmul, epilogue=True)
def lower_matmul(cx: Lowering, region: Region) -> None:
    op = region.anchor
    assert isinstance(op, Matmul)
    lower_computed(cx, region, op.x, cx.view(op.y), op.y, op.x_zp, op.y_zp)


def lower_computed(cx: Lowering, region: Region, x: Value, y: View, y_value: Value, x_zp: int, y_zp: int) -> None:
    """Products of two computed tensors x[..., M, K] and y[..., K, N]: y is packed first, by a kernel of its own."""
    assert region.anchor is not None
    out = region.anchor.results[0].type.shape
    x, y_value = cx.resolve(x), cx.resolve(y_value)
    form, offset = FLOAT, 0
    if x.type.scalar == F64:
        form = DOUBLE
    elif x.type.scalar.is_integer:
        low, high = range_of(y_value)
        form = integer_form(cx.isa, range_of(x), (low - y_zp, high - y_zp))
        offset = form.offset(*range_of(x)) or 0
    a = prepared(cx, cx.view(x), x.type.scalar, offset, form, region.anchor.loc)
    length, columns = y.shape[-2:]
    panels = Panels(columns, tile_of(cx.isa, form, product(out[:-1]) if len(y.shape) == 2 else out[-2], columns))
    packed = pack_computed(cx, y, form, panels, y_zp, x_zp + offset, region.anchor.loc)
    batch = len(out) - 2
    missing = batch - (len(y.shape) - 2)
    wide = a.broadcast((*out[:-2], *a.shape[-2:]))
    job = Products(
        form,
        Depth((), length),
        panels,
        replace(wide, shape=out, strides=(*wide.strides[:-1], 0)),
        batched(packed.panels, missing, out),
        None if packed.start is None else batched(packed.start, missing, out),
        lambda view: view,
    )
    lower_products(cx, region, job)


def batched(view: View, missing: int, shape: Shape) -> View:
    """A view [batch..., rows of columns or of bytes] as one of the shape of the result, which its rows do not move."""
    strides = [
        stride if equal(size, 1) is not True else 0
        for size, stride in zip(view.shape[:-1], view.strides[:-1], strict=True)
    ]
    return View(view.buffer, shape, (*(0,) * missing, *strides, 0, view.strides[-1]), view.offset)


@lowers(Conv, epilogue=True)
def lower_conv(cx: Lowering, region: Region) -> None:
    op = region.anchor
    assert isinstance(op, Conv)
    if cx.constant(op.w) is None:
        op.fail("its weights are computed", hint="the kernels of the backend pack constant weights")
    w = Weights.of(cx, op, cx.resolve(op.x))
    outputs, inputs, *kernel = w.codes.shape
    n, groups = len(kernel), op.groups
    fill = op.x_zp + w.offset if op.x.type.scalar.is_integer else 0
    image = bordered(cx, cx.view(op.x), op.padding, w, fill, op.loc)
    pixel, *steps = (image.strides[-2], *image.strides[1:-1])
    merged = groups == 1 and op.dilation[-1] == 1 and equal(pixel, inputs) is True
    size = w.form.a.dtype.itemsize
    loops_ = [(kernel[i], op.dilation[i], steps[i]) for i in range(n)]
    run = kernel[-1] * inputs if merged else inputs
    outer = tuple((count, int_of(op, mul(stride, dilation)) * size) for count, dilation, stride in loops_[: n - merged])
    # weights [outputs, taps..., inputs], the last taps joined with the inputs where these are neighbours
    codes = np.moveaxis(w.codes, 1, -1).reshape(outputs, *kernel[: n - merged], run)
    value_shape = op.results[0].type.shape
    shape: Shape = (value_shape[0], groups, *value_shape[2:], outputs // groups)
    panels = Panels(outputs // groups, tile_of(cx.isa, w.form, row_length(value_shape, op, kernel), outputs // groups))
    each = [pack(part, w.form, panels) for part in codes.reshape(groups, outputs // groups, *codes.shape[1:])]
    b = cx.stored(np.concatenate(each), w.form.b)
    a_strides = (image.strides[0], inputs, *(mul(s, step) for s, step in zip(steps, op.stride, strict=True)), 0)
    job = Products(
        w.form,
        Depth(outer, run),
        panels,
        View(image.buffer, shape, a_strides, image.offset),
        View(b.buffer, shape, (0, each[0].size if groups > 1 else 0, *(0,) * n, 0)),
        start_view(cx, None if w.start is None else w.start.reshape(groups, -1), panels, shape),
        lambda view: grouped(view, groups),
    )
    lower_products(cx, region, job)


def grouped(view: View, groups: int) -> View:
    """A view [N, O, *spatial] as [N, groups, *spatial, O/groups]."""
    channels = view.shape[1]
    assert isinstance(channels, int)
    each = channels // groups
    return replace(
        view,
        shape=(view.shape[0], groups, *view.shape[2:], each),
        strides=(view.strides[0], mul(view.strides[1], each), *view.strides[2:], view.strides[1]),
    )


def row_length(shape: Shape, op: Conv, kernel: Sequence[int]) -> Dim:
    """Results that follow each other evenly in memory: those of an image where the kernel is one pixel, else a row."""
    pointwise = max(*kernel, *op.stride) == 1 and not any(op.padding)
    return product(shape[2:]) if pointwise else shape[-1]


def int_of(op: Conv, dim: Dim) -> int:
    """A distance that must be known. Fails at `op` if it is symbolic."""
    if not isinstance(dim, int):
        op.fail(f"an image of symbolic width ({op.x.type})", hint="fix its size with the pass specialize")
    return dim


def bordered(cx: Lowering, x: View, padding: Sequence[int], w: Weights, fill: int, loc: Loc) -> View:
    """An image [N, C, *spatial] as [N, *spatial, C] of the type that products take, with its border around it."""
    n = len(x.shape) - 2
    source = x.permuted((0, *range(2, n + 2), 1))
    dense = equal(source.strides[-1], 1) is True and equal(source.strides[-2], source.shape[-1]) is True
    if not any(padding) and dense:
        return prepared(cx, source, x.scalar, w.offset, w.form, loc)
    spatial = [add(d, padding[i] + padding[n + i]) for i, d in enumerate(x.shape[2:])]
    out = cx.scratch(w.form.a, (x.shape[0], *spatial, x.shape[1]))
    value = cx.stored(np.asarray(fill), w.form.a)
    inside = out
    for i in range(n):
        for start, width in ((0, padding[i]), (add(padding[i], x.shape[2 + i]), padding[n + i])):
            if width:
                side = inside.sliced(1 + i, start, width, 1)
                copy(cx, value.broadcast(side.shape), side, loc)
        inside = inside.sliced(1 + i, padding[i], x.shape[2 + i], 1)
    copy(cx, source, inside, loc, offset=w.offset)
    return out
