"""Normalisations and softmax of floats."""

from __future__ import annotations

from irc.backends.onnx_export.lower.common import lowers
from irc.backends.onnx_export.lowering import Lowering, computed_in
from irc.backends.onnx_export.scalars import Kind
from irc.ir.graph import Value
from irc.ir.ops.norm import BatchNorm, GroupNorm, LayerNorm, RmsNorm, Softmax


@lowers(Softmax)
def lower_softmax(cx: Lowering, op: Softmax) -> str:
    kind = computed_in(op.x.type.scalar)
    return cx.done(op, cx.node("Softmax", cx.read(op.x, kind), axis=op.axis), kind)


@lowers(LayerNorm)
def lower_layer_norm(cx: Lowering, op: LayerNorm) -> str:
    kind = computed_in(op.x.type.scalar)
    axes = op.axes
    x = cx.read(op.x, kind)
    if op.g is None:
        y = _normalized(cx, x, [*range(-axes, 0)], op.eps, kind)
        return cx.done(op, y if op.b is None else cx.node("Add", y, cx.read(op.b, kind)), kind)
    parameters = [cx.read(v, kind) for v in (op.g, op.b) if v is not None]
    return cx.done(op, cx.node("LayerNormalization", x, *parameters, axis=-axes, epsilon=op.eps), kind)


@lowers(RmsNorm)
def lower_rms_norm(cx: Lowering, op: RmsNorm) -> str:
    kind = computed_in(op.x.type.scalar)
    x = cx.read(op.x, kind)
    y = cx.node("Div", x, _root(cx, x, [-1], op.eps, kind))
    return cx.done(op, y if op.g is None else cx.node("Mul", y, cx.read(op.g, kind)), kind)


@lowers(GroupNorm)
def lower_group_norm(cx: Lowering, op: GroupNorm) -> str:
    kind = computed_in(op.x.type.scalar)
    rows = cx.node("Reshape", cx.read(op.x, kind), cx.ints(0, op.groups, -1))
    y = cx.node("Reshape", _normalized(cx, rows, [-1], op.eps, kind), cx.node("Shape", cx.read(op.x)))
    for operator, parameter in (("Mul", op.g), ("Add", op.b)):
        y = y if parameter is None else cx.node(operator, y, _column(cx, parameter, op.x.type.rank, kind))
    return cx.done(op, y, kind)


@lowers(BatchNorm)
def lower_batch_norm(cx: Lowering, op: BatchNorm) -> str:
    kind = computed_in(op.x.type.scalar)
    mean = cx.read(op.mean, kind)
    zeros = cx.node("Sub", mean, mean)
    scale = cx.node("Add", zeros, cx.const(1, kind)) if op.g is None else cx.read(op.g, kind)
    offset = zeros if op.b is None else cx.read(op.b, kind)
    x, var = cx.read(op.x, kind), cx.read(op.var, kind)
    return cx.done(op, cx.node("BatchNormalization", x, scale, offset, mean, var, epsilon=op.eps), kind)


def _normalized(cx: Lowering, x: str, axes: list[int], eps: float, kind: Kind) -> str:
    """(x - mean) / sqrt(var + eps) over axes."""
    from_mean = cx.node("Sub", x, cx.node("ReduceMean", x, cx.ints(*axes), keepdims=1))
    return cx.node("Div", from_mean, _root(cx, from_mean, axes, eps, kind))


def _root(cx: Lowering, x: str, axes: list[int], eps: float, kind: Kind) -> str:
    """sqrt(mean(x^2) + eps) over axes."""
    mean = cx.node("ReduceMean", cx.node("Mul", x, x), cx.ints(*axes), keepdims=1)
    return cx.node("Sqrt", cx.node("Add", mean, cx.const(eps, kind)))


def _column(cx: Lowering, parameter: Value, rank: int, kind: Kind) -> str:
    """A vector of channels that broadcasts against [N, C, *spatial]."""
    return cx.node("Reshape", cx.read(parameter, kind), cx.ints(-1, *[1] * (rank - 2)))
