"""The polynomials of codegen/functions.py again: `python -m tests.cpu_simd.remez` prints them with their errors.

Minimax by the exchange algorithm (Remez, 1934) in 60 digits. Needs mpmath.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import mpmath  # pyright: ignore[reportMissingTypeStubs]
import numpy as np

mp: Any = mpmath.mp
mp.dps = 60

Real = Any
Curve = Callable[[Real], Real]

GRID = 1500
ALMOST_EQUAL = 1.0005
ROUNDS = 12
NEAR_ZERO = mp.mpf(10) ** -20


@dataclass(frozen=True)
class Fit:
    """What is approximated, and where: the error counts times `weight`."""

    curve: Curve
    weight: Curve
    low: Real
    high: Real

    def grid(self, count: int) -> list[Real]:
        """Chebyshev nodes, which are dense at the ends."""
        middle, half = (self.low + self.high) / 2, (self.high - self.low) / 2
        return [middle - half * mp.cos(mp.pi * i / (count - 1)) for i in range(count)]

    def error(self, coefficients: list[Real]) -> list[Real]:
        return [self.weight(t) * (self.curve(t) - mp.polyval(coefficients[::-1], t)) for t in self.grid(GRID)]


def minimax(fit: Fit, degree: int) -> list[Real]:
    """Coefficients, lowest first, whose largest error on the interval is the smallest possible."""
    points, grid = fit.grid(degree + 2), fit.grid(GRID)
    coefficients: list[Real] = []
    for _ in range(ROUNDS):
        *coefficients, level = _levelled(fit, degree, points)
        errors = fit.error(coefficients)
        extremes = _alternating(errors, degree + 2)
        if len(extremes) < degree + 2 or max(map(abs, errors)) < abs(level) * ALMOST_EQUAL:
            break
        points = [grid[i] for i in extremes]
    return coefficients


def _levelled(fit: Fit, degree: int, points: list[Real]) -> list[Real]:
    """The polynomial whose errors at the points are equal but for alternating signs, and that error."""
    size = degree + 2
    matrix, right = mp.matrix(size, size), mp.matrix(size, 1)
    for row, t in enumerate(points):
        for column in range(degree + 1):
            matrix[row, column] = t**column
        matrix[row, degree + 1] = (-1) ** row / max(fit.weight(t), mp.mpf(10) ** -30)
        right[row] = fit.curve(t)
    return list(mp.lu_solve(matrix, right))


def _alternating(errors: list[Real], wanted: int) -> list[int]:
    """The places of the largest errors of alternating signs."""
    runs = [list(run) for _, run in groupby(range(len(errors)), key=lambda i: errors[i] > 0)]
    found = [max(run, key=lambda i: abs(errors[i])) for run in runs]
    while len(found) > wanted + 1:
        least = min(range(len(found) - 1), key=lambda i: max(abs(errors[found[i]]), abs(errors[found[i + 1]])))
        del found[least : least + 2]
    if len(found) == wanted + 1:
        del found[0 if abs(errors[found[0]]) < abs(errors[found[-1]]) else -1]
    return found


def of_square(odd: Curve) -> Curve:
    """A function of t as one of z = t^2."""
    return lambda z: odd(mp.sqrt(z))


def tail(pole: int) -> Fit:
    """erfc(t) exp(t^2) (t + pole) of q = (t - pole) / (t + pole), for t from 0 to where erfc is no more."""

    def curve(q: Real) -> Real:
        t = pole * (1 + q) / (1 - q)
        return mp.erfc(t) * mp.exp(t * t) * (t + pole)

    top = mp.mpf(10.3 if pole == 2 else 27.5)
    return Fit(curve, lambda q: 1 / curve(q), mp.mpf(-1), (top - pole) / (top + pole))


HALF_LN2 = mp.log(2) / 2 * mp.mpf("1.002")
QUARTER_PI = mp.pi / 4 * mp.mpf("1.002")
LARGEST_S = (mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)

FITS = {
    "exp": Fit(lambda r: (mp.expm1(r) - r) / r**2, lambda r: abs(r**2 / mp.expm1(r)), -HALF_LN2, HALF_LN2),
    "log": Fit(
        of_square(lambda s: (mp.log((1 + s) / (1 - s)) - 2 * s) / s**3),
        of_square(lambda s: s**3 / mp.log((1 + s) / (1 - s))),
        NEAR_ZERO,
        LARGEST_S**2,
    ),
    "erf": Fit(of_square(lambda t: mp.erf(t) / t - 1), of_square(lambda t: t / mp.erf(t)), NEAR_ZERO, mp.mpf(1)),
    "sin": Fit(
        of_square(lambda r: (mp.sin(r) - r) / r**3), of_square(lambda r: r**3 / mp.sin(r)), NEAR_ZERO, QUARTER_PI**2
    ),
    "cos": Fit(
        of_square(lambda r: (mp.cos(r) - 1 + r**2 / 2) / r**4),
        of_square(lambda r: r**4 / mp.cos(r)),
        NEAR_ZERO,
        QUARTER_PI**2,
    ),
    "erfc, pole 2": tail(2),
    "erfc, pole 3": tail(3),
}

DEGREES = {
    "f4": {"exp": 4, "log": 2, "erf": 6, "erfc, pole 2": 9, "sin": 2, "cos": 2},
    "f8": {"exp": 10, "log": 6, "erf": 13, "erfc, pole 3": 24, "sin": 6, "cos": 6},
}


def main() -> None:
    for kind, degrees in DEGREES.items():
        for name, degree in degrees.items():
            rounded = [np.dtype(kind).type(float(c)) for c in minimax(FITS[name], degree)]
            worst = max(map(abs, FITS[name].error([mp.mpf(float(c)) for c in rounded])))
            print(f"{kind} {name}: {', '.join(map(str, rounded))}; relative error {mp.nstr(worst, 3)}")


if __name__ == "__main__":
    main()
