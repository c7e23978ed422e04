"""Minimal filtering: m neighbouring sums of 3 products each from m + 2 products (Winograd 1980; Lavin and Gray 2016).

    y = A^T ((G w) * (B^T x))        in two dimensions   Y = A^T ((G W G^T) * (B^T X B)) A

The matrices are those of Toom and Cook's multiplication of polynomials at the points 0, +-p, ..., infinity. A pair of
points shares half of its work: their rows differ in the signs of the odd columns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from irc.backends.cpu_simd.codegen.lanes import Lane
from irc.backends.cpu_simd.ukernels.dots import DotForm
from irc.ir.scalars import Array

TAPS = 3

Row = Sequence[Fraction]


@dataclass(frozen=True)
class Minimal:
    """F(m, 3) with m/2 pairs of points. Points that are neither large nor near each other keep the errors small
    (Barabasz et al. 2020); with few bits they make no errors of their own."""

    pairs: tuple[Fraction, ...]

    @property
    def results(self) -> int:
        """m: sums along each dimension of a tile."""
        return 2 * len(self.pairs)

    @property
    def points(self) -> int:
        """Products along each dimension of a tile."""
        return self.results + TAPS - 1

    @property
    def finite(self) -> list[Fraction]:
        return [Fraction(0), *(sign * p for p in self.pairs for sign in (1, -1))]

    @property
    def inputs(self) -> list[Row]:
        """B^T: the polynomial with zeros at all other points."""
        zeros = self.finite
        rows = [*(with_zeros([q for q in zeros if q != p]) for p in zeros), with_zeros(zeros)]
        return [[*row, *[Fraction(0)] * (self.points - len(row))] for row in rows]

    @property
    def taps(self) -> list[Row]:
        """G: the values of a polynomial with these coefficients at the points, over what the zeros multiply it by."""
        zeros = self.finite
        rows = [[p**i / math.prod(p - q for q in zeros if q != p) for i in range(TAPS)] for p in zeros]
        return [*rows, [*[Fraction(0)] * (TAPS - 1), Fraction(1)]]

    @property
    def halvings(self) -> int | None:
        """By how many bits G W G^T must be shifted up so that whole weights stay whole; None if none are enough."""
        least = math.lcm(*(factor.denominator for row in self.taps for factor in row))
        return 2 * (least.bit_length() - 1) if least & (least - 1) == 0 else None

    def growth(self, matrix: Sequence[Row]) -> int:
        """How much larger than the largest number a sum of both dimensions of a transform can be."""
        return math.ceil(max(sum(map(abs, row)) for row in matrix) ** 2)

    def weights(self, taps: Array, halvings: int = 0) -> Array:
        """G W G^T 2^halvings for taps[..., 3, 3], in f64: [..., points, points]."""
        g = np.array(self.taps, np.float64)
        flat = taps.astype(np.float64).reshape(-1, TAPS * TAPS) @ (np.kron(g, g).T * 2**halvings)
        return flat.reshape(*taps.shape[:-2], self.points, self.points)

    def transform(self, form: DotForm, x: Sequence[Lane]) -> list[Lane]:
        """B^T x for one dimension."""
        rows = self.inputs
        out = [combined(form, rows[0], x)]
        for row in rows[1:-1:2]:
            even = combined(form, [c * (i % 2 == 0) for i, c in enumerate(row)], x)
            odd = combined(form, [c * (i % 2) for i, c in enumerate(row)], x)
            out += [even + odd, even - odd]
        return [*out, combined(form, rows[-1], x)]

    def gather(self, form: DotForm, m: Sequence[Lane]) -> list[Lane]:
        """A^T m for one dimension: result i is the sum of p^i m over the points p, infinity counts for the last."""
        sums = [a + b for a, b in zip(m[1:-1:2], m[2:-1:2], strict=True)]
        differences = [a - b for a, b in zip(m[1:-1:2], m[2:-1:2], strict=True)]
        out: list[Lane] = []
        for i in range(self.results):
            ends = [m[0]] if i == 0 else [m[-1]] if i == self.results - 1 else []
            row = [*[Fraction(1)] * len(ends), *(p**i for p in self.pairs)]
            out.append(combined(form, row, [*ends, *(differences if i % 2 else sums)]))
        return out


def with_zeros(zeros: Sequence[Fraction]) -> list[Fraction]:
    """The coefficients, lowest first, of the polynomial with these zeros and leading coefficient 1."""
    out = [Fraction(1)]
    for zero in zeros:
        out = [above - zero * here for above, here in zip([Fraction(0), *out], [*out, Fraction(0)], strict=True)]
    return out


def combined(form: DotForm, factors: Row, x: Sequence[Lane]) -> Lane:
    """The sum of lanes times constants; the factor that is 1, if there is one, costs nothing."""
    terms = sorted(((c, lane) for c, lane in zip(factors, x, strict=True) if c), key=lambda term: term[0] != 1)
    (first, lane), *rest = terms
    total = lane if first == 1 else lane * float(first)
    for factor, lane in rest:
        if abs(factor) == 1:
            total = total + lane if factor == 1 else total - lane
        else:
            total = form.apply(total, lane, lane.f.const(float(factor), lane.kind, lane.lanes))
    return total


F2 = Minimal((Fraction(1),))
F4 = Minimal((Fraction(5, 8), Fraction(3, 2)))
