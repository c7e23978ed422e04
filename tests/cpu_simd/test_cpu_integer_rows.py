"""Integer softmax and norm on the machine: the interpreter's bits, also at the ends of the numeric contract."""

from __future__ import annotations

import numpy as np
import pytest
from cpu_graphs import Graphs
from sweeps import sweep

from irc.backends.cpu_simd.compiler import compile_graph
from irc.backends.cpu_simd.isa import ISAS
from irc.backends.cpu_simd.library import module_text
from irc.ir.graph import Value
from irc.ir.ops.math import Maximum
from irc.ir.ops.quant import MAX_ROW, IntNorm, IntSoftmax, Requantize, exp_table
from irc.ir.ops.tensor import Permute
from irc.ir.scalars import BOOL, I32, ScalarType, integer, scalar
from irc.ir.types import Element

LENGTHS = (1, 2, 7, 8, 9, 31, 33, 64, 100, 197)


def rows(g: Graphs, kind: ScalarType) -> Value:
    """Codes with one to three dimensions, as they lie or permuted."""
    x = g.input(kind, *(g.pick("b", "n", *LENGTHS[:6]) for _ in range(g.number(0, 2))), g.pick("n", *LENGTHS))
    if x.type.rank > 1 and g.number(0, 1):
        x = g.op(Permute(x, tuple(g.rng.permutation(x.type.rank).tolist())))
    return x


@pytest.mark.parametrize("seed", sweep(24, 80))
def test_int_softmax(seed: int):
    g = Graphs(seed)
    kind = integer(g.pick(2, 4, 8, 8, 12, 16), signed=bool(g.number(0, 1)))
    x = rows(g, kind)
    entries = g.pick(1, 2, 16, 256, 300, 70000)
    table = g.const(exp_table(float(np.exp(g.rng.uniform(-8, 0))), entries).array, I32)
    mask = None
    if g.number(0, 1):
        shape = tuple(g.pick(1, n) if isinstance(n, int) else 1 for n in x.type.shape)
        mask = g.input(BOOL, *shape) if g.number(0, 1) else g.const(g.codes(BOOL, shape) & g.codes(BOOL, shape), BOOL)
    frac, to = g.number(1, 16), integer(g.number(1, 32), signed=bool(g.number(0, 1)))
    y = g.op(IntSoftmax(x, table, mask, axis=g.number(-x.type.rank, x.type.rank - 1), frac=frac, to=Element(to)))
    if g.number(0, 1) and to.bits < 32:
        y = g.op(Maximum(y, g.const(g.codes(to, ()), to)))
    g.agree(y, passes="fuse")


@pytest.mark.parametrize("signed", [True, False])
def test_int_softmax_of_the_longest_rows_of_equal_codes(signed: bool):
    g = Graphs(0)
    kind = integer(16, signed=signed)
    values = np.stack([np.full(MAX_ROW, code, kind.dtype) for code in (kind.min, kind.max)])
    values[1, 5] = kind.min
    x = g.input(kind, 2, MAX_ROW, values=values)
    table = g.const(exp_table(1e-5, 2**16).array, I32)
    for frac in (1, 8, 16):
        g.agree_later(g.op(IntSoftmax(x, table, frac=frac, to=Element(scalar("u16")))))
    g.agree()


def test_rows_with_nothing_kept_are_zero():
    g = Graphs(2)
    mask = np.array([[True] * 40, [False] * 40, [False] * 39 + [True]])
    x, m = g.input("i8", 3, 40), g.input(BOOL, 3, 40, values=mask)
    table = g.const(exp_table(0.05, 256).array, I32)
    for axis in (0, 1):
        g.agree_later(g.op(IntSoftmax(x, table, m, axis=axis, to=Element(scalar("u8")))))
    g.agree()


@pytest.mark.parametrize("seed", sweep(24, 80))
def test_int_norm(seed: int):
    g = Graphs(seed)
    kind = integer(g.pick(2, 4, 8, 8, 12, 16, 16), signed=bool(g.number(0, 1)))
    channels = g.pick(*LENGTHS, 768)
    x = g.input(kind, *(g.pick("b", 3, 8, "n") for _ in range(g.number(0, 2))), channels)
    if x.type.rank == 3 and g.number(0, 1):
        x = g.op(Permute(g.input(kind, 3, channels, "n"), (0, 2, 1)))
    center, to = bool(g.number(0, 1)), integer(g.number(2, 32), signed=bool(g.number(0, 1)))
    furthest = g.pick(1, 100, 32767)
    y = IntNorm(
        x,
        g.const(g.codes(I32, (channels,), -furthest, furthest), I32),
        g.const(g.codes(I32, (channels,), -(2 ** g.pick(1, 10, 29)), 2**29), I32),
        eps=int(2 ** g.rng.uniform(0, 61)) if g.number(0, 1) else g.number(1, 1000),
        shift=g.number(1, 24),
        center=center,
        x_zp=g.number(kind.min, kind.max) if g.number(0, 1) else 0,
        zp=g.number(-5, 5),
        to=Element(to),
    )
    z = g.op(y)
    if g.number(0, 1) and to.bits < 32:
        z = g.op(Requantize(z, g.const(2**30, I32), mode="fixed", shift=g.number(28, 33), to=Element(scalar("i8"))))
    g.agree(z, passes="fuse")


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("channels", [1, 2, 32768, 65535])
@pytest.mark.parametrize("bits", [8, 16])
def test_int_norm_at_the_ends_of_the_contract(center: bool, channels: int, bits: int):
    """The longest rows, codes at both ends, and rows of equal codes: the smallest and the largest n."""
    g = Graphs(channels)
    kind = integer(bits, signed=True)
    values = np.stack(
        [
            np.full(channels, kind.min),
            np.full(channels, kind.max),
            np.where(np.arange(channels) % 2, kind.min, kind.max),
            np.where(np.arange(channels) == 0, kind.max, kind.min),
            np.arange(channels) == 1,
            np.zeros(channels),
        ]
    ).astype(kind.dtype)
    x = g.input(kind, *values.shape, values=values)
    ends = np.where(np.arange(channels) % 3 == 0, -32767, 32767)
    for eps in (1, 2**61 - 1):
        for shift in (1, 13, 24):
            offsets = g.const(np.where(np.arange(channels) % 2 == 0, 2**29, -(2**29)), I32)
            y = IntNorm(x, g.const(ends, I32), offsets, eps=eps, shift=shift, center=center, to=Element(scalar("i24")))
            g.agree_later(g.op(y))
    g.agree()


@pytest.mark.parametrize("to", ["u8", "i16", "i32"])
def test_a_last_lane_alone_is_stored_without_a_mask(to: str):
    """LLVM stores it too wide where it has masks."""
    g = Graphs(0)
    x, table = g.input("i8", 5, 17), g.const(exp_table(0.05, 256).array, I32)
    graph = g.module(g.op(IntSoftmax(x, table, frac=8, to=Element(scalar(to))))).main
    text = module_text(compile_graph(graph, ISAS["avx512"]).program, graph, ISAS["avx512"])
    assert "masked.load" in text
    assert "masked.store" not in text
