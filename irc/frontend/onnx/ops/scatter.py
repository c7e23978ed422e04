"""Writing at places that are constant: one lookup in the old values with the new ones behind them."""

from __future__ import annotations

from typing import Any

import numpy as np

from irc.frontend.onnx.context import Context
from irc.frontend.onnx.table import converts
from irc.ir.dims import product
from irc.ir.graph import Value
from irc.ir.ops.tensor import Concat, Gather, Reshape
from irc.ir.scalars import I64, Array


@converts("ScatterElements", "Scatter")
def scatter_elements(
    c: Context, x: Value, indices: Value, updates: Value, *, axis: int = 0, reduction: str = "none"
) -> Value:
    """out[i, index[i, j]] = updates[i, j] along an axis."""
    axis = c.axis(axis, x.type.rank)
    index = c.values(indices, "the places")
    shape = _shape(c, x)
    places: list[Any] = list(np.indices(index.shape))
    places[axis] = index % shape[axis]
    flat: Array = np.asarray(np.ravel_multi_index(tuple(places), shape))
    return _written(c, x, flat, updates, reduction)


@converts("ScatterND")
def scatter_nd(c: Context, x: Value, indices: Value, updates: Value, *, reduction: str = "none") -> Value:
    """out[index] = updates, where an index names the leading axes."""
    index = c.values(indices, "the places")
    shape = _shape(c, x)
    depth = index.shape[-1]
    lead: Array = np.asarray(
        np.ravel_multi_index(tuple(np.moveaxis(index % np.array(shape[:depth]), -1, 0)), shape[:depth])
    )
    inner = int(np.prod(shape[depth:]))
    rows = lead.reshape(-1, 1) * inner + np.arange(inner)
    return _written(c, x, rows, updates, reduction)


def _shape(c: Context, x: Value) -> tuple[int, ...]:
    return tuple(c.number(d, "a size") for d in x.type.shape)


def _written(c: Context, x: Value, places: Array, updates: Value, reduction: str) -> Value:
    """x with its flat elements at `places` replaced; of several for one place the last counts."""
    if reduction != "none":
        c.unsupported(f"reduction={reduction}", "only plain writing has an equivalent")
    size = product(x.type.shape)
    count = c.countable(c.number(size, "the size"), "a tensor to write to")
    source = np.arange(count)
    source[places.ravel()] = count + np.arange(places.size)
    both = c.b(Concat((c.b(Reshape(x, (size,))), c.b(Reshape(updates, (places.size,)))), 0))
    return c.b(Reshape(c.b(Gather(both, c.b.const(source, I64), 0)), x.type.shape))
