"""Comparing two sides: how far apart their outputs and layers are, and where they part first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from irc.backends.compare import Accuracy, Distance, distance
from irc.backends.data import Dataset
from irc.backends.pairing import Pair, Pairing, paired, same_graph
from irc.backends.scores import accuracy_of
from irc.backends.sides import Side, fitting
from irc.ir.diagnostics import Diagnostic, MismatchError, UsageError, did_you_mean
from irc.ir.location import Loc, Source
from irc.ir.scalars import Array
from irc.passes.base import Progress


@dataclass(frozen=True)
class Metric:
    """A number that says how far an array is from its reference; `high` is good, or low."""

    summary: str
    high: bool
    of: Callable[[Measured], float]
    unit: str = ""

    def kept(self, value: float, bound: float) -> bool:
        return value >= bound if self.high else value <= bound


@dataclass(frozen=True)
class Measured:
    """How far an array is from its reference, and in how many samples its largest element is where the other's is."""

    distance: Distance
    top1: float


METRICS: Mapping[str, Metric] = {
    "linf": Metric("largest absolute difference", False, lambda m: m.distance.largest),
    "rel": Metric("the same as a share of the largest reference value", False, lambda m: m.distance.relative),
    "l2": Metric("length of the difference as a share of the reference's", False, lambda m: m.distance.norm),
    "cos": Metric("cosine of the angle between the two", True, lambda m: m.distance.cosine),
    "sqnr": Metric("signal to noise in decibels", True, lambda m: m.distance.decibels, " dB"),
    "top1": Metric("share of rows with the largest element in the same place", True, lambda m: m.top1),
    "equal": Metric("share of elements that are equal, for classes and indices", True, lambda m: m.distance.share),
}
SHOWN = ("linf", "rel", "cos", "sqnr")
Bounds = Mapping[str, float]

EXACT: Bounds = {"linf": 0.0}  # where both sides have the bits of one graph
FLOATS: Bounds = {"rel": 1e-3}  # rounding of floats in another order
CODES: Bounds = {"sqnr": 10.0}  # a tenth of the energy is noise: quantization explains less
# Of classes and indices, whose size means nothing:
ALL_EQUAL: Bounds = {"equal": 1.0}
MOST_EQUAL: Bounds = {"equal": 0.9}  # where quantization may change which is largest


def read_metrics(texts: Sequence[str]) -> tuple[tuple[str, ...], dict[str, float]]:
    """`sqnr=20` and `cos` as the metrics to show and the bounds to keep. Raises UsageError for a mistake."""
    bounds: dict[str, float] = {}
    for text in texts:
        name, equals, number = text.partition("=")
        if name not in METRICS:
            raise UsageError(f"--metric {text}: there is no metric '{name}'", hint=did_you_mean(name, METRICS))
        if equals:
            bounds[name] = _number(text, number)
    return tuple(dict.fromkeys(text.partition("=")[0] for text in texts)) or SHOWN, bounds


def _number(text: str, number: str) -> float:
    try:
        return float(number)
    except ValueError:
        raise UsageError(f"--metric {text}: '{number}' is no number", hint="for example --metric sqnr=20") from None


@dataclass(frozen=True)
class Row:
    """A quantity on both sides: where it comes from, what computes it, how far apart it is."""

    loc: Loc
    a: str
    b: str
    measured: Measured

    @property
    def source(self) -> Source | None:
        """The place in the model, if it is known."""
        return self.loc.sources[0] if self.loc.sources else None

    def broken(self, bounds: Bounds) -> list[str]:
        """The bounds it does not keep, as text."""
        found: list[str] = []
        for name, bound in bounds.items():
            metric, value = METRICS[name], METRICS[name].of(self.measured)
            if not metric.kept(value, bound):
                wanted = f"at {'least' if metric.high else 'most'} {bound:g}{metric.unit}"
                found.append(f"{name} is {value:.3g}{metric.unit}, demanded {wanted}")
        return found


@dataclass(frozen=True)
class Comparison:
    """What `irc compare` found. `a` is the reference; `layers` are in the order of `b`, empty if nobody asked. `bounds`
    hold for reals, `of_integers` for what is integers on both sides.
    """

    a: str
    b: str
    samples: int
    outputs: tuple[Row, ...]
    layers: tuple[Row, ...]
    bounds: Bounds
    of_integers: Bounds
    accuracy: Accuracy | None = None
    traced: int = 0  # samples that the layers are of
    labelled: bool = False
    alone: tuple[int, int] = (0, 0)  # places of `a`, and of `b`, that show values but have no partner

    def broken(self, row: Row) -> list[str]:
        """The bounds that an output or layer does not keep, as text."""
        return row.broken(self.of_integers if row.measured.distance.integers else self.bounds)

    @property
    def first(self) -> Row | None:
        """The first layer that breaks a bound."""
        return next((row for row in self.layers if self.broken(row)), None)

    @property
    def agrees(self) -> bool:
        """Whether all outputs and layers keep the bounds."""
        return not any(self.broken(row) for row in (*self.outputs, *self.layers))

    def require(self) -> None:
        """Raise MismatchError with every output, and the first layer, that breaks a bound."""
        found = [
            Diagnostic(f"{row.b} of {self.b} against {self.a}: {'; '.join(broken)}")
            for row in self.outputs
            if (broken := self.broken(row))
        ]
        if self.first is not None:
            message = f"the first layer that differs: {self.first.b} against {self.first.a}, "
            found.append(Diagnostic(message + "; ".join(self.broken(self.first)), self.first.loc))
        if found:
            raise MismatchError(found)


def compared(
    a: Side,
    b: Side,
    data: Dataset,
    progress: Progress,
    *,
    layers: Dataset | None = None,
    bounds: Bounds | None = None,
) -> Comparison:
    """Run both sides on all samples, and layer by layer on those of `layers`.

    Without bounds, those of the kind of arithmetic are demanded: equal bits, rounding, or quantization. Raises
    UsageError if the sides have different outputs or one cannot show its layers.
    """
    of_reals, of_integers = usual(a, b) if bounds is None else (bounds, bounds)
    expected, given = outputs_of_both(a, b, data, progress)
    outputs = [_output(i, x, y) for i, (x, y) in enumerate(zip(expected, given, strict=True))]
    found = Pairing() if layers is None else paired(a, b, layers)
    return Comparison(
        a.name,
        b.name,
        len(data),
        tuple(outputs),
        tuple(map(_row, found.pairs)),
        of_reals,
        of_integers,
        accuracy_of(a.graph, expected, given, data.labels),
        0 if layers is None else len(layers),
        data.labels is not None,
        (found.alone_a, found.alone_b),
    )


def usual(a: Side, b: Side) -> tuple[Bounds, Bounds]:
    """What is demanded of reals and of integers where nobody says."""
    if a.bits and b.bits and same_graph(a, b):
        return EXACT, EXACT
    return (CODES, MOST_EQUAL) if a.has_codes or b.has_codes else (FLOATS, ALL_EQUAL)


def outputs_of_both(a: Side, b: Side, data: Dataset, progress: Progress) -> tuple[list[Array], list[Array]]:
    """What both sides give for all samples.

    Raises UsageError if a side does not take them, or if the sides differ in the number or the shapes of outputs.
    """
    first, second = a.outputs(fitting(data, a), progress), b.outputs(fitting(data, b), progress)
    if len(first) != len(second):
        raise UsageError(f"{a.name} has {len(first)} outputs, {b.name} has {len(second)}")
    for index, (x, y) in enumerate(zip(first, second, strict=True)):
        if x.shape != y.shape:
            shapes = f"{list(x.shape)} in {a.name}, {list(y.shape)} in {b.name}"
            raise UsageError(f"output{index} has the shape {shapes}")
    return first, second


def _output(index: int, expected: Array, given: Array) -> Row:
    return Row(Loc(), f"output{index}", f"output{index}", measured(given, expected))


def _row(pair: Pair) -> Row:
    return Row(
        Loc() if pair.source is None else Loc((pair.source,)), pair.a.op, pair.b.op, measured(pair.given, pair.expected)
    )


def measured(given: Array, expected: Array) -> Measured:
    """How far an array is from its reference of the same shape."""
    same = 1.0
    if given.ndim and given.size:
        places: Array = np.argmax(given, axis=-1) == np.argmax(expected, axis=-1)
        same = float(places.mean())
    return Measured(distance(given, expected), same)
