"""Selection of tokens: a flag says which stay, their places are what GatherND reads."""

from __future__ import annotations

import math

from irc.backends.onnx_export.lower.common import lowers
from irc.backends.onnx_export.lowering import Lowering, computed_in
from irc.backends.onnx_export.scalars import Kind
from irc.backends.onnx_export.shapes import one_unknown
from irc.ir.dims import sub
from irc.ir.ops.token import Select


@lowers(Select)
def lower_select(cx: Lowering, op: Select) -> str:
    """NonZero lists places in order, so that GatherND packs densely; ONNX's TopK has no order of places."""
    rows = cx.node("Squeeze", cx.dims.dim(op.x.type.shape[-2]))
    places = cx.node("Range", cx.const(0, "int64"), rows, cx.const(1, "int64"))
    pinned = cx.node("Less", places, cx.const(op.pinned, "int64"))
    chosen = _ranked(cx, op, places, pinned) if op.threshold is None else _at_least(cx, op, op.threshold)
    stays = cx.node("Or", chosen, pinned)
    indices = cx.node("Transpose", cx.node("NonZero", stays), perm=[1, 0])
    dense = cx.node("GatherND", cx.read(op.x), indices)
    numbers = one_unknown(op.shape)
    result = cx.node("Reshape", dense, cx.shape(op.shape) if numbers is None else cx.ints(*numbers))
    if op.born is not None:
        axis = len(op.shape) - 2
        cx.dims.born[op.born] = cx.node("Shape", result, start=axis, end=axis + 1)
    return result


def _at_least(cx: Lowering, op: Select, threshold: float) -> str:
    scalar = op.scores.type.scalar
    kind: Kind = computed_in(scalar) if scalar.is_float else "double"  # which holds every code
    bound = float(scalar.dtype.type(threshold)) if scalar.is_float else threshold
    return cx.node("GreaterOrEqual", cx.read(op.scores, kind), cx.const(bound, kind))


def _ranked(cx: Lowering, op: Select, places: str, pinned: str) -> str:
    """Whether fewer other rows are before a row than are kept beside the pinned ones."""
    kind = computed_in(op.scores.type.scalar)
    scores = cx.read(op.scores, kind)
    if op.scores.type.scalar.is_float:
        scores = cx.node("Where", cx.node("IsNaN", scores), cx.const(-math.inf, kind), scores)
    own, other = cx.node("Unsqueeze", scores, cx.ints(-1)), cx.node("Unsqueeze", scores, cx.ints(-2))
    lower = cx.node("Less", places, cx.node("Unsqueeze", places, cx.ints(-1)))
    first = cx.node("And", cx.node("Equal", other, own), lower)
    before = cx.node("And", cx.node("Or", cx.node("Greater", other, own), first), cx.node("Not", pinned))
    count = cx.node("ReduceSum", cx.cast(before, "bool", "int64"), cx.ints(-1), keepdims=0)
    return cx.node("Less", count, cx.dims.dim(sub(op.shape[-2], op.pinned)))
