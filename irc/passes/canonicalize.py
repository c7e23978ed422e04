"""`canonicalize`: one way to say each thing, so that later passes look for one form."""

from __future__ import annotations

from dataclasses import dataclass

from irc.ir.graph import Module
from irc.ir.rewrite import Rule, fixpoint
from irc.passes.base import Pass, PassContext
from irc.passes.rules import arithmetic, masks, norms, pooling, views
from irc.passes.rules.affine import MatmulByConstant

RULES: tuple[Rule, ...] = (
    *arithmetic.RULES,
    *views.RULES,
    *masks.RULES,
    *pooling.RULES,
    *norms.RULES,
    MatmulByConstant(),
)


@dataclass(frozen=True)
class Canonicalize(Pass):
    """Rewrite to one form: constants on the right, no neutral or repeated ops, masks as `where(keep, scores, lowest)`.

    Exact up to float rounding; integers keep every bit. What that means for masks is told in `irc.passes.rules.masks`.
    """

    name = "canonicalize"
    effect = "exact"

    def run(self, module: Module, cx: PassContext) -> None:
        fixpoint(module, RULES, self.name, cx.explain)
