"""Float activations times weights that stay codes in memory: the interpreter's floats, what they take, the code."""

from __future__ import annotations

import numpy as np
import pytest
from cpu_running import results
from hypothesis import given, settings
from hypothesis import strategies as st

from irc.backends.cpu_simd.compiler import compile_graph
from irc.backends.cpu_simd.inspect import loops, spills
from irc.backends.cpu_simd.isa import ISAS, Isa, host
from irc.backends.cpu_simd.library import assembly_of
from irc.backends.cpu_simd.tolerance import PRODUCTS
from irc.ir.builder import Builder
from irc.ir.graph import Graph, Module
from irc.ir.interpret import interpret
from irc.ir.ops.linear import Linear
from irc.ir.ops.quant import Dequantize
from irc.ir.ops.structure import Return
from irc.ir.scalars import F32, I32, Array, ScalarType
from irc.ir.types import Element, tensor


def weight_only(
    sizes: tuple[int, int, int], bits: int, scales: str | int, zp: int = 0, seed: int = 0
) -> tuple[Module, list[Array]]:
    """x[rows, depth] -> linear; `sizes` are rows, columns, depth; `scales` a group, "channel" or "tensor"."""
    rng = np.random.default_rng(seed)
    rows, columns, depth = sizes
    graph = Graph([tensor(F32, (rows, depth))], names=["x"], name="main")
    b = Builder.at_end(graph)
    kind = ScalarType("i", bits)
    codes = b.const(rng.integers(kind.min, kind.max, (columns, depth), endpoint=True), kind)
    shapes = {"tensor": (), "channel": (columns,)}
    shape = shapes[scales] if isinstance(scales, str) else (columns, depth // scales)
    scale = b.const((0.5 + rng.random(shape)).astype(np.float32), F32)
    axis = {"tensor": None, "channel": 0}[scales] if isinstance(scales, str) else 1
    group = scales if isinstance(scales, int) else None
    point = b.const(np.full(shape, zp), I32) if zp else None
    w = b(Dequantize(codes, scale, point, axis=axis, group=group, to=Element(F32)))
    bias = b.const(rng.normal(size=columns).astype(np.float32), F32)
    b.add(Return((b(Linear(graph.inputs[0], w, bias)),)))
    return Module([graph]), [rng.normal(size=(rows, depth)).astype(np.float32)]


def near(module: Module, arrays: list[Array]) -> None:
    (got,), (expected,) = results(module, arrays), interpret(module, arrays)
    np.testing.assert_allclose(got, expected, rtol=0, atol=PRODUCTS * np.abs(expected).max())


@settings(max_examples=15, deadline=None)
@given(
    st.tuples(st.integers(1, 9), st.integers(1, 70), st.integers(1, 6)),
    st.integers(2, 8),
    st.sampled_from(["tensor", "channel", 1, 4, 8, 16, 32]),
    st.integers(-3, 3),
)
def test_floats_of_the_interpreter(sizes: tuple[int, int, int], bits: int, scales: str | int, zp: int):
    rows, columns, many = sizes
    depth = many * scales if isinstance(scales, int) else many * 7
    near(*weight_only((rows, columns, depth), bits, scales, zp))


@pytest.mark.parametrize(("bits", "share"), [(4, 1 / 8), (8, 1 / 4)])
def test_what_weights_take(bits: int, share: float):
    module, _ = weight_only((1, 256, 512), bits, 32)
    taken = len(compile_graph(module.main, host()).program.weights)
    assert taken < 256 * 512 * 4 * (share + 1 / 32) + 256 * 4 + 256


@pytest.mark.parametrize("isa", ISAS.values(), ids=lambda isa: isa.name)
@pytest.mark.parametrize("rows", [1, 2, 4])
@pytest.mark.parametrize("bits", [4, 8])
def test_inner_loops_do_not_spill(isa: Isa, rows: int, bits: int):
    module, _ = weight_only((rows, 384, 384), bits, 32)
    text = assembly_of(compile_graph(module.main, isa).program, module.main, isa)
    assert spills(text, isa.arch) == []


def test_one_conversion_and_one_product_a_vector_of_weights_and_half_a_shift():
    module, _ = weight_only((1, 384, 384), 4, 32)
    isa = ISAS["x86-64-v3"]
    text = assembly_of(compile_graph(module.main, isa).program, module.main, isa)
    (loop,) = [loop for loop in loops(text) if loop.innermost and loop.uses("vfmadd") and loop.uses("vcvtdq2ps")]
    assert loop.uses("vcvtdq2ps") == loop.uses("vfmadd") == 32
    assert loop.uses("vand") + loop.uses("vpand") + loop.uses("vpsrld") == 4 * (7 + 4)
