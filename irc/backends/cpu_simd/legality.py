"""What the backend refuses, with reasons, before any work."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from irc.backends.base import Backend
from irc.backends.counts import uncountable
from irc.ir.diagnostics import Diagnostic
from irc.ir.graph import Graph
from irc.ir.op import Op
from irc.ir.ops.structure import Const, Return


def problems(graph: Graph, backend: Backend[Any, Any, Any]) -> list[Diagnostic]:
    """Everything at once: ops without a lowering, and shapes that no kernel takes."""
    ops = [cast(Op, node) for node in graph.walk()]
    found = backend.unsupported(ops) + uncountable(ops, "a library plans its memory and loops before")
    return found + [problem for op in ops for problem in _shapes(op)]


def _shapes(op: Op) -> Iterator[Diagnostic]:
    if isinstance(op, Const | Return):
        return
    for does, values in (("takes", op.operands), ("gives", op.results)):
        for value in values:
            if 0 in value.type.shape:
                hint = "the pass clean computes what has no elements, unless it reads an input of the model"
                yield Diagnostic(f"{op.opname} {does} an empty tensor, {value.type}", op.loc, hint=hint)
