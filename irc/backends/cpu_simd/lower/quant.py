"""Crossing between floats and integers, requantization, tables: bit-exact lanes of the numeric contract."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from irc.backends.cpu_simd.codegen.integers import bit_length, bit_length_of_product, reciprocal, square_root
from irc.backends.cpu_simd.codegen.lanes import Lane
from irc.backends.cpu_simd.kernel import Kernel, register
from irc.backends.cpu_simd.lower.common import ON_ALL, computes, lowers
from irc.backends.cpu_simd.lower.norm import parameter
from irc.backends.cpu_simd.lowering import Lowering
from irc.backends.cpu_simd.rows import Accumulators, Row, Spot, lower_rows, sums
from irc.backends.cpu_simd.ukernels.tables import looked_up, shuffles
from irc.backends.cpu_simd.views import View
from irc.backends.regions import Region
from irc.ir.ops.quant import Dequantize, IntNorm, IntSoftmax, Lut, Observe, Quantize, Requantize, Rescale
from irc.ir.scalars import I16, I32, ScalarType
from irc.passes.analysis.codes import code_interval

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
        scaled = k.f.convert("sitofp", x, "float") * m
        if stays_near(cx, op):
            return near(k, to_integers(k, scaled), op.zp, op.to.scalar)
        return saturated(k, scaled, op.zp, op.to.scalar)
    return multiplied(cx, k, op, x, m)


def multiplied(cx: Lowering, k: Kernel, op: Requantize, x: Lane, m: Lane) -> Lane:
    """`clamp(((x * m + half) >> shift) + zp)` of i32 lanes."""
    scalar = op.to.scalar
    low, high = scalar.min - op.zp, scalar.max - op.zp
    limit = reach(cx, op)
    if limit is None:
        shifted = shifted_product(k, x, m, op.shift)
        return narrowed(k, k.f.clamp(shifted, low, high) + op.zp, scalar)
    if limit <= I32.max:
        x = k.f.clamp(x, -limit, limit)
    if k.isa.is_x86 and x.lanes % 4 == 0:
        rescaled = rescaled_halves(k, x, m, op.shift)
    else:
        rescaled = k.f.convert("trunc", shifted_product(k, x, m, op.shift), "i32")
    return placed(k, rescaled, op.zp, scalar)


NEAR = 2**30
"""Integers up to this stay within 32 bits when a zero point of 16 bits is added."""


def stays_near(cx: Lowering, op: Requantize) -> bool:
    """Whether what is rounded is known to be at most `NEAR`, and codes and zero point are of at most 16 bits."""
    m, scalar = cx.constant(op.m), op.to.scalar
    lowest, highest = code_interval(cx.resolve(op.x))
    far = max(abs(int(lowest) - op.x_zp), abs(int(highest) - op.x_zp))
    small = scalar.bits <= 16 and abs(op.zp) < 2**16
    return m is not None and small and far * float(np.abs(m).max()) <= NEAR


def near(k: Kernel, codes: Lane, zp: int, scalar: ScalarType) -> Lane:
    """`clamp(codes + zp)` of i32 lanes of at most `NEAR`."""
    return k.f.saturated(codes, scalar.min, scalar.max, zp)


def reach(cx: Lowering, op: Requantize) -> int | None:
    """A bound of `x - x_zp` so that `(x - x_zp) * m >> shift` fits 32 bits: one that x never leaves (then 2^31), or one
    from which on every result is saturated. None if there is none."""
    m, scalar = cx.constant(op.m), op.to.scalar
    least, most = (int(m.min()), int(m.max())) if m is not None else (1, I32.max)
    lowest, highest = code_interval(cx.resolve(op.x))
    if scalar.max > I32.max:
        return None

    def fits(far: int) -> bool:
        return (far * most + (1 << (op.shift - 1))) >> op.shift <= I32.max

    if fits(max(abs(int(lowest) - op.x_zp), abs(int(highest) - op.x_zp))):
        return -I32.min
    bound = max(abs(scalar.min - op.zp), abs(scalar.max - op.zp)) + 1
    saturated = -(-(bound << op.shift) // least)
    return saturated if fits(saturated) else None


def shifted_product(k: Kernel, x: Lane, m: Lane, shift: int) -> Lane:
    """`(x * m + half) >> shift` of i32 lanes as i64 lanes."""
    product = k.f.convert("sext", x, "i64") * k.f.convert("sext", m, "i64")
    return (product + (1 << (shift - 1))) >> shift


def rescaled_halves(k: Kernel, x: Lane, m: Lane, shift: int) -> Lane:
    """As `shifted_product`, where the result fits 32 bits: even and odd lanes apart, as `vpmuldq` takes them, without
    the 64-bit arithmetic shift that AVX2 lacks. From shift 33 on the lower halves of the products do not matter."""
    f = k.f
    products = [a * b for a, b in zip(_even_odd(k, x), _even_odd(k, m), strict=True)]
    if shift < 33:
        even, odd = (p + (1 << (shift - 1)) for p in products)
        low = f.lshr(even, shift)
        high = odd << (32 - shift) if shift < 32 else odd
        return _interleaved(k, f.bitcast(low, "i32", x.lanes), f.bitcast(high, "i32", x.lanes))
    even, odd = (f.bitcast(p, "i32", x.lanes) for p in products)
    upper = f.shuffle(even, odd, [(i | 1) + (x.lanes if i & 1 else 0) for i in range(x.lanes)])
    return (upper + (1 << (shift - 33))) >> (shift - 32)


def _even_odd(k: Kernel, x: Lane) -> tuple[Lane, Lane]:
    """The even and the odd i32 lanes, each as i64."""
    pairs = k.f.bitcast(x, "i64", x.lanes // 2)
    return (pairs << 32) >> 32, pairs >> 32


def _interleaved(k: Kernel, even: Lane, odd: Lane) -> Lane:
    """The even lanes of one and the odd lanes of the other."""
    return k.f.shuffle(even, odd, [i + (even.lanes if i & 1 else 0) for i in range(even.lanes)])


@computes(Rescale, lanes=ON_ALL)
def unchanged(cx: Lowering, k: Kernel, op: Rescale, lanes: list[Lane]) -> Lane:
    return lanes[0]


@lowers(Observe)
def lower_observe(cx: Lowering, region: Region) -> None:
    """The operand itself: ranges matter to passes only."""
    op = region.anchor
    assert isinstance(op, Observe)
    cx.views[op.results[0]] = cx.view(op.x)


@computes(Lut, lanes=ON_ALL)
def lut(cx: Lowering, k: Kernel, op: Lut, lanes: list[Lane]) -> Lane:
    table, x = cx.view(op.table), op.x.type.scalar
    places = lanes[0] - x.min if x.signed else lanes[0]
    base = k.pointer(table)
    of_bytes = table.size_bytes == 1 and table.buffer.space == "weights"
    if of_bytes and shuffles(k.isa, places.lanes):
        return k.as_register(looked_up(k.f, k.isa, base, 1 << x.bits, k.f.convert("trunc", places, "i8")), table.scalar)
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
    if max(abs(low), abs(high)) <= EXACT_F32:  # bounds are whole, so they may be taken before rounding
        codes = to_integers(k, _limited(k, x, float(low), float(high)))
        return k.f.convert("sext", codes + zp if zp else codes, register(scalar))
    codes = to_integers(k, _limited(k, x, -(2.0**31), BELOW_2_31))
    most = k.f.const(2**31 - 1, "i32", x.lanes)
    codes = k.f.select(x.compare("oge", 2.0**31), most, codes)
    if scalar == ScalarType("i", 32) and zp == 0:
        return codes
    wide = k.f.convert("sext", codes, "i64") + zp
    return narrowed(k, k.f.clamp(wide, scalar.min, scalar.max), scalar)


def to_integers(k: Kernel, x: Lane) -> Lane:
    """f32 lanes within 32 bits as i32, half to even, in one instruction where there are vectors."""
    if k.isa.arch == "aarch64" and x.lanes == 4:
        return k.f.call("llvm.aarch64.neon.fcvtns.v4i32.v4f32", "i32", 4, x)
    return k.f.call(f"llvm.lrint.{_vector('i32', x.lanes)}.{_vector('f32', x.lanes)}", "i32", x.lanes, x)


def _vector(kind: str, lanes: int) -> str:
    return kind if lanes == 1 else f"v{lanes}{kind}"


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


@lowers(IntSoftmax, epilogue=True)
def lower_int_softmax(cx: Lowering, region: Region) -> None:
    """Three passes over a row: its largest code; exponentials into memory of one row, and their sum; their shares."""
    op = region.anchor
    assert isinstance(op, IntSoftmax)
    x, table = cx.view(op.x), cx.view(op.table)
    mask = None if op.mask is None else cx.view(op.mask).broadcast(x.shape)
    entries = _length(table)
    lowest, rest = op.x.type.scalar.min, 31 - op.frac

    def row_of(row: Row) -> None:
        k = row.rows.k
        f, base = k.f, k.pointer(table)
        kept = row.rows.scratch(I32)

        def grow_top(spot: Spot, acc: Accumulators) -> Accumulators:
            code = spot.read(x)
            if mask is not None:
                code = f.select(spot.read(mask), code, f.const(lowest, "i32", code.lanes))
            return [f.smax(acc[0], code)]

        (top,) = row.fold([f.const(lowest, "i32")], grow_top, lambda a, b: [f.smax(a[0], b[0])])

        def grow_sum(spot: Spot, acc: Accumulators) -> Accumulators:
            code = spot.read(x)
            distance = f.smin(f.splat(top, code.lanes) - code, entries - 1)
            if mask is not None or spot.mask is not None:  # what is left out may be larger than the largest
                distance = f.smax(distance, 0)
            e = look_up(k, I32, base, distance)
            if mask is not None:
                e = f.select(spot.read(mask), e, f.const(0, "i32", e.lanes))
            spot.keep(e, kept)
            return [acc[0] + e]

        (total,) = row.fold([f.const(0, "i32")], grow_sum, sums)
        t = f.smax(bit_length(total) - 16, 0)
        r = reciprocal(f.smax(f.lshr(total, t), 2))  # 2: only a row with nothing kept has less

        def finish(spot: Spot) -> None:
            share = f.lshr(spot.kept(kept) * r, f.splat(t, spot.lanes))
            code = f.smin(f.lshr(share + (1 << (rest - 1)), rest), min(op.to.scalar.max, I32.max))
            spot.finish(f.convert("zext", code, register(op.to.scalar)))

        row.each(finish)

    lower_rows(cx, region, x, [op.axis % len(x.shape)], row_of, parameters=[] if mask is None else [mask])


def _length(table: View) -> int:
    (size,) = table.shape
    assert isinstance(size, int), "tables have a known length"
    return size


@lowers(IntNorm, epilogue=True)
def lower_int_norm(cx: Lowering, region: Region) -> None:
    """Two passes over a row: sum and sum of squares; normalised codes. Lanes have 64 bits only where 32 may not do."""
    op = region.anchor
    assert isinstance(op, IntNorm)
    x = cx.view(op.x)
    (g,), (b,) = parameter(cx, op.g, x), parameter(cx, op.b, x)
    bounds = NormBounds.of(op)

    def row_of(row: Row) -> None:
        f = row.rows.k.f

        def centred(spot: Spot) -> Lane:
            return f.convert("sext", spot.read(x), bounds.code) - op.x_zp

        def grow(spot: Spot, acc: Accumulators) -> Accumulators:
            code = centred(spot)
            wide = f.convert("sext", code, bounds.square)
            return [acc[0] + f.convert("sext", code, bounds.sum), acc[1] + wide * wide]

        s1, s2 = row.fold([f.const(0, bounds.sum), f.const(0, bounds.square)], grow, sums)
        s1, s2 = f.convert("sext", s1, "i64"), f.convert("sext", s2, "i64")
        n = s2 * bounds.channels + op.eps
        if op.center:
            n = n - s1 * s1
        e = (bit_length(n) - 31) >> 1
        q = square_root(f.lshr(n, f.smax(e << 1, 0)) << f.smax(f.neg(e << 1), 0))
        r = reciprocal(f.convert("trunc", q, "i32"))
        p = f.smax(((bit_length_of_product(n, bounds.channels) + 1) >> 1) - 14, 0)
        behind = f.convert("trunc", e - p + 21, "i32")
        half = f.const(1, "i32", behind.lanes) << (behind - 1)
        mean, p = f.convert("trunc", s1, bounds.distance), f.convert("trunc", p, bounds.distance)

        def finish(spot: Spot) -> None:
            def spread(value: Lane) -> Lane:
                return f.splat(value, spot.lanes)

            distance = f.convert("sext", centred(spot), bounds.distance) * bounds.channels
            if op.center:
                distance = distance - spread(mean)
            near = f.convert("trunc", distance >> spread(p), "i32")
            z = f.clamp((near * spread(r) + spread(half)) >> spread(behind), I16.min, I16.max)
            scaled = (z * spot.read(g) + spot.read(b) + (1 << (op.shift - 1))) >> op.shift
            spot.finish(placed(row.rows.k, scaled, op.zp, op.to.scalar))

        row.each(finish)

    lower_rows(cx, region, x, [len(x.shape) - 1], row_of, parameters=[g, b])


@dataclass(frozen=True)
class NormBounds:
    """The lanes in which an integer norm is computed, by what its codes can reach."""

    channels: int
    code: str
    sum: str
    square: str
    distance: str

    @staticmethod
    def of(op: IntNorm) -> NormBounds:
        scalar, channels = op.x.type.scalar, op.x.type.shape[-1]
        assert isinstance(channels, int), "the last axis of a norm is static"
        far = max(abs(scalar.min - op.x_zp), abs(scalar.max - op.x_zp))
        distance = channels * (scalar.max - scalar.min if op.center else far)
        code, total, square, last = (_lanes_for(n) for n in (far, channels * far, channels * far * far, distance))
        return NormBounds(channels, code, total, square, last)


def _lanes_for(farthest: int) -> str:
    return "i32" if farthest <= I32.max else "i64"


def placed(k: Kernel, codes: Lane, zp: int, scalar: ScalarType) -> Lane:
    """`clamp(codes + zp)` of i32 lanes, in the register of a type."""
    low, high = scalar.min - zp, scalar.max - zp
    if low > I32.max or high < I32.min or scalar.max > I32.max:
        wide = k.f.clamp(k.f.convert("sext", codes, "i64"), low, high)
        return narrowed(k, wide + zp, scalar)
    bounded = k.f.clamp(codes, max(low, I32.min), min(high, I32.max))
    return k.f.convert("sext", bounded + zp if zp else bounded, register(scalar))
