"""Elementwise functions, arithmetic, comparisons and reductions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from irc.frontend.composed.math import (
    arccos,
    arcsin,
    arctan,
    ceil,
    floored_rest,
    plus,
    positive,
    product_along,
    rest,
    running_product,
    sign,
    times,
    trunc,
    truth,
)
from irc.frontend.composed.order import ordered
from irc.frontend.composed.tensor import cut, reversed_along
from irc.frontend.onnx.context import Context
from irc.frontend.onnx.table import converts
from irc.ir.graph import Value
from irc.ir.op import Op
from irc.ir.ops.bits import And, Not, Or
from irc.ir.ops.math import (
    Abs,
    Add,
    Amax,
    Argmax,
    Clamp,
    Compare,
    Cos,
    Cumsum,
    Div,
    Elu,
    Erf,
    Exp,
    Floor,
    Gelu,
    Hardswish,
    LeakyRelu,
    Log,
    Maximum,
    Mean,
    Minimum,
    Mul,
    Neg,
    Pow,
    Relu,
    Round,
    Rsqrt,
    Sigmoid,
    Silu,
    Sin,
    Softplus,
    Sqrt,
    Sub,
    Sum,
    Tanh,
    Where,
)
from irc.ir.ops.tensor import Concat, Expand, Pad, Reshape
from irc.ir.scalars import BOOL, F64, I32, I64, ScalarType

# -- functions of one element


def _unary(operator: str, op: Callable[[Value], Op]) -> None:
    @converts(operator)
    def convert(c: Context, x: Value) -> Value:
        return c.b(op(x))


for _operator, _op in {
    "Sigmoid": Sigmoid,
    "HardSwish": Hardswish,
    "Tanh": Tanh,
    "Exp": Exp,
    "Log": Log,
    "Sqrt": Sqrt,
    "Erf": Erf,
    "Sin": Sin,
    "Cos": Cos,
    "Neg": Neg,
    "Abs": Abs,
    "Floor": Floor,
    "Round": Round,
}.items():
    _unary(_operator, _op)


@converts("Relu")
def relu(c: Context, x: Value) -> Value:
    return c.b(Relu(x) if x.type.scalar.is_float else Clamp(x, 0.0))


@converts("LeakyRelu")
def leaky_relu(c: Context, x: Value, *, alpha: float = 0.01) -> Value:
    return c.b(LeakyRelu(x, alpha))


@converts("PRelu")
def prelu(c: Context, x: Value, slope: Value) -> Value:
    if c.version < 7 and slope.type.rank == 1:
        slope = from_axis(c, x, slope, 1)
    return c.b(Where(positive(c, x), x, c.b(Mul(x, slope))))


@converts("ThresholdedRelu")
def thresholded_relu(c: Context, x: Value, *, alpha: float = 1.0) -> Value:
    above = c.b(Compare(x, c.const(alpha, x.type.scalar), "gt"))
    return c.b(Where(above, x, c.const(0, x.type.scalar)))


@converts("Gelu")
def gelu(c: Context, x: Value, *, approximate: Literal["none", "tanh"] = "none") -> Value:
    return c.b(Gelu(x, approximate))


@converts("HardSigmoid")
def hard_sigmoid(c: Context, x: Value, *, alpha: float = 0.2, beta: float = 0.5) -> Value:
    return c.b(Clamp(plus(c, times(c, x, alpha), beta), 0.0, 1.0))


@converts("Softplus")
def softplus(c: Context, x: Value) -> Value:
    return c.b(Softplus(x))


@converts("Softsign")
def softsign(c: Context, x: Value) -> Value:
    return c.b(Div(x, plus(c, c.b(Abs(x)), 1)))


@converts("Elu")
def elu(c: Context, x: Value, *, alpha: float = 1.0) -> Value:
    return c.b(Elu(x, alpha))


@converts("Selu")
def selu(
    c: Context, x: Value, *, alpha: float = 1.67326319217681884765625, gamma: float = 1.05070102214813232421875
) -> Value:
    return times(c, c.b(Elu(x, alpha)), gamma)


@converts("Celu")
def celu(c: Context, x: Value, *, alpha: float = 1.0) -> Value:
    """max(x, 0) + min(0, alpha * (exp(x / alpha) - 1))"""
    below = times(c, c.b(Elu(times(c, x, 1 / alpha))), alpha)
    return c.b(Where(positive(c, x), x, below))


@converts("Mish")
def mish(c: Context, x: Value) -> Value:
    return c.b(Mul(x, c.b(Tanh(c.b(Softplus(x))))))


@converts("Swish")
def swish(c: Context, x: Value, *, alpha: float = 1.0) -> Value:
    return c.b(Silu(x)) if alpha == 1 else c.b(Mul(x, c.b(Sigmoid(times(c, x, alpha)))))


@converts("Reciprocal")
def reciprocal(c: Context, x: Value) -> Value:
    if isinstance(x.node, Sqrt):
        return c.b(Rsqrt(x.node.x))
    return c.b(Div(c.const(1, x.type.scalar), x))


@converts("Tan")
def tan(c: Context, x: Value) -> Value:
    return c.b(Div(c.b(Sin(x)), c.b(Cos(x))))


@converts("Sinh")
def sinh(c: Context, x: Value) -> Value:
    return times(c, c.b(Sub(c.b(Exp(x)), c.b(Exp(c.b(Neg(x)))))), 0.5)


@converts("Cosh")
def cosh(c: Context, x: Value) -> Value:
    return times(c, c.b(Add(c.b(Exp(x)), c.b(Exp(c.b(Neg(x)))))), 0.5)


@converts("Asinh")
def asinh(c: Context, x: Value) -> Value:
    """sign(x) * log(|x| + sqrt(x^2 + 1))"""
    size = c.b(Abs(x))
    root = c.b(Sqrt(plus(c, c.b(Mul(x, x)), 1)))
    return c.b(Mul(sign(c, x), c.b(Log(c.b(Add(size, root))))))


@converts("Acosh")
def acosh(c: Context, x: Value) -> Value:
    """log(x + sqrt(x^2 - 1))"""
    return c.b(Log(c.b(Add(x, c.b(Sqrt(plus(c, c.b(Mul(x, x)), -1)))))))


@converts("Atanh")
def atanh(c: Context, x: Value) -> Value:
    """log((1 + x) / (1 - x)) / 2"""
    one = c.const(1, x.type.scalar)
    return times(c, c.b(Log(c.b(Div(c.b(Add(one, x)), c.b(Sub(one, x)))))), 0.5)


converts("Sign")(sign)
converts("Atan")(arctan)
converts("Asin")(arcsin)
converts("Acos")(arccos)
converts("Ceil")(ceil)


@converts("Shrink")
def shrink(c: Context, x: Value, *, bias: float = 0.0, lambd: float = 0.5) -> Value:
    """x - bias above lambd, x + bias below -lambd, else 0."""
    scalar = x.type.scalar
    above = c.b(Compare(x, c.const(lambd, scalar), "gt"))
    below = c.b(Compare(x, c.const(-lambd, scalar), "lt"))
    low = c.b(Where(below, plus(c, x, bias), c.const(0, scalar)))
    return c.b(Where(above, plus(c, x, -bias), low))


@converts("IsNaN")
def is_nan(c: Context, x: Value) -> Value:
    return c.b(Compare(x, x, "ne"))


@converts("IsInf")
def is_inf(c: Context, x: Value, *, detect_negative: int = 1, detect_positive: int = 1) -> Value:
    scalar = x.type.scalar
    bounds = [v for v, wanted in ((math.inf, detect_positive), (-math.inf, detect_negative)) if wanted]
    found = [c.b(Compare(x, c.const(v, scalar), "eq")) for v in bounds]
    if not found:
        return c.b(And(c.b(Compare(x, x, "eq")), c.const(False, BOOL)))
    return found[0] if len(found) == 1 else c.b(Or(*found))


@converts("Clip")
def clip(
    c: Context,
    x: Value,
    low: Value | None = None,
    high: Value | None = None,
    *,
    min: float = -math.inf,
    max: float = math.inf,
) -> Value:
    """Bounds as attributes (until operator set 11) or as inputs."""
    bounds = (low, high)
    known = [c.constant(v) for v in bounds]
    if all(v is None or (k is not None and k.size == 1) for v, k in zip(bounds, known, strict=True)):
        first, last = (d if k is None else float(k.reshape(()).item()) for k, d in zip(known, (min, max), strict=True))
        if first <= last:
            return c.b(_clamped(x, first, last))
    x = x if low is None else c.b(Maximum(x, low))
    return x if high is None else c.b(Minimum(x, high))


def _clamped(x: Value, low: float, high: float) -> Clamp:
    """Bounds of integers outside of their type are none."""
    scalar = x.type.scalar
    if scalar.is_integer:
        low = -math.inf if low <= scalar.min else low
        high = math.inf if high >= scalar.max else high
    return Clamp(x, low, high)


# -- types


@converts("Identity")
def identity(c: Context, x: Value) -> Value:
    return x


@converts("Dropout")
def dropout(
    c: Context,
    x: Value,
    share: Value | None = None,
    training: Value | None = None,
    *,
    seed: int = 0,
    ratio: float = 0.5,
    is_test: int = 1,
) -> tuple[Value, ...]:
    """The values as they are, and a mask that keeps them all."""
    if training is not None and c.single(training, "training_mode"):
        c.unsupported("it drops values at random (training_mode)", "export the model for inference")
    return x, c.b(Expand(c.const(True, BOOL), x.type.shape))


@converts("Cast")
def cast(c: Context, x: Value, *, to: int, saturate: int = 1, round_mode: str = "up") -> Value:
    return to_scalar(c, x, c.scalar(to))


def to_scalar(c: Context, x: Value, scalar: ScalarType) -> Value:
    """The value as another type; a bool says whether it is not 0, and 2 or 4 bits are the lowest ones of a number."""
    if x.type.scalar.is_float and scalar.is_integer and scalar.bits < 8:
        x = c.cast(x, I32)
    return truth(c, x) if scalar == BOOL else c.cast(x, scalar)


@converts("CastLike")
def cast_like(c: Context, x: Value, like: Value, *, saturate: int = 1, round_mode: str = "up") -> Value:
    return to_scalar(c, x, like.type.scalar)


# -- arithmetic


def _arithmetic(operator: str, op: Callable[[Value, Value], Op]) -> None:
    @converts(operator)
    def convert(c: Context, x: Value, y: Value, *, broadcast: int = 0, axis: int | None = None) -> Value:
        return wrapped(c, op, x, y if axis is None else from_axis(c, x, y, axis))


def from_axis(c: Context, x: Value, y: Value, axis: int) -> Value:
    """y so that it broadcasts along the axes of x from one on, as operator sets before 7 say it."""
    behind = x.type.rank - c.axis(axis, x.type.rank) - y.type.rank
    return c.b(Reshape(y, (*y.type.shape, *[1] * behind))) if behind > 0 else y


def wrapped(c: Context, op: Callable[[Value, Value], Op], x: Value, y: Value) -> Value:
    """Arithmetic in the type of the operands: narrow integers are computed in i32 and wrap around."""
    return c.cast(c.b(op(x, y)), x.type.scalar)


for _operator, _binary in {"Add": Add, "Sub": Sub, "Mul": Mul}.items():
    _arithmetic(_operator, _binary)


@converts("Div")
def div(c: Context, x: Value, y: Value, *, broadcast: int = 0) -> Value:
    """Integers are divided towards zero."""
    scalar = x.type.scalar
    if scalar.is_float:
        return c.b(Div(x, y))
    return c.cast(trunc(c, c.b(Div(c.cast(x, F64), c.cast(y, F64)))), scalar)


@converts("Mod")
def mod(c: Context, x: Value, y: Value, *, fmod: int = 0) -> Value:
    """x - whole(x / y) * y: the sign of the divisor, with fmod that of x."""
    scalar = x.type.scalar
    wide = scalar if scalar.is_float and scalar.bits == 64 else F64
    a, b = c.cast(x, wide), c.cast(y, wide)
    return c.cast(rest(c, a, b) if fmod else floored_rest(c, a, b), scalar)


@converts("Pow")
def pow_(c: Context, x: Value, y: Value, *, broadcast: int = 0) -> Value:
    exponent = c.constant(y)
    scalar = x.type.scalar
    if exponent is None or exponent.size != 1:
        return _general_power(c, x, y)
    number = float(exponent.reshape(()).item())
    if not scalar.is_float:
        return _whole_power(c, x, y, number)
    if y.type.rank > x.type.rank:
        x = c.b(Reshape(x, (*[1] * (y.type.rank - x.type.rank), *x.type.shape)))
    known = {1.0: lambda: x, 2.0: lambda: c.b(Mul(x, x)), 0.5: lambda: c.b(Sqrt(x)), -0.5: lambda: c.b(Rsqrt(x))}
    return known[number]() if number in known else c.b(Pow(x, number))


def _whole_power(c: Context, x: Value, y: Value, number: float) -> Value:
    if number != int(number) or not 0 <= number <= 8:
        return _general_power(c, x, y)
    out = c.const(1, x.type.scalar)
    for _ in range(int(number)):
        out = wrapped(c, Mul, out, x)
    return out


def _general_power(c: Context, x: Value, y: Value) -> Value:
    """exp(y * log|x|), with the sign of an odd whole power; NaN for a broken power of a negative number."""
    scalar = x.type.scalar if x.type.scalar.is_float else F64
    base, power = c.cast(x, scalar), c.cast(y, scalar)
    zero, one = c.const(0, scalar), c.const(1, scalar)
    size = c.b(Exp(c.b(Mul(power, c.b(Log(c.b(Abs(base))))))))
    size = c.b(Where(c.b(Compare(power, zero, "eq")), one, size))
    rest = c.b(Sub(power, times(c, c.b(Floor(times(c, power, 0.5))), 2)))
    even, odd = (c.b(Compare(rest, v, "eq")) for v in (zero, one))
    below = c.b(Where(odd, c.b(Neg(size)), c.b(Where(even, size, c.const(math.nan, scalar)))))
    negative = c.b(Compare(base, zero, "lt"))
    out = c.b(Where(negative, below, size))
    return c.cast(out if x.type.scalar.is_float else c.b(Round(out)), x.type.scalar)


def _variadic(operator: str, op: Callable[[Value, Value], Op]) -> None:
    @converts(operator)
    def convert(c: Context, *xs: Value) -> Value:
        return _all(c, op, xs)


def _all(c: Context, op: Callable[[Value, Value], Op], xs: Sequence[Value]) -> Value:
    first, *others = xs
    for x in others:
        first = wrapped(c, op, first, x)
    return first


for _operator, _binary in {"Max": Maximum, "Min": Minimum, "Sum": Add}.items():
    _variadic(_operator, _binary)


@converts("Mean")
def mean_of(c: Context, *xs: Value) -> Value:
    return times(c, _all(c, Add, xs), 1 / len(xs))


# -- comparisons, logic, selection

Relation = Literal["eq", "ne", "lt", "le", "gt", "ge"]
RELATIONS: dict[str, Relation] = {
    "Equal": "eq",
    "Less": "lt",
    "LessOrEqual": "le",
    "Greater": "gt",
    "GreaterOrEqual": "ge",
}


def _comparison(operator: str, how: Relation) -> None:
    @converts(operator)
    def convert(c: Context, x: Value, y: Value, *, broadcast: int = 0) -> Value:
        return c.b(Compare(x, y, how))


for _operator, _how in RELATIONS.items():
    _comparison(_operator, _how)


@converts("Where")
def where(c: Context, condition: Value, x: Value, y: Value) -> Value:
    return c.b(Where(condition, x, y))


# -- reductions


def reduced_axes(c: Context, x: Value, given: Value | None, axes: Sequence[int] | None, noop: int) -> tuple[int, ...]:
    """The axes a reduction runs over, from an attribute or an input; none means all, or with `noop` none."""
    found = tuple(axes or ()) if given is None else c.ints(given, "the axes")
    if not found:
        return () if noop else tuple(range(x.type.rank))
    return tuple(c.axis(a, x.type.rank) for a in found)


Reduce = Callable[[Context, Value, tuple[int, ...], bool], Value]


def _reduction(operator: str, reduce: Reduce) -> None:
    @converts(operator)
    def convert(
        c: Context,
        x: Value,
        given: Value | None = None,
        *,
        axes: Sequence[int] | None = None,
        keepdims: int = 1,
        noop_with_empty_axes: int = 0,
    ) -> Value:
        return reduce(c, x, reduced_axes(c, x, given, axes, noop_with_empty_axes), bool(keepdims))


def _sum(c: Context, x: Value, axes: tuple[int, ...], keep: bool) -> Value:
    return c.cast(c.b(Sum(x, axes, keep)), x.type.scalar)


def _mean(c: Context, x: Value, axes: tuple[int, ...], keep: bool) -> Value:
    if x.type.scalar.is_float:
        return c.b(Mean(x, axes, keep))
    return c.cast(trunc(c, c.b(Mean(c.cast(x, F64), axes, keep))), x.type.scalar)


def _max(c: Context, x: Value, axes: tuple[int, ...], keep: bool) -> Value:
    if any(x.type.shape[a] == 0 for a in axes):
        return _of_nothing(c, x, axes, keep, -math.inf)
    if x.type.scalar == BOOL:
        return truth(c, c.b(Amax(c.cast(x, I32), axes, keep)))
    return c.b(Amax(x, axes, keep))


def _of_nothing(c: Context, x: Value, axes: tuple[int, ...], keep: bool, neutral: float) -> Value:
    """The neutral element of a reduction, where there is nothing to reduce."""
    shape = [1 if i in axes else d for i, d in enumerate(x.type.shape) if keep or i not in axes]
    sizes = [c.number(d, "a size") for d in shape]
    c.countable(math.prod(sizes), "a result")
    scalar = x.type.scalar
    low = neutral if scalar.is_float else scalar.min if neutral < 0 else scalar.max
    return c.b.const(np.full(sizes, low, scalar.dtype), scalar)


def _min(c: Context, x: Value, axes: tuple[int, ...], keep: bool) -> Value:
    """-max(-x); the complement for integers, which has no overflow."""
    scalar = x.type.scalar
    if any(x.type.shape[a] == 0 for a in axes):
        return _of_nothing(c, x, axes, keep, math.inf)
    if scalar == BOOL:
        return c.b(Not(_max(c, c.b(Not(x)), axes, keep)))
    if scalar.is_float:
        return c.b(Neg(c.b(Amax(c.b(Neg(x)), axes, keep))))
    top = c.const(scalar.min + scalar.max, scalar)
    turned = c.cast(c.b(Sub(top, x)), scalar)
    return c.cast(c.b(Sub(top, c.b(Amax(turned, axes, keep)))), scalar)


def _prod(c: Context, x: Value, axes: tuple[int, ...], keep: bool) -> Value:
    for axis in sorted(axes, reverse=True):
        if x.type.shape[axis] == 0:
            return _of_one(c, x, axes, keep)
        x = product_along(c, x, axis)
    shape = tuple(d for i, d in enumerate(x.type.shape) if keep or i not in axes)
    return c.reshape(x, shape)


def _of_one(c: Context, x: Value, axes: tuple[int, ...], keep: bool) -> Value:
    shape = [1 if i in axes else d for i, d in enumerate(x.type.shape) if keep or i not in axes]
    sizes = [c.number(d, "a size") for d in shape]
    c.countable(math.prod(sizes), "a result")
    return c.b.const(np.ones(sizes, x.type.scalar.dtype), x.type.scalar)


def _l1(c: Context, x: Value, axes: tuple[int, ...], keep: bool) -> Value:
    return _sum(c, c.b(Abs(x)), axes, keep)


def _sum_square(c: Context, x: Value, axes: tuple[int, ...], keep: bool) -> Value:
    return _sum(c, wrapped(c, Mul, x, x), axes, keep)


def _l2(c: Context, x: Value, axes: tuple[int, ...], keep: bool) -> Value:
    total = _sum_square(c, x, axes, keep)
    if x.type.scalar.is_float:
        return c.b(Sqrt(total))
    return c.cast(c.b(Sqrt(c.cast(total, F64))), x.type.scalar)


def _log_sum(c: Context, x: Value, axes: tuple[int, ...], keep: bool) -> Value:
    return c.b(Log(_sum(c, x, axes, keep)))


def _log_sum_exp(c: Context, x: Value, axes: tuple[int, ...], keep: bool) -> Value:
    """log(sum(exp(x - max))) + max"""
    if not axes:
        return x
    if any(x.type.shape[a] == 0 for a in axes):
        return _of_nothing(c, x, axes, keep, -math.inf)
    top = c.b(Amax(x, axes, True))
    finite = c.b(Compare(c.b(Abs(top)), c.const(math.inf, x.type.scalar), "lt"))
    shift = c.b(Where(finite, top, c.const(0, x.type.scalar)))
    out = c.b(Add(c.b(Log(c.b(Sum(c.b(Exp(c.b(Sub(x, shift)))), axes, True)))), shift))
    shape = tuple(d for i, d in enumerate(out.type.shape) if keep or i not in axes)
    return c.reshape(out, shape)


for _operator, _reduce in {
    "ReduceSum": _sum,
    "ReduceMean": _mean,
    "ReduceMax": _max,
    "ReduceMin": _min,
    "ReduceProd": _prod,
    "ReduceL1": _l1,
    "ReduceL2": _l2,
    "ReduceSumSquare": _sum_square,
    "ReduceLogSum": _log_sum,
    "ReduceLogSumExp": _log_sum_exp,
}.items():
    _reduction(_operator, _reduce)


@converts("ArgMax")
def argmax(c: Context, x: Value, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Value:
    axis = c.axis(axis, x.type.rank)
    if not select_last_index:
        return c.b(Argmax(x, (axis,), bool(keepdims)))
    last = c.size(x.type.shape[axis])
    found = c.b(Argmax(reversed_along(c, x, axis), (axis,), bool(keepdims)))
    return plus(c, c.b(Sub(last, found)), -1)


@converts("ArgMin")
def argmin(c: Context, x: Value, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Value:
    scalar = x.type.scalar
    turned = c.b(Neg(x)) if scalar.is_float else c.b(Sub(c.const(scalar.max + scalar.min, scalar), x))
    return argmax(c, turned, axis=axis, keepdims=keepdims, select_last_index=select_last_index)


@converts("CumSum")
def cumsum(c: Context, x: Value, axis: Value, *, exclusive: int = 0, reverse: int = 0) -> Value:
    at = c.axis(int(c.single(axis, "the axis")), x.type.rank)
    scalar = x.type.scalar
    x = reversed_along(c, x, at) if reverse else x
    if exclusive:
        before = [int(i == at) for i in range(x.type.rank)]
        x = c.b(Pad(cut(c, x, at, 0, _less_one(c, x, at)), tuple(before), (0,) * x.type.rank))
    out = c.cast(c.b(Cumsum(x, at)), scalar)
    return reversed_along(c, out, at) if reverse else out


def _less_one(c: Context, x: Value, axis: int) -> int:
    return c.number(x.type.shape[axis], "the size of the axis") - 1


def hardmax(c: Context, x: Value, *, axis: int = -1) -> Value:
    """1 at the first of the largest values along an axis, else 0."""
    axis = c.axis(axis, x.type.rank)
    size = c.countable(c.number(x.type.shape[axis], "the size of the axis"), "an axis")
    column = np.arange(size).reshape([-1 if i == axis else 1 for i in range(x.type.rank)])
    return c.cast(c.b(Compare(c.b(Argmax(x, (axis,), True)), c.b.const(column, I64), "eq")), x.type.scalar)


@converts("CumProd")
def cumprod(c: Context, x: Value, axis: Value, *, exclusive: int = 0, reverse: int = 0) -> Value:
    at = c.axis(int(c.single(axis, "the axis")), x.type.rank)
    size = c.number(x.type.shape[at], "the size of the axis")
    x = reversed_along(c, x, at) if reverse else x
    if exclusive and size:
        first = c.b(Expand(c.const(1, x.type.scalar), cut(c, x, at, 0, 1).type.shape))
        x = c.b(Concat((first, cut(c, x, at, 0, size - 1)), at)) if size > 1 else first
    out = running_product(c, x, at)
    return reversed_along(c, out, at) if reverse else out


@converts("TopK")
def topk(c: Context, x: Value, k: Value, *, axis: int = -1, largest: int = 1, sorted: int = 1) -> tuple[Value, Value]:
    """Of equal values the first one comes first."""
    (count,) = c.dims(k, "the number of values")
    return ordered(c, x, count, c.axis(axis, x.type.rank), bool(largest))
