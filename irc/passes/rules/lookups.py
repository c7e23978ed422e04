"""Rules about lookups whose indices are known: they are slices, one behind the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from irc.ir.builder import Builder
from irc.ir.dims import Dim
from irc.ir.graph import Value
from irc.ir.ops.quant import constant_of
from irc.ir.ops.structure import Const
from irc.ir.ops.tensor import Concat, Expand, Gather, Reshape, Slice
from irc.ir.rewrite import Match, Miss, Rule, any_, op_

MOST_PIECES = 64


class GatherAsSlices(Rule):
    """gather(x, constant) -> concat of slices of x, or each index of x repeated"""

    pattern = op_(Gather, any_("x"), op_(Const, name="indices"), name="gather")

    def guard(self, m: Match) -> Miss | None:
        if isinstance(m["x"].node, Const):
            return Miss("it looks up a constant table")
        indices = self._indices(m)
        if indices is None:
            return Miss("the size of the axis or the indices are not known")
        pieces = len(list(runs(indices)))
        if not indices or (pieces > MOST_PIECES and not self._repeats(m, indices)):
            return Miss(f"the indices are {pieces} slices, more than {MOST_PIECES}")
        return None

    def _size(self, m: Match) -> Dim:
        gather: Gather = m.node("gather")
        return gather.x.type.shape[gather.axis]

    def _indices(self, m: Match) -> list[int] | None:
        """The indices counted from the start."""
        size, found = self._size(m), constant_of(m["indices"])
        if not isinstance(size, int) or found is None:
            return None
        return [int(i) % size for i in found.flat]

    def _repeats(self, m: Match, indices: Sequence[int]) -> int:
        """How often 0, 1, ... are each repeated in a row, if that is all the indices do."""
        size = self._size(m)
        if not isinstance(size, int) or len(indices) % size:
            return 0
        times = len(indices) // size
        return times if np.array_equal(indices, np.arange(size).repeat(times)) else 0

    def build(self, m: Match, b: Builder) -> Value:
        gather: Gather = m.node("gather")
        x, axis = gather.x, gather.axis % gather.x.type.rank
        indices = self._indices(m)
        assert indices is not None
        front, back = x.type.shape[:axis], x.type.shape[axis + 1 :]
        times = self._repeats(m, indices)
        if times:
            size = self._size(m)
            spread = b(Expand(b(Reshape(x, (*front, size, 1, *back))), (*front, size, times, *back)))
            return b(Reshape(spread, m.root.results[0].type.shape))
        parts = [b(Slice(x, axis, run.start, run[-1] + 1, run.step)) for run in runs(indices)]
        whole = parts[0] if len(parts) == 1 else b(Concat(tuple(parts), axis))
        return b(Reshape(whole, m.root.results[0].type.shape))


def runs(indices: Sequence[int]) -> Iterator[range]:
    """Indices as ranges with positive steps, as long as they can be, in order."""
    start = 0
    while start < len(indices):
        end = start + 1
        step = indices[end] - indices[start] if end < len(indices) else 0
        if step > 0:
            while end < len(indices) and indices[end] - indices[end - 1] == step:
                end += 1
        yield range(indices[start], indices[end - 1] + 1, max(step, 1))
        start = end
