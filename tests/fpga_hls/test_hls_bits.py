"""Bits of codes in the accelerator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hls_designs import Trial, ap_types, legalised, need_compiler, run_in_parallel

from irc.ir.builder import Builder
from irc.ir.graph import Graph, Module, Value
from irc.ir.ops.bits import And, Not, Or, ShiftLeft, ShiftRight, Xor
from irc.ir.ops.structure import Return
from irc.ir.scalars import ScalarType, scalar
from irc.ir.types import tensor

KINDS = ("i8", "u8", "i5", "u3", "u31", "i32")
SAMPLES = 8


def bits_of(kind: ScalarType, rng: np.random.Generator) -> Trial:
    """Two operands and constants combined, shifted by constants, and by an operand that is often out of bounds."""
    graph = Graph(name="main")
    x, y = (graph.add_input(tensor(kind, (3, 4)), name) for name in "xy")
    b = Builder.at_end(graph)
    most = min(kind.max, 2 * kind.bits)
    far = b.const(rng.integers(max(kind.min, -2), most, (1, 4), endpoint=True).astype(kind.dtype), kind)
    near = b.const(np.asarray(kind.bits // 2, kind.dtype), kind)
    mask = b.const(np.asarray(kind.max // 3, kind.dtype), kind)
    results: list[Value] = [b(op(b(op(x, y)), mask)) for op in (And, Or, Xor)]
    results += [b(op(x, by)) for op in (ShiftLeft, ShiftRight) for by in (near, far, y)]
    results += [b(Not(x)), b(ShiftLeft(b(And(x, b.const(np.asarray(1, kind.dtype), kind))), near))]
    b.add(Return(results))
    codes = [
        [rng.integers(kind.min, kind.max, (3, 4), endpoint=True).astype(kind.dtype) for _ in "xy"]
        for _ in range(SAMPLES)
    ]
    for _, by in codes[::2]:
        by[...] = np.clip(by, max(kind.min, -1), most)
    return Trial.of(f"bits_{kind}", legalised(Module([graph])), codes, rng)


@pytest.fixture(scope="module")
def trials() -> list[Trial]:
    rng = np.random.default_rng(0)
    return [bits_of(scalar(kind), rng) for kind in KINDS]


@pytest.mark.tool("g++")
def test_bits_are_those_of_the_interpreter(trials: list[Trial], tmp_path: Path):
    need_compiler()
    assert run_in_parallel(trials, tmp_path, ["-O0"], len(trials)) == []


@pytest.mark.slow
@pytest.mark.tool("g++")
def test_bits_of_vendor_types(trials: list[Trial], tmp_path: Path):
    need_compiler()
    assert run_in_parallel(trials, tmp_path, ["-O0", *ap_types()], len(trials)) == []
