"""Comparing plain arrays: the same bits or not, who classifies better, and which layer differs first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from irc.ir.graph import Value
from irc.ir.location import Loc
from irc.ir.scalars import Array


def unequal_bits(a: Array, b: Array) -> Array:
    """Where two arrays of one type and shape differ in their bits: -0.0 is not 0.0, and a NaN equals itself."""
    bits = np.dtype(f"u{a.dtype.itemsize}")
    return np.ascontiguousarray(a).view(bits) != np.ascontiguousarray(b).view(bits)


def same_bits(a: Array, b: Array) -> bool:
    """Whether two arrays have the same type, shape and bits."""
    return a.dtype == b.dtype and a.shape == b.shape and not unequal_bits(a, b).any()


@dataclass
class Agreement:
    """How far one output agrees with its reference over all samples seen so far."""

    name: str
    elements: int = 0
    differing: int = 0
    largest: float = 0.0  # absolute difference
    first: int | None = None  # the first call that differs

    @property
    def exact(self) -> bool:
        return self.first is None

    def add(self, call: int, given: Array, expected: Array) -> None:
        """Take in one call. Raises ValueError if type or shape differ."""
        if given.shape != expected.shape or given.dtype != expected.dtype:
            stated, wanted = (f"{x.dtype}{list(x.shape)}" for x in (given, expected))
            raise ValueError(f"output {self.name} is {stated}, expected {wanted}")
        self.elements += expected.size
        unequal = unequal_bits(given, expected)
        if unequal.any():
            self.first = call if self.first is None else self.first
            self.differing += int(np.count_nonzero(unequal))
            with np.errstate(invalid="ignore"):
                distance = np.abs(given.astype(np.float64) - expected.astype(np.float64))
            self.largest = max(self.largest, float(np.nanmax(distance, initial=0.0)))


@dataclass
class Distance:
    """How far results are from a reference that computes otherwise; elements that are equal count whatever they are."""

    largest: float = 0.0  # absolute difference
    scale: float = 0.0  # the largest reference value
    signal: float = 0.0  # the sum of squares of the reference
    noise: float = 0.0  # the sum of squares of the differences
    power: float = 0.0  # the sum of squares of the results
    product: float = 0.0  # the sum of products of results and reference
    elements: int = 0
    equal: int = 0  # elements that are equal
    integers: bool = False  # indices, classes, counts: how many are equal says how far, and not decibels

    @property
    def share(self) -> float:
        """The share of elements that are equal."""
        return self.equal / self.elements if self.elements else 1.0

    @property
    def relative(self) -> float:
        return self.largest / self.scale if self.scale else self.largest

    @property
    def decibels(self) -> float:
        """Signal to noise; infinite where nothing differs."""
        if not self.noise:
            return math.inf
        return 10 * math.log10(self.signal / self.noise) if self.signal else -math.inf

    @property
    def norm(self) -> float:
        """The length of the difference beside that of the reference."""
        if not self.noise:
            return 0.0
        return math.sqrt(self.noise / self.signal) if self.signal else math.inf

    @property
    def cosine(self) -> float:
        """The cosine of the angle between results and reference; 1 where nothing differs."""
        if not self.noise:
            return 1.0
        lengths = math.sqrt(self.signal) * math.sqrt(self.power)
        return self.product / lengths if lengths else 0.0

    def add(self, given: Array, expected: Array) -> None:
        """Take in one output. Raises ValueError if the shapes differ."""
        if given.shape != expected.shape:
            raise ValueError(f"an output has shape {list(given.shape)}, expected {list(expected.shape)}")
        a, b = given.astype(np.float64), expected.astype(np.float64)
        apart = _apart(a, b)
        finite = np.isfinite(a) & np.isfinite(b)
        a, b = np.where(finite, a, 0.0), np.where(finite, b, 0.0)
        self.largest = max(self.largest, float(np.max(apart, initial=0.0)))
        self.scale = max(self.scale, float(np.max(np.abs(b), initial=0.0)))
        self.signal += float(np.sum(b * b))
        self.noise += float(np.sum(apart**2))
        self.power += float(np.sum(a * a))
        self.product += float(np.sum(a * b))
        self.elements += expected.size
        self.equal += int(np.count_nonzero(apart == 0))
        self.integers = given.dtype.kind in "iub" and expected.dtype.kind in "iub"


def _apart(a: Array, b: Array) -> Array:
    """Absolute differences: 0 for equal infinities and for two NaN, infinite where only one is finite."""
    with np.errstate(invalid="ignore"):
        apart = np.abs(a - b)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    return np.where(same, 0.0, np.where(np.isnan(apart), math.inf, apart))


def distance(given: Array, expected: Array) -> Distance:
    """How far one array is from another. Raises ValueError if the shapes differ."""
    found = Distance()
    found.add(given, expected)
    return found


def together(outputs: Sequence[Distance]) -> Distance:
    """The outputs that are reals as one, or all where none is.

    Each counts by noise in units of its own signal, so that one of large numbers does not drown the others.
    """
    found = Distance()
    for each in [d for d in outputs if not d.integers] or outputs:
        found.largest, found.scale = max(found.largest, each.largest), max(found.scale, each.scale)
        unit = each.signal if each.signal and not each.integers else 1.0
        for sums in ("signal", "noise", "power", "product"):
            setattr(found, sums, getattr(found, sums) + getattr(each, sums) / unit)
        found.elements, found.equal = found.elements + each.elements, found.equal + each.equal
        found.integers = each.integers
    return found


def share_equal(outputs: Sequence[Distance]) -> float | None:
    """The share of the elements of outputs that are integers which are equal; None if there are none."""
    elements = sum(d.elements for d in outputs if d.integers)
    return sum(d.equal for d in outputs if d.integers) / elements if elements else None


@dataclass(frozen=True)
class Accuracy:
    """Top-1 of two classifiers on the same labelled samples: `a` (float) and `b` (integer), and where they part.

    `lost` samples only `a` gets right, `won` only `b`; `changed` counts all samples whose predicted class differs.
    """

    samples: int
    a_right: int
    b_right: int
    lost: int
    won: int
    changed: int

    @property
    def difference(self) -> float:
        """Top-1 of b minus top-1 of a, a fraction."""
        return (self.won - self.lost) / self.samples

    @property
    def error(self) -> float:
        """The standard error of the paired difference, samples taken as independent."""
        variance = (self.won + self.lost) / self.samples - self.difference**2
        return math.sqrt(max(variance, 0.0) / self.samples)


def accuracy(a: Array, b: Array, labels: Array) -> Accuracy:
    """Compare two sets of scores [samples, classes]; ties go to the lowest class."""
    first, second = np.argmax(a, axis=-1), np.argmax(b, axis=-1)
    a_right, b_right = first == labels, second == labels
    return Accuracy(
        samples=len(labels),
        a_right=int(a_right.sum()),
        b_right=int(b_right.sum()),
        lost=int((a_right & ~b_right).sum()),
        won=int((b_right & ~a_right).sum()),
        changed=int((first != second).sum()),
    )


@dataclass(frozen=True)
class Divergence:
    """A value that two runs compute differently, and how far off it may be where that is known."""

    loc: Loc
    op: str
    differing: int
    elements: int
    largest: float
    allowed: float | None = None

    @property
    def share(self) -> float:
        """Of what is allowed."""
        return self.largest / self.allowed if self.allowed else math.inf

    def __str__(self) -> str:
        where = str(self.loc).removeprefix("at ") or "a node without location"
        allowed = "" if self.allowed is None else f", {self.allowed:.3g} allowed"
        apart = f"by up to {self.largest:g}{allowed}"
        return f"{where}: {self.op} differs in {self.differing} of {self.elements} elements, {apart}"


def first_divergence(
    given: Iterable[tuple[Value, Array]], expected: Sequence[tuple[Value, Array]]
) -> Divergence | None:
    """The first value, in the order of `given`, whose bits are not those of the same value in `expected`."""
    known = dict(expected)
    for value, array in given:
        if value in known and not same_bits(array, known[value]):
            return divergence(value, array, known[value])
    return None


def divergence(value: Value, given: Array, expected: Array, allowed: float | None = None) -> Divergence:
    """How a value differs from what was expected of it."""
    agreement = Agreement(value.name)
    agreement.add(0, given, expected)
    op = value.node.opname if value.node is not None else "input"
    return Divergence(value.loc, op, agreement.differing, agreement.elements, agreement.largest, allowed)


def within(given: Array, expected: Array, allowed: float) -> bool:
    """Whether no element is further off than allowed; infinities and NaN stand where they should."""
    if same_bits(given, expected):
        return True
    if given.dtype != expected.dtype or given.shape != expected.shape or not allowed:
        return False
    a, b = given.astype(np.float64), expected.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        return bool(np.all(same | (np.abs(a - b) <= allowed)))
