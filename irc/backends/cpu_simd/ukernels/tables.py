"""Look-ups in tables of at most 256 bytes, a whole vector of them at a time, by the byte shuffles of the machine.

The recipes are those of string search and base64 libraries (W. Mula and D. Lemire, "Faster Base64 Encoding and Decoding
using AVX2 Instructions", 2018): shuffles look up 4, 6 or 7 bits of the place, blends choose by the others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from irc.backends.cpu_simd.codegen.lanes import Function, Lane
from irc.backends.cpu_simd.isa import Isa, Shuffle


def shuffles(isa: Isa, lanes: int) -> bool:
    """Whether the machine looks up so many bytes at once."""
    return isa.shuffle != "none" and lanes == isa.vector_bytes


def looked_up(f: Function, isa: Isa, table: Lane, entries: int, places: Lane) -> Lane:
    """The bytes of a table at places (unsigned bytes below `entries`, a power of two); `places` fill a vector.

    Up to 64 bytes behind the table are read.
    """
    return SHUFFLES[isa.shuffle](f, table, entries, places)


def _by_pshufb(f: Function, table: Lane, entries: int, places: Lane) -> Lane:
    """Each 16 entries by the low 4 bits; then blends by the higher ones, of which each is moved to the sign."""
    lanes = places.lanes
    name = {16: "ssse3.pshuf.b.128", 32: "avx2.pshuf.b", 64: "avx512.pshuf.b.512"}[lanes]
    low = places & 15 if entries > 16 else places
    parts: list[Lane] = []
    for start in range(0, max(entries, 16), 16):
        part = f.load(f.at(table, start), "i8", 16)
        everywhere = f.shuffle(part, part, [i % 16 for i in range(lanes)])
        parts.append(f.call(f"llvm.x86.{name}", "i8", lanes, everywhere, low))
    return _chosen(f, parts, places, 4)


def _by_vpermi2b(f: Function, table: Lane, entries: int, places: Lane) -> Lane:
    """Each 128 entries by the low 7 bits, then a blend by the sign."""
    parts: list[Lane] = []
    for start in range(0, entries, 128):
        low = f.load(f.at(table, start), "i8", 64)
        high = f.load(f.at(table, start + 64), "i8", 64) if entries > 64 else low
        parts.append(f.call("llvm.x86.avx512.vpermi2var.qi.512", "i8", 64, low, places, high))
    return _chosen(f, parts, places, 7)


def _chosen(f: Function, parts: Sequence[Lane], places: Lane, bit: int) -> Lane:
    """The part that the bits of a place from `bit` on say."""
    while len(parts) > 1:
        odd = _moved_up(f, places, 7 - bit).compare("slt", 0)
        parts = [f.select(odd, parts[i + 1], parts[i]) for i in range(0, len(parts), 2)]
        bit += 1
    return parts[0]


def _moved_up(f: Function, places: Lane, by: int) -> Lane:
    """Bytes shifted left, of which only the highest bit matters: no machine shifts bytes."""
    if by == 0:
        return places
    return f.bitcast(f.bitcast(places, "i16", places.lanes // 2) << by, "i8", places.lanes)


def _by_tbl(f: Function, table: Lane, entries: int, places: Lane) -> Lane:
    """Each 64 entries by one look-up, which leaves what lies beyond them as it was."""
    found: Lane | None = None
    for start in range(0, entries, 64):
        count = min(4, max(1, (entries - start) // 16))
        parts = [f.load(f.at(table, start + 16 * i), "i8", 16) for i in range(count)]
        here = places - start if start else places
        if found is None:
            found = f.call(f"llvm.aarch64.neon.tbl{count}.v16i8", "i8", 16, *parts, here)
        else:
            found = f.call(f"llvm.aarch64.neon.tbx{count}.v16i8", "i8", 16, found, *parts, here)
    assert found is not None, "a table has entries"
    return found


SHUFFLES: Mapping[Shuffle, Callable[[Function, Lane, int, Lane], Lane]] = {
    "pshufb": _by_pshufb,
    "vpermi2b": _by_vpermi2b,
    "tbl": _by_tbl,
}
