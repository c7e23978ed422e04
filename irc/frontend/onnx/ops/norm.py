"""Normalisations and softmax, kept whole."""

from __future__ import annotations

from collections.abc import Sequence

from irc.frontend.composed.math import plus, times
from irc.frontend.onnx.context import Context
from irc.frontend.onnx.ops.math import hardmax
from irc.frontend.onnx.table import converts
from irc.ir.dims import Shape, product
from irc.ir.graph import Value
from irc.ir.ops.math import Abs, Amax, Compare, Div, Exp, Log, Mean, Mul, Pow, Rsqrt, Sqrt, Sub, Sum, Where
from irc.ir.ops.norm import BatchNorm, GroupNorm, LayerNorm, RmsNorm, Softmax
from irc.ir.ops.pool import AvgPool
from irc.ir.ops.tensor import Expand, Reshape

FLATTENING = 13  # before this operator set, softmax runs over all axes from `axis` on


@converts("Softmax")
def softmax(c: Context, x: Value, *, axis: int | None = None) -> Value:
    flat, axis = _row(c, x, axis)
    return c.reshape(c.b(Softmax(flat, axis)), x.type.shape)


def _row(c: Context, x: Value, axis: int | None) -> tuple[Value, int]:
    """The value and the axis to run over; in old operator sets the flattened value."""
    if c.version >= FLATTENING:
        return x, c.axis(-1 if axis is None else axis, x.type.rank)
    at = c.axis(1 if axis is None else axis, x.type.rank)
    return c.reshape(x, (product(x.type.shape[:at]), product(x.type.shape[at:]))), 1


@converts("LogSoftmax")
def log_softmax(c: Context, x: Value, *, axis: int | None = None) -> Value:
    """x - max - log(sum(exp(x - max))), which keeps small probabilities that softmax rounds to 0."""
    flat, axis = _row(c, x, axis)
    centred = c.b(Sub(flat, c.b(Amax(flat, (axis,), True))))
    out = c.b(Sub(centred, c.b(Log(c.b(Sum(c.b(Exp(centred)), (axis,), True))))))
    return c.reshape(out, x.type.shape)


@converts("Hardmax")
def hardmax_(c: Context, x: Value, *, axis: int | None = None) -> Value:
    flat, axis = _row(c, x, axis)
    return c.reshape(hardmax(c, flat, axis=axis), x.type.shape)


@converts("BatchNormalization")
def batch_norm(
    c: Context,
    x: Value,
    g: Value,
    b: Value,
    mean: Value,
    var: Value,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
    spatial: int = 1,
    is_test: int = 1,
) -> tuple[Value, ...]:
    if training_mode:
        c.unsupported("statistics of the batch (training_mode)", "export the model for inference")
    if not spatial:
        c.unsupported("statistics an element (spatial=0)", "convert the model to a newer operator set")
    scalar = x.type.scalar
    row = [c.cast(v, scalar) for v in (mean, var, g, b)]
    return (c.b(BatchNorm(x, *row, eps=epsilon)),)


@converts("LayerNormalization")
def layer_norm(
    c: Context,
    x: Value,
    g: Value,
    b: Value | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> tuple[Value, ...]:
    at = c.axis(axis, x.type.rank)
    over = x.type.shape[at:]
    rows = [None if v is None else _whole(c, v, over) for v in (g, b)]
    y = c.b(LayerNorm(x, *rows, eps=epsilon, axes=len(over)))
    if len(c.node.outputs) < 2 or not any(c.node.outputs[1:]):
        return (y,)
    axes = tuple(range(at, x.type.rank))
    mean = c.b(Mean(x, axes, True))
    centred = c.b(Sub(x, mean))
    return y, mean, c.b(Rsqrt(plus(c, c.b(Mean(c.b(Mul(centred, centred)), axes, True)), epsilon)))


def _whole(c: Context, v: Value, shape: Shape) -> Value:
    """A parameter in the shape of the normalised axes."""
    return v if v.type.shape == shape else c.b(Expand(v, shape))


@converts("RMSNormalization")
def rms_norm(c: Context, x: Value, g: Value, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1) -> Value:
    at = c.axis(axis, x.type.rank)
    over = x.type.shape[at:]
    if len(over) == 1 and g.type.rank == 1:
        return c.b(RmsNorm(x, _whole(c, g, over), eps=epsilon))
    axes = tuple(range(at, x.type.rank))
    root = c.b(Sqrt(plus(c, c.b(Mean(c.b(Mul(x, x)), axes, True)), epsilon)))
    return c.b(Mul(c.b(Div(x, root)), g))


@converts("InstanceNormalization")
def instance_norm(c: Context, x: Value, g: Value, b: Value, *, epsilon: float = 1e-5) -> Value:
    groups = c.number(x.type.shape[1], "the number of channels")
    return c.b(GroupNorm(x, g, b, groups=groups, eps=epsilon))


PER_CHANNEL = 21  # from this operator set on, the parameters of GroupNormalization are one a channel


@converts("GroupNormalization")
def group_norm(
    c: Context, x: Value, g: Value, b: Value, *, num_groups: int, epsilon: float = 1e-5, stash_type: int = 1
) -> Value:
    channels = c.number(x.type.shape[1], "the number of channels")
    if c.version < PER_CHANNEL:
        g, b = (_repeated(c, v, num_groups, channels // num_groups) for v in (g, b))
    return c.b(GroupNorm(x, g, b, groups=num_groups, eps=epsilon))


def _repeated(c: Context, v: Value, groups: int, times_: int) -> Value:
    """A vector of groups as a vector of channels."""
    spread = c.b(Expand(c.b(Reshape(v, (groups, 1))), (groups, times_)))
    return c.b(Reshape(spread, (groups * times_,)))


@converts("LpNormalization")
def lp_norm(c: Context, x: Value, *, axis: int = -1, p: int = 2) -> Value:
    at = (c.axis(axis, x.type.rank),)
    if p == 2:
        size = c.b(Sqrt(c.b(Sum(c.b(Mul(x, x)), at, True))))
    else:
        size = c.b(Sum(c.b(Abs(x)), at, True))
    zero, one = c.const(0, x.type.scalar), c.const(1, x.type.scalar)
    return c.b(Div(x, c.b(Where(c.b(Compare(size, zero, "eq")), one, size))))  # zeros stay zeros


@converts("LRN")
def local_response_norm(
    c: Context, x: Value, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0
) -> Value:
    """x / (bias + alpha / size * sum of squares over neighbouring channels)^beta; Krizhevsky et al., 2012."""
    batch, channels, *spatial = x.type.shape
    rows = c.b(Reshape(c.b(Mul(x, x)), (batch, 1, channels, product(tuple(spatial)))))
    before, after = (size - 1) // 2, size - 1 - (size - 1) // 2
    mean = c.b(AvgPool(rows, (size, 1), (1, 1), (before, 0, after, 0)))
    root = c.b(Pow(plus(c, times(c, c.b(Reshape(mean, x.type.shape)), alpha), bias), beta))
    return c.b(Div(x, root))


@converts("MeanVarianceNormalization")
def mean_variance_norm(c: Context, x: Value, *, axes: Sequence[int] = (0, 2, 3)) -> Value:
    at = tuple(c.axis(a, x.type.rank) for a in axes)
    centred = c.b(Sub(x, c.b(Mean(x, at, True))))
    root = c.b(Sqrt(c.b(Mean(c.b(Mul(centred, centred)), at, True))))
    return c.b(Div(centred, plus(c, root, 1e-9)))
