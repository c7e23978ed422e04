"""Running a model on samples: on a backend, and on the interpreter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from irc.backends.base import Backend, Job
from irc.backends.data import Dataset
from irc.ir.diagnostics import IrcError, UsageError
from irc.ir.graph import Graph, Module, Value
from irc.ir.interpret import interpret
from irc.ir.scalars import Array
from irc.passes.base import Progress
from irc.passes.sampling import batch_axes, batch_range, batches, takes_batches

GROUP = 32  # calls handed to a backend at once
Call = list[Array]


def calls_of(graph: Graph, data: Dataset, most: int | None = None) -> list[Call]:
    """The samples as calls of the function, its inputs in order; up to `most` samples a call where that varies."""
    return [[batch[v.name] for v in graph.inputs] for batch in batches(graph, data.samples, most)]


def join(calls: Sequence[Array], axis: int | None = 0) -> Array:
    """One value of several calls: joined along its sample axis, or stacked if it has none."""
    return np.stack(calls) if axis is None or not calls[0].ndim else np.concatenate(calls, axis)


def joined(graph: Graph, results: Sequence[Sequence[Array]]) -> list[Array]:
    """The outputs of a function from all its calls, each joined along the axis that the batch is.

    What has no such axis belongs to its call: that of one call stays as it is, that of several is stacked, as is all of
    a function that takes no batches.
    """
    if not takes_batches(graph):
        return [join(calls, None) for calls in zip(*results, strict=True)]
    if len(results) == 1:
        return list(results[0])
    return [join(calls, axis) for axis, calls in zip(batch_axes(graph), zip(*results, strict=True), strict=True)]


def outputs_of(graph: Graph, results: Sequence[Sequence[Array]], samples: int) -> list[Array]:
    """Results of calls, joined; those of samples that only filled up the last batch are dropped."""
    outputs = joined(graph, results)
    if not takes_batches(graph):
        return outputs
    pairs = zip(outputs, batch_axes(graph), strict=True)
    return [a if axis is None else _first(a, samples, axis) for a, axis in pairs]


def _first(array: Array, count: int, axis: int) -> Array:
    """The first so many places of an axis."""
    return array[(slice(None),) * axis + (slice(count),)]


def require_whole(graph: Graph, samples: int) -> None:
    """Raise UsageError if an output is of all samples of a call, and so many samples make no whole calls."""
    if not takes_batches(graph):
        return
    shared = [i for i, axis in enumerate(batch_axes(graph)) if axis is None]
    fewest, most = batch_range(graph)
    if shared and (samples % fewest if fewest == most else not fewest <= samples <= most):
        of = f"output{shared[0]} ({graph.outputs[shared[0]].type}) is of all samples of a call"
        takes = f"a multiple of {fewest}" if fewest == most else f"{fewest} to {most}"
        raise UsageError(f"{samples} samples: {of}", hint=f"give {takes}")


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


def traced(module: Module, call: Call) -> list[tuple[Value, Array]]:
    """Every value of one call on the interpreter, in order."""
    seen: list[tuple[Value, Array]] = []
    interpret(module, call, observe=lambda value, array: seen.append((value, array)))
    return seen
