"""Scaled dot-product attention in one kernel: blocks of rows of scores, their softmax, their weighted sums of values.

for batch: keys across lanes                               [vector of keys][D][lanes]
    for block of rows:
        scores[rows][N] = q @ keys * scale (+ mask)        in memory of one block, which stays in the cache
        scores = exp(scores - maximum), total of each row
        out[rows][E] = scores @ v / total, epilogue
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from irc.backends.cpu_simd.codegen import functions
from irc.backends.cpu_simd.codegen.lanes import Lane
from irc.backends.cpu_simd.epilogue import Epilogue
from irc.backends.cpu_simd.kernel import Kernel, axes_of, register
from irc.backends.cpu_simd.lower.common import computed, lowers
from irc.backends.cpu_simd.lowering import Lowering
from irc.backends.cpu_simd.parts import Part, loops, sizes_of
from irc.backends.cpu_simd.rows import reduce_lanes, spans
from irc.backends.cpu_simd.ukernels.dots import float_form
from irc.backends.cpu_simd.ukernels.products import Tile, block_units, row_blocks
from irc.backends.cpu_simd.ukernels.tiles import tile_of
from irc.backends.cpu_simd.views import View
from irc.backends.cpu_simd.work import HARD
from irc.backends.regions import Region
from irc.ir.dims import add, mul, product
from irc.ir.graph import Value
from irc.ir.ops.attention import Sdpa
from irc.ir.scalars import BOOL


@lowers(Sdpa, epilogue=True)
def lower_sdpa(cx: Lowering, region: Region) -> None:
    op = region.anchor
    assert isinstance(op, Sdpa)
    shape = op.results[0].type.shape
    batch = shape[:-2]
    q, keys, v = (cx.view(x).broadcast((*batch, *x.type.shape[-2:])) for x in (op.q, op.k, op.v))
    mask = None if op.mask is None else cx.view(op.mask).broadcast((*batch, shape[-2], op.k.type.shape[-2]))
    epilogue = Epilogue.of(cx, region)
    views = [*epilogue.views, q, keys, v, *([] if mask is None else [mask])]
    dims = range(len(batch))
    axes = axes_of(batch, [view.permuted(dims) for view in views])
    kind = computed(op.q.type.scalar)
    tile = tile_of(cx.isa, float_form(cx.isa, kind), q.shape[-2], 4 * cx.isa.lanes)
    padded = add(keys.shape[-2], tile.lanes)
    across = cx.scratch(kind, (mul(padded, q.shape[-1]),), own=True)
    scores = cx.scratch(kind, (mul(padded, tile.rows),), own=True)
    scored = mul(product(q.shape[:-1]), keys.shape[-2])
    work = mul(scored, add(add(q.shape[-1], v.shape[-1]), HARD))
    with cx.kernel(epilogue.hint, region.loc, region.result, work=work) as k:
        begins = [k.pointer(view) for view in views]
        part = Part.of(k, [*sizes_of(axes), block_units(q.shape[-2], tile.rows)])
        with loops(part, axes, views, begins) as (inside, at):
            places = dict(zip(map(id, views), at, strict=True))
            _Attention(k, op, epilogue, q, keys, v, mask, across, scores, tile, places).emit(inside)


@dataclass(frozen=True, eq=False)
class _Attention:
    """The kernel for one batch."""

    k: Kernel
    op: Sdpa
    epilogue: Epilogue
    q: View
    keys: View
    v: View
    mask: View | None
    across: View
    scores: View
    tile: Tile
    places: dict[int, Lane]

    @property
    def kind(self) -> str:
        """The LLVM type in which all is computed."""
        return register(self.op.q.type.scalar)

    def at(self, view: View, row: Lane, column: Lane) -> Lane:
        """The address of an element of the batch."""
        along = self.k.step(view, self.places[id(view)], view.strides[-2], row)
        return self.k.step(view, along, view.strides[-1], column)

    def emit(self, part: Part) -> None:
        """The rows of one batch that a call runs; it packs the keys for them."""
        self.pack()
        for start, stop, height in row_blocks(part, self.q.shape[-2], self.tile.rows):
            with self.k.f.loop(start, stop, height) as loop:
                rows = [loop.index + r for r in range(height)]
                self.score(rows)
                shares = [self.normalize(r) for r in range(height)]
                self.weigh(rows, shares)

    def pack(self) -> None:
        """Keys with neighbouring ones in the lanes."""
        k, keys, depth = self.k, self.keys, self.k.dim(self.keys.shape[-1])
        for start, stop, step, mask in spans(Part(k), keys.shape[-2], self.tile.lanes):
            with k.f.loop(start, stop, step) as loop, k.f.loop(0, depth) as inner:
                here = self.at(keys, loop.index, inner.index)
                item = k.load_masked(keys, here, keys.strides[-2], self.tile.lanes, mask)
                k.store(item, self.across, self.packed(loop.index, inner.index))

    def packed(self, first: Lane, depth: Lane) -> Lane:
        """The address of a vector of packed keys."""
        place = first * self.k.dim(self.keys.shape[-1]) + depth * self.tile.lanes
        return self.k.f.at(self.k.pointer(self.across), place, self.across.size_bytes)

    def score_at(self, row: int, column: Lane) -> Lane:
        """The address of a score of a row of the block."""
        place = column + self.k.f.const(row, "i64") * self.k.dim(add(self.keys.shape[-2], self.tile.lanes))
        return self.k.f.at(self.k.pointer(self.scores), place, self.scores.size_bytes)

    def score(self, rows: Sequence[Lane]) -> None:
        """The scores of a block of rows."""
        k, f, tile = self.k, self.k.f, self.tile
        for start, stop, step, mask in spans(Part(k), self.keys.shape[-2], tile.lanes, tile.vectors):
            vectors = tile.vectors if mask is None and step > tile.lanes else 1
            with f.loop(start, stop, step) as loop:
                columns = [loop.index + v * tile.lanes for v in range(vectors)]
                zeros = [f.const(0.0, self.kind, tile.lanes)] * (len(rows) * vectors)
                with f.loop(0, k.dim(self.q.shape[-1]), 1, zeros) as depth:
                    b = [k.load(self.across, self.packed(c, depth.index), tile.lanes) for c in columns]
                    a = [f.splat(k.load(self.q, self.at(self.q, row, depth.index)), tile.lanes) for row in rows]
                    depth.next(*_grown(a, b, depth.carried))
                for r, row in enumerate(rows):
                    for v, column in enumerate(columns):
                        value = depth.results[r * vectors + v] * self.op.scale
                        k.store(self.masked(value, row, column, mask), self.scores, self.score_at(r, column))

    def masked(self, score: Lane, row: Lane, column: Lane, exists: Lane | None) -> Lane:
        view = self.mask
        if view is None:
            return score
        here = self.k.load_masked(view, self.at(view, row, column), view.strides[-1], score.lanes, exists)
        if view.scalar == BOOL:
            return self.k.f.select(here, score, self.k.f.const(-math.inf, self.kind, score.lanes))
        return score + here

    def normalize(self, row: int) -> Lane:
        """Scores to exponentials; gives what they must be multiplied with: 0 where nothing is kept."""
        k, f, size = self.k, self.k.f, self.keys.shape[-2]
        top = f.const(-math.inf, self.kind, self.tile.lanes)
        for start, stop, step, mask in spans(Part(k), size, self.tile.lanes):
            with f.loop(start, stop, step, [top]) as loop:
                item = k.load(self.scores, self.score_at(row, loop.index), self.tile.lanes)
                better = item.compare("ogt", loop.carried[0])
                loop.next(f.select(better if mask is None else better & mask, item, loop.carried[0]))
            (top,) = loop.results
        (top,) = reduce_lanes([top], lambda a, b: [f.select(a[0].compare("ogt", b[0]), a[0], b[0])])
        top = f.select(top.compare("oeq", -math.inf), f.const(0.0, self.kind), top)
        total = f.const(0.0, self.kind, self.tile.lanes)
        for start, stop, step, mask in spans(Part(k), size, self.tile.lanes):
            with f.loop(start, stop, step, [total]) as loop:
                here = self.score_at(row, loop.index)
                e = functions.exp_below_one(k.load(self.scores, here, self.tile.lanes) - top)
                k.store(e, self.scores, here)
                after = loop.carried[0] + e
                loop.next(after if mask is None else f.select(mask, after, loop.carried[0]))
            (total,) = loop.results
        (total,) = reduce_lanes([total], lambda a, b: [a[0] + b[0]])
        nothing = total.compare("oeq", 0.0)
        return f.select(nothing, f.const(0.0, self.kind), f.const(1.0, self.kind) / total)

    def weigh(self, rows: Sequence[Lane], shares: Sequence[Lane]) -> None:
        """The sums of values that a block of rows gives, and what follows."""
        k, f, tile, v = self.k, self.k.f, self.tile, self.v
        for start, stop, step, mask in spans(Part(k), v.shape[-1], tile.lanes, tile.vectors):
            vectors = tile.vectors if mask is None and step > tile.lanes else 1
            with f.loop(start, stop, step) as loop:
                columns = [loop.index + place * tile.lanes for place in range(vectors)]
                zeros = [f.const(0.0, self.kind, tile.lanes)] * (len(rows) * vectors)
                with f.loop(0, k.dim(v.shape[-2]), 1, zeros) as depth:
                    b = [k.load_masked(v, self.at(v, depth.index, c), v.strides[-1], tile.lanes, mask) for c in columns]
                    a = [
                        f.splat(k.load(self.scores, self.score_at(r, depth.index)), tile.lanes)
                        for r in range(len(rows))
                    ]
                    depth.next(*_grown(a, b, depth.carried))
                for r, row in enumerate(rows):
                    for place, column in enumerate(columns):
                        self.finish(depth.results[r * vectors + place] * shares[r], row, column, mask)

    def finish(self, value: Lane, row: Lane, column: Lane, mask: Lane | None) -> None:
        """The epilogue of a vector of the result, and its store."""
        k, epilogue = self.k, self.epilogue

        def read(leaf: Value) -> Lane:
            view = epilogue.inputs[leaf]
            return k.load_masked(view, self.at(view, row, column), view.strides[-1], value.lanes, mask)

        out = epilogue.out
        k.store_masked(epilogue.after(k, value, read), out, self.at(out, row, column), out.strides[-1], mask)


def _grown(a: Sequence[Lane], b: Sequence[Lane], sums: Sequence[Lane]) -> list[Lane]:
    """Sums of a tile, row by row, with one more product each."""
    return [item.f.fma(item, vector, sums[r * len(b) + v]) for r, item in enumerate(a) for v, vector in enumerate(b)]
