"""Images at places that the data tell: sums over neighbours of lookups times weights."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import reduce
from typing import Literal, TypeAlias

from irc.frontend.building import Building
from irc.frontend.composed.math import plus, times
from irc.frontend.composed.places import along, merged
from irc.frontend.composed.tensor import cut
from irc.ir.dims import Dim, product
from irc.ir.graph import Value
from irc.ir.ops.bits import And
from irc.ir.ops.math import Abs, Add, Clamp, Compare, Floor, Mul, Round, Sub, Where
from irc.ir.ops.tensor import Gather, Permute, Reshape
from irc.ir.scalars import I64

Mode: TypeAlias = Literal["nearest", "linear", "cubic"]
Outside: TypeAlias = Literal["zeros", "border", "reflection"]
Term: TypeAlias = "tuple[Value, Value | None]"  # a place on an axis, a whole float, and its weight
CUBIC = -0.75


def grid_sample(c: Building, x: Value, grid: Value, mode: Mode, outside: Outside, corners: bool) -> Value:
    """x[N, C, *spatial] at grid[N, *out, (.., y, x)], where -1 and 1 are the ends of an axis: [N, C, *out].

    The ends are the centres of the first and the last element if `corners`, else their outer edges.
    """
    sizes = [c.number(d, "the size of an image") for d in x.type.shape[2:]]
    n = len(sizes)
    terms: list[list[Term]] = []
    for i, size in enumerate(sizes):
        at = _place(c, grid, n - 1 - i, size, corners)
        at = at if mode == "cubic" else _kept(c, at, size, outside, corners)
        found = _neighbours(c, at, mode)
        terms.append([(_kept(c, p, size, outside, corners), w) for p, w in found] if mode == "cubic" else found)
    return _looked_up(c, x, list(itertools.product(*terms)))


def _place(c: Building, grid: Value, axis: int, size: int, corners: bool) -> Value:
    """Places [N, *out] in elements."""
    at = c.b(Reshape(cut(c, grid, -1, axis, axis + 1), grid.type.shape[:-1]))
    return plus(c, times(c, at, (size - 1) / 2 if corners else size / 2), (size - 1) / 2)


def _kept(c: Building, at: Value, size: int, outside: Outside, corners: bool) -> Value:
    """Places beyond the ends moved to the border, or reflected at the ends; they stay where zeros are outside."""
    if outside == "zeros":
        return at
    if outside == "reflection":
        low, span = (0.0, float(size - 1)) if corners else (-0.5, float(size))
        at = _reflected(c, at, low, span) if span else times(c, at, 0.0)
    return c.b(Clamp(at, 0.0, float(size - 1)))


def _reflected(c: Building, at: Value, low: float, span: float) -> Value:
    """Between low and low + span, forth and back."""
    far = c.b(Abs(plus(c, at, -low)))
    turns = c.b(Floor(times(c, far, 1 / span)))
    left = c.b(Sub(far, times(c, turns, span)))
    half = times(c, turns, 0.5)
    even = c.b(Compare(c.b(Floor(half)), half, "eq"))
    back = c.b(Sub(c.const(span, at.type.scalar), left))
    return plus(c, c.b(Where(even, left, back)), low)


def _neighbours(c: Building, at: Value, mode: Mode) -> list[Term]:
    """The elements near a place, each with its weight."""
    if mode == "nearest":
        return [(c.b(Round(at)), None)]
    one, low = c.const(1, at.type.scalar), c.b(Floor(at))
    share = c.b(Sub(at, low))
    if mode == "linear":
        return [(low, c.b(Sub(one, share))), (c.b(Add(low, one)), share)]
    rest = c.b(Sub(one, share))
    weights = (_outer(c, plus(c, share, 1)), _inner(c, share), _inner(c, rest), _outer(c, plus(c, rest, 1)))
    return [(plus(c, low, i - 1), w) for i, w in enumerate(weights)]


def _inner(c: Building, t: Value, a: float = CUBIC) -> Value:
    """Cubic convolution (Keys, 1981) of an element at a distance up to 1."""
    return plus(c, c.b(Mul(c.b(Mul(plus(c, times(c, t, a + 2), -(a + 3)), t)), t)), 1)


def _outer(c: Building, t: Value, a: float = CUBIC) -> Value:
    """The same at a distance from 1 to 2."""
    inner = plus(c, c.b(Mul(plus(c, times(c, t, a), -5 * a), t)), 8 * a)
    return plus(c, c.b(Mul(inner, t)), -4 * a)


def _looked_up(c: Building, x: Value, terms: Sequence[Sequence[Term]]) -> Value:
    """The sum over terms of x[n, :, *places] * weights, 0 outside of x."""
    batch, channels, *spatial = x.type.shape
    n = len(spatial)
    rows = c.b(Permute(x, (0, *range(2, n + 2), 1)))
    image = c.b(Reshape(rows, (product((batch, *spatial)), channels)))
    found = [_term(c, image, term, (batch, *spatial)) for term in terms]
    return c.b(Permute(reduce(lambda a, b: c.b(Add(a, b)), found), (0, n + 1, *range(1, n + 1))))


def _term(c: Building, image: Value, term: Sequence[Term], sizes: Sequence[Dim]) -> Value:
    """image[places, :] * weights, 0 outside: [N, *out, C]."""
    pairs = [_on_axis(c, place, size) for (place, _), size in zip(term, sizes[1:], strict=True)]
    flat, _ = merged(c, [along(c, 0, sizes[0], len(sizes)), *(place for place, _ in pairs)], sizes)
    shape = (*flat.type.shape, 1)
    valid = reduce(lambda a, b: c.b(And(a, b)), [inside for _, inside in pairs])
    found = c.b(Where(c.b(Reshape(valid, shape)), c.b(Gather(image, flat, 0)), c.const(0, image.type.scalar)))
    weights = [weight for _, weight in term if weight is not None]
    if not weights:
        return found
    return c.b(Mul(found, c.b(Reshape(reduce(lambda a, b: c.b(Mul(a, b)), weights), shape))))


def _on_axis(c: Building, at: Value, size: Dim) -> tuple[Value, Value]:
    """Places as i64 of an axis, and whether they lie on it."""
    scalar, last = at.type.scalar, c.number(size, "the size of an image") - 1
    low, high = c.b(Compare(at, c.const(0, scalar), "ge")), c.b(Compare(at, c.const(last, scalar), "le"))
    return c.cast(c.b(Clamp(at, 0.0, float(last))), I64), c.b(And(low, high))
