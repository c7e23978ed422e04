"""Narrowing of several vectors at once, by instructions that saturate. Those of x86 work in blocks of 128 bits."""

from __future__ import annotations

from collections.abc import Sequence

from irc.backends.cpu_simd.codegen.lanes import BITS, WORD, Lane
from irc.backends.cpu_simd.isa import Isa
from irc.ir.scalars import ScalarType

BLOCK_BITS = 128
"""Instructions that interleave and narrow do so in each block of so many bits."""


def packs(isa: Isa) -> bool:
    """Whether a machine has such instructions."""
    return isa.is_x86 or isa.arch == "aarch64"


def words_of(low: Lane, high: Lane, isa: Isa, limits: tuple[int, int] = WORD) -> Lane:
    """i32 lanes that fit 16 bits as i16, in each block those of `low` first. Who takes them saturates to `limits`."""
    if low.before and high.before and low.before.fits_words:
        assert low.before.how == high.before.how
        return low.before.narrow(words_of(low.before.value, high.before.value, isa), limits)
    return _packed(low, high, isa, "packssdw" if isa.is_x86 else "sqxtn", "i16")


def bytes_of(vectors: Sequence[Lane], scalar: ScalarType, isa: Isa) -> Lane:
    """i32 lanes of four vectors that fit a type of at most 8 bits, as i8; in each block the first one's first."""
    signed = scalar.signed
    limits = (-128, 127) if signed else (0, 255)
    low, high = (words_of(a, b, isa, limits) for a, b in zip(vectors[::2], vectors[1::2], strict=True))
    if isa.is_x86:
        return _packed(low, high, isa, "packsswb" if signed else "packuswb", "i8")
    return _packed(low, high, isa, "sqxtn" if signed else "sqxtun", "i8")


def bytes_in_order(vectors: Sequence[Lane], scalar: ScalarType, isa: Isa) -> Lane:
    """As `bytes_of`, all lanes of the first vector first."""
    packed = bytes_of(vectors, scalar, isa)
    f, lanes = packed.f, vectors[0].lanes
    blocks = 32 * lanes // BLOCK_BITS
    fours = f.bitcast(packed, "i32", lanes)
    places = [block * len(vectors) + vector for vector in range(len(vectors)) for block in range(blocks)]
    return f.bitcast(fours if blocks == 1 else f.shuffle(fours, fours, places), "i8", packed.lanes)


def _packed(low: Lane, high: Lane, isa: Isa, name: str, kind: str) -> Lane:
    """Lanes of two vectors in half their bits."""
    f, lanes = low.f, low.lanes
    if isa.is_x86:
        sets = {128: f"sse2.{name}.128", 256: f"avx2.{name}", 512: f"avx512.{name}.512"}
        return f.call(f"llvm.x86.{sets[BITS[low.kind] * lanes]}", kind, 2 * lanes, low, high)
    return f.joined(*(f.call(f"llvm.aarch64.neon.{name}.v{lanes}{kind}", kind, lanes, part) for part in (low, high)))
