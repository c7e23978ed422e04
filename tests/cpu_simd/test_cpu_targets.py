"""Every target: instructions in its code, no spills in inner loops, and its code run: here, with instructions
replaced, or by qemu. test_cpu_machines.py runs more of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from c_programs import artifact, inputs_of, integer_layers, output_of, raw
from cpu_running import results
from emulation import emulated
from machines import QEMU_CPU, gcc, need, qemu

from irc.backends.cpu_simd import isa as isa_module
from irc.backends.cpu_simd.backend import CPU
from irc.backends.cpu_simd.codegen import llvm
from irc.backends.cpu_simd.compiler import compile_graph
from irc.backends.cpu_simd.inspect import functions, loops, spills
from irc.backends.cpu_simd.isa import EVERYWHERE, ISAS, Isa, host, known_host, runs_here
from irc.backends.cpu_simd.library import assembly_of
from irc.backends.cpu_simd.probe import AARCH64, X86
from irc.ir.builder import Builder
from irc.ir.diagnostics import UsageError
from irc.ir.graph import Graph, Module
from irc.ir.interpret import interpret
from irc.ir.ops.linear import Conv, Linear
from irc.ir.ops.quant import Requantize
from irc.ir.ops.structure import Return
from irc.ir.scalars import F32, I8, I16, U8, Array, ScalarType
from irc.ir.types import Element, tensor

INT8 = {
    "x86-64": r"pmaddwd %xmm|pmaddwd [^%]*\(.*%xmm",
    "x86-64-v3": r"vpmaddwd .*%ymm",
    "avx-vnni": r"{vex} vpdpbusd .*%ymm",
    "avx512": r"vpmaddwd .*%zmm",
    "avx512-vnni": r"vpdpbusd .*%zmm",
    "aarch64": r"smull v\d+\.8h",
    "aarch64+dotprod": r"sdot v\d+\.4s, v\d+\.16b",
    "aarch64+i8mm": r"usmmla v\d+\.4s, v\d+\.16b",
    "riscv64": r"mulw? ",
}
FLOAT = {
    "x86-64": r"mulps .*%xmm",
    "x86-64-v3": r"vfmadd\d+ps .*%ymm",
    "avx-vnni": r"vfmadd\d+ps .*%ymm",
    "avx512": r"vfmadd\d+ps .*%zmm",
    "avx512-vnni": r"vfmadd\d+ps .*%zmm",
    "aarch64": r"fmla v\d+\.4s",
    "aarch64+dotprod": r"fmla v\d+\.4s",
    "aarch64+i8mm": r"fmla v\d+\.4s",
    "riscv64": r"fmadd\.s ",
}


def linear(x: ScalarType, w: ScalarType, rows: int = 197, columns: int = 384, depth: int = 384) -> Module:
    """x[rows, depth] -> linear."""
    graph = Graph([tensor(x, (rows, depth))], names=["x"], name="main")
    b = Builder.at_end(graph)
    rng = np.random.default_rng(0)
    shape = (columns, depth)
    codes = rng.normal(size=shape) if w.is_float else rng.integers(w.min, w.max, shape, endpoint=True)
    b.add(Return((b(Linear(graph.inputs[0], b.const(codes.astype(w.dtype), w), None)),)))
    return Module([graph])


def windows(bits: int) -> Module:
    """x[1, 70, 9, 8] -> depthwise 3x3 -> u8 -> depthwise 5x4 of stride 2 -> i8, with weights of so many bits."""
    graph = Graph([tensor(U8, (1, 70, 9, 8))], names=["x"], name="main")
    b, y = Builder.at_end(graph), graph.inputs[0]
    rng, w = np.random.default_rng(0), ScalarType("i", bits)
    for kernel, step, border, to in (((3, 3), 1, 1, U8), ((5, 4), 2, 2, I8)):
        codes = rng.integers(w.min, w.max, (70, 1, *kernel), endpoint=True)
        weights = b.const(codes.astype(w.dtype), w)
        y = b(Conv(y, weights, stride=(step, step), padding=(border,) * 4, dilation=(1, 1), groups=70, x_zp=7))
        m = b.const((2.0 ** (-bits) * rng.uniform(0.5, 2, 70)).astype(np.float32))
        y = b(Requantize(y, m, mode="float", zp=7, axis=1, to=Element(to)))
    b.add(Return((y,)))
    return Module([graph])


def assembly(module: Module, isa: Isa) -> str:
    return assembly_of(compile_graph(module.main, isa).program, module.main, isa)


def test_every_target_is_looked_at():
    assert set(INT8) == set(FLOAT) == set(ISAS) == set(CPU.targets)


@pytest.mark.parametrize("isa", ISAS.values(), ids=lambda isa: isa.name)
@pytest.mark.parametrize("kind", ["int8", "float"])
def test_inner_loops_use_the_dot_product_of_the_target_without_spills(isa: Isa, kind: str):
    x, w, expected = (U8, I8, INT8) if kind == "int8" else (F32, F32, FLOAT)
    text = assembly(linear(x, w), isa)
    inner = [line for loop in loops(text) if loop.innermost and "linear" in loop.function for line in loop.lines]
    assert [line for line in inner if re.match(expected[isa.name], line)]
    assert spills(text, isa.arch) == []
    assert "fmaf" not in text


@pytest.mark.parametrize(
    ("target", "x", "w"),
    [("aarch64", F32, F32), ("aarch64+dotprod", U8, I8), ("aarch64", I16, I16)],
)
def test_products_take_a_lane_where_machines_can(target: str, x: ScalarType, w: ScalarType):
    """A load brings four groups of a row: nothing is copied to all lanes."""
    text = assembly(linear(x, w), ISAS[target])
    inner = max((loop.lines for loop in loops(text) if loop.innermost and "linear" in loop.function), key=len)
    products = [line for line in inner if re.match("(sdot|sudot|fmla|mla)", line)]
    assert len(products) == 4 * 5 * 4
    assert all(re.search(r"\[\d\]$", line) for line in products)
    assert not [line for line in inner if line.startswith(("ld1r", "dup"))]


@pytest.mark.parametrize(("rows", "asks"), [(197, True), (1, False)])
def test_rows_ask_for_the_next_panel_of_weights(rows: int, asks: bool):
    """One row has no time between the panels."""
    text = assembly(linear(F32, F32, rows), ISAS["x86-64-v3"])
    assert any(loop.uses("prefetcht1") for loop in loops(text) if loop.innermost) is asks


@pytest.mark.parametrize(("rows", "asks"), [(197, True), (19, False)])
def test_large_results_are_asked_for_before_the_sums(rows: int, asks: bool):
    """197 rows of 384 floats are more than a cache surely holds, 19 are not."""
    text = assembly(linear(F32, F32, rows), ISAS["x86-64-v3"])
    assert any(line.startswith("prefetcht0") for lines in functions(text).values() for line in lines) is asks


def test_spills_are_found():
    """A tile with more sums than registers."""
    target = ISAS["x86-64-v3"]
    greedy = Isa(target.name, "", target.triple, target.features, 32, 40, target.dot)
    found = spills(assembly(linear(F32, F32), greedy), "x86_64")
    assert found
    assert all(re.match(r"linear\w+: v\w+ .*\(%rsp\)", line) for line in found)


def test_loops_of_a_function():
    text = """
\t.type\tf,@function
f:                                      # @f
\txorl\t%eax, %eax
.LBB0_1:                                # =>This Loop Header
\tmovl\t$1, %ecx
.LBB0_2:
\tvmovups\t%ymm0, 32(%rsp)              # 32-byte Spill
\tdecl\t%ecx
\tjne\t.LBB0_2
\tdecl\t%eax
\tjne\t.LBB0_1
\tretq
\t.type\tg,@function
g:
\tretq
"""
    assert list(functions(text)) == ["f", "g"]
    inner, outer = sorted(loops(text), key=lambda loop: len(loop.lines))
    assert (inner.label, inner.innermost, inner.uses("vmovups")) == (".LBB0_2", True, 1)
    assert (outer.label, outer.innermost, len(outer.lines)) == (".LBB0_1", False, 6)
    assert spills(text, "x86_64") == ["f: vmovups %ymm0, 32(%rsp)"]


@pytest.mark.parametrize("name", [n for n, isa in ISAS.items() if isa.is_x86])
@pytest.mark.parametrize("bits", [4, 8])
def test_code_of_other_machines_gives_the_bits_of_the_interpreter(name: str, bits: int):
    module = integer_layers() if bits == 8 else linear(ScalarType("u", 8), ScalarType("i", 4), 13, 70, 37)
    check_emulated(module, inputs_of(module) if bits == 8 else [codes(13, 37)], name)


@pytest.mark.parametrize("name", [n for n, isa in ISAS.items() if isa.is_x86])
@pytest.mark.parametrize("bits", [4, 7, 8])
def test_rows_that_are_multiplied_together_give_the_bits_of_the_interpreter(name: str, bits: int):
    check_emulated(windows(bits), [codes(1, 70, 9, 8)], name)


def codes(*shape: int) -> Array:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def check_emulated(module: Module, inputs: Sequence[Array], name: str) -> None:
    given, replaced = emulated(module, inputs, ISAS[name])
    for a, b in zip(given, interpret(module, inputs), strict=True):
        np.testing.assert_array_equal(a, b)
    assert replaced


@pytest.mark.parametrize("isa", [isa for isa in ISAS.values() if runs_here(isa)], ids=lambda isa: isa.name)
def test_targets_of_this_machine_run(isa: Isa):
    module = integer_layers()
    for a, b in zip(results(module, inputs_of(module), isa), interpret(module, inputs_of(module)), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("isa", [i for i in ISAS.values() if not i.is_x86], ids=lambda isa: isa.name)
def test_the_example_runs_under_qemu(isa: Isa, tmp_path: Path):
    need(isa)
    module = integer_layers()
    lib = artifact(module, tmp_path, "so=no", isa.name).path / "lib"
    output_of([gcc(isa), "-static", "example.c", "model.a", "-o", "example"], lib)
    inputs = inputs_of(module)
    given = output_of([qemu(isa), "-cpu", QEMU_CPU[isa.arch], "./example", "5"], lib, raw(inputs))
    assert given == raw(interpret(module, inputs))


def test_a_cpu_without_the_instructions_is_told(tmp_path: Path):
    isa = ISAS["aarch64+i8mm"]
    need(isa)
    lib = artifact(integer_layers(), tmp_path, "so=no", isa.name).path / "lib"
    output_of([gcc(isa), "-static", "example.c", "model.a", "-o", "example"], lib)
    with pytest.raises(AssertionError, match="this CPU lacks instructions that the library was compiled for"):
        output_of([qemu(isa), "-cpu", "cortex-a57", "./example"], lib, bytes(4 * 33))


def test_every_feature_can_be_asked_for():
    known = {"x86_64": set(X86), "aarch64": {*AARCH64, "neon"}, "riscv64": set("mafdc")}
    assert [i.name for i in ISAS.values() if not i.needs <= known[i.arch]] == []


def test_an_unknown_machine(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(isa_module, "host_triple", lambda: "sparc64-sun-solaris")
    assert known_host() is None
    with pytest.raises(UsageError, match="irc has no instruction set for this machine") as error:
        host()
    assert "target= is one of x86-64, x86-64-v3" in str(error.value)


def test_an_old_machine_gets_the_oldest_target(monkeypatch: pytest.MonkeyPatch):
    for arch, name in zip(("x86_64", "aarch64", "riscv64"), EVERYWHERE, strict=True):
        monkeypatch.setattr(isa_module, "host_triple", lambda arch=arch: f"{arch}-unknown-linux-gnu")
        monkeypatch.setattr(isa_module, "host_features", frozenset)
        assert host().name == name


def test_features_that_llvm_cannot_tell(monkeypatch: pytest.MonkeyPatch):
    def fail() -> None:
        raise RuntimeError("no host features")

    monkeypatch.setattr(llvm.llvm, "get_host_cpu_features", fail)
    assert llvm.host_features() == frozenset()


def test_host_is_the_default_and_has_a_name():
    assert CPU.find_target("host") is CPU.find_target("") is host()
