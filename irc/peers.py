"""Other runtimes, to compare with where they are installed: one thread, the same inputs."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from irc.ir.diagnostics import Diagnostic, ToolError, UsageError
from irc.ir.scalars import Array

LINES = 5  # of what a runtime says that are shown

Run = Callable[[], object]
Torch = Callable[[Mapping[str, Array]], object]


def peer(name: str, inputs: Mapping[str, Array], onnx: str | None, torch: Torch | None) -> Run:
    """A function that runs a model once. `onnx` is a file for runtimes that read one, `torch` runs PyTorch's model.

    Raises UsageError for an unknown runtime or one whose model is not given, ToolError if it is not installed or
    refuses the model.
    """
    if name == "torch":
        if torch is None:
            raise UsageError("--vs torch needs the PyTorch model", hint="--model FILE")
        return _torch(inputs, torch)
    if name not in READERS:
        raise UsageError(f"--vs {name}: no such runtime", hint=f"known: {', '.join((*READERS, 'torch'))}")
    if onnx is None:
        raise UsageError(f"--vs {name} needs the model as ONNX, which irc does not write yet", hint="--onnx FILE")
    try:
        return READERS[name](onnx, inputs)
    except (RuntimeError, ValueError, OSError) as error:
        said = tuple(line for line in str(error).splitlines() if line.strip())[:LINES]
        raise ToolError(Diagnostic(f"{name} cannot run {onnx}", notes=said)) from error


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

    Raises ToolError if onnxruntime is not installed, RuntimeError if it refuses the model.
    """
    ort = installed("onnxruntime")
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        binding = session.io_binding()
        for name, array in inputs.items():
            binding.bind_cpu_input(name, array)
        for output in session.get_outputs():
            binding.bind_output(output.name)
        session.run_with_iobinding(binding)
        for output, value in zip(session.get_outputs(), binding.get_outputs(), strict=True):
            binding.bind_ortvalue_output(output.name, value)
    except Exception as error:  # it has a class of its own for everything
        raise RuntimeError(str(error)) from error
    return lambda: session.run_with_iobinding(binding)


def _openvino(model: str, inputs: Mapping[str, Array]) -> Run:
    ov = installed("openvino")
    settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    request = ov.Core().compile_model(model, "CPU", settings).create_infer_request()
    tensors = {name: ov.Tensor(array, shared_memory=True) for name, array in inputs.items()}
    for name, tensor in tensors.items():
        request.set_tensor(name, tensor)
    request.infer()
    return lambda: request.infer()


READERS: dict[str, Callable[[str, Mapping[str, Array]], Run]] = {"onnxruntime": onnxruntime, "openvino": _openvino}
