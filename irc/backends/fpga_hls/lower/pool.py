"""Pooling over windows."""

from __future__ import annotations

import math

from irc.backends.fpga_hls.layout import channels_last
from irc.backends.fpga_hls.lower.common import Tail, lowers
from irc.backends.fpga_hls.lower.linear import lines_before_first, require_one_image, window_config
from irc.backends.fpga_hls.lowering import Lowering
from irc.backends.fpga_hls.regions import Region
from irc.backends.fpga_hls.stage import CONFIG, EPILOGUE, Config, Stage
from irc.backends.fpga_hls.types import literal
from irc.ir.ops.pool import MaxPool, SumPool, ceil_padding


@lowers(MaxPool, SumPool, epilogue=True)
def lower_pool(cx: Lowering, region: Region, op: MaxPool | SumPool) -> None:
    shape = cx.shape(op.x)
    require_one_image(op, shape)
    padding = tuple(p + e for p, e in zip(op.padding, ceil_padding(op, shape), strict=True))
    dilation = op.dilation if isinstance(op, MaxPool) else (1,) * len(op.kernel)
    window = window_config(op, shape[2:], op.kernel, op.stride, dilation, padding)
    layout = channels_last(cx.shape(op.results[0]))
    tail = Tail(cx, region, op.opname, layout, shape[1])
    x_code = cx.code(op.x)
    config: Config = {"channels": shape[1], "pe": 1, "x_code": x_code.cpp, **window}
    if isinstance(op, SumPool):
        bits = cx.ranges.sums[op].bits
        config |= {"acc_bits": bits, "pad_value": op.x_zp}
        tail.builder.parameter(op.results[0], f"Int<{bits}>", "acc")
        if op.x_zp:
            kind, offset = tail.builder.type_of(op.results[0]), literal(-op.x_zp * math.prod(op.kernel))
            tail.builder.set(op.results[0], kind, "centred", f"{tail.builder.of(op.results[0])} + {offset}")
    else:
        tail.builder.parameter(op.results[0], x_code.storage, "largest")
    out, skips = tail.finish()
    x = cx.read(op.x, channels_last(shape), op.loc)
    stage = Stage(op.opname, "pool.h", region.loc, [out], [x, out, *skips], [CONFIG, EPILOGUE], config, tail.epilogue)
    stage.waits = {0: lines_before_first(window)}
    stage.name = tail.name
    cx.add(stage)
