"""`decompose`: composite ops become the ops they are made of."""

from __future__ import annotations

from dataclasses import dataclass

from irc.ir.diagnostics import UsageError, did_you_mean
from irc.ir.graph import Module
from irc.ir.rewrite import Rule, fixpoint
from irc.passes.base import Pass, PassContext
from irc.passes.rules.arithmetic import QuotientAsProduct
from irc.passes.rules.attention import SplitAttention
from irc.passes.rules.lookups import GatherAsSlices
from irc.passes.rules.masks import HardMask
from irc.passes.rules.norms import SplitGroupNorm

RULES: dict[str, Rule] = {
    "sdpa": SplitAttention(),
    "group_norm": SplitGroupNorm(),
    "div": QuotientAsProduct(),
    "gather": GatherAsSlices(),
    "mask": HardMask(),
}


@dataclass(frozen=True)
class Decompose(Pass):
    """Split composite ops: attention, group norm and quotients, which integers lack; lookups by known indices.

    Masks that are added to scores become `where(keep, scores, lowest)`; a row that keeps nothing becomes uniform.
    """

    name = "decompose"
    effect = "exact"
    ops: tuple[str, ...] = tuple(RULES)

    def run(self, module: Module, cx: PassContext) -> None:
        for name in self.ops:
            if name not in RULES:
                raise UsageError(f"decompose cannot split '{name}'", hint=did_you_mean(name, RULES))
        fixpoint(module, [RULES[name] for name in self.ops], self.name, cx.explain)
