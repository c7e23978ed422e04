"""Passes and a backend that go wrong in every way, for `--load`."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from irc import Backend, Data, Job, Module, Pass, PassContext, Plugin, interpret
from irc.backends.reference import REFERENCE
from irc.ir.diagnostics import Diagnostic, IrcError, ToolError
from irc.ir.ops.math import Relu


@dataclass(frozen=True)
class Crash(Pass):
    """Raises what no pass should raise."""

    name = "crash"

    def run(self, module: Module, cx: PassContext) -> None:
        raise KeyError("lost")


@dataclass(frozen=True)
class Interrupt(Pass):
    """Ctrl-C while a pass runs."""

    name = "interrupt"

    def run(self, module: Module, cx: PassContext) -> None:
        raise KeyboardInterrupt


@dataclass(frozen=True)
class BreakTypes(Pass):
    """Leaves IR that does not verify."""

    name = "break-types"

    def run(self, module: Module, cx: PassContext) -> None:
        for node in module.walk():
            if isinstance(node, Relu):
                node.result.type = node.result.type.with_shape((1, 2, 3))
                node.touch()


@dataclass(frozen=True)
class Lie(Pass):
    """Says it is exact and doubles the weights."""

    name = "lie"

    def run(self, module: Module, cx: PassContext) -> None:
        for node in module.walk():
            if node.opname == "const":
                node.value = Data.of(node.value.array * np.float32(2))


@dataclass(frozen=True)
class Grumble(Pass):
    """Warns."""

    name = "grumble"

    def run(self, module: Module, cx: PassContext) -> None:
        cx.warn("the weather is bad")


@contextmanager
def start_wrong(job: Job[Any, Any], folder: Path) -> Generator[Any]:
    def run(calls: Sequence[Any]) -> list[Any]:
        results = [interpret(job.module, call) for call in calls]
        results[-1][0][0, 0] += 1
        return results

    yield run


def trace_wrong(job: Job[Any, Any], folder: Path, inputs: Sequence[Any]) -> list[Any]:
    values = list(REFERENCE.trace(job, folder, inputs))
    return [(v, a + 1 if v.node is not None and isinstance(v.node, Relu) else a) for v, a in values]


def start_without_tool(job: Job[Any, Any], folder: Path) -> Any:
    raise ToolError("no compiler was found", hint="install g++")


def refuse(job: Job[Any, Any]) -> None:
    found = [Diagnostic(f"{n.opname}: not here", n.loc) for n in job.module.walk() if n.opname == "linear"]
    if found:
        raise IrcError(found)


def overreach(job: Job[Any, Any], lowered: None, folder: Path) -> dict[str, Any]:
    (folder / "manifest.json").write_text("{}")
    return {}


def fail_late(job: Job[Any, Any], lowered: None, folder: Path) -> dict[str, Any]:
    (folder / "src").mkdir()
    (folder / "src" / "half.cpp").write_text("int ma")
    raise ZeroDivisionError("in emit")


def backend(name: str, **changes: Any) -> Backend[Any, Any, Any]:
    return replace(REFERENCE, name=name, **changes)


BROKEN = Plugin(
    backends={
        "wrong": backend("wrong", start=start_wrong, trace=trace_wrong),
        "toolless": backend("toolless", start=start_without_tool),
        "refusing": backend("refusing", lower=refuse),
        "overreaching": backend("overreaching", emit=overreach),
        "failing": backend("failing", emit=fail_late),
    },
    presets={"grumbling": "grumble,grumble"},
)
