"""A region whose anchor sums products, as one kernel: tiles over batches, panels and rows, each with its epilogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from irc.backends.cpu_simd.codegen.lanes import Lane
from irc.backends.cpu_simd.epilogue import Arrange, Epilogue
from irc.backends.cpu_simd.kernel import Axis, Count, Kernel, axes_of
from irc.backends.cpu_simd.lowering import Lowering
from irc.backends.cpu_simd.parts import Part, loops, sizes_of
from irc.backends.cpu_simd.schedule.choose import Problem
from irc.backends.cpu_simd.schedule.record import Direct, Record
from irc.backends.cpu_simd.ukernels.codes import Codes, accumulate_codes, write_out
from irc.backends.cpu_simd.ukernels.dots import DotForm
from irc.backends.cpu_simd.ukernels.products import (
    Ahead,
    Depth,
    Operands,
    Panels,
    Sums,
    Tile,
    block_units,
    each_panel,
    row_blocks,
)
from irc.backends.cpu_simd.ukernels.scaled import Scaled, accumulate_scaled
from irc.backends.cpu_simd.views import View
from irc.backends.regions import Region
from irc.ir.dims import Dim, Shape, add, bounds, equal, floordiv, mul, product
from irc.ir.graph import Value
from irc.ir.scalars import Array


@dataclass(frozen=True)
class Products:
    """What is summed. `a` has the dimensions of the arranged result (columns do not move it) and is the address of the
    first product of each element; `b` are panels, one set a batch; `start` are initial sums along the columns, `more`
    what is added to those of each row. Where `b` are words of `codes`, each panel is written out to `room` before it is
    used, if there is one. Where they are words with scales, `more` is what is added to the sums of each group of a row.
    A computed `bias` has the shape of the result and is added to it behind the sums."""

    form: DotForm
    depth: Depth
    panels: Panels
    a: View
    b: View
    start: View | None
    arrange: Arrange
    more: View | None = None
    codes: Codes | None = None
    room: View | None = None
    bias: View | None = None
    scaled: Scaled | None = None

    @property
    def views(self) -> list[View]:
        return [view for view in (self.a, self.b, self.start, self.more, self.room) if view is not None]

    @property
    def panel_depth(self) -> Dim:
        """Groups, or words of them, in a panel."""
        if self.scaled is not None:
            return self.scaled.groups * self.scaled.words
        groups = self.depth.packed(self.form)
        return groups if self.codes is None else self.codes.words(known(groups))


def panels_of(cx: Lowering, problem: Problem) -> Panels:
    """The panels of a problem without images, as its schedule cuts them."""
    return cut(problem, cx.schedule(problem))


def cut(problem: Problem, record: Record) -> Panels:
    """The panels of direct sums."""
    assert isinstance(record, Direct), "minimal filtering is for images"
    return Panels(problem.columns, record.tile(problem.tile.lanes), record.ahead, problem.key)


def known(depth: Dim) -> int:
    """The depth of constant weights."""
    assert isinstance(depth, int), "constants have a known shape"
    return depth


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


def lower_products(cx: Lowering, region: Region, job: Products) -> None:
    """Add the kernel of a region."""
    assert region.anchor is not None
    epilogue = Epilogue.of(cx, region, job.arrange, job.bias)
    out = epilogue.out
    views = [*epilogue.views, *job.views]
    last = len(out.shape) - 1
    batch = [i for i in range(last) if equal(job.b.strides[i], 0) is not True and equal(out.shape[i], 1) is not True]
    rows = [i for i in range(last) if i not in batch]
    batches = [Axis(out.shape[i], tuple(v.strides[i] for v in views)) for i in batch]
    axes = axes_of(tuple(out.shape[i] for i in rows), [v.permuted(rows) for v in views])
    ahead, most = replace(job.b), _share(cx, job, axes)
    if most:
        batches = [replace(axis, strides=(*axis.strides, axis.strides[views.index(job.b)])) for axis in batches]
        axes = _through_next_panel(job, axes)
        views = [*views, ahead]
    *outer, inner = axes or [Axis(1, tuple(0 for _ in views))]
    hint = "_".join((region.anchor.opname, *(str(s) for s in (job.panels.columns, job.depth.length))))
    work = mul(product(out.shape), mul(job.depth.packed(job.form), job.form.group))
    with cx.kernel(hint, region.loc, region.result, work=work, schedule=job.panels.problem) as k:
        at = [k.pointer(v) for v in views]
        epilogue.start(k)
        sizes = [*sizes_of(batches), job.panels.count, *sizes_of(outer), block_units(inner.size, job.panels.tile.rows)]
        with loops(Part.of(k, sizes), batches, views, at) as (part, begins):
            _Tiles(k, job, epilogue, views, ahead, most, outer, inner).run(part, begins)


def _share(cx: Lowering, job: Products, axes: Sequence[Axis]) -> int:
    """How many weights of the next panel each row asks for at most, so that all rows together ask for all of them.

    0 if none are wanted, or if one tile may take all rows: it is where the next panel begins before what it asks for
    could arrive.
    """
    if not job.panels.ahead:
        return 0
    size, rows = panel_size(job), bounds(product(tuple(axis.size for axis in axes)), cx.graph.symbols)[0]
    return -(-size // rows) if isinstance(size, int) and rows > job.panels.tile.rows else 0


def _through_next_panel(job: Products, axes: Sequence[Axis]) -> list[Axis]:
    """Axes that also move through the next panel, evenly."""
    rows = product(tuple(axis.size for axis in axes))
    stride = floordiv(add(panel_size(job), add(rows, -1)), rows)
    found: list[Axis] = []
    for axis in reversed(axes):
        found.insert(0, replace(axis, strides=(*axis.strides, stride)))
        stride = mul(stride, axis.size)
    return found


def panel_size(job: Products) -> Dim:
    """Elements of a whole panel."""
    return mul(job.panel_depth, job.panels.tile.columns * job.form.group)


@dataclass(frozen=True)
class _Tiles:
    """The loops over panels and rows; every list of addresses is in the order of `views`.

    `ahead` is where a row asks for the next panel, `most` weights of it; nothing if that is 0.
    """

    k: Kernel
    job: Products
    epilogue: Epilogue
    views: Sequence[View]
    ahead: View
    most: int
    outer: Sequence[Axis]
    inner: Axis

    def run(self, part: Part, begins: Sequence[Lane]) -> None:
        """The panels of one batch: the whole ones, then what is left."""

        def panel(part: Part, index: Lane, vectors: int, columns: Count) -> None:
            at = self.at_panel(begins, index)
            self.write_out(at, vectors)
            with loops(part, self.outer, self.views, at) as (inside, blocks):
                self.rows(inside, blocks, vectors, columns)

        each_panel(part, self.job.panels, panel)

    def at_panel(self, begins: Sequence[Lane], panel: Lane) -> list[Lane]:
        """The addresses of the first column of a panel."""
        k, job = self.k, self.job
        column = panel * job.panels.tile.columns
        size = k.dim(panel_size(job))
        return [
            k.f.at(begin, (panel + (view is self.ahead)) * size, job.form.b.dtype.itemsize)
            if view is job.b or view is self.ahead
            else k.step(view, begin, view.strides[-1], column)
            for view, begin in zip(self.views, begins, strict=True)
        ]

    def write_out(self, at: Sequence[Lane], vectors: int) -> None:
        """Write the weights of a panel to where products take them from, if they lie elsewhere."""
        job = self.job
        if job.room is not None:
            assert job.codes is not None
            address = dict(zip(map(id, self.views), at, strict=True))
            registers = vectors * job.form.rows
            write_out(self.k, job.codes, known(job.panel_depth), address[id(job.b)], address[id(job.room)], registers)

    def rows(self, part: Part, at: Sequence[Lane], vectors: int, columns: Count) -> None:
        """The rows of the inner axis against one panel."""
        k = self.k
        for start, stop, height in row_blocks(part, self.inner.size, self.job.panels.tile.rows):
            with k.f.loop(start, stop, height) as loop:
                begins = [
                    k.step(view, begin, stride, loop.index)
                    for view, begin, stride in zip(self.views, at, self.inner.strides, strict=True)
                ]
                self.tile(begins, replace(self.job.panels.tile, rows=height, vectors=vectors), columns)

    def tile(self, at: Sequence[Lane], tile: Tile, columns: Count) -> None:
        """One tile: products, epilogue, store."""
        k, job = self.k, self.job
        begins = dict(zip(map(id, self.views), at, strict=True))
        strides = dict(zip(map(id, self.views), self.inner.strides, strict=True))

        def row(view: View, place: int) -> Lane:
            return k.step(view, begins[id(view)], strides[id(view)], place)

        for r in range(tile.rows):
            self.epilogue.ask(k, partial(row, place=r), tile.columns)
        ahead = None
        if self.most:
            wanted = self.most * tile.rows * self.ahead.size_bytes
            ahead = Ahead.of(begins[id(self.ahead)], wanted, job.depth.packed(job.form))
        rows = [row(job.a, r) for r in range(tile.rows)]
        start = self.initial(tile, None if job.start is None else begins[id(job.start)])
        more = [] if job.more is None else [row(job.more, r) for r in range(tile.rows)]
        if more and job.scaled is None:
            start = self.with_more(start, more)
        if job.scaled is not None:
            sums = accumulate_scaled(k, job.scaled, rows, more, begins[id(job.b)], tile, start)
        elif job.codes is not None and job.room is None:
            groups = known(job.depth.packed(job.form))
            sums = accumulate_codes(k, job.codes, groups, rows, begins[id(job.b)], tile, start)
        else:
            taken = Operands(rows, begins[id(job.room or job.b)], ahead)
            sums = Sums(k, job.form, job.depth, tile).of(taken, start)
        same = {value for value, view in self.epilogue.inputs.items() if equal(strides[id(view)], 0) is True}
        shared: list[dict[Value, Lane]] = [{} for _ in range(tile.vectors)]
        for r in range(tile.rows):
            of_row = sums[r * tile.vectors : (r + 1) * tile.vectors]
            self.epilogue.row(k, of_row, partial(row, place=r), columns, same, shared)

    def initial(self, tile: Tile, start: Lane | None) -> list[Lane]:
        """The sums before any product."""
        k, kind = self.k, self.job.form.acc
        if start is None:
            return [k.f.const(0, kind, tile.lanes)] * (tile.rows * tile.vectors)
        width = tile.lanes * self.job.form.acc_bytes
        loaded = [k.f.load(k.f.at(start, v, width), kind, tile.lanes) for v in range(tile.vectors)]
        return loaded * tile.rows

    def with_more(self, sums: Sequence[Lane], rows: Sequence[Lane]) -> list[Lane]:
        """First sums with what is added to each row."""
        k, each = self.k, len(sums) // len(rows)
        items = [k.f.load(row, self.job.form.acc) for row in rows]
        return [total + k.f.splat(items[place // each], total.lanes) for place, total in enumerate(sums)]
