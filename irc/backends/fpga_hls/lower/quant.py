"""Requantize and tables as epilogue statements, int_softmax and int_norm as stages."""

from __future__ import annotations

from irc.backends.fpga_hls.epilogue import EpilogueBuilder, computes
from irc.backends.fpga_hls.layout import Loop, extent_of, nest, places_in
from irc.backends.fpga_hls.lower.common import Tail, check_zero_point, lowers
from irc.backends.fpga_hls.lowering import Lowering, waits
from irc.backends.fpga_hls.stage import Config, Expression
from irc.backends.fpga_hls.types import code_of
from irc.backends.regions import Region
from irc.ir.graph import Value
from irc.ir.op import Op
from irc.ir.ops.common import along
from irc.ir.ops.quant import IntNorm, IntSoftmax, Lut, Requantize, Rescale
from irc.ir.scalars import Array


def constant_of(cx: Lowering, op: Op, value: Value, name: str) -> Array:
    """The array of an operand. Fails at `op` if it is computed."""
    array = cx.constant(value)
    if array is None:
        op.fail(f"its {name} is not constant")
    return array


@computes(Requantize)
def _requantize(e: EpilogueBuilder, op: Requantize) -> Expression:
    m = constant_of(e.cx, op, op.m, "multiplier")
    factor = e.constant(along(op.axis, m, op.x.type.rank), "multiplier")
    offsets = [str(op.zp), str(op.x_zp)] if op.x_zp else [str(op.zp)] if op.zp else []
    arguments = ", ".join([e.of(op.x), factor, *offsets])
    code = code_of(op.to.scalar).cpp
    if op.mode == "fixed":
        return Expression(f"requantize<{code}, {op.shift}>({arguments})", _ratio(m / 2.0**op.shift))
    return Expression(f"requantize_float<{code}>({arguments})", _ratio(m))


def _ratio(ratios: Array) -> str:
    """What a requantize multiplies by, to four digits."""
    low, high = float(ratios.min()), float(ratios.max())
    return f"times {low:.4g}" if low == high else f"times {low:.4g} to {high:.4g}"


@computes(Lut)
def _lut(e: EpilogueBuilder, op: Lut) -> str:
    table = e.rom(constant_of(e.cx, op, op.table, "table"), "table")
    return f"lut<{code_of(op.x.type.scalar).cpp}>({e.of(op.x)}, {table})"


@computes(Rescale)
def _rescale(e: EpilogueBuilder, op: Rescale) -> str:
    return e.of(op.x)


def _rows(cx: Lowering, op: IntSoftmax | IntNorm, axis: int) -> tuple[list[Loop], list[Loop]]:
    """Loops over rows and within a row, which may come in any order; in C order if rows do not come in one piece."""
    shape = cx.shape(op.x)
    grouped = cx.layout(op.x).grouped(shape, [axis])
    if grouped is None:
        return [Loop(d, n) for d, n in enumerate(shape) if d != axis], [Loop(axis, shape[axis])]
    return list(grouped[0]), list(grouped[1])


@lowers(IntSoftmax, epilogue=True)
def lower_softmax(cx: Lowering, region: Region, op: IntSoftmax) -> None:
    shape = cx.shape(op.x)
    outer, row = _rows(cx, op, op.axis % len(shape))
    layout, length = nest(shape, [*outer, *row]), shape[op.axis]
    tail = Tail(cx, region, "softmax", layout, length)
    _saturated(tail, op, "probability")
    x = cx.read(op.x, layout, op.loc)
    table = tail.rom("table", constant_of(cx, op, op.table, "table"))
    config: Config = {"rows": extent_of(outer), "length": length, "frac": op.frac, "x_code": x.code.cpp}
    row_pace = waits(2 / extent_of(outer), 1 / extent_of(outer))
    if op.mask is None:
        tail.close("int_softmax", "norm.h", [x, table], config, [row_pace])
    else:
        mask = cx.read(op.mask, layout, op.loc, shape)
        tail.close("masked_int_softmax", "norm.h", [x, mask, table], config, [row_pace, row_pace])


@lowers(IntNorm, epilogue=True)
def lower_norm(cx: Lowering, region: Region, op: IntNorm) -> None:
    shape = cx.shape(op.x)
    outer, row = _rows(cx, op, len(shape) - 1)
    layout, length = nest(shape, [*outer, *row]), shape[-1]
    tail = Tail(cx, region, "norm", layout, length)
    _saturated(tail, op, "normalised")
    x = cx.read(op.x, layout, op.loc)
    check_zero_point(op, "x_zp", op.x_zp, x.code)
    columns = places_in(row)
    gain = tail.rom("gain", constant_of(cx, op, op.g, "gain")[columns])
    offset = tail.rom("offset", constant_of(cx, op, op.b, "offset")[columns])
    config: Config = {
        "rows": extent_of(outer),
        "length": length,
        "center": op.center,
        "eps": op.eps,
        "shift": op.shift,
        "zp": op.zp,
        "x_zp": op.x_zp,
        "x_code": x.code.cpp,
    }
    tail.close("int_norm", "norm.h", [x, gain, offset], config, [waits(2 / extent_of(outer), 1 / extent_of(outer))])


def _saturated(tail: Tail, op: IntSoftmax | IntNorm, name: str) -> None:
    """Let the epilogue begin by limiting what the template hands over to the codes of the result."""
    code = code_of(op.to.scalar)
    tail.builder.parameter(op.results[0], "int32_t", name)
    tail.builder.set(op.results[0], code.storage, "code", f"saturate<{code.cpp}>({name})", "clamp")
