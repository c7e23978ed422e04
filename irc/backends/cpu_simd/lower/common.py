"""What lowerings share: the tables that they register in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from irc.backends.cpu_simd.lowering import Lower, Step
from irc.ir.op import Op
from irc.ir.scalars import F32, F64, ScalarType

LOWERINGS: dict[type[Op], Lower] = {}
"""Ops with kernels of their own."""

EPILOGUES: set[type[Op]] = set()
"""Those among them whose kernel runs the elementwise ops behind them too."""

STEPS: dict[type[Op], Step] = {}
"""Elementwise ops: what they do with lanes."""

BYTE_STEPS: dict[type[Op], Step] = {}
"""Those among them that also work on codes of 8 bits in lanes of 8 bits, which are four times as many."""

ON_BYTES = (BYTE_STEPS,)
ON_ALL = (STEPS, BYTE_STEPS)

L = TypeVar("L", bound=Lower)
S = TypeVar("S", bound=Step)


def lowers(*ops: type[Op], epilogue: bool = False) -> Callable[[L], L]:
    """Registers the lowering of some ops; `epilogue`: it also runs the elementwise ops behind them."""

    def register(lower: L) -> L:
        LOWERINGS.update(dict.fromkeys(ops, lower))
        EPILOGUES.update(ops if epilogue else ())
        return lower

    return register


def computes(*ops: type[Op], lanes: Sequence[dict[type[Op], Step]] = (STEPS,)) -> Callable[[S], S]:
    """Registers the lanes of some elementwise ops: in `STEPS`, in `BYTE_STEPS`, or one function in both."""

    def register(step: S) -> S:
        for table in lanes:
            table.update(dict.fromkeys(ops, step))
        return step

    return register


def computed(scalar: ScalarType) -> ScalarType:
    """The type in which floats of a type are computed."""
    return F64 if scalar == F64 else F32
