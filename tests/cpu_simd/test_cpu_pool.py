"""Pools on the machine: the interpreter's integers and maxima; means to their tolerance."""

from __future__ import annotations

import numpy as np
import pytest
from cpu_graphs import Graphs
from sweeps import sweep

from irc.ir.graph import Value
from irc.ir.ops.math import Add, Maximum
from irc.ir.ops.pool import AvgPool, MaxPool, SumPool
from irc.ir.ops.quant import Requantize
from irc.ir.ops.tensor import Permute
from irc.ir.scalars import I32, ScalarType, scalar
from irc.ir.types import Element


def image(g: Graphs, kind: ScalarType, spatial: tuple[int | str, ...]) -> Value:
    """An input in C order, or with its channels last."""
    batch, channels = g.pick(1, 2, "b"), g.pick(1, 3, 16, 33, 64)
    if g.number(0, 1):
        return g.input(kind, batch, channels, *spatial)
    x = g.input(kind, batch, *spatial, channels)
    rank = x.type.rank
    return g.op(Permute(x, (0, rank - 1, *range(1, rank - 1))))


def window(g: Graphs, n: int, largest: int = 5) -> dict[str, tuple[int, ...] | bool]:
    kernel = tuple(g.number(1, largest) for _ in range(n))
    return {
        "kernel": kernel,
        "stride": tuple(g.number(1, 3) for _ in range(n)),
        "padding": tuple(g.number(0, kernel[i % n]) if g.number(0, 1) else kernel[i % n] // 2 for i in range(2 * n)),
        "ceil": bool(g.number(0, 1)),
    }


def sizes(g: Graphs, n: int) -> tuple[int | str, ...]:
    if g.number(0, 4) == 0:
        g.dims["n"] = g.number(9, 30)
        return tuple(g.pick("n", 11) for _ in range(n))
    return tuple(g.number(9, 20) for _ in range(n))


@pytest.mark.parametrize("seed", sweep(24, 80))
def test_max_pool(seed: int):
    g = Graphs(seed)
    kind = scalar(g.pick("i8", "u8", "i4", "i16", "u16", "i32", "u32", "i64", "f16", "f32", "f64", "bf16"))
    n = g.number(1, 3) if seed % 4 == 0 else 2
    x = image(g, kind, sizes(g, n))
    if kind.is_float and g.number(0, 1):
        g.arrays[0].flat[g.number(0, g.arrays[0].size - 1)] = g.pick(np.nan, -np.inf)
    dilation = tuple(g.number(1, 2) for _ in range(n))
    y = g.op(MaxPool(x, **window(g, n, 3), dilation=dilation))
    if kind.bits <= 8 and g.number(0, 1):
        y = g.op(Maximum(y, g.const(g.codes(kind, (y.type.shape[1], *[1] * n)), kind)))
    g.agree(y, passes="fuse")


@pytest.mark.parametrize("seed", sweep(18, 60))
def test_sum_pool(seed: int):
    g = Graphs(seed)
    kind = scalar(g.pick("i8", "u8", "u4", "i16", "u16", "i20"))
    n = g.number(1, 3) if seed % 4 == 0 else 2
    x = image(g, kind, sizes(g, n))
    y = g.op(SumPool(x, **window(g, n), x_zp=g.number(kind.min, kind.max) if g.number(0, 1) else 0))
    if g.number(0, 1):
        m = g.const(g.codes(I32, (y.type.shape[1],), 1), I32)
        to = scalar(g.pick("i8", "u8", "i16"))
        y = g.op(Requantize(y, m, mode="fixed", shift=g.number(28, 40), axis=1, to=Element(to)))
    g.agree(y, passes="fuse")


@pytest.mark.parametrize("seed", sweep(18, 60))
def test_avg_pool(seed: int):
    g = Graphs(seed)
    kind = scalar(g.pick("f32", "f32", "f16", "f64", "bf16"))
    n = g.number(1, 3) if seed % 4 == 0 else 2
    x = image(g, kind, sizes(g, n))
    y = g.op(AvgPool(x, **window(g, n), count_pad=bool(g.number(0, 1))))
    if kind == scalar("f32") and g.number(0, 1):
        y = g.op(Add(y, g.const(g.codes(kind, (y.type.shape[1], *[1] * n)), kind)))
    g.agree(y, passes="fuse")


@pytest.mark.parametrize("op", [MaxPool, SumPool, AvgPool])
@pytest.mark.parametrize("spatial", [(14, 15), ("n", 15)])
def test_windows_with_many_taps_are_loops(op: type, spatial: tuple[int | str, ...]):
    g = Graphs(3)
    g.dims["n"] = 17
    x = image(g, scalar("f32" if op is AvgPool else "i8"), spatial)
    more = {MaxPool: {"dilation": (1, 1)}, SumPool: {"x_zp": -7}, AvgPool: {"count_pad": False}}[op]
    y = g.op(op(x, kernel=(13, 13), stride=(1, 1), padding=(6, 6, 6, 6), ceil=False, **more))
    g.agree(y)
