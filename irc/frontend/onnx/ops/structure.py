"""Operators that hold graphs."""

from __future__ import annotations

from irc.frontend.onnx.context import Context
from irc.frontend.onnx.proto import OnnxGraph
from irc.frontend.onnx.table import converts
from irc.ir.graph import Value


@converts("If")
def if_(c: Context, condition: Value, *, then_branch: OnnxGraph, else_branch: OnnxGraph) -> tuple[Value | None, ...]:
    """The branch that a constant condition takes."""
    known = c.constant(condition)
    if known is None:
        c.unsupported("the condition is computed by the model", "compute both branches and select with Where")
    return c.branch(then_branch if known.reshape(-1)[0] else else_branch)
