"""Movement of values: gather, iota, copies of every type, concat, pad."""

from __future__ import annotations

import numpy as np
import pytest
from cpu_graphs import Graphs
from cpu_running import results

from irc.ir.diagnostics import IrcError
from irc.ir.dims import add, symbol
from irc.ir.location import at
from irc.ir.ops.tensor import Concat, Expand, Gather, Iota, Pad, Permute, Reshape, Slice
from irc.ir.scalars import scalar

TYPES = ("i8", "u4", "i16", "u16", "i32", "u32", "i64", "bool", "f16", "f32", "f64", "bf16")


@pytest.mark.parametrize("seed", range(60))
def test_gather(seed: int):
    g = Graphs(seed)
    x = g.input(g.pick(*TYPES), *(g.pick(1, 2, 5, 33, "b", "n") for _ in range(g.number(1, 4))))
    if g.number(0, 1) and x.type.rank > 1:
        x = g.op(Permute(x, tuple(g.rng.permutation(x.type.rank).tolist())))
    axis = g.number(-x.type.rank, x.type.rank - 1)
    size = x.type.shape[axis]
    length = size if isinstance(size, int) else g.dims[str(size)]
    shape = g.pick((), (1,), (7,), (3, 2))
    low = -length if g.number(0, 1) else 0
    kind = scalar(g.pick("i64", "i32", "i8") if low else g.pick("i64", "u32", "u8", "u5"))
    codes = g.codes(kind, shape, max(low, kind.min), min(length - 1, kind.max))
    indices = g.const(codes, kind) if g.number(0, 1) else g.input(kind, *shape, values=codes)
    g.agree(g.op(Gather(x, indices, axis=axis)))


@pytest.mark.parametrize("index", [5, -6, 2**40, -(2**62)])
def test_an_index_out_of_range_is_an_error_of_its_layer(index: int):
    g = Graphs(1)
    x, indices = g.input("f32", 5, 3), g.input("i64", 2, values=np.array([0, index]))
    g.op(Gather(x, g.const([1, 2], "i32")))
    g.builder.loc = at("embeddings.word", "Embedding", "model.py", 7)
    module = g.module(g.op(Gather(x, indices)))
    with pytest.raises(IrcError, match=rf"gather: index {index} of a dimension of size 5") as caught:
        results(module, g.arrays)
    assert "embeddings.word" in str(caught.value)


@pytest.mark.parametrize("step", [1, -3, 2**33])
def test_iota(step: int):
    g = Graphs(abs(step))
    g.input("f32", "n")
    n = symbol("n")
    ends = [g.op(Iota(start=start, step=step, shape=(size,))) for start in (0, -5, n) for size in (1, 19, n, add(n, 3))]
    g.agree(*ends)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("seed", range(5))
def test_copies(kind: str, seed: int):
    g = Graphs(seed)
    x = g.input(kind, *(g.pick(1, 3, 8, 31, 65, "b", "n") for _ in range(3)))
    if kind.startswith("f"):
        g.arrays[0].flat[0] = np.nan
    turned = g.op(Permute(x, tuple(g.rng.permutation(3).tolist())))
    flat = g.op(Reshape(turned, shape=(*turned.type.shape[:1], turned.type.shape[1], 1, turned.type.shape[2])))
    spread = g.op(Expand(flat, shape=(*flat.type.shape[:2], 3, flat.type.shape[3])))
    before, after = ((0, *(g.number(0, 3) for _ in range(3))) for _ in range(2))
    padded = g.op(Pad(spread, before, after, 1.0))
    part = g.op(Slice(padded, 2, 0, 3, g.number(1, 2)))
    g.agree(g.op(Concat((part, g.op(Permute(part, (0, 1, 2, 3))), part), g.number(0, 3))), turned, padded)
