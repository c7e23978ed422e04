"""Single kernels of the CPU backend: nanoseconds a call and per element, of the machine's best instruction set.

    python -m benchmarks.kernels                # all rows
    python -m benchmarks.kernels softmax pool   # those whose name contains a word

A row is a graph of one op on random data. The median of many calls, each through the public function of the library,
with the fastest tenth beside it: far apart, they say that something else ran on the machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from irc.backends.cpu_simd.compiler import compile_graph
from irc.backends.cpu_simd.isa import host
from irc.backends.cpu_simd.runtime import session
from irc.ir.builder import Builder
from irc.ir.graph import Graph, Module, Value
from irc.ir.op import Op
from irc.ir.ops.pool import AvgPool, MaxPool, SumPool
from irc.ir.ops.quant import IntNorm, IntSoftmax, Lut, Requantize, exp_table
from irc.ir.ops.structure import Return
from irc.ir.ops.tensor import Permute
from irc.ir.scalars import F32, I8, I16, I32, U8, Array, ScalarType
from irc.ir.types import Element, tensor

SECONDS = 0.2
"""How long a row is measured."""

Make = Callable[[Value, Builder], Op]
RNG = np.random.default_rng(0)


def codes(kind: ScalarType, shape: tuple[int, ...], low: int | None = None, high: int | None = None) -> Array:
    """Random elements of a type."""
    if kind.is_float:
        return RNG.standard_normal(shape).astype(kind.dtype)
    bounds = (kind.min if low is None else low, kind.max if high is None else high)
    return RNG.integers(*bounds, shape, np.int64, endpoint=True).astype(kind.dtype)


def lut(x: Value, b: Builder) -> Op:
    return Lut(x, b.const(codes(I8, (256,)), I8), to=Element(I8))


def requantize_fixed(x: Value, b: Builder) -> Op:
    return Requantize(x, b.const(1_518_500_250, I32), shift=40, zp=3, to=Element(I8))


def requantize_fixed_near_one(x: Value, b: Builder) -> Op:
    return Requantize(x, b.const(1_518_500_250, I32), shift=31, zp=3, to=Element(I8))


def requantize_float(x: Value, b: Builder) -> Op:
    return Requantize(x, b.const(np.float32(0.0013), F32), mode="float", zp=3, to=Element(I8))


def int_softmax(x: Value, b: Builder) -> Op:
    return IntSoftmax(x, b.const(exp_table(0.05, 256).array, I32), to=Element(U8))


def int_norm(x: Value, b: Builder) -> Op:
    (channels,) = x.type.shape[-1:]
    assert isinstance(channels, int)
    g, offsets = codes(I32, (channels,), -2000, 2000), codes(I32, (channels,), -(2**20), 2**20)
    return IntNorm(x, b.const(g, I32), b.const(offsets, I32), eps=100, shift=14, to=Element(I8))


WINDOW: dict[str, Any] = {"kernel": (3, 3), "stride": (2, 2), "padding": (1, 1, 1, 1)}


def channels_last(pool: Make) -> Make:
    """A pool of an image whose channels lie last, before and after."""
    return lambda x, b: Permute(b(pool(b(Permute(x, (0, 3, 1, 2))), b)), (0, 2, 3, 1))


@channels_last
def max_pool(x: Value, b: Builder) -> Op:
    return MaxPool(x, **WINDOW, dilation=(1, 1))


@channels_last
def sum_pool(x: Value, b: Builder) -> Op:
    return SumPool(x, **WINDOW)


@channels_last
def avg_pool(x: Value, b: Builder) -> Op:
    return AvgPool(x, **WINDOW)


IMAGE = (1, 112, 112, 64)
ROWS: list[tuple[str, Make, ScalarType, tuple[int, ...]]] = [
    ("lut", lut, I8, (302592,)),
    ("requantize fixed, shift 40", requantize_fixed, I32, (302592,)),
    ("requantize fixed, shift 31", requantize_fixed_near_one, I32, (302592,)),
    ("requantize float", requantize_float, I32, (302592,)),
    ("int_softmax i8", int_softmax, I8, (591, 197)),
    ("int_softmax i16", int_softmax, I16, (591, 197)),
    ("int_norm i8", int_norm, I8, (197, 384)),
    ("int_norm i16", int_norm, I16, (197, 384)),
    ("max_pool 3x3 i8", max_pool, I8, IMAGE),
    ("max_pool 3x3 f32", max_pool, F32, IMAGE),
    ("sum_pool 3x3 i8", sum_pool, I8, IMAGE),
    ("avg_pool 3x3 f32", avg_pool, F32, IMAGE),
]


def module_of(make: Make, kind: ScalarType, shape: tuple[int, ...]) -> Module:
    """A module of one op."""
    graph = Graph(name="main")
    b = Builder.at_end(graph)
    x = graph.add_input(tensor(kind, shape), "x")
    b.add(Return((b(make(x, b)),)))
    return Module([graph])


def measure(make: Make, kind: ScalarType, shape: tuple[int, ...]) -> tuple[Array, int]:
    """Seconds of single calls, and how many elements one writes."""
    module = module_of(make, kind, shape)
    isa = host()
    with session(module.main, compile_graph(module.main, isa).program, isa) as run:
        call, outputs = run.prepared([codes(kind, shape)])
        times: list[float] = []
        begin = time.perf_counter()
        while len(times) < 20 or time.perf_counter() - begin < SECONDS:
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
    return np.array(times), outputs[0].size


@click.command()
@click.argument("words", nargs=-1)
def main(words: tuple[str, ...]) -> None:
    """Measure and print."""
    table = Table("kernel", "input", "us", "fastest us", "ns / element", "elements / ns")
    for name, make, kind, shape in ROWS:
        if words and not any(word in name for word in words):
            continue
        times, elements = measure(make, kind, shape)
        median, fast = (float(np.quantile(times, q)) * 1e6 for q in (0.5, 0.1))
        each = fast * 1e3 / elements
        sizes = f"{kind}[{', '.join(map(str, shape))}]"
        table.add_row(name, sizes, f"{median:.1f}", f"{fast:.1f}", f"{each:.3f}", f"{1 / each:.2f}")
    Console(width=140).print(f"{host().name}, one thread", table)


if __name__ == "__main__":
    main()
