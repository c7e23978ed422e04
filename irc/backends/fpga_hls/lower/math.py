"""Elementwise arithmetic as epilogue statements, and reductions as stages."""

from __future__ import annotations

import math

from irc.backends.fpga_hls.epilogue import EpilogueBuilder, computes
from irc.backends.fpga_hls.layout import Loop, extent_of, nest
from irc.backends.fpga_hls.lower.common import Tail, lowers
from irc.backends.fpga_hls.lowering import Lowering, waits
from irc.backends.fpga_hls.ranges import Interval, code_bounds
from irc.backends.fpga_hls.stage import Config
from irc.backends.fpga_hls.types import code_of, literal
from irc.backends.regions import Region
from irc.ir.op import Op
from irc.ir.ops.math import (
    Abs,
    Add,
    Amax,
    Cast,
    Clamp,
    Compare,
    Maximum,
    Minimum,
    Mul,
    Neg,
    Reduction,
    Sub,
    Sum,
    Where,
)
from irc.ir.scalars import ScalarType

OPERATORS: dict[type[Op], str] = {Add: "+", Sub: "-", Mul: "*"}
RELATIONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}


@computes(Add, Sub, Mul)
def _arithmetic(e: EpilogueBuilder, op: Add | Sub | Mul) -> str:
    return f"{e.of(op.x)} {OPERATORS[type(op)]} {e.of(op.y)}"


@computes(Neg)
def _neg(e: EpilogueBuilder, op: Neg) -> str:
    return f"-{e.of(op.x)}"


@computes(Abs)
def _abs(e: EpilogueBuilder, op: Abs) -> str:
    x = e.of(op.x)
    return f"maximum<int32_t>({x}, -{x})"


@computes(Maximum, Minimum)
def _extremum(e: EpilogueBuilder, op: Maximum | Minimum) -> str:
    return f"{op.opname}<int32_t>({e.of(op.x)}, {e.of(op.y)})"


@computes(Clamp)
def _clamp(e: EpilogueBuilder, op: Clamp) -> str:
    lo, hi = code_bounds(op)
    return f"clamp<int32_t>({e.of(op.x)}, {literal(lo)}, {literal(hi)})"


@computes(Cast)
def _cast(e: EpilogueBuilder, op: Cast) -> str:
    """Odd values of a narrower type wrap; a number becomes true unless it is 0."""
    x = e.of(op.x)
    return f"{x} != 0" if op.to.scalar.kind == "bool" else wrapped(x, e.cx.ranges.of(op.x), op.to.scalar)


def wrapped(x: str, known: Interval, target: ScalarType) -> str:
    """The lowest bits of an expression as a code of a type, where its bounds do not say that it is one."""
    fits = target.min <= known.lo and known.hi <= target.max
    return x if fits else f"extend_code<{code_of(target).cpp}>(uint64_t(int64_t({x})))"


@computes(Compare)
def _compare(e: EpilogueBuilder, op: Compare) -> str:
    x, y = e.of(op.x), e.of(op.y)
    settled = always(op.how, e.cx.ranges.of(op.x), e.cx.ranges.of(op.y))
    return f"{x} {RELATIONS[op.how]} {y}" if settled is None else str(settled).lower()


def always(how: str, x: Interval, y: Interval) -> bool | None:
    """The outcome of a comparison that bounds settle; None if both are possible."""
    if how in ("gt", "ge"):
        return always({"gt": "lt", "ge": "le"}[how], y, x)
    if how in ("lt", "le"):
        reach = 0 if how == "lt" else 1
        return True if x.hi < y.lo + reach else False if x.lo >= y.hi + reach else None
    apart = x.hi < y.lo or y.hi < x.lo
    same = x.lo == x.hi == y.lo == y.hi
    return (how == "ne") == apart if apart or same else None


@computes(Where)
def _where(e: EpilogueBuilder, op: Where) -> str:
    kind = e.type_of(op.results[0])
    return f"{e.of(op.condition)} != 0 ? {kind}({e.of(op.x)}) : {kind}({e.of(op.y)})"


def _reduced(cx: Lowering, op: Reduction) -> tuple[list[Loop], list[Loop], list[Loop]]:
    """Loops outside, over and inside the reduced dimensions: as they come if these stand together, else in C order."""
    shape, axes = cx.shape(op.x), set(op.reduced())
    plain = [Loop(d, n) for d, n in enumerate(shape) if d not in axes]
    regular = [*plain, *(Loop(d, n) for d, n in enumerate(shape) if d in axes)]
    for found in (cx.layout(op.x).split(shape), regular):
        if found is None:
            continue
        loops = [loop for loop in found if loop.extent > 1]
        places = [i for i, loop in enumerate(loops) if loop.dim in axes]
        if not places or places[-1] - places[0] + 1 == len(places):
            first, end = (places[0], places[-1] + 1) if places else (len(loops), len(loops))
            return loops[:first], loops[first:end], loops[end:]
    raise AssertionError("the reduced dimensions stand together in C order")


@lowers(Sum, Amax, epilogue=True)
def lower_reduction(cx: Lowering, region: Region, op: Sum | Amax) -> None:
    outer, over, inner = _reduced(cx, op)
    shape, axes = cx.shape(op.x), op.reduced()
    kept = [d for d in range(len(shape)) if op.keepdims or d not in axes]
    out_layout = nest(
        tuple(1 if d in axes else shape[d] for d in kept),
        [Loop(kept.index(x.dim), x.extent, x.step) for x in (*outer, *inner)],
    )
    rows, extent, channels = extent_of(outer), extent_of(over), extent_of(inner)
    tail = Tail(cx, region, op.opname, out_layout, channels)
    code = cx.code(op.x)
    if isinstance(op, Sum):
        bits = cx.ranges.sums[op].bits
        tail.builder.parameter(op.results[0], f"Int<{bits}>", "acc")
        if op.x_zp:
            kind, offset = tail.builder.type_of(op.results[0]), literal(-op.x_zp * extent)
            tail.builder.set(op.results[0], kind, "centred", f"{tail.builder.of(op.results[0])} + {offset}", "add")
        config: Config = {"outer": rows, "extent": extent, "inner": channels, "acc_bits": bits}
    else:
        # A column of windows, one below the other.
        tail.builder.parameter(op.results[0], code.storage, "largest")
        window = {"height": rows * extent, "width": 1, "kernel_h": extent, "kernel_w": 1}
        still = {"stride_h": extent, "stride_w": 1, "dilation_h": 1, "dilation_w": 1}
        padding = {"pad_top": 0, "pad_left": 0, "pad_bottom": 0, "pad_right": 0}
        config = {"channels": channels, "pe": 1, "x_code": code.cpp, **window, **still, **padding}
    x = cx.read(op.x, nest(shape, [*outer, *over, *inner]), op.loc)
    template = "reduce_sum" if isinstance(op, Sum) else "max_pool"
    tail.close(template, "pool.h", [x], config, [waits((extent - 1) / extent / rows)])


def elementwise(cx: Lowering, region: Region) -> None:
    """A stage for elementwise ops that follow no anchor: it goes through an operand of the shape of the result."""
    shape = cx.shape(region.result)
    operands = [cx.resolve(v) for op in region.steps for name in op.elementwise if (v := getattr(op, name)) is not None]
    inside = {op.results[0] for op in region.steps}
    streams = list(dict.fromkeys(v for v in operands if v not in inside and cx.is_stream(v)))
    full = next((v for v in streams if math.prod(cx.shape(v)) == math.prod(shape)), None)
    main = full if full is not None else (streams[0] if streams else operands[0])
    layout = cx.layout(main) if full is not None else nest(shape, [Loop(d, n) for d, n in enumerate(shape)])
    loops = layout.split(shape)
    channels = loops[-1].extent if loops else 1
    tail = Tail(cx, region, region.steps[0].opname, layout, channels)
    stream = cx.read(main, layout, region.loc, shape)
    tail.builder.parameter(main, stream.code.storage, "x")
    tail.close("elementwise", "elementwise.h", [stream], {"count": layout.count, "channels": channels})
