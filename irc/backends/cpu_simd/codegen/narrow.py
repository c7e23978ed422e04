"""Narrowing of several vectors at once, by the instructions of x86 that saturate. They work in blocks of 128 bits."""

from __future__ import annotations

from collections.abc import Sequence

from irc.backends.cpu_simd.codegen.lanes import WORD, Lane
from irc.ir.scalars import ScalarType

BLOCK_BITS = 128
"""Instructions that interleave and narrow do so in each block of so many bits."""


def words_of(low: Lane, high: Lane, limits: tuple[int, int] = WORD) -> Lane:
    """i32 lanes that fit 16 bits as i16, in each block those of `low` first. Who takes them saturates to `limits`."""
    names = {4: "llvm.x86.sse2.packssdw.128", 8: "llvm.x86.avx2.packssdw", 16: "llvm.x86.avx512.packssdw.512"}
    if low.before and high.before and low.before.fits_words:
        assert low.before.how == high.before.how
        return low.before.narrow(words_of(low.before.value, high.before.value), limits)
    return low.f.call(names[low.lanes], "i16", 2 * low.lanes, low, high)


def bytes_of(vectors: Sequence[Lane], scalar: ScalarType) -> Lane:
    """i32 lanes of four vectors that fit a type of at most 8 bits, as i8; in each block the first one's first."""
    name, limits = ("packsswb", (-128, 127)) if scalar.signed else ("packuswb", (0, 255))
    low, high = (words_of(a, b, limits) for a, b in zip(vectors[::2], vectors[1::2], strict=True))
    sets = {8: f"llvm.x86.sse2.{name}.128", 16: f"llvm.x86.avx2.{name}", 32: f"llvm.x86.avx512.{name}.512"}
    return low.f.call(sets[low.lanes], "i8", 2 * low.lanes, low, high)


def bytes_in_order(vectors: Sequence[Lane], scalar: ScalarType) -> Lane:
    """As `bytes_of`, all lanes of the first vector first."""
    packed = bytes_of(vectors, scalar)
    f, lanes = packed.f, vectors[0].lanes
    blocks = 32 * lanes // BLOCK_BITS
    fours = f.bitcast(packed, "i32", lanes)
    places = [block * len(vectors) + vector for vector in range(len(vectors)) for block in range(blocks)]
    return f.bitcast(fours if blocks == 1 else f.shuffle(fours, fours, places), "i8", packed.lanes)
