"""Running a file: the one module that knows the package `onnxruntime`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # pyright: ignore[reportMissingTypeStubs]

from irc.ir.diagnostics import IrcError, ToolError
from irc.ir.scalars import Array

ERRORS_ONLY = 3
AS_WRITTEN = ("session.disable_quant_qdq", "1")
"""Quantized layers are computed as the file says, in floats between the codes. The 8-bit kernels that onnxruntime would
put in their place add products in 16 bits on machines without an 8-bit dot product, where they saturate."""

Session = Callable[[Sequence[Array]], list[Array]]


def opened(model: Path | bytes) -> Session:
    """A function that runs a model: the inputs in order, to the outputs in order.

    Raises ToolError if onnxruntime refuses the model; the function raises IrcError if it fails on the inputs.
    """
    runtime: Any = onnxruntime
    options = runtime.SessionOptions()
    options.log_severity_level = ERRORS_ONLY
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry(*AS_WRITTEN)
    source = model if isinstance(model, bytes) else str(model)
    try:
        session = runtime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # it has a class of its own for everything
        said = f"onnxruntime {runtime.__version__} refuses the model: {error}"
        raise ToolError(said) from error
    names = [port.name for port in session.get_inputs()]

    def run(arrays: Sequence[Array]) -> list[Array]:
        try:
            results = session.run(None, dict(zip(names, arrays, strict=True)))
        except Exception as error:
            raise IrcError(f"onnxruntime failed: {error}") from error
        return [np.asarray(array) for array in results]

    return run
