"""The backend `onnx`: a model file for other runtimes, run and checked by onnxruntime."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from irc.backends.base import Backend, Job, ReportData, Runner
from irc.backends.onnx_export.lower import LOWERINGS
from irc.backends.onnx_export.lowering import Lowering
from irc.backends.onnx_export.proto import IR_VERSION, OPSET, OnnxModel, serialized, write_beside
from irc.backends.onnx_export.runtime import opened
from irc.backends.onnx_export.scalars import width_is_4
from irc.backends.onnx_export.tolerance import allowed
from irc.ir.diagnostics import IrcError
from irc.ir.files import make_parent, unwritable
from irc.ir.graph import Value
from irc.ir.ops.structure import Kernel
from irc.ir.scalars import Array

MODEL = "model.onnx"
SATURATES = (
    "irc runs the file as written (session.disable_quant_qdq=1). Left to itself, onnxruntime puts 8-bit kernels in "
    "place of quantized layers, which saturate at 16 bits on CPUs without an 8-bit dot product: set that entry, or "
    "compile with 7-bit weights, qdq8{weights=7 ends=7}"
)
LARGEST = 2**31 - 2**20
"""Bytes of weights inside a file: Protocol Buffers end at 2 GB."""


@dataclass(frozen=True)
class Options:
    """An ONNX file: standard operators, floats, QuantizeLinear and DequantizeLinear, or integers only."""

    name: ClassVar[str] = "onnx"
    weights: Literal["embed", "file"] = "embed"  # inside model.onnx, or beside it in model.onnx.data


@dataclass(frozen=True)
class Format:
    """What a file may contain."""

    name: str
    summary: str
    opset: int
    ir_version: int


OnnxJob = Job[Format, Options]


def operators(job: OnnxJob) -> Lowering:
    """The graph of a job as operators. Raises IrcError with everything that cannot be written."""
    nodes = [node for node in job.module.main.walk() if not node.terminator and not isinstance(node, Kernel)]
    if unsupported := ONNX.unsupported(nodes):
        raise IrcError(unsupported)
    lowering = Lowering(job.module.main, ONNX.lowering)
    lowering.run()
    if lowering.found:
        raise IrcError(lowering.found)
    return lowering


def lower(job: OnnxJob) -> OnnxModel:
    """The model whose outputs are those of `main`. Raises IrcError with everything that stands against it."""
    lowering, graph = operators(job), job.module.main
    model = lowering.model(dict(zip(lowering.outputs, graph.outputs, strict=True)), list(graph.inputs))
    if job.options.weights == "embed" and model.weight_bytes > LARGEST:
        message = f"onnx: {model.weight_bytes} bytes of weights do not fit one file"
        raise IrcError(message, hint="onnx{weights=file} keeps them beside it")
    return model


def emit(job: OnnxJob, lowered: OnnxModel, folder: Path) -> ReportData:
    """Write `model.onnx`."""
    write(lowered, folder / MODEL, job.options)
    return estimate(job, lowered)


def estimate(job: OnnxJob, lowered: OnnxModel) -> ReportData:
    """The size of the file, and what onnxruntime may make of it."""
    summary = {"ONNX operators": len(lowered.nodes), "bytes of weights in the file": lowered.weight_bytes}
    return {"summary": summary, "notes": [SATURATES] if _may_saturate(lowered) else []}


def _may_saturate(model: OnnxModel) -> bool:
    """Whether two products of 8-bit codes may not fit 16 bits: quantized activations meet weights of all 8 bits."""
    read = {node.inputs[0] for node in model.nodes if node.op == "DequantizeLinear"}
    whole = any(t.name in read and t.kind == "int8" and np.any(np.abs(t.array.astype(int)) > 64) for t in model.tensors)
    return whole and any(node.op == "QuantizeLinear" for node in model.nodes)


def export(job: OnnxJob, path: Path) -> list[Path]:
    """Write the model of a job to a file of the user's; what was written. Raises UsageError if it cannot be written."""
    model = lower(job)
    try:
        make_parent(path)
        return write(model, path, job.options)
    except OSError as error:
        raise unwritable(path, error) from error


def write(model: OnnxModel, path: Path, options: Options) -> list[Path]:
    """Write a model to a file, maybe with a file of weights beside it; which these are."""
    if options.weights == "embed":
        path.write_bytes(serialized(model))
        return [path]
    weights = path.with_name(f"{path.name}.data")
    write_beside(model, path, weights.name)
    return [path, weights]


@contextmanager
def start(job: OnnxJob, folder: Path) -> Generator[Runner]:
    """Open the file of the artifact in onnxruntime."""
    run = opened(folder / MODEL)
    yield lambda calls: [run(arrays) for arrays in calls]


def trace(job: OnnxJob, folder: Path, inputs: Sequence[Array]) -> Iterator[tuple[Value, Array]]:
    """Every value of one run of the same operators, in a model that has all of them as outputs."""
    lowering, graph = operators(job), job.module.main
    shown = [value for value in lowering.names if value.node is not None and not width_is_4(lowering.kind(value))]
    outputs = {lowering.writer.name(f"trace{i}"): value for i, value in enumerate(shown)}
    run = opened(serialized(lowering.model(outputs, list(graph.inputs))), optimized=False)
    yield from zip(shown, run(inputs), strict=True)


ONNX: Backend[Format, Options, OnnxModel] = Backend(
    name="onnx",
    summary="an ONNX file of standard operators, for other runtimes; run and checked by onnxruntime",
    options=Options,
    targets={
        "opset21": Format("opset21", "what onnxruntime 1.20 and newer read", OPSET, IR_VERSION),
    },
    target="opset21",
    lower=lower,
    emit=emit,
    start=start,
    trace=trace,
    estimate=estimate,
    tolerance=allowed,
    lowerings=LOWERINGS,
    reasons={
        "return": "it names the outputs of the file",
        "yield": "it ends a kernel region, whose operators are written one by one",
        "kernel": "its operators are written one by one",
        "call": "inline puts the body of the function in its place",
    },
    pipeline="inline,dce",
    requant="fixed",
    islands=(),
)
