"""Masks of attention."""

from __future__ import annotations

from irc.frontend.building import Building
from irc.ir.dims import Dim
from irc.ir.graph import Value
from irc.ir.ops.math import Compare
from irc.ir.ops.tensor import Iota, Reshape


def causal_mask(c: Building, rows: Dim, columns: Dim) -> Value:
    """bool [rows, columns], true where column <= row."""
    row = c.b(Reshape(c.b(Iota(0, 1, shape=(rows,))), (rows, 1)))
    column = c.b(Reshape(c.b(Iota(0, 1, shape=(columns,))), (1, columns)))
    return c.b(Compare(column, row, "le"))
