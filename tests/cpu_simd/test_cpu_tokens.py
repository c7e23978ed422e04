"""Selection of tokens on the CPU: the rows of the interpreter, for any type of scores, ties and NaN included."""

from __future__ import annotations

import numpy as np
import pytest
from cpu_graphs import Graphs
from cpu_running import results
from sweeps import sweep

from irc.backends.base import Job
from irc.backends.cpu_simd.backend import CPU, Options
from irc.ir.diagnostics import IrcError
from irc.ir.ops.tensor import Permute
from irc.ir.ops.token import Select
from irc.ir.parser import parse

TYPES = ("i8", "u4", "i16", "i32", "i64", "f16", "f32", "f64", "bf16")


@pytest.mark.parametrize("seed", sweep(14, 40))
def test_select(seed: int):
    g = Graphs(seed)
    batch = [g.pick(1, 3, "b") for _ in range(g.number(0, 2))]
    x = g.input(g.pick(*TYPES, "bool"), *batch, g.number(1, 40), g.pick(1, 5, 32, 33, "n"))
    if g.number(0, 1) and x.type.rank > 2 and isinstance(x.type.shape[0], int):
        x = g.op(Permute(x, (1, 0, *range(2, x.type.rank))))
    shape = [g.dims[str(d)] if not isinstance(d, int) else d for d in x.type.shape]
    few = g.rng.integers(0, 4, shape[:-1])  # equal scores are the rule
    kind = g.pick(*TYPES)
    values = np.where(g.rng.random(few.shape) < 0.1, np.nan, few) if kind in ("f32", "f64") else few
    scores = g.input(kind, *x.type.shape[:-1], values=values)
    rows, columns = x.type.shape[-2:]
    assert isinstance(rows, int)
    kept = g.number(1, rows)
    pinned = g.number(0, kept)
    g.agree(g.op(Select(x, scores, pinned=pinned, shape=(*x.type.shape[:-2], kept, columns))))


def test_extreme_integers_compare_exactly():
    g = Graphs(1)
    x = g.input("i8", 6, 3)
    values = np.array([0, 2**63 - 1, -(2**63), 2**63 - 2, -(2**63) + 1, 2**53 + 1])
    g.agree(g.op(Select(x, g.input("i64", 6, values=values), pinned=1, shape=(3, 3))))


def test_a_count_that_only_the_run_tells_is_refused():
    module = parse(
        "func @main(%x: f32[1, 5, 3], %s: f32[1, 5]) -> f32[1, n, 3] where n <= 5 {\n"
        '  %y = select %x, %s {threshold = 0.5} : f32[1, n, 3]  at "blocks.0"\n  return %y\n}'
    )
    with pytest.raises(IrcError) as raised:
        CPU.lower(Job(module, CPU.find_target(""), Options()))
    (found,) = raised.value.diagnostics
    assert found.message == (
        "select: how many of up to 5 rows it keeps shows only while it runs; "
        "a library plans its memory and loops before"
    )
    assert found.hint == "token-select{keep=0.7} keeps as many tokens of every sample"


def test_nothing_but_the_chosen_rows_is_written():
    g = Graphs(3)
    x, scores = g.input("f32", 4, 2), g.input("f32", 4, values=np.array([0, 1, 3, 2]))
    module = g.module(g.op(Select(x, scores, pinned=1, shape=(3, 2))))
    (given,) = results(module, g.arrays)
    np.testing.assert_array_equal(given, g.arrays[0][[0, 2, 3]])
