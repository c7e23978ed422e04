"""Where values lie that are parts of others, decided before anything is lowered: what is joined is written in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from irc.backends.cpu_simd.layouts import VIEWS
from irc.backends.cpu_simd.lowering import Lowering
from irc.backends.cpu_simd.views import View
from irc.backends.regions import Region
from irc.ir.dims import Dim, add
from irc.ir.graph import Value
from irc.ir.ops.tensor import Concat


def place_parts(cx: Lowering, regions: Sequence[Region]) -> None:
    """Give the operands of each concat their places in its result, where kernels compute them and no reader wants
    another layout. From the last concat to the first: one may be a part of another."""
    computed = {cx.resolve(r.result) for r in regions if not isinstance(r.anchor, VIEWS)}
    for region in reversed(regions):
        op = region.anchor
        if not isinstance(op, Concat):
            continue
        out = cx.result(op.results[0])
        cx.results[cx.resolve(op.results[0])] = out
        for value, place in parts_of(op, out):
            part = cx.resolve(value)
            if part in computed and part not in cx.results and _lies_like(cx, part, op.results[0]):
                cx.results[part] = place


def parts_of(op: Concat, out: View) -> list[tuple[Value, View]]:
    """The operands of a concat, and where they lie in its result."""
    axis, start = op.axis % len(out.shape), 0
    found: list[tuple[Value, View]] = []
    for x in op.xs:
        size: Dim = x.type.shape[axis]
        found.append((x, out.sliced(axis, start, size, 1)))
        start = add(start, size)
    return found


def _lies_like(cx: Lowering, part: Value, whole: Value) -> bool:
    """Whether a value is wanted as the whole lies that it is a part of."""
    wanted, given = cx.layouts[part], cx.layouts[cx.resolve(whole)]
    plain = replace(given, border=(), fill=0)
    return wanted in (plain, replace(plain, order=None))
