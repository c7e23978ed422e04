"""Elementwise arithmetic on lanes."""

from __future__ import annotations

import math

from irc.backends.cpu_simd.codegen.lanes import Lane
from irc.backends.cpu_simd.kernel import Kernel, register
from irc.backends.cpu_simd.lower.common import ON_ALL, computes
from irc.backends.cpu_simd.lowering import Lowering
from irc.ir.ops.math import (
    Abs,
    Add,
    Cast,
    Clamp,
    Compare,
    Div,
    Floor,
    Hardsigmoid,
    Hardswish,
    LeakyRelu,
    LogicalAnd,
    LogicalNot,
    LogicalOr,
    Maximum,
    Minimum,
    Mul,
    Neg,
    Relu,
    Round,
    Rsqrt,
    Sqrt,
    Sub,
    Where,
)
from irc.ir.scalars import ScalarType


@computes(Add)
def add(cx: Lowering, k: Kernel, op: Add, lanes: list[Lane]) -> Lane:
    x, y = widened(k, op, lanes)
    return x + y


@computes(Sub)
def sub(cx: Lowering, k: Kernel, op: Sub, lanes: list[Lane]) -> Lane:
    x, y = widened(k, op, lanes)
    return x - y


@computes(Mul)
def mul(cx: Lowering, k: Kernel, op: Mul, lanes: list[Lane]) -> Lane:
    x, y = widened(k, op, lanes)
    return x * y


def widened(k: Kernel, op: Add | Sub | Mul, lanes: list[Lane]) -> list[Lane]:
    """Operands in the register of the result: compiled graphs are proved to need no more."""
    kind = register(op.results[0].type.scalar)
    if lanes[0].is_float:
        return lanes
    return [k.f.convert("trunc" if lane.kind == "i64" and kind == "i32" else "sext", lane, kind) for lane in lanes]


@computes(Div)
def div(cx: Lowering, k: Kernel, op: Div, lanes: list[Lane]) -> Lane:
    return lanes[0] / lanes[1]


@computes(Maximum)
def maximum(cx: Lowering, k: Kernel, op: Maximum, lanes: list[Lane]) -> Lane:
    return larger(k, *lanes)


@computes(Minimum)
def minimum(cx: Lowering, k: Kernel, op: Minimum, lanes: list[Lane]) -> Lane:
    return smaller(k, *lanes)


def larger(k: Kernel, x: Lane, y: Lane) -> Lane:
    """The larger of two numbers; NaN if one is, as NumPy has it."""
    return k.f.intrinsic("maximum", x, y) if x.is_float else k.f.smax(x, y)


def smaller(k: Kernel, x: Lane, y: Lane) -> Lane:
    return k.f.intrinsic("minimum", x, y) if x.is_float else k.f.smin(x, y)


@computes(Relu)
def relu(cx: Lowering, k: Kernel, op: Relu, lanes: list[Lane]) -> Lane:
    x = lanes[0]
    return k.f.select(x.compare("ult", 0.0), k.f.const(0.0, x.kind, x.lanes), x)


@computes(LeakyRelu)
def leaky_relu(cx: Lowering, k: Kernel, op: LeakyRelu, lanes: list[Lane]) -> Lane:
    x = lanes[0]
    return k.f.select(x.compare("ogt", 0.0), x, x * op.slope)


@computes(Hardsigmoid)
def hardsigmoid(cx: Lowering, k: Kernel, op: Hardsigmoid, lanes: list[Lane]) -> Lane:
    return clipped(k, lanes[0] + 3.0, 0.0, 6.0) / 6.0


@computes(Hardswish)
def hardswish(cx: Lowering, k: Kernel, op: Hardswish, lanes: list[Lane]) -> Lane:
    return lanes[0] * clipped(k, lanes[0] + 3.0, 0.0, 6.0) / 6.0


@computes(Clamp)
def clamp(cx: Lowering, k: Kernel, op: Clamp, lanes: list[Lane]) -> Lane:
    x = lanes[0]
    if x.is_float:
        return clipped(k, x, op.lo, op.hi)
    scalar: ScalarType = op.x.type.scalar
    low = scalar.min if math.isinf(op.lo) else int(op.lo)
    return k.f.clamp(x, low, scalar.max if math.isinf(op.hi) else int(op.hi))


def clipped(k: Kernel, x: Lane, low: float, high: float) -> Lane:
    """Floats between two bounds; NaN stays."""
    f = k.f
    if low > -math.inf:
        x = f.select(x.compare("olt", low), f.const(low, x.kind, x.lanes), x)
    if high < math.inf:
        x = f.select(x.compare("ogt", high), f.const(high, x.kind, x.lanes), x)
    return x


@computes(Neg)
def neg(cx: Lowering, k: Kernel, op: Neg, lanes: list[Lane]) -> Lane:
    return k.f.neg(lanes[0])


@computes(Abs)
def absolute(cx: Lowering, k: Kernel, op: Abs, lanes: list[Lane]) -> Lane:
    x = lanes[0]
    return k.f.intrinsic("fabs", x) if x.is_float else k.f.smax(x, k.f.neg(x))


@computes(Sqrt)
def sqrt(cx: Lowering, k: Kernel, op: Sqrt, lanes: list[Lane]) -> Lane:
    return k.f.intrinsic("sqrt", lanes[0])


@computes(Rsqrt)
def rsqrt(cx: Lowering, k: Kernel, op: Rsqrt, lanes: list[Lane]) -> Lane:
    x = lanes[0]
    return k.f.const(1.0, x.kind, x.lanes) / k.f.intrinsic("sqrt", x)


@computes(Floor)
def floor(cx: Lowering, k: Kernel, op: Floor, lanes: list[Lane]) -> Lane:
    return k.f.intrinsic("floor", lanes[0])


@computes(Round)
def round_(cx: Lowering, k: Kernel, op: Round, lanes: list[Lane]) -> Lane:
    return k.f.intrinsic("rint", lanes[0])


COMPARISONS = {
    "eq": ("oeq", "eq"),
    "ne": ("une", "ne"),
    "lt": ("olt", "slt"),
    "le": ("ole", "sle"),
    "gt": ("ogt", "sgt"),
    "ge": ("oge", "sge"),
}
"""Of floats, and of integers; u32 is computed in i64, so every integer is signed. False < true needs unsigned."""


@computes(Compare)
def compare(cx: Lowering, k: Kernel, op: Compare, lanes: list[Lane]) -> Lane:
    x, y = lanes
    on_floats, on_integers = COMPARISONS[op.how]
    if x.kind == "i1":
        on_integers = on_integers.replace("s", "u") if on_integers[0] == "s" else on_integers
    return x.compare(on_floats if x.is_float else on_integers, y)


@computes(LogicalAnd, lanes=ON_ALL)
def logical_and(cx: Lowering, k: Kernel, op: LogicalAnd, lanes: list[Lane]) -> Lane:
    return lanes[0] & lanes[1]


@computes(LogicalOr, lanes=ON_ALL)
def logical_or(cx: Lowering, k: Kernel, op: LogicalOr, lanes: list[Lane]) -> Lane:
    return lanes[0] | lanes[1]


@computes(LogicalNot, lanes=ON_ALL)
def logical_not(cx: Lowering, k: Kernel, op: LogicalNot, lanes: list[Lane]) -> Lane:
    return lanes[0] ^ 1


@computes(Where, lanes=ON_ALL)
def where(cx: Lowering, k: Kernel, op: Where, lanes: list[Lane]) -> Lane:
    condition, x, y = lanes
    return k.f.select(condition, x, y)


@computes(Cast)
def cast(cx: Lowering, k: Kernel, op: Cast, lanes: list[Lane]) -> Lane:
    return converted(k, lanes[0], op.x.type.scalar, op.to.scalar)


def converted(k: Kernel, x: Lane, source: ScalarType, target: ScalarType) -> Lane:
    """Lanes of one type as another: floats truncate and saturate, integers wrap, bool is x != 0."""
    f, kind = k.f, register(target)
    if target.kind == "bool":
        return x if source.kind == "bool" else x.compare("une" if x.is_float else "ne", 0)
    if x.is_float and target.is_float:
        return f.convert("fpext" if kind == "double" else "fptrunc", x, kind)
    if target.is_float:
        return f.convert("uitofp" if source.kind == "bool" else "sitofp", x, kind)
    if x.is_float:
        wide = f.call(f"llvm.fptosi.sat.{_suffix(x, 'i64')}.{_suffix(x)}", "i64", x.lanes, x)
        return f.convert("trunc", f.clamp(wide, target.min, target.max), kind)
    if source.kind == "bool":
        return f.convert("zext", x, kind)
    wide = f.convert("sext", x, "i64")
    unused = 64 - target.bits
    wrapped = (wide << unused) >> unused if target.signed else wide & ((1 << target.bits) - 1)
    return f.convert("trunc", wrapped, kind)


def _suffix(x: Lane, kind: str = "") -> str:
    name = kind or {"float": "f32", "double": "f64"}[x.kind]
    return name if x.lanes == 1 else f"v{x.lanes}{name}"
