"""3x3 convolution by minimal filtering: fewer products, of transformed tiles with transformed weights.

    for block of tiles:
        inputs[points][tiles][channels] = B^T tile B              channels in lanes
        for panel of columns:
            for point: sums[tiles][columns of the panel] = inputs[point] * weights[panel][point]
            results = A^T sums A, epilogue, store

Tiles are those of all images one after another. The last of a row or a column, and the last block, move back so
that they end where the image ends: what they share with others is computed again, and nothing is cut off. A block has
as many tiles as a cache holds with their sums, so the scratch does not grow with the image.

Source: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from irc.backends.cpu_simd.codegen.lanes import Lane
from irc.backends.cpu_simd.epilogue import Epilogue
from irc.backends.cpu_simd.forms import Operands as Stored
from irc.backends.cpu_simd.forms import range_of
from irc.backends.cpu_simd.kernel import Count, Kernel, memory
from irc.backends.cpu_simd.lower.products import start_view
from irc.backends.cpu_simd.lowering import Lowering
from irc.backends.cpu_simd.parts import Part
from irc.backends.cpu_simd.schedule.minimal import FILTERS, Images, Tiles
from irc.backends.cpu_simd.schedule.record import Winograd
from irc.backends.cpu_simd.ukernels.dots import FORMS, DotForm
from irc.backends.cpu_simd.ukernels.products import Ahead, Depth, Operands, Panels, Sums, each_panel, pack, row_blocks
from irc.backends.cpu_simd.ukernels.winograd import F2, TAPS
from irc.backends.cpu_simd.views import View
from irc.backends.regions import Region
from irc.ir.dims import add, bounds, floordiv, mul
from irc.ir.graph import Value
from irc.ir.ops.linear import Conv
from irc.ir.scalars import F32, I32, Array

PADDING = 64
"""Bytes between two points, so that the same place of all points does not fall into the same set of a cache."""


def images_of(cx: Lowering, op: Conv, operands: Stored, weights: Array) -> Images | None:
    """The images of a convolution with weights [O, C, 3, 3] that minimal filtering can take; None for others."""
    if op.groups != 1 or op.w.type.shape[2:] != (TAPS, TAPS) or {*op.stride, *op.dilation} != {1}:
        return None
    form = operands.form if op.x.type.scalar == F32 else exact_form(cx, op, operands, weights)
    if form is None:
        return None
    batch, outputs, height, width = op.results[0].type.shape
    channels = op.x.type.shape[1]
    if not (isinstance(height, int) and isinstance(width, int)):
        return None
    assert isinstance(channels, int)
    assert isinstance(outputs, int)
    least = bounds(batch, cx.graph.symbols)[0]
    return Images(form, operands.form, batch, least, height, width, outputs, channels)


def exact_form(cx: Lowering, op: Conv, operands: Stored, weights: Array) -> DotForm | None:
    """Products of transformed words, where they are the fastest ones that a machine has for words, and hold all numbers
    that occur; None otherwise. A sum is whole in the end, and 2^halvings as large before, which 32 bits must hold."""
    if cx.isa.dot not in ("vpmaddwd", "pmaddwd") or not operands.form.a.is_integer or F2.halvings is None:
        return None
    low, high = range_of(cx.resolve(op.x))
    x = max(abs(code + operands.shift) for code in (low, high, op.x_zp))
    w = int(np.abs(weights).max())
    scaled = [[factor * 2 ** (F2.halvings // 2) for factor in row] for row in F2.taps]
    form = FORMS["vpmaddwd"]
    words = max(x * F2.growth(F2.inputs), w * F2.growth(scaled)) <= form.b.max
    sums = x * w * TAPS**2 * weights.shape[1] << F2.halvings
    return form if words and sums <= I32.max else None


@dataclass(frozen=True)
class Filtered:
    """What is summed: `image` is [N, H, W, C] with its border, `weights` [O, C, 3, 3], `bias` what sums start with."""

    form: DotForm
    image: View
    weights: Array
    bias: Array | None
    images: Images


def lower_winograd(cx: Lowering, region: Region, job: Filtered, schedule: Winograd, key: str) -> None:
    """Add the kernel of a region."""
    form = job.form
    outputs, channels = job.weights.shape[:2]
    minimal = next(m for m in FILTERS if m.results == schedule.results)
    tiles = Tiles(minimal, job.images, schedule.block)
    points = tiles.minimal.points**2
    panels = Panels(outputs, schedule.tile(cx.isa.lanes))
    halvings = (tiles.minimal.halvings or 0) if job.images.exact else 0
    transformed = np.moveaxis(tiles.minimal.weights(job.weights, halvings).reshape(outputs, channels, points), 1, 2)
    epilogue = Epilogue.of(cx, region, lambda view: view.permuted((0, 2, 3, 1)))
    size = tiles.minimal.results
    hint = "_".join(("winograd", f"{size}x{size}", str(outputs), str(channels)))
    wide = cx.isa.vector_bytes // form.a.dtype.itemsize
    pitch = -(-channels // wide) * wide
    sums = I32 if job.images.exact else F32
    scratch = [
        cx.scratch(scalar, (points, width + more), own=True)
        for scalar, width, more in (
            (form.a, wide, 0),
            (sums, cx.isa.lanes, 0),
            (form.a, tiles.block * pitch, PADDING // form.a.dtype.itemsize),
            (sums, tiles.block * panels.tile.columns, PADDING // 4),
        )
    ]
    b = cx.stored(pack(transformed, form, panels), form.b)
    start = start_view(cx, job.bias, panels, epilogue.out.shape)
    # Tiles that move back overlap others. Floats there round differently: the order decides what stays, so one thread
    # runs all.
    work = mul(tiles.count, points * channels * outputs) if job.images.exact else 0
    with cx.kernel(hint, region.loc, region.result, work=work, schedule=key) as k:
        for view in epilogue.views:
            k.pointer(view)
        epilogue.start(k)
        planes = [_Points(k, view, k.pointer(view)) for view in scratch]
        _Blocks(k, form, tiles, panels, job.image, b, start, epilogue, halvings, pitch, *planes).run()


@dataclass(frozen=True)
class _Points:
    """Scratch [points, elements]."""

    k: Kernel
    view: View
    begin: Lane

    def at(self, point: Lane | int, element: Lane | int) -> Lane:
        """The address of an element of a point."""
        k = self.k
        return k.step(self.view, k.step(self.view, self.begin, self.view.strides[0], point), 1, element)


@dataclass(frozen=True)
class _Blocks:
    """The loops over blocks of tiles."""

    k: Kernel
    form: DotForm
    tiles: Tiles
    panels: Panels
    image: View
    weights: View
    start: View | None
    epilogue: Epilogue
    halvings: int
    pitch: int  # elements from one tile of the inputs to the next
    plane: _Points  # one tile, one vector of inputs
    sum_plane: _Points  # one tile, one vector of sums
    inputs: _Points  # [tiles, channels]
    sums: _Points  # [tiles, columns of a panel]

    @property
    def channels(self) -> int:
        channels = self.image.shape[-1]
        assert isinstance(channels, int)
        return channels

    @property
    def lanes(self) -> int:
        return self.panels.tile.lanes

    @property
    def wide(self) -> int:
        """Lanes of inputs."""
        return self.k.isa.vector_bytes // self.form.a.dtype.itemsize

    @property
    def groups(self) -> int:
        """Groups of products at a point."""
        return -(-self.channels // self.form.group)

    @property
    def row_bytes(self) -> int:
        """The weights of a column at a point."""
        return self.groups * self.form.group * self.form.b.dtype.itemsize

    def place(self, tile: Lane) -> tuple[Lane, Lane, Lane]:
        """The image of a tile, and its first row and column there."""
        f, tiles, m = self.k.f, self.tiles, self.tiles.minimal.results
        image, inside = _divided(tile, tiles.rows * tiles.columns)
        row, column = _divided(inside, tiles.columns)
        return image, f.smin(row * m, tiles.images.height - m), f.smin(column * m, tiles.images.width - m)

    def run(self) -> None:
        k, tiles = self.k, self.tiles
        last = k.f.like(k.dim(tiles.count), k.f.const(0, "i64")) - tiles.block
        blocks = floordiv(add(tiles.count, tiles.block - 1), tiles.block)
        with k.f.loop(*Part.of(k, [blocks]).rounds(0, blocks)) as loop:
            first = k.f.smin(loop.index * tiles.block, last)
            with k.f.loop(0, tiles.block) as tile:
                self.transform(first + tile.index, tile.index)
            each_panel(Part(k), self.panels, partial(self.panel, first))

    def transform(self, tile: Lane, place: Lane) -> None:
        """One tile of the image to all points of the inputs."""
        k = self.k
        at = self.pixel(self.image, k.pointer(self.image), *self.place(tile))
        whole, rest = divmod(self.channels, self.wide)
        to = place * self.pitch
        if whole:
            with k.f.loop(0, whole) as loop:
                channel = loop.index * self.wide
                self.transform_vector(k.step(self.image, at, 1, channel), to + channel, self.wide)
        if rest:
            self.transform_vector(k.step(self.image, at, 1, whole * self.wide), to + whole * self.wide, rest)

    def transform_vector(self, at: Lane, to: Lane, channels: int) -> None:
        """Columns first, by way of the plane, then rows."""
        k, n, image = self.k, self.tiles.minimal.points, self.image
        with k.f.loop(0, n) as column:
            here = k.step(image, at, image.strides[2], column.index)
            rows = [k.step(image, here, image.strides[1], i) for i in range(n)]
            found = [self.taken(row, channels) for row in rows]
            for i, lane in enumerate(self.tiles.minimal.transform(self.form, found)):
                k.f.store(lane, self.plane.at(column.index + i * n, 0))
        with k.f.loop(0, n) as row:
            first = row.index * n
            found = [k.f.load(self.plane.at(first + j, 0), memory(self.form.a), self.wide) for j in range(n)]
            for j, lane in enumerate(self.tiles.minimal.transform(self.form, found)):
                k.f.store(lane, self.inputs.at(first + j, to))

    def taken(self, at: Lane, channels: int) -> Lane:
        """A vector of the image, of which so many channels exist. Codes lie in memory of ours, which goes on behind
        them."""
        k, form, image = self.k, self.form, self.image
        if not form.a.is_integer:
            return k.load_part(image, at, 1, 0, self.wide, channels)
        codes = k.f.load(at, memory(image.scalar), self.wide)
        if image.scalar.bits == form.a.bits:
            return codes
        return k.f.convert("sext" if image.scalar.signed else "zext", codes, memory(form.a))

    def panel(self, first: Lane, _: Part, index: Lane, vectors: int, columns: Count) -> None:
        """The results of a block in one panel of columns."""
        k, points = self.k, self.tiles.minimal.points**2
        begin = k.f.at(k.pointer(self.weights), index * (points * self.panels.tile.columns), self.row_bytes)
        with k.f.loop(0, points) as point:
            b = k.f.at(begin, point.index * (vectors * self.lanes), self.row_bytes)
            self.products(point.index, b, vectors)
        with k.f.loop(0, self.tiles.block) as tile:
            self.results(first + tile.index, tile.index, index * self.panels.tile.columns, columns)

    def products(self, point: Lane, b: Lane, vectors: int) -> None:
        """The sums of all tiles of a block at one point."""
        k, lanes = self.k, self.lanes
        size = self.row_bytes * vectors * lanes
        share = -(-size // self.tiles.block)
        for start, stop, height in row_blocks(Part(k), self.tiles.block, self.panels.tile.rows):
            tile = replace(self.panels.tile, rows=height, vectors=vectors)
            zeros = [k.f.const(0, self.form.acc, lanes)] * (height * vectors)
            with k.f.loop(start, stop, height) as loop:
                rows = [self.inputs.at(point, (loop.index + r) * self.pitch) for r in range(height)]
                ahead = Ahead.of(k.f.at(k.f.at(b, size), loop.index, share), height * share, self.groups)
                found = Sums(k, self.form, Depth((), self.channels), tile).of(Operands(rows, b, ahead), zeros)
                for r in range(height):
                    to = self.sums.at(point, (loop.index + r) * self.panels.tile.columns)
                    for v in range(vectors):
                        k.f.store(found[r * vectors + v], k.step(self.sums.view, to, 1, v * lanes))

    def results(self, tile: Lane, place: Lane, column: Lane, columns: Count) -> None:
        """One tile of the result in the columns of a panel."""
        k = self.k
        where = self.place(tile)
        begins = {id(view): self.pixel(view, k.pointer(view), *where) for view in self.views}
        assert isinstance(columns, int)
        whole, rest = divmod(columns, self.lanes)
        from_ = place * self.panels.tile.columns
        if whole:
            with k.f.loop(0, whole) as loop:
                done = loop.index * self.lanes
                self.result_vector(self.moved(begins, column + done), from_ + done, self.lanes)
        if rest:
            done = whole * self.lanes
            self.result_vector(self.moved(begins, column + done), from_ + done, rest)

    def result_vector(self, begins: Mapping[int, Lane], from_: Lane, columns: int) -> None:
        """Columns of a tile first, by way of the plane, then rows, each with its epilogue."""
        k, minimal = self.k, self.tiles.minimal
        n, m = minimal.points, minimal.results
        with k.f.loop(0, n) as column:
            found = [self.load(self.sums.at(column.index + i * n, from_)) for i in range(n)]
            for i, lane in enumerate(minimal.gather(self.form, found)):
                k.f.store(lane, self.sum_plane.at(column.index + i * n, 0))
        with k.f.loop(0, m) as row:
            found = minimal.gather(self.form, [self.load(self.sum_plane.at(row.index * n + j, 0)) for j in range(n)])
            rows = {id(view): k.step(view, begins[id(view)], view.strides[1], row.index) for view in self.views}
            seen: dict[Value, Lane] = {}

            def pixel(view: View, place: int) -> Lane:
                return k.step(view, rows[id(view)], view.strides[2], place)

            bias = None if self.start is None else self.load(rows[id(self.start)])
            same = {value for value, view in self.epilogue.inputs.items() if view.strides[2] == 0}
            for place, lane in enumerate(found):
                total = lane >> self.halvings if self.halvings else lane
                acc = total if bias is None else total + bias
                self.epilogue.row(k, [acc], partial(pixel, place=place), columns, same, [seen])

    @property
    def views(self) -> Sequence[View]:
        """What is run through with the results."""
        return [*self.epilogue.views, *([] if self.start is None else [self.start])]

    def moved(self, begins: Mapping[int, Lane], column: Lane) -> dict[int, Lane]:
        return {id(view): self.k.step(view, begins[id(view)], view.strides[3], column) for view in self.views}

    def pixel(self, view: View, at: Lane, image: Lane, row: Lane, column: Lane) -> Lane:
        """The address of a pixel in a view [N, H, W, channels]."""
        for stride, place in zip(view.strides, (image, row, column), strict=False):
            at = self.k.step(view, at, stride, place)
        return at

    def load(self, at: Lane) -> Lane:
        return self.k.f.load(at, self.form.acc, self.lanes)


def _divided(a: Lane, by: int) -> tuple[Lane, Lane]:
    quotient = a.f.binary("udiv", a, by)
    return quotient, a - quotient * by
