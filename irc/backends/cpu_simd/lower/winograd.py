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
from irc.backends.cpu_simd.isa import Isa
from irc.backends.cpu_simd.kernel import CACHE_BYTES, Count, Kernel
from irc.backends.cpu_simd.lower.products import start_view
from irc.backends.cpu_simd.lowering import Lowering
from irc.backends.cpu_simd.parts import Part
from irc.backends.cpu_simd.ukernels.dots import DotForm, float_form
from irc.backends.cpu_simd.ukernels.products import (
    Ahead,
    Depth,
    Panels,
    Tile,
    accumulate,
    each_panel,
    pack,
    row_blocks,
    tile_of,
)
from irc.backends.cpu_simd.ukernels.winograd import F2, F4, TAPS, Minimal
from irc.backends.cpu_simd.views import View
from irc.backends.regions import Region
from irc.ir.dims import Dim, Shape, Symbol, bounds, mul
from irc.ir.graph import Value
from irc.ir.ops.linear import Conv
from irc.ir.scalars import F32, Array

MOST_BYTES = 2**21
"""The largest block. It may leave the cache where the weights do, up to half of their size: they are read once a block,
and a block once a panel of them. This made 28x28x128 and 28x28x256 1.1 times as fast."""

LINE = 16
"""Floats between two points, so that the same place of all points does not fall into the same set of a cache."""

INPUT, RESULT = 3, 5
"""Cycles for each point of a vector of inputs (its transform) and of results (its transform, and the start and end of
its sums), measured where the products are few."""

REUSE = 16
"""Products that take as long as reading one weight from memory (135 GMAC/s and 33 GB/s on a Zen 5 with AVX-512, 47 and
10 on a Zen 3 in company). A block with fewer tiles waits for its weights."""

WORTH = 1.1
"""How much fewer cycles are worth the larger error."""


@dataclass(frozen=True)
class Tiles:
    """The tiles of a batch of images of `height` times `width` results, and how many are one block."""

    minimal: Minimal
    height: int
    width: int
    batch: Dim
    block: int

    @staticmethod
    def of(minimal: Minimal, shape: Shape, channels: int, isa: Isa) -> Tiles:
        """For results [N, O, H, W], in blocks of nearly equal size."""
        batch, outputs, height, width = shape
        assert isinstance(outputs, int)
        assert isinstance(height, int)
        assert isinstance(width, int)
        whole = Tiles(minimal, height, width, batch, 0)
        each = whole.rows * whole.columns * (batch if isinstance(batch, int) else 1)
        wide = channels + tile_of(isa, float_form(isa, F32), each, outputs).columns
        bytes_ = minimal.points**2 * 4
        room = min(max(CACHE_BYTES, bytes_ * channels * outputs // 2), MOST_BYTES)
        good = max(REUSE, room // (bytes_ * wide))
        return replace(whole, block=-(-each // max(1, each // good)))

    @property
    def rows(self) -> int:
        return -(-self.height // self.minimal.results)

    @property
    def columns(self) -> int:
        return -(-self.width // self.minimal.results)

    @property
    def count(self) -> Dim:
        return mul(self.batch, self.rows * self.columns)

    def place(self, k: Kernel, tile: Lane) -> tuple[Lane, Lane, Lane]:
        """The image of a tile, and its first row and column there."""
        f, m = k.f, self.minimal.results
        image, inside = _divided(k, tile, self.rows * self.columns)
        row, column = _divided(k, inside, self.columns)
        return image, f.smin(row * m, self.height - m), f.smin(column * m, self.width - m)


def _divided(k: Kernel, a: Lane, by: int) -> tuple[Lane, Lane]:
    quotient = k.f.binary("udiv", a, by)
    return quotient, a - quotient * by


def tiles_of(op: Conv, isa: Isa, symbols: Mapping[str, Symbol]) -> Tiles | None:
    """The tiles by which a convolution is fastest; None if that is the direct sum.

    What counts is time, in products: theirs, that of the transforms, and for each block at least that of reading the
    weights, of which transforming makes 4 or 1.8 times as many.
    """
    if op.x.type.scalar != F32 or op.groups != 1 or op.w.type.shape[2:] != (TAPS, TAPS):
        return None
    if {*op.stride, *op.dilation} != {1}:
        return None
    batch, outputs, height, width = op.results[0].type.shape
    channels = op.x.type.shape[1]
    if not (isinstance(height, int) and isinstance(width, int)):
        return None
    assert isinstance(channels, int)
    assert isinstance(outputs, int)
    images = bounds(batch, symbols)[0]
    weights = channels * outputs
    best, found = weights * TAPS**2 * max(images * height * width, REUSE) / WORTH, None
    for minimal in (F4, F2):
        if min(height, width) < minimal.results:
            continue
        tiles = Tiles.of(minimal, op.results[0].type.shape, channels, isa)
        count, points = images * tiles.rows * tiles.columns, minimal.points**2
        products = points * weights * max(count, -(-count // tiles.block) * REUSE)
        vectors = INPUT * -(-channels // isa.lanes) + RESULT * -(-outputs // isa.lanes)
        cost = products + points * count * vectors * 2 * isa.lanes
        if cost < best:
            best, found = cost, tiles
    return found


def lower_winograd(
    cx: Lowering, region: Region, form: DotForm, image: View, weights: Array, bias: Array | None, tiles: Tiles
) -> None:
    """Add the kernel of a region. `image` is [N, H, W, C] with its border, `weights` [O, C, 3, 3]."""
    outputs, channels = weights.shape[:2]
    points = tiles.minimal.points**2
    panels = Panels(outputs, tile_of(cx.isa, form, tiles.block, outputs))
    transformed = np.moveaxis(tiles.minimal.weights(weights).reshape(outputs, channels, points), 1, 2)
    epilogue = Epilogue.of(cx, region, lambda view: view.permuted((0, 2, 3, 1)))
    size = tiles.minimal.results
    hint = "_".join(("winograd", f"{size}x{size}", str(outputs), str(channels)))
    pitch = -(-channels // cx.isa.lanes) * cx.isa.lanes
    scratch = [
        cx.scratch(F32, (points, width))
        for width in (cx.isa.lanes, tiles.block * pitch + LINE, tiles.block * panels.tile.columns + LINE)
    ]
    b = cx.stored(pack(transformed, form, panels), form.b)
    start = start_view(cx, bias, panels, epilogue.out.shape)
    # Tiles that move back overlap others, and round differently: the order decides what stays, so one thread runs all.
    with cx.kernel(hint, region.loc, region.result, work=0) as k:
        for view in epilogue.views:
            k.pointer(view)
        epilogue.start(k)
        plane, inputs, sums = (_Points(k, view, k.pointer(view)) for view in scratch)
        _Blocks(k, form, tiles, panels, image, b, start, epilogue, plane, inputs, sums).run()


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
    plane: _Points  # one tile, one vector
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
    def pitch(self) -> int:
        """Elements from one tile of the inputs to the next."""
        return -(-self.channels // self.lanes) * self.lanes

    def run(self) -> None:
        k, tiles = self.k, self.tiles
        count = k.dim(tiles.count)
        with k.f.loop(0, count, tiles.block) as loop:
            first = k.f.smin(loop.index, count - tiles.block)
            with k.f.loop(0, tiles.block) as tile:
                self.transform(first + tile.index, tile.index)
            each_panel(Part(k), self.panels, partial(self.panel, first))

    def transform(self, tile: Lane, place: Lane) -> None:
        """One tile of the image to all points of the inputs."""
        k = self.k
        at = self.pixel(self.image, k.pointer(self.image), *self.tiles.place(k, tile))
        whole, rest = divmod(self.channels, self.lanes)
        to = place * self.pitch
        if whole:
            with k.f.loop(0, whole) as loop:
                channel = loop.index * self.lanes
                self.transform_vector(k.step(self.image, at, 1, channel), to + channel, self.lanes)
        if rest:
            self.transform_vector(k.step(self.image, at, 1, whole * self.lanes), to + whole * self.lanes, rest)

    def transform_vector(self, at: Lane, to: Lane, channels: int) -> None:
        """Columns first, by way of the plane, then rows."""
        k, n, image = self.k, self.tiles.minimal.points, self.image
        with k.f.loop(0, n) as column:
            here = k.step(image, at, image.strides[2], column.index)
            rows = [k.step(image, here, image.strides[1], i) for i in range(n)]
            found = [k.load_part(image, row, 1, 0, self.lanes, channels) for row in rows]
            for i, lane in enumerate(self.tiles.minimal.transform(self.form, found)):
                k.f.store(lane, self.plane.at(column.index + i * n, 0))
        with k.f.loop(0, n) as row:
            first = row.index * n
            found = [self.load(self.plane.at(first + j, 0)) for j in range(n)]
            for j, lane in enumerate(self.tiles.minimal.transform(self.form, found)):
                k.f.store(lane, self.inputs.at(first + j, to))

    def panel(self, first: Lane, _: Part, index: Lane, vectors: int, columns: Count) -> None:
        """The results of a block in one panel of columns."""
        k, points = self.k, self.tiles.minimal.points**2
        whole = points * self.channels * self.panels.tile.columns
        begin = k.step(self.weights, k.pointer(self.weights), 1, index * whole)
        with k.f.loop(0, points) as point:
            b = k.step(self.weights, begin, 1, point.index * (self.channels * vectors * self.lanes))
            self.products(point.index, b, vectors)
        with k.f.loop(0, self.tiles.block) as tile:
            self.results(first + tile.index, tile.index, index * self.panels.tile.columns, columns)

    def products(self, point: Lane, b: Lane, vectors: int) -> None:
        """The sums of all tiles of a block at one point."""
        k, lanes = self.k, self.lanes
        size = self.channels * vectors * lanes * self.form.acc_bytes
        share = -(-size // self.tiles.block)
        for start, stop, height in row_blocks(Part(k), self.tiles.block, self.panels.tile.rows):
            tile = Tile(height, vectors, lanes)
            zeros = [k.f.const(0, self.form.acc, lanes)] * (height * vectors)
            with k.f.loop(start, stop, height) as loop:
                rows = [self.inputs.at(point, (loop.index + r) * self.pitch) for r in range(height)]
                ahead = Ahead.of(k.f.at(k.f.at(b, size), loop.index, share), height * share, self.channels)
                found = accumulate(k, self.form, Depth((), self.channels), rows, b, tile, zeros, ahead)
                for r in range(height):
                    to = self.sums.at(point, (loop.index + r) * self.panels.tile.columns)
                    for v in range(vectors):
                        k.f.store(found[r * vectors + v], k.step(self.sums.view, to, 1, v * lanes))

    def results(self, tile: Lane, place: Lane, column: Lane, columns: Count) -> None:
        """One tile of the result in the columns of a panel."""
        k = self.k
        where = self.tiles.place(k, tile)
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
                k.f.store(lane, self.plane.at(column.index + i * n, 0))
        with k.f.loop(0, m) as row:
            found = minimal.gather(self.form, [self.load(self.plane.at(row.index * n + j, 0)) for j in range(n)])
            rows = {id(view): k.step(view, begins[id(view)], view.strides[1], row.index) for view in self.views}
            seen: dict[Value, Lane] = {}

            def pixel(view: View, place: int) -> Lane:
                return k.step(view, rows[id(view)], view.strides[2], place)

            bias = None if self.start is None else self.load(rows[id(self.start)])
            same = {value for value, view in self.epilogue.inputs.items() if view.strides[2] == 0}
            for place, lane in enumerate(found):
                acc = lane if bias is None else lane + bias
                self.epilogue.vector(k, acc, partial(pixel, place=place), 0, columns, same, seen)

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
