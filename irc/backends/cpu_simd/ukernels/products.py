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
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from irc.backends.cpu_simd.codegen.lanes import Lane, Operand
from irc.backends.cpu_simd.kernel import LINE_BYTES, Count, Kernel
from irc.backends.cpu_simd.parts import Part, units
from irc.backends.cpu_simd.ukernels.dots import DotForm, loaded_together
from irc.backends.cpu_simd.ukernels.pairs import groups_of, rows_of, shared
from irc.ir.dims import Dim, add, floordiv, mod, mul
from irc.ir.scalars import Array


@dataclass(frozen=True)
class Tile:
    """Accumulators in registers: `rows` times `vectors` of `lanes` columns; `unroll` groups of products a round."""

    rows: int
    vectors: int
    lanes: int
    unroll: int = 1

    @property
    def columns(self) -> int:
        return self.vectors * self.lanes


@dataclass(frozen=True)
class Panels:
    """How columns are cut: whole panels of the tile, and a last one of as many vectors as are left.

    Where the number of columns is symbolic the last one is as wide as the others. `ahead`: the next panel is asked for
    while one is used. `problem` is the key of what was scheduled like this, if it has one.
    """

    columns: Dim
    tile: Tile
    ahead: bool = False
    problem: str = ""

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
    padded = np.pad(weights, margins) if any(map(any, margins)) else weights
    packed = np.empty(padded.size, form.b.dtype)
    filled = 0
    for start, width in starts:
        part = np.moveaxis(padded[start : start + width].reshape(width, *outer, -1, form.group), 0, -2)
        packed[filled : filled + part.size].reshape(part.shape)[...] = part
        filled += part.size
    return packed


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


@dataclass(frozen=True)
class Operands:
    """Where products come from: the addresses of rows of `a`, that of a panel of `b`, what is asked for meanwhile."""

    rows: Sequence[Lane]
    b: Lane
    ahead: Ahead | None = None


@dataclass(frozen=True)
class Sums:
    """The sums of products of one tile."""

    k: Kernel
    form: DotForm
    depth: Depth
    tile: Tile

    @property
    def b_bytes(self) -> int:
        """A group of all columns."""
        return self.form.group * self.tile.columns * self.form.b.dtype.itemsize

    @property
    def registers(self) -> int:
        """What a group of all columns takes, and the accumulators of the rows that share some."""
        return self.tile.vectors * self.form.rows

    def of(self, at: Operands, start: Sequence[Lane]) -> list[Lane]:
        """The sums, row by row, after all products; `start` are first sums."""
        groups = [self.depth.rounds(self.form)]
        for rounds, _ in reversed(self.depth.outer[1:]):
            groups.append(mul(groups[-1], rounds))
        outer = list(zip(self.depth.outer, reversed(groups), strict=False))
        if self.form.rows == 1:
            return self._nest(outer, at, list(start))
        acc = self._nest(outer, at, shared(start, self.tile.vectors))
        return rows_of(acc, self.tile.rows, self.tile.vectors)

    def _nest(self, outer: Sequence[tuple[tuple[int, int], Dim]], at: Operands, acc: list[Lane]) -> list[Lane]:
        """The loops around the innermost run; each with the groups that one round of it has."""
        if not outer:
            return self._run(at, acc)
        k = self.k
        ((rounds, a_step), groups), *rest = outer
        with k.f.loop(0, rounds, 1, acc) as loop:
            passed = loop.index * k.dim(groups)
            moved = [k.f.at(row, loop.index * a_step) for row in at.rows]
            ahead = None if at.ahead is None else at.ahead.behind(k, passed)
            inner = self._nest(rest, Operands(moved, k.f.at(at.b, passed, self.b_bytes), ahead), list(loop.carried))
            loop.next(*inner)
        return list(loop.results)

    def _run(self, at: Operands, acc: list[Lane]) -> list[Lane]:
        """The innermost run of products; narrow sums are added up every few groups."""
        k, form = self.k, self.form
        rounds = k.dim(self.depth.rounds(form))
        if form.flush is None:
            return self._groups(at, acc, 0, rounds)
        steps = form.steps
        if isinstance(rounds, int):  # nearly as many that leave no rest
            steps = next((n for n in range(steps, steps // 2, -1) if rounds % n == 0), steps)
        with k.f.loop(0, rounds, steps, acc) as loop:
            none = [k.f.const(0, form.acc, self.tile.lanes)] * len(acc)
            if isinstance(rounds, int) and rounds % steps == 0:
                partial = self._groups(self._moved(at, loop.index), none, 0, steps)
            else:
                stop = k.f.intrinsic("smin", loop.index + steps, k.f.like(rounds, loop.index))
                partial = self._groups(at, none, loop.index, stop)
            loop.next(*(form.flush(total, part) for total, part in zip(loop.carried, partial, strict=True)))
        return list(loop.results)

    def _groups(self, at: Operands, acc: list[Lane], start: Count, stop: Count) -> list[Lane]:
        """Groups of products from start to stop: several a round, then those that are left."""
        k, unrolled = self.k, self.tile.unroll
        if isinstance(start, int) and isinstance(stop, int):
            whole = start + (stop - start) // unrolled * unrolled
        else:
            length = k.f.like(stop, k.f.const(0, "i64")) - start
            whole = k.f.like(start, length) + (length - k.f.binary("srem", length, unrolled))
        for first, last, unroll in ((start, whole, unrolled), (whole, stop, 1)):
            if (isinstance(first, int) and first == last) or (first is whole and unrolled == 1):
                continue
            with k.f.loop(first, last, unroll, acc) as loop:
                sums = list(loop.carried)
                if at.ahead is not None:
                    at.ahead.ask(k, loop.index, unroll)
                here = self._moved(replace(at, ahead=None), loop.index)
                for step, items in self._items(here.rows, unroll):
                    sums = self._step(here.b, step, items, sums)
                loop.next(*sums)
            acc = list(loop.results)
        return acc

    def _moved(self, at: Operands, groups: Lane) -> Operands:
        """So many groups further."""
        k, form = self.k, self.form
        rows = [k.f.at(row, groups, form.group_bytes) for row in at.rows]
        ahead = None if at.ahead is None else at.ahead.behind(k, groups)
        return Operands(rows, k.f.at(at.b, groups, self.b_bytes), ahead)

    def _items(self, rows: Sequence[Lane], unroll: int) -> Iterator[tuple[int, Iterable[Lane]]]:
        """For each of so many groups, what is multiplied: that of a row in all lanes, or those of two rows."""
        f, form, lanes = self.k.f, self.form, self.tile.lanes
        together = loaded_together(self.k.isa, form)
        if unroll % together:
            together = 1
        for first in range(0, unroll, together):
            here = [f.at(row, first, form.group_bytes) for row in rows]
            for place, groups in enumerate(self._loaded(here, together)):
                yield first + place, (f.splat(g, lanes) for g in groups) if form.rows == 1 else groups_of(list(groups))

    def _loaded(self, rows: Sequence[Lane], together: int) -> Iterator[Iterable[Lane]]:
        """So many neighbouring groups, each of all rows; a single one is loaded where it is taken."""
        f, kind = self.k.f, self.form.acc if self.form.rows == 1 else "i64"
        if together == 1:
            yield (f.load(row, kind, align=1) for row in rows)
            return
        runs = [f.load(row, kind, together, align=1) for row in rows]
        for place in range(together):
            yield (f.extract(run, place) for run in runs)

    def _step(self, b: Lane, step: int, items: Iterable[Lane], acc: Sequence[Lane]) -> list[Lane]:
        """One group of products for every accumulator."""
        f, form, tile = self.k.f, self.form, self.tile
        here, count = f.at(b, step, self.b_bytes), self.registers
        vectors = [f.load(f.at(here, v, self.b_bytes // count), form.acc, tile.lanes) for v in range(count)]
        out: list[Lane] = []
        for place, item in enumerate(items):
            out += [form.apply(acc[place * count + v], item, vector) for v, vector in enumerate(vectors)]
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
