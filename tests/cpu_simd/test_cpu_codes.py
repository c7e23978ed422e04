"""Constant weights in as few bits as they need: the interpreter's integers, what they take in memory, the code."""

from __future__ import annotations

import re

import numpy as np
import pytest
from cpu_running import results
from emulation import emulated
from hypothesis import given, settings
from hypothesis import strategies as st

from irc.backends.cpu_simd.compiler import compile_graph
from irc.backends.cpu_simd.inspect import loops, spills
from irc.backends.cpu_simd.isa import ISAS, Isa, host
from irc.backends.cpu_simd.library import assembly_of
from irc.backends.cpu_simd.lower.codes import FEW
from irc.backends.cpu_simd.ukernels.codes import codes_of, pack_codes
from irc.backends.cpu_simd.ukernels.dots import FORMS
from irc.backends.cpu_simd.ukernels.products import Panels, Tile
from irc.ir.builder import Builder
from irc.ir.dims import Symbol, symbol
from irc.ir.graph import Graph, Module
from irc.ir.interpret import interpret
from irc.ir.ops.linear import Linear
from irc.ir.ops.structure import Return
from irc.ir.scalars import I8, I32, Array, ScalarType, scalar
from irc.ir.types import tensor


def linear(
    x: ScalarType, w: ScalarType, sizes: tuple[int | str, int, int], zps: tuple[int, int] = (0, 0), seed: int = 0
) -> tuple[Module, list[Array]]:
    """x[rows, depth] -> linear of constant weights with a bias, and an input; `sizes` are rows, columns, depth."""
    rng = np.random.default_rng(seed)
    rows, columns, depth = sizes
    symbols = [Symbol(rows, 1, 64)] if isinstance(rows, str) else []
    dims = (symbol(rows) if isinstance(rows, str) else rows, depth)
    graph = Graph([tensor(x, dims)], names=["x"], name="main", symbols=symbols)
    b = Builder.at_end(graph)
    weights = b.const(rng.integers(w.min, w.max, (columns, depth), endpoint=True), w)
    bias = b.const(rng.integers(-1000, 1000, columns), I32)
    b.add(Return((b(Linear(graph.inputs[0], weights, bias, x_zp=zps[0], w_zp=zps[1])),)))
    given_rows = 11 if isinstance(rows, str) else rows
    return Module([graph]), [rng.integers(x.min, x.max, (given_rows, depth), endpoint=True).astype(x.dtype)]


SIZES = st.tuples(st.integers(1, FEW + 3), st.integers(1, 75), st.integers(1, 75))


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(["u8", "i8", "u5", "i16"]),
    st.integers(2, 8),
    st.booleans(),
    SIZES,
    st.tuples(*[st.integers(-2, 2)] * 2),
)
def test_integers_of_the_interpreter(
    x: str, bits: int, signed: bool, sizes: tuple[int, int, int], zps: tuple[int, int]
):
    module, arrays = linear(scalar(x), ScalarType("i" if signed else "u", bits), sizes, zps)
    np.testing.assert_array_equal(results(module, arrays)[0], interpret(module, arrays)[0])


def test_rows_whose_number_is_known_when_it_runs():
    module, arrays = linear(I8, scalar("i4"), ("n", 37, 29), (3, 0))
    np.testing.assert_array_equal(results(module, arrays)[0], interpret(module, arrays)[0])


@pytest.mark.parametrize("name", [n for n, isa in ISAS.items() if isa.is_x86])
@pytest.mark.parametrize("kinds", ["u8-i4", "i8-i8", "u8-i2", "i8-u6"])
@pytest.mark.parametrize("rows", [1, 5, 13])
def test_code_of_other_machines_gives_the_bits_of_the_interpreter(name: str, kinds: str, rows: int):
    x, w = map(scalar, kinds.split("-"))
    module, arrays = linear(x, w, (rows, 41, 39), (1, 0))
    given_, _ = emulated(module, arrays, ISAS[name])
    np.testing.assert_array_equal(given_[0], interpret(module, arrays)[0])


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("rows", [1, 197])
def test_what_weights_take(bits: int, rows: int):
    module, _ = linear(I8, ScalarType("i", bits), (rows, 96, 128))
    taken = len(compile_graph(module.main, ISAS["x86-64-v3"]).program.weights) - 96 * 4
    assert taken < 96 * 128 * max(2, 1 << (bits - 1).bit_length()) / 8 * 1.02 + 128


def test_words_hold_consecutive_groups_the_first_in_the_lowest_bits():
    codes = codes_of(FORMS["vpmaddwd"], -8, 7)
    assert codes is not None
    assert (codes.bits, codes.parts, codes.offset) == (4, 4, 8)
    weights = np.arange(-8, 8).reshape(2, 8)
    words = pack_codes(weights, codes, Panels(2, Tile(1, 1, 2)), 0)
    assert [f"{word:04x}" for word in words] == ["6420", "7531", "eca8", "fdb9"]


def test_codes_that_fill_a_word_are_not_packed():
    assert codes_of(FORMS["vpdpbusd"], -128, 127) is None
    assert codes_of(FORMS["vpmaddwd"], 1, 256) is None


INSTRUCTIONS = {
    "x86-64": "pmaddwd",
    "x86-64-v3": "vpmaddubsw",
    "avx-vnni": "{vex} vpdpbusd",
    "avx512": "vpmaddubsw",
    "avx512-vnni": "vpdpbusd",
    "aarch64": "sm(ull|lal)",
    "aarch64+dotprod": "sdot",
    "aarch64+i8mm": "(?:usdot|sudot|usmmla)",
    "riscv64": "mulw?",
}


@pytest.mark.parametrize("isa", ISAS.values(), ids=lambda isa: isa.name)
@pytest.mark.parametrize("rows", [1, 3, 4, 197])
@pytest.mark.parametrize("bits", [4, 8])
def test_inner_loops(isa: Isa, rows: int, bits: int):
    """The dot product of the target, and no register that does not fit."""
    module, _ = linear(scalar("u8"), ScalarType("i", bits), (rows, 384, 384))
    text = assembly_of(compile_graph(module.main, isa).program, module.main, isa)
    inner = [line for loop in loops(text) if loop.innermost and "linear" in loop.function for line in loop.lines]
    expected = INSTRUCTIONS[isa.name].replace("ubsw", "wd" if bits == 8 else "ubsw")
    assert [line for line in inner if re.match(expected, line)]
    assert spills(text, isa.arch) == []


def test_one_row_streams_half_a_byte_a_weight():
    """Words are loaded whole, taken apart by one shift and two masks, and asked for a page ahead."""
    module, _ = linear(scalar("u8"), scalar("i4"), (1, 384, 384))
    isa = ISAS["x86-64-v3"]
    text = assembly_of(compile_graph(module.main, isa).program, module.main, isa)
    (loop,) = [loop for loop in loops(text) if loop.innermost and "linear" in loop.function]
    assert loop.uses("vpmaddubsw") == 2 * loop.uses("vpsrlw") == 2 * loop.uses("vmovdqu")
    assert loop.uses("vpand") == loop.uses("vpmaddubsw")
    assert loop.uses("prefetch") * 2 == loop.uses("vmovdqu")


def test_the_host_is_one_of_the_targets():
    assert host() in ISAS.values()


@pytest.mark.parametrize(("name", "chains"), [("avx512-vnni", 16), ("avx-vnni", 8), ("aarch64+dotprod", 16)])
def test_dot_products_of_one_row_do_not_wait_for_each_other(name: str, chains: int):
    """Four vectors of columns would be four sums; each dot product takes some five cycles, and two begin in one."""
    module, _ = linear(scalar("u8"), scalar("i4"), (1, 384, 384))
    text = assembly_of(compile_graph(module.main, ISAS[name]).program, module.main, ISAS[name])
    (loop,) = [loop for loop in loops(text) if loop.innermost and "linear" in loop.function]
    sums = re.findall(r"(?:vpdpbusd.*%|sdot\s+)([yzv][m\d]+)(?:\.4s.*)?$", "\n".join(loop.lines), re.MULTILINE)
    assert (len(sums), len(set(sums))) == (16, chains)
