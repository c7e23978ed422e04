"""Pooling, reductions, and elementwise regions: windows folded channel by channel."""

from __future__ import annotations

import math
from dataclasses import replace

from irc.backends.fpga_hls.engine.lower_linear import image_order, pixels, rows_of_image, window_of
from irc.backends.fpga_hls.engine.lowering import EngineLowering, even_rows, merged_rows, runs
from irc.backends.fpga_hls.engine.memory import View, common_loops, new_view
from irc.backends.fpga_hls.engine.program import FAR, Access, Fold, Window, access
from irc.backends.fpga_hls.engine.steps import StepBuilder, tail_of
from irc.backends.fpga_hls.lower.linear import image_shape
from irc.backends.fpga_hls.lower.pool import complete_padding
from irc.backends.regions import Region
from irc.ir.graph import Value
from irc.ir.ops.math import Amax, Sum
from irc.ir.ops.pool import MaxPool, SumPool


@runs(MaxPool, SumPool)
def lower_pool(cx: EngineLowering, region: Region, op: MaxPool | SumPool) -> None:
    shape, out_shape = cx.shape(op.x), cx.shape(region.result)
    image_shape(op, shape[2:])
    dilation = op.dilation if isinstance(op, MaxPool) else (1,) * len(op.kernel)
    padding = complete_padding(op, shape[2:], dilation, out_shape[2:])
    taps = math.prod(op.kernel)
    fill = op.x_zp if isinstance(op, SumPool) else cx.code(op.x).lowest
    window = window_of(op, shape, op.kernel, op.stride, dilation, padding, fill)

    def centre(builder: StepBuilder, value: Value) -> None:
        if isinstance(op, SumPool) and op.x_zp:
            builder.append(value, "ADD", value, -op.x_zp * taps)

    name = cx.name(op.opname)
    y = new_view(name, cx.code(region.result), out_shape, image_order(len(out_shape)))
    builder, steps = tail_of(cx, region, y, 1, centre)
    x = cx.packed(cx.view(op.x), 1, image_order(len(shape)))
    place, *operands = (access(v, *pixels(v)) for v in [y, *builder.operands])
    tail = builder.tail(steps, operands, place)
    kind = "SUM" if isinstance(op, SumPool) else "MAX"
    x_rows = access(x, *pixels(x))
    run = Fold(kind, rows_of_image(out_shape), shape[1], taps, window, x_rows, 0, None, tail)
    cx.add(name, run, region.result, y)


@runs(Sum, Amax)
def lower_reduction(cx: EngineLowering, region: Region, op: Sum | Amax) -> None:
    """The reduced dimensions are taps of a window that steps over the others."""
    shape, axes = cx.shape(op.x), op.reduced()
    taps = math.prod(shape[a] for a in axes)
    out_shape = cx.shape(region.result)

    def centre(builder: StepBuilder, value: Value) -> None:
        if isinstance(op, Sum) and op.x_zp:
            builder.append(value, "ADD", value, -op.x_zp * taps)

    if not out_shape:
        op.fail("it gives a number without dimensions", hint="keepdims=True")
    x, channel = _with_channel(cx.view(op.x), axes)
    shape = x.shape
    others = [d for d in range(len(shape)) if d not in (*axes, channel)]
    x = cx.packed(x, channel, [*others, *axes])
    name = cx.name(op.opname)
    y_channel = min(channel - (0 if op.keepdims else sum(a < channel for a in axes)), len(out_shape) - 1)
    y = new_view(
        name, cx.code(region.result), out_shape, [*(d for d in range(len(out_shape)) if d != y_channel), y_channel]
    )
    builder, steps = tail_of(cx, region, y, y_channel, centre)
    kept = tuple(1 if d in axes else n for d, n in enumerate(shape))
    results, *operands = (_seen_as(v, kept) for v in [y, *builder.operands])
    first = replace(x, shape=kept)
    if len(common_loops(others, [results, first])) > 3 or len(common_loops(axes, [x])) > 2:
        x = cx.copied(x, [*others, *axes, channel])
        first = replace(x, shape=kept)
    rows, (place, x_rows, *accesses) = merged_rows(cx, results, channel, [first], operands)
    tail = builder.tail(steps, accesses, place)
    kind = "SUM" if isinstance(op, Sum) else "MAX"
    run = Fold(
        kind, rows, shape[channel], taps, _taps_of(x, axes, x_rows), replace(x_rows, line=1, pixel=1), 0, None, tail
    )
    cx.add(name, run, region.result, y)


def _with_channel(x: View, axes: tuple[int, ...]) -> tuple[View, int]:
    """The kept dimension that lies innermost, else the last one with several elements, else a new one of a single."""
    several = [d for d in range(len(x.shape)) if d not in axes and x.shape[d] > 1]
    if not several:
        return replace(x, shape=(*x.shape, 1), strides=(*x.strides, 1)), len(x.shape)
    return x, next((d for d in several if x.strides[d] == 1), several[-1])


def _seen_as(view: View, shape: tuple[int, ...]) -> View:
    """A view in a shape with the same dimensions but those of one element."""
    strides = [s for n, s in zip(view.shape, view.strides, strict=True) if n > 1]
    return replace(view, shape=shape, strides=tuple(strides.pop(0) if n > 1 else 0 for n in shape))


def _taps_of(x: View, axes: tuple[int, ...], rows: Access) -> Window:
    """Lines and pixels counted in words: results step by the pitches of their rows, taps by those of their own."""
    loops = common_loops(axes, [x])
    (_, (line,)), (width, (pixel,)) = [(1, (0,))] * (2 - len(loops)) + loops
    taps = access(x, 0, line, pixel)
    return Window(FAR, FAR, width, rows.line, rows.pixel, taps.line, taps.pixel)


def elementwise(cx: EngineLowering, region: Region) -> None:
    """A layer for elementwise ops that follow no anchor: it goes through an operand of the shape of the result."""
    shape = cx.shape(region.result)
    operands = [cx.resolve(v) for op in region.steps for name in op.elementwise if (v := getattr(op, name)) is not None]
    inside = {op.results[0] for op in region.steps}
    streams = [v for v in dict.fromkeys(operands) if v not in inside and cx.constant(v) is None]
    full = next((v for v in streams if math.prod(cx.shape(v)) == math.prod(shape)), None)
    main = full if full is not None else (streams[0] if streams else operands[0])
    view = cx.view(main).expanded(shape)
    order = view.order() if full is not None else list(range(len(shape)))
    channel = order[-1]
    name = cx.name(region.steps[0].opname)
    y = new_view(name, cx.code(region.result), shape, order)
    view = cx.packed(view, channel, order)
    builder = StepBuilder(cx, y, channel)
    builder.front(main)
    for op in region.steps:
        builder.run(op)
    steps = builder.finish(region.result)
    inputs = even_rows(cx, y, channel, [view])
    rows, (place, x_rows, *accesses) = merged_rows(cx, y, channel, inputs, builder.operands)
    tail = builder.tail(steps, accesses, place)
    run = Fold("COPY", rows, shape[channel], 1, Window(), x_rows, 0, None, tail)
    cx.add(name, run, region.result, y)
