"""`decompose`: composite ops become the ops they are made of."""

from __future__ import annotations

from dataclasses import dataclass

from irc.ir.diagnostics import UsageError, did_you_mean
from irc.ir.graph import Module
from irc.ir.rewrite import Rule, fixpoint
from irc.passes.base import Pass, PassContext
from irc.passes.rules.attention import SplitAttention

RULES: dict[str, Rule] = {"sdpa": SplitAttention()}


@dataclass(frozen=True)
class Decompose(Pass):
    """Split composite ops into simpler ones; integer graphs need attention as matmul, softmax, matmul."""

    name = "decompose"
    effect = "exact"
    ops: tuple[str, ...] = ("sdpa",)

    def run(self, module: Module, cx: PassContext) -> None:
        for name in self.ops:
            if name not in RULES:
                raise UsageError(f"decompose cannot split '{name}'", hint=did_you_mean(name, RULES))
        fixpoint(module, [RULES[name] for name in self.ops], self.name, cx.explain)
