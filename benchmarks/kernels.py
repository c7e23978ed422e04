"""Single kernels of the CPU backend: nanoseconds a call and per element, of the machine's best instruction set.

    python -m benchmarks.kernels                # all rows
    python -m benchmarks.kernels softmax pool   # those whose name contains a word
    python -m benchmarks.kernels --vs gelu      # beside torch and onnxruntime, where they have the op

A row is a graph of one op on random data. The median of many calls, each through the public function of the library,
with the fastest tenth beside it: far apart, they say that something else ran on the machine. Calls of all contenders
alternate in one process, each on one thread, so that a disturbance meets all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module
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
from irc.ir.ops.attention import Sdpa
from irc.ir.ops.math import Exp, Gelu, Silu, Tanh
from irc.ir.ops.norm import LayerNorm, Softmax
from irc.ir.ops.pool import AvgPool, MaxPool, SumPool
from irc.ir.ops.quant import IntNorm, IntSoftmax, Lut, Requantize, exp_table
from irc.ir.ops.structure import Const, Return
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


def layer_norm(x: Value, b: Builder) -> Op:
    (channels,) = x.type.shape[-1:]
    assert isinstance(channels, int)
    g, offsets = np.ones(channels, np.float32), np.zeros(channels, np.float32)
    return LayerNorm(x, b.const(g, F32), b.const(offsets, F32))


def sdpa(x: Value, b: Builder) -> Op:
    return Sdpa(x, x, x, scale=0.125)


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
    ("softmax f32", lambda x, b: Softmax(x), F32, (591, 197)),
    ("layer_norm f32", layer_norm, F32, (197, 192)),
    ("layer_norm f32", layer_norm, F32, (197, 384)),
    ("layer_norm f32", layer_norm, F32, (197, 768)),
    ("gelu f32", lambda x, b: Gelu(x), F32, (302592,)),
    ("exp f32", lambda x, b: Exp(x), F32, (302592,)),
    ("tanh f32", lambda x, b: Tanh(x), F32, (302592,)),
    ("silu f32", lambda x, b: Silu(x), F32, (302592,)),
    ("sdpa f32", sdpa, F32, (1, 6, 197, 64)),
]


def module_of(make: Make, kind: ScalarType, shape: tuple[int, ...]) -> Module:
    """A module of one op."""
    graph = Graph(name="main")
    b = Builder.at_end(graph)
    x = graph.add_input(tensor(kind, shape), "x")
    b.add(Return((b(make(x, b)),)))
    return Module([graph])


def measure(make: Make, kind: ScalarType, shape: tuple[int, ...], op: str, vs: bool) -> tuple[dict[str, Array], int]:
    """Seconds of single calls by contender, and how many elements one writes."""
    module = module_of(make, kind, shape)
    isa, x = host(), codes(kind, shape)
    with session(module.main, compile_graph(module.main, isa).program, isa) as run:
        call, outputs = run.prepared([x])
        contenders: dict[str, Callable[[], object]] = {"irc": call}
        if vs:
            constants = [op.value.array for op in module.main.walk() if isinstance(op, Const)]
            contenders |= import_module("benchmarks.kernel_peers").peers(op, [x, *constants])
        times: dict[str, list[float]] = {name: [] for name in contenders}
        begin = time.perf_counter()
        while len(times["irc"]) < 20 or time.perf_counter() - begin < SECONDS * len(contenders):
            for name, contender in contenders.items():
                start = time.perf_counter()
                contender()
                times[name].append(time.perf_counter() - start)
    return {name: np.array(found) for name, found in times.items()}, outputs[0].size


def ratio(times: dict[str, Array], peer: str) -> str:
    """How many times as long a peer takes, by medians and by the fastest tenths."""
    if peer not in times:
        return ""
    by = [float(np.quantile(times[peer], q) / np.quantile(times["irc"], q)) for q in (0.5, 0.1)]
    return " / ".join(f"{r:.2f}" for r in by)


@click.command()
@click.argument("words", nargs=-1)
@click.option("--vs", is_flag=True, help="Measure torch and onnxruntime too.")
def main(words: tuple[str, ...], vs: bool) -> None:
    """Measure and print."""
    peers = ("torch", "onnxruntime") if vs else ()
    table = Table(
        "kernel", "input", "us", "fastest us", "ns / element", "elements / ns", *(f"{p} / irc" for p in peers)
    )
    for name, make, kind, shape in ROWS:
        if words and not any(word in name for word in words):
            continue
        times, elements = measure(make, kind, shape, name.split()[0], vs)
        median, fast = (float(np.quantile(times["irc"], q)) * 1e6 for q in (0.5, 0.1))
        each = fast * 1e3 / elements
        sizes = f"{kind}[{', '.join(map(str, shape))}]"
        ratios = [ratio(times, peer) for peer in peers]
        table.add_row(name, sizes, f"{median:.1f}", f"{fast:.1f}", f"{each:.3f}", f"{1 / each:.2f}", *ratios)
    Console(width=140).print(f"{host().name}, one thread", table)


if __name__ == "__main__":
    main()
