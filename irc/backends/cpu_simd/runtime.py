"""Running a program in this process: NumPy arrays in, NumPy arrays out."""

from __future__ import annotations

import ctypes
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from irc.backends.cpu_simd.codegen.llvm import function, loaded, object_code
from irc.backends.cpu_simd.isa import Isa, runs_here
from irc.backends.cpu_simd.plan import ALIGNMENT
from irc.backends.cpu_simd.program import Program
from irc.backends.cpu_simd.views import View
from irc.ir.diagnostics import IrcError, ToolError
from irc.ir.dims import evaluate
from irc.ir.graph import Graph
from irc.ir.interpret import arrange_inputs, bind_dims, interpret
from irc.ir.scalars import Array

ERRORS = {1: "an index of a gather is out of range"}
"""What a run may return but 0."""


def aligned_bytes(size: int) -> Array:
    """Memory of so many bytes that begins at a cache line."""
    raw = np.empty(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size]


@dataclass(eq=False)
class Session:
    """A loaded program: call it with the inputs of its graph."""

    graph: Graph
    program: Program
    run: Any
    workspace_bytes: Any
    weights: Array
    workspace: Array = field(default_factory=lambda: aligned_bytes(0))
    dims: Array = field(default_factory=lambda: np.zeros(1, np.int64))

    def __call__(self, inputs: Sequence[Array]) -> list[Array]:
        """The results of one run. Raises IrcError for arrays that do not fit."""
        arrays = [np.asarray(a, order="C") for a in arrange_inputs(self.graph, inputs)]
        known = bind_dims(self.graph, arrays)
        self.dims = np.array([known[name] for name in self.program.symbols] or [0], np.int64)
        outputs = [
            np.empty(tuple(evaluate(d, known) for d in v.type.shape), v.type.scalar.dtype) for v in self.graph.outputs
        ]
        needed = self.workspace_bytes(self.dims.ctypes.data)
        if len(self.workspace) < needed:
            self.workspace = aligned_bytes(needed)
        status = self.run(
            pointers(arrays),
            pointers(outputs),
            self.dims.ctypes.data,
            self.weights.ctypes.data,
            self.workspace.ctypes.data,
        )
        if status:
            raise self.failure(status, arrays)
        return outputs

    def failure(self, status: int, inputs: Sequence[Array]) -> IrcError:
        """What a run failed on. A status does not say where, so the interpreter does, which fails on the same."""
        assert self.graph.module is not None
        try:
            interpret(self.graph.module, inputs, function=self.graph.name)
        except IrcError as error:
            return error
        return IrcError(ERRORS.get(status, f"a kernel failed with status {status}"))

    def read(self, view: View) -> Array:
        """What lies in the workspace, among the weights or nowhere else, after the last run."""
        known = dict(zip(self.program.symbols, self.dims.tolist(), strict=False))
        memory = {"workspace": self.workspace, "weights": self.weights}[view.buffer.space]
        start = self.program.offset(view.buffer, known) + evaluate(view.offset, known) * view.size_bytes
        shape = tuple(evaluate(d, known) for d in view.shape)
        strides = tuple(evaluate(d, known) * view.size_bytes for d in view.strides)
        codes = np.ndarray(shape, view.scalar.dtype, memory.data, start, strides)
        return codes - np.array(view.buffer.shift) if view.buffer.shift else codes.copy()


def pointers(arrays: Sequence[Array]) -> Any:
    """A C array of the addresses of arrays."""
    return (ctypes.c_void_p * max(1, len(arrays)))(*(a.ctypes.data for a in arrays))


@contextmanager
def session(graph: Graph, program: Program, isa: Isa) -> Generator[Session]:
    """A program of this machine, loaded. Raises ToolError if the machine cannot run it."""
    if not runs_here(isa):
        raise ToolError(
            f"this machine cannot run {isa.name} code", hint="use --target host, or run it on such a machine"
        )
    code = object_code(program.text(isa.features, isa.cpu), isa.triple, isa.cpu, isa.features)
    weights = aligned_bytes(len(program.weights))
    weights[:] = np.frombuffer(program.weights, np.uint8)
    with loaded(code) as address:
        run = function(address(f"{program.name}_run"), ctypes.c_int32, *[ctypes.c_void_p] * 5)
        size = function(address(f"{program.name}_workspace"), ctypes.c_int64, ctypes.c_void_p)
        yield Session(graph, program, run, size, weights)
