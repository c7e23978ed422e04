"""Crossing between floats and integers, requantization, tables: bit-exact lanes of the numeric contract."""

from __future__ import annotations

from irc.backends.cpu_simd.codegen.lanes import Lane
from irc.backends.cpu_simd.kernel import Kernel, register
from irc.backends.cpu_simd.lower.common import computes
from irc.backends.cpu_simd.lowering import Lowering
from irc.ir.ops.quant import Dequantize, Lut, Observe, Quantize, Requantize, Rescale
from irc.ir.scalars import ScalarType

EXACT_F32 = 2**24
"""Integers up to this are exact as f32, and so are their sums up to it."""

BELOW_2_31 = 2147483520.0
"""The largest f32 below 2^31."""


@computes(Quantize)
def quantize(cx: Lowering, k: Kernel, op: Quantize, lanes: list[Lane]) -> Lane:
    x, r, *zp = lanes
    scaled = single(k, x) * r
    finite = k.f.select(scaled.compare("ord", scaled), scaled, k.f.const(0.0, "float", scaled.lanes))
    if not zp:
        return saturated(k, finite, 0, op.to.scalar)
    codes = saturated(k, finite, 0, ScalarType("i", 32))
    wide = k.f.convert("sext", codes, "i64") + k.f.convert("sext", zp[0], "i64")
    return narrowed(k, k.f.clamp(wide, op.to.scalar.min, op.to.scalar.max), op.to.scalar)


@computes(Dequantize)
def dequantize(cx: Lowering, k: Kernel, op: Dequantize, lanes: list[Lane]) -> Lane:
    x, scale, *zp = lanes
    if zp:
        x = k.f.convert("sext", x, "i64") - k.f.convert("sext", zp[0], "i64")
    return k.f.convert("sitofp", x, "float") * scale


@computes(Requantize)
def requantize(cx: Lowering, k: Kernel, op: Requantize, lanes: list[Lane]) -> Lane:
    x, m = lanes
    if x.kind == "i64":  # u32 codes: the difference fits 32 bits
        x = k.f.convert("trunc", x - op.x_zp, "i32")
    elif op.x_zp:
        x = x - op.x_zp
    if op.mode == "float":
        return saturated(k, k.f.convert("sitofp", x, "float") * m, op.zp, op.to.scalar)
    product = k.f.convert("sext", x, "i64") * k.f.convert("sext", m, "i64")
    shifted = ((product + (1 << (op.shift - 1))) >> op.shift) + op.zp
    return narrowed(k, k.f.clamp(shifted, op.to.scalar.min, op.to.scalar.max), op.to.scalar)


@computes(Rescale, Observe)
def unchanged(cx: Lowering, k: Kernel, op: Rescale | Observe, lanes: list[Lane]) -> Lane:
    return lanes[0]


@computes(Lut)
def lut(cx: Lowering, k: Kernel, op: Lut, lanes: list[Lane]) -> Lane:
    table = cx.view(op.table)
    base = k.pointer(table)
    places = lanes[0] - op.x.type.scalar.min
    return look_up(k, table.scalar, base, places)


def look_up(k: Kernel, scalar: ScalarType, base: Lane, places: Lane) -> Lane:
    """One element of a table in each lane, by its place."""
    size = scalar.dtype.itemsize
    wide = k.f.convert("zext", places, "i64")
    items = [
        k.f.load(k.f.at(base, k.f.extract(wide, lane), size), f"i{8 * size}" if scalar.is_integer else "float")
        for lane in range(places.lanes)
    ]
    return k.as_register(k.f.gathered(items), scalar)


def saturated(k: Kernel, x: Lane, zp: int, scalar: ScalarType) -> Lane:
    """`clamp(rint(x) + zp)` of f32 lanes that are no NaN; the rounded value saturates to 32 bits before the sum."""
    low, high = scalar.min - zp, scalar.max - zp
    whole = k.f.intrinsic("rint", x)
    if max(abs(low), abs(high)) <= EXACT_F32:
        bounded = _limited(k, whole, float(low), float(high))
        codes = k.f.convert("fptosi", bounded, "i32")
        return k.f.convert("sext", codes + zp if zp else codes, register(scalar))
    codes = k.f.convert("fptosi", _limited(k, whole, -(2.0**31), BELOW_2_31), "i32")
    most = k.f.const(2**31 - 1, "i32", x.lanes)
    codes = k.f.select(whole.compare("oge", 2.0**31), most, codes)
    if scalar == ScalarType("i", 32) and zp == 0:
        return codes
    wide = k.f.convert("sext", codes, "i64") + zp
    return narrowed(k, k.f.clamp(wide, scalar.min, scalar.max), scalar)


def _limited(k: Kernel, x: Lane, low: float, high: float) -> Lane:
    """x between two bounds; compare and select, which is one instruction where `maxnum` is several."""
    f = k.f
    low_, high_ = f.const(low, x.kind, x.lanes), f.const(high, x.kind, x.lanes)
    above = f.select(x.compare("ogt", low_), x, low_)
    return f.select(above.compare("olt", high_), above, high_)


def narrowed(k: Kernel, wide: Lane, scalar: ScalarType) -> Lane:
    """i64 lanes that fit a type, in the register of that type."""
    return k.f.convert("trunc", wide, register(scalar))


def single(k: Kernel, x: Lane) -> Lane:
    """Floats as f32, rounded once."""
    return k.f.convert("fptrunc", x, "float")
