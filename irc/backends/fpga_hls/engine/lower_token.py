"""Rows of a tensor that are chosen while the engine runs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from irc.backends.fpga_hls.engine.lowering import TAKE, WAY_OUT, EngineLowering, runs
from irc.backends.fpga_hls.engine.memory import View, common_loops, new_view
from irc.backends.fpga_hls.engine.program import CHANNELS, INDEX, Gather, Rank, Rows, Tail, access
from irc.backends.fpga_hls.engine.steps import tail_of
from irc.backends.regions import Region
from irc.ir.ops.token import Select

STATIC = "token-select{keep=0.7} keeps as many tokens of every sample, hls{style=dataflow} counts in the run"


@runs(Select)
def lower_select(cx: EngineLowering, region: Region, op: Select) -> None:
    """A layer that ranks the scores, then one that reads the rows it has found."""
    if op.threshold is not None:
        op.fail("how many rows it keeps shows only in the run; the table of an engine has fixed sizes", hint=STATIC)
    gather_rows(cx, region, cx.view(op.x), ranked(cx, op))


def ranked(cx: EngineLowering, op: Select) -> View:
    """The indices [..., K] of the rows that stay."""
    *lead, count = cx.shape(op.scores)
    if count > CHANNELS:
        op.fail(f"it ranks {count} scores; the engine takes {CHANNELS}", hint=WAY_OUT)
    kept = cx.shape(op.results[0])[-2]
    last = len(lead)
    scores = cx.packed(cx.view(op.scores), last)
    name = cx.name("rank")
    indices = new_view(name, INDEX, (*lead, kept), range(last + 1))
    if len(common_loops(range(last), [scores, indices])) > 1:
        scores = cx.copied(scores, range(last + 1))
    batch = batches(last, [scores, indices])
    tail = Tail((TAKE,), (), (), None, access(indices, batch[1]))
    rows = Rows(math.prod(lead), 1, 1)
    cx.add(name, Rank(rows, kept, count, op.pinned, access(scores, batch[0]), tail))
    return indices


def batches(lead: int, views: Sequence[View]) -> tuple[int, ...]:
    """The stride of each view from batch to batch, which are the first `lead` dimensions and lie evenly."""
    (_, strides), *others = common_loops(range(lead), views) or [(1, (0,) * len(views))]
    assert not others
    return strides


def gather_rows(cx: EngineLowering, region: Region, x: View, indices: View) -> None:
    """The rows of x[..., N, C] that indices[..., K] name, and the steps behind that."""
    shape = cx.shape(region.result)
    channel = len(shape) - 1
    lead = range(channel - 1)
    x = cx.packed(x, channel)
    name = cx.name("gather")
    y = new_view(name, cx.code(region.result), shape, range(channel + 1))
    builder, steps = tail_of(cx, region, y, channel)
    operands = builder.operands
    if len(common_loops(lead, [y, x, indices, *operands])) > 1:
        x, *operands = (cx.copied(v, range(channel + 1)) for v in (x, *operands))
    y_batch, x_batch, index_batch, *pitches = batches(len(lead), [y, x, indices, *operands])
    rows = Rows(math.prod(shape[:-2]), 1, shape[-2])
    others = [access(v, pitch, 0, v.strides[-2]) for v, pitch in zip(operands, pitches, strict=True)]
    tail = builder.tail(steps, others, access(y, y_batch, 0, y.strides[-2]))
    chosen = access(x, x_batch, 0, x.strides[-2])
    run = Gather(rows, shape[channel], chosen, access(indices, index_batch), tail)
    cx.add(name, run, region.result, y)
