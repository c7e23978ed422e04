"""The layers of a graph that have weights, and those of them that a module path names."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from typing import TypeAlias

from irc.ir.diagnostics import UsageError, did_you_mean
from irc.ir.graph import Graph
from irc.ir.ops.linear import Conv, Linear
from irc.ir.ops.structure import Const

Weighted: TypeAlias = "Linear | Conv"


def weighted(graph: Graph) -> list[Weighted]:
    """The linears and convolutions with constant float weights, in order."""
    ops = [n for n in graph.nodes if isinstance(n, Linear | Conv)]
    return [op for op in ops if isinstance(op.w.node, Const) and op.w.type.scalar.is_float]


def matching(pattern: str, layers: Sequence[Weighted], who: str) -> list[Weighted]:
    """The layers whose module path matches a glob. Raises UsageError in the name of a pass if none does."""
    chosen = [op for op in layers if fnmatch.fnmatchcase(op.loc.path, pattern)]
    if not chosen:
        paths = [op.loc.path for op in layers]
        raise UsageError(
            f"{who}: no layer matches '{pattern}'",
            hint=did_you_mean(pattern, paths) or f"layers: {', '.join(paths)}",
        )
    return chosen
