"""What instruction selection calls where a machine has no instruction for it, in plain LLVM.

LLVM turns `llvm.rint`, `llvm.fma`, conversions to half and the like into calls of the C library on targets without such
instructions. A library of ours has no undefined symbols, so these functions come with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from irc.backends.cpu_simd.codegen.lanes import Function, Lane

WHOLE = {"float": 2.0**23, "double": 2.0**52}
"""From here on every value is an integer."""

SPLIT = 2.0**27 + 1
"""Cuts a double into halves of 26 bits (Veltkamp)."""


def definitions(names: Iterable[str]) -> tuple[str, dict[str, str]]:
    """The functions of these names, and the intrinsics that they use. Raises KeyError for a name without one."""
    texts: list[str] = []
    declarations: dict[str, str] = {}
    for name in names:
        kinds, result, body = SUPPORT[name]
        f = Function(name, {f"a{i}": kind for i, kind in enumerate(kinds)}, result=result)
        f.ret(body(*(f[p] for p in f.parameters)))
        texts.append(f.finish())
        declarations |= f.declarations
    return "\n".join(texts), declarations


def rint(x: Lane) -> Lane:
    """The nearest integer, ties to even: adding 2^23 leaves no bits behind the point (2^52 for double)."""
    f, whole = x.f, x.f.const(WHOLE[x.kind], x.kind)
    signed = f.intrinsic("copysign", whole, x)
    near = f.intrinsic("copysign", (x + signed) - signed, x)
    return f.select(f.intrinsic("fabs", x).compare("olt", whole), near, x)


def floor(x: Lane) -> Lane:
    near = rint(x)
    return x.f.select(near.compare("ogt", x), near - 1.0, near)


def ceil(x: Lane) -> Lane:
    near = rint(x)
    return x.f.intrinsic("copysign", x.f.select(near.compare("olt", x), near + 1.0, near), x)


def trunc(x: Lane) -> Lane:
    return x.f.intrinsic("copysign", floor(x.f.intrinsic("fabs", x)), x)


def fma_single(a: Lane, b: Lane, c: Lane) -> Lane:
    """a*b + c: the product is exact in double; the sum is rounded twice, which is off by one ulp in rare ties."""
    wide_a, wide_b, wide_c = (a.f.convert("fpext", x, "double") for x in (a, b, c))
    return a.f.convert("fptrunc", wide_a * wide_b + wide_c, "float")


def fma_double(a: Lane, b: Lane, c: Lane) -> Lane:
    """a*b + c with the errors of product and sum added at the end (Dekker 1971), off by one ulp in rare ties.

    Next to infinity the errors are not numbers; then both are rounded.
    """
    product = a * b
    (a_high, a_low), (b_high, b_low) = _halves(a), _halves(b)
    lost = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    total = product + c
    share = total - product
    errors = (product - (total - share)) + (c - share) + lost
    size = a.f.intrinsic("fabs", errors)
    known = size.compare("ogt", 0.0) & size.compare("olt", math.inf)  # adding 0 would lose the sign of another
    return a.f.select(known, total + errors, total)


def _halves(x: Lane) -> tuple[Lane, Lane]:
    scaled = x * SPLIT
    high = scaled - (scaled - x)
    return high, x - high


def half_to_single(x: Lane) -> Lane:
    """Exact: exponents move by 112, those of infinities and NaNs twice; subnormals are counted in 2^-24."""
    f = x.f
    bits = f.convert("zext", f.bitcast(x, "i16", 1), "i32")
    size = bits & 0x7FFF
    moved = (size << 13) + (112 << 23)
    moved = f.select(size.compare("uge", 0x7C00), moved + (112 << 23), moved)
    tiny = f.bitcast(f.convert("uitofp", size, "float") * 2.0**-24, "i32", 1)
    size_bits = f.select(size.compare("ult", 0x400), tiny, moved)
    return f.bitcast(size_bits | ((bits & 0x8000) << 16), "float", 1)


def single_to_half(x: Lane) -> Lane:
    """The nearest half, ties to even; a NaN stays one."""
    f = x.f
    bits = f.bitcast(x, "i32", 1)
    size = bits & 0x7FFFFFFF
    nearest = f.lshr(size + 0xFFF - (112 << 23) + (f.lshr(size, 13) & 1), 13)
    # 0.5 has the spacing of the subnormals of half, so the sum is rounded as they are.
    tiny = f.bitcast(f.bitcast(size, "float", 1) + 0.5, "i32", 1) - 0x3F000000
    special = f.select(size.compare("ugt", 0x7F800000), f.const(0x7E00, "i32"), f.const(0x7C00, "i32"))
    result = f.select(size.compare("ult", 0x38800000), tiny, nearest)
    result = f.select(size.compare("uge", 0x47800000), special, result)
    signed = result | (f.lshr(bits, 16) & 0x8000)
    return f.bitcast(f.convert("trunc", signed, "i16"), "half", 1)


def double_to_half(x: Lane) -> Lane:
    """Rounded once: the float in between is rounded to odd (Boldo and Melquiond 2008)."""
    f = x.f
    near = f.convert("fptrunc", x, "float")
    back = f.convert("fpext", near, "double")
    bits = f.bitcast(near, "i32", 1)
    below = f.intrinsic("fabs", back).compare("olt", f.intrinsic("fabs", x))
    odd = f.select(below, bits + 1, bits - 1)
    inexact_even = back.compare("one", x) & (bits & 1).compare("eq", 0)
    return single_to_half(f.bitcast(f.select(inexact_even, odd, bits), "float", 1))


Body = Callable[..., Lane]
Support = tuple[tuple[str, ...], str, Body]

TO_WHOLE: dict[str, Body] = {
    "rint": rint,
    "nearbyint": rint,
    "roundeven": rint,
    "floor": floor,
    "ceil": ceil,
    "trunc": trunc,
}

SUPPORT: dict[str, Support] = {
    "fmaf": (("float",) * 3, "float", fma_single),
    "fma": (("double",) * 3, "double", fma_double),
    "__extendhfsf2": (("half",), "float", half_to_single),
    "__truncsfhf2": (("float",), "half", single_to_half),
    "__truncdfhf2": (("double",), "half", double_to_half),
    **{f"{name}f": (("float",), "float", body) for name, body in TO_WHOLE.items()},
    **{name: (("double",), "double", body) for name, body in TO_WHOLE.items()},
}
"""By symbol: types of parameters and result, and what computes it."""
