"""Selection of tokens: each is ranked among the others, and copied behind those before it if it stays."""

from __future__ import annotations

import math

from irc.backends.cpu_simd.codegen.lanes import Function, Lane
from irc.backends.cpu_simd.copies import mover
from irc.backends.cpu_simd.kernel import Axis, Kernel, memory, merged
from irc.backends.cpu_simd.lower.common import lowers
from irc.backends.cpu_simd.lowering import Lowering
from irc.backends.cpu_simd.parts import Part, loops, sizes_of, spans
from irc.backends.cpu_simd.views import View
from irc.backends.cpu_simd.work import MOVED
from irc.backends.regions import Region
from irc.ir.dims import Dim, add, mul, product
from irc.ir.ops.token import Select


@lowers(Select)
def lower_select(cx: Lowering, region: Region) -> None:
    op = region.anchor
    assert isinstance(op, Select)
    out, x, scores = cx.result(op.results[0]), cx.view(op.x), cx.view(op.scores)
    views = [out, x, scores]
    (*batch, rows, columns), kept = x.shape, out.shape[-2]
    axes = merged([Axis(size, tuple(v.strides[i] for v in views)) for i, size in enumerate(batch)])
    work = mul(product(tuple(batch)), add(mul(rows, rows), mul(mul(rows, columns), MOVED)))
    with cx.kernel("select", op.loc, op.results[0], work=work, registers=mover(x, out)) as k:
        lanes = k.isa.vector_bytes // out.size_bytes if k.register is memory else k.isa.lanes
        f, at = k.f, [k.pointer(view) for view in views]
        with (
            loops(Part.of(k, sizes_of(axes)), axes, views, at) as (_, (to, source, ranked)),
            f.loop(0, k.dim(rows), carried=[f.const(0, "i64")]) as row,
        ):
            (place,) = row.carried
            stays = _stays(k, op.pinned, kept, scores, ranked, row.index)
            here = k.step(x, source, x.strides[-2], row.index)
            there = k.step(out, to, out.strides[-2], place)
            with f.when(stays):
                for begin, end, width in spans(Part(k), columns, lanes):
                    with f.loop(begin, end, width) as column:
                        item = k.load_strided(x, k.step(x, here, x.strides[-1], column.index), x.strides[-1], width)
                        goal = k.step(out, there, out.strides[-1], column.index)
                        k.store_strided(item, out, goal, out.strides[-1])
            row.next(place + f.convert("zext", stays, "i64"))


def _stays(k: Kernel, pinned: int, kept: Dim, scores: View, at: Lane, row: Lane) -> Lane:
    """Whether a row is pinned, or fewer others are before it than are kept beside the pinned ones."""
    f = k.f
    own = _score(f, scores, k.step(scores, at, scores.strides[-1], row))
    with f.loop(f.const(pinned, "i64"), k.dim(scores.shape[-1]), carried=[f.const(0, "i64")]) as other:
        score = _score(f, scores, k.step(scores, at, scores.strides[-1], other.index))
        larger, equal = ("ogt", "oeq") if score.is_float else ("sgt", "eq")
        ahead = score.compare(larger, own) | (score.compare(equal, own) & other.index.compare("slt", row))
        other.next(other.carried[0] + f.convert("zext", ahead, "i64"))
    (before,) = other.results
    return row.compare("slt", pinned) | before.compare("slt", f.like(k.dim(kept), row) - pinned)


def _score(f: Function, scores: View, at: Lane) -> Lane:
    """A score as a number that compares as it does, NaN as -inf. Codes that are shifted in memory do so too."""
    scalar = scores.scalar
    raw = f.load(at, memory(scalar))
    if not scalar.is_float:
        return f.convert("sext" if scalar.signed else "zext", raw, "i64")
    found = f.convert("fpext", raw, "double" if scalar.bits == 64 else "float")
    return f.select(found.compare("uno", found), f.const(-math.inf, found.kind), found)
