"""Sums of products in register tiles: the loops of linear, conv and matmul.

The result is run through as batches, panels of columns, and rows:

    for batch: for panel of columns: for block of rows:
        tile[rows][vectors] = bias
        for depth: tile += broadcast(a[row]) * b[panel]        one load of b serves all rows, one of a all columns
        epilogue, store

Columns are those of packed weights [panel][depth / group][columns of the panel][group] (`pack`). A tile holds as many
accumulators as registers allow, which is what hides the latency of the dot product (Goto and van de Geijn, 2008).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from irc.backends.cpu_simd.codegen.lanes import Lane, Operand
from irc.backends.cpu_simd.isa import Isa
from irc.backends.cpu_simd.kernel import Kernel
from irc.backends.cpu_simd.ukernels.dots import DotForm
from irc.ir.dims import Dim
from irc.ir.scalars import Array


@dataclass(frozen=True)
class Tile:
    """Accumulators in registers: `rows` times `vectors` of `lanes` columns."""

    rows: int
    vectors: int
    lanes: int

    @property
    def columns(self) -> int:
        return self.vectors * self.lanes


def tile_of(isa: Isa, form: DotForm, rows: Dim, columns: int) -> Tile:
    """The largest tile without spills: accumulators, one vector of b each, one of a, one product."""
    lanes = isa.lanes if form.acc != "double" else isa.lanes // 2
    needed = -(-columns // lanes)
    spare = 1 if form.name == "vpmaddwd" else 0
    best = Tile(1, 1, lanes)
    for vectors in range(1, min(4, needed) + 1):
        most = (isa.registers - vectors - 1 - spare) // vectors
        height = min(most, 14, rows if isinstance(rows, int) else 14)
        if height >= 1 and _loads_saved(height, vectors) > _loads_saved(best.rows, best.vectors):
            best = Tile(height, vectors, lanes)
    return best


def _loads_saved(rows: int, vectors: int) -> float:
    """Products of a tile for each vector that it loads."""
    return rows * vectors / (rows + vectors)


@dataclass(frozen=True)
class Panels:
    """How columns are cut: whole panels of the tile, and a last one of as many vectors as are left."""

    columns: int
    tile: Tile

    @property
    def whole(self) -> int:
        return self.columns // self.tile.columns

    @property
    def rest(self) -> int:
        return self.columns % self.tile.columns

    @property
    def rest_vectors(self) -> int:
        return -(-self.rest // self.tile.lanes)

    @property
    def padded(self) -> int:
        """Columns in the packed weights."""
        return self.whole * self.tile.columns + self.rest_vectors * self.tile.lanes


def pack(weights: Array, form: DotForm, panels: Panels) -> Array:
    """Weights [columns, *outer depth, depth] as one run of panels, each [*outer, depth/group, columns, group]."""
    columns, *outer, depth = weights.shape
    margins = [(0, panels.padded - columns), *[(0, 0)] * len(outer), (0, -depth % form.group)]
    padded = np.pad(weights, margins).astype(form.b.dtype)
    packed: list[Array] = []
    for start, width in panel_widths(panels):
        part = padded[start : start + width].reshape(width, *outer, -1, form.group)
        packed.append(np.moveaxis(part, 0, -2).reshape(-1))
    return np.concatenate(packed)


def panel_widths(panels: Panels) -> Iterator[tuple[int, int]]:
    """(first column, width) of each panel."""
    for panel in range(panels.whole):
        yield panel * panels.tile.columns, panels.tile.columns
    if panels.rest:
        yield panels.whole * panels.tile.columns, panels.rest_vectors * panels.tile.lanes


@dataclass(frozen=True)
class Depth:
    """The loops over products, outermost first: rounds, and bytes that `a` moves in one. The innermost is a run of
    `length` neighbouring elements."""

    outer: tuple[tuple[int, int], ...]
    length: int

    def rounds(self, form: DotForm) -> int:
        """Groups of the innermost run."""
        return -(-self.length // form.group)

    def packed(self, form: DotForm) -> int:
        """Groups in all."""
        total = self.rounds(form)
        for rounds, _ in self.outer:
            total *= rounds
        return total


UNROLL = 2
"""Groups a round of the innermost loop."""


def accumulate(
    k: Kernel, form: DotForm, depth: Depth, rows: Sequence[Lane], b: Lane, tile: Tile, start: Sequence[Lane]
) -> list[Lane]:
    """The accumulators of a tile, row by row, after all products; `rows` and `b` are addresses, `start` first sums."""
    widths = [depth.rounds(form) * form.group * tile.columns * form.b.dtype.itemsize]
    for rounds, _ in reversed(depth.outer[1:]):
        widths.append(rounds * widths[-1])
    return _nest(k, form, depth, list(zip(depth.outer, reversed(widths), strict=False)), rows, b, tile, list(start))


def _nest(
    k: Kernel,
    form: DotForm,
    depth: Depth,
    outer: Sequence[tuple[tuple[int, int], int]],
    rows: Sequence[Lane],
    b: Lane,
    tile: Tile,
    acc: list[Lane],
) -> list[Lane]:
    if not outer:
        return _run(k, form, depth, rows, b, tile, acc)
    ((rounds, a_step), b_step), *rest = outer
    with k.f.loop(0, rounds, 1, acc) as loop:
        moved = [k.f.at(row, loop.index * a_step) for row in rows]
        inner = _nest(k, form, depth, rest, moved, k.f.at(b, loop.index * b_step), tile, list(loop.carried))
        loop.next(*inner)
    return list(loop.results)


def _run(
    k: Kernel, form: DotForm, depth: Depth, rows: Sequence[Lane], b: Lane, tile: Tile, acc: list[Lane]
) -> list[Lane]:
    rounds = depth.rounds(form)
    whole = rounds // UNROLL * UNROLL
    a_bytes, b_bytes = form.group * form.a.dtype.itemsize, tile.columns * form.group * form.b.dtype.itemsize
    for start, stop, unroll in ((0, whole, UNROLL), (whole, rounds, 1)):
        if start == stop:
            continue
        with k.f.loop(start, stop, unroll, acc) as loop:
            sums = list(loop.carried)
            a_at = [k.f.at(row, loop.index, a_bytes) for row in rows]
            b_at = k.f.at(b, loop.index, b_bytes)
            for step in range(unroll):
                here = [k.f.at(row, step, a_bytes) for row in a_at]
                sums = _step(k, form, here, k.f.at(b_at, step, b_bytes), tile, sums)
            loop.next(*sums)
        acc = list(loop.results)
    return acc


def _step(k: Kernel, form: DotForm, rows: Sequence[Lane], b: Lane, tile: Tile, acc: Sequence[Lane]) -> list[Lane]:
    """One group of products for every accumulator."""
    f = k.f
    width = tile.lanes * form.group * form.b.dtype.itemsize
    vectors = [f.load(f.at(b, v, width), form.acc, tile.lanes) for v in range(tile.vectors)]
    out: list[Lane] = []
    for place, row in enumerate(rows):
        item = f.splat(f.load(row, form.acc, align=1), tile.lanes)
        out += [form.apply(acc[place * tile.vectors + v], item, vector) for v, vector in enumerate(vectors)]
    return out


def row_blocks(k: Kernel, size: Dim, height: int) -> list[tuple[Operand, Operand, int]]:
    """(start, stop, rows) of the blocks of rows: of nearly one height where the number is known."""
    if isinstance(size, int):
        blocks = -(-size // height)
        tall = -(-size // blocks)
        whole = size // tall * tall
        found = [(0, whole, tall), (whole, size, size - whole)]
        return [(start, stop, rows) for start, stop, rows in found if start < stop]
    count = k.dim(size)
    assert isinstance(count, Lane)
    whole = k.f.binary("sdiv", count, height) * height
    return [(0, whole, height), (whole, count, 1)] if height > 1 else [(0, count, 1)]
