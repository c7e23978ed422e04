"""Float functions on lanes: their error against exact values, edge values, lengths, and that they call no library."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from cpu_running import results, tight, ulps

from irc.backends.cpu_simd.codegen.functions import LARGEST_ANGLE
from irc.backends.cpu_simd.codegen.llvm import object_code
from irc.backends.cpu_simd.compiler import compile_graph
from irc.backends.cpu_simd.elf import undefined
from irc.backends.cpu_simd.isa import ISAS, Isa, runs_here
from irc.backends.cpu_simd.library import module_text, object_of
from irc.backends.cpu_simd.tolerance import TOLERANCES
from irc.ir.graph import Module
from irc.ir.interpret import interpret
from irc.ir.parser import parse
from irc.ir.scalars import Array, round_to_bf16

Exact = Callable[[Array], Array]


def sigmoid(x: Array) -> Array:
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1, small) / (1 + small)


def gelu(x: Array) -> Array:
    return x * np.vectorize(lambda t: 0.5 * math.erfc(-t / math.sqrt(2)))(x)


EXACT: dict[str, tuple[Exact, float, float]] = {
    "cos": (np.cos, -1e5, 1e5),
    "elu": (lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), -20, 1),
    "erf": (np.vectorize(math.erf), -5, 5),
    "exp": (np.exp, -105, 90),
    "gelu": (gelu, -15, 6),
    "log": (np.log, 1e-3, 4),
    "sigmoid": (sigmoid, -105, 30),
    "silu": (lambda x: x * sigmoid(x), -86, 40),
    "sin": (np.sin, -1e5, 1e5),
    "softplus": (lambda x: np.where(x > 20, x, np.log1p(np.exp(np.minimum(x, 20)))), -105, 25),
    "tanh": (np.tanh, -10, 10),
}
"""Functions in f64, and where they are swept densely."""

EDGES = [
    *(0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 20.0, -20.0, 20.001, 88.7, -87.3, -88.0, -104.0, 1e-6, -1e-6),
    *(1e-30, -1e-30, 1e-40, -1e-40, 1e-45, -1e-45, 1e10, -1e10, 1e13, -1e13, math.inf, -math.inf, math.nan),
]

UNARY = [
    *EXACT,
    *("gelu {approximate = tanh}", "softplus {beta = 2.0, threshold = 50.0}", "elu {alpha = 0.5}"),
    *(f"pow {{exponent = {e}}}" for e in (0.0, 0.5, 1.0, 2.0, 3.0, -0.5, -1.0, -2.0, -3.0, 2.5, 0.3333, 7.0, 1e10)),
    *("pow {exponent = inf}", "pow {exponent = -inf}"),
    *("relu", "leaky_relu {slope = 0.1}", "hardsigmoid", "hardswish", "clamp {lo = -1.0, hi = 20.0}"),
    *("sqrt", "rsqrt", "floor", "round"),
]


def unary(text: str, count: int, scalar: str = "f32") -> Module:
    op, _, attributes = text.partition(" ")
    t = f"{scalar}[{count}]"
    return parse(f"func @main(%x: {t}) -> {t} {{\n  %y = {op} %x {attributes} : {t}\n  return %y\n}}\n")


def apply(text: str, x: Array, scalar: str = "f32") -> Array:
    (y,) = results(unary(text, len(x), scalar), [x])
    return y


@pytest.mark.parametrize("op", EXACT)
def test_error_over_dense_sweeps(op: str) -> None:
    exact, low, high = EXACT[op]
    every = np.arange(0, 2**32, 40009, np.uint64).astype(np.uint32).view(np.float32)
    bounded = every[np.isfinite(every) & (np.abs(every) <= 1e5) & ((every > 0) if op == "log" else True)]
    for x in (np.linspace(low, high, 200_003, dtype=np.float32), bounded):
        with np.errstate(all="ignore"):
            expected = exact(x.astype(np.float64))
        given = apply(op, x)
        kept = np.isfinite(expected) & (np.abs(expected) < np.finfo(np.float32).max)
        if op == "silu":  # as in NumPy, a denormal sigmoid has few bits
            kept &= x > -87
        unit = np.spacing(np.maximum(np.abs(expected[kept]), np.finfo(np.float32).tiny).astype(np.float32))
        assert np.max(np.abs(given[kept] - expected[kept]) / unit) <= TOLERANCES[op].error


def all_of(count: int, scalar: str) -> Module:
    """One function that gives the results of all of UNARY."""
    t, lines = f"{scalar}[{count}]", [text.partition(" ") for text in UNARY]
    body = "".join(f"  %y{i} = {op} %x {attributes} : {t}\n" for i, (op, _, attributes) in enumerate(lines))
    results_ = ", ".join(f"%y{i}" for i in range(len(lines)))
    return parse(f"func @main(%x: {t}) -> ({', '.join([t] * len(lines))}) {{\n{body}  return {results_}\n}}\n")


def compare_all(x: Array, scalar: str, isa: Isa | None = None) -> Iterator[tuple[str, Array, Array]]:
    """Each op of UNARY with what it gives here and in the interpreter; asserts that they are close."""
    module = all_of(len(x), scalar)
    with np.errstate(all="ignore"):
        given, expected = results(module, [x], isa), interpret(module, [x])
    for text, here, there in zip(UNARY, given, expected, strict=True):
        allowed = tight(unary(text, 1, scalar))
        assert ulps(here, there, allowed["floor"]) <= allowed["most"], text
        yield text, here, there


@pytest.mark.parametrize("scalar", ["f32", "f64", "f16", "bf16"])
def test_edge_values(scalar: str) -> None:
    check_edge_values(scalar)


@pytest.mark.parametrize("scalar", ["f32", "f64"])
def test_edge_values_without_fused_sums(scalar: str) -> None:
    if not runs_here(ISAS["x86-64"]):
        pytest.skip("this machine is no x86")
    check_edge_values(scalar, ISAS["x86-64"])


def check_edge_values(scalar: str, isa: Isa | None = None) -> None:
    """NaN, infinities and denormals are those of the interpreter, numbers close to it; most signs of zero too."""
    with np.errstate(over="ignore"):
        x = np.array(EDGES).astype({"f64": np.float64, "f16": np.float16}.get(scalar, np.float32))
    x = round_to_bf16(x) if scalar == "bf16" else x
    for text, given, expected in compare_all(x, scalar, isa):
        if text not in ("sin", "elu", "elu {alpha = 0.5}", "relu"):
            signed = ~np.isnan(expected)
            np.testing.assert_array_equal(np.signbit(given[signed]), np.signbit(expected[signed]), text)


@pytest.mark.parametrize("scalar", ["f32", "f64"])
def test_random_values(scalar: str) -> None:
    rng = np.random.default_rng(3)
    x = np.concatenate([rng.standard_normal(300), rng.uniform(-80, 80, 300), np.exp(rng.uniform(-20, 20, 300))])
    assert list(compare_all(x.astype(np.float32 if scalar == "f32" else np.float64), scalar))


def test_angles_beyond_the_reduction_are_no_numbers() -> None:
    x = np.array([LARGEST_ANGLE, -LARGEST_ANGLE, 2 * LARGEST_ANGLE, -1e38], np.float32)
    for op, exact in (("sin", np.sin), ("cos", np.cos)):
        y = apply(op, x)
        assert np.isnan(y[2:]).all()
        assert ulps(y[:2], exact(x[:2].astype(np.float64)).astype(np.float32)) <= 2


def test_gelu_keeps_its_bits_in_the_tail() -> None:
    """Where the interpreter has lost them: its erf is 1 - 1e-11 at best."""
    x = np.linspace(-13, -5, 50_001, dtype=np.float32)
    assert ulps(apply("gelu", x), gelu(x.astype(np.float64)).astype(np.float32)) <= TOLERANCES["gelu"].error + 0.5


@pytest.mark.parametrize("count", [*range(1, 41)])
def test_odd_lengths(count: int) -> None:
    x = np.linspace(-4, 4, count, dtype=np.float32)
    assert ulps(apply("gelu", x), interpret(unary("gelu", count), [x])[0], 1e-3) <= TOLERANCES["gelu"].single


@pytest.mark.parametrize("target", ["x86-64-v3", "avx512-vnni", "aarch64"])
def test_no_library_is_called(target: str) -> None:
    """Where the machine has the instructions, nothing is undefined: not even what support functions would define."""
    isa = ISAS[target]
    for scalar in ("f32", "f64"):
        main = all_of(21, scalar).main
        text = module_text(compile_graph(main, isa).program, main, isa)
        assert undefined(object_code(text, isa.triple, isa.cpu, isa.features)) == []


@pytest.mark.parametrize("target", ["x86-64", "riscv64"])
def test_support_functions_serve_lesser_machines(target: str) -> None:
    isa = ISAS[target]
    main = all_of(21, "f32").main
    assert undefined(object_of(compile_graph(main, isa).program, main, isa)[0]) == []
