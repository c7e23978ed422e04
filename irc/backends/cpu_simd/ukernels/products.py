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

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from irc.backends.cpu_simd.codegen.lanes import Lane, Operand
from irc.backends.cpu_simd.isa import Isa
from irc.backends.cpu_simd.kernel import LINE_BYTES, Count, Kernel
from irc.backends.cpu_simd.parts import Part, units
from irc.backends.cpu_simd.ukernels.dots import DotForm
from irc.ir.dims import Dim, add, floordiv, mod, mul
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


COPIES = 6
"""Registers that copies take where instructions write over their operands, as seen in emitted code."""


def tile_of(isa: Isa, form: DotForm, rows: Dim, columns: Dim) -> Tile:
    """The largest tile without spills: accumulators, one vector of b each, one of a, one product."""
    lanes = isa.lanes if form.acc != "double" else isa.lanes // 2
    needed = -(-columns // lanes) if isinstance(columns, int) else 4
    spare = form.spare + COPIES * isa.overwrites
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
    """How columns are cut: whole panels of the tile, and a last one of as many vectors as are left.

    Where the number of columns is symbolic the last one is as wide as the others.
    """

    columns: Dim
    tile: Tile

    @property
    def whole(self) -> Dim:
        return floordiv(self.columns, self.tile.columns)

    @property
    def count(self) -> Dim:
        """Panels in all."""
        return floordiv(add(self.columns, self.tile.columns - 1), self.tile.columns)

    @property
    def rest(self) -> Dim:
        """Columns of the last panel."""
        return mod(self.columns, self.tile.columns)

    @property
    def rest_vectors(self) -> int:
        """Vectors of the last panel."""
        return -(-self.rest // self.tile.lanes) if isinstance(self.rest, int) else self.tile.vectors

    @property
    def padded(self) -> Dim:
        """Columns in the packed weights."""
        if isinstance(self.columns, int):
            whole = self.columns // self.tile.columns
            return whole * self.tile.columns + self.rest_vectors * self.tile.lanes
        return mul(self.count, self.tile.columns)


def each_panel(part: Part, panels: Panels, body: Callable[[Part, Lane, int, Count], None]) -> None:
    """Emit `body(part, panel, vectors, columns)` for the whole panels, and for the last one."""
    k, tile = part.k, panels.tile
    for start, stop, vectors, columns in (
        (0, panels.whole, tile.vectors, tile.columns),
        (panels.whole, panels.count, panels.rest_vectors, k.dim(panels.rest)),
    ):
        if start != stop:
            with k.f.loop(*part.rounds(start, stop)) as loop:
                body(part.within(loop.index), loop.index, vectors, columns)


def pack(weights: Array, form: DotForm, panels: Panels) -> Array:
    """Weights [columns, *outer depth, depth] as one run of panels, each [*outer, depth/group, columns, group]."""
    columns, *outer, depth = weights.shape
    starts = list(panel_widths(columns, panels))
    margins = [(0, sum(width for _, width in starts) - columns), *[(0, 0)] * len(outer), (0, -depth % form.group)]
    padded = np.pad(weights, margins).astype(form.b.dtype)
    packed: list[Array] = []
    for start, width in starts:
        part = padded[start : start + width].reshape(width, *outer, -1, form.group)
        packed.append(np.moveaxis(part, 0, -2).reshape(-1))
    return np.concatenate(packed)


def panel_widths(columns: int, panels: Panels) -> Iterator[tuple[int, int]]:
    """(first column, width) of each panel of so many columns."""
    width = panels.tile.columns
    for start in range(0, columns - columns % width, width):
        yield start, width
    if columns % width:
        yield columns - columns % width, panels.rest_vectors * panels.tile.lanes


@dataclass(frozen=True)
class Depth:
    """The loops over products, outermost first: rounds, and bytes that `a` moves in one. The innermost is a run of
    `length` neighbouring elements."""

    outer: tuple[tuple[int, int], ...]
    length: Dim

    def rounds(self, form: DotForm) -> Dim:
        """Groups of the innermost run."""
        return floordiv(add(self.length, form.group - 1), form.group)

    def packed(self, form: DotForm) -> Dim:
        """Groups in all."""
        return mul(self.rounds(form), math.prod(rounds for rounds, _ in self.outer))


UNROLL = 2
"""Groups a round of the innermost loop, where registers are left."""


def unroll_of(isa: Isa, form: DotForm, tile: Tile) -> int:
    """One group a round where the next vectors of b, read ahead, would push an accumulator out of its register."""
    used = tile.rows * tile.vectors + tile.vectors + 1 + form.spare
    return 1 if used >= isa.registers and form.spare else UNROLL


@dataclass(frozen=True)
class Ahead:
    """Memory that is wanted soon, asked for while a tile is summed: so many bytes a group."""

    begin: Lane
    step: int

    @staticmethod
    def of(begin: Lane, size: int, groups: Dim) -> Ahead | None:
        """`size` bytes spread over all groups of a tile, if their number is known."""
        return Ahead(begin, -(-size // groups)) if isinstance(groups, int) else None

    def behind(self, k: Kernel, groups: Lane) -> Ahead:
        """What is left behind so many groups."""
        return Ahead(k.f.at(self.begin, groups, self.step), self.step)

    def ask(self, k: Kernel, group: Lane, groups: int) -> None:
        """The lines of some groups."""
        begin = k.f.at(self.begin, group, self.step)
        for line in range(-(-groups * self.step // LINE_BYTES)):
            k.f.prefetch(k.f.at(begin, line, LINE_BYTES))


def accumulate(
    k: Kernel,
    form: DotForm,
    depth: Depth,
    rows: Sequence[Lane],
    b: Lane,
    tile: Tile,
    start: Sequence[Lane],
    ahead: Ahead | None = None,
) -> list[Lane]:
    """The accumulators of a tile, row by row, after all products; `rows` and `b` are addresses, `start` first sums."""
    widths = [mul(depth.rounds(form), form.group * tile.columns * form.b.dtype.itemsize)]
    for rounds, _ in reversed(depth.outer[1:]):
        widths.append(mul(widths[-1], rounds))
    return _nest(
        k, form, depth, list(zip(depth.outer, reversed(widths), strict=False)), rows, b, tile, list(start), ahead
    )


def _nest(
    k: Kernel,
    form: DotForm,
    depth: Depth,
    outer: Sequence[tuple[tuple[int, int], Dim]],
    rows: Sequence[Lane],
    b: Lane,
    tile: Tile,
    acc: list[Lane],
    ahead: Ahead | None,
) -> list[Lane]:
    if not outer:
        return _run(k, form, depth, rows, b, tile, acc, ahead)
    ((rounds, a_step), b_step), *rest = outer
    with k.f.loop(0, rounds, 1, acc) as loop:
        moved = [k.f.at(row, loop.index * a_step) for row in rows]
        groups = floordiv(b_step, form.group * tile.columns * form.b.dtype.itemsize)
        later = None if ahead is None else ahead.behind(k, loop.index * k.dim(groups))
        there = k.f.at(b, loop.index * k.dim(b_step))
        inner = _nest(k, form, depth, rest, moved, there, tile, list(loop.carried), later)
        loop.next(*inner)
    return list(loop.results)


def _run(
    k: Kernel,
    form: DotForm,
    depth: Depth,
    rows: Sequence[Lane],
    b: Lane,
    tile: Tile,
    acc: list[Lane],
    ahead: Ahead | None,
) -> list[Lane]:
    """The innermost run of products."""
    rounds = k.dim(depth.rounds(form))
    if form.flush is None:
        return _groups(k, form, rows, b, tile, acc, 0, rounds, ahead)
    with k.f.loop(0, rounds, form.steps, acc) as loop:
        stop = k.f.intrinsic("smin", loop.index + form.steps, k.f.like(rounds, loop.index))
        if isinstance(rounds, int) and rounds % form.steps == 0:
            stop = form.steps
            rows, b = _moved(k, form, rows, b, tile, loop.index)
            ahead = None if ahead is None else ahead.behind(k, loop.index)
        none = [k.f.const(0, form.acc, tile.lanes)] * len(acc)
        start = 0 if isinstance(stop, int) else loop.index
        partial = _groups(k, form, rows, b, tile, none, start, stop, ahead)
        loop.next(*(form.flush(total, part) for total, part in zip(loop.carried, partial, strict=True)))
    return list(loop.results)


def _groups(
    k: Kernel,
    form: DotForm,
    rows: Sequence[Lane],
    b: Lane,
    tile: Tile,
    acc: list[Lane],
    start: Count,
    stop: Count,
    ahead: Ahead | None,
) -> list[Lane]:
    """Groups of products from start to stop: several a round, then those that are left."""
    unrolled = unroll_of(k.isa, form, tile)
    if isinstance(start, int) and isinstance(stop, int):
        whole = start + (stop - start) // unrolled * unrolled
    else:
        length = k.f.like(stop, k.f.const(0, "i64")) - start
        whole = k.f.like(start, length) + (length & -unrolled)
    a_bytes, b_bytes = form.group * form.a.dtype.itemsize, tile.columns * form.group * form.b.dtype.itemsize
    for first, last, unroll in ((start, whole, unrolled), (whole, stop, 1)):
        if (isinstance(first, int) and first == last) or (first is whole and unrolled == 1):
            continue
        with k.f.loop(first, last, unroll, acc) as loop:
            sums = list(loop.carried)
            a_at, b_at = _moved(k, form, rows, b, tile, loop.index)
            if ahead is not None:
                ahead.ask(k, loop.index, unroll)
            for step in range(unroll):
                here = [k.f.at(row, step, a_bytes) for row in a_at]
                sums = _step(k, form, here, k.f.at(b_at, step, b_bytes), tile, sums)
            loop.next(*sums)
        acc = list(loop.results)
    return acc


def _moved(
    k: Kernel, form: DotForm, rows: Sequence[Lane], b: Lane, tile: Tile, groups: Lane
) -> tuple[list[Lane], Lane]:
    """The addresses so many groups further."""
    a_bytes, b_bytes = form.group * form.a.dtype.itemsize, tile.columns * form.group * form.b.dtype.itemsize
    return [k.f.at(row, groups, a_bytes) for row in rows], k.f.at(b, groups, b_bytes)


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


def block_height(size: Dim, height: int) -> int:
    """The rows of a block, of at most so many: those of all blocks are nearly the same where the number is known."""
    return -(-size // -(-size // height)) if isinstance(size, int) else height


def block_units(size: Dim, height: int) -> Dim:
    """What blocks of rows can be split into."""
    return -(-size // height) if isinstance(size, int) else units(size, height)


def row_blocks(part: Part, size: Dim, height: int) -> list[tuple[Operand, Operand, int]]:
    """(start, stop, rows) of the blocks of rows.

    Otherwise the last block ends with the last row, and does some of the one before again; fewer rows than one block
    has are done one by one.
    """
    tall = block_height(size, height)
    if isinstance(size, int):
        blocks = -(-size // height)
        many = blocks - (blocks * tall - size)
        found: list[tuple[Operand, Operand, int]] = []
        for first, last, begin, rows in ((0, many, 0, tall), (many, blocks, many * tall, tall - 1)):
            if first < last:
                start, stop = part.rounds(first, last)
                found.append(((start - first) * rows + begin, (stop - first) * rows + begin, rows))
        return found
    k = part.k
    count = k.dim(size)
    assert isinstance(count, Lane)
    if height == 1:
        return [(*part.steps(count, 1), 1)]
    whole = k.f.binary("sdiv", count, height) * height
    last = k.f.select(whole.compare("slt", count), count - height, count)
    few = count.compare("slt", height)
    return [
        (*part.steps(whole, height), height),
        (*part.rest(k.f.select(few, count, last), count), height),
        (*part.rest(k.f.select(few, k.f.const(0, "i64"), count), count), 1),
    ]
