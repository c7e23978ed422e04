"""What the cpu backend refuses, and what it says then."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from irc.backends.cpu_simd import isa
from irc.backends.cpu_simd.codegen.llvm import object_code
from irc.backends.cpu_simd.compiler import compile_graph
from irc.backends.cpu_simd.runtime import session
from irc.driver import Settings, compile_to
from irc.feedback import Feedback, silence
from irc.ir.diagnostics import InternalError, IrcError, ToolError, UsageError
from irc.ir.parser import parse
from irc.tools.check import preflight

QUIET = Feedback(warn=silence)


@pytest.mark.parametrize(
    ("signature", "body", "message"),
    [
        (
            "(%x: i8[1, 1, 4, 4], %w: i8[1, 1, 2, 2]) -> i32[1, 1, 3, 3]",
            "%y = conv %x, %w {stride = [1, 1], padding = [0, 0, 0, 0], dilation = [1, 1]} : i32[1, 1, 3, 3]",
            "conv: its weights are computed",
        ),
        (
            "(%x: i8[2, 2], %w: i8[2, 2]) -> i32[2, 2]",
            "%y = linear %x, %w {w_zp = [1, 2]} : i32[2, 2]",
            "linear: computed weights have one zero point",
        ),
        (
            "(%x: f32[1, 1, 4, n]) -> f32[1, 1, 4, n] where n in [3, 8]",
            "%w = const [[[[1.0, 2.0, 1.0]]]] : f32[1, 1, 1, 3]\n  "
            "%y = conv %x, %w {stride = [1, 1], padding = [0, 1, 0, 1], dilation = [1, 1]} : f32[1, 1, 4, n]",
            "conv: an image of symbolic width (f32[1, 1, 4, n])",
        ),
    ],
)
def test_ops_it_cannot_run(tmp_path: Path, signature: str, body: str, message: str) -> None:
    module = parse(f'func @main{signature} {{\n  {body}  at "layer"\n  return %y\n}}\n')
    refused = preflight(module, Settings(passes="", backend="cpu"), QUIET).error()
    assert f'"layer": {message}' in str(refused)
    with pytest.raises(IrcError) as raised:
        compile_to(module, tmp_path / "art", Settings(passes="", backend="cpu"), QUIET)
    assert str(raised.value) == str(refused)
    assert not (tmp_path / "art").exists()


def test_a_machine_without_instruction_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isa, "HOST_FIRST", ())
    with pytest.raises(UsageError, match=r"irc has no instruction set for this machine(?s:.*)target= is one of"):
        isa.host()


def test_code_of_another_machine(tmp_path: Path) -> None:
    foreign = next(name for name, known in isa.ISAS.items() if not isa.runs_here(known))
    module = parse(RELU)
    artifact = compile_to(module, tmp_path / "art", Settings(passes="", backend="cpu", target=foreign), QUIET)
    with pytest.raises(ToolError, match=f"this machine cannot run {foreign} code"):
        artifact.verify()


RELU = "func @main(%x: f32[1, 2]) -> f32[1, 2] {\n  %y = relu %x : f32[1, 2]\n  return %y\n}\n"
X = np.float32([[-1, 2]])


def locked() -> np.ndarray:
    array = np.zeros((1, 2), np.float32)
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ([], "@main gives 1 outputs, 0 arrays are given for them"),
        ([[1.0, 2.0]], "the array for output 0 is a list, not a NumPy array"),
        ([np.zeros((1, 2))], r"the array for output 0 is float64\[1, 2\], expected float32\[1, 2\]"),
        ([np.zeros((1, 4), np.float32)[:, ::2]], "has gaps between its elements or is not aligned"),
        ([locked()], "the array for output 0 cannot be written"),
        ([X], "the array for output 0 shares memory with an input or another output"),
    ],
)
def test_arrays_for_outputs(outputs: list[np.ndarray], message: str) -> None:
    module = parse(RELU)
    program = compile_graph(module.main, isa.host()).program
    with session(module.main, program, isa.host()) as run, pytest.raises(UsageError, match=message):
        run([X], outputs)


def test_a_library_that_fails_alone() -> None:
    module = parse(RELU)
    with session(module.main, compile_graph(module.main, isa.host()).program, isa.host()) as run:
        run.run = lambda *arguments: 1
        with pytest.raises(InternalError, match="the library fails where the interpreter does not"):
            run([X])


def test_code_that_is_none() -> None:
    with pytest.raises(InternalError, match="generated LLVM is not valid"):
        object_code("define garbage", isa.host_triple(), "", "")
