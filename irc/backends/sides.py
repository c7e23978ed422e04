"""What computes a model: a graph on the interpreter, an artifact on its own backend, PyTorch, another runtime.

Two sides are compared by what they give for the same calls, and by the values on the way if both can show them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from irc.backends.base import Backend, Job
from irc.backends.data import Dataset, check
from irc.backends.execute import Call, calls_of, interpreted, outputs_of, require_whole, run_calls, traced
from irc.ir.diagnostics import UsageError
from irc.ir.graph import Graph, Module, Value
from irc.ir.location import Loc, Source
from irc.ir.scalars import Array
from irc.ir.types import Encoding
from irc.passes.base import Progress


@dataclass(frozen=True)
class Point:
    """A value that a side shows: where it comes from, what computed it, how its codes are read.

    `value` is the value of the graph, for sides that run one: two sides of one graph show the same values. `read` is
    where its codes are read as reals, by nodes that do nothing else.
    """

    name: str
    op: str
    loc: Loc
    encoding: Encoding | None = None
    value: Value | None = None
    read: tuple[Source, ...] = ()

    def real(self, array: Array) -> Array:
        """What the array stands for: codes read by their encoding, anything else as it is."""
        return array if self.encoding is None else self.encoding.decode(array)


Trace = Callable[[Call], Iterable[tuple[Point, Array]]]


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    `graph` has the inputs of its calls, and outputs as it gives them. `run` gives the results of calls; `trace` the
    values of one call, in order, None if it cannot show them. `of_graph` says that these are values of the graph,
    `bits` that each has the bits of the interpreter.
    """

    name: str
    graph: Graph
    run: Callable[[Sequence[Call], Progress], Iterator[list[Array]]]
    trace: Trace | None
    of_graph: bool
    bits: bool

    @property
    def has_codes(self) -> bool:
        """Whether it computes with integers that stand for reals, or rounds floats to them."""
        values = (value for node in self.graph.walk() for value in node.results)
        return any(value.type.encoding is not None for value in values)

    def outputs(self, data: Dataset, progress: Progress) -> list[Array]:
        """The results for all samples, joined along their batch axis; codes as the numbers they stand for."""
        require_whole(self.graph, len(data))
        calls = calls_of(self.graph, data)
        joined = outputs_of(self.graph, list(self.run(calls, progress)), len(data))
        return [point_of(value).real(array) for value, array in zip(self.graph.outputs, joined, strict=True)]


def point_of(value: Value) -> Point:
    """A value of a graph as a point."""
    op = value.node.opname if value.node is not None else "input"
    return Point(value.name, op, value.loc, value.type.element.encoding, value)


def points(seen: Iterable[tuple[Value, Array]]) -> Iterator[tuple[Point, Array]]:
    """Values of a graph as points."""
    return ((point_of(value), array) for value, array in seen)


def on_interpreter(module: Module, name: str) -> Side:
    """A module of the IR at any stage, by the definition of its ops."""

    def run(calls: Sequence[Call], progress: Progress) -> Iterator[list[Array]]:
        return interpreted(module, calls, progress, f"interpreting {name}")

    return Side(name, module.main, run, lambda call: points(traced(module, call)), of_graph=True, bits=True)


def on_backend(job: Job[Any, Any], backend: Backend[Any, Any, Any], folder: Path, name: str) -> Side:
    """An artifact by what its backend made of it: a library, a C simulation, a file in another runtime."""

    def run(calls: Sequence[Call], progress: Progress) -> Iterator[list[Array]]:
        return run_calls(job, backend, folder, calls)

    show = backend.trace
    trace: Trace | None = None if show is None else lambda call: points(show(job, folder, call))
    return Side(name, job.module.main, run, trace, of_graph=True, bits=backend.tolerance is None)


def on_torch(captured: Any, name: str) -> Side:
    """A model as PyTorch runs it; `captured` is what the frontend made of it (`irc.frontend.capture.Captured`)."""
    graph: Graph = captured.module.main
    names = [value.name for value in graph.inputs]

    def run(calls: Sequence[Call], progress: Progress) -> Iterator[list[Array]]:
        with progress(f"running {name}", len(calls)) as tick:
            for call in calls:
                yield captured.run_torch(dict(zip(names, call, strict=True)))
                tick()

    def trace(call: Call) -> Iterator[tuple[Point, Array]]:
        for name, op, loc, array in captured.trace_torch(dict(zip(names, call, strict=True))):
            yield Point(name, op, loc), array

    return Side(name, graph, run, trace, of_graph=False, bits=False)


def fitting(data: Dataset, side: Side) -> Dataset:
    """The data with the names that the inputs have on a side; in order where no name is the same.

    Raises UsageError if it takes another number of inputs, or others than these.
    """
    names = [value.name for value in side.graph.inputs]
    if len(names) != len(data.samples):
        raise UsageError(f"{side.name} takes the inputs {', '.join(names)}; given are {', '.join(data.samples)}")
    if set(names) != set(data.samples):
        data = Dataset(dict(zip(names, data.samples.values(), strict=True)), data.labels)
    check(data, side.graph, side.name)
    return data
