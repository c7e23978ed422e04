"""Pooling over windows."""

from __future__ import annotations

import math

from irc.backends.fpga_hls.layout import Shape, channels_last
from irc.backends.fpga_hls.lower.common import Tail, check_zero_point, lowers
from irc.backends.fpga_hls.lower.linear import require_one_image, window_config, window_pace
from irc.backends.fpga_hls.lowering import Lowering
from irc.backends.fpga_hls.stage import Config
from irc.backends.fpga_hls.types import literal
from irc.backends.regions import Region
from irc.ir.ops.pool import MaxPool, SumPool


@lowers(MaxPool, SumPool, epilogue=True)
def lower_pool(cx: Lowering, region: Region, op: MaxPool | SumPool) -> None:
    shape = cx.shape(op.x)
    require_one_image(op, shape)
    dilation = op.dilation if isinstance(op, MaxPool) else (1,) * len(op.kernel)
    padding = complete_padding(op, shape[2:], dilation, cx.shape(op.results[0])[2:])
    window = window_config(op, shape[2:], op.kernel, op.stride, dilation, padding)
    layout = channels_last(cx.shape(op.results[0]))
    tail = Tail(cx, region, op.opname, layout, shape[1])
    x_code = cx.code(op.x)
    config: Config = {"channels": shape[1], "pe": 1, "x_code": x_code.cpp, **window}
    if isinstance(op, SumPool):
        bits = cx.ranges.sums[op].bits
        check_zero_point(op, "x_zp", op.x_zp, x_code)
        config |= {"acc_bits": bits, "pad_value": op.x_zp}
        tail.builder.parameter(op.results[0], f"Int<{bits}>", "acc")
        if op.x_zp:
            kind, offset = tail.builder.type_of(op.results[0]), literal(-op.x_zp * math.prod(op.kernel))
            tail.builder.set(op.results[0], kind, "centred", f"{tail.builder.of(op.results[0])} + {offset}", "add")
    else:
        tail.builder.parameter(op.results[0], x_code.storage, "largest")
    x = cx.read(op.x, channels_last(shape), op.loc)
    tail.close(op.opname, "pool.h", [x], config, [window_pace(window)])


def complete_padding(op: MaxPool | SumPool, size: Shape, dilation: tuple[int, ...], windows: Shape) -> list[int]:
    """The padding of the op, and at the ends what the last window of ceil mode needs beyond it."""
    n = len(size)
    begins, ends = op.padding[:n], op.padding[n:]
    needed = [(windows[i] - 1) * op.stride[i] + dilation[i] * (op.kernel[i] - 1) + 1 for i in range(n)]
    return [*begins, *(max(ends[i], needed[i] - size[i] - begins[i]) for i in range(n))]
