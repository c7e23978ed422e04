"""Which integer codes a value can hold, as far as the ops right before it say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from irc.ir.graph import Value
from irc.ir.op import Op
from irc.ir.ops.linear import Matmul
from irc.ir.ops.math import Amax, Clamp
from irc.ir.ops.quant import IntSoftmax, Lut, Rescale, constant_of
from irc.ir.ops.tensor import Expand, Permute, Reshape, Slice

MAX_DEPTH = 16
Interval = tuple[float, float]


def code_interval(value: Value, depth: int = MAX_DEPTH) -> Interval:
    """The lowest and the highest code of an integer value: a bound, at worst the range of its type."""
    scalar, node = value.type.scalar, value.node
    reader = READERS.get(type(node)) if isinstance(node, Op) and depth else None
    lo, hi = reader(node, depth - 1) if reader else (scalar.min, scalar.max)
    return max(lo, scalar.min), min(hi, scalar.max)


def _clamped(node: Clamp, depth: int) -> Interval:
    lo, hi = code_interval(node.x, depth)
    return min(max(lo, node.lo), node.hi), min(max(hi, node.lo), node.hi)


def _table(node: Lut, depth: int) -> Interval:
    table = constant_of(node.table)
    scalar = node.to.scalar
    return (scalar.min, scalar.max) if table is None else (int(table.min()), int(table.max()))


def _moved(node: Any, depth: int) -> Interval:
    return code_interval(node.x, depth)


def _products(node: Matmul, depth: int) -> Interval:
    """Sums of products with constants, as those of interpolation are."""
    factors, scalar = constant_of(node.y), node.result.type.scalar
    if factors is None or not factors.size:
        return scalar.min, scalar.max
    lo, hi = (code - node.x_zp for code in code_interval(node.x, depth))
    centred = factors.astype(np.float64) - node.y_zp
    up, down = np.maximum(centred, 0).sum(axis=-2), np.minimum(centred, 0).sum(axis=-2)
    return float(np.min(up * lo + down * hi)), float(np.max(up * hi + down * lo))


READERS: dict[type[Op], Callable[[Any, int], Interval]] = {
    Clamp: _clamped,
    Matmul: _products,
    Lut: _table,
    IntSoftmax: lambda node, depth: (0, node.to.scalar.max),
    **dict.fromkeys((Reshape, Permute, Expand, Slice, Rescale, Amax), _moved),
}
