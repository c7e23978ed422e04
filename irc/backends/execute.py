"""Running a model on samples: on a backend, and on the interpreter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from irc.backends.base import Backend, Job
from irc.backends.data import Dataset
from irc.ir.diagnostics import IrcError
from irc.ir.graph import Graph, Module, Value
from irc.ir.interpret import interpret
from irc.ir.scalars import Array
from irc.passes.base import Progress
from irc.passes.sampling import batches, takes_batches

GROUP = 32  # calls handed to a backend at once
Call = list[Array]


def calls_of(graph: Graph, data: Dataset) -> list[Call]:
    """The samples as calls of the function, its inputs in order."""
    return [[batch[v.name] for v in graph.inputs] for batch in batches(graph, data.samples)]


def join(calls: Sequence[Array], batched: bool = True) -> Array:
    """One value of several calls with a sample axis: joined along the first axis, or stacked if that is no batch."""
    return np.concatenate(calls) if batched and calls[0].ndim else np.stack(calls)


def outputs_of(graph: Graph, results: Sequence[Sequence[Array]], samples: int) -> list[Array]:
    """Results of calls, joined; those of samples that only filled up the last batch are dropped."""
    batched = takes_batches(graph)
    return [join([result[i] for result in results], batched)[:samples] for i in range(len(graph.outputs))]


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
