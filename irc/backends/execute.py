"""Running a compiled model on samples, and checking it against the interpreter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from irc.backends.base import Backend, Job, Tolerance
from irc.backends.compare import (
    Accuracy,
    Agreement,
    Distance,
    Divergence,
    accuracy,
    distance,
    divergence,
    first_divergence,
    scores_of,
    within,
)
from irc.backends.data import Dataset
from irc.ir.diagnostics import Diagnostic, IrcError, MismatchError
from irc.ir.graph import Graph, Module, Value
from irc.ir.interpret import bind_dims, interpret, run_node
from irc.ir.ops.structure import Kernel
from irc.ir.scalars import Array
from irc.passes.base import Progress
from irc.passes.sampling import batches

GROUP = 32  # calls handed to a backend at once
Call = list[Array]


def calls_of(graph: Graph, data: Dataset) -> list[Call]:
    """The samples as calls of the function, its inputs in order."""
    return [[batch[v.name] for v in graph.inputs] for batch in batches(graph, data.samples)]


def join(calls: Sequence[Array]) -> Array:
    """One result of several calls with a sample axis: joined along the first axis, or stacked if there is none."""
    return np.concatenate(calls) if calls[0].ndim else np.stack(calls)


def outputs_of(results: Sequence[Sequence[Array]], samples: int) -> list[Array]:
    """Results of calls, joined; those of samples that only filled up the last batch are dropped."""
    return [join([result[i] for result in results])[:samples] for i in range(len(results[0]))]


def run_calls(
    job: Job[Any, Any], backend: Backend[Any, Any, Any], folder: Path, calls: Sequence[Call]
) -> Iterator[list[Array]]:
    """The results of each call on the backend. Raises IrcError if they have other types than those of `main`."""
    with backend.start(job, folder) as runner, job.progress("running", len(calls)) as tick:
        for start in range(0, len(calls), GROUP):
            group = calls[start : start + GROUP]
            results = runner(group)
            if len(results) != len(group):
                raise IrcError(f"the backend {backend.name} ran {len(results)} of {len(group)} calls")
            for result in results:
                _check_types(result, job.module.main, backend.name)
                tick()
                yield result


def _check_types(result: Sequence[Array], graph: Graph, name: str) -> None:
    wanted = [v.type for v in graph.outputs]
    given = ", ".join(f"{a.dtype}{list(a.shape)}" for a in result)
    if len(result) != len(wanted) or any(
        a.dtype != t.scalar.dtype or a.ndim != t.rank for a, t in zip(result, wanted, strict=True)
    ):
        raise IrcError(f"the backend {name} gave {given or 'nothing'}, expected {', '.join(map(str, wanted))}")


def interpreted(module: Module, calls: Sequence[Call], progress: Progress, what: str) -> Iterator[list[Array]]:
    """The results of each call on the interpreter."""
    with progress(what, len(calls)) as tick:
        for call in calls:
            yield interpret(module, call)
            tick()


@dataclass(frozen=True)
class Verification:
    """What `irc verify` found: bit-equality of every output, its distance to the float graph, top-1 with labels."""

    samples: int
    outputs: tuple[Agreement, ...]
    to_float: tuple[Distance, ...] = ()
    accuracy: Accuracy | None = None
    divergence: Divergence | None = None
    tolerated: bool = False  # every layer that differs is as close to the interpreter's as its floats allow

    @property
    def exact(self) -> bool:
        """Whether every output of every sample has the bits of the interpreter."""
        return all(output.exact for output in self.outputs)

    def require_exact(self) -> None:
        """Raise MismatchError, with the first layer that differs, unless all is equal or differs as it may."""
        if self.tolerated:
            return
        found = [
            Diagnostic(
                f"{o.name} differs from the interpreter in {o.differing} of {o.elements} elements, by up to "
                f"{o.largest:g}, first in call {o.first}",
                notes=(f"the first value that differs is {self.divergence}",) if self.divergence else (),
            )
            for o in self.outputs
            if not o.exact
        ]
        if found:
            raise MismatchError(found)


def verify_samples(
    job: Job[Any, Any], backend: Backend[Any, Any, Any], folder: Path, captured: Module, data: Dataset
) -> Verification:
    """Run all samples on the backend, and the lowered and the float graph on the interpreter."""
    graph = job.module.main
    calls = calls_of(graph, data)
    agreements = [Agreement(f"output{i}") for i in range(len(graph.outputs))]
    given: list[list[Array]] = []
    expected = interpreted(job.module, calls, job.progress, "interpreting the lowered graph")
    for index, (mine, theirs) in enumerate(zip(run_calls(job, backend, folder, calls), expected, strict=True)):
        given.append(mine)
        for agreement, a, b in zip(agreements, mine, theirs, strict=True):
            agreement.add(index, a, b)
    first = next((a.first for a in agreements if a.first is not None), None)
    found, tolerated = None, False
    if first is not None and backend.trace is not None:
        traced = list(backend.trace(job, folder, calls[first]))
        found = first_divergence(traced, _trace(job.module, calls[first]))
        if backend.tolerance is not None:
            wrong = _wrong_layer(job.module, calls[first], dict(traced), backend.tolerance)
            found, tolerated = wrong or found, wrong is None
    outputs = outputs_of(given, len(data))
    floats = interpreted(captured, calls_of(captured.main, data), job.progress, "interpreting the float graph")
    references = outputs_of(list(floats), len(data))
    return Verification(
        len(data),
        tuple(agreements),
        tuple(map(distance, outputs, references)),
        _accuracy(references, outputs, data.labels),
        found,
        tolerated,
    )


def _wrong_layer(module: Module, call: Call, traced: Mapping[Value, Array], allowed: Tolerance) -> Divergence | None:
    """The first layer whose result is further off than allowed, each computed from the operands that the backend saw.

    So small differences of floats do not add up from layer to layer, and a wrong layer is not excused by them.
    """
    graph = module.main
    dims = bind_dims(graph, call)
    seen: dict[Value, Array] = dict(zip(graph.inputs, call, strict=True))
    for node in graph.nodes:
        if node.terminator:
            continue
        expected = run_node(node, [seen[v] for v in node.operands], dims, module)
        inner = node.body.outputs if isinstance(node, Kernel) else node.results
        for value, place, array in zip(node.results, inner, expected, strict=True):
            seen[value] = traced.get(place, traced.get(value, array))
            if not within(seen[value], array, allowed(node, array)):
                return divergence(place, seen[value], array)
    return None


def _trace(module: Module, call: Call) -> list[tuple[Value, Array]]:
    seen: list[tuple[Value, Array]] = []
    interpret(module, call, observe=lambda value, array: seen.append((value, array)))
    return seen


def _accuracy(references: Sequence[Array], outputs: Sequence[Array], labels: Array | None) -> Accuracy | None:
    if labels is None:
        return None
    float_scores, scores = (scores_of(arrays, labels) for arrays in (references, outputs))
    return None if float_scores is None or scores is None else accuracy(float_scores, scores, labels)
