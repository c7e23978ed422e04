"""The part of a model before one of its modules: `--stop-at`. What the module reads become the results.

Works on any list of steps that read and make values, so that each reader of models can cut before it looks closer:
what lies behind need not be anything that irc, or the installed torch, knows.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, cast

from irc.ir.clone import clone
from irc.ir.diagnostics import UsageError, did_you_mean
from irc.ir.graph import Module
from irc.ir.op import Op
from irc.ir.ops.structure import Const, Return

Name = TypeVar("Name", bound=Hashable)
NEAR_END = 2 / 3  # of all steps come before


@dataclass(frozen=True)
class Step(Generic[Name]):
    """One operator: its module paths (several, where it goes by several names), what it reads and makes, and whether it
    writes to what it reads.
    """

    paths: tuple[str, ...]
    reads: tuple[Name, ...]
    makes: tuple[Name, ...]
    writes: bool = False


@dataclass(frozen=True)
class Cut(Generic[Name]):
    """Which steps remain, by number, and the results."""

    kept: tuple[int, ...]
    results: tuple[Name, ...]


def cut(steps: Sequence[Step[Name]], module: str, given: Collection[Name]) -> Cut[Name]:
    """The steps that what `module` reads depends on. `given` are the inputs of the model, which are no results.

    `module` may be several, with commas between. Of all calls, those count that do not depend on another. Raises
    UsageError if there is no such module, or nothing before it.
    """
    inside = [False] * len(steps)
    for wanted in each(module):
        found = [any(_is_under(path, wanted) for path in step.paths) for step in steps]
        if not wanted or True not in found:
            raise UsageError(f"--stop-at={wanted}: the model has no such module", hint=_known(wanted, steps))
        inside = [a or b for a, b in zip(inside, found, strict=True)]
    behind: set[Name] = set()
    depending = set(given)  # on an input: what follows from weights alone is no result
    read: dict[Name, None] = {}
    for step, is_inside in zip(steps, inside, strict=True):
        if any(name in depending for name in step.reads):
            depending.update(step.makes)
        if is_inside:
            read.update(dict.fromkeys(name for name in step.reads if name not in behind))
        if is_inside or any(name in behind for name in step.reads):
            behind.update(step.makes)
    results = tuple(name for name in read if name in depending and name not in set(given))
    if not results:
        raise UsageError(
            f"--stop-at={module}: nothing comes before it", hint="it reads inputs of the model; stop at a later module"
        )
    return Cut(_needed(steps, results), results)


def way_round(steps: Sequence[Step[Name]], lost: Collection[int], given: Collection[Name]) -> str:
    """The module to stop at so that no `lost` step is left, but most of the others; empty if there is none."""
    path = next(iter(steps[min(lost)].paths), "")
    while path:
        try:
            found = cut(steps, path, given)
        except UsageError:
            return ""
        if len(found.kept) >= NEAR_END * (len(steps) - len(lost)) and not set(lost) & set(found.kept):
            return path
        path = path.rpartition(".")[0]
    return ""


def way_round_hint(steps: Sequence[Step[Name]], lost: Collection[int], given: Collection[Name]) -> str:
    """The same as the end of a hint."""
    path = way_round(steps, lost, given) if lost else ""
    return f"; the part before it compiles with --stop-at={path}" if path else ""


def each(modules: str) -> list[str]:
    """The module paths of `--stop-at`, as they are compared."""
    return [plain(path) for path in modules.split(",")]


def plain(path: str) -> str:
    """A module path with dots, as it is compared: `/model.22/cv2` is `model.22.cv2`."""
    return ".".join(part for part in path.replace("/", ".").split(".") if part)


def _is_under(path: str, module: str) -> bool:
    path = plain(path)
    return path == module or path.startswith(f"{module}.")


def _known(module: str, steps: Sequence[Step[Name]]) -> str:
    """Which modules there are."""
    known: dict[str, None] = {}
    for path in dict.fromkeys(plain(path) for step in steps for path in step.paths):
        parts = path.split(".")
        known.update(dict.fromkeys(".".join(parts[: i + 1]) for i in range(len(parts)) if path))
    return did_you_mean(module, known) or "irc inspect MODEL shows module paths"


def _needed(steps: Sequence[Step[Name]], results: Collection[Name]) -> tuple[int, ...]:
    needed = set(results)
    kept: list[int] = []
    for number in range(len(steps) - 1, -1, -1):
        step = steps[number]
        if needed.intersection(step.makes) or (step.writes and needed.intersection(step.reads)):
            kept.append(number)
            needed.update(step.reads)
    return tuple(reversed(kept))


def cut_module(module: Module, stop_at: str) -> Module:
    """The part of `main` before the layer. Raises UsageError as `cut`."""
    part = clone(module)
    nodes = [cast(Op, node) for node in part.main.nodes if not node.terminator]
    steps = [Step(_paths(op), tuple(op.operands), tuple(op.results)) for op in nodes]
    found = cut(steps, stop_at, part.main.inputs)
    (end,) = [node for node in part.main.nodes if node.terminator]
    end.erase()
    part.main.append(Return(found.results))
    kept = {nodes[number] for number in found.kept}
    for op in reversed(nodes):
        if op not in kept:
            op.erase()
    return part


def _paths(op: Op) -> tuple[str, ...]:
    return () if isinstance(op, Const) else tuple(source.path for source in op.loc.sources[:1])
