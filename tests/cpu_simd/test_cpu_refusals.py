"""What the cpu backend refuses, and what it says then."""

from __future__ import annotations

from pathlib import Path

import pytest

from irc.backends.cpu_simd import isa
from irc.backends.cpu_simd.codegen.llvm import object_code
from irc.driver import Settings, compile_to
from irc.feedback import Feedback, silence
from irc.ir.diagnostics import InternalError, IrcError, ToolError, UsageError
from irc.ir.parser import parse

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
            "(%x: i8[1, 2], %b: i32[1]) -> i32[1, 1]",
            "%w = const [[1, 2]] : i8[1, 2]\n  %y = linear %x, %w, %b : i32[1, 1]",
            "linear: its bias is computed",
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
    with pytest.raises(IrcError) as raised:
        compile_to(module, tmp_path / "art", Settings(passes="", backend="cpu"), QUIET)
    assert f'"layer": {message}' in str(raised.value)


def test_a_machine_without_instruction_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isa, "HOST_FIRST", ())
    with pytest.raises(UsageError, match=r"irc has no instruction set for this machine(?s:.*)--target is one of"):
        isa.host()


def test_code_of_another_machine(tmp_path: Path) -> None:
    foreign = next(name for name, known in isa.ISAS.items() if not isa.runs_here(known))
    module = parse("func @main(%x: f32[1, 2]) -> f32[1, 2] {\n  %y = relu %x : f32[1, 2]\n  return %y\n}\n")
    artifact = compile_to(module, tmp_path / "art", Settings(passes="", backend="cpu", target=foreign), QUIET)
    with pytest.raises(ToolError, match=f"this machine cannot run {foreign} code"):
        artifact.verify()


def test_code_that_is_none() -> None:
    with pytest.raises(InternalError, match="generated LLVM is not valid"):
        object_code("define garbage", isa.host_triple(), "", "")
