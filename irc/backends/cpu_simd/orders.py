"""In which order of its dimensions each value had best lie in memory, as its readers want it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from irc.backends.regions import Regions
from irc.ir.graph import Graph, Value
from irc.ir.ops.linear import Conv
from irc.ir.ops.pool import AvgPool, MaxPool, SumPool
from irc.ir.ops.tensor import Permute, Reshape

CHANNELS_LAST = (Conv, MaxPool, AvgPool, SumPool)


def wanted_orders(regions: Regions, graph: Graph) -> Mapping[Value, Sequence[int]]:
    """Orders from the outermost to the innermost dimension, for values for which it is not C order.

    A value that is only permuted lies as the permutation wants it, so that this costs nothing; images lie with their
    channels last, which is how convolutions read them; what follows elementwise lies as its result does.
    """
    orders: dict[Value, Sequence[int]] = {}
    readers: dict[Value, list[tuple[object, Value]]] = {}
    for region in regions.regions:
        for op in region.nodes:
            for operand in op.operands:
                readers.setdefault(regions.resolve(operand), []).append((op, region.result))
    for region in reversed(regions.regions):
        value = regions.resolve(region.result)
        found = _order(value, readers.get(value, []), orders, regions)
        if found is not None:
            orders[value] = found
    return orders


def _order(
    value: Value, readers: Sequence[tuple[object, Value]], orders: Mapping[Value, Sequence[int]], regions: Regions
) -> Sequence[int] | None:
    for reader, result in readers:
        if isinstance(reader, CHANNELS_LAST):
            rank = value.type.rank
            return (0, *range(2, rank), 1)
        if isinstance(reader, Permute) and len(readers) == 1:
            after = orders.get(regions.resolve(result), range(value.type.rank))
            return tuple(reader.order[i] for i in after)
        if not isinstance(reader, Reshape) and result.type.shape == value.type.shape:
            after = orders.get(regions.resolve(result))
            if after is not None:
                return after
    return None
