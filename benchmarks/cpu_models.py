"""Whole models on the CPU backend beside onnxruntime, OpenVINO and torch: one thread, batch 1, input and output too.

    python -m benchmarks.cpu_models --model deit_tiny --json results.json
    pip install -e '.[bench]'                                             # the peers

Weights are random, so this says nothing about accuracy. Every runtime gets the same module: irc captures it, the peers
read one ONNX file; their 8-bit models are onnxruntime's static quantization (QDQ, per channel) of that file, ours is
`quant8`. Runs are interleaved in one process, in rounds; the table shows medians, and how much longer each peer takes.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import irc
from benchmarks.models import MODELS
from irc.backends.cpu_simd.backend import CPU
from irc.ir.scalars import Array

Run = Callable[[], object]
PASSES = {"f32": "clean,fuse", "int8": "quant8,fuse", "w4a8": "quant4,fuse"}
ROUNDS = 30


def sample(model: str, seed: int) -> Array:
    """A random image of the size that the model takes."""
    (text,) = MODELS[model].inputs.values()
    shape = [int(d) for d in text[text.index("[") + 1 : -1].split(",")]
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def ours(model: str, bits: str, x: Array, stack: ExitStack) -> Run:
    module = irc.capture(MODELS[model].build(), (torch.from_numpy(x),))
    (name,) = (v.name for v in module.main.inputs)
    calib = {name: np.concatenate([sample(model, seed) for seed in range(4)])}
    artifact = irc.compile(module, passes=PASSES[bits], backend="cpu", calib=calib)
    run = stack.enter_context(CPU.start(artifact.job(), artifact.path))
    return lambda: run([[x]])


def onnx_files(model: str, x: Array, folder: Path) -> dict[str, Path]:
    """The module as ONNX, float and statically quantized by onnxruntime."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Samples(CalibrationDataReader):
        def __init__(self) -> None:
            self.rest: Iterator[dict[str, Array]] = iter([{"x": sample(model, seed)} for seed in range(4)])

        def get_next(self) -> dict[str, Array] | None:
            return next(self.rest, None)

    files = {"f32": folder / "f32.onnx", "int8": folder / "int8.onnx"}
    torch.onnx.export(MODELS[model].build(), (torch.from_numpy(x),), files["f32"], input_names=["x"], dynamo=False)
    quant_pre_process(files["f32"], folder / "prepared.onnx", skip_symbolic_shape=True)
    quantize_static(folder / "prepared.onnx", files["int8"], Samples(), quant_format=QuantFormat.QDQ, per_channel=True)
    return files


def onnxruntime(file: Path, x: Array) -> Run:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": x})


def openvino(file: Path, x: Array) -> Run:
    import openvino as ov

    settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    request = ov.Core().compile_model(file, "CPU", settings).create_infer_request()
    return lambda: request.infer({"x": x})


def eager(model: str, x: Array) -> Run:
    module, given = MODELS[model].build(), torch.from_numpy(x)

    def run() -> object:
        with torch.inference_mode():
            return module(given)

    return run


def measured(runs: dict[str, Run], rounds: int) -> dict[str, float]:
    """Median milliseconds of each, taken in turns."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(values) for name, values in times.items()}


def machine() -> dict[str, str]:
    """What the figures depend on."""
    versions = {name: __import__(name).__version__ for name in ("numpy", "torch", "onnxruntime", "openvino")}
    with Path("/proc/cpuinfo").open() as lines:
        cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return {"cpu": cpu, "target": CPU.find_target("host").name, **versions}


@click.command()
@click.option("--model", "models", multiple=True, type=click.Choice(sorted(MODELS)), default=["deit_tiny", "resnet18"])
@click.option("--rounds", default=ROUNDS)
@click.option("--json", "out", type=click.Path(path_type=Path), default=None)
def main(models: tuple[str, ...], rounds: int, out: Path | None) -> None:
    """Measure models; one line a runtime."""
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    facts = machine()
    results: list[dict[str, Any]] = []
    for model in models:
        x = sample(model, 99)
        with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
            files = onnx_files(model, x, Path(folder))
            runs: dict[str, Run] = {f"irc {bits}": ours(model, bits, x, stack) for bits in PASSES}
            for bits, file in files.items():
                runs[f"onnxruntime {bits}"] = onnxruntime(file, x)
                runs[f"openvino {bits}"] = openvino(file, x)
            runs["torch f32"] = eager(model, x)
            times = measured(runs, rounds)
        results += [{"model": model, "runtime": name, "ms": round(ms, 3)} for name, ms in times.items()]
        table = Table(title=f"{model}, batch 1, one thread, random weights: {facts['cpu']}, {facts['target']}")
        for column in ("runtime", "ms", "of irc f32", "of irc int8"):
            table.add_column(column)
        for name, ms in times.items():
            table.add_row(name, f"{ms:.2f}", f"{ms / times['irc f32']:.2f}", f"{ms / times['irc int8']:.2f}")
        Console().print(table)
    if out is not None:
        out.write_text(json.dumps({"machine": facts, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
