"""3x3 convolutions of codes by minimal filtering: the same bits as the direct sum, where all numbers fit."""

from __future__ import annotations

import numpy as np
import pytest
from cpu_running import results
from emulation import emulated
from hypothesis import given, settings
from hypothesis import strategies as st

from irc.backends.cpu_simd.compiler import compile_graph
from irc.backends.cpu_simd.inspect import spills
from irc.backends.cpu_simd.isa import ISAS, Isa, host, runs_here
from irc.backends.cpu_simd.library import assembly_of
from irc.backends.cpu_simd.runtime import session
from irc.backends.cpu_simd.schedule.record import Record, Winograd
from irc.ir.builder import Builder
from irc.ir.graph import Graph, Module
from irc.ir.interpret import interpret
from irc.ir.ops.linear import Conv
from irc.ir.ops.quant import Requantize
from irc.ir.ops.structure import Return
from irc.ir.scalars import F32, I8, I16, I32, U8, Array, ScalarType
from irc.ir.types import Element, tensor
from irc.passes.base import PassContext
from irc.passes.fuse import Fuse

AVX2 = ISAS["x86-64-v3"]
PLAIN = ["x86-64", "x86-64-v3", "avx512"]
"""Instruction sets without an 8-bit dot product."""


def conv(
    channels: int, outputs: int, height: int, width: int, *, kind: ScalarType = U8, bits: int = 8, batch: int = 1
) -> Module:
    """A convolution of codes with zero point 7 by weights of so many bits, with a requantize behind it."""
    rng = np.random.default_rng(channels + outputs + height + width)
    graph = Graph([tensor(kind, (batch, channels, height, width))], names=["x"], name="main")
    b = Builder.at_end(graph)
    high = 2 ** (bits - 1)
    w = b.const(rng.integers(-high, high, (outputs, channels, 3, 3)), I8 if bits <= 8 else I16)
    bias = b.const(rng.integers(-1000, 1000, outputs), I32)
    sums = b(Conv(graph.inputs[0], w, bias, stride=(1, 1), padding=(1, 1, 1, 1), dilation=(1, 1), x_zp=7))
    scale = b.const(rng.random(outputs).astype(np.float32) / (channels * high), F32)
    b.add(Return((b(Requantize(sums, scale, mode="float", axis=1, zp=-3, to=Element(I8))),)))
    module = Module([graph])
    Fuse().run(module, PassContext())
    return module


def codes(module: Module) -> list[Array]:
    """The lowest, the highest, and random codes."""
    (x,) = module.main.inputs
    kind, shape = x.type.scalar, x.type.static_shape
    found = np.random.default_rng(3).integers(kind.min, kind.max + 1, shape).astype(kind.dtype)
    found.flat[::3], found.flat[1::5] = kind.min, kind.max
    return [found]


def filtered(module: Module, isa: Isa, block: int = 3) -> dict[str, Record]:
    """Schedules that take minimal filtering wherever it can be."""
    found = compile_graph(module.main, isa).scheduled.values()
    problems = [s.problem for s in found if s.problem.images is not None]
    assert problems
    return {p.key: Winograd(2, min(block, p.images.tiles(2) if p.images else 1), 3, 2, 2) for p in problems}


@pytest.mark.skipif(not runs_here(AVX2), reason="needs AVX2")
@settings(max_examples=10)
@given(
    channels=st.integers(1, 40),
    outputs=st.integers(1, 40),
    size=st.tuples(st.integers(2, 11), st.integers(2, 11)),
    kind=st.sampled_from([I8, U8]),
    bits=st.sampled_from([2, 4, 7, 8]),
    batch=st.integers(1, 3),
)
def test_every_bit_is_that_of_the_direct_sum(
    channels: int, outputs: int, size: tuple[int, int], kind: ScalarType, bits: int, batch: int
):
    module = conv(channels, outputs, *size, kind=kind, bits=bits, batch=batch)
    inputs = codes(module)
    program = compile_graph(module.main, AVX2, schedules=filtered(module, AVX2)).program
    assert "winograd_2x2" in program.launches[-1].kernel
    with session(module.main, program, AVX2) as run:
        np.testing.assert_array_equal(run(inputs)[0], interpret(module, inputs)[0])


@pytest.mark.parametrize("name", PLAIN)
def test_the_rule_takes_it_where_it_is_faster(name: str):
    isa = ISAS[name]
    module = conv(64, 64, 28, 28)
    launch = compile_graph(module.main, isa).program.launches[-1]
    assert launch.kernel.startswith("winograd_2x2_64_64")
    found = spills(assembly_of(compile_graph(module.main, isa).program, module.main, isa), isa.arch)
    assert len(found) <= (2 if name == "x86-64" else 0)  # of the results of a tile, where 16 registers are few
    (found,), _ = emulated(module, codes(module), isa)
    np.testing.assert_array_equal(found, interpret(module, codes(module))[0])


def test_the_bits_do_not_depend_on_threads():
    module = conv(128, 128, 28, 28)
    program = compile_graph(module.main, host()).program
    (expected,) = interpret(module, codes(module))
    for threads in (1, 2, 3):
        with session(module.main, program, host(), threads=threads) as run:
            np.testing.assert_array_equal(run(codes(module))[0], expected)


def images_of(module: Module, isa: Isa = AVX2) -> bool:
    (found,) = compile_graph(module.main, isa).scheduled.values()
    return found.problem.images is not None


def test_numbers_that_do_not_fit_are_summed_directly():
    """Transformed codes have 16 bits, and four times a sum 32."""
    assert images_of(conv(16, 16, 8, 8, kind=U8))
    assert not images_of(conv(16, 16, 8, 8, kind=U8, bits=13))  # 9 * 2^12 has more than 16 bits
    assert not images_of(conv(16, 16, 8, 8, kind=I16))
    assert images_of(conv(1800, 4, 8, 8))
    assert not images_of(conv(1900, 4, 8, 8))


@pytest.mark.parametrize("name", ["avx-vnni", "avx512-vnni", "aarch64+dotprod", "riscv64"])
def test_machines_with_better_products_of_bytes_sum_directly(name: str):
    assert not images_of(conv(64, 64, 28, 28), ISAS[name])


def test_small_codes_are_summed_directly_where_weights_are_read_for_few_tiles():
    module = conv(512, 512, 7, 7, bits=4)
    assert compile_graph(module.main, AVX2).program.launches[-1].kernel.startswith("conv")
    assert (results(module, codes(module))[0] == interpret(module, codes(module))[0]).all()
