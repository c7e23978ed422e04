"""Other runtimes, to compare with where they are installed: one thread, the same inputs."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from irc.ir.diagnostics import Diagnostic, ToolError, UsageError
from irc.ir.scalars import Array
from irc.tables import resolve

LINES = 5  # of what a runtime says that are shown

Run = Callable[[], object]
Torch = Callable[[Mapping[str, Array]], object]


def peer(name: str, inputs: Mapping[str, Array], onnx: Callable[[], str], torch: Torch | None) -> Run:
    """A function that runs a model once. `onnx` gives a file for runtimes that read one, `torch` runs PyTorch's model.

    Raises UsageError for an unknown runtime or one whose model is not given, ToolError if it is not installed or
    refuses the model, and what `onnx` raises.
    """
    if name == "torch":
        if torch is None:
            raise UsageError("--vs torch needs the PyTorch model", hint="--model FILE")
        return _torch(inputs, torch)
    if name not in READERS:
        raise UsageError(f"--vs {name}: no such runtime", hint=f"known: {', '.join((*READERS, 'torch'))}")
    return READERS[name](onnx(), inputs)


def installed(name: str) -> Any:
    """A package that may be there. Raises ToolError if it is not."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ToolError(f"--vs {name}: {name} is not installed", hint=f"pip install {name}") from error


def _torch(inputs: Mapping[str, Array], run: Torch) -> Run:
    installed("torch").set_num_threads(1)
    return lambda: run(inputs)


def onnxruntime(model: str | bytes, inputs: Mapping[str, Array]) -> Run:
    """A function that runs a file, or its content, once; it writes the same memory again and again.

    Raises ToolError if onnxruntime refuses the model.
    """
    return resolve("irc.backends.onnx_export.runtime:bound")(model, inputs)


def openvino(model: str, inputs: Mapping[str, Array]) -> Run:
    """A function that runs a file once, in f32 where that is written: OpenVINO would choose bf16 where a CPU has it.

    Raises ToolError if OpenVINO is not installed or refuses the model.
    """
    ov = installed("openvino")
    settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    try:
        compiled = ov.Core().compile_model(model, "CPU", {**settings, "PERFORMANCE_HINT": "LATENCY"})
    except RuntimeError as error:
        said = tuple(line for line in str(error).splitlines() if line.strip())[:LINES]
        raise ToolError(Diagnostic(f"openvino refuses {model}", notes=said)) from error
    request = compiled.create_infer_request()
    tensors = {port.any_name: ov.Tensor(inputs[port.any_name], shared_memory=True) for port in compiled.inputs}
    for name, tensor in tensors.items():
        request.set_tensor(name, tensor)
    request.infer()
    return lambda: request.infer()


READERS: dict[str, Callable[[str, Mapping[str, Array]], Run]] = {"onnxruntime": onnxruntime, "openvino": openvino}
