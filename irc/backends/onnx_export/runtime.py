"""Running a file: the one module that knows the package `onnxruntime`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # pyright: ignore[reportMissingTypeStubs]

from irc.ir.diagnostics import Diagnostic, IrcError, ToolError
from irc.ir.scalars import Array

ERRORS_ONLY = 3
LINES = 5  # of what it says that are shown
AS_WRITTEN = ("session.disable_quant_qdq", "1")
"""Quantized layers are computed as the file says, in floats between the codes. The 8-bit kernels that onnxruntime would
put in their place add products in 16 bits on machines without an 8-bit dot product, where they saturate."""

Session = Callable[[Sequence[Array]], list[Array]]


def session(model: str | bytes, *entries: tuple[str, str], optimized: bool = True) -> Any:
    """A session of one thread that says nothing but errors, with configuration entries.

    Raises ToolError if onnxruntime refuses the model.
    """
    runtime: Any = onnxruntime
    options = runtime.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    if not optimized:
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    for entry in entries:
        options.add_session_config_entry(*entry)
    try:
        return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # it has a class of its own for everything
        said = tuple(line for line in str(error).splitlines() if line.strip())[:LINES]
        place = "a model" if isinstance(model, bytes) else model
        raise ToolError(Diagnostic(f"onnxruntime {runtime.__version__} refuses {place}", notes=said)) from error


def opened(model: Path | bytes, *, optimized: bool = True) -> Session:
    """A function that runs a model as it is written: the inputs in order, to the outputs in order.

    A model whose outputs are all of its values is not to be `optimized`: onnxruntime loses some that it moves.

    Raises ToolError if onnxruntime refuses the model; the function raises IrcError if it fails on the inputs.
    """
    made = session(str(model) if isinstance(model, Path) else model, AS_WRITTEN, optimized=optimized)
    names = [port.name for port in made.get_inputs()]

    def run(arrays: Sequence[Array]) -> list[Array]:
        try:
            results = made.run(None, dict(zip(names, arrays, strict=True)))
        except Exception as error:
            raise IrcError(f"onnxruntime failed: {error}") from error
        return [np.asarray(array) for array in results]

    return run


def bound(model: str | bytes, inputs: Mapping[str, Array]) -> Callable[[], object]:
    """A function that runs a model once, on the same memory again and again, as onnxruntime is fastest."""
    made = session(model)
    binding = made.io_binding()
    for name, array in inputs.items():
        binding.bind_cpu_input(name, array)
    for output in made.get_outputs():
        binding.bind_output(output.name)
    try:
        made.run_with_iobinding(binding)
    except Exception as error:
        raise IrcError(f"onnxruntime failed: {error}") from error
    for output, value in zip(made.get_outputs(), binding.get_outputs(), strict=True):
        binding.bind_ortvalue_output(output.name, value)
    return lambda: made.run_with_iobinding(binding)
