"""Rules about pooling: one form for pooling over whole feature maps, a reduction without kept dimensions."""

from __future__ import annotations

from irc.ir.builder import Builder
from irc.ir.clone import rebuilt
from irc.ir.dims import same_shape
from irc.ir.graph import Value
from irc.ir.op import Op
from irc.ir.ops.math import Amax, Mean, Reduction, Sum
from irc.ir.ops.pool import AvgPool, MaxPool, SumPool
from irc.ir.ops.tensor import Reshape
from irc.ir.rewrite import Match, Miss, Rule, any_, op_

REDUCTIONS: dict[type[Op], type[Reduction]] = {AvgPool: Mean, MaxPool: Amax, SumPool: Sum}


class GlobalPool(Rule):
    """avg_pool, max_pool, sum_pool whose one window is the whole map -> mean, amax, sum"""

    pattern = op_(tuple(REDUCTIONS), any_("x"), name="pool")

    def guard(self, m: Match) -> Miss | None:
        pool, spatial = m.node("pool"), m["x"].type.shape[2:]
        if pool.kernel != spatial:
            return Miss(f"the window {list(pool.kernel)} is not the whole map")
        return Miss("the map is padded") if any(pool.padding) else None

    def build(self, m: Match, b: Builder) -> Value:
        pool, axes = m.node("pool"), tuple(range(2, m["x"].type.rank))
        zp = {"x_zp": pool.x_zp} if isinstance(pool, SumPool) else {}
        return b(REDUCTIONS[type(pool)](m["x"], axes=axes, keepdims=True, **zp))


class DropKeptDims(Rule):
    """reshape(mean{keepdims = true} x) -> mean x, for every reduction"""

    pattern = op_(Reshape, op_(Reduction, name="reduction", once=True))

    def guard(self, m: Match) -> Miss | None:
        reduction = m.node("reduction")
        if not reduction.keepdims:
            return Miss("the reduced dimensions are not kept")
        gone = reduction.reduced()
        bare = tuple(d for i, d in enumerate(reduction.x.type.shape) if i not in gone)
        return None if same_shape(bare, m.root.results[0].type.shape) else Miss("it drops other dimensions")

    def build(self, m: Match, b: Builder) -> Value:
        return b(rebuilt(m.node("reduction"), keepdims=False))


RULES: tuple[Rule, ...] = (GlobalPool(), DropKeptDims())
