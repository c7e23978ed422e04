"""`irc debug reduce`: the smallest part of a graph on which passes, or a lowering, still break a check.

Delta debugging (Zeller and Hildebrandt, 2002) over the nodes that depend on inputs: what is left out becomes an input,
with the values that it had on the samples; what is read no more becomes an output.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count, pairwise
from pathlib import Path
from typing import Any

from irc.backends.data import Dataset, Source
from irc.backends.execute import calls_of, join, traced
from irc.backends.pairing import varying
from irc.driver import Settings, context, one_blas_thread
from irc.feedback import Feedback, silence
from irc.ir.builder import Builder
from irc.ir.clone import clone
from irc.ir.diagnostics import IrcError, UsageError
from irc.ir.graph import Graph, Module, Node, Value
from irc.ir.ops.structure import Return
from irc.ir.scalars import Array
from irc.ir.verify import verify
from irc.passes.pipeline import run_pipeline
from irc.reproducer import write_case
from irc.tools.bisect import SAMPLES, Setup, said, set_up
from irc.tools.verdict import GOOD, Check, Verdict
from irc.watch import Snapshot


@dataclass(frozen=True)
class Case:
    """A module and samples for its inputs."""

    module: Module
    data: Dataset


@dataclass(frozen=True)
class Reduced:
    """The smallest part that still fails: its nodes, of so many, why it fails, and where it was written."""

    case: Case
    nodes: tuple[Node, ...]
    of: int
    why: str
    folder: Path | None


def reduce_of(setup: Setup) -> Reduced:
    """Reduce a model. Raises UsageError if nothing fails on it."""
    whole = Case(setup.read.module, setup.calib)
    with one_blas_thread():
        first = _failure(setup, whole)
        if first.verdict.kind != "bad":
            raise UsageError("nothing fails on the whole model", hint="is it the check that fails for you?")
        candidates = _candidates(whole.module.main)
        arrays = _arrays(whole)

        def fails(kept: Sequence[int]) -> bool:
            case = cut(whole, kept, arrays)
            return case is not None and _failure(setup, case).like(first)

        kept = smallest(candidates, fails) if fails(candidates) else candidates
        case = cut(whole, kept, arrays) or whole
    why = _failure(setup, case).verdict.why
    snapshot = Snapshot.of(case.module)
    folder = write_case(snapshot, case.data.samples, setup.command(setup.stages), f"{why}\n")
    nodes = list(whole.module.main.nodes)
    return Reduced(case, tuple(nodes[index] for index in kept), len(candidates), why, folder)


@dataclass(frozen=True)
class _Outcome:
    """What became of a case: the verdict of the check; what a pass failed with, without names and numbers."""

    verdict: Verdict
    raised: str = ""

    def like(self, other: _Outcome) -> bool:
        """Whether both fail in the same way."""
        return self.verdict.kind == other.verdict.kind == "bad" and self.raised == other.raised


def _failure(setup: Setup, case: Case) -> _Outcome:
    """Run the passes, the check and the lowering on a case."""
    quiet = Feedback(silence, silence, silence)
    samples = case.data.head(len(setup.data))
    backend = None if setup.lowering is None else setup.lowering.backend
    cx = context(case.data, "given", backend, setup.settings, quiet, silence)
    module = clone(case.module)
    try:
        run_pipeline(setup.stages, module, cx)
    except Exception as error:
        return _Outcome(Verdict("bad", said(error)), re.sub(r"[\d.]+|'[^']*'|\"[^\"]*\"", "", said(error)))
    try:
        alone = setup.check(case.module, case.module, samples, quiet.progress) if setup.stages else GOOD
        if alone.kind != "good":
            return _Outcome(Verdict("skip"))  # it fails without the passes
        verdict = setup.check(case.module, module, samples, quiet.progress)
        if verdict.kind == "good" and setup.lowering is not None:
            verdict = setup.lowering(module, samples, quiet.progress)
    except IrcError:
        return _Outcome(Verdict("skip"))  # the check cannot run on this part
    return _Outcome(verdict)


def smallest(items: Sequence[int], fails: Callable[[Sequence[int]], bool]) -> list[int]:
    """Some of the items that fail together, of which none can be left out: the algorithm `ddmin`.

    `fails(items)` must hold.
    """
    kept, parts = list(items), 2
    while len(kept) > 1:
        bounds = [len(kept) * i // parts for i in range(parts + 1)]
        chunks = [kept[a:b] for a, b in pairwise(bounds)]
        alone = next((chunk for chunk in chunks if fails(chunk)), None)
        without = None if alone or parts == 2 else next(filter(fails, _rests(kept, chunks)), None)
        if alone is not None:
            kept, parts = alone, 2
        elif without is not None:
            kept, parts = without, max(parts - 1, 2)
        elif parts == len(kept):
            break
        else:
            parts = min(2 * parts, len(kept))
    return kept


def _rests(items: Sequence[int], chunks: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """The items without each chunk."""
    return ([item for item in items if item not in chunk] for chunk in chunks)


def _candidates(graph: Graph) -> list[int]:
    """The places of the nodes that depend on inputs."""
    computed = set(varying(graph))
    return [index for index, node in enumerate(graph.nodes) if computed.intersection(node.results)]


def _arrays(case: Case) -> dict[tuple[int, int], Array]:
    """What the results of nodes are on all samples, by place of the node and of the result."""
    graph = case.module.main
    places = {value: (i, j) for i, node in enumerate(graph.nodes) for j, value in enumerate(node.results)}
    seen: dict[tuple[int, int], list[Array]] = {}
    for call in calls_of(graph, case.data):
        for value, array in traced(case.module, call):
            if value in places:
                seen.setdefault(places[value], []).append(array)
    found: dict[tuple[int, int], Array] = {}
    for place, arrays in seen.items():
        if arrays[0].ndim and len({array.shape[1:] for array in arrays}) == 1:
            found[place] = join(arrays)[: len(case.data)]
    return found


def cut(case: Case, kept: Sequence[int], arrays: Mapping[tuple[int, int], Array]) -> Case | None:
    """The part of a case that is made of some of its nodes, by place; None if that is no valid graph with inputs."""
    module = clone(case.module)
    graph = module.main
    nodes = list(graph.nodes)
    left = {nodes[index] for index in kept}
    outputs = [v for index in kept for v in nodes[index].results if not left.issuperset(v.users) or not v.uses]
    samples = dict(case.data.samples)
    for index in _candidates(graph):
        for position, value in enumerate(nodes[index].results if nodes[index] not in left else ()):
            uses = [use for use in value.uses if use.node in left]
            array = arrays.get((index, position))
            if uses and (array is None or len(array) != len(case.data)):
                return None  # these values cannot be samples
            if uses and array is not None:
                name = _new_name(value, samples)
                samples[name] = array
                stand_in = graph.add_input(value.type, name)
                for use in uses:
                    use.node.set_operand(use.index, stand_in)
    nodes[-1].erase()
    for node in reversed(nodes[:-1]):
        if node not in left and not any(value.uses for value in node.results):
            node.erase()
    Builder.at_end(graph).add(Return(tuple(outputs)))
    return _valid(module, samples)


def _new_name(value: Value, taken: Mapping[str, Array]) -> str:
    """A name for an input that stands for a value."""
    names = (f"{value.name or 'value'}{end}" for end in chain([""], (f"_{n}" for n in count(1))))
    return next(name for name in names if name not in taken and not name.isdecimal())


def _valid(module: Module, samples: Mapping[str, Array]) -> Case | None:
    """The case without inputs and symbols that nothing needs; None if it is no valid graph with inputs."""
    graph = module.main
    for index in reversed(range(len(graph.inputs))):
        if not graph.inputs[index].uses:
            graph.remove_input(index)
    used = {name for value in graph.inputs for name in value.type.symbols()}
    for name in [name for name in graph.symbols if name not in used]:
        del graph.symbols[name]
    try:
        verify(module)
    except IrcError:
        return None
    if not graph.inputs or not graph.outputs:
        return None
    return Case(module, Dataset({value.name: samples[value.name] for value in graph.inputs}))


def reduce(
    model: Any,
    passes: str = "",
    *,
    calib: Source | None = None,
    backend: str = "",
    bounds: Mapping[str, float] | None = None,
    command: str = "",
    limit: int = SAMPLES,
    feedback: Feedback | None = None,
    **settings: Any,
) -> Reduced:
    """The smallest part of a model on which passes break a check; arguments as of `irc.bisect`.

    Leaves a reproducer behind. Raises UsageError if nothing fails on the whole model.
    """
    given = {"backend": backend} if backend else {}
    wanted = Settings(passes=passes, calib=calib, **given, **settings)
    check = Check(bounds, command)
    return reduce_of(set_up(model, wanted, feedback or Feedback(), check, limit=limit, lowered=bool(backend)))
