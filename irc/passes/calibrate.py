"""`calibrate`: watch the float graph run on samples and write the range of every activation into the graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from irc.ir.builder import Builder
from irc.ir.diagnostics import IrcError
from irc.ir.graph import Graph, Module, Node, Value
from irc.ir.interpret import interpret
from irc.ir.location import UNKNOWN
from irc.ir.ops.quant import Dequantize, Observe
from irc.ir.ops.structure import Const
from irc.ir.scalars import F32, Array
from irc.passes.base import Pass, PassContext, Samples
from irc.passes.encodings import counted
from irc.passes.sampling import batches, sample_count

GUESS = 4.0  # the magnitude of an activation of which only the type counts
LARGEST = 1e30  # of an activation: what is beyond, up to the infinities, stands for "none" in masks and extrema


@dataclass
class _Seen:
    """What one value was seen to hold, but for NaN and the fill of masks: its range, then a histogram over it."""

    lo: float = np.inf
    hi: float = -np.inf
    counts: Array = field(default_factory=lambda: np.zeros(0))

    def widen(self, array: Array) -> None:
        real = np.abs(array) < LARGEST
        kept = array if real.all() else array[real]
        if kept.size:
            self.lo, self.hi = min(self.lo, float(kept.min())), max(self.hi, float(kept.max()))

    def count(self, array: Array, bins: int) -> None:
        if not self.counts.size:
            self.counts = np.zeros(bins)
        if self.hi > self.lo:
            self.counts += counted(array, self.lo, self.hi, bins)

    def percentile(self, keep: float) -> tuple[float, float]:
        """The range that leaves out (100 - keep) / 2 percent of the values at either end."""
        if self.hi <= self.lo:
            return self.lo, self.hi
        edges = np.linspace(self.lo, self.hi, len(self.counts) + 1)
        share = np.concatenate([[0.0], np.cumsum(self.counts) / max(self.counts.sum(), 1)])
        tail = (100 - keep) / 200
        low, high = np.interp([tail, 1 - tail], share, edges)
        return float(low), float(high)


@dataclass(frozen=True)
class Calibrate(Pass):
    """Run the model on calibration samples and record the range of every activation as an `observe` node.

    `minmax` takes the whole range, `percentile` leaves out the outermost values, `mse` keeps a histogram from which
    `quantize` chooses, for the bits of each value, the range with the least squared error.
    """

    name = "calibrate"
    effect = "exact"
    observer: Literal["minmax", "percentile", "mse"] = "mse"
    percentile: float = 99.99
    bins: int = 1024
    samples: int = 256  # at most so many are used

    def run(self, module: Module, cx: PassContext) -> None:
        graph = module.main
        if cx.types_only:
            for value in activations(graph):
                self._insert(graph, value, _Seen(-GUESS, GUESS))
            return
        if cx.samples is None:
            raise IrcError("calibrate needs samples", hint="--calib=data.npz")
        samples = {name: array[: self.samples] for name, array in cx.samples.items()}
        watched = activations(graph)
        if not watched or sample_count(samples) == 0:
            raise IrcError(
                "calibrate has nothing to watch", hint="the model has no float activations, or there are no samples"
            )
        seen = {value: _Seen() for value in watched}
        self._sweep(module, samples, cx, seen, lambda s, a: s.widen(a))
        if self.observer != "minmax":
            self._sweep(module, samples, cx, seen, lambda s, a: s.count(a, self.bins))
        for value, record in seen.items():
            self._insert(graph, value, record)

    def _sweep(
        self,
        module: Module,
        samples: Samples,
        cx: PassContext,
        seen: dict[Value, _Seen],
        note: Callable[[_Seen, Array], None],
    ) -> None:
        runs = list(batches(module.main, samples))

        def observe(value: Value, array: Array) -> None:
            if value in seen:
                note(seen[value], array)

        with cx.progress("calibrate", len(runs)) as tick:
            for inputs in runs:
                interpret(module, inputs, observe=observe)
                tick()

    def _insert(self, graph: Graph, value: Value, record: _Seen) -> None:
        cut = self.observer == "percentile" and record.counts.size
        lo, hi = record.percentile(self.percentile) if cut else (record.lo, record.hi)
        if not lo <= hi:
            lo = hi = 0.0  # never finite on any sample: a value that only masks see
        node = value.node
        b = (
            Builder(graph, next(iter(graph.nodes)), UNKNOWN.via(self.name))
            if node is None
            else Builder(graph, node.next, node.loc.via(self.name))
        )
        histogram = None
        if self.observer == "mse" and record.counts.size:
            histogram = b.const(record.counts.astype(np.float32), F32)
        readers = value.uses
        observed = b(Observe(value, histogram, lo=lo, hi=hi), value.name)
        for use in readers:
            use.node.set_operand(use.index, observed)


def activations(graph: Graph) -> list[Value]:
    """The f32 values of a function but for constants and dequantized weights, in order.

    What depends on no input counts, too, where it could not be folded: a state of zeros for each sample of a batch.
    """
    inner = [v for n in graph.nodes if not isinstance(n, Const) and not _is_weight(n) for v in n.results]
    return [v for v in (*graph.inputs, *inner) if v.type.scalar == F32]


def _is_weight(node: Node) -> bool:
    return isinstance(node, Dequantize) and isinstance(node.x.node, Const)
