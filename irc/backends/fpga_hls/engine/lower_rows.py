"""int_softmax and int_norm along rows."""

from __future__ import annotations

from irc.backends.fpga_hls.engine.lowering import WAY_OUT, EngineLowering, even_rows, merged_rows, runs
from irc.backends.fpga_hls.engine.memory import new_view
from irc.backends.fpga_hls.engine.program import CHANNELS, TABLE, Norm, Softmax
from irc.backends.fpga_hls.engine.steps import StepBuilder, tail_of
from irc.backends.fpga_hls.types import code_of
from irc.backends.regions import Region
from irc.ir.graph import Value
from irc.ir.op import Op
from irc.ir.ops.quant import IntNorm, IntSoftmax
from irc.ir.scalars import Array


def _constant(cx: EngineLowering, op: Op, value: Value, name: str) -> Array:
    array = cx.constant(value)
    if array is None:
        op.fail(f"its {name} is not constant")
    return array


def _check_length(op: Op, length: int) -> None:
    if length > CHANNELS:
        op.fail(f"rows of {length} elements; the engine takes {CHANNELS}", hint=WAY_OUT)


@runs(IntSoftmax)
def lower_softmax(cx: EngineLowering, region: Region, op: IntSoftmax) -> None:
    shape = cx.shape(op.x)
    channel = op.axis % len(shape)
    _check_length(op, shape[channel])
    table = _constant(cx, op, op.table, "table")
    if len(table) > TABLE:
        op.fail(f"a table of {len(table)} entries; the engine has {TABLE}", hint=WAY_OUT)

    def saturate(builder: StepBuilder, value: Value) -> None:
        builder.saturate(value, code_of(op.to.scalar))

    x = cx.packed(cx.view(op.x), channel)
    name = cx.name("softmax")
    y = new_view(name, cx.code(region.result), shape, x.order(channel))
    builder, steps = tail_of(cx, region, y, channel, saturate)
    masks = [cx.packed(cx.view(op.mask).expanded(shape), channel)] if op.mask is not None else []
    inputs = even_rows(cx, y, channel, [x, *masks])
    rows, (place, x_rows, *others) = merged_rows(cx, y, channel, inputs, builder.operands)
    mask = others.pop(0) if masks else None
    tail = builder.tail(steps, others, place)
    cx.add(name, Softmax(rows, shape[channel], x_rows, mask, table, op.frac, tail), region.result, y)


@runs(IntNorm)
def lower_norm(cx: EngineLowering, region: Region, op: IntNorm) -> None:
    shape = cx.shape(op.x)
    channel = len(shape) - 1
    _check_length(op, shape[channel])

    def saturate(builder: StepBuilder, value: Value) -> None:
        builder.saturate(value, code_of(op.to.scalar))

    x = cx.packed(cx.view(op.x), channel)
    name = cx.name("norm")
    y = new_view(name, cx.code(region.result), shape, x.order(channel))
    builder, steps = tail_of(cx, region, y, channel, saturate)
    inputs = even_rows(cx, y, channel, [x])
    rows, (place, x_rows, *others) = merged_rows(cx, y, channel, inputs, builder.operands)
    gain, offset = _constant(cx, op, op.g, "gain"), _constant(cx, op, op.b, "offset")
    tail = builder.tail(steps, others, place)
    norm = Norm(rows, shape[channel], x_rows, op.x_zp, gain, offset, op.eps, op.center, op.shift, op.zp, tail)
    cx.add(name, norm, region.result, y)
