"""Graphs through onnxruntime, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from irc.backends.base import Job
from irc.backends.onnx_export.backend import ONNX, Options, lower
from irc.backends.onnx_export.proto import serialized
from irc.backends.onnx_export.runtime import opened
from irc.ir.builder import Builder
from irc.ir.dims import Symbol, symbol
from irc.ir.graph import Graph, Module, Value
from irc.ir.interpret import fitted, interpret
from irc.ir.op import Op
from irc.ir.ops.structure import Return
from irc.ir.scalars import Array, ScalarType, scalar
from irc.ir.types import tensor


def file_of(module: Module) -> bytes:
    """The module as the content of an ONNX file. Raises IrcError with everything that stands against it."""
    return serialized(lower(Job(module, ONNX.find_target(""), Options())))


def run_onnx(module: Module, calls: Sequence[Sequence[Array]]) -> list[list[Array]]:
    """The results of each call."""
    run = opened(file_of(module))
    return [run(call) for call in calls]


SIZES = {"b": 3, "n": 6}
"""What symbols stand for in random inputs."""


@dataclass
class Case:
    """A graph under construction, with random arrays for its inputs."""

    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))
    graph: Graph = field(default_factory=lambda: Graph(name="main"))
    arrays: list[Array] = field(default_factory=list[Array])

    def __post_init__(self) -> None:
        self.b = Builder.at_end(self.graph)
        self.graph.symbols = {name: Symbol(name, 1, 80) for name in SIZES}

    def input(self, kind: str, *shape: int | str, values: Any = None) -> Value:
        """An input of random values, or of these; a name in the shape is a symbol."""
        dtype = scalar(kind)
        array = self.random(dtype, tuple(SIZES.get(str(d), d) for d in shape)) if values is None else values
        dims = tuple(symbol(d) if isinstance(d, str) else d for d in shape)
        value = self.graph.add_input(tensor(dtype, dims), f"x{len(self.arrays)}")
        self.arrays.append(fitted(value, np.asarray(array)))
        return value

    def random(self, kind: ScalarType, shape: Any) -> Array:
        if kind.is_float:
            return self.rng.standard_normal(shape)
        if kind.kind == "bool":
            return self.rng.random(shape) < 0.6
        return self.rng.integers(max(kind.min, -(2**20)), min(kind.max, 2**20), shape, endpoint=True)

    def const(self, kind: str, array: Any) -> Value:
        return self.b.const(np.asarray(array), scalar(kind))

    def module(self, *ops: Op | Value) -> Module:
        """The module that returns these."""
        self.b.add(Return(tuple(op if isinstance(op, Value) else self.b(op) for op in ops)))
        return Module([self.graph])

    def agree(self, *ops: Op | Value, steps: float = 0) -> bytes:
        """Assert that onnxruntime gives what the interpreter gives, integers to so many steps; the file."""
        module = self.module(*ops)
        results = interpret(module, self.arrays)
        for mine, theirs, value in zip(run_onnx(module, [self.arrays])[0], results, module.main.outputs, strict=True):
            assert (mine.dtype, mine.shape) == (theirs.dtype, theirs.shape)
            bound = RELATIVE.get(str(value.type.scalar), 0.0) * np.max(
                np.abs(theirs), initial=0, where=np.isfinite(theirs)
            )
            np.testing.assert_allclose(np.float64(mine), np.float64(theirs), rtol=0, atol=max(bound, steps))
        return file_of(module)


RELATIVE = {"f64": 1e-6, "f32": 1e-5, "f16": 2e-3, "bf16": 1e-2}
"""Of the largest value."""
