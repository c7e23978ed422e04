"""Several threads: the bits of one, whoever comes, whenever; in Python and in C, under qemu, with a sanitizer."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from c_programs import artifact, build, inputs_of, integer_layers, look_up, needs, output_of, raw
from cpu_graphs import Graphs
from machines import qemu
from random_graphs import random_graph
from tsan import instrumented

from irc.backends.cpu_simd import work
from irc.backends.cpu_simd.compiler import compile_graph
from irc.backends.cpu_simd.isa import ISAS, host
from irc.backends.cpu_simd.library import object_of
from irc.backends.cpu_simd.runtime import file_of, opened, session
from irc.ir.diagnostics import IrcError, UsageError
from irc.ir.graph import Module
from irc.ir.interpret import interpret
from irc.ir.ops.attention import Sdpa
from irc.ir.ops.linear import Conv, Linear
from irc.ir.ops.math import Add, Gelu, Mean, Relu
from irc.ir.ops.norm import GroupNorm, LayerNorm, Softmax
from irc.ir.ops.pool import AvgPool, MaxPool
from irc.ir.ops.tensor import Concat, Pad, Permute, Reshape
from irc.ir.scalars import Array

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def small_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    """Split kernels however small they are."""
    monkeypatch.setattr(work, "GRAIN", 1)


def same_bits(module: Module, samples: Sequence[Sequence[Array]], *threads: int) -> int:
    """Assert that the results do not depend on the number of threads; the number of kernels that were split."""
    program = compile_graph(module.main, host()).program
    (code,), weights = object_of(program, module.main, host()), file_of(program.weights)
    expected: list[list[Array]] = []
    for count in (1, *threads):
        with opened(module.main, code, host(), weights, threads=count) as run:
            given = [run(sample) for sample in samples]
        expected = expected or given
        for a, b in zip(given, expected, strict=True):
            assert raw(a) == raw(b)
    return sum(launch.units != 0 for launch in program.launches)


@pytest.mark.parametrize("threads", [2, 3, 4])
def test_random_integer_graphs(threads: int):
    split = 0
    for seed in range(threads, 40, 5):
        graph = random_graph(seed)
        module = graph.module.apply("fold,dce,fuse") if seed % 3 else graph.module
        split += same_bits(module, graph.samples, threads)
    assert split > 20


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(10))
def test_many_random_integer_graphs(chunk: int):
    for seed in range(20_000 + 50 * chunk, 20_050 + 50 * chunk):
        graph = random_graph(seed)
        same_bits(graph.module.apply("fold,dce,fuse"), graph.samples, 2, 4)


def tokens(g: Graphs) -> Module:
    """Layers over rows, with a symbolic number of them."""
    size = g.number(3, 50)
    x = g.input("f32", "b", "n", size)
    w = g.const(g.codes(x.type.scalar, (size, size)), "f32")
    scale = g.const(g.codes(x.type.scalar, (size,)), "f32")
    y = g.op(LayerNorm(x, scale, scale, axes=1, eps=1e-5))
    y = g.op(Gelu(g.op(Linear(y, w, scale))))
    y = g.op(Add(x, g.op(Sdpa(y, y, x, scale=0.3))))
    return g.module(g.op(Softmax(y, axis=g.pick(1, 2))), g.op(Mean(y, axes=(1,))), g.op(Permute(y, order=(2, 0, 1))))


def images(g: Graphs) -> Module:
    """Layers over images: dense, depthwise and pointwise convolutions, pools, norms."""
    channels, height, width = 4 * g.number(1, 6), g.number(3, 20), g.number(3, 20)
    x = g.input("f32", g.number(1, 2), channels, height, width)
    kind = x.type.scalar
    dense = g.const(g.codes(kind, (channels, channels, 3, 3)), "f32")
    each = g.const(g.codes(kind, (channels, 1, 3, 3)), "f32")
    around = {"stride": (1, 1), "padding": (1, 1, 1, 1), "dilation": (1, 1)}
    y = g.op(Relu(g.op(Conv(x, dense, None, groups=1, **around))))
    z = g.op(Conv(y, each, None, groups=channels, **around))
    z = g.op(Add(g.op(GroupNorm(z, None, None, groups=4, eps=1e-5)), y))
    joined = g.op(Concat((y, z), axis=1))
    padded = g.op(Pad(joined, before=(0, 0, 1, 2), after=(0, 0, 0, 1), value=0.5))
    largest = g.op(MaxPool(padded, kernel=(3, 3), **{**around, "stride": (2, 1)}))
    mean = g.op(AvgPool(joined, kernel=(3, 2), stride=(1, 2), padding=(1, 0, 1, 1), count_pad=False))
    return g.module(largest, mean, g.op(Reshape(z, shape=(*z.type.shape[:2], height * width))))


def rows() -> tuple[Module, list[Array]]:
    """One input, one result, and kernels of which each worker has memory of its own."""
    g = Graphs(7)
    x = g.input("f32", "n", 33)
    w = g.const(g.codes(x.type.scalar, (33, 33)), "f32")
    y = g.op(Softmax(g.op(Linear(x, w, None)), axis=1))
    return g.module(g.op(Linear(g.op(Sdpa(y, y, x, scale=0.3)), w, None))), g.arrays


@pytest.mark.parametrize("build_graph", [tokens, images])
def test_random_float_graphs(build_graph: Callable[[Graphs], Module]):
    split = 0
    for seed in range(3):
        g = Graphs(seed)
        module = build_graph(g)
        split += same_bits(module.apply("fuse") if seed % 2 else module, [g.arrays], 2, 3, 4)
    assert split > 20


def test_kernels_with_little_work_are_not_split(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.undo()
    assert same_bits(integer_layers(), [inputs_of(integer_layers())], 2) == 0


def test_several_sessions_at_once():
    module = integer_layers()
    program = compile_graph(module.main, host()).program
    inputs = [inputs_of(module, batch) for batch in (1, 70, 13)]
    expected = [interpret(module, call) for call in inputs]
    wrong: list[int] = []

    def use() -> None:
        with session(module.main, program, host(), threads=3) as run:
            for repeat in range(60):
                (given,) = run(inputs[repeat % 3])
                if raw([given]) != raw(expected[repeat % 3]):
                    wrong.append(repeat)

    users = [threading.Thread(target=use) for _ in range(3)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert wrong == []


def test_workers_go_when_a_session_ends():
    module = integer_layers()
    before = threading.active_count()
    with session(module.main, compile_graph(module.main, host()).program, host(), threads=4) as run:
        run(inputs_of(module, 3))
        assert threading.active_count() == before + 3
        time.sleep(0.05)  # they are asleep
        run(inputs_of(module, 70))
    assert threading.active_count() == before


def test_a_failure_of_any_share_is_a_failure():
    module = look_up()
    with session(module.main, compile_graph(module.main, host()).program, host(), threads=2) as run:
        for place in range(3):
            wrong = np.zeros(3, np.int32)
            wrong[place] = 9
            with pytest.raises(IrcError, match="gather: index 9 of a dimension of size 5"):
                run([wrong])
        np.testing.assert_array_equal(run([np.array([4, 0, 1], np.int32)])[0][:, 0], [16, 0, 4])


@pytest.mark.parametrize("threads", [0, -1, 65])
def test_numbers_of_threads_that_cannot_be(threads: int):
    module = integer_layers()
    program = compile_graph(module.main, host()).program
    with (
        pytest.raises(UsageError, match=f"{threads} threads cannot run a library") as error,
        session(module.main, program, host(), threads=threads),
    ):
        pass
    assert "1 to 64 can" in str(error.value)


@needs("gcc")
@pytest.mark.parametrize("compiler", [("gcc",), ("gcc", "-fsanitize=address,undefined")], ids=["c", "sanitized"])
def test_a_c_program_with_threads(tmp_path: Path, compiler: tuple[str, ...]):
    module, inputs = rows()
    lib = artifact(module, tmp_path).path / "lib"
    shutil.copy(HERE / "team.c", lib)
    build(lib, "team.c", tmp_path / "team", compiler=(*compiler, "-pthread"))
    assert output_of([tmp_path / "team", str(len(inputs[0]))], lib, raw(inputs)) == b""


def sanitized(folder: Path, module: Module, change: Callable[[str], str] = lambda text: text) -> Path:
    """The library of a module under `folder`, and a program with the sanitizer that runs it by threads."""
    lib = artifact(module, folder).path / "lib"
    shutil.copy(HERE / "team.c", lib)
    (lib / "seen.o").write_bytes(instrumented(module, host(), change))
    build(lib, "team.c", lib / "team", compiler=("gcc", "-fsanitize=thread", "-g", "-pthread"), code="seen.o")
    return lib


@needs("gcc")
def test_a_thread_sanitizer_finds_nothing(tmp_path: Path):
    module, inputs = rows()
    lib = sanitized(tmp_path, module)
    assert output_of([lib / "team", str(len(inputs[0]))], lib, raw(inputs)) == b""


@needs("gcc")
def test_a_thread_sanitizer_finds_a_run_that_does_not_wait(tmp_path: Path):
    """Without the wait for claimed shares: the sanitizer sees what generated code does."""
    module, inputs = rows()
    lib = sanitized(tmp_path, module, lambda text: text.replace("call void @irc.settle(ptr %team)", ""))
    with pytest.raises(AssertionError, match="ThreadSanitizer: data race"):
        output_of([lib / "team", str(len(inputs[0]))], lib, raw(inputs))


@needs("gcc", "make")
def test_the_example_with_threads(tmp_path: Path):
    module = integer_layers()
    lib = artifact(module, tmp_path).path / "lib"
    output_of(["make", "example_threads"], lib)
    assert output_of([lib / "example_threads", "5"], lib, raw(inputs_of(module))) == raw(
        interpret(module, inputs_of(module))
    )


@needs("aarch64-linux-gnu-gcc", qemu(ISAS["aarch64"]))
def test_threads_under_qemu(tmp_path: Path):
    module, inputs = rows()
    lib = artifact(module, tmp_path, "so=no", "aarch64").path / "lib"
    shutil.copy(HERE / "team.c", lib)
    build(lib, "team.c", tmp_path / "team", compiler=("aarch64-linux-gnu-gcc", "-static", "-pthread"))
    assert output_of([qemu(ISAS["aarch64"]), tmp_path / "team", str(len(inputs[0]))], lib, raw(inputs)) == b""


@pytest.mark.parametrize("isa", ISAS.values(), ids=lambda isa: isa.name)
def test_every_target_compiles(isa, tmp_path: Path):
    """With split kernels; `artifact` fails where a symbol is undefined."""
    program = compile_graph(integer_layers().main, isa).program
    assert any(launch.units != 0 for launch in program.launches)
    assert artifact(integer_layers(), tmp_path, "so=no", isa.name).report["summary"]["code bytes"] > 0
