"""Movement of values: gather, iota, copies of every type, concat, pad."""

from __future__ import annotations

import numpy as np
import pytest
from cpu_graphs import Graphs
from cpu_running import agree, results
from sweeps import sweep

from irc.backends.cpu_simd.abi import CODES
from irc.backends.cpu_simd.compiler import compile_graph
from irc.backends.cpu_simd.isa import host
from irc.backends.cpu_simd.runtime import session
from irc.ir.diagnostics import InternalError, IrcError
from irc.ir.dims import add, mul, symbol
from irc.ir.location import at
from irc.ir.ops.math import Maximum, Minimum
from irc.ir.ops.tensor import Concat, Expand, Gather, Iota, Pad, Permute, Reshape, Scatter, Slice
from irc.ir.scalars import scalar

TYPES = ("i8", "u4", "i16", "u16", "i32", "u32", "i64", "bool", "f16", "f32", "f64", "bf16")


@pytest.mark.parametrize("seed", sweep(20, 60))
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


@pytest.mark.parametrize("seed", sweep(12, 30))
def test_scatter(seed: int):
    g = Graphs(seed)
    x = g.input(g.pick(*TYPES), *(g.pick(1, 2, 5, 33, "b", "n") for _ in range(g.number(1, 4))))
    axis = g.number(-x.type.rank, x.type.rank - 1)
    size = x.type.shape[axis]
    length = size if isinstance(size, int) else g.dims[str(size)]
    shape = g.pick((), (1,), (7,), (3, 2))
    indices = g.input("i64", *shape, values=g.codes(scalar("i64"), shape, -length, length - 1))
    at, sizes = axis % x.type.rank, [d if isinstance(d, int) else str(d) for d in x.type.shape]
    updates = g.input(str(x.type.scalar), *sizes[:at], *shape, *sizes[at + 1 :])
    g.agree(g.op(Scatter(x, indices, updates, axis=axis)))


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


def test_a_library_that_fails_alone_is_an_internal_error():
    g = Graphs(1)
    module = g.module(g.op(Gather(g.input("f32", 5, 3), g.const([1, 2], "i32"))))
    with session(module.main, compile_graph(module.main, host()).program, host()) as machine:
        machine.run = lambda *places: CODES["INDEX"]
        with pytest.raises(InternalError, match="the library fails where the interpreter does not"):
            machine(g.arrays)


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


def test_dimensions_that_no_division_proves_equal_are_joined():
    """[n + 1, b, 12] -> [(n + 1) * b, 12]: what lies without gaps takes any shape."""
    g = Graphs(3)
    x = g.input("f32", "n", "b", 12)
    y = g.op(Concat((g.op(Slice(x, axis=0, start=0, stop=1)), x), axis=0))
    n, b = symbol("n"), symbol("b")
    g.agree(g.op(Reshape(y, (mul(add(n, 1), b), 12))))


def test_what_is_joined_is_written_in_place():
    g = Graphs(4)
    x, y = g.input("i8", "b", 5, 8), g.input("i8", "b", 5, 3)
    parts = [g.op(Maximum(v, g.const(1, "i8"))) for v in (x, y)]
    inner = g.op(Concat((parts[0], parts[1], x), 2))
    whole = g.op(Concat((g.op(Minimum(x, g.const(5, "i8"))), inner), -1))
    twice = g.op(Concat((parts[1], parts[1]), 1))
    module = g.module(whole, twice)
    kernels = [launch.kernel.split("_")[0] for launch in compile_graph(module.main, host()).program.launches]
    assert kernels.count("copy") == 3  # x, and the part that has its place in another whole, twice
    agree(module, g.arrays)


@pytest.mark.parametrize("seed", sweep(8, 20))
def test_joined_results_of_kernels(seed: int):
    g = Graphs(seed)
    axis = g.number(0, 2)
    parts = []
    for _ in range(g.number(1, 3)):
        shape = [4, "b", 9]
        shape[axis] = g.pick(1, 5, 40)
        x = g.input("u8", *shape)
        parts.append(g.op(Maximum(x, g.const(g.codes(scalar("u8"), ()), "u8"))) if g.number(0, 3) else x)
    joined = g.op(Concat((*parts, parts[0]), axis))
    turned = g.op(Permute(joined, tuple(g.rng.permutation(3).tolist())))
    g.agree(g.op(Minimum(turned, g.const(200, "u8"))), parts[0], passes=g.pick("", "fuse"))
