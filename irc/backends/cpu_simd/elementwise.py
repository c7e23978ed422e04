"""Elementwise ops on lanes: the steps of a region one after another, and the kernel of a region without an anchor."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from irc.backends.cpu_simd.codegen.lanes import Lane
from irc.backends.cpu_simd.copies import spread
from irc.backends.cpu_simd.isa import Isa
from irc.backends.cpu_simd.kernel import Axis, Kernel, axes_of, in_bytes, register
from irc.backends.cpu_simd.lowering import Lowering
from irc.backends.cpu_simd.parts import Part, loops, sizes_of, spans, units
from irc.backends.cpu_simd.views import View
from irc.backends.cpu_simd.work import MOVED
from irc.backends.regions import Region
from irc.ir.dims import Dim, Shape, equal, mul, product
from irc.ir.graph import Value
from irc.ir.op import Op
from irc.ir.scalars import BF16, F16, ScalarType

Read = Callable[[Value], Lane]
"""The lanes of a value that is not computed here."""


def evaluate(cx: Lowering, k: Kernel, steps: Sequence[Op], known: dict[Value, Lane], read: Read) -> None:
    """Add the lanes of each step to `known`; operands that are not there are read."""
    for op in steps:
        operands = [_lanes_of(cx, value, known, read) for value in elementwise_operands(op)]
        step = (cx.byte_step_of if k.register is in_bytes else cx.step_of)(type(op))
        assert step is not None
        out = step(cx, k, op, operands)
        known[op.results[0]] = rounded(k, out, op.results[0].type.scalar)


def _lanes_of(cx: Lowering, value: Value, known: dict[Value, Lane], read: Read) -> Lane:
    value = cx.resolve(value)
    if value not in known:
        known[value] = read(value)
    return known[value]


def elementwise_operands(op: Op) -> list[Value]:
    """All operands but tables, which are looked up and not run through."""
    tables = {getattr(op, name) for name in TABLES.get(op.opname, ())}
    return [v for v in op.operands if v not in tables]


TABLES = {"lut": ("table",)}


def parameter_axis(op: Op, value: Value) -> int | None:
    """The axis that a vector operand which is a parameter (a scale, a multiplier) runs along; None if none does."""
    streamed = {getattr(op, name) for name in op.elementwise}
    return None if value in streamed else op.attributes.get("axis")  # pyright: ignore[reportReturnType]


def leaf_views(cx: Lowering, region: Region, shape: Shape) -> dict[Value, View]:
    """The leaves of a region as views that are run through like its result."""
    views: dict[Value, View] = {}
    for op in region.steps:
        for operand in elementwise_operands(op):
            value = cx.resolve(operand)
            if value in views or value in {o.results[0] for o in region.nodes}:
                continue
            view = cx.view(value)
            axis = parameter_axis(op, operand)
            group = op.attributes.get("group")
            if axis is not None and isinstance(group, int) and view.shape:
                view = spread(cx, value, axis % len(shape), group, op.loc)
            elif axis is not None and view.shape:
                after = len(shape) - 1 - axis % len(shape)
                view = View(view.buffer, (*view.shape, *[1] * after), (*view.strides, *[0] * after), view.offset)
            views[value] = view.broadcast(shape)
    return views


def rounded(k: Kernel, value: Lane, scalar: ScalarType) -> Lane:
    """The nearest half float, where the type is one."""
    f = k.f
    if scalar == F16:
        return f.convert("fpext", f.convert("fptrunc", value, "half"), "float")
    if scalar != BF16:
        return value
    bits = f.bitcast(value, "i32", value.lanes)
    kept = (bits + 0x7FFF + (f.lshr(bits, 16) & 1)) & -65536
    quiet = f.const(0x7FC00000, "i32", value.lanes)
    return f.bitcast(f.select(value.compare("uno", value), quiet, kept), "float", value.lanes)


def lower_elementwise(cx: Lowering, region: Region) -> None:
    """A kernel of loops over the result: whole vectors along its innermost dimension, then what is left."""
    shape = cx.resolve(region.result).type.shape
    inputs = leaf_views(cx, region, shape)
    out = cx.result(region.result)
    views = [out, *inputs.values()]
    axes = axes_of(shape, views)
    hint = "_".join(dict.fromkeys(op.opname for op in region.steps))
    narrow = fits_bytes(cx, region.steps, views)
    streamed = [view for view in views if any(equal(s, 0) is not True for s in view.strides)]
    lanes = cx.isa.vector_bytes if narrow else wide_lanes(cx.isa, streamed)
    work = mul(product(shape), MOVED * len(region.steps))
    with cx.kernel(hint, region.loc, region.result, work=work, registers=in_bytes if narrow else register) as k:
        at = [k.pointer(v) for v in views]
        fixed = [v for v, view in inputs.items() if all(equal(s, 0) is True for s in view.strides)]
        constant = {v: k.load(inputs[v], k.pointer(inputs[v])) for v in fixed}
        *outer, inner = axes or [Axis(1, tuple(1 for _ in views))]
        part = Part.of(k, [*sizes_of(outer), units(inner.size, lanes)])
        with loops(part, outer, views, at) as (row, begins):
            for start, stop, width in spans(row, inner.size, lanes):
                with k.f.loop(start, stop, width) as loop:
                    places = [
                        k.step(view, begin, stride, loop.index)
                        for view, begin, stride in zip(views, begins, inner.strides, strict=True)
                    ]
                    where = dict(zip(inputs, zip(places[1:], inner.strides[1:], strict=True), strict=True))

                    def read(value: Value, width: int = width, where: dict[Value, tuple[Lane, Dim]] = where) -> Lane:
                        if value in constant:
                            return k.f.splat(constant[value], width)
                        place, stride = where[value]
                        return k.load_strided(inputs[value], place, stride, width)

                    known: dict[Value, Lane] = {}
                    evaluate(cx, k, region.steps, known, read)
                    k.store_strided(known[cx.resolve(region.result)], out, places[0], inner.strides[0])


def fits_bytes(cx: Lowering, steps: Sequence[Op], views: Sequence[View]) -> bool:
    """Whether steps work on lanes of 8 bits: they know how, and all that they read and give is as narrow."""
    return all(view.size_bytes == 1 for view in views) and all(
        cx.byte_step_of(type(op)) is not None
        and all(v.type.scalar.dtype.itemsize == 1 for v in (*elementwise_operands(op), *op.results))
        for op in steps
    )


def wide_lanes(isa: Isa, views: Sequence[View]) -> int:
    """How many lanes of 32 bits are computed at once: a whole vector of the narrowest view in memory, as far as there
    are registers for one value of each view."""
    lanes = isa.vector_bytes // min((view.size_bytes for view in views), default=4)
    while lanes > isa.lanes and len(views) * lanes > isa.registers * isa.lanes:
        lanes //= 2
    return max(lanes, isa.lanes)
