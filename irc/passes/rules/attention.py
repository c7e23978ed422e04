"""Attention as its parts."""

from __future__ import annotations

from irc.ir.builder import Builder
from irc.ir.graph import Value
from irc.ir.ops.attention import Sdpa, decompose_sdpa
from irc.ir.rewrite import Match, Rule, op_


class SplitAttention(Rule):
    """sdpa -> matmul, mul, where or add of the mask, softmax, matmul; the same for rows that keep something"""

    pattern = op_(Sdpa, name="sdpa")

    def build(self, m: Match, b: Builder) -> Value:
        return decompose_sdpa(m.node("sdpa"), b)
