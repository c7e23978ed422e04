"""Operators that hold graphs."""

from __future__ import annotations

from collections.abc import Sequence

from irc.frontend.composed.tensor import cut
from irc.frontend.onnx.context import Context
from irc.frontend.onnx.proto import OnnxGraph
from irc.frontend.onnx.table import converts
from irc.ir.graph import Value
from irc.ir.ops.tensor import Concat, Reshape

MOST_STEPS = 512


@converts("If")
def if_(c: Context, condition: Value, *, then_branch: OnnxGraph, else_branch: OnnxGraph) -> tuple[Value | None, ...]:
    """The branch that a constant condition takes."""
    known = c.constant(condition)
    if known is None:
        c.unsupported("the condition is computed by the model", "compute both branches and select with Where")
    return c.branch(then_branch if known.reshape(-1)[0] else else_branch, ())


@converts("Scan")
def scan(
    c: Context,
    *operands: Value,
    body: OnnxGraph,
    num_scan_inputs: int,
    scan_input_axes: Sequence[int] | None = None,
    scan_input_directions: Sequence[int] | None = None,
    scan_output_axes: Sequence[int] | None = None,
    scan_output_directions: Sequence[int] | None = None,
) -> tuple[Value | None, ...]:
    """The body once for each slice of the scanned inputs, with the state in between: unrolled."""
    if c.version < 9:
        c.unsupported("batches of sequences (operator set 8)", "convert the model to a newer operator set")
    states = list(operands[: len(operands) - num_scan_inputs])
    scanned = operands[len(states) :]
    outputs = len(body.outputs) - len(states)
    axes = [c.axis(a, x.type.rank) for a, x in zip(scan_input_axes or [0] * len(scanned), scanned, strict=True)]
    steps = c.number(scanned[0].type.shape[axes[0]], "the number of steps")
    if steps > MOST_STEPS:
        c.unsupported(f"{steps} steps", f"at most {MOST_STEPS}, which are unrolled")
    backwards = scan_input_directions or [0] * len(scanned)
    rows: list[list[Value]] = [[] for _ in range(outputs)]
    for t in range(steps):
        places = [steps - 1 - t if back else t for back in backwards]
        slices = [_slice(c, x, a, at) for x, a, at in zip(scanned, axes, places, strict=True)]
        found = c.branch(body, (*states, *slices))
        if any(v is None for v in found):
            return ()  # why is known already
        results = [v for v in found if v is not None]
        states = results[: len(states)]
        for row, value in zip(rows, results[len(states) :], strict=True):
            row.append(value)
    turned = scan_output_directions or [0] * outputs
    ordered = [row[::-1] if back else row for row, back in zip(rows, turned, strict=True)]
    joined = [_stacked(c, row, a) for row, a in zip(ordered, scan_output_axes or [0] * outputs, strict=True)]
    return (*states, *joined)


def _slice(c: Context, x: Value, axis: int, at: int) -> Value:
    shape = x.type.shape
    return c.b(Reshape(cut(c, x, axis, at, at + 1), (*shape[:axis], *shape[axis + 1 :])))


def _stacked(c: Context, rows: Sequence[Value], axis: int) -> Value:
    shape = rows[0].type.shape
    at = c.axis(axis, len(shape) + 1)
    columns = [c.b(Reshape(row, (*shape[:at], 1, *shape[at:]))) for row in rows]
    return columns[0] if len(columns) == 1 else c.b(Concat(tuple(columns), at))
