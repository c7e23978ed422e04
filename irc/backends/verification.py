"""What `irc verify` finds: an artifact against the interpreter, bit by bit, and against the float graph."""

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
    distance,
    divergence,
    first_divergence,
    same_bits,
    within,
)
from irc.backends.data import Dataset
from irc.backends.execute import Call, calls_of, outputs_of, require_whole, traced
from irc.backends.scores import accuracy_of
from irc.backends.sides import on_backend, on_interpreter
from irc.ir.diagnostics import Diagnostic, MismatchError
from irc.ir.graph import Module, Node, Value
from irc.ir.interpret import bind_dims, run_node
from irc.ir.ops.linear import Conv, Linear, Matmul
from irc.ir.ops.math import Cumsum, Mean, Sum
from irc.ir.ops.pool import AvgPool, SumPool
from irc.ir.ops.structure import Kernel
from irc.ir.scalars import Array


@dataclass(frozen=True)
class Verification:
    """What `irc verify` found: bit-equality of every output, its distance to the float graph, top-1 with labels."""

    samples: int
    outputs: tuple[Agreement, ...]
    to_float: tuple[Distance, ...] = ()
    accuracy: Accuracy | None = None
    divergence: Divergence | None = None
    tolerated: bool = False  # every layer that differs is as close to the interpreter's as its floats allow
    labelled: bool = False
    nearest: Divergence | None = None  # of the layers that were judged, the one that is nearest to its tolerance

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
    require_whole(graph, len(data))
    calls = calls_of(graph, data)
    compiled = on_backend(job, backend, folder, backend.name)
    lowered, floats = on_interpreter(job.module, "the lowered graph"), on_interpreter(captured, "the float graph")
    agreements = [Agreement(f"output{i}") for i in range(len(graph.outputs))]
    given: list[list[Array]] = []
    expected = lowered.run(calls, job.progress)
    for index, (mine, theirs) in enumerate(zip(compiled.run(calls, job.progress), expected, strict=True)):
        given.append(mine)
        for agreement, a, b in zip(agreements, mine, theirs, strict=True):
            agreement.add(index, a, b)
    first = next((a.first for a in agreements if a.first is not None), None)
    found, tolerated, nearest = None, False, None
    if first is not None and backend.trace is not None:
        shown = list(backend.trace(job, folder, calls[first]))
        found = first_divergence(shown, traced(job.module, calls[first]))
        if backend.tolerance is not None:
            judged = list(_judged(job.module, calls[first], dict(shown), backend.tolerance))
            wrong = next((layer for layer in judged if not layer.within), None)
            found, tolerated = wrong.divergence if wrong else found, wrong is None
            nearest = max((layer.divergence for layer in judged), key=lambda d: d.share, default=None)
    outputs = outputs_of(graph, given, len(data))
    references = outputs_of(graph, list(floats.run(calls, job.progress)), len(data))
    return Verification(
        len(data),
        tuple(agreements),
        tuple(map(distance, outputs, references)),
        accuracy_of(captured.main, references, outputs, data.labels),
        found,
        tolerated,
        data.labels is not None,
        nearest,
    )


@dataclass(frozen=True)
class _Judged:
    """A layer that differs, and whether it is as close as it has to be."""

    divergence: Divergence
    within: bool


def _judged(module: Module, call: Call, shown: Mapping[Value, Array], allowed: Tolerance) -> Iterator[_Judged]:
    """The layers that differ, each computed from the operands that the backend saw, up to one that is too far off.

    So small differences of floats do not add up from layer to layer, and a wrong layer is not excused by them.
    """
    graph = module.main
    dims = bind_dims(graph, call)
    seen: dict[Value, Array] = dict(zip(graph.inputs, call, strict=True))
    for node in graph.nodes:
        if node.terminator:
            continue
        operands = [seen[v] for v in node.operands]
        expected = run_node(node, operands, dims, module)
        inner = node.body.outputs if isinstance(node, Kernel) else node.results
        for value, place, array in zip(node.results, inner, expected, strict=True):
            given = seen[value] = shown.get(place, shown.get(value, array))
            if same_bits(given, array):
                continue
            limit = allowed(node, array)
            if not within(given, array, limit):
                limit = allowed(node, _with_terms(node, operands, dims, module, array))
            fits = within(given, array, limit)
            yield _Judged(divergence(place, given, array, limit), fits)
            if not fits:
                return


SUMS = (Linear, Matmul, Conv, Sum, Mean, Cumsum, AvgPool, SumPool)


def _with_terms(
    node: Node, operands: Sequence[Array], dims: Mapping[str, int], module: Module, expected: Array
) -> Array:
    """The result of a node, and beside it what the sums in it would be if no term cancelled another.

    The rounding of a sum follows from the size of its terms: where they cancel, the result says nothing of it.
    """
    found: dict[Value, Array] = dict(zip(node.operands, operands, strict=True))
    inside: list[Node] = [node]
    if isinstance(node, Kernel):
        run_node(node, operands, dims, module, lambda value, array: found.update({value: array}))
        inside = [n for n in node.body.nodes if not n.terminator]
    sizes = [expected.ravel()]
    for op in inside:
        if isinstance(op, SUMS) and op.results[0].type.scalar.is_float and expected.dtype.kind == "f":
            terms = [np.abs(found[v]) for v in op.operands]
            sizes += [a.ravel().astype(expected.dtype) for a in run_node(op, terms, dims, module)]
    return np.concatenate(sizes)
