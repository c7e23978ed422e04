"""Packing a computed tensor as the panels of a product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from irc.backends.cpu_simd.codegen.lanes import Lane
from irc.backends.cpu_simd.kernel import Axis, Count, Kernel
from irc.backends.cpu_simd.lowering import Lowering
from irc.backends.cpu_simd.parts import Part, loops, sizes_of
from irc.backends.cpu_simd.ukernels.dots import DotForm
from irc.backends.cpu_simd.ukernels.products import Panels, each_panel
from irc.backends.cpu_simd.views import View
from irc.backends.cpu_simd.work import MOVED
from irc.ir.dims import add, equal, floordiv, mod, mul, product
from irc.ir.location import Loc
from irc.ir.scalars import I32


@dataclass(frozen=True)
class Packed:
    """Panels [batch..., elements], and what the zero points add to the sums of each column, [batch..., columns]."""

    panels: View
    start: View | None


def pack_computed(cx: Lowering, y: View, form: DotForm, panels: Panels, zp: int, taken: int, loc: Loc) -> Packed:
    """y[batch..., depth, columns] minus `zp` as panels; `start` is `-taken` times the sum of each column."""
    *batch, length, _ = y.shape
    groups = floordiv(add(length, form.group - 1), form.group)
    size = mul(mul(groups, form.group), panels.padded)
    out = cx.scratch(form.b, (*batch, size))
    start = cx.scratch(I32, (*batch, panels.padded)) if taken else None
    views = [out, y, *([start] if start else [])]
    batches = [Axis(d, tuple(v.strides[i] for v in views)) for i, d in enumerate(batch) if equal(d, 1) is not True]
    with cx.kernel("pack", loc, work=mul(product(y.shape), MOVED)) as k:
        at = [k.pointer(view) for view in views]
        job = _Packing(k, y, form, panels, zp, taken, start)
        with loops(Part.of(k, [*sizes_of(batches), panels.count]), batches, views, at) as (part, addresses):
            each_panel(part, panels, partial(job.panel, addresses))
    return Packed(out, start)


@dataclass(frozen=True)
class _Packing:
    """The body of the loop over panels."""

    k: Kernel
    y: View
    form: DotForm
    panels: Panels
    zp: int
    taken: int
    start: View | None

    def panel(self, at: Sequence[Lane], _: Part, panel: Lane, vectors: int, columns: Count) -> None:
        """Pack one panel; `at` are the addresses of panels, of y, and of the starts."""
        k, form, tile, y = self.k, self.form, self.panels.tile, self.y
        length, item = y.shape[-2], form.b.dtype.itemsize
        groups = floordiv(add(length, form.group - 1), form.group)
        column = panel * tile.columns
        to = k.f.at(at[0], panel * k.dim(mul(groups, form.group * tile.columns)), item)
        from_ = k.step(y, at[1], y.strides[-1], column)
        width = vectors * tile.lanes * form.group * item
        none = [k.f.const(0, "i32", tile.lanes)] * (vectors if self.start else 0)
        whole, left = k.dim(floordiv(length, form.group)), k.dim(mod(length, form.group))
        if not isinstance(whole, int) or whole:
            with k.f.loop(0, whole, 1, none) as loop:
                there = k.f.at(to, loop.index, width)
                here = k.step(y, from_, y.strides[-2], loop.index * form.group)
                loop.next(*self.group(there, here, vectors, columns, form.group, list(loop.carried)))
            none = list(loop.results)
        if isinstance(left, Lane):
            none = self.symbolic_rest(k, to, from_, vectors, columns, whole, left, width, none)
        elif left:
            there = k.f.at(to, k.f.like(whole, k.f.const(0, "i64")), width)
            here = k.step(y, from_, y.strides[-2], k.f.like(whole, k.f.const(0, "i64")) * form.group)
            none = self.group(there, here, vectors, columns, int(left), none)
        if self.start:
            into = k.step(self.start, at[2], 1, column)
            for v, total in enumerate(none):
                k.f.store(total * -self.taken, k.f.at(into, v, 4 * tile.lanes))

    def symbolic_rest(
        self,
        k: Kernel,
        to: Lane,
        from_: Lane,
        vectors: int,
        columns: Count,
        whole: Count,
        left: Lane,
        width: int,
        sums: list[Lane],
    ) -> list[Lane]:
        """A last group of which an unknown number of rows exists: one loop round or none for each number."""
        at = k.f.like(whole, left)
        there = k.f.at(to, at, width)
        here = k.step(self.y, from_, self.y.strides[-2], at * self.form.group)
        for rows in range(1, self.form.group):
            once = k.f.convert("zext", left.compare("eq", rows), "i64")
            with k.f.loop(0, once, 1, sums) as loop:
                loop.next(*self.group(there, here, vectors, columns, rows, list(loop.carried)))
            sums = list(loop.results)
        return sums

    def group(self, to: Lane, from_: Lane, vectors: int, columns: Count, rows: int, sums: list[Lane]) -> list[Lane]:
        """`rows` rows of a group, for all columns of a panel; the rows that are missing are zero."""
        k, form, tile = self.k, self.form, self.panels.tile
        ones = k.f.const(sum(1 << place * 32 // form.group for place in range(form.group)), "i32", tile.lanes)
        out: list[Lane] = []
        for v in range(vectors):
            if rows == form.group > 1 and equal(self.y.strides[-2], 1) is True:
                word = self.run(from_, v, columns)
            else:
                word = self.joined([self.row(from_, row, v, columns) for row in range(rows)])
            k.f.store(word, k.f.at(to, v, tile.lanes * form.acc_bytes))
            if sums:
                out.append(form.sum(sums[v], ones, word))
        return out

    def row(self, at: Lane, row: int, v: int, columns: Count) -> Lane:
        """A vector of one row; what lies behind the last column does not matter, for no result shows it."""
        k, tile, y = self.k, self.panels.tile, self.y
        here = k.step(y, at, y.strides[-2], row)
        item = k.load_part(y, here, y.strides[-1], v * tile.lanes, tile.lanes, columns)
        return item - self.zp if self.zp else item

    def joined(self, rows: Sequence[Lane]) -> Lane:
        """Rows side by side in the words of a dot product."""
        if self.form.group == 1:
            return rows[0]
        bits = 32 // self.form.group
        word = rows[0] & ((1 << bits) - 1)
        for place, row in enumerate(rows[1:], 1):
            word = word | ((row & ((1 << bits) - 1)) << (bits * place))
        return word

    def run(self, at: Lane, v: int, columns: Count) -> Lane:
        """The words of columns whose rows are neighbours in memory: one load a column."""
        k, form, tile, y = self.k, self.form, self.panels.tile, self.y
        bits = 8 * y.size_bytes
        loaded: list[Lane] = []
        for place in self.places(v, columns):
            loaded.append(k.f.load(k.step(y, at, y.strides[-1], place), f"i{bits * form.group}", align=y.size_bytes))
        codes = k.f.bitcast(k.f.gathered(loaded), f"i{bits}", tile.lanes * form.group)
        narrow = f"i{32 // form.group}"
        if bits != 32 // form.group:
            wider = "sext" if y.scalar.signed else "zext"
            codes = k.f.convert(wider if bits < 32 // form.group else "trunc", codes, narrow)
        taken = self.zp + y.buffer.shift
        return k.f.bitcast(codes - taken if taken else codes, "i32", tile.lanes)

    def places(self, v: int, columns: Count) -> list[int | Lane]:
        """The columns of a vector, the last one again where there are no more."""
        k, lanes = self.k, self.panels.tile.lanes
        wanted = range(v * lanes, (v + 1) * lanes)
        if isinstance(columns, int):
            return [min(place, columns - 1) for place in wanted]
        return [k.f.intrinsic("smin", k.f.const(place, "i64"), columns - 1) for place in wanted]
