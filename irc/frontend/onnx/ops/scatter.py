"""Writing at places."""

from __future__ import annotations

from typing import Literal

from irc.frontend.composed.math import rest
from irc.frontend.composed.places import (
    along,
    combined_at,
    combined_elements,
    leading,
    written_elements,
)
from irc.frontend.onnx.context import Context
from irc.frontend.onnx.table import converts
from irc.ir.graph import Value
from irc.ir.ops.math import Add
from irc.ir.ops.tensor import Expand, Reshape, Scatter
from irc.ir.scalars import F64, I64

Reduction = Literal["none", "add", "mul", "max", "min"]


@converts("ScatterElements", "Scatter")
def scatter_elements(
    c: Context, x: Value, indices: Value, updates: Value, *, axis: int = 0, reduction: Reduction = "none"
) -> Value:
    """out[i, index[i, j]] = updates[i, j] along an axis; of several for one place the last counts."""
    axis = c.axis(axis, x.type.rank)
    if reduction == "none":
        return written_elements(c, x, axis, indices, updates)
    return combined_elements(c, x, axis, indices, updates, reduction)


@converts("ScatterND")
def scatter_nd(c: Context, x: Value, indices: Value, updates: Value, *, reduction: Reduction = "none") -> Value:
    """out[index] = updates, where an index names the leading axes."""
    depth = c.number(indices.type.shape[-1], "the number of indices")
    if depth == 0:
        c.unsupported("an index of no axes")
    at, size = leading(c, indices, x.type.shape[:depth])
    rows = c.b(Reshape(x, (size, *x.type.shape[depth:])))
    out = c.b(Scatter(rows, at, updates, 0)) if reduction == "none" else combined_at(c, rows, at, updates, 0, reduction)
    return c.b(Reshape(out, x.type.shape))


@converts("TensorScatter")
def tensor_scatter(
    c: Context,
    cache: Value,
    update: Value,
    start: Value | None = None,
    *,
    axis: int = -2,
    mode: Literal["linear", "circular"] = "linear",
) -> Value:
    """The cache with consecutive places along an axis replaced, from one on that each sample says."""
    rank, shape = cache.type.rank, update.type.shape
    axis = c.axis(axis, rank)
    at = along(c, axis, shape[axis], rank)
    if start is not None:
        at = c.b(Add(at, c.b(Reshape(c.cast(start, I64), (shape[0], *[1] * (rank - 1))))))
    if mode == "circular":
        size = c.cast(c.size(cache.type.shape[axis]), F64)
        at = c.cast(rest(c, c.cast(at, F64), size), I64)
    return written_elements(c, cache, axis, c.b(Expand(at, shape)), update)
