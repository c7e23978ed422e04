"""What would come of a compilation, before it: every blocker, what is covered, what falls back, and estimates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from irc.backends.base import Backend, Job
from irc.backends.fallbacks import Fallback
from irc.backends.report import one_sample
from irc.driver import Lowered, Read, Settings, fallbacks_of, lower, read_backend, read_model, stages_of
from irc.feedback import Feedback, silence
from irc.frontend.problems import ImportFailed
from irc.ir.diagnostics import BudgetError, Diagnostic, IrcError, merged
from irc.ir.dims import bounds, product
from irc.ir.graph import Graph, Module, Value
from irc.ir.op import Op
from irc.ir.ops.structure import Const, Kernel
from irc.passes.pipeline import Stage, pipeline_text
from irc.tables import OPS

SCHEMA = 1


@dataclass(frozen=True)
class Coverage:
    """How much of a model can be compiled, by operators and by multiply-accumulates of one sample; those of operators
    that could not be imported are not known."""

    operators: int
    compiled: int
    macs: int
    compiled_macs: int


@dataclass(frozen=True)
class Preflight:
    """What a check found. `estimate` are sizes by what they are of: numbers, or texts; empty where something blocks."""

    name: str
    facts: Mapping[str, str]
    blockers: Sequence[Diagnostic]
    coverage: Coverage
    fallbacks: Sequence[Fallback] = ()
    estimate: Mapping[str, Any] = field(default_factory=dict[str, Any])
    unmet: Sequence[str] = ()

    def error(self, *, strict: bool = False) -> IrcError | None:
        """What `compile` would raise. With `strict` also for what falls back silently, and for missed budgets."""
        if self.blockers:
            return IrcError(self.blockers)
        if strict and (silent := [f.diagnostic for f in self.fallbacks if not f.stated]):
            return IrcError(silent)
        if strict and self.unmet:
            return BudgetError([Diagnostic(text) for text in self.unmet])
        return None


def preflight(model: Any, settings: Settings, feedback: Feedback | None = None) -> Preflight:
    """Look at a model without compiling it: no samples, no calibration, nothing written; types decide.

    All that stands in the way is in the result, also operators that the frontend cannot import: what it could import
    is looked at all the same. Raises UsageError and UnsafeInputError, and IrcError for a file that cannot be read.
    """
    backend, empty = read_backend(settings)
    stages = stages_of(settings, backend)
    facts = {"backend": backend.name, "target": empty.target.name, "pipeline": pipeline_text(stages)}
    attempt = _Attempt(backend, empty, stages, settings, replace(feedback or Feedback(), warn=silence))
    try:
        read = read_model(model, settings)
    except ImportFailed as error:
        return attempt.of_part(_name_of(model), facts, error)
    found = attempt.run(read)
    if found:
        return Preflight(read.name, facts, merged(found), coverage(attempt.furthest(read.module), found))
    return attempt.good(read.name, facts)


def check(
    model: Any,
    inputs: Any = None,
    *,
    passes: str = "clean",
    backend: str = "reference",
    target: str = "",
    feedback: Feedback | None = None,
    **settings: Any,
) -> Preflight:
    """What would come of compiling a model: `irc.check("model.pt2", passes="quant8,fuse", backend="hls").blockers`.

    Arguments as of `irc.compile`; raises as `preflight`.
    """
    wanted = Settings(passes=passes, backend=backend, target=target, inputs=inputs, **settings)
    return preflight(model, wanted, feedback)


def _name_of(model: Any) -> str:
    return Path(model).stem if isinstance(model, str | Path) else type(model).__name__


@dataclass
class _Attempt:
    """A compilation that goes as far as it can."""

    backend: Backend[Any, Any, Any]
    empty: Job[Any, Any]
    stages: list[Stage]
    settings: Settings
    feedback: Feedback
    lowered: Lowered | None = None
    product: Any = None

    def run(self, read: Read) -> Sequence[Diagnostic]:
        """What stands against it. Raises UsageError and the like as they come."""
        try:
            self.lowered = lower(read, self.stages, self.backend, self.settings, self.feedback, types_only=True)
            self.product = self.backend.lower(self.job)
        except IrcError as error:
            if error.exit_code != IrcError.exit_code:
                raise
            return error.diagnostics
        return ()

    @property
    def job(self) -> Job[Any, Any]:
        return replace(self.empty, module=self.furthest(self.empty.module), progress=self.feedback.progress)

    def furthest(self, start: Module) -> Module:
        """The module behind all passes; the one they started from if one of them failed."""
        return start if self.lowered is None else self.lowered.module

    def good(self, name: str, facts: Mapping[str, str]) -> Preflight:
        assert self.lowered is not None
        job, module = self.job, self.lowered.module
        told = self.backend.estimate(job, self.product) if self.backend.estimate is not None else {}
        estimate = {**sizes(module), **told.get("summary", {})}
        found = fallbacks_of(self.lowered, self.backend)
        return Preflight(name, facts, (), coverage(module, ()), found, estimate, told.get("unmet", ()))

    def of_part(self, name: str, facts: Mapping[str, str], failed: ImportFailed) -> Preflight:
        """What could be imported is tried too; the inputs in place of what could not are no fault of the model."""
        if failed.partial is None:
            behind, known = (), Coverage(0, 0, 0, 0)
        else:
            found = self.run(Read(name, failed.partial, {}))
            behind = [d for d in found if d.loc.sources]
            known = coverage(self.furthest(failed.partial), behind)
        lost = failed.missing + failed.unjudged
        reached = replace(known, operators=known.operators + lost)
        return Preflight(name, facts, merged([*failed.diagnostics, *behind]), reached)


# -- how much


def coverage(module: Module, found: Sequence[Diagnostic]) -> Coverage:
    """What of a module is in the way of nothing: a finding is about the ops at its place that it names first, about all
    of them if it names none, and about the whole module if it has no place."""
    rows = [(op.work().macs, _blocked(op, found)) for op in _ops(one_sample(module))]
    good = [macs for macs, blocked in rows if not blocked]
    return Coverage(len(rows), len(good), sum(macs for macs, _ in rows), sum(good))


def _ops(graph: Graph) -> list[Op]:
    """All ops, those of kernels too, but for constants and terminators."""
    nodes = [cast(Op, node) for node in graph.walk()]
    return [op for op in nodes if not op.terminator and not isinstance(op, Const | Kernel)]


def _blocked(op: Op, found: Sequence[Diagnostic]) -> bool:
    for d in found:
        if not d.loc.sources:
            return True
        named = d.message.split(maxsplit=1)[0].rstrip(":")
        if set(d.loc.sources) & set(op.loc.sources) and (named == op.opname or named not in OPS):
            return True
    return False


def sizes(module: Module) -> dict[str, int]:
    """Bytes of all constants, densely packed, and the most bytes of activations of one sample alive together."""
    constants = {id(node.value): node.value for node in module.walk() if isinstance(node, Const)}
    weights = sum(math.ceil(data.size * data.scalar.bytes) for data in constants.values())
    return {"constant bytes": weights, "bytes of activations alive together": _peak(one_sample(module))}


def _peak(graph: Graph) -> int:
    nodes = [cast(Op, node) for node in graph.nodes if not isinstance(node, Const)]
    last = {value: i for i, op in enumerate(nodes) for value in op.operands}
    alive = sum(_bytes(v, graph) for v in graph.inputs if v in last)
    most = alive
    for i, op in enumerate(nodes):
        alive += sum(_bytes(v, graph) for v in op.results)
        most = max(most, alive)
        ended = {v for v in op.operands if last[v] == i and not isinstance(v.node, Const)}
        alive -= sum(_bytes(v, graph) for v in ended) + sum(_bytes(v, graph) for v in op.results if v not in last)
    return most


def _bytes(value: Value, graph: Graph) -> int:
    return math.ceil(bounds(product(value.type.shape), graph.symbols)[1] * value.type.scalar.bytes)
