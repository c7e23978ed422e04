"""Elementwise ops and reductions. Narrow integers are computed in 32 bits, as their results are."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from irc.backends.onnx_export.lower.common import centred, lowers, single, widest
from irc.backends.onnx_export.lowering import Lowering, computed_in
from irc.backends.onnx_export.scalars import Kind
from irc.ir.graph import Value
from irc.ir.op import Op
from irc.ir.ops.math import (
    Abs,
    Add,
    Amax,
    Argmax,
    Cast,
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
    Reduction,
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
    Topk,
    Where,
)
from irc.ir.scalars import ScalarType

SAME_NAME: dict[type[Op], str] = {
    Maximum: "Max",
    Minimum: "Min",
    **{op: op.__name__ for op in (Relu, Sigmoid, Tanh, Exp, Log, Sqrt, Sin, Cos, Floor, Round, Neg, Abs)},
    **{op: op.__name__ for op in (Add, Sub, Mul, Div)},
}
COMPARED = {"eq": "Equal", "ne": "Equal", "lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual"}
EXACT_THRESHOLD = 20.0  # above it the logarithm of softplus vanishes in f32


@lowers(Relu, Sigmoid, Tanh, Exp, Log, Sqrt, Sin, Cos, Floor, Round, Neg, Abs)
def lower_unary(cx: Lowering, op: Any) -> str:
    kind = computed_in(op.x.type.scalar)
    return cx.done(op, cx.node(SAME_NAME[type(op)], cx.read(op.x, kind)), kind)


@lowers(Add, Sub, Mul, Div, Maximum, Minimum)
def lower_binary(cx: Lowering, op: Any) -> str:
    kind = widest(op.x, op.y, op.results[0])
    return cx.done(op, cx.node(SAME_NAME[type(op)], cx.read(op.x, kind), cx.read(op.y, kind)), kind)


def _in_single(cx: Lowering, op: Any, formula: Callable[[str], str]) -> str:
    """A function that has a kernel for f32 only."""
    kind = single(cx, op, op.x.type.scalar)
    return cx.done(op, formula(cx.read(op.x, kind)), kind)


@lowers(Erf)
def lower_erf(cx: Lowering, op: Erf) -> str:
    return _in_single(cx, op, lambda x: cx.node("Erf", x))


@lowers(LeakyRelu)
def lower_leaky_relu(cx: Lowering, op: LeakyRelu) -> str:
    return _in_single(cx, op, lambda x: cx.node("LeakyRelu", x, alpha=op.slope))


@lowers(Elu)
def lower_elu(cx: Lowering, op: Elu) -> str:
    return _in_single(cx, op, lambda x: cx.node("Elu", x, alpha=op.alpha))


@lowers(Gelu)
def lower_gelu(cx: Lowering, op: Gelu) -> str:
    return _in_single(cx, op, lambda x: cx.node("Gelu", x, approximate=op.approximate))


@lowers(Softplus)
def lower_softplus(cx: Lowering, op: Softplus) -> str:
    def formula(x: str) -> str:
        beta = cx.const(op.beta, "float")
        scaled = x if op.beta == 1 else cx.node("Mul", x, beta)
        soft = cx.node("Softplus", scaled)
        soft = soft if op.beta == 1 else cx.node("Div", soft, beta)
        if op.threshold >= EXACT_THRESHOLD:
            return soft
        return cx.node("Where", cx.node("Greater", scaled, cx.const(op.threshold, "float")), x, soft)

    return _in_single(cx, op, formula)


@lowers(Silu)
def lower_silu(cx: Lowering, op: Silu) -> str:
    kind = computed_in(op.x.type.scalar)
    x = cx.read(op.x, kind)
    return cx.done(op, cx.node("Mul", x, cx.node("Sigmoid", x)), kind)


@lowers(Hardsigmoid, Hardswish)
def lower_hard(cx: Lowering, op: Hardsigmoid | Hardswish) -> str:
    kind = computed_in(op.x.type.scalar)
    x = cx.read(op.x, kind)
    gate = cx.clip(cx.node("Add", x, cx.const(3, kind)), kind, 0, 6)
    if isinstance(op, Hardswish):
        gate = cx.node("Mul", x, gate)
    return cx.done(op, cx.node("Div", gate, cx.const(6, kind)), kind)


@lowers(Rsqrt)
def lower_rsqrt(cx: Lowering, op: Rsqrt) -> str:
    kind = computed_in(op.x.type.scalar)
    return cx.done(op, cx.node("Reciprocal", cx.node("Sqrt", cx.read(op.x, kind))), kind)


@lowers(Pow)
def lower_pow(cx: Lowering, op: Pow) -> str:
    kind = computed_in(op.x.type.scalar)
    return cx.done(op, cx.node("Pow", cx.read(op.x, kind), cx.const(op.exponent, kind)), kind)


@lowers(Clamp)
def lower_clamp(cx: Lowering, op: Clamp) -> str:
    kind = computed_in(op.x.type.scalar)
    low, high = (None if math.isinf(v) else v for v in (op.lo, op.hi))
    return cx.done(op, cx.clip(cx.read(op.x, kind), kind, low, high), kind)


@lowers(Compare)
def lower_compare(cx: Lowering, op: Compare) -> str:
    kind = computed_in(op.x.type.scalar)
    found = cx.node(COMPARED[op.how], cx.read(op.x, kind), cx.read(op.y, kind))
    return cx.node("Not", found) if op.how == "ne" else found


@lowers(Where)
def lower_where(cx: Lowering, op: Where) -> str:
    kind = computed_in(op.x.type.scalar)
    chosen = cx.node("Where", cx.read(op.condition), cx.read(op.x, kind), cx.read(op.y, kind))
    return cx.done(op, chosen, kind)


# -- casts


@lowers(Cast)
def lower_cast(cx: Lowering, op: Cast) -> str:
    source, target = op.x.type.scalar, op.to.scalar
    if not target.is_integer or source.kind == "bool" or _holds(target, source) or op.to.encoding is not None:
        return cx.done(op, cx.read(op.x), cx.kind(op.x))
    if source.is_float:
        return cx.done(op, truncated(cx, op.x, target), "int64")
    return cx.done(op, wrapped(cx, cx.read(op.x, "int64"), target), "int64")


def _holds(target: ScalarType, source: ScalarType) -> bool:
    return source.is_integer and target.min <= source.min and source.max <= target.max


def wrapped(cx: Lowering, codes: str, target: ScalarType) -> str:
    """The lowest bits of i64 codes: ONNX does not say what a cast makes of codes that do not fit."""
    if target.bits == 64:
        return codes
    low, size = cx.const(target.min, "int64"), cx.const(1 << target.bits, "int64")
    return cx.node("Add", cx.node("Mod", cx.node("Sub", codes, low), size), low)


def truncated(cx: Lowering, x: Value, target: ScalarType) -> str:
    """Floats as i64 in the range of a type: towards zero, saturating, NaN gives 0."""
    wide = cx.read(x, "double")
    number = cx.node("Where", cx.node("IsNaN", wide), cx.const(0, "double"), wide)
    if target.bits < 64:
        return cx.cast(cx.clip(number, "double", target.min, target.max), "double", "int64")
    # f64 cannot hold the highest code, so that is chosen.
    top = np.nextafter(2.0**63, 0)
    codes = cx.cast(cx.clip(number, "double", target.min, float(top)), "double", "int64")
    above = cx.node("GreaterOrEqual", number, cx.const(2.0**63, "double"))
    return cx.node("Where", above, cx.const(target.max, "int64"), codes)


# -- reductions


def _reduced(cx: Lowering, op: Reduction, operator: str, x: str, kind: Kind) -> str:
    axes = op.reduced()
    if not axes:  # which ONNX would read as all
        return cx.done(op, x, kind)
    return cx.done(op, cx.node(operator, x, cx.ints(*axes), keepdims=int(op.keepdims)), kind)


@lowers(Sum)
def lower_sum(cx: Lowering, op: Sum) -> str:
    kind = widest(op.x, op.results[0])
    return _reduced(cx, op, "ReduceSum", centred(cx, op.x, op.x_zp, kind), kind)


@lowers(Mean)
def lower_mean(cx: Lowering, op: Mean) -> str:
    kind = computed_in(op.x.type.scalar)
    return _reduced(cx, op, "ReduceMean", cx.read(op.x, kind), kind)


@lowers(Amax)
def lower_amax(cx: Lowering, op: Amax) -> str:
    kind = computed_in(op.x.type.scalar)
    return _reduced(cx, op, "ReduceMax", cx.read(op.x, kind), kind)


@lowers(Argmax)
def lower_argmax(cx: Lowering, op: Argmax) -> str:
    kind = computed_in(op.x.type.scalar)
    (axis,) = op.reduced()
    if kind == "int64":
        cx.refuse(op, f"onnxruntime has no kernel for {op.x.type.scalar}", "cast to 32 bits in the model")
    return cx.node("ArgMax", cx.read(op.x, kind), axis=axis, keepdims=int(op.keepdims))


@lowers(Topk)
def lower_topk(cx: Lowering, op: Topk) -> str:
    """TopK takes the lowest of equal positions first, and says nothing of NaN."""
    kind = computed_in(op.x.type.scalar)
    x = cx.read(op.x, kind)
    if op.x.type.scalar.is_float:
        x = cx.node("Where", cx.node("IsNaN", x), cx.const(math.inf, kind), x)
    return cx.node("TopK", x, cx.dims.dim(op.shape[-1]), result=1, axis=-1, largest=1, sorted=1)


@lowers(Cumsum)
def lower_cumsum(cx: Lowering, op: Cumsum) -> str:
    kind = widest(op.x, op.results[0])
    return cx.done(op, cx.node("CumSum", centred(cx, op.x, op.x_zp, kind), cx.const(op.axis, "int64")), kind)
