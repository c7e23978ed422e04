"""`prune`: weights that matter least become 0, under a mask of some kind that later passes and backends keep."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from irc.ir.builder import Builder
from irc.ir.constants import Data
from irc.ir.diagnostics import IrcError, UsageError
from irc.ir.graph import Module
from irc.ir.masks import KINDS, expand_mask, project
from irc.ir.ops.structure import Const
from irc.passes.base import Pass, PassContext
from irc.passes.layers import Weighted, matching, weighted

NM = re.compile(r"([1-9]\d*):([1-9]\d*)")
NAMED = re.compile(r"([a-z]+)(?::([1-9]\d*)x([1-9]\d*))?")


@dataclass(frozen=True)
class Prune(Pass):
    """Set the smallest weights of linears and convolutions to 0, under a mask that is kept from there on.

    `kind` is `unstructured` (single weights), `N:M` (all but N of M consecutive input channels), `block:RxC` (blocks of
    R output by C input channels, at each place of a kernel; every R output channels keep equally many) or `filter`
    (whole output channels). Kinds other than N:M take `sparsity`, the share that becomes 0. What is kept has the
    largest sum of squares. `layers` are globs of module paths; without any, the first and the last layer stay, unless
    `ends` says so.
    """

    name = "prune"
    effect = "lossy"
    kind: str = "2:4"
    sparsity: float | None = None
    layers: tuple[str, ...] = ()
    ends: bool = False

    def run(self, module: Module, cx: PassContext) -> None:
        kind, params = self._kind()
        share = self._kept_share(kind)
        for op in self._chosen(weighted(module.main)):
            shape = op.w.type.static_shape
            if kind in ("nm", "block") and shape is not None and shape[1] == 1:
                cx.notes.append(f"prune leaves {op.loc.path or op.opname} alone: each output has one input channel")
            else:
                self._prune(op, kind, params, share)

    def _kind(self) -> tuple[str, tuple[int, ...]]:
        """The kind of mask and its parameters. Raises UsageError if there is no such kind."""
        if (match := NM.fullmatch(self.kind)) and int(match[1]) <= int(match[2]):
            return "nm", (int(match[1]), int(match[2]))
        match = NAMED.fullmatch(self.kind)
        if match and match[1] in KINDS and match[1] != "nm":
            params = (int(match[2]), int(match[3])) if match[2] else ()
            if len(params) == len(KINDS[match[1]].params):
                return match[1], params
        hint = "unstructured, filter, N:M with N at most M, or block:RxC"
        raise UsageError(f"prune: there is no kind of mask '{self.kind}'", hint=hint)

    def _kept_share(self, kind: str) -> float | None:
        if kind == "nm":
            if self.sparsity is not None:
                raise UsageError(f"prune: kind={self.kind} says itself how many weights go, without a sparsity")
            return None
        if self.sparsity is None:
            raise UsageError(f"prune: kind={self.kind} needs a sparsity", hint="for example sparsity=0.7")
        if not 0 <= self.sparsity < 1:
            raise UsageError(f"prune: sparsity={self.sparsity:g} is not at least 0 and below 1")
        return 1 - self.sparsity

    def _chosen(self, found: list[Weighted]) -> list[Weighted]:
        if not found:
            raise IrcError("prune found no linear or convolution with constant float weights")
        if self.layers:
            named = [op for pattern in self.layers for op in matching(pattern, found, self.name)]
            return list(dict.fromkeys(named))
        chosen = found if self.ends else found[1:-1]
        if not chosen:
            raise IrcError(
                "prune found no layer between the first and the last", hint="prune{ends=true} takes these too"
            )
        return chosen

    def _prune(self, op: Weighted, kind: str, params: tuple[int, ...], share: float | None) -> None:
        """Give a layer a constant of its own: others may read the weights too, such as an embedding."""
        const = op.w.node
        assert isinstance(const, Const)
        w = const.value.array
        mask = project(kind, params, w.astype(np.float64) ** 2, share)
        zeroed = np.where(expand_mask(mask, w.shape), w, 0)
        b = Builder.before_node(op, const.loc.via(self.name))
        op.w = b(Const(Data.of(zeroed, const.value.scalar), const.to, mask), const.result.name)
        if not const.result.uses:
            const.erase()
