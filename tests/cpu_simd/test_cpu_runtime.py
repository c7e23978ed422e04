"""NumPy in, NumPy out: what a session takes as it is, what it copies, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

import numpy as np
import pytest
from c_programs import inputs_of, integer_layers, look_up

from irc.backends.cpu_simd import runtime, timing
from irc.backends.cpu_simd.codegen.llvm import object_code
from irc.backends.cpu_simd.compiler import compile_graph
from irc.backends.cpu_simd.isa import ISAS, host
from irc.backends.cpu_simd.runtime import Session, session
from irc.ir.diagnostics import InternalError, IrcError, ToolError, UsageError
from irc.ir.interpret import interpret

MODULE = integer_layers()
(X,) = inputs_of(MODULE)
(Y,) = interpret(MODULE, [X])


@pytest.fixture(scope="module")
def run() -> Iterator[Session]:
    with session(MODULE.main, compile_graph(MODULE.main, host()).program, host()) as found:
        yield found


def read_only() -> np.ndarray:
    x = X.copy()
    x.flags.writeable = False
    return x


def unaligned() -> np.ndarray:
    x = np.empty(X.nbytes + 1, np.uint8)[1:].view(np.float32).reshape(X.shape)
    x[...] = X
    assert not x.flags.aligned
    return x


@pytest.mark.parametrize(
    "x",
    [read_only(), unaligned(), np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2], X.astype(">f4"), X.astype(float)],
    ids=["read-only", "unaligned", "fortran", "strided", "big-endian", "double"],
)
def test_inputs_of_any_layout(run: Session, x: np.ndarray):
    (y,) = run([x])
    np.testing.assert_array_equal(y, Y)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "@main takes 1 inputs (x), 0 given"),
        ([X.astype(complex)], "input 'x' is f32[b, 33], got an array of complex128[5, 33]"),
        ([X.astype(str)], "input 'x' is f32[b, 33], got an array of"),
        ([X[:, :32]], "input 'x' is f32[b, 33], got the shape [5, 32]"),
        ([X[0]], "input 'x' is f32[b, 33], got an array of float32[33]"),
        ([np.zeros((71, 33), np.float32)], "have b = 71, expected b in [1, 70]"),
        ([np.zeros((0, 33), np.float32)], "have b = 0, expected b in [1, 70]"),
    ],
)
def test_inputs_that_do_not_fit(run: Session, inputs: list[np.ndarray], message: str):
    with pytest.raises(IrcError) as error:
        run(inputs)
    assert message in str(error.value)


def test_results_in_arrays_of_the_caller(run: Session):
    out = np.empty_like(Y)
    (y,) = run([X], out=[out])
    assert y is out
    np.testing.assert_array_equal(out, Y)


def locked() -> np.ndarray:
    out = np.empty_like(Y)
    out.flags.writeable = False
    return out


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ([], "gives 1 outputs, 0 arrays are given for them"),
        ([Y.tolist()], "the array for output 0 is a list, not a NumPy array"),
        ([np.empty_like(Y, np.int64)], "output 0 is int64[5, 10], expected int32[5, 10]"),
        ([np.empty((5, 11), np.int32)], "output 0 is int32[5, 11], expected int32[5, 10]"),
        ([np.empty((10, 5), np.int32).T], "output 0 has gaps between its elements or is not aligned"),
        ([np.empty(201, np.uint8)[1:].view(np.int32).reshape(5, 10)], "or is not aligned: np.empty gives one"),
        ([locked()], "output 0 cannot be written"),
    ],
)
def test_arrays_that_cannot_take_results(run: Session, out: list[np.ndarray], message: str):
    with pytest.raises(UsageError) as error:
        run([X], out=out)
    assert message in str(error.value)


def test_results_over_inputs(run: Session):
    shared = np.zeros(5 * 33, np.float32)
    with pytest.raises(UsageError, match="output 0 shares memory with an input or another output"):
        run([shared.reshape(5, 33)], out=[shared[:50].view(np.int32).reshape(5, 10)])


def test_failures_are_those_of_the_interpreter():
    module = look_up()
    with session(module.main, compile_graph(module.main, host()).program, host()) as run:
        with pytest.raises(IrcError, match="gather: index 9 of a dimension of size 5"):
            run([np.array([0, 9, 1], np.int32)])
        np.testing.assert_array_equal(run([np.array([4, 0, 1], np.int32)])[0][:, 0], [16, 0, 4])


def test_failures_of_the_library_alone_are_errors_of_ours(run: Session, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run, "run", lambda *_: 2)
    with pytest.raises(InternalError, match="the library fails where the interpreter does not: a pointer is NULL"):
        run([X])


def test_code_for_other_machines_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(runtime, "runs_here", lambda isa: False)
    with (
        pytest.raises(ToolError, match="this machine cannot run avx512 code"),
        session(MODULE.main, compile_graph(MODULE.main, ISAS["avx512"]).program, ISAS["avx512"]),
    ):
        pass


def test_llvm_that_is_no_module():
    with pytest.raises(InternalError, match="generated LLVM is not valid"):
        object_code("define i32 @f() { ret i64 0 }", host().triple, "", "")


def test_ticks_become_seconds_by_the_clock_from_first_to_last(monkeypatch: pytest.MonkeyPatch):
    """What lies between two runs, as in a loop of Python, belongs to no launch."""
    module = integer_layers()
    program = compile_graph(module.main, host()).program
    count = len(program.launches)
    shown = iter([np.arange(count + 1) * 10, 900 + np.arange(count + 1) * 10])
    walls = iter([0.0, (900 + 10 * count) * 1e-9])
    monkeypatch.setattr(timing, "session", lambda *_, **__: nullcontext())
    monkeypatch.setattr(timing, "clock_of", lambda *_: lambda: next(shown))
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(walls))
    parts = timing.profile(module.main, program, host(), [], runs=2, threads=1)
    np.testing.assert_allclose([part.seconds for part in parts], 10e-9)
