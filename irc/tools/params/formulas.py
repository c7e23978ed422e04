"""The arithmetic of every op that may stand in an integer graph, as the files that hold its parameters say it.

The same as `docs/numerics.md`, in ASCII and short enough for a comment.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable

from irc.tables import OPS

NOTATION = (
    "A code stands for the real number scale * (code - zp). Quantities are exact integers unless marked f32.",
    "a >> s is the arithmetic (floor) shift, // floor division, rint rounds half to even, clamp saturates to the range",
    "of the result type, clamp16 to -2^15 .. 2^15 - 1; round_shift(v, s) = (v + 2^(s-1)) >> s (half towards",
    "+infinity), v for s = 0; bitlen(n) is the number of bits of n >= 0, bitlen(0) = 0; isqrt(n) is the largest q",
    "with q*q <= n.",
    "Arrays are row-major, the last axis is the fastest.",
)
FORMULAS = {
    "quantize": "clamp(rint(f32(x) * r) + zp), one f32 multiply, r = f32(1/scale); NaN gives zp",
    "dequantize": "f32(x - zp) * scale, one f32 multiply",
    "requantize fixed": "clamp((((x - x_zp) * m + 2^(shift-1)) >> shift) + zp), 64-bit product; half towards +infinity",
    "requantize float": "clamp(rint(f32(x - x_zp) * m) + zp), one f32 multiply, never fma; half to even",
    "linear": "b[n] + sum over k of (x[..., k] - x_zp) * (w[n, k] - w_zp), i32",
    "conv": "b[o] + sum over (i, kernel) of (x[n, i, ...] - x_zp) * (w[o, i, ...] - w_zp), i32; padding is x_zp",
    "matmul": "sum over k of (x[..., m, k] - x_zp) * (y[..., k, n] - y_zp), i32",
    "add": "x + y, i32",
    "sub": "x - y, i32",
    "mul": "x * y, i32",
    "lut": "table[x - lowest code of the type of x]",
    "sum": "sum over axes of (x - x_zp), i32",
    "sum_pool": "sum over each window of (x - x_zp), i32; padding counts as 0",
    "max_pool": "the largest code of each window; padding is the lowest code",
    "clamp": "min(max(x, lo), hi) on codes",
    "maximum": "max(x, y) on codes",
    "minimum": "min(x, y) on codes",
    "rescale": "the same codes, of another scale",
    "int_softmax": "of each row along axis: top = the largest x that the mask keeps; T = the number of entries of "
    "table; e = table[min(top - x, T-1)], 0 where masked; S = sum(e), the results are 0 where S is; "
    "t = max(0, bitlen(S) - 16); r = 2^31 // (S >> t); clamp(round_shift((e * r) >> t, 31 - frac))",
    "int_norm": "of each row along the last axis: C = its length; c = x - x_zp; s1 = sum(c); s2 = sum(c*c); "
    "n = C*s2 - s1*s1 + eps (center) or C*s2 + eps; e = (bitlen(n) - 31) // 2; q = isqrt(n >> 2e), n << -2e if e < 0; "
    "r = 2^31 // q; p = max(0, (bitlen(C*n) + 1) // 2 - 14); D = C*c - s1 (center) or C*c; "
    "z = clamp16(round_shift((D >> p) * r, 21 + e - p)); clamp(round_shift(z * g + b, shift) + zp)",
}


def formulas(names: Iterable[str]) -> dict[str, str]:
    """The formulas of the ops; those that have none, as they move, pick or compare codes, in the words of `irc ops`."""
    return {name: FORMULAS.get(name) or _words(name) for name in sorted(set(names))}


def _words(name: str) -> str:
    said, _, _ = inspect.cleandoc(OPS.get(name).__doc__ or "").partition("\n\n")
    return " ".join(said.split())
