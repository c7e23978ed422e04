"""Values by their size."""

from __future__ import annotations

from irc.frontend.building import Building
from irc.frontend.composed.math import numbers
from irc.frontend.composed.places import elements_at
from irc.frontend.composed.tensor import axis_last, moved_back, permuted
from irc.ir.dims import Dim
from irc.ir.graph import Value
from irc.ir.ops.math import Neg, Topk
from irc.ir.ops.tensor import Reshape
from irc.ir.scalars import I64


def ordered(c: Building, x: Value, count: Dim, axis: int, largest: bool) -> tuple[Value, Value]:
    """The first so many values along an axis, and where they stood; of equal ones the first comes first."""
    if x.type.rank == 0:
        return x, c.b(Reshape(c.const(0, I64), ()))
    axis %= x.type.rank
    order = axis_last(axis, x.type.rank)
    rows = numbers(c, permuted(c, x, order))
    keys = rows if largest else c.b(Neg(rows))
    places = c.b(Topk(keys, (*rows.type.shape[:-1], count)))
    index = moved_back(c, places, order)
    return elements_at(c, x, axis, index), index
