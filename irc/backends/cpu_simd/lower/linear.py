"""Sums of products: linear, matmul, conv."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from irc.backends.cpu_simd.copies import copy, fill_border, widened
from irc.backends.cpu_simd.epilogue import Epilogue
from irc.backends.cpu_simd.forms import Operands, centred, operands_of
from irc.backends.cpu_simd.lower.codes import stored_codes
from irc.backends.cpu_simd.lower.common import lowers
from irc.backends.cpu_simd.lower.depthwise import Reach, Taps, Units, Window, lower_taps, planes_of
from irc.backends.cpu_simd.lower.pack import pack_computed
from irc.backends.cpu_simd.lower.products import Products, cut, lower_products, panels_of, start_view
from irc.backends.cpu_simd.lower.scaled import scaled_products
from irc.backends.cpu_simd.lower.winograd import Filtered, images_of, lower_winograd
from irc.backends.cpu_simd.lowering import Lowering
from irc.backends.cpu_simd.schedule.choose import Problem, extent
from irc.backends.cpu_simd.schedule.minimal import Images
from irc.backends.cpu_simd.schedule.record import Winograd
from irc.backends.cpu_simd.ukernels.dots import DotForm, of_rows
from irc.backends.cpu_simd.ukernels.products import Depth, pack
from irc.backends.cpu_simd.ukernels.tiles import tile_of
from irc.backends.cpu_simd.views import View
from irc.backends.regions import Region
from irc.ir.dims import Dim, Shape, add, equal, mul, product
from irc.ir.location import Loc
from irc.ir.ops.linear import Conv, Linear, Matmul
from irc.ir.scalars import Array


@dataclass(frozen=True)
class Weights:
    """Constant weights [columns, *outer, depth] with zero point 0, how products with them are taken, first sums."""

    codes: Array
    operands: Operands
    start: Array | None

    @property
    def form(self) -> DotForm:
        return self.operands.form


def weights_of(cx: Lowering, op: Linear | Conv, operands: Operands | None = None) -> Weights:
    """The constant weights of an op. The first sums take off what zero point and shift of the activations add."""
    w = cx.constant(op.w)
    assert w is not None
    b = None if op.b is None else cx.constant(op.b)
    operands = operands or operands_of(op, cx.isa, cx.resolve)
    if not op.x.type.scalar.is_integer:
        return Weights(w, operands, None if b is None else b.astype(operands.form.b.dtype))
    codes = centred(w, op.w_zp)
    taken = (op.x_zp + operands.shift) * codes.sum(axis=tuple(range(1, w.ndim)))
    start = (0 if b is None else b.astype(np.int64)) - taken
    return Weights(codes, operands, start.astype(np.int32))  # sums wrap around, and so does their start


def prepared(cx: Lowering, view: View, operands: Operands, loc: Loc) -> View:
    """Activations as a dot product takes them: of its type, with its shift, neighbours along the last dimension."""
    if prepared_already(view, operands):
        return view
    out = cx.scratch(operands.form.a, view.shape, shift=operands.shift)
    copy(cx, view, out, loc)
    return out


def prepared_already(view: View, operands: Operands) -> bool:
    """Whether a dot product can read a view as it is. It may read over the end, which is not ours in an input."""
    form = operands.form
    as_taken = view.scalar.dtype == form.a.dtype and view.buffer.shift == operands.shift
    in_a_run = equal(view.strides[-1], 1) is True or equal(view.shape[-1], 1) is True
    return as_taken and in_a_run and (view.buffer.space != "input" or form.group == 1)


@lowers(Linear, epilogue=True)
def lower_linear(cx: Lowering, region: Region) -> None:
    op = region.anchor
    assert isinstance(op, Linear)
    if cx.constant(op.w) is None:
        y = cx.view(op.w).permuted((1, 0))
        lower_computed(cx, region, op, y, whole_number(op, op.w_zp), bias_view(cx, op, -1))
        return
    w = weights_of(cx, op)
    scaled = scaled_products(cx, op, w.form, w.start, bias_view(cx, op, -1))
    if scaled is not None:
        lower_products(cx, region, scaled)
        return
    a = prepared(cx, cx.view(op.x), w.operands, op.loc)
    columns, length = w.codes.shape
    out = op.results[0].type.shape
    rows = product(out[:-1])
    form = of_rows(w.form, rows)
    stored = stored_codes(cx, op, w.codes, w.form, rows) if w.form.b.is_integer else None
    if stored is None:
        panels = panels_of(cx, problem_of(cx, op, (rows, columns, length), form))
        b = cx.stored(pack(w.codes, form, panels), form.b)
    else:
        panels, b = stored.panels, stored.words
    job = Products(
        form,
        Depth((), length),
        panels,
        replace(a, shape=out, strides=(*a.strides[:-1], 0)),
        View(b.buffer, out, (0,) * len(out)),
        start_view(cx, w.start, panels, out),
        lambda view: view,
        bias=bias_view(cx, op, -1),
    )
    lower_products(cx, region, job if stored is None else stored.products(cx, job, a, op.loc))


def bias_view(cx: Lowering, op: Linear | Conv, axis: int) -> View | None:
    """A bias that the sums do not start with, along an axis of the result: one that is computed, or of computed
    weights."""
    if op.b is None or (cx.constant(op.b) is not None and cx.constant(op.w) is not None):
        return None
    bias, shape = cx.view(op.b), op.results[0].type.shape
    strides: list[Dim] = [0] * len(shape)
    strides[axis] = bias.strides[0]
    return replace(bias, shape=shape, strides=tuple(strides))


def whole_number(op: Linear, zp: int | tuple[int, ...]) -> int:
    """The one zero point of computed weights. Fails at `op` if there are several."""
    if isinstance(zp, tuple):
        op.fail("computed weights have one zero point")
    return zp


@lowers(Matmul, epilogue=True)
def lower_matmul(cx: Lowering, region: Region) -> None:
    op = region.anchor
    assert isinstance(op, Matmul)
    lower_computed(cx, region, op, cx.view(op.y), op.y_zp)


def lower_computed(
    cx: Lowering, region: Region, op: Linear | Matmul, y: View, y_zp: int, bias: View | None = None
) -> None:
    """Products of two computed tensors x[..., M, K] and y[..., K, N]: y is packed first, by a kernel of its own."""
    out = op.results[0].type.shape
    operands = operands_of(op, cx.isa, cx.resolve)
    form = operands.form
    a = prepared(cx, cx.view(op.x), operands, op.loc)
    length, columns = y.shape[-2:]
    rows, batch = (product(out[:-1]), ()) if len(y.shape) == 2 else (out[-2], out[:-2])
    panels = panels_of(cx, problem_of(cx, op, (*batch, rows, columns, length), form))
    packed = pack_computed(cx, y, form, panels, y_zp, op.x_zp + operands.shift, op.loc)
    missing = len(out) - len(y.shape)
    wide = a.broadcast((*out[:-2], *a.shape[-2:]))
    job = Products(
        form,
        Depth((), length),
        panels,
        replace(wide, shape=out, strides=(*wide.strides[:-1], 0)),
        batched(packed.panels, missing, out),
        None if packed.start is None else batched(packed.start, missing, out),
        lambda view: view,
        bias=bias,
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
    w = weights_of(cx, op)
    outputs, inputs, *kernel = w.codes.shape
    n, groups = len(kernel), op.groups
    image = bordered(cx, op, w)
    if groups > 1 and inputs == 1 and outputs == groups:
        depthwise(cx, region, op, image)
        return
    bias = bias_view(cx, op, 1)
    images = images_of(cx, op, w.operands, w.codes) if cx.winograd and bias is None else None
    problem = conv_problem(cx, op, w, images)
    schedule = cx.schedule(problem)
    if images is not None and isinstance(schedule, Winograd):
        job = Filtered(images.form, image, w.codes, w.start, images)
        lower_winograd(cx, region, job, schedule, problem.key)
        return
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
    panels = cut(problem, schedule)
    each = [pack(part, problem.form, panels) for part in codes.reshape(groups, outputs // groups, *codes.shape[1:])]
    b = cx.stored(each[0] if groups == 1 else np.concatenate(each), w.form.b)
    a_strides = (image.strides[0], inputs, *(mul(s, step) for s, step in zip(steps, op.stride, strict=True)), 0)
    job = Products(
        problem.form,
        Depth(outer, run),
        panels,
        View(image.buffer, shape, a_strides, image.offset),
        View(b.buffer, shape, (0, each[0].size if groups > 1 else 0, *(0,) * n, 0)),
        start_view(cx, None if w.start is None else w.start.reshape(groups, -1), panels, shape),
        lambda view: grouped(view, groups),
        bias=bias,
    )
    lower_products(cx, region, job)


def depthwise(cx: Lowering, region: Region, op: Conv, image: View) -> None:
    """One kernel a channel. `image` is [N, *spatial, C] with its border."""
    operands = operands_of(op, cx.isa, cx.resolve)
    form = depthwise_form(operands.form)
    w = weights_of(cx, op, replace(operands, form=form))
    units = Units.of(form, cx.isa.lanes if form.acc_bytes == 4 else cx.isa.lanes // 2)
    pitches = image.strides[1:-1]
    shape = op.results[0].type.shape
    spatial = tuple(mul(s, pitch) for s, pitch in zip(op.stride, pitches, strict=True))
    first = View(image.buffer, (shape[0], *shape[2:], shape[1]), (image.strides[0], *spatial, 1), image.offset)
    reaches = [Reach(*each) for each in zip(w.codes.shape[2:], op.dilation, op.stride, pitches, strict=True)]
    *outer, down, across = [*reaches, Reach(1, 1, 1, 0)] if len(reaches) == 1 else reaches
    planes = planes_of([r.taps for r in outer], [r.dilation for r in outer], [r.pitch for r in outer])
    columns = 2 if form.group == 4 and cx.isa.vector_bytes < 64 else 4  # four of them spill, as seen in emitted code
    window = Window(list(planes), down, across, form.group, columns)

    def arranged(view: View) -> View:
        """Channels last, behind two spatial dimensions at least."""
        return with_columns(view.permuted((0, *range(2, len(view.shape)), 1)))

    job = Taps(
        form,
        with_columns(first),
        window,
        cx.stored(window.packed(w.codes, form, units), form.b),
        None if w.start is None else cx.stored(units.packed(w.start)),
        units,
    )
    lower_taps(cx, region, job, Epilogue.of(cx, region, arranged, bias_view(cx, op, 1)))


def with_columns(view: View) -> View:
    """A view [N, *spatial, C] with one column, where it has rows only."""
    *places, channels = view.shape
    *steps, step = view.strides
    if len(places) > 2:
        return view
    return replace(view, shape=(*places, 1, channels), strides=(*steps, 0, step))


def depthwise_form(form: DotForm) -> DotForm:
    """The form for taps: there are too few of them for narrow sums."""
    return form if form.once is None else replace(form, apply=form.once, steps=0, flush=None)


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


def problem_of(cx: Lowering, op: Linear | Matmul, sizes: Sequence[Dim], form: DotForm) -> Problem:
    """What is to be scheduled for `sizes`: batches, rows, columns, depth."""
    rows, columns = sizes[-3:-1]
    tile = tile_of(cx.isa, form, rows, columns)
    return Problem(f"{op.opname} {extent(sizes)} {form.name}", form, rows, columns, tile)


def conv_problem(cx: Lowering, op: Conv, w: Weights, images: Images | None) -> Problem:
    """What is to be scheduled for a convolution."""
    shape, columns = op.results[0].type.shape, w.codes.shape[0] // op.groups
    steps = [f"{word} {extent(sizes)}" for word, sizes in (("stride", op.stride), ("dilation", op.dilation))]
    wide = [step for step, sizes in zip(steps, (op.stride, op.dilation), strict=True) if max(sizes) > 1]
    rows = row_length(shape, op, w.codes.shape[2:])
    form = of_rows(w.form, rows)
    key = " ".join(("conv", extent(shape), extent(w.codes.shape), *wide, form.name))
    return Problem(key, form, rows, columns, tile_of(cx.isa, form, rows, columns), images=images)


def row_length(shape: Shape, op: Conv, kernel: Sequence[int]) -> Dim:
    """Results that follow each other evenly in memory: those of an image where the kernel is one pixel, else a row."""
    pointwise = max(*kernel, *op.stride) == 1 and not any(op.padding)
    return product(shape[2:]) if pointwise else shape[-1]


def int_of(op: Conv, dim: Dim) -> int:
    """A distance that must be known. Fails at `op` if it is symbolic."""
    if not isinstance(dim, int):
        op.fail(f"an image of symbolic width ({op.x.type})", hint="fix its size with the pass specialize")
    return dim


def bordered(cx: Lowering, op: Conv, w: Weights) -> View:
    """The image of a convolution as [N, *spatial, C] with the border that it needs, in the type that products take."""
    x, value = cx.view(op.x), cx.resolve(op.x)
    n = len(x.shape) - 2
    border = cx.layouts[value].border if value in cx.layouts else ()
    margin = tuple(have - want for have, want in zip(border or (0,) * 2 * n, op.padding, strict=True))
    if min(margin) >= 0:
        wide = x
        for i in range(n):
            wide = widened(wide, 2 + i, op.padding[i], op.padding[n + i])
        image = wide.permuted((0, *range(2, n + 2), 1))
        if prepared_already(image, w.operands) and equal(image.strides[-2], image.shape[-1]) is True:
            return image
    spatial = [add(d, op.padding[i] + op.padding[n + i]) for i, d in enumerate(x.shape[2:])]
    out = cx.scratch(w.form.a, (x.shape[0], *spatial, x.shape[1]), shift=w.operands.shift)
    inside = out
    for i in range(n):
        inside = inside.sliced(1 + i, op.padding[i], x.shape[2 + i], 1)
    fill_border(cx, inside.permuted((0, n + 1, *range(1, n + 1))), op.padding, op.x_zp, op.loc)
    copy(cx, x.permuted((0, *range(2, n + 2), 1)), inside, op.loc)
    return out
