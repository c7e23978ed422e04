"""Linear ops whose constant weights lie in words: taken apart for each product, or written out a panel at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace

from irc.backends.cpu_simd.codegen.lanes import Lane
from irc.backends.cpu_simd.forms import range_of
from irc.backends.cpu_simd.kernel import Kernel, axes_of, memory
from irc.backends.cpu_simd.lower.products import Products, panels_of
from irc.backends.cpu_simd.lowering import Lowering
from irc.backends.cpu_simd.parts import Part, loops, sizes_of
from irc.backends.cpu_simd.schedule.choose import Problem, extent
from irc.backends.cpu_simd.ukernels.codes import Codes, codes_of, few_tile, pack_codes
from irc.backends.cpu_simd.ukernels.dots import DotForm, of_rows
from irc.backends.cpu_simd.ukernels.products import Panels
from irc.backends.cpu_simd.ukernels.tiles import tile_of
from irc.backends.cpu_simd.views import View
from irc.ir.dims import Dim, Shape, product
from irc.ir.location import Loc
from irc.ir.ops.linear import Linear
from irc.ir.scalars import I32, Array, ScalarType

FEW = 4
"""Rows up to which taking weights apart for each block of rows costs less than to write a panel and read it again."""


@dataclass(frozen=True)
class StoredCodes:
    """Words among the constants. `few`: products are taken of the unsigned codes in them."""

    codes: Codes
    panels: Panels
    words: View
    few: bool

    def products(self, cx: Lowering, job: Products, a: View, loc: Loc) -> Products:
        """The products of plain weights, with words in their place; `a` are the rows of activations."""
        length, form = job.depth.length, job.form
        assert isinstance(length, int), "constants have a known depth"
        if self.few:
            more = row_sums(cx, a, length, -self.codes.offset, job.a.shape, loc)
            return replace(job, form=self.codes.form, codes=self.codes, more=more)
        groups = self.codes.words(-(-length // form.group)) * self.codes.parts
        room = cx.scratch(form.b, (groups * form.group * self.panels.tile.columns,), own=True)
        return replace(job, codes=self.codes, room=View(room.buffer, job.a.shape, (0,) * len(job.a.shape)))


def stored_codes(cx: Lowering, op: Linear, weights: Array, form: DotForm, rows: Dim) -> StoredCodes | None:
    """Constant weights [columns, depth] in as few bits as they need; None if these are all that a word has."""
    codes = codes_of(form, int(weights.min()), int(weights.max()))
    if codes is None:
        return None
    columns, depth = weights.shape
    taken = form.suited(range_of(cx.resolve(op.x)), (0, (1 << codes.bits) - 1))
    if taken is not None and isinstance(rows, int) and rows <= FEW:
        codes = replace(codes, form=taken)
        tile = few_tile(cx.isa, codes, rows, columns)
        key = f"linear {extent((rows, columns, depth))} {form.name} {codes.bits} bits words"
        panels = panels_of(cx, Problem(key, taken, rows, columns, tile, words=True))
        return StoredCodes(codes, panels, cx.stored(pack_codes(weights, codes, panels, 0), codes.word), few=True)
    form = of_rows(form, rows)
    codes = replace(codes, form=form)
    key = f"linear {extent((rows, columns, depth))} {form.name} {codes.bits} bits"
    panels = panels_of(cx, Problem(key, form, rows, columns, tile_of(cx.isa, form, rows, columns)))
    words = pack_codes(weights, codes, panels, codes.offset)
    return StoredCodes(codes, panels, cx.stored(words, codes.word), few=False)


def row_sums(cx: Lowering, a: View, length: int, factor: int, shape: Shape, loc: Loc) -> View:
    """`factor` times the sum of each row of activations as they lie in memory, for the elements of a result."""
    out = cx.scratch(I32, shape[:-1])
    views = [out, replace(a, shape=a.shape[:-1], strides=a.strides[:-1])]
    with cx.kernel("row_sums", loc, work=product(a.shape)) as k:
        at = [k.pointer(view) for view in views]
        axes = axes_of(out.shape, views)
        with loops(Part.of(k, sizes_of(axes)), axes, views, at) as (_, (to, row)):
            k.f.store(row_sum(k, a.scalar, row, length) * factor, to)
    return View(out.buffer, shape, (*out.strides, 0))


def row_sum(k: Kernel, scalar: ScalarType, row: Lane, length: int) -> Lane:
    """The sum of so many neighbouring integers of at most 32 bits, modulo 2^32."""
    f, total = k.f, k.f.const(0, "i32")
    whole = length - length % k.isa.lanes
    for start, stop, lanes in ((0, whole, k.isa.lanes), (whole, length, 1)):
        if start == stop:
            continue
        with f.loop(start, stop, lanes, [f.const(0, "i32", lanes)]) as loop:
            items = f.load(f.at(row, loop.index, scalar.dtype.itemsize), memory(scalar), lanes)
            loop.next(loop.carried[0] + f.convert("sext" if scalar.signed else "zext", items, "i32"))
        total = total + f.reduce(Lane.__add__, loop.results[0])
    return total
