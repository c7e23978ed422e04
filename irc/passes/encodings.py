"""Choosing encodings: from a seen range, a histogram, or the values of a weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from irc.ir.scalars import Array, integer
from irc.ir.types import Element, Encoding, f32

Scheme = Literal["symmetric", "affine", "auto"]


@dataclass(frozen=True)
class Range:
    """What a value was seen to hold; `counts` over equal bins of lo .. hi if its best range is still to be chosen."""

    lo: float
    hi: float
    counts: Array | None = None

    def union(self, other: Range) -> Range:
        """The range that holds both; histograms are added up on common bins."""
        lo, hi = min(self.lo, other.lo), max(self.hi, other.hi)
        if self.counts is None or other.counts is None:
            return Range(lo, hi)
        if lo == hi:
            return Range(lo, hi, self.counts)  # of one value: no error to choose by
        bins = max(len(self.counts), len(other.counts))
        counts = np.zeros(bins)
        for part in (self, other):
            counts += counted(part.centres(), lo, hi, bins, part.counts)
        return Range(lo, hi, counts)

    def centres(self) -> Array:
        """The middle of each bin."""
        assert self.counts is not None
        return self.lo + (np.arange(len(self.counts)) + 0.5) * (self.hi - self.lo) / len(self.counts)


def counted(values: Array, lo: float, hi: float, bins: int, weights: Array | None = None) -> Array:
    """How many values, or how much of their weights, lie in each of so many equal bins of lo .. hi, lo < hi.

    In f64: between neighbouring f32 numbers there is room for 2^29 bins, in f32 itself for none.
    """
    return np.histogram(values.astype(np.float64), bins=bins, range=(lo, hi), weights=weights)[0]


def choose_element(seen: Range, bits: int, scheme: Scheme) -> Element:
    """The integer type and encoding that hold a range in `bits` bits.

    Ranges without negative values take unsigned codes with zero point 0, so that relu costs nothing. `auto` uses a
    zero point where a symmetric range would leave more than a quarter of its codes unused. With a histogram, the
    range is shrunk to the one of least squared error (the clipping search of Banner et al., 2019, by enumeration).
    """
    shrunk = np.linspace(0.4, 1.0, 49)[::-1] if seen.counts is not None and seen.hi > seen.lo else np.ones(1)
    best: tuple[float, Element] | None = None
    for factor in shrunk:
        element = _element(seen.lo * float(factor), seen.hi * float(factor), bits, scheme)
        error = _squared_error(seen, element)
        if best is None or error < best[0] * (1 - 1e-9):
            best = (error, element)
    assert best is not None
    return best[1]


def _element(lo: float, hi: float, bits: int, scheme: Scheme) -> Element:
    lo, hi = min(lo, 0.0), max(hi, 0.0)
    if lo == 0.0:
        unsigned = integer(bits, signed=False)
        return Element(unsigned, Encoding(_scale(hi, unsigned.max)))
    signed = integer(bits, signed=True)
    lopsided = min(-lo, hi) < 0.5 * max(-lo, hi)
    if scheme == "symmetric" or (scheme == "auto" and not lopsided) or bits > 8:
        return Element(signed, Encoding(_scale(max(-lo, hi), signed.max)))
    scale = _scale(hi - lo, signed.max - signed.min)
    zp = int(np.clip(np.rint(signed.min - lo / scale), signed.min, signed.max))
    return Element(signed, Encoding(scale, zp))


def _scale(span: float, steps: int) -> float:
    return f32(span / steps) if span > 1e-30 else 1.0


def _squared_error(seen: Range, element: Element) -> float:
    if seen.counts is None:
        return 0.0
    assert element.encoding is not None
    x = seen.centres()
    scale, zp = float(element.encoding.scales), int(element.encoding.zps)
    codes = np.clip(np.rint(x / scale) + zp, element.scalar.min, element.scalar.max)
    return float(np.sum(seen.counts * ((codes - zp) * scale - x) ** 2))


SMALLEST_CHANNEL = 2.0**-12  # a channel's scale relative to the largest one: keeps every multiplier above 0
SEARCHED_AT_ONCE = 2**16  # weights: as many as stay in the cache over all the scales that are tried


def weight_scales(w: Array, bits: int, *, per_channel: bool, search: bool) -> Array:
    """Symmetric scales of a weight w[O, ...]: one a row, or one in all, f32.

    With `search`, each is the one of least squared error among 80 shrunk ranges (what is clipped against what is
    rounded), else it covers the largest weight.
    """
    rows = w.reshape(len(w) if per_channel else 1, -1).astype(np.float32)
    top = 2 ** (bits - 1) - 1
    largest = np.abs(rows).max(axis=1).astype(np.float64)
    largest = np.maximum(largest, max(float(largest.max(initial=0)) * SMALLEST_CHANNEL, 1e-30))
    scales = (largest / top).astype(np.float32)
    if search:
        count = max(1, SEARCHED_AT_ONCE // rows.shape[1])
        for start in range(0, len(rows), count):
            part = slice(start, start + count)
            scales[part] = _best_scales(rows[part], scales[part], top)
    return scales if per_channel else scales[0].reshape(())


def _best_scales(rows: Array, covering: Array, top: int) -> Array:
    """For each row the scale of least squared error, from the one that covers its largest value downwards."""
    best, least = covering, np.full(len(rows), np.inf, np.float32)
    error = np.empty_like(rows)
    for factor in np.linspace(1.0, 0.35, 80, dtype=np.float32):
        scale = covering * factor
        column = scale[:, None]
        np.divide(rows, column, out=error)
        np.rint(error, out=error)
        np.clip(error, -top - 1, top, out=error)
        error *= column
        error -= rows
        squares = np.einsum("ij,ij->i", error, error)
        better = squares < least
        best, least = np.where(better, scale, best), np.where(better, squares, least)
    return best
