"""Movements of values."""

from __future__ import annotations

import numpy as np

from irc.backends.onnx_export.lower.common import lowers
from irc.backends.onnx_export.lowering import Lowering
from irc.backends.onnx_export.scalars import Kind
from irc.backends.onnx_export.shapes import one_unknown
from irc.ir.dims import add, equal, mul, product
from irc.ir.ops.tensor import Concat, Expand, Gather, Iota, Pad, Permute, Reshape, Scatter, Slice

PADDED: dict[Kind, Kind] = {"int16": "int32", "uint16": "int32", "float16": "float"}
"""Types without a kernel for Pad, and those that take their place."""


@lowers(Reshape)
def lower_reshape(cx: Lowering, op: Reshape) -> str:
    numbers = one_unknown(op.shape)
    shape = cx.shape(op.shape) if numbers is None else cx.ints(*numbers)
    empty = 1 if any(d == 0 for d in op.shape) else None  # a 0 would stand for the dimension of x
    return cx.node("Reshape", cx.read(op.x), shape, allowzero=empty)


@lowers(Permute)
def lower_permute(cx: Lowering, op: Permute) -> str:
    return cx.node("Transpose", cx.read(op.x), perm=list(op.order))


@lowers(Expand)
def lower_expand(cx: Lowering, op: Expand) -> str:
    given, wanted = op.x.type.shape, op.shape
    lead = len(wanted) - len(given)
    # 1 keeps what is there, so that few sizes have to be computed.
    kept = [1 if i >= lead and equal(d, given[i - lead]) is True else d for i, d in enumerate(wanted)]
    return cx.node("Expand", cx.read(op.x), cx.shape(tuple(kept)))


@lowers(Concat)
def lower_concat(cx: Lowering, op: Concat) -> str:
    return cx.node("Concat", *(cx.read(v) for v in op.xs), axis=op.axis)


@lowers(Slice)
def lower_slice(cx: Lowering, op: Slice) -> str:
    start, stop = cx.dims.dim(op.start), cx.dims.dim(op.stop)
    return cx.node("Slice", cx.read(op.x), start, stop, cx.ints(op.axis), cx.ints(op.step))


@lowers(Pad)
def lower_pad(cx: Lowering, op: Pad) -> str:
    have = cx.kind(op.x)
    kind = PADDED.get(have, have)
    if not any((*op.before, *op.after)):
        return cx.read(op.x)
    value = cx.const(np.asarray(op.value), kind)
    return cx.done(op, cx.node("Pad", cx.read(op.x, kind), cx.ints(*op.before, *op.after), value), kind)


@lowers(Gather)
def lower_gather(cx: Lowering, op: Gather) -> str:
    index: Kind = "int32" if cx.kind(op.indices) == "int32" else "int64"
    return cx.node("Gather", cx.read(op.x), cx.read(op.indices, index), axis=op.axis)


@lowers(Scatter)
def lower_scatter(cx: Lowering, op: Scatter) -> str:
    """ScatterElements, for which every element of the updates has an index."""
    axis = op.axis % op.x.type.rank
    behind = op.x.type.rank - axis - 1
    shape = cx.shape((*op.indices.type.shape, *[1] * behind))
    index = cx.node("Expand", cx.node("Reshape", cx.read(op.indices, "int64"), shape), cx.shape(op.updates.type.shape))
    places = (*op.x.type.shape[:axis], product(op.indices.type.shape), *op.x.type.shape[axis + 1 :])
    flat = [cx.node("Reshape", v, cx.shape(places)) for v in (index, cx.read(op.updates))]
    return cx.node("ScatterElements", cx.read(op.x), *flat, axis=axis)


@lowers(Iota)
def lower_iota(cx: Lowering, op: Iota) -> str:
    stop = add(op.start, mul(op.shape[0], op.step))
    first, last = (cx.node("Squeeze", cx.dims.dim(d)) for d in (op.start, stop))
    return cx.node("Range", first, last, cx.const(op.step, "int64"))
