"""File tests: `.irc` files whose comments say what to run and what to expect; `pytest --bless` rewrites the generated.

// RUN: parse                  reads, prints and reads again; without CHECK lines the text must be canonical
// RUN: verify                 reads and verifies
// RUN: run [--seed N]         interprets @main on the INPUT lines, the other inputs random, and prints the OUTPUT lines
//                             (which the backends cpu and onnx must give too, unless they refuse the part)
// RUN: opt --passes TEXT      runs a pipeline and prints the module; the INPUT lines are its samples
// CHECK...: pattern           FileCheck on what was printed, written by hand
// INPUT x: [[1, 2]]           an input of `run`, samples for `opt`, in JSON
// EXCEPT onnx: reason         a backend that `run` leaves out
// OUTPUT: i32[2] [3, 4]       generated: a result of `run`; floats compare to 1e-5
... // ERROR@7: message        generated: a diagnostic at column 7 of this line (`// ERROR: ...` if it has no place)
// ----                        splits a file into parts; the RUN lines of the first serve those that have none
"""

from __future__ import annotations

import difflib
import importlib
import io
import json
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from filecheck.finput import FInput
from filecheck.matcher import Matcher
from filecheck.options import Options
from filecheck.parser import Parser, pattern_for_opts

from irc.ir.diagnostics import Diagnostic, InternalError, IrcError
from irc.ir.equal import difference
from irc.ir.graph import Module
from irc.ir.interpret import arrange_inputs, fitted, interpret
from irc.ir.parser import parse
from irc.ir.scalars import Array, ScalarType
from irc.ir.types import TensorType, shape_text

_SPLIT = re.compile(r"^(// ----.*\n)", re.MULTILINE)
_RUN = re.compile(r"^// RUN: (.*)$", re.MULTILINE)
_INPUT = re.compile(r"^// INPUT (\S+): (.*)$", re.MULTILINE)
_EXCEPT = re.compile(r"^// EXCEPT (\w+): .", re.MULTILINE)
_OUTPUT = re.compile(r"^// OUTPUT: (.*)\n", re.MULTILINE)
_ERROR = re.compile(r"[ \t]*// ERROR(?:@\d+)?: .*$", re.MULTILINE)
_CHECK = re.compile(r"^// CHECK\S*:", re.MULTILINE)


@dataclass(frozen=True)
class Part:
    """A test in a file: its text, and the lines in front of it."""

    text: str
    lines_before: int

    @property
    def source(self) -> str:
        """The text without generated errors, with its line numbers in the file."""
        return "\n" * self.lines_before + _ERROR.sub("", self.text)

    def module(self) -> Module:
        return parse(self.source, source="test")


@dataclass(frozen=True)
class Outcome:
    """What a command printed, and the text of the part with the generated expectations that came true."""

    printed: str
    text: str


class Unexpected(Exception):
    """What was expected did not come true."""


def run_parse(part: Part, arguments: list[str]) -> Outcome:
    module = part.module()
    printed = str(module)
    again = parse(printed)
    if (found := difference(module, again)) or printed != str(again):
        raise Unexpected(f"not the same after print and parse: {found}\n{printed}")
    if _CHECK.search(part.text):
        return Outcome(printed, part.text)
    lines = part.text.splitlines(keepends=True)
    code = [index for index, line in enumerate(lines) if not line.startswith("//")]
    return Outcome(printed, "".join([*lines[: code[0]], printed, *lines[code[-1] + 1 :]]))


def run_verify(part: Part, arguments: list[str]) -> Outcome:
    part.module()
    return Outcome("", part.text)


def run_opt(part: Part, arguments: list[str]) -> Outcome:
    (flag, passes) = arguments
    assert flag == "--passes"
    pipeline, base = (importlib.import_module(f"irc.passes.{name}") for name in ("pipeline", "base"))
    module = part.module()
    types = {value.name: value.type.scalar.dtype for value in module.main.inputs} if _INPUT.search(part.text) else {}
    samples = {name: np.array(array, types[name]) for name, array in given_inputs(part).items()}
    printed = str(pipeline.run_pipeline(passes, module, base.PassContext(samples=samples or None)))
    if not _CHECK.search(part.text):
        raise Unexpected("nothing is checked")
    return Outcome(printed, part.text)


def run_run(part: Part, arguments: list[str]) -> Outcome:
    module = part.module()
    given = given_inputs(part)
    if arguments:
        (flag, seed) = arguments
        assert flag == "--seed"
        rng = np.random.default_rng(int(seed))
        given = {v.name: random_array(rng, v.type) for v in module.main.inputs} | given
    results = interpret(module, given)
    lines = output_lines(module, results)
    on_machine(part, given, lines)
    in_onnxruntime(part, given, lines)
    old = _OUTPUT.findall(part.text)
    kept = [o if close(o, n) else n for o, n in zip([*old, *[""] * len(lines)], lines, strict=False)]
    body = _OUTPUT.sub("", part.text).rstrip("\n")
    return Outcome("\n".join(lines), "\n".join([body, *(f"// OUTPUT: {line}" for line in kept)]) + "\n")


def on_machine(part: Part, given: dict[str, Array], expected: list[str]) -> None:
    """Run a part on the backend `cpu` too, unless it refuses it. Raises Unexpected if it gives something else."""
    backend, compiler, isa, legality, runtime = (
        importlib.import_module(f"irc.backends.cpu_simd.{name}")
        for name in ("backend", "compiler", "isa", "legality", "runtime")
    )
    if not part.module().main.inputs or "cpu" in _EXCEPT.findall(part.text):
        return
    module, host = part.module().apply("inline"), isa.host()
    if legality.problems(module.main, backend.CPU):
        return
    try:
        program = compiler.compile_graph(module.main, host).program
    except InternalError:
        raise
    except IrcError:  # said of an op that it cannot lower as it is
        return
    with runtime.session(module.main, program, host) as run:
        compare("cpu", output_lines(module, run(arrange_inputs(module.main, given))), expected)


def in_onnxruntime(part: Part, given: dict[str, Array], expected: list[str]) -> None:
    """Run a part on the backend `onnx` too, unless it refuses it. Raises Unexpected if it gives something else."""
    backend, proto, runtime = (
        importlib.import_module(f"irc.backends.onnx_export.{name}") for name in ("backend", "proto", "runtime")
    )
    if not part.module().main.inputs or "onnx" in _EXCEPT.findall(part.text):
        return
    module = part.module().apply("inline")
    job = importlib.import_module("irc.backends.base").Job(module, backend.ONNX.find_target(""), backend.Options())
    try:
        model = backend.lower(job)
    except InternalError:
        raise
    except IrcError:  # said of an op that it cannot write
        return
    call = map(fitted, module.main.inputs, arrange_inputs(module.main, given))
    compare("onnx", output_lines(module, runtime.opened(proto.serialized(model))(list(call))), expected)


def compare(backend: str, found: list[str], expected: list[str]) -> None:
    """Raise Unexpected unless a backend gave what the interpreter gives."""
    for index, (here, there) in enumerate(zip(found, expected, strict=True)):
        if not close(there, here):
            raise Unexpected(f"result {index} on the backend {backend}: {here}\nin the interpreter: {there}")


def output_lines(module: Module, results: list[Array]) -> list[str]:
    values = zip(results, module.main.outputs, strict=True)
    return [output_line(array, value.type.scalar) for array, value in values]


def given_inputs(part: Part) -> dict[str, Array]:
    """The arrays of the INPUT lines."""
    return {name: np.array(json.loads(text)) for name, text in _INPUT.findall(part.text)}


def random_array(rng: np.random.Generator, t: TensorType) -> Array:
    shape = t.static_shape
    assert shape is not None, "random inputs need static shapes"
    if t.scalar.is_integer:
        return rng.integers(t.scalar.min, t.scalar.max, shape, endpoint=True)
    return rng.integers(0, 2, shape) == 1 if t.scalar.kind == "bool" else rng.standard_normal(shape)


def output_line(array: Array, scalar: ScalarType) -> str:
    short = np.vectorize(lambda v: float(f"{v:.7g}"), otypes=[float])
    values = short(array) if scalar.is_float else array
    return f"{scalar}{shape_text(array.shape)} {json.dumps(values.tolist())}"


def close(old: str, new: str) -> bool:
    """Whether two output lines say the same, floats to 1e-5."""
    (old_type, _, old_values), (new_type, _, new_values) = (line.partition("] ") for line in (old, new))
    if old_type != new_type or not new_type.startswith(("f", "bf")):
        return old == new
    a, b = (np.array(json.loads(text), np.float64) for text in (old_values, new_values))
    return a.shape == b.shape and np.allclose(a, b, rtol=1e-5, atol=1e-6, equal_nan=True)


def with_errors(part: Part, found: tuple[Diagnostic, ...]) -> str:
    """The text with one ERROR comment a diagnostic, at its place."""
    lines = _ERROR.sub("", part.text).rstrip("\n").split("\n")
    for d in found:
        message = d.message + (f" (hint: {d.hint})" if d.hint else "")
        if d.span is not None:
            lines[d.span.line - 1 - part.lines_before] += f"  // ERROR@{d.span.column}: {message}"
        else:
            lines.append(f"// ERROR: {message}")
    return "\n".join(lines) + "\n"


def difference_of(expected: str, found: str) -> str:
    lines = difflib.unified_diff(expected.splitlines(), found.splitlines(), "expected", "found", lineterm="")
    return "\n".join(lines)


def filecheck(printed: str, part: Part) -> None:
    """Match the CHECK lines of a part. Raises Unexpected with what FileCheck says."""
    options = Options("test")
    lines = io.StringIO("\n" * part.lines_before + part.text)
    matcher = Matcher(options, FInput("printed", printed), Parser(options, lines, *pattern_for_opts(options)))
    matcher.stderr = io.StringIO()
    if matcher.run():
        raise Unexpected(f"{matcher.stderr.getvalue()}\nprinted:\n{printed}")


COMMANDS: dict[str, Callable[[Part, list[str]], Outcome]] = {
    "parse": run_parse,
    "verify": run_verify,
    "run": run_run,
    "opt": run_opt,
}


class IrcFile(pytest.File):
    """A `.irc` file: one test a part and RUN line."""

    def collect(self) -> Iterator[pytest.Item]:
        parts = read_parts(self.path)
        shared = _RUN.findall(parts[0].text)
        for index, part in enumerate(parts):
            for run in _RUN.findall(part.text) or shared:
                name = f"{part.lines_before + 1}:{run}"
                yield IrcItem.from_parent(self, name=name, index=index, part=part, run=run)


def read_parts(path: Path) -> list[Part]:
    parts: list[Part] = []
    lines = 0
    for index, text in enumerate(_SPLIT.split(path.read_text(encoding="utf-8"))):
        if index % 2 == 0:  # the others are the lines that split
            parts.append(Part(text, lines))
        lines += text.count("\n")
    return parts


class IrcItem(pytest.Item):
    def __init__(self, *, index: int, part: Part, run: str, **kwargs: object) -> None:
        super().__init__(**kwargs)  # type: ignore[arg-type]
        self.index, self.part, self.command = index, part, run

    def runtest(self) -> None:
        verb, *arguments = shlex.split(self.command)
        if self.config.getoption("bless"):  # another command may have rewritten the part
            self.part = read_parts(self.path)[self.index]
        try:
            outcome = COMMANDS[verb](self.part, arguments)
            outcome = replace(outcome, text=_ERROR.sub("", outcome.text))
        except IrcError as error:
            outcome = Outcome("", with_errors(self.part, error.diagnostics))
        if outcome.text != self.part.text:
            if not self.config.getoption("bless"):
                raise Unexpected(difference_of(self.part.text, outcome.text))
            self.bless(outcome.text)
        if outcome.printed and _CHECK.search(self.part.text):
            filecheck(outcome.printed, self.part)

    def bless(self, text: str) -> None:
        texts = _SPLIT.split(self.path.read_text(encoding="utf-8"))
        texts[2 * self.index] = text
        self.path.write_text("".join(texts), encoding="utf-8")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> object:
        if isinstance(excinfo.value, Unexpected):
            return f"{self.path}:{self.part.lines_before + 1}: {self.command}\n{excinfo.value}"
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.part.lines_before, self.name
