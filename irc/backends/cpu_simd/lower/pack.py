"""Packing a computed tensor as the panels of a product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from irc.backends.cpu_simd.codegen.lanes import Lane
from irc.backends.cpu_simd.elementwise import declare_dims
from irc.backends.cpu_simd.kernel import Axis, Count, Kernel, loops
from irc.backends.cpu_simd.lowering import Lowering
from irc.backends.cpu_simd.ukernels.dots import DotForm
from irc.backends.cpu_simd.ukernels.products import Panels, each_panel
from irc.backends.cpu_simd.views import View
from irc.ir.dims import add, equal, floordiv, mod, mul
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
    with cx.kernel("pack", loc) as k:
        at = [k.pointer(view) for view in views]
        declare_dims(k, batches)
        panel = mul(groups, form.group * panels.tile.columns)
        rows = floordiv(length, form.group), mod(length, form.group)
        for dim in (panels.whole, panels.rest, panel, *rows, *y.strides[-2:]):
            k.dim(dim)
        job = _Packing(k, y, form, panels, zp, taken, start)
        with loops(k, batches, views, at) as addresses:
            each_panel(k, panels, partial(job.panel, addresses))
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

    def panel(self, at: Sequence[Lane], panel: Lane, vectors: int, columns: Count) -> None:
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
        k, form, tile, y = self.k, self.form, self.panels.tile, self.y
        out: list[Lane] = []
        for v in range(vectors):
            items = [self.row(k.step(y, from_, y.strides[-2], row), v, columns) for row in range(rows)]
            word = items[0]
            if form.group > 1:
                bits = 32 // form.group
                parts = [(item & ((1 << bits) - 1)) << (bits * place) for place, item in enumerate(items)]
                word = parts[0]
                for part in parts[1:]:
                    word = word | part
            k.f.store(word, k.f.at(to, v, tile.lanes * word_bytes(form)))
            if sums:
                total = sums[v]
                for item in items:
                    total = total + item
                out.append(total)
        return out

    def row(self, at: Lane, v: int, columns: Count) -> Lane:
        """A vector of one row; what lies behind the last column does not matter, for no result shows it."""
        k, tile, y = self.k, self.panels.tile, self.y
        item = k.load_part(y, at, y.strides[-1], v * tile.lanes, tile.lanes, columns)
        return item - self.zp if self.zp else item


def word_bytes(form: DotForm) -> int:
    return form.group * form.b.dtype.itemsize
