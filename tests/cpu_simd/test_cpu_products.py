"""Linear, matmul, conv on the machine: the interpreter's integers, floats to a few ulps of the largest sum."""

from __future__ import annotations

import numpy as np
import pytest
from cpu_running import results
from sweeps import sweep

from irc.backends.cpu_simd.isa import ISAS
from irc.backends.cpu_simd.ukernels.dots import integer_form
from irc.ir.builder import Builder
from irc.ir.dims import Symbol, symbol
from irc.ir.graph import Graph, Module, Value
from irc.ir.interpret import interpret
from irc.ir.op import Op
from irc.ir.ops.linear import Conv, Linear, Matmul
from irc.ir.ops.math import Clamp
from irc.ir.ops.structure import Return
from irc.ir.ops.tensor import Expand, Permute
from irc.ir.scalars import Array, ScalarType, scalar
from irc.ir.types import tensor

PRODUCTS_TOLERANCE = 1e-5  # of the largest result: sums are taken in another order


class Graphs:
    """A graph under construction, and arrays for its inputs."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.graph = Graph(name="main", symbols=[Symbol("b", 1, 8), Symbol("n", 1, 40)])
        self.b = Builder.at_end(self.graph)
        self.arrays: list[Array] = []
        self.dims = {"b": int(self.rng.integers(1, 5)), "n": int(self.rng.integers(1, 41))}

    def values(self, kind: ScalarType, shape: tuple[int, ...]) -> Array:
        if kind.is_float:
            return self.rng.standard_normal(shape).astype(kind.dtype)
        low, high = (kind.min, kind.max) if kind.bits < 32 else (-1000, 1000)  # biases: sums fit 32 bits
        return self.rng.integers(low, high, shape, endpoint=True).astype(kind.dtype)

    def input(self, kind: ScalarType, *shape: int | str) -> Value:
        """An input; a name in the shape is a symbol."""
        numbers = tuple(self.dims[d] if isinstance(d, str) else d for d in shape)
        self.arrays.append(self.values(kind, numbers))
        dims = tuple(symbol(d) if isinstance(d, str) else d for d in shape)
        return self.graph.add_input(tensor(kind, dims), f"x{len(self.arrays)}")

    def const(self, kind: ScalarType, *shape: int) -> Value:
        return self.b.const(self.values(kind, shape), kind)

    def bias(self, x: ScalarType, columns: int) -> Value | None:
        """None, a constant, or an input: a bias for products with activations of a type."""
        choice = int(self.rng.integers(0, 4))
        if choice == 0:
            return None
        kind = scalar("i32") if x.is_integer else x
        return self.input(kind, columns) if choice == 1 else self.const(kind, columns)

    def check(self, op: Op) -> None:
        """Assert that the machine agrees on the op."""
        self.b.add(Return((self.b(op),)))
        used = list(self.graph.inputs)
        module = Module([self.graph])
        assert used
        names = {name for v in used for name in v.type.symbols()}
        self.graph.symbols = {name: s for name, s in self.graph.symbols.items() if name in names}
        (expected,) = interpret(module, self.arrays)
        (given,) = results(module, self.arrays)
        if expected.dtype.kind == "f":
            step = float(np.finfo(np.float16).eps) if expected.dtype == np.float16 else 0.0  # either side of a tie
            np.testing.assert_allclose(given, expected, rtol=step, atol=PRODUCTS_TOLERANCE * np.abs(expected).max())
        else:
            np.testing.assert_array_equal(given, expected)


FLOATS = [("f32", "f32"), ("f64", "f64"), ("f16", "f16")]
KINDS = [("i8", "i8"), ("u8", "i4"), ("i8", "u8"), ("i16", "i8"), ("u4", "i2"), *FLOATS]


@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
@pytest.mark.parametrize("seed", sweep(2, 6))
def test_linear(kinds: tuple[str, str], seed: int):
    g = Graphs(seed)
    x_kind, w_kind = map(scalar, kinds)
    rows, depth, columns = (int(v) for v in g.rng.integers(1, 50, 3))
    x = g.input(x_kind, "b", rows, depth)
    bias = g.bias(x_kind, columns)
    zps = {"x_zp": int(g.rng.integers(-3, 4)), "w_zp": int(g.rng.integers(-1, 2))} if x_kind.is_integer else {}
    g.check(Linear(x, g.const(w_kind, columns, depth), bias, **zps))


@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
@pytest.mark.parametrize("seed", sweep(3, 8))
def test_matmul(kinds: tuple[str, str], seed: int):
    g = Graphs(seed)
    x_kind, y_kind = map(scalar, kinds)
    m, k, n = (int(v) for v in g.rng.integers(1, 40, 3))
    k, n = (d if g.rng.random() < 0.7 else "n" for d in (k, n))
    x = g.input(x_kind, "b", 3, m, k)
    y = g.input(y_kind, *(("b", 3) if g.rng.random() < 0.5 else (1, 3)), n, k) if seed % 2 else None
    y = g.b(Permute(y, (0, 1, 3, 2))) if y is not None else g.input(y_kind, "b", 1, k, n)
    zps = {"x_zp": int(g.rng.integers(-3, 4)), "y_zp": int(g.rng.integers(-1, 2))} if x_kind.is_integer else {}
    g.check(Matmul(x, y, **zps))


@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
@pytest.mark.parametrize("seed", sweep(3, 8))
def test_conv(kinds: tuple[str, str], seed: int):
    g = Graphs(seed)
    x_kind, w_kind = map(scalar, kinds)
    n = 1 + seed % 3 if seed < 6 else 2
    groups = int(g.rng.choice([1, 1, 2, 3]))
    inputs, outputs = groups * int(g.rng.integers(1, 9)), groups * int(g.rng.integers(1, 20))
    kernel, stride, dilation = (tuple(int(v) for v in g.rng.integers(1, 4, n)) for _ in range(3))
    padding = tuple(int(v) for v in g.rng.integers(0, 3, 2 * n))
    sizes = [int(v) for v in g.rng.integers(7, 12, n)]
    bias = g.bias(x_kind, outputs)
    zps = {"x_zp": int(g.rng.integers(0, 4)), "w_zp": int(g.rng.integers(-1, 2))} if x_kind.is_integer else {}
    x = g.input(x_kind, "b", inputs, *sizes)
    w = g.const(w_kind, outputs, inputs // groups, *kernel)
    g.check(Conv(x, w, bias, stride=stride, padding=padding, dilation=dilation, groups=groups, **zps))


@pytest.mark.parametrize("kinds", [k for k in KINDS if k[1] != "u8"], ids="-".join)
@pytest.mark.parametrize("seed", sweep(3, 6))
def test_depthwise(kinds: tuple[str, str], seed: int):
    g = Graphs(seed)
    x_kind, w_kind = map(scalar, kinds)
    n = 1 + seed % 3
    channels = int(g.rng.integers(2, 50))
    kernel, stride, dilation = (tuple(int(v) for v in g.rng.integers(1, 4, n)) for _ in range(3))
    padding = tuple(int(v) for v in g.rng.integers(0, 3, 2 * n))
    sizes = [int(v) for v in g.rng.integers(7, 12, n)]
    zps = {"x_zp": int(g.rng.integers(0, 4)), "w_zp": int(g.rng.integers(-1, 2))} if x_kind.is_integer else {}
    x = g.input(x_kind, "b", channels, *sizes)
    w = g.const(w_kind, channels, 1, *kernel)
    bias = g.bias(x_kind, channels)
    g.check(Conv(x, w, bias, stride=stride, padding=padding, dilation=dilation, groups=channels, **zps))


@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
def test_a_computed_bias(kinds: tuple[str, str]):
    """Of constant weights, of computed ones, and of kernels of one channel."""
    x_kind, w_kind = map(scalar, kinds)
    kind = scalar("i32") if x_kind.is_integer else x_kind
    for computed in (False, True):
        g = Graphs(1)
        w = g.input(w_kind, 37, 11) if computed else g.const(w_kind, 37, 11)
        g.check(Linear(g.input(x_kind, 3, 11), w, g.input(kind, 37)))
    g = Graphs(2)
    x, bias = g.input(x_kind, 1, 5, 6, 7), g.input(kind, 5)
    window = {"stride": (1, 1), "padding": (1, 1, 1, 1), "dilation": (1, 1)}
    g.check(Conv(x, g.const(w_kind, 5, 1, 3, 3), bias, **window, groups=5))


@pytest.mark.parametrize("kinds", KINDS, ids="-".join)
def test_a_constant_bias_of_computed_weights(kinds: tuple[str, str]):
    x_kind, w_kind = map(scalar, kinds)
    g = Graphs(3)
    x, w = g.input(x_kind, 3, 11), g.input(w_kind, 37, 11)
    g.check(Linear(x, w, g.const(scalar("i32") if x_kind.is_integer else x_kind, 37)))


def test_a_border_value_that_is_no_code_of_the_image():
    """Codes are known to be 1, but the type that holds them must also hold the -1 of the border."""
    g = Graphs(5)
    x = g.b(Clamp(g.input(scalar("i2"), 1, 3, 5, 7), lo=1.0, hi=1.0))
    w = g.const(scalar("u4"), 2, 3, 1, 3)
    g.check(Conv(x, w, stride=(1, 1), padding=(0, 1, 0, 2), dilation=(2, 1), x_zp=-1))


def test_an_expanded_image_has_no_border():
    g = Graphs(6)
    x = g.b(Clamp(g.input(scalar("u5"), 1, 7, 1, 8), lo=0.0, hi=30.0))
    x = g.b(Expand(x, shape=(1, 7, 3, 8)))
    w = g.const(scalar("u7"), 28, 1, 1, 3)
    g.check(Conv(x, w, stride=(1, 1), padding=(0, 1, 0, 1), dilation=(1, 1), groups=7, x_zp=9))


def test_sums_in_narrow_lanes_as_long_as_they_hold():
    """Codes of 8 bits times weights of 4, 6, 7 and 8 bits, where the dot product has sums of 16 bits."""
    forms = [
        integer_form(ISAS["x86-64-v3"], (0, 255), (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)) for bits in (4, 6, 7, 8)
    ]
    assert [form.name for form in forms] == ["vpmaddubsw"] * 3 + ["vpmaddwd"]
    assert [form.steps for form in forms[:2]] == [8, 2]
    assert forms[2].flush is None, "one group at a time is added straight to the accumulator"
