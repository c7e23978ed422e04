"""Counts that are born while a graph runs, for backends whose loops and memory are fixed before."""

from __future__ import annotations

from collections.abc import Iterable

from irc.ir.diagnostics import Diagnostic
from irc.ir.op import Op
from irc.ir.ops.token import Select


def uncountable(ops: Iterable[Op], why: str) -> list[Diagnostic]:
    """What brings counts into being: everything behind it has the same trouble and needs no message of its own."""
    return [
        Diagnostic(
            f"select: how many of up to {op.x.type.shape[-2]} rows it keeps shows only while it runs; {why}",
            op.loc,
            hint="token-select{keep=0.7} keeps as many tokens of every sample",
        )
        for op in ops
        if isinstance(op, Select) and op.threshold is not None
    ]
