"""Elementwise arithmetic on lanes, and reductions."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from irc.backends.cpu_simd.codegen import functions
from irc.backends.cpu_simd.codegen.lanes import BITS, Lane
from irc.backends.cpu_simd.kernel import Axis, Kernel, merged, register
from irc.backends.cpu_simd.lower.common import ON_ALL, computes, lowers
from irc.backends.cpu_simd.lowering import Lowering
from irc.backends.cpu_simd.parts import Part, loops, sizes_of
from irc.backends.cpu_simd.rows import Accumulators, Row, Spot, lower_rows, sums
from irc.backends.cpu_simd.views import View
from irc.backends.regions import Region
from irc.ir.dims import product
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
    return k.f.select(x.compare("olt", 0.0), k.f.const(0.0, x.kind, x.lanes), x)


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


FUNCTIONS: dict[type[Op], Callable[[Lane], Lane]] = {
    Exp: functions.exp,
    Log: functions.log,
    Tanh: functions.tanh,
    Sigmoid: functions.sigmoid,
    Erf: functions.erf,
    Sin: functions.sin,
    Cos: functions.cos,
}


@computes(*FUNCTIONS)
def function(cx: Lowering, k: Kernel, op: Op, lanes: list[Lane]) -> Lane:
    return FUNCTIONS[type(op)](lanes[0])


@computes(Silu)
def silu(cx: Lowering, k: Kernel, op: Silu, lanes: list[Lane]) -> Lane:
    return lanes[0] * functions.sigmoid(lanes[0])


@computes(Gelu)
def gelu(cx: Lowering, k: Kernel, op: Gelu, lanes: list[Lane]) -> Lane:
    return functions.gelu_tanh(lanes[0]) if op.approximate == "tanh" else functions.gelu(lanes[0])


@computes(Softplus)
def softplus(cx: Lowering, k: Kernel, op: Softplus, lanes: list[Lane]) -> Lane:
    x = lanes[0]
    scaled = x * op.beta
    grown = functions.log1p(functions.exp(functions.at_most(scaled, op.threshold))) / op.beta
    return k.f.select(scaled.compare("ogt", op.threshold), x, grown)


@computes(Elu)
def elu(cx: Lowering, k: Kernel, op: Elu, lanes: list[Lane]) -> Lane:
    x = lanes[0]
    return k.f.select(x.compare("ogt", 0.0), x, functions.expm1(functions.at_most(x, 0.0)) * op.alpha)


@computes(Pow)
def pow_(cx: Lowering, k: Kernel, op: Pow, lanes: list[Lane]) -> Lane:
    x = lanes[0]
    exponent = np.float32(op.exponent) if x.kind == "float" else op.exponent
    return functions.power(x, float(exponent))


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
    return f.convert("trunc", wrapped(f.convert("sext", x, "i64"), target), kind)


def wrapped(x: Lane, target: ScalarType) -> Lane:
    """The lowest bits of integers as a code of a type."""
    unused = BITS[x.kind] - target.bits
    if not unused:
        return x
    return (x << unused) >> unused if target.signed else x & ((1 << target.bits) - 1)


def _suffix(x: Lane, kind: str = "") -> str:
    name = kind or {"float": "f32", "double": "f64"}[x.kind]
    return name if x.lanes == 1 else f"v{x.lanes}{name}"


def lower_reduction(cx: Lowering, region: Region, reduce: Callable[[Reduction, View, Row], Lane]) -> None:
    """A kernel of one result a row."""
    op = region.anchor
    assert isinstance(op, Reduction)
    x, reduced = cx.view(op.x), op.reduced()

    def spread(view: View) -> View:
        """A view of the result as one of the operand, of which every element of a row is the same."""
        strides = list(view.strides)
        for axis in reduced:
            strides[axis : axis + op.keepdims] = [0]
        return View(view.buffer, x.shape, tuple(strides), view.offset)

    lower_rows(cx, region, x, reduced, lambda row: row.spot.finish(reduce(op, x, row)), arrange=spread)


@lowers(Sum, epilogue=True)
def lower_sum(cx: Lowering, region: Region) -> None:
    lower_reduction(cx, region, lambda op, x, row: total(op, x, row))


def total(op: Reduction, x: View, row: Row) -> Lane:
    """The sum of a row: of floats in f64, of integers exact where the result fits, as it is proved to."""
    f, scalar = row.rows.k.f, op.results[0].type.scalar
    if op.x.type.scalar.is_float:
        start = [f.const(0.0, "double")]
        (found,) = row.fold(start, lambda spot, acc: [acc[0] + f.convert("fpext", spot.read(x), "double")], sums)
        return f.convert("fptrunc", found, register(scalar))
    zp, kind = op.x_zp if isinstance(op, Sum) else 0, register(scalar)

    def grow(spot: Spot, acc: Accumulators) -> Accumulators:
        return [acc[0] + centred(row.rows.k, spot.read(x), kind, zp)]

    (found,) = row.fold([f.const(0, kind)], grow, sums)
    return found


def centred(k: Kernel, x: Lane, kind: str, zp: int) -> Lane:
    """Codes less their zero point, to be summed."""
    item = in_register(k, x, kind)
    return item - zp if zp else item


def in_register(k: Kernel, x: Lane, kind: str) -> Lane:
    """Integers of another width; they are known to fit, or wrap as their sum does."""
    return k.f.convert("trunc" if x.kind == "i64" else "sext", x, kind)


@lowers(Mean, epilogue=True)
def lower_mean(cx: Lowering, region: Region) -> None:
    def mean(op: Reduction, x: View, row: Row) -> Lane:
        f = row.rows.k.f
        start = [f.const(0.0, "double")]
        (found,) = row.fold(start, lambda spot, acc: [acc[0] + f.convert("fpext", spot.read(x), "double")], sums)
        return f.convert("fptrunc", found / f.convert("sitofp", row.rows.count, "double"), register(op.x.type.scalar))

    lower_reduction(cx, region, mean)


@lowers(Amax, epilogue=True)
def lower_amax(cx: Lowering, region: Region) -> None:
    def amax(op: Reduction, x: View, row: Row) -> Lane:
        k, scalar = row.rows.k, op.x.type.scalar
        lowest = k.f.const(-math.inf if scalar.is_float else scalar.min, register(scalar))

        def most(a: Accumulators, b: Accumulators) -> Accumulators:
            return [larger(k, a[0], b[0])]

        (found,) = row.fold([lowest], lambda spot, acc: most(acc, [spot.read(x)]), most)
        return found

    lower_reduction(cx, region, amax)


@lowers(Argmax, epilogue=True)
def lower_argmax(cx: Lowering, region: Region) -> None:
    """Of pairs of a key that orders as the values do, and a place; the lower place of equal keys."""

    def argmax(op: Reduction, x: View, row: Row) -> Lane:
        k, f = row.rows.k, row.rows.k.f

        def grow(spot: Spot, acc: Accumulators) -> Accumulators:
            key = ordered_key(k, spot.read(x))
            better = key.compare("sgt", acc[0])
            return [f.select(better, key, acc[0]), f.select(better, row.places(spot), acc[1])]

        def best(a: Accumulators, b: Accumulators) -> Accumulators:
            equal = a[0].compare("eq", b[0]) & b[1].compare("slt", a[1])
            better = b[0].compare("sgt", a[0]) | equal
            return [f.select(better, b[0], a[0]), f.select(better, b[1], a[1])]

        kind = {"float": "i32", "double": "i64"}.get(register(op.x.type.scalar), register(op.x.type.scalar))
        lowest = f.const(-(2 ** (31 if kind == "i32" else 63)), kind)
        _, place = row.fold([lowest, f.const(0, "i32")], grow, best)
        return f.convert("sext", place, "i64")

    lower_reduction(cx, region, argmax)


def ordered_key(k: Kernel, x: Lane) -> Lane:
    """Integers that order as floats do, NaN above all, 0 and -0 alike; integers as they are."""
    if not x.is_float:
        return x
    f, bits = k.f, {"float": 32, "double": 64}[x.kind]
    code = f.bitcast(x + 0.0, f"i{bits}", x.lanes)
    most = 2 ** (bits - 1) - 1
    ordered = code ^ ((code >> (bits - 1)) & most)
    return f.select(x.compare("uno", x), f.const(most, f"i{bits}", x.lanes), ordered)


@lowers(Topk)
def lower_topk(cx: Lowering, region: Region) -> None:
    """The place of an element in the result is how many others are before it."""
    op = region.anchor
    assert isinstance(op, Topk)
    out, x = cx.result(op.results[0]), cx.view(op.x)
    (*batch, size), kept = x.shape, out.shape[-1]
    axes = merged([Axis(d, (out.strides[i], x.strides[i])) for i, d in enumerate(batch)])
    with cx.kernel("topk", op.loc, op.results[0], work=product((*batch, size, size))) as k:
        f, at = k.f, [k.pointer(out), k.pointer(x)]
        with (
            loops(Part.of(k, sizes_of(axes)), axes, [out, x], at) as (_, (to, source)),
            f.loop(0, k.dim(size)) as own,
        ):
            mine = key_at(k, x, source, own.index)
            with f.loop(0, k.dim(size), carried=[f.const(0, "i64")]) as other:
                theirs = key_at(k, x, source, other.index)
                first = theirs.compare("eq", mine) & other.index.compare("slt", own.index)
                ahead = theirs.compare("sgt", mine) | first
                other.next(other.carried[0] + f.convert("zext", ahead, "i64"))
            (place,) = other.results
            with f.when(place.compare("slt", f.like(k.dim(kept), place))):
                k.store(own.index, out, k.step(out, to, out.strides[-1], place))


def key_at(k: Kernel, x: View, row: Lane, place: Lane) -> Lane:
    """An element of a row as an integer that orders as the values do."""
    return ordered_key(k, k.load(x, k.step(x, row, x.strides[-1], place)))


@lowers(Cumsum)
def lower_cumsum(cx: Lowering, region: Region) -> None:
    op = region.anchor
    assert isinstance(op, Cumsum)
    x, scalar = cx.view(op.x), op.results[0].type.scalar
    kind = "double" if op.x.type.scalar.is_float else register(scalar)

    def row_of(row: Row) -> None:
        k, f = row.rows.k, row.rows.k.f

        def grow(spot: Spot, acc: Accumulators) -> Accumulators:
            item = spot.read(x)
            item = f.convert("fpext", item, kind) if item.is_float else centred(k, item, kind, op.x_zp)
            after = acc[0] + item
            spot.finish(f.convert("fptrunc", after, register(scalar)) if item.is_float else after)
            return [after]

        row.fold([f.const(0, kind)], grow, sums, chains=1)

    lower_rows(cx, region, x, [op.axis % op.x.type.rank], row_of, ordered=True)
