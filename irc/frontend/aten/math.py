"""Elementwise functions, arithmetic, comparisons and reductions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

from irc.frontend.aten.table import converts
from irc.frontend.building import Building
from irc.frontend.composed.math import (
    arccos,
    arcsin,
    arctan,
    arctan2,
    ceil,
    cosh,
    expm1,
    floor,
    floored_rest,
    numbers,
    plus,
    positive,
    product_along,
    rest,
    running_product,
    sign,
    sinh,
    times,
    trunc,
    truth,
)
from irc.frontend.composed.tensor import of_vectors
from irc.frontend.context import Context, Number, promote
from irc.ir.dims import product
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
    Hardsigmoid,
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
from irc.ir.ops.tensor import Expand, Reshape
from irc.ir.scalars import BOOL, F64, I64, ScalarType

# -- functions of one element


def _unary(target: str, function: Callable[[Context, Value], Value]) -> None:
    @converts(f"{target}.default")
    def convert(c: Context, x: Value) -> Value:
        return function(c, c.cast(x, c.type.scalar))


def _of(op: Callable[[Value], Op]) -> Callable[[Context, Value], Value]:
    return lambda c, x: c.b(op(x))


for _target, _op in {
    "sigmoid": Sigmoid,
    "silu": Silu,
    "hardsigmoid": Hardsigmoid,
    "hardswish": Hardswish,
    "tanh": Tanh,
    "exp": Exp,
    "log": Log,
    "sqrt": Sqrt,
    "rsqrt": Rsqrt,
    "erf": Erf,
    "special_erf": Erf,
    "sin": Sin,
    "cos": Cos,
    "neg": Neg,
    "abs": Abs,
}.items():
    _unary(_target, _of(_op))

for _target, _function in {"acos": arccos, "asin": arcsin, "atan": arctan, "cosh": cosh, "sinh": sinh}.items():
    _unary(_target, _function)


@converts("relu.default")
def relu(c: Context, x: Value) -> Value:
    return c.b(Relu(x) if x.type.scalar.is_float else Clamp(x, 0.0))


@converts("relu6.default")
def relu6(c: Context, x: Value) -> Value:
    return c.b(Clamp(x, 0.0, 6.0))


@converts("hardtanh.default")
def hardtanh(c: Context, x: Value, low: Number, high: Number) -> Value:
    return c.b(Clamp(x, float(low), float(high)))


@converts("leaky_relu.default")
def leaky_relu(c: Context, x: Value, slope: Number) -> Value:
    return c.b(LeakyRelu(x, float(slope)))


@converts("gelu.default")
def gelu(c: Context, x: Value, approximate: Literal["none", "tanh"]) -> Value:
    return c.b(Gelu(x, approximate))


@converts("softplus.default")
def softplus(c: Context, x: Value, beta: Number, threshold: Number) -> Value:
    return c.b(Softplus(x, float(beta), float(threshold)))


@converts("elu.default")
def elu(c: Context, x: Value, alpha: Number, scale: Number, input_scale: Number) -> Value:
    if input_scale != 1:
        x = times(c, x, input_scale)
    return times(c, c.b(Elu(x, float(alpha))), scale)


@converts("celu.default")
def celu(c: Context, x: Value, alpha: Number) -> Value:
    """alpha * (exp(x / alpha) - 1) below 0."""
    return c.b(Maximum(c.b(Elu(times(c, x, 1 / alpha), 1.0)), x)) if alpha == 1 else _celu(c, x, float(alpha))


def _celu(c: Context, x: Value, alpha: float) -> Value:
    below = times(c, c.b(Elu(times(c, x, 1 / alpha), 1.0)), alpha)
    return c.b(Where(positive(c, x), x, below))


@converts("selu.default")
def selu(c: Context, x: Value) -> Value:
    """Klambauer et al., 2017."""
    return times(c, c.b(Elu(x, 1.6732632423543772)), 1.0507009873554805)


@converts("mish.default")
def mish(c: Context, x: Value) -> Value:
    return c.b(Mul(x, c.b(Tanh(c.b(Softplus(x))))))


@converts("log_sigmoid_forward.default")
def log_sigmoid(c: Context, x: Value) -> tuple[Value, ...]:
    """-log(1 + exp(-x)), which is x once exp(x) vanishes beside 1, in f64 too."""
    return (c.b(Neg(c.b(Softplus(c.b(Neg(x)), 1.0, 40.0)))),)


@converts("threshold.default")
def threshold(c: Context, x: Value, bound: Number, value: Number) -> Value:
    above = c.b(Compare(x, c.const(bound, x.type.scalar), "gt"))
    return c.b(Where(above, x, c.const(value, x.type.scalar)))


@converts("prelu.default", "_prelu_kernel.default")
def prelu(c: Context, x: Value, weight: Value) -> Value:
    """One slope for all, or one a channel (axis 1)."""
    if weight.type.rank == 1 and x.type.rank != 1:
        column = (1, weight.type.shape[0], *[1] * (x.type.rank - 2)) if x.type.rank else ()
        weight = c.b(Reshape(weight, column))
    return c.b(Where(positive(c, x), x, c.b(Mul(x, weight))))


@converts("reciprocal.default")
def reciprocal(c: Context, x: Value) -> Value:
    scalar = c.type.scalar
    return c.b(Div(c.const(1, scalar), c.cast(x, scalar)))


@converts("square.default")
def square(c: Context, x: Value) -> Value:
    return mul(c, x, x)


@converts("log1p.default")
def log1p(c: Context, x: Value) -> Value:
    return c.b(Log(plus(c, c.cast(x, c.type.scalar), 1)))


@converts("expm1.default")
def expm1_of(c: Context, x: Value) -> Value:
    return expm1(c, c.cast(x, c.type.scalar))


@converts("log2.default")
def log2(c: Context, x: Value) -> Value:
    return times(c, c.b(Log(c.cast(x, c.type.scalar))), 1 / math.log(2))


@converts("log10.default")
def log10(c: Context, x: Value) -> Value:
    return times(c, c.b(Log(c.cast(x, c.type.scalar))), 1 / math.log(10))


@converts("exp2.default")
def exp2(c: Context, x: Value) -> Value:
    return c.b(Exp(times(c, c.cast(x, c.type.scalar), math.log(2))))


@converts("tan.default")
def tan(c: Context, x: Value) -> Value:
    x = c.cast(x, c.type.scalar)
    return c.b(Div(c.b(Sin(x)), c.b(Cos(x))))


@converts("atan2.default")
def atan2(c: Context, y: Value, x: Value) -> Value:
    return arctan2(c, *_both(c, y, x))


converts("floor.default")(floor)


@converts("round.default")
def round_(c: Context, x: Value) -> Value:
    return c.b(Round(x)) if x.type.scalar.is_float else x


converts("ceil.default")(ceil)


converts("trunc.default")(trunc)


converts("sign.default", "sgn.default")(sign)


@converts("isnan.default")
def isnan(c: Context, x: Value) -> Value:
    return c.b(Compare(x, x, "ne"))


@converts("isinf.default")
def isinf(c: Context, x: Value) -> Value:
    if not x.type.scalar.is_float:
        return c.b(Compare(x, x, "ne"))
    return c.b(Compare(c.b(Abs(x)), c.const(math.inf, x.type.scalar), "eq"))


# -- arithmetic


def _both(c: Context, x: Value | Number, y: Value | Number) -> tuple[Value, Value]:
    """Two operands in the type of the result."""
    scalar = c.type.scalar
    return c.operand(x, scalar), c.operand(y, scalar)


def _arithmetic(c: Context, op: Callable[[Value, Value], Op], x: Value | Number, y: Value | Number) -> Value:
    # Narrow integers are computed in i32 and wrap around, as torch's do.
    return c.cast(c.b(op(*_both(c, x, y))), c.type.scalar)


@converts("add.Tensor", "add.Scalar")
def add(c: Context, x: Value, y: Value | Number, alpha: Number) -> Value:
    if c.type.scalar == BOOL:
        return c.b(Or(*_both(c, x, y)))
    return _arithmetic(c, Add, x, _scaled(c, y, alpha))


@converts("sub.Tensor", "sub.Scalar")
def sub(c: Context, x: Value, y: Value | Number, alpha: Number) -> Value:
    return _arithmetic(c, Sub, x, _scaled(c, y, alpha))


@converts("rsub.Scalar", "rsub.Tensor")
def rsub(c: Context, x: Value, y: Value | Number, alpha: Number) -> Value:
    return _arithmetic(c, Sub, y, _scaled(c, x, alpha))


def _scaled(c: Context, y: Value | Number, alpha: Number) -> Value | Number:
    if alpha == 1:
        return y
    return times(c, c.cast(y, c.type.scalar), alpha) if isinstance(y, Value) else y * alpha


@converts("mul.Tensor", "mul.Scalar")
def mul(c: Context, x: Value, y: Value | Number) -> Value:
    if c.type.scalar == BOOL:
        return c.b(And(*_both(c, x, y)))
    return _arithmetic(c, Mul, x, y)


@converts("div.Tensor", "div.Scalar", "true_divide.Tensor")
def div(c: Context, x: Value, y: Value | Number) -> Value:
    return _arithmetic(c, Div, x, y)


@converts("div.Tensor_mode", "div.Scalar_mode")
def div_mode(c: Context, x: Value, y: Value | Number, mode: str | None) -> Value:
    if mode is None:
        return div(c, x, y)
    return _rounded(c, x, y, floor if mode == "floor" else trunc)


@converts("floor_divide.default", "floor_divide.Scalar")
def floor_divide(c: Context, x: Value, y: Value | Number) -> Value:
    return _rounded(c, x, y, floor)


def _quotient(c: Context, x: Value | Number, y: Value | Number) -> tuple[Value, Value]:
    """Both operands in a float type that holds them: integers below 2^53 stay exact in f64."""
    scalar = c.type.scalar if c.type.scalar.is_float else F64
    return c.operand(x, scalar), c.operand(y, scalar)


def _rounded(c: Context, x: Value | Number, y: Value | Number, rounding: Callable[[Building, Value], Value]) -> Value:
    return c.cast(rounding(c, c.b(Div(*_quotient(c, x, y)))), c.type.scalar)


@converts("remainder.Tensor", "remainder.Scalar")
def remainder(c: Context, x: Value, y: Value | Number) -> Value:
    """x - floor(x / y) * y: the sign of y."""
    return c.cast(floored_rest(c, *_quotient(c, x, y)), c.type.scalar)


@converts("fmod.Tensor", "fmod.Scalar")
def fmod(c: Context, x: Value, y: Value | Number) -> Value:
    """x - trunc(x / y) * y: the sign of x."""
    return c.cast(rest(c, *_quotient(c, x, y)), c.type.scalar)


@converts("pow.Tensor_Scalar")
def pow_scalar(c: Context, x: Value, exponent: Number) -> Value:
    x = c.cast(x, c.type.scalar)
    if exponent == 2:
        return c.cast(c.b(Mul(x, x)), c.type.scalar)
    if not c.type.scalar.is_float:
        c.unsupported(f"power {exponent} of {x.type.scalar}", "cast to float")
    if exponent == 0.5:
        return c.b(Sqrt(x))
    if exponent == -0.5:
        return c.b(Rsqrt(x))
    return c.b(Pow(x, float(exponent)))


@converts("pow.Scalar")
def pow_of_number(c: Context, base: Number, x: Value) -> Value:
    if not c.type.scalar.is_float or base <= 0:
        c.unsupported(f"{base} to a power", "use exp")
    return c.b(Exp(times(c, c.cast(x, c.type.scalar), math.log(base))))


@converts("pow.Tensor_Tensor")
def pow_of_tensors(c: Context, x: Value, y: Value) -> Value:
    """exp(y * log|x|), negative for a negative base and an odd power; NaN where such a power is not whole."""
    scalar = c.type.scalar
    if not scalar.is_float:
        c.unsupported(f"powers of {scalar}", "cast to float")
    x, y = c.cast(x, scalar), c.cast(y, scalar)
    zero, one, nan = (c.const(v, scalar) for v in (0.0, 1.0, math.nan))
    size = c.b(Exp(c.b(Mul(y, c.b(Log(c.b(Abs(x))))))))
    size = c.b(Where(c.b(Compare(y, zero, "eq")), one, size))
    half = c.b(Mul(y, c.const(0.5, scalar)))
    even = c.b(Compare(c.b(Floor(half)), half, "eq"))
    whole = c.b(Compare(c.b(Floor(y)), y, "eq"))
    signed = c.b(Where(even, size, c.b(Where(whole, c.b(Neg(size)), nan))))
    return c.b(Where(c.b(Compare(x, zero, "lt")), signed, size))


@converts("maximum.default", "max.other", "fmax.default")
def maximum(c: Context, x: Value, y: Value) -> Value:
    return c.b(Or(x, y) if c.type.scalar == BOOL else Maximum(*_both(c, x, y)))


@converts("minimum.default", "min.other", "fmin.default")
def minimum(c: Context, x: Value, y: Value) -> Value:
    return c.b(And(x, y) if c.type.scalar == BOOL else Minimum(*_both(c, x, y)))


@converts("clamp.default")
def clamp(c: Context, x: Value, low: Number | None, high: Number | None) -> Value:
    bounds = (-math.inf if low is None else float(low), math.inf if high is None else float(high))
    return c.b(Clamp(c.cast(x, c.type.scalar), *bounds))


@converts("clamp_min.default")
def clamp_min(c: Context, x: Value, low: Number) -> Value:
    return clamp(c, x, low, None)


@converts("clamp_max.default")
def clamp_max(c: Context, x: Value, high: Number) -> Value:
    return clamp(c, x, None, high)


@converts("clamp.Tensor")
def clamp_tensor(c: Context, x: Value, low: Value | None, high: Value | None) -> Value:
    x = x if low is None else maximum(c, x, low)
    return x if high is None else minimum(c, x, high)


@converts("clamp_min.Tensor")
def clamp_min_tensor(c: Context, x: Value, low: Value) -> Value:
    return maximum(c, x, low)


@converts("clamp_max.Tensor")
def clamp_max_tensor(c: Context, x: Value, high: Value) -> Value:
    return minimum(c, x, high)


@converts("addcmul.default")
def addcmul(c: Context, x: Value, a: Value, b: Value, value: Number) -> Value:
    return c.b(Add(x, times(c, c.b(Mul(a, b)), value)))


@converts("addcdiv.default")
def addcdiv(c: Context, x: Value, a: Value, b: Value, value: Number) -> Value:
    return c.b(Add(x, times(c, c.b(Div(a, b)), value)))


@converts("lerp.Scalar")
def lerp(c: Context, x: Value, y: Value, weight: Number) -> Value:
    return c.b(Add(x, times(c, c.b(Sub(y, x)), weight)))


@converts("lerp.Tensor")
def lerp_tensor(c: Context, x: Value, y: Value, weight: Value) -> Value:
    return c.b(Add(x, c.b(Mul(weight, c.b(Sub(y, x))))))


# -- comparisons, logic, selection


Relation: TypeAlias = Literal["eq", "ne", "lt", "le", "gt", "ge"]
RELATIONS: tuple[Relation, ...] = ("eq", "ne", "lt", "le", "gt", "ge")


def _comparison(how: Relation) -> None:
    @converts(f"{how}.Tensor", f"{how}.Scalar")
    def convert(c: Context, x: Value, y: Value | Number) -> Value:
        scalar = promote(x, y)
        a, b = c.operand(x, scalar), c.operand(y, scalar)
        if scalar == BOOL and how not in ("eq", "ne"):
            a, b = c.cast(a, I64), c.cast(b, I64)
        return c.b(Compare(a, b, how))


for _how in RELATIONS:
    _comparison(_how)


@converts("where.self", "where.ScalarSelf", "where.ScalarOther", "where.Scalar")
def where(c: Context, condition: Value, x: Value | Number, y: Value | Number) -> Value:
    return c.b(Where(condition, *_both(c, x, y)))


@converts("masked_fill.Scalar", "masked_fill.Tensor")
def masked_fill(c: Context, x: Value, mask: Value, value: Value | Number) -> Value:
    return c.b(Where(mask, c.operand(value, c.type.scalar), x))


# -- reductions


def _axes(x: Value, axes: Sequence[int] | int | None) -> tuple[int, ...]:
    """The axes a reduction runs over; none given means all, and a number has none."""
    if axes is None or not x.type.rank:
        return tuple(range(x.type.rank))
    given = (axes,) if isinstance(axes, int) else tuple(axes)
    return given or tuple(range(x.type.rank))


@converts("sum.dim_IntList")
def sum_(c: Context, x: Value, axes: Sequence[int] | None, keepdims: bool, dtype: Any) -> Value:
    return c.cast(c.b(Sum(c.cast(x, c.type.scalar), _axes(x, axes), keepdims)), c.type.scalar)


@converts("sum.default")
def sum_all(c: Context, x: Value, dtype: Any) -> Value:
    return sum_(c, x, None, False, dtype)


@converts("mean.dim")
def mean(c: Context, x: Value, axes: Sequence[int] | None, keepdims: bool, dtype: Any) -> Value:
    return c.b(Mean(c.cast(x, c.type.scalar), _axes(x, axes), keepdims))


@converts("mean.default")
def mean_all(c: Context, x: Value, dtype: Any) -> Value:
    return mean(c, x, None, False, dtype)


@converts("prod.dim_int")
def prod(c: Context, x: Value, axis: int, keepdims: bool, dtype: Any) -> Value:
    x = c.cast(x, c.type.scalar)
    if 0 in x.type.shape:
        return c.b(Expand(c.const(1, c.type.scalar), c.type.shape))
    return c.b(Reshape(product_along(c, x, axis % x.type.rank) if x.type.rank else x, c.type.shape))


@converts("prod.default")
def prod_all(c: Context, x: Value, dtype: Any) -> Value:
    return prod(c, c.b(Reshape(x, (product(x.type.shape),))), 0, False, dtype)


@converts("amax.default")
def amax(c: Context, x: Value, axes: Sequence[int], keepdims: bool) -> Value:
    return to_scalar(c, c.b(Amax(numbers(c, x), _axes(x, axes), keepdims)), x.type.scalar)


@converts("amin.default")
def amin(c: Context, x: Value, axes: Sequence[int], keepdims: bool) -> Value:
    return to_scalar(c, c.b(Neg(c.b(Amax(c.b(Neg(numbers(c, x))), _axes(x, axes), keepdims)))), x.type.scalar)


@converts("max.default")
def max_all(c: Context, x: Value) -> Value:
    return amax(c, x, (), False)


@converts("min.default")
def min_all(c: Context, x: Value) -> Value:
    return amin(c, x, (), False)


@converts("max.dim")
def max_dim(c: Context, x: Value, axis: int, keepdims: bool) -> tuple[Value, ...]:
    return amax(c, x, (axis,), keepdims), argmax(c, x, axis, keepdims)


@converts("min.dim")
def min_dim(c: Context, x: Value, axis: int, keepdims: bool) -> tuple[Value, ...]:
    return amin(c, x, (axis,), keepdims), argmin(c, x, axis, keepdims)


@converts("argmax.default")
def argmax(c: Context, x: Value, axis: int | None, keepdims: bool) -> Value:
    x = numbers(c, x)
    if axis is not None and x.type.rank:
        return c.b(Argmax(x, (axis,), keepdims))
    flat = c.b(Reshape(x, (product(x.type.shape),)))
    first = c.b(Argmax(flat, (0,)))
    return c.b(Reshape(first, (1,) * x.type.rank)) if keepdims else first


@converts("argmin.default")
def argmin(c: Context, x: Value, axis: int | None, keepdims: bool) -> Value:
    return argmax(c, c.b(Neg(numbers(c, x))), axis, keepdims)


@converts("any.dim", "any.dims")
def any_(c: Context, x: Value, axes: Sequence[int] | int | None, keepdims: bool) -> Value:
    ones = c.cast(truth(c, x), I64)
    return truth(c, c.b(Amax(ones, _axes(x, axes), keepdims)))


@converts("any.default", "_is_any_true.default")
def any_all(c: Context, x: Value) -> Value:
    return any_(c, x, None, False)


@converts("all.dim", "all.dims")
def all_(c: Context, x: Value, axes: Sequence[int] | int | None, keepdims: bool) -> Value:
    return c.b(Not(any_(c, c.b(Not(truth(c, x))), axes, keepdims)))


@converts("all.default", "_is_all_true.default")
def all_all(c: Context, x: Value) -> Value:
    return all_(c, x, None, False)


@converts("var.correction", "std.correction")
def variance(c: Context, x: Value, axes: Sequence[int] | None, correction: Number | None, keepdims: bool) -> Value:
    """sum((x - mean)^2) / (n - correction); its root for std."""
    over = _axes(x, axes)
    count = c.number(product(tuple(x.type.shape[a] for a in over)), "the number of elements")
    centred = c.b(Sub(x, c.b(Mean(x, over, True))))
    total = c.b(Sum(c.b(Mul(centred, centred)), over, keepdims))
    free = count - (1 if correction is None else correction)
    out = times(c, total, 1 / free if free > 0 else math.inf)
    return c.b(Sqrt(out)) if c.target.startswith("aten.std") else out


@converts("var_mean.correction")
def variance_and_mean(
    c: Context, x: Value, axes: Sequence[int] | None, correction: Number | None, keepdims: bool
) -> tuple[Value, ...]:
    return variance(c, x, axes, correction, keepdims), c.b(Mean(x, _axes(x, axes), keepdims))


@converts("_cdist_forward.default")
def cdist(c: Context, x: Value, y: Value, p: Number, mode: int | None) -> Value:
    """(sum |x_i - y_j|^p)^(1/p) of all rows of x and y; of p = 0 how many places differ, of infinity the largest."""
    *front, rows, size = x.type.shape
    *behind, others, _ = y.type.shape
    apart = c.b(Sub(c.b(Reshape(x, (*front, rows, 1, size))), c.b(Reshape(y, (*behind, 1, others, size)))))
    apart, last = c.b(Abs(apart)), (apart.type.rank - 1,)
    if p == 0:
        return c.b(Sum(c.cast(truth(c, apart), c.type.scalar), last))
    if p == math.inf:
        return c.b(Amax(apart, last))
    if p == 1:
        return c.b(Sum(apart, last))
    if p == 2:
        return c.b(Sqrt(c.b(Sum(c.b(Mul(apart, apart)), last))))
    return c.b(Pow(c.b(Sum(c.b(Pow(apart, float(p))), last)), 1 / p))


@converts("cumsum.default")
@of_vectors
def cumsum(c: Context, x: Value, axis: int, dtype: Any) -> Value:
    return c.b(Cumsum(c.cast(x, c.type.scalar), axis))


@converts("cumprod.default")
@of_vectors
def cumprod(c: Context, x: Value, axis: int, dtype: Any) -> Value:
    return running_product(c, c.cast(x, c.type.scalar), axis % x.type.rank)


def to_scalar(c: Context, x: Value, scalar: ScalarType) -> Value:
    """A cast; to bool means 'is not zero'."""
    return truth(c, x) if scalar == BOOL else c.cast(x, scalar)
