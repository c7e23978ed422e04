"""Data movement: reshape and permute only rename loops, the rest are stages without arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

from irc.backends.fpga_hls.layout import Layout, Loop, Shape, c_order, extent_of, merged, nest
from irc.backends.fpga_hls.lower.common import lowers
from irc.backends.fpga_hls.lowering import Lowering
from irc.backends.fpga_hls.ranges import Interval
from irc.backends.fpga_hls.stage import (
    CONFIG,
    EPILOGUE,
    Config,
    Epilogue,
    Pace,
    Parameter,
    Rom,
    Stage,
    Statement,
    Stream,
)
from irc.backends.fpga_hls.types import Code
from irc.backends.regions import Region
from irc.ir.graph import Value
from irc.ir.location import Loc
from irc.ir.ops.tensor import Concat, Expand, Gather, Pad, Permute, Reshape, Slice


@lowers(Reshape)
def lower_reshape(cx: Lowering, region: Region, op: Reshape) -> None:
    cx.alias(op.results[0], op.x, cx.layout(op.x))


@lowers(Permute)
def lower_permute(cx: Lowering, region: Region, op: Permute) -> None:
    shape = cx.shape(op.x)
    layout = cx.layout(op.x).permuted(shape, op.order)
    if layout is None:
        plain = c_order(shape)
        stream = cx.read(op.x, plain, op.loc)
        cx.define(op.results[0], stream, cast(Layout, plain.permuted(shape, op.order)))
    else:
        cx.alias(op.results[0], op.x, layout)


@lowers(Expand)
def lower_expand(cx: Lowering, region: Region, op: Expand) -> None:
    """New loops go outside those of x, but inside the ones they stand inside of in C order."""
    shape, own = cx.shape(op.results[0]), cx.shape(op.x)
    shift = len(shape) - len(own)
    loops = cx.layout(op.x).split(own) or tuple(Loop(d, n) for d, n in enumerate(own))
    wanted = [Loop(x.dim + shift, x.extent, x.step) for x in loops]
    for dim in range(len(shape) - 1, -1, -1):
        if shape[dim] > 1 and (dim < shift or own[dim - shift] == 1):
            place = next((i for i, x in enumerate(wanted) if x.dim > dim), len(wanted))
            wanted.insert(place, Loop(dim, shape[dim]))
    layout = nest(shape, wanted)
    cx.define(op.results[0], cx.read(op.x, layout, op.loc, shape), layout)


def along_axis(cx: Lowering, value: Value, axis: int) -> tuple[list[Loop], list[Loop]]:
    """Loops outside and inside the axis: as the value comes if it has one loop for the axis, else in C order."""
    shape = cx.shape(value)
    found = cx.layout(value).around(shape, axis)
    if found is not None:
        return list(found[0]), list(found[1])
    plain = [Loop(d, n) for d, n in enumerate(shape)]
    return plain[:axis], plain[axis + 1 :]


def with_axis(outer: Sequence[Loop], axis: int, extent: int, inner: Sequence[Loop]) -> list[Loop]:
    return [*outer, Loop(axis, extent), *inner]


@lowers(Concat)
def lower_concat(cx: Lowering, region: Region, op: Concat) -> None:
    """All operands come in the order of the first computed one that has a loop for the axis."""
    result = op.results[0]
    axis = op.axis % result.type.rank
    lead = next((v for v in op.xs if cx.is_stream(v) and cx.shape(v)[axis] > 1), op.xs[0])
    outer, inner = along_axis(cx, lead, axis)
    inputs: list[Stream] = []
    for value in op.xs:
        shape = cx.shape(value)
        inputs.append(cx.read(value, nest(shape, with_axis(outer, axis, shape[axis], inner)), op.loc))
    shape = cx.shape(result)
    layout = nest(shape, with_axis(outer, axis, shape[axis], inner))
    out = Stream(cx.code(result), layout.count, result, layout)
    rounds = extent_of(outer)
    chunks = [s.count // rounds for s in inputs]
    stage = Stage(
        cx.stage_name(op.loc, "concat"), "concat", "tensor.h", op.loc, [out], [out, *inputs], [rounds, *chunks]
    )
    for i, chunk in enumerate(chunks):
        stage.takes[i] = share(sum(chunks[:i]), chunk, sum(chunks), rounds)
    cx.add(stage)
    cx.define(result, out, layout)


def share(begin: int, length: int, whole: int, rounds: int) -> Pace:
    """The pace of a stream that gives or takes `length` elements from `begin` on in each round of `whole` elements."""
    first, last = begin / whole, (begin + length) / whole - 1
    end = last if rounds == 1 else None  # of the only round
    return Pace(min(first, last) / rounds, max(first, last) / rounds, end)


@lowers(Slice)
def lower_slice(cx: Lowering, region: Region, op: Slice) -> None:
    """Slices that take a value apart without rest are one split stage."""
    if op.results[0] in cx.sources:
        return  # a sibling has done it
    shape, axis = cx.shape(op.x), op.axis % op.x.type.rank
    kept = range(cast(int, op.start), min(cast(int, op.stop), shape[axis]), op.step)
    if kept == range(shape[axis]):
        cx.alias(op.results[0], op.x, cx.layout(op.x))
        return
    outer, inner = along_axis(cx, op.x, axis)
    x = cx.read(op.x, nest(shape, with_axis(outer, axis, shape[axis], inner)), op.loc)
    parts = _partition(cx, op, axis)
    if parts:
        streams = _split(cx, x, [cx.shape(part.results[0])[axis] for part in parts], outer, inner, op.loc)
    else:
        name = cx.stage_name(op.loc, "slice")
        parts, streams = [op], [sliced(cx, name, x, outer, shape[axis], inner, kept, op.loc)]
    for part, stream in zip(parts, streams, strict=True):
        own = cx.shape(part.results[0])
        stream.value, stream.layout = part.results[0], nest(own, with_axis(outer, axis, own[axis], inner))
        cx.define(part.results[0], stream, stream.layout)


def _split(
    cx: Lowering, x: Stream, extents: Sequence[int], outer: Sequence[Loop], inner: Sequence[Loop], loc: Loc
) -> list[Stream]:
    """A `split` stage: the parts of each round, one stream each."""
    rounds = extent_of(outer)
    chunks = [extent * extent_of(inner) for extent in extents]
    outs = [Stream(x.code, rounds * chunk) for chunk in chunks]
    stage = Stage(cx.stage_name(loc, "split"), "split", "tensor.h", loc, outs, [x, *outs], [rounds, *chunks])
    for i, chunk in enumerate(chunks):
        stage.gives[i] = share(sum(chunks[:i]), chunk, sum(chunks), rounds)
    cx.add(stage)
    return outs


def sliced(
    cx: Lowering, name: str, x: Stream, outer: Sequence[Loop], extent: int, inner: Sequence[Loop], kept: range, loc: Loc
) -> Stream:
    """A `slice` stage: the kept indices of the loop of `extent` between `outer` and `inner`."""
    rounds = extent_of(outer)
    out = Stream(x.code, rounds * len(kept) * extent_of(inner))
    config: Config = {
        "outer": rounds,
        "extent": extent,
        "inner": extent_of(inner),
        "begin": kept.start,
        "end": kept.stop,
        "step": kept.step,
    }
    stage = Stage(name, "slice", "tensor.h", loc, [out], [x, out], [CONFIG], config)
    stage.gives[0] = share(kept.start, kept[-1] + 1 - kept.start, extent, rounds)
    cx.add(stage)
    return out


def _partition(cx: Lowering, op: Slice, axis: int) -> list[Slice]:
    """The slices of the same value that take all of it apart, in order; empty if they overlap or leave gaps."""
    found = [
        n
        for n in op.x.users
        if isinstance(n, Slice) and n.axis % n.x.type.rank == axis and n.step == 1 and n.graph is op.graph
    ]
    ordered = sorted(found, key=lambda n: cast(int, n.start))
    place = 0
    for part in ordered:
        if part.start != place:
            return []
        place = cast(int, part.stop)
    return ordered if place == cx.shape(op.x)[axis] and len(ordered) > 1 else []


@lowers(Pad)
def lower_pad(cx: Lowering, region: Region, op: Pad) -> None:
    """One stage a padded dimension."""
    shape: Shape = cx.shape(op.x)
    rank = len(shape)
    padded = [d for d in range(rank) if op.before[d] or op.after[d]]
    loops = cx.layout(op.x).split(shape)
    if loops is None or any(sum(x.dim == d for x in loops) > 1 for d in padded):
        loops = tuple(Loop(d, n) for d, n in enumerate(shape))
    loops = [*(Loop(d, 1) for d in padded if not any(x.dim == d for x in loops)), *loops]
    stream = cx.read(op.x, nest(shape, loops), op.loc)
    code = cx.code(op.results[0])
    for dim in padded:
        place = next(i for i, x in enumerate(loops) if x.dim == dim)
        config: Config = {
            "outer": extent_of(loops[:place]),
            "extent": loops[place].extent,
            "inner": extent_of(loops[place + 1 :]),
            "before": op.before[dim],
            "after": op.after[dim],
            "value": int(op.value),
        }
        loops[place] = Loop(dim, op.before[dim] + shape[dim] + op.after[dim])
        out = Stream(code, extent_of(loops), op.results[0])
        if stream.code != code:
            stream = _widened(cx, stream, code, op.loc)
        name = cx.stage_name(op.loc, "pad")
        stage = Stage(name, "pad", "tensor.h", op.loc, [out], [stream, out], [CONFIG], config)
        padded_size = loops[place].extent
        stage.takes[0] = share(op.before[dim], shape[dim], padded_size, extent_of(loops[:place]))
        cx.add(stage)
        stream = out
    cx.define(op.results[0], stream, nest(cx.shape(op.results[0]), loops))


def _widened(cx: Lowering, stream: Stream, code: Code, loc: Loc) -> Stream:
    """The same numbers in another stream type."""
    out = Stream(code, stream.count, stream.value)
    cx.add(Stage(cx.helper_name(loc, "copy"), "copy", "tensor.h", loc, [out], [stream, out], [stream.count]))
    return out


@lowers(Gather)
def lower_gather(cx: Lowering, region: Region, op: Gather) -> None:
    """Rows of a constant table. Negative indices count from its end; others are limited to it."""
    table = cx.constant(op.x)
    if table is None or op.axis % op.x.type.rank != 0:
        op.fail("only rows of a constant table can be gathered", hint="permute the table, or slice instead of gather")
    rows, columns = len(table), math.prod(table.shape[1:])
    order = cx.layout(op.indices)
    index = _limited_index(cx, cx.read(op.indices, order, op.loc), rows, op.loc)
    layout = merged([*((extent, stride * columns) for extent, stride in order.loops), (columns, 1)])
    out = Stream(cx.code(op.results[0]), layout.count, op.results[0], layout)
    name = cx.stage_name(op.loc, "gather")
    rom = Rom("table", table.reshape(rows, columns), cx.names.fresh(f"{name}_table"))
    cx.add(Stage(name, "gather_rows", "tensor.h", op.loc, [out], [index, rom, out], [index.count]))
    cx.define(op.results[0], out, layout)


def _limited_index(cx: Lowering, stream: Stream, rows: int, loc: Loc) -> Stream:
    """Indices as row numbers."""
    code = Code(max(1, Interval(0, rows - 1).bits - 1), signed=False)
    out = Stream(code, stream.count, stream.value)
    config: Config = {"count": stream.count, "channels": 1}
    from_end = f"position < 0 ? int64_t(position) + {rows} : int64_t(position)"
    negative = Statement("int64_t", "row", from_end, "where")
    limited = Statement(code.storage, "limited", f"{code.storage}(clamp<int64_t>(row, 0, {rows - 1}))", "clamp")
    epilogue = Epilogue(stream.code.storage, "position", [negative, limited], "limited", code.storage)
    name, parameters = cx.helper_name(loc, "index"), list[Parameter]([CONFIG, EPILOGUE])
    cx.add(Stage(name, "elementwise", "elementwise.h", loc, [out], [stream, out], parameters, config, epilogue))
    return out
