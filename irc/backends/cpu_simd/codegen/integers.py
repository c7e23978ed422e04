"""Exact integer functions of lanes: bit lengths, square roots, reciprocals. Only instructions, no library calls."""

from __future__ import annotations

from irc.backends.cpu_simd.codegen.lanes import BITS, Lane


def bit_length(x: Lane) -> Lane:
    """The number of bits of lanes that are not negative; 0 for 0."""
    f = x.f
    zeros = f.call(f"llvm.ctlz.{_suffix(x)}", x.kind, x.lanes, x, immediate=("i1 false",))
    return f.const(BITS[x.kind], x.kind, x.lanes) - zeros


def bit_length_of_product(x: Lane, factor: int) -> Lane:
    """The number of bits of `x * factor`, also where the product leaves 64 bits: x < 2^63, 0 < factor < 2^16, as i64.

    The product without its lowest 16 bits fits, and unless nothing is left of it, it has 16 bits less.
    """
    f = x.f
    low = (x & 0xFFFF) * factor
    high = f.lshr(x, 16) * factor + f.lshr(low, 16)
    return f.select(high.compare("ne", 0), bit_length(high) + 16, bit_length(low))


def square_root(x: Lane) -> Lane:
    """floor(sqrt(x)) of i64 lanes from 0 to 2^52: the root in f64 is too exact to be rounded up to a whole number."""
    f = x.f
    return f.convert("fptosi", f.intrinsic("sqrt", f.convert("sitofp", x, "double")), "i64")


def reciprocal(x: Lane) -> Lane:
    """floor(2^31 / x) of i32 lanes from 2 to 2^20: the quotient in f64 is nearer to the true one than that is to the
    next whole number."""
    f = x.f
    one = f.const(2.0**31, "double", x.lanes)
    return f.convert("fptosi", one / f.convert("sitofp", x, "double"), "i32")


def _suffix(x: Lane) -> str:
    return x.kind if x.lanes == 1 else f"v{x.lanes}{x.kind}"
