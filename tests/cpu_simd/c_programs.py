"""Artifacts of the CPU backend, and C programs that use their libraries."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import irc
from irc.backends.artifact import Artifact
from irc.ir.builder import Builder
from irc.ir.dims import Symbol, symbol
from irc.ir.graph import Graph, Module
from irc.ir.location import at
from irc.ir.ops.linear import Linear
from irc.ir.ops.math import Relu
from irc.ir.ops.quant import Quantize, Requantize
from irc.ir.ops.structure import Return
from irc.ir.ops.tensor import Gather
from irc.ir.scalars import F32, I8, I32, U8, Array
from irc.ir.types import Element, f32_tensor, tensor

HOSTILE = 'x */ "?\\'  # no identifier, and no end of a comment


def integer_layers(rows: int = 70, columns: int = 40, depth: int = 33) -> Module:
    """x[b, depth] -> quantize -> linear -> requantize -> linear: i32, with weights of 8 bits."""
    rng = np.random.default_rng(1)
    graph = Graph([f32_tensor(symbol("b"), depth)], names=["x"], name="main", symbols=[Symbol("b", 1, rows)])
    b = Builder.at_end(graph)
    b.loc = at("fc1", "Linear", "mlp.py", 3)
    x = b(Quantize(graph.inputs[0], b.const(np.float32(40)), b.const(np.int32(100), I32), to=Element(U8)))
    w1 = b.const(rng.integers(-128, 128, (columns, depth), np.int8), I8)
    y = b(Linear(x, w1, None, x_zp=100))
    y = b(Requantize(y, b.const(np.float32(0.003)), mode="float", zp=-3, to=Element(I8)))
    b.loc = at("fc2", "Linear", "mlp.py", 4)
    w2 = b.const(rng.integers(-128, 128, (10, columns), np.int8), I8)
    b.add(Return((b(Linear(y, w2, None, x_zp=-3)),)))
    return Module([graph])


def float_layers() -> Module:
    """x[2, 8] -> linear -> relu, with a name that must not reach C."""
    graph = Graph([f32_tensor(2, 8)], names=["x"], name="main")
    b = Builder.at_end(graph)
    b.loc = at(HOSTILE, HOSTILE, "mlp.py", 3)
    w = b.const(np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32), F32)
    b.add(Return((b(Relu(b(Linear(graph.inputs[0], w, None)))),)))
    return Module([graph])


def look_up() -> Module:
    """Rows of a table by index: i[3] -> [3, 4]."""
    graph = Graph([tensor(I32, (3,))], names=["i"], name="main")
    b = Builder.at_end(graph)
    table = b.const(np.arange(20, dtype=np.float32).reshape(5, 4), F32)
    b.add(Return((b(Gather(table, graph.inputs[0], axis=0)),)))
    return Module([graph])


def inputs_of(module: Module, batch: int = 5) -> list[Array]:
    rng = np.random.default_rng(2)
    shapes = [tuple(d if isinstance(d, int) else batch for d in v.type.shape) for v in module.main.inputs]
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def artifact(module: Module, folder: Path, options: str = "", target: str = "") -> Artifact:
    backend = f"cpu{{{options}}}" if options else "cpu"
    return irc.compile(module, backend=backend, target=target, out=folder / "model.cpu")


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skips a test where a program is absent, and says which."""
    missing = [p for p in programs if shutil.which(p) is None]
    return pytest.mark.skipif(bool(missing), reason=f"{' and '.join(missing)} is not installed")


def build(
    folder: Path, source: str, program: Path, *, compiler: Sequence[str] = ("gcc",), code: str = "model.o"
) -> None:
    """Compile a C or C++ source of `folder` with an object beside it."""
    command = [*compiler, "-Wall", "-Wextra", "-Werror", source]
    command += ["-x", "none"] if "-x" in compiler else []
    output_of([*command, f"-I{folder}", code, "-o", program], folder)


def output_of(command: Sequence[str | Path], folder: Path, given: bytes = b"") -> bytes:
    done = subprocess.run([str(c) for c in command], cwd=folder, input=given, capture_output=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr).decode(errors="replace")
    return done.stdout


def raw(arrays: Sequence[Array]) -> bytes:
    return b"".join(np.ascontiguousarray(a).tobytes() for a in arrays)
