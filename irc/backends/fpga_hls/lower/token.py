"""Selection of tokens: their scores are ranked or compared with a threshold, the tokens are packed densely."""

from __future__ import annotations

import math

from irc.backends.fpga_hls.extent import Count, Extent
from irc.backends.fpga_hls.layout import c_order
from irc.backends.fpga_hls.lower.common import lowers
from irc.backends.fpga_hls.lowering import Lowering, waits
from irc.backends.fpga_hls.stage import CONFIG, Config, Pace, Stage, Stream
from irc.backends.fpga_hls.types import Code
from irc.backends.regions import Region
from irc.ir.ops.token import Select


@lowers(Select)
def lower_select(cx: Lowering, region: Region, op: Select) -> None:
    """The scores are there before the first token leaves; which tokens leave is open, so the results come unevenly."""
    shape, result = cx.shape(op.x), op.results[0]
    (*batch, rows, columns), kept = shape, cx.shape(result)[-2]
    if math.prod(batch) != 1:
        op.fail(f"x is {op.x.type}, and the accelerator selects from one sequence", hint="specialize{batch=1}")
    scores = cx.read(op.scores, c_order(cx.shape(op.scores)), op.loc)
    x = cx.read(op.x, c_order(shape), op.loc)
    layout = c_order(cx.shape(result))
    out = Stream(cx.code(result), layout.count, result, layout)
    config: Config = {"rows": rows, "columns": columns, "pinned": op.pinned}
    if isinstance(kept, Extent):
        born = _born(cx, op, kept.count)
        name = cx.stage_name(op.loc, "select")
        stage = Stage(name, "select_above", "token.h", op.loc, [born, out], [scores, x, born, out], [CONFIG], config)
        stage.config["threshold"] = _threshold(op, scores.code)
        dropped, flagged = 1 - 1 / rows, 1 / rows
    else:
        name = cx.stage_name(op.loc, "select")
        stage = Stage(name, "select_rows", "token.h", op.loc, [out], [scores, x, out], [CONFIG], config)
        stage.config["kept"] = kept
        dropped, flagged = 1 - kept / rows, 2 / rows  # the flag of a row comes at most so much later than its turn
    stage.takes = {0: waits(1.0), 1: Pace(0, flagged)}
    stage.gives = {len(stage.outputs) - 1: Pace(-dropped, dropped + flagged)}
    cx.add(stage)
    cx.define(result, out, layout)


def _born(cx: Lowering, op: Select, count: Count) -> Stream:
    """The stream of a new count."""
    if op.pinned < 1:
        op.fail("without a pinned row it may keep none; the accelerator computes on one at least", hint="pinned = 1")
    cx.counts[count] = Stream(Code(count.most.bit_length(), signed=False), 1, carries=count)
    return cx.counts[count]


def _threshold(op: Select, code: Code) -> int:
    """The lowest score that stays, as a code; one above the highest if none does."""
    assert op.threshold is not None
    return min(max(math.ceil(op.threshold), code.lowest), code.highest + 1)
