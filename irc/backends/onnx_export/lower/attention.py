"""Attention, written out: operator set 21 has none."""

from __future__ import annotations

import math

from irc.backends.onnx_export.lower.common import lowers
from irc.backends.onnx_export.lowering import Lowering, computed_in
from irc.backends.onnx_export.scalars import Kind
from irc.ir.graph import Value
from irc.ir.ops.attention import Sdpa


@lowers(Sdpa)
def lower_sdpa(cx: Lowering, op: Sdpa) -> str:
    kind = computed_in(op.q.type.scalar)
    rank = op.k.type.rank
    keys = cx.node("Transpose", cx.read(op.k, kind), perm=[*range(rank - 2), rank - 1, rank - 2])
    scores = cx.node("MatMul", cx.read(op.q, kind), keys)
    scores = cx.node("Mul", scores, cx.const(op.scale, kind))
    weights = cx.node("Softmax", scores, axis=-1) if op.mask is None else _masked(cx, op.mask, scores, kind)
    return cx.done(op, cx.node("MatMul", weights, cx.read(op.v, kind)), kind)


def _masked(cx: Lowering, mask: Value, scores: str, kind: Kind) -> str:
    """The softmax of what the mask keeps; zeros in rows of which it keeps nothing, where a softmax is NaN."""
    nothing = cx.const(-math.inf, kind)
    if mask.type.scalar.kind == "bool":
        kept = cx.node("Where", cx.read(mask), scores, nothing)
    else:
        kept = cx.node("Add", scores, cx.read(mask, kind))
    weights = cx.node("Softmax", kept, axis=-1)
    if _keeps_something(cx, mask):
        return weights
    top = cx.node("ReduceMax", kept, cx.ints(-1), keepdims=1)
    return cx.node("Where", cx.node("Equal", top, nothing), cx.const(0, kind), weights)


def _keeps_something(cx: Lowering, mask: Value) -> bool:
    """Whether a mask is a constant with something to keep in each of its rows."""
    data = cx.constant(mask)
    if data is None or data.array.ndim == 0:
        return False
    kept = data.array if data.scalar.kind == "bool" else data.array > -math.inf
    return bool(kept.any(axis=-1).all())
