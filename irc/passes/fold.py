"""`fold`: what constants allow to compute now, and what a neighbour does as well."""

from __future__ import annotations

from dataclasses import dataclass

from irc.ir.graph import Module
from irc.ir.rewrite import Rule, fixpoint
from irc.passes.base import Pass, PassContext
from irc.passes.rules import affine, integers, views
from irc.passes.rules.arithmetic import MergeClamps, MergeConstants
from irc.passes.rules.constants import EmptyConstant, FoldConstants

RULES: tuple[Rule, ...] = (
    *affine.FOLDING,
    MergeConstants(),
    MergeClamps(),
    *views.RULES,
    *integers.RULES,
    EmptyConstant(),
)


@dataclass(frozen=True)
class Fold(Pass):
    """Fold batch norms, scales and offsets into weights, compute constants, drop integer ops that saturation implies.

    Weights are changed in f64 and rounded once to their type, so floats are exact up to rounding; integers keep every
    bit. A computed constant has at most `grow` elements, or as many as the constants it is made of; weights that are
    computed from constants (packed codes, products of low rank) have as many as they need.
    """

    name = "fold"
    effect = "exact"
    grow: int = 65536

    def run(self, module: Module, cx: PassContext) -> None:
        fixpoint(module, (*RULES, FoldConstants(self.grow)), self.name, cx.explain)
