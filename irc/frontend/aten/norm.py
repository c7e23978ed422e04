"""Normalisations and softmax, kept whole."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from irc.frontend.aten.table import converts
from irc.frontend.composed.math import plus
from irc.frontend.composed.tensor import of_vectors
from irc.frontend.context import Context, Later
from irc.ir.dims import Shape, floordiv, product
from irc.ir.graph import Value
from irc.ir.ops.math import Abs, Add, Amax, Compare, Exp, Log, Mean, Mul, Pow, Rsqrt, Sqrt, Sub, Sum, Where
from irc.ir.ops.norm import BatchNorm, GroupNorm, LayerNorm, RmsNorm, Softmax
from irc.ir.ops.tensor import Reshape


@converts("softmax.int")
@of_vectors
def softmax(c: Context, x: Value, axis: int, dtype: Any) -> Value:
    return c.b(Softmax(c.cast(x, c.type.scalar), axis))


@converts("_softmax.default")
def softmax_half(c: Context, x: Value, axis: int, half_to_float: bool) -> Value:
    return softmax(c, x, axis, None)


@converts("_safe_softmax.default")
@of_vectors
def safe_softmax(c: Context, x: Value, axis: int, dtype: Any) -> Value:
    """Zeros for a row that is -inf throughout."""
    x = c.cast(x, c.type.scalar)
    empty = c.b(Compare(c.b(Amax(x, (axis,), True)), c.const(-math.inf, x.type.scalar), "eq"))
    return c.b(Where(empty, c.const(0, x.type.scalar), c.b(Softmax(x, axis))))


@converts("log_softmax.int")
@of_vectors
def log_softmax(c: Context, x: Value, axis: int, dtype: Any) -> Value:
    """x - max - log(sum(exp(x - max))), which keeps small probabilities that softmax rounds to 0."""
    x = c.cast(x, c.type.scalar)
    centred = c.b(Sub(x, c.b(Amax(x, (axis,), True))))
    return c.b(Sub(centred, c.b(Log(c.b(Sum(c.b(Exp(centred)), (axis,), True))))))


@converts("_log_softmax.default")
def log_softmax_half(c: Context, x: Value, axis: int, half_to_float: bool) -> Value:
    return log_softmax(c, x, axis, None)


@converts("logsumexp.default")
def logsumexp(c: Context, x: Value, axes: Sequence[int], keepdims: bool) -> Value:
    over = tuple(axes) if x.type.rank else ()
    x = c.cast(x, c.type.scalar)
    top = c.b(Amax(x, over, True))
    total = c.b(Sum(c.b(Exp(c.b(Sub(x, top)))), over, True))
    out = c.b(Add(c.b(Log(total)), top))
    return out if keepdims else c.b(Reshape(out, c.type.shape))


@converts("layer_norm.default")
def layer_norm(
    c: Context, x: Value, shape: Sequence[int], g: Value | None, b: Value | None, eps: float, cudnn: bool
) -> Value:
    return c.b(LayerNorm(x, g, b, eps=float(eps), axes=len(shape)))


@converts("native_layer_norm.default")
def native_layer_norm(
    c: Context, x: Value, shape: Sequence[int], g: Value | None, b: Value | None, eps: float
) -> tuple[Value | Later, ...]:
    return layer_norm(c, x, shape, g, b, eps, False), *_statistics(c, x, x.type.shape, len(shape), eps)


def _statistics(c: Context, x: Value, shape: Shape, n: int, eps: float) -> tuple[Later, Later]:
    """The second and third result of a norm: mean and 1 / deviation over the last `n` axes of x in that shape."""
    axes = tuple(range(len(shape) - n, len(shape)))

    def mean() -> Value:
        return c.b(Reshape(c.b(Mean(c.b(Reshape(x, shape)), axes, True)), c.type_of(c.fake[1]).shape))

    def factor() -> Value:
        rows = c.b(Reshape(x, shape))
        centred = c.b(Sub(rows, c.b(Mean(rows, axes, True))))
        variance = c.b(Mean(c.b(Mul(centred, centred)), axes, True))
        return c.b(Reshape(c.b(Rsqrt(plus(c, variance, float(eps)))), c.type_of(c.fake[2]).shape))

    return mean, factor


@converts("rms_norm.default")
def rms_norm(c: Context, x: Value, shape: Sequence[int], g: Value | None, eps: float | None) -> Value:
    epsilon = float(eps if eps is not None else _machine_epsilon(x))
    if len(shape) == 1:
        return c.b(RmsNorm(x, g, eps=epsilon))
    flat = c.b(Reshape(x, (*x.type.shape[: -len(shape)], math.prod(shape))))
    row = c.b(Reshape(g, (math.prod(shape),))) if g is not None else None
    return c.b(Reshape(c.b(RmsNorm(flat, row, eps=epsilon)), c.type.shape))


def _machine_epsilon(x: Value) -> float:
    return {16: 2.0**-10, 32: 2.0**-23, 64: 2.0**-52}[x.type.scalar.bits]


@converts("group_norm.default")
def group_norm(c: Context, x: Value, groups: int, g: Value | None, b: Value | None, eps: float, cudnn: bool) -> Value:
    return c.b(GroupNorm(x, g, b, groups=groups, eps=float(eps)))


@converts("native_group_norm.default")
def native_group_norm(
    c: Context,
    x: Value,
    g: Value | None,
    b: Value | None,
    n: object,
    channels: object,
    size: object,
    groups: int,
    eps: float,
) -> tuple[Value | Later, ...]:
    rows = (x.type.shape[0], groups, floordiv(product(x.type.shape[1:]), groups))
    return group_norm(c, x, groups, g, b, eps, False), *_statistics(c, x, rows, 1, eps)


@converts("instance_norm.default")
def instance_norm(
    c: Context,
    x: Value,
    g: Value | None,
    b: Value | None,
    mean: Value | None,
    var: Value | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn: bool,
) -> Value:
    if not use_input_stats and mean is not None and var is not None:
        return _with_statistics(c, x, g, b, mean, var, eps)
    return c.b(GroupNorm(x, g, b, groups=c.number(x.type.shape[1], "the number of channels"), eps=float(eps)))


@converts("_native_batch_norm_legit_no_training.default")
def native_batch_norm(
    c: Context,
    x: Value,
    g: Value | None,
    b: Value | None,
    mean: Value,
    var: Value,
    momentum: float,
    eps: float,
) -> tuple[Value, ...]:
    return (_with_statistics(c, x, g, b, mean, var, eps),)


@converts("batch_norm.default")
def batch_norm(
    c: Context,
    x: Value,
    g: Value | None,
    b: Value | None,
    mean: Value,
    var: Value,
    training: bool,
    momentum: float,
    eps: float,
    cudnn: bool,
) -> Value:
    """At inference: torch rewrites the one of training."""
    return _with_statistics(c, x, g, b, mean, var, eps)


def _with_statistics(
    c: Context, x: Value, g: Value | None, b: Value | None, mean: Value, var: Value, eps: float
) -> Value:
    return c.b(BatchNorm(x, mean, var, g, b, eps=float(eps)))


@converts("_native_batch_norm_legit.no_stats", "_native_batch_norm_legit_functional.default")
def native_batch_norm_training(c: Context, *arguments: object) -> Value:
    c.unsupported("batch statistics", "call eval() on the model and keep track_running_stats")


@converts("linalg_vector_norm.default")
def vector_norm(c: Context, x: Value, order: float, axes: Sequence[int] | None, keepdims: bool, dtype: Any) -> Value:
    every = tuple(axes) if axes else tuple(range(x.type.rank))
    if order == 2:
        return c.b(Sqrt(c.b(Sum(c.b(Mul(x, x)), every, keepdims))))
    if order == 1:
        return c.b(Sum(c.b(Abs(x)), every, keepdims))
    if order == math.inf:
        return c.b(Amax(c.b(Abs(x)), every, keepdims))
    if order <= 0:
        c.unsupported(f"norm of order {order}")
    return c.b(Pow(c.b(Sum(c.b(Pow(c.b(Abs(x)), float(order))), every, keepdims)), 1 / order))
