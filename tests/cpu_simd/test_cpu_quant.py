"""Requantize, quantize, tables, and what is computed in lanes of 8 bits: the interpreter's bits."""

from __future__ import annotations

import numpy as np
import pytest
from cpu_graphs import Graphs
from cpu_running import agree
from emulation import emulated
from sweeps import sweep

from irc.backends.cpu_simd.compiler import compile_graph
from irc.backends.cpu_simd.isa import ISAS, host
from irc.backends.cpu_simd.library import assembly_of
from irc.ir.graph import Graph
from irc.ir.interpret import interpret
from irc.ir.ops.bits import And, Not, Or, ShiftLeft, ShiftRight, Xor
from irc.ir.ops.linear import Linear
from irc.ir.ops.math import Cast, Clamp, Compare, Maximum, Minimum, Where
from irc.ir.ops.quant import Dequantize, Lut, Quantize, Requantize
from irc.ir.parser import parse
from irc.ir.scalars import F32, I8, I32, Array, integer, scalar
from irc.ir.types import Element

SIZES = (1, 3, 8, 31, 32, 33, 100)
EDGES = np.array([-(2**31), -(2**31) + 1, -1, 0, 1, 2**31 - 2, 2**31 - 1])


def accumulators(g: Graphs, count: int) -> Array:
    """i32 codes of every magnitude, the ends of the type among them."""
    wide = g.codes(I32, (count,)) >> g.rng.integers(0, 31, count)
    return np.where(g.rng.random(count) < 0.2, g.rng.choice(EDGES, count), wide).astype(np.int32)


QUICK_SHIFTS = {1, 2, 7, 8, 15, 16, 30, 31, 32, 33, 48, 61, 62}


@pytest.mark.parametrize(
    "shift", [s if s in QUICK_SHIFTS else pytest.param(s, marks=pytest.mark.slow) for s in range(1, 63)]
)
def test_requantize_fixed_is_exact_for_every_shift(shift: int):
    g = Graphs(shift)
    for m in (1, 2**31 - 1, g.number(1, 2**31 - 1)):
        x = g.input(I32, 200, values=accumulators(g, 200))
        to = scalar(g.pick("i8", "u8", "i4", "i16", "i20", "i32", "u32"))
        zp = g.number(to.min, min(to.max, 2**31 - 1)) if g.number(0, 1) else 0
        g.agree_later(g.op(Requantize(x, g.const(m, I32), mode="fixed", shift=shift, zp=zp, to=Element(to))))
    g.agree()


@pytest.mark.parametrize("seed", sweep(20, 60))
def test_requantize_by_channels(seed: int):
    g = Graphs(seed)
    count, fixed = g.pick(*SIZES), bool(g.number(0, 1))
    kind = scalar(g.pick("i8", "u8", "i16", "i32", "u31", "u3"))
    x = g.input(kind, "b", 3, count)
    axis = g.pick(None, 1, 2)
    extent = () if axis is None else (x.type.shape[axis],)
    to, x_zp = integer(g.number(1, 32), signed=bool(g.number(0, 1))), 0
    if kind.bits < 31:
        x_zp = g.number(-3, 3)
    shared = {"axis": axis, "x_zp": x_zp, "zp": g.number(-9, 9), "to": Element(to)}
    if fixed:
        m = g.const(g.codes(I32, extent, 1), I32)
        y = Requantize(x, m, mode="fixed", shift=g.number(1, 62), **shared)
    else:
        m = g.const(np.exp2(g.rng.uniform(-30, 5, extent)).astype(np.float32), F32)
        y = Requantize(x, m, mode="float", **shared)
    g.agree(g.op(y))


@pytest.mark.parametrize("bits", range(1, 18))
@pytest.mark.parametrize("signed", [True, False])
def test_requantize_saturates_at_every_width(bits: int, signed: bool):
    """By itself, and behind sums, where two vectors are narrowed together; multipliers small and not."""
    g = Graphs(bits)
    to = integer(bits, signed=signed)
    for largest in (0.25, 4.0):
        m = g.const(np.exp2(g.rng.uniform(-18, 0, 37)).astype(np.float32) * np.float32(largest), F32)
        shared = {"mode": "float", "axis": 1, "zp": g.number(-9, 9), "to": Element(to)}
        g.agree_later(g.op(Requantize(g.input(I32, 5, 37, values=accumulators(g, 5 * 37).reshape(5, 37)), m, **shared)))
        w = g.const(g.codes(I8, (37, 300)), I8)
        sums = g.op(Linear(g.input("u8", 5, 300), w, None))
        g.agree_later(g.op(Requantize(sums, m, **shared)))
    g.agree()


@pytest.mark.parametrize("name", ["x86-64", "x86-64-v3", "avx512-vnni"])
@pytest.mark.parametrize("bits", [1, 5, 8, 9])
@pytest.mark.parametrize("signed", [True, False])
def test_four_vectors_of_results_are_narrowed_together(name: str, bits: int, signed: bool):
    """Two panels of columns and a part of one; zero points that bytes and words hold."""
    g = Graphs(bits)
    x, w = g.input("u8", 5, 30), g.const(g.codes(I8, (150, 30)), I8)
    m = g.const(np.exp2(g.rng.uniform(-14, -4, 150)).astype(np.float32), F32)
    to = Element(integer(bits, signed=signed))
    sums = [g.op(Linear(x, w, None)) for _ in range(4)]
    zps = (0, -9, 200, -(2**15))
    module = g.module(
        *(g.op(Requantize(s, m, mode="float", axis=1, zp=z, to=to)) for s, z in zip(sums, zps, strict=True))
    )
    found, _ = emulated(module, g.arrays, ISAS[name])
    for given, expected in zip(found, interpret(module, g.arrays), strict=True):
        np.testing.assert_array_equal(given, expected)


@pytest.mark.parametrize("isa", ["x86-64-v3", "avx512"])
def test_requantize_takes_no_vector_apart(isa: str):
    g = Graphs(0)
    x = g.input(I32, 4096)
    y = g.op(Requantize(x, g.const(2**30 + 1, I32), mode="fixed", shift=31, to=Element(scalar("i8"))))
    text = text_of(g.module(y).main, isa)
    assert "vpmuldq" in text
    assert "vpextr" not in text


def text_of(graph: Graph, isa: str) -> str:
    target = ISAS[isa]
    return assembly_of(compile_graph(graph, target).program, graph, target)


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("signed", [True, False])
def test_tables_of_every_width(bits: int, signed: bool):
    g = Graphs(bits)
    kind = integer(bits, signed=signed)
    for size in SIZES:
        x = g.input(kind, "b", size)
        for to in (scalar("i8"), scalar("u5"), scalar("i16"), scalar("i32")):
            g.agree_later(g.op(Lut(x, g.const(g.codes(to, (1 << bits,)), to), to=Element(to))))
    g.agree()


def test_a_table_behind_arithmetic_is_looked_up_in_bytes():
    g = Graphs(5)
    for size in (32, 77, "n"):
        x = g.input(I32, 3, size)
        y = g.op(Requantize(x, g.const(77, I32), mode="fixed", shift=30, to=Element(scalar("i8"))))
        z = g.op(Lut(y, g.const(g.codes(scalar("u8"), (256,)), "u8"), to=Element(scalar("u8"))))
        g.agree_later(g.op(Cast(z, to=Element(I32))))
    g.agree(passes="fuse")


@pytest.mark.parametrize(
    ("isa", "instruction"),
    [
        ("x86-64-v3", "vpshufb"),
        ("avx512", "vpshufb"),
        ("avx512-vnni", "vpermt2b"),
        ("aarch64", "tbl"),
    ],
)
def test_tables_use_the_byte_shuffles_of_the_target(isa: str, instruction: str):
    g = Graphs(1)
    x = g.input("i8", 4096)
    y = g.op(Lut(x, g.const(g.codes(scalar("i8"), (256,)), "i8"), to=Element(scalar("i8"))))
    text = text_of(g.module(y).main, isa)
    assert instruction in text
    assert "pextr" not in text
    assert "umov" not in text


@pytest.mark.parametrize("seed", sweep(14, 40))
def test_codes_of_8_bits_in_bytes(seed: int):
    g = Graphs(seed)
    kind = integer(g.number(2, 8), signed=bool(g.number(0, 1)))
    shape = (g.pick("b", 2), g.pick(*SIZES, "n"))
    x, y = g.input(kind, *shape), g.input(kind, *shape)
    z = g.op(g.pick(Maximum, Minimum)(x, g.const(g.codes(kind, ()), kind)))
    low = g.number(kind.min, kind.max)
    z = g.op(Clamp(z, lo=g.pick(-np.inf, float(low)), hi=g.pick(np.inf, float(g.number(low, kind.max)))))
    z = g.op(Not(g.op(g.pick(And, Or, Xor)(z, y)))) if g.number(0, 1) else z
    condition = g.op(Compare(z, y, how=g.pick("eq", "ne", "lt", "le", "gt", "ge")))
    if g.number(0, 1):
        condition = g.op(Not(condition))
    z = g.op(Where(condition, z, y))
    to = integer(g.number(1, 8), signed=bool(g.number(0, 1)))
    g.agree(g.op(Cast(z, to=Element(to))), condition, passes=g.pick("", "fuse"))


def wide_floats(g: Graphs, size: int) -> Array:
    """Floats of every magnitude."""
    return (g.codes(F32, (2, size)) * 10.0 ** g.rng.integers(-2, 12, (2, size))).astype(np.float32)


@pytest.mark.parametrize("seed", sweep(12, 30))
def test_quantize_and_dequantize(seed: int):
    g = Graphs(seed)
    kind = integer(g.pick(4, 8, 16, 24, 32), signed=bool(g.number(0, 1)))
    size = g.pick(*SIZES)
    x = g.input(F32, 2, size, values=wide_floats(g, size))
    g.arrays[0][0, 0] = g.pick(np.nan, np.inf, -np.inf, 0.5)
    axis = g.pick(None, 1)
    extent = () if axis is None else (size,)
    scale = np.exp2(g.rng.uniform(-6, 3, extent)).astype(np.float32)
    zp = g.const(g.codes(I32, extent, *g.pick((-100, 100), (None, None))), I32) if g.number(0, 1) else None
    codes = g.op(Quantize(x, g.const(scale, F32), zp, axis=axis, to=Element(kind)))
    g.agree(codes, g.op(Dequantize(codes, g.const(scale, F32), zp, axis=axis, to=Element(F32))))


GROUPED = """
func @main(%x: f32[3, 12]{params}) -> f32[3, 12] {{
  {consts}
  %q = quantize %x, %r, %z {{axis = 1, group = 4}} : i4[3, 12]
  %y = dequantize %q, %s, %z {{axis = 1, group = 4}} : f32[3, 12]
  return %y
}}
"""


@pytest.mark.parametrize("computed", [False, True])
def test_scales_per_group(computed: bool):
    rng = np.random.default_rng(0)
    scales = (1 + rng.random((3, 3))).astype(np.float32)
    arrays = {"r": np.float32(1) / scales, "s": scales, "z": rng.integers(-3, 4, (3, 3)).astype(np.int32)}
    kinds = {"r": "f32", "s": "f32", "z": "i32"}
    if computed:
        text = GROUPED.format(params="".join(f", %{n}: {kinds[n]}[3, 3]" for n in arrays), consts="")
    else:
        consts = "\n  ".join(f"%{n} = const {a.tolist()} : {kinds[n]}[3, 3]" for n, a in arrays.items())
        text = GROUPED.format(params="", consts=consts)
    x = rng.normal(size=(3, 12)).astype(np.float32) * 8
    agree(parse(text), [x, *(arrays.values() if computed else ())])


def test_a_dequantized_constant_is_one():
    module = parse("""
func @main(%x: f32[2, 4]) -> (f32[2, 4], f32[1, 4]) {
  %c = const [[1, -2, 3, 4]] : i4<[[0.5, 0.25]], axis=1, group=2>[1, 4]
  %s = const [[0.5, 0.25]] : f32[1, 2]
  %w = dequantize %c, %s {axis = 1, group = 2} : f32[1, 4]
  %y = add %x, %w : f32[2, 4]
  return %y, %w
}
""")
    agree(module, [np.ones((2, 4), np.float32)])
    assert len(compile_graph(module.main, host()).program.launches) == 2


@pytest.mark.parametrize("kind", ["i8", "u8", "i5", "u3", "i1", "i16", "u31", "i32", "u32", "i64"])
def test_bits(kind: str):
    g = Graphs(len(kind))
    for size in (3, 37):
        x, y, one = g.input(kind, "b", size), g.input(kind, 1, size), g.input(kind, "b", 1)
        for op in (And, Or, Xor):
            g.agree_later(g.op(op(g.op(op(x, y)), one)))
        g.agree_later(g.op(Not(x)))
        bits = scalar(kind).bits
        near = g.codes(scalar(kind), (size,), max(-2, scalar(kind).min), min(bits + 1, scalar(kind).max))
        for by in (
            y,
            one,
            g.input(kind, size, values=near),
            g.const(near, kind),
            g.const(min(3, scalar(kind).max), kind),
        ):
            g.agree_later(g.op(ShiftLeft(x, by)))
            g.agree_later(g.op(ShiftRight(x, by)))
    g.agree(passes=g.pick("", "fuse"))
