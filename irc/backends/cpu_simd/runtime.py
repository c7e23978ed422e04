"""Running a library in this process: NumPy arrays in, NumPy arrays out."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from irc.backends.cpu_simd.abi import ABI_VERSION, STATUS, weights_header
from irc.backends.cpu_simd.codegen.llvm import function, loaded
from irc.backends.cpu_simd.crew import Crew, hired
from irc.backends.cpu_simd.isa import Isa, runs_here
from irc.backends.cpu_simd.library import NAME, object_of
from irc.backends.cpu_simd.memory import aligned_bytes
from irc.backends.cpu_simd.program import Program
from irc.backends.cpu_simd.views import View
from irc.ir.diagnostics import InternalError, IrcError, ToolError, UsageError
from irc.ir.dims import evaluate
from irc.ir.graph import Graph
from irc.ir.interpret import arrange_inputs, bind_dims, fitted, interpret
from irc.ir.scalars import Array

MODEL_BYTES = 16
"""What `NAME_init` fills in."""


@dataclass(eq=False)
class Session:
    """A loaded library: call it with the inputs of its graph. Not for several threads at once."""

    graph: Graph
    run: Any
    workspace_bytes: Any
    model: Array
    crew: Crew | None = None
    workspace: Array = field(default_factory=lambda: aligned_bytes(0))
    known: Mapping[str, int] = field(default_factory=dict[str, int])  # the symbols of the last run

    def __call__(self, inputs: Sequence[Array], out: Sequence[Array] | None = None) -> list[Array]:
        """The results of one run, in arrays of the caller's if `out` gives them.

        Inputs are read where they lie if they have the type of the graph and are contiguous and aligned, else copied.
        Raises IrcError for inputs that do not fit and UsageError for outputs that cannot be written.
        """
        call, outputs = self.prepared(inputs, out)
        status = call()
        if status:
            raise self._failure(status, inputs)
        return outputs

    def _failure(self, status: int, inputs: Sequence[Array]) -> IrcError:
        """What a run failed on. A status does not say where, so the interpreter does, which fails on the same."""
        assert self.graph.module is not None
        try:
            interpret(self.graph.module, inputs, function=self.graph.name)
        except IrcError as error:
            return error
        return InternalError(f"the library fails where the interpreter does not: {STATUS[status][1]}")

    def prepared(
        self, inputs: Sequence[Array], out: Sequence[Array] | None = None
    ) -> tuple[Callable[[], int], list[Array]]:
        """A function that runs on these arrays and gives a status, and the arrays that it writes."""
        given = arrange_inputs(self.graph, inputs)
        fitting = [fitted(value, array) for value, array in zip(self.graph.inputs, given, strict=True)]
        arrays: list[Array] = [np.require(array, requirements=["C", "A"]) for array in fitting]
        self.known = bind_dims(self.graph, arrays)
        outputs = self._outputs(out, arrays)
        dims = np.array([self.known[name] for name in self.graph.symbols] or [0], np.int64)
        needed = self.workspace_bytes(dims.ctypes.data)
        if len(self.workspace) < needed:
            self.workspace = aligned_bytes(needed)
        tables = pointers(arrays), pointers(outputs)
        kept = (arrays, outputs, dims, self.workspace, self.model, *tables)
        places = [self.model.ctypes.data, dims.ctypes.data, *map(ctypes.addressof, tables)]
        places += [self.workspace.ctypes.data, len(self.workspace)]
        places += [] if self.crew is None else [self.crew.ready(dims.ctypes.data).ctypes.data]

        def call(run: Any = self.run, places: Sequence[int] = tuple(places), kept: Any = kept) -> int:
            return run(*places)

        return call, outputs

    def _outputs(self, out: Sequence[Array] | None, inputs: Sequence[Array]) -> list[Array]:
        wanted = [
            (tuple(evaluate(d, self.known) for d in v.type.shape), v.type.scalar.dtype) for v in self.graph.outputs
        ]
        if out is None:
            return [np.empty(shape, dtype) for shape, dtype in wanted]
        if len(out) != len(wanted):
            raise UsageError(f"@{self.graph.name} gives {len(wanted)} outputs, {len(out)} arrays are given for them")
        for place, (array, (shape, dtype)) in enumerate(zip(out, wanted, strict=True)):
            if problem := _output_problem(array, shape, dtype):
                raise UsageError(f"the array for output {place} {problem}")
            if any(np.may_share_memory(array, other) for other in (*inputs, *out[:place])):
                raise UsageError(f"the array for output {place} shares memory with an input or another output")
        return list(out)

    def read(self, program: Program, view: View, outputs: Sequence[Array]) -> Array:
        """What lies in the workspace or in its outputs after the last run, or among the weights."""
        start = evaluate(view.offset, self.known) * view.size_bytes
        if view.buffer.space == "output":
            memory = outputs[view.buffer.index]
        else:
            start += program.offset(view.buffer, self.known)
            memory = np.frombuffer(program.weights, np.uint8) if view.buffer.space == "weights" else self.workspace
        shape = tuple(evaluate(d, self.known) for d in view.shape)
        strides = tuple(evaluate(d, self.known) * view.size_bytes for d in view.strides)
        codes = np.ndarray(shape, view.scalar.dtype, memory.data, start, strides)
        return codes - np.array(view.buffer.shift) if view.buffer.shift else codes.copy()


def _output_problem(given: object, shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    if not isinstance(given, np.ndarray):
        return f"is a {type(given).__name__}, not a NumPy array"
    array = cast("Array", given)
    if array.dtype != dtype or array.shape != shape:
        return f"is {array.dtype}{list(array.shape)}, expected {dtype}{list(shape)}"
    if not (array.flags.c_contiguous and array.flags.aligned):
        return "has gaps between its elements or is not aligned: np.empty gives one that fits"
    return "" if array.flags.writeable else "cannot be written"


def pointers(arrays: Sequence[Array]) -> Any:
    """A C array of the addresses of arrays."""
    return (ctypes.c_void_p * max(1, len(arrays)))(*(a.ctypes.data for a in arrays))


@contextmanager
def session(graph: Graph, program: Program, isa: Isa, *, threads: int = 1) -> Generator[Session]:
    """A program compiled for this process. Raises ToolError if the machine cannot run it."""
    require(isa)
    (code,) = object_of(program, graph, isa)
    with opened(graph, code, isa, file_of(program.weights), threads=threads) as found:
        yield found


def require(isa: Isa) -> None:
    """Raise ToolError if this machine cannot run an instruction set."""
    if not runs_here(isa):
        raise ToolError(
            f"this machine cannot run {isa.name} code",
            hint="compile with --target=host, or run it on such a machine: lib/ needs neither Python nor irc",
        )


def file_of(weights: bytes) -> Array:
    """Weights as the library takes them: in aligned memory, with their header."""
    return in_memory(weights_header(weights) + weights)


def in_memory(content: bytes) -> Array:
    """Bytes where a vector may be read from."""
    memory = aligned_bytes(len(content))
    memory[:] = np.frombuffer(content, np.uint8)
    return memory


@contextmanager
def opened(
    graph: Graph, code: bytes, isa: Isa, weights: Array | None, name: str = NAME, *, threads: int = 1
) -> Generator[Session]:
    """The library of an object file, with the weights of a file or its own, run by so many threads.

    Raises ToolError as `require` does, and UsageError for a number of threads that cannot be.
    """
    require(isa)
    with loaded(code) as address:
        init = function(
            address(f"{name}_init"), ctypes.c_int32, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_size_t
        )
        model = aligned_bytes(MODEL_BYTES)
        place, size = (None, 0) if weights is None else (weights.ctypes.data, len(weights))
        status = init(model.ctypes.data, ABI_VERSION, place, size)
        if status:
            raise IrcError(f"the library cannot be used: {STATUS[status][1]}", hint="compile the model again")
        bytes_of = function(address(f"{name}_workspace_bytes"), ctypes.c_int64, ctypes.c_void_p)
        given = (*[ctypes.c_void_p] * 5, ctypes.c_size_t)
        with hired(threads, model, lambda what: address(f"{name}_{what}")) as crew:
            if crew is None:
                run = function(address(f"{name}_run"), ctypes.c_int32, *given)
            else:
                run = function(address(f"{name}_run_team"), ctypes.c_int32, *given, ctypes.c_void_p)
            yield Session(graph, run, bytes_of, model, crew)
