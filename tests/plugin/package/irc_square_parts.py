"""An op x*x, a pass that finds it, and a backend that writes one line of Python a node and runs that."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from irc import Backend, Builder, Job, Module, Op, Pass, PassContext, Rule
from irc.backends.base import ReportData, Runner
from irc.ir.diagnostics import IrcError
from irc.ir.graph import Value
from irc.ir.op import Work
from irc.ir.ops.common import elements
from irc.ir.ops.math import Mul, Relu
from irc.ir.ops.structure import Const, Return
from irc.ir.rewrite import Match, Miss, any_, op_, walk
from irc.ir.types import TensorType


class Square(Op, name="square"):
    """x * x of a float tensor."""

    x: Value

    def infer(self) -> TensorType:
        if not self.x.type.scalar.is_float:
            self.fail(f"operand is {self.x.type}, expected a float tensor")
        return self.x.type

    def reference(self, x: Any) -> Any:
        return x * x

    def work(self) -> Work:
        return Work(steps=elements(self, self.x.type.shape))


class MulToSquare(Rule):
    """mul(x, x) -> square(x)"""

    pattern = op_(Mul, any_("a"), any_("b"))

    def guard(self, m: Match) -> Miss | None:
        return None if m["a"] is m["b"] else Miss("the factors differ")

    def build(self, m: Match, b: Builder) -> Value:
        return b(Square(m["a"]))


@dataclass(frozen=True)
class UseSquare(Pass):
    """Write products of a value with itself as `square`."""

    name = "use-square"
    once: bool = True

    def run(self, module: Module, cx: PassContext) -> None:
        walk(module, [MulToSquare()], self.name, cx.explain)


@dataclass(frozen=True)
class Options:
    """What the listing looks like."""

    name: ClassVar[str] = "listing"
    header: str = "listing"


@dataclass(frozen=True)
class Python:
    """A version of Python."""

    name: str
    summary: str
    walrus: bool


Line = Callable[[Any, list[str], Path], str]


def lower_const(node: Const, operands: list[str], folder: Path) -> str:
    name = f"{node.value.hash}.npy"
    np.save(folder / "src" / name, node.value.array)
    return f"load('{name}')"


def lower_mul(node: Mul, operands: list[str], folder: Path) -> str:
    return " * ".join(operands)


def lower_relu(node: Relu, operands: list[str], folder: Path) -> str:
    return f"np.maximum({operands[0]}, 0)"


def lower_square(node: Square, operands: list[str], folder: Path) -> str:
    return f"np.square({operands[0]})"


def lower(job: Job[Python, Options]) -> None:
    found = LISTING.unsupported(n for n in job.module.main.nodes if not isinstance(n, Return))
    if found:
        raise IrcError(found)


def emit(job: Job[Python, Options], lowered: None, folder: Path) -> ReportData:
    (folder / "src").mkdir()
    names: dict[Value, str] = {v: f"x{i}" for i, v in enumerate(job.module.main.inputs)}
    lines = [f"# {job.options.header} for {job.target.name}", f"def main(load, np, {', '.join(names.values())}):"]
    for index, node in enumerate(job.module.main.nodes):
        operands = [names[v] for v in node.operands]
        if isinstance(node, Return):
            lines.append(f"    return [{', '.join(operands)}]")
        else:
            names[node.result] = f"v{index}"
            lines.append(f"    v{index} = {LISTING.lowering(type(node))(node, operands, folder)}  # {node.loc}")
    (folder / "src" / "listing.py").write_text("\n".join(lines) + "\n")
    rows = [{"layer": node.loc.path, "lines": 1} for node in job.module.main.nodes if node.loc.path]
    return {"summary": {"lines": len(lines)}, "layers": rows, "notes": ["written by irc-square"]}


@contextmanager
def start(job: Job[Python, Options], folder: Path) -> Generator[Runner]:
    source = folder / "src"
    scope: dict[str, Any] = {}
    exec((source / "listing.py").read_text(), scope)

    def run(calls: Sequence[Sequence[Any]]) -> list[list[Any]]:
        return [scope["main"](lambda name: np.load(source / name), np, *call) for call in calls]

    yield run


LISTING = Backend(
    name="listing",
    summary="a line of Python a node",
    options=Options,
    targets={p.name: p for p in (Python("py311", "CPython 3.11", True), Python("py37", "CPython 3.7", False))},
    target="py311",
    pipeline="dce",
    lower=lower,
    emit=emit,
    start=start,
    lowerings={Const: lower_const, Mul: lower_mul, Relu: lower_relu},
    reasons={"gelu": "write it with erf"},
)
