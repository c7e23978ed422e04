"""What lowerings share: the tables that they register in."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from irc.backends.cpu_simd.lowering import Lower, Step
from irc.ir.op import Op

LOWERINGS: dict[type[Op], Lower] = {}
"""Ops with kernels of their own."""

EPILOGUES: set[type[Op]] = set()
"""Those among them whose kernel runs the elementwise ops behind them too."""

STEPS: dict[type[Op], Step] = {}
"""Elementwise ops: what they do with lanes."""

L = TypeVar("L", bound=Lower)
S = TypeVar("S", bound=Step)


def lowers(*ops: type[Op], epilogue: bool = False) -> Callable[[L], L]:
    """Registers the lowering of some ops; `epilogue`: it also runs the elementwise ops behind them."""

    def register(lower: L) -> L:
        LOWERINGS.update(dict.fromkeys(ops, lower))
        EPILOGUES.update(ops if epilogue else ())
        return lower

    return register


def computes(*ops: type[Op]) -> Callable[[S], S]:
    """Registers the lanes of some elementwise ops."""

    def register(step: S) -> S:
        STEPS.update(dict.fromkeys(ops, step))
        return step

    return register
