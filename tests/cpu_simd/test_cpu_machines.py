"""The code of targets on machines that have their instructions, emulated ones: what the graphs of other tests give."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import machines
import numpy as np
import pytest
import test_cpu_attention
import test_cpu_codes
import test_cpu_functions
import test_cpu_integer_rows
import test_cpu_movement
import test_cpu_pool
import test_cpu_products
import test_cpu_quant
import test_cpu_random_graphs
import test_cpu_rows
import test_cpu_scaled
import test_cpu_tokens
import test_cpu_winograd
from c_programs import inputs_of, integer_layers
from cpu_graphs import Graphs
from cpu_running import all_results, results, run_elsewhere
from example_models import EXAMPLES, captured
from machines import BOCHS_CPU, Program, bochs_models, lacking, need

from irc.backends.cpu_simd.abi import CODES
from irc.backends.cpu_simd.codegen.lanes import Function
from irc.backends.cpu_simd.isa import ISAS, Isa
from irc.ir.diagnostics import IrcError
from irc.ir.interpret import interpret
from irc.ir.ops.quant import IntSoftmax, exp_table
from irc.ir.ops.tensor import Gather
from irc.ir.scalars import U8, scalar
from irc.ir.types import Element
from irc.passes.base import PassContext
from irc.passes.pipeline import run_pipeline

ELSEWHERE = [isa for isa in ISAS.values() if not isa.is_x86 or isa.name in BOCHS_CPU]

on_each_machine = pytest.mark.parametrize("isa", ELSEWHERE, ids=lambda isa: isa.name)


def judge(test: Callable[[], object], isa: Isa, folder: Path) -> int:
    """Let a test judge what the machine of a target gives, if there is one."""
    need(isa)
    return run_elsewhere(test, isa, folder)


@on_each_machine
def test_random_integer_graphs(isa: Isa, tmp_path: Path):
    assert judge(lambda: test_cpu_random_graphs.run(range(6)), isa, tmp_path) == 6


@pytest.mark.slow
@on_each_machine
def test_many_random_integer_graphs(isa: Isa, tmp_path: Path):
    assert judge(lambda: test_cpu_random_graphs.run(range(300, 400)), isa, tmp_path) == 100


def integers() -> None:
    for seed in range(6):
        test_cpu_integer_rows.test_int_softmax(seed)
        test_cpu_integer_rows.test_int_norm(seed)
        test_cpu_movement.test_joined_results_of_kernels(seed)
        test_cpu_pool.test_max_pool(seed)
        test_cpu_pool.test_sum_pool(seed)
        test_cpu_quant.test_requantize_by_channels(seed)
        test_cpu_quant.test_codes_of_8_bits_in_bytes(seed)
        test_cpu_tokens.test_select(seed)
    test_cpu_codes.test_integers_of_the_interpreter()
    for bits in (3, 8):
        test_cpu_quant.test_tables_of_every_width(bits, bits == 8)
    for kinds in [("i8", "i8"), ("u8", "i4"), ("i8", "u8"), ("i16", "i8")]:
        for seed in range(3):
            test_cpu_products.test_linear(kinds, seed)
            test_cpu_products.test_matmul(kinds, seed)
            test_cpu_products.test_conv(kinds, seed)
            test_cpu_products.test_depthwise(kinds, seed)


@pytest.mark.parametrize("bits", [4, 8])
def test_rows_that_share_accumulators(bits: int, tmp_path: Path):
    """Even and odd numbers of rows, whole groups and not, weights as they are and written out."""

    def test() -> None:
        for sizes in ((2, 5, 16), (3, 17, 8), (5, 16, 33), (7, 40, 70), ("n", 12, 20)):
            module, arrays = test_cpu_codes.linear(U8, scalar(f"i{bits}"), sizes, (3, 0))
            np.testing.assert_array_equal(results(module, arrays)[0], interpret(module, arrays)[0])

    assert judge(test, ISAS["aarch64+i8mm"], tmp_path) == 5


def floats() -> None:
    for kind in ("f32", "f64", "f16", "bf16"):
        test_cpu_functions.test_edge_values(kind)
        test_cpu_attention.test_other_floats(kind)
        test_cpu_rows.test_norms_of_other_floats(kind)
    test_cpu_rows.test_softmax_along_any_axis()
    test_cpu_rows.test_group_norm(3)
    test_cpu_rows.test_symbolic_sizes()
    test_cpu_scaled.test_floats_of_the_interpreter()
    test_cpu_winograd.test_any_size_border_batch_and_epilogue()
    for seed in range(4):
        test_cpu_pool.test_avg_pool(seed)
        test_cpu_products.test_linear(("f32", "f32"), seed)
        test_cpu_products.test_conv(("f32", "f32"), seed)


def images() -> None:
    """The examples on handwritten digits, in integers only."""
    calibration = np.load(EXAMPLES / "digits_calib.npz")["x"][:16]
    calls = [[image[None]] for image in np.load(EXAMPLES / "digits_test.npz")["x"][:24]]
    for model in ("digits_vit", "digits_cnn"):
        for preset in ("quant8", "quant4"):
            module = captured(model)
            samples = {module.main.inputs[0].name: calibration}
            run_pipeline(f"{preset},inline,fold,cse,dce,fuse", module, PassContext(samples=samples))
            for inputs, given in zip(calls, all_results(module, calls), strict=True):
                np.testing.assert_array_equal(given[0], interpret(module, inputs)[0])


@pytest.mark.slow
@pytest.mark.parametrize("test", [integers, floats, images])
@on_each_machine
def test_graphs_of_other_tests(isa: Isa, test: Callable[[], None], tmp_path: Path):
    assert judge(test, isa, tmp_path)


# -- the machines themselves


@on_each_machine
def test_what_a_machine_gives_is_what_a_test_judges(isa: Isa, tmp_path: Path):
    """The second time, and no sooner."""
    seen = []
    module, inputs = integer_layers(), inputs_of(integer_layers())
    judge(lambda: seen.append(results(module, inputs)[0]), isa, tmp_path)
    here, there = seen
    assert here.flags.owndata
    assert not there.flags.owndata  # a part of what the program wrote
    np.testing.assert_array_equal(here, there)


@on_each_machine
def test_errors_of_a_machine_are_those_of_this_one(isa: Isa, tmp_path: Path):
    g = Graphs(1)
    x, indices = g.input("f32", 5, 3), g.input("i64", 2, values=np.array([0, 5]))
    module = g.module(g.op(Gather(x, indices)))

    def test() -> None:
        with pytest.raises(IrcError, match="gather: index 5 of a dimension of size 5"):
            results(module, g.arrays)
        with pytest.raises(IrcError, match="input"):
            results(module, g.arrays[:1])

    assert judge(test, isa, tmp_path) == 1


def test_a_cpu_without_the_instructions_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    isa = ISAS["avx512-vnni"]
    need(isa)
    monkeypatch.setitem(BOCHS_CPU, isa.name, BOCHS_CPU["avx512"])
    message = f"the machine fails where the interpreter does not: status {CODES['CPU']}"
    with pytest.raises(AssertionError, match=message):
        run_elsewhere(lambda: results(integer_layers(), inputs_of(integer_layers())), isa, tmp_path)


@pytest.mark.parametrize("name", ["avx512", "aarch64"])
def test_memory_behind_a_result_is_guarded(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    need(ISAS[name])
    monkeypatch.setattr(Function, "masked_store", lambda f, lanes, pointer, mask: f.store(lanes, pointer))
    g = Graphs(0)
    x, table = g.input("i8", 17), g.const(exp_table(0.05, 256).array, "i32")
    program = Program(ISAS[name], tmp_path)
    program.add(g.module(g.op(IntSoftmax(x, table, frac=8, to=Element(U8)))), [g.arrays])
    assert program.run() == [[1000]]


def test_what_is_lacking(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machines.shutil, "which", lambda name: None if "qemu" in name else name)
    assert lacking(ISAS["aarch64"]) == "qemu-aarch64 is not installed"
    monkeypatch.setattr(machines, "bochs_models", list)
    assert lacking(ISAS["avx512"]) == "this Bochs has no CPU for avx512"
    given = subprocess.CompletedProcess("", 0, "Supported CPU models:\n\nryzen\n", "")
    monkeypatch.setattr(machines.subprocess, "run", lambda *_, **__: given)
    assert "ryzen" in bochs_models.__wrapped__()
