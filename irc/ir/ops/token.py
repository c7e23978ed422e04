"""Choosing tokens: the rows of a sequence that matter, by their scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY

import numpy as np

from irc.ir.dims import Dim, Shape, bounds, equal, product, same_shape, sub, symbol, symbols_of
from irc.ir.graph import Value
from irc.ir.op import Op, Work, of_result
from irc.ir.ops.common import elements
from irc.ir.ops.tensor import numbers, one_scale
from irc.ir.scalars import BOOL, Array
from irc.ir.types import TensorType, shape_text


class Select(Op, name="select"):
    """The rows of x[..., N, C] with the largest scores[..., N], in their order: [..., K, C].

    The first `pinned` rows are always among them. Without `threshold` the result says how many rows there are, and of
    equal scores the first ones stay; with it, all rows with at least that score stay, and their number is a count born
    here, declared as `n <= N`, of one sample: other dimensions are 1. On integers `threshold` is a code. NaN is as low
    as -inf.
    """

    view = True
    x: Value
    scores: Value
    _: KW_ONLY
    pinned: int = 1
    threshold: float | None = None
    shape: Shape = of_result()

    def infer(self) -> TensorType:
        x, scores, shape = self.x.type, self.scores.type, self.shape
        if x.rank < 2 or not same_shape(scores.shape, x.shape[:-1]):
            self.fail(f"operands are {x} and {scores}, expected x[..., N, C] and scores[..., N]")
        if scores.scalar == BOOL or not (scores.encoding is None or scores.encoding.per_tensor):
            self.fail(f"the scores are {scores}, expected numbers of one scale")
        if len(shape) != x.rank or not same_shape((*shape[:-2], shape[-1]), (*x.shape[:-2], x.shape[-1])):
            self.fail(f"rows of {x} cannot be {shape_text(shape)}")
        if self.pinned < 0:
            self.fail(f"pinned = {self.pinned} is no number of rows")
        if self.threshold is None:
            self._check_room(x.shape[-2], shape[-2])
        elif self.born is None:
            self.fail(f"with a threshold the number of rows is a symbol of its own, not {shape[-2]}")
        elif equal(product(x.shape[:-2]), 1) is not True:
            self.fail(f"a threshold counts the rows of one sample, but x is {x}", hint="specialize{batch=1}")
        return TensorType(one_scale(self, x), shape)

    def _check_room(self, given: Dim, kept: Dim) -> None:
        for left in (sub(given, kept), sub(kept, self.pinned)):
            if not isinstance(left, int) or left < 0:
                self.fail(f"cannot keep {kept} of {given} rows, {self.pinned} of them pinned")

    @property
    def born(self) -> str | None:
        """The symbol of the count that this node brings into being."""
        if self.threshold is None:
            return None
        names = symbols_of(self.shape[-2]) - self.x.type.symbols()
        name = next(iter(names), None)
        return name if name is not None and self.shape[-2] == symbol(name) else None

    def check(self) -> None:
        name = self.born
        if name is None or self.graph is None:
            return
        known, most = self.graph.function.symbols[name], bounds(self.x.type.shape[-2], self.graph.function.symbols)[1]
        if not known.counted or known.hi < most:
            self.fail(f"its count is declared as '{known}', expected '{name} <= {most}'")
        others = [n for n in self.graph.function.walk() if isinstance(n, Select) and n is not self and n.born == name]
        if others or any(name in v.type.symbols() for v in self.graph.function.inputs):
            self.fail(f"the count {name} is born twice")

    def reference(self, x: Array, scores: Array, *, dims: Mapping[str, int]) -> Array:
        pinned, keys = self.pinned, scores[..., self.pinned :]
        if self.threshold is not None:
            bound = self.threshold if keys.dtype.kind in "iu" else keys.dtype.type(self.threshold)
            kept = np.concatenate([np.full(x.shape[-2] - keys.shape[-1], True), (keys >= bound).reshape(-1)])
            return np.compress(kept, x, axis=-2)
        (count,) = numbers((self.shape[-2],), dims)
        if keys.dtype.kind == "f":
            keys = np.where(np.isnan(keys), keys.dtype.type(-np.inf), keys)
        # Backwards twice: of equal scores a stable order of falling ones has the last first.
        order = keys.shape[-1] - 1 - np.argsort(keys[..., ::-1], axis=-1, kind="stable")[..., ::-1]
        chosen = np.sort(order[..., : count - pinned], axis=-1) + pinned
        first = np.broadcast_to(np.arange(pinned), (*chosen.shape[:-1], pinned))
        rows = np.concatenate([first, chosen], axis=-1)
        return np.take_along_axis(x, rows[..., None], axis=-2)

    def work(self) -> Work:
        return Work(steps=elements(self, self.x.type.shape))
