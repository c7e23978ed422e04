"""Whole models on the CPU backend beside onnxruntime, OpenVINO and torch: one thread, batch 1, input and output too.

    pip install -e '.[bench]'                                             # the peers
    python -m benchmarks.cpu_models                                       # all models: some minutes each
    python -m benchmarks.cpu_models --model deit_tiny --json results.json

Weights are random, so this says nothing about accuracy. Every runtime gets the same module: irc captures it, the peers
read one ONNX file. Their 8-bit models are onnxruntime's, quantized statically (QDQ, per channel, 7-bit weights where
the machine has no 8-bit dot product, as both runtimes advise: they add such products in 16 bits that saturate) and
dynamically. Ours are `quant8` (exact for 8-bit weights everywhere), the same with 7-bit weights, and `quant4` (W4A8).
Slices of all contenders alternate in one process, and count where a loop between them ran undisturbed.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import irc
from benchmarks.machine import facts
from benchmarks.models import MODELS
from irc.backends.cpu_simd.backend import CPU
from irc.backends.cpu_simd.isa import Isa, host
from irc.backends.cpu_simd.timing import peak_of
from irc.backends.cpu_simd.ukernels.dots import float_form
from irc.backends.measure import Times, interleaved
from irc.feedback import Feedback
from irc.ir.scalars import F32, Array
from irc.peers import onnxruntime, openvino

Run = Callable[[], object]
Inputs = Mapping[str, Array]
PASSES = {
    "f32": "clean,fuse",
    "int8": "quant8,fuse",
    "int8, 7-bit weights": "quant8{weights=7 ends=7},fuse",
    "w4a8": "quant4,fuse",
}
DEFAULT = ("deit_tiny", "deit_small", "resnet18", "resnet50", "mobilenet_v2", "minilm")
SLICES = 15
CALIBRATION = 4


def sample(model: str, seed: int) -> dict[str, Array]:
    """Random inputs of the types that the model takes; all tokens count."""
    rng = np.random.default_rng(seed)
    made: dict[str, Array] = {}
    for name, text in MODELS[model].inputs.items():
        shape = [int(d) for d in text[text.index("[") + 1 : -1].split(",")]
        if text.startswith("f32"):
            made[name] = rng.standard_normal(shape).astype(np.float32)
        else:
            made[name] = np.ones(shape, np.int64) if name == "attention_mask" else rng.integers(0, 1000, shape)
    return made


def tensors(x: Inputs) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(array) for array in x.values())


def ours(model: str, passes: str, x: Inputs, folder: Path, stack: ExitStack) -> Run:
    """The library of a model, called as the shortest way from Python."""
    module = irc.capture(MODELS[model].build(), tensors(x))
    samples = [sample(model, seed) for seed in range(CALIBRATION)]
    given = [value.name for value in module.main.inputs]
    calib = {name: np.concatenate([s[key] for s in samples]) for name, key in zip(given, x, strict=True)}
    artifact = irc.compile(module, out=folder / passes, passes=passes, backend="cpu", calib=calib)
    run = stack.enter_context(CPU.start(artifact.job(), artifact.path))
    arrays = [list(x.values())]
    return lambda: run(arrays)


def onnx_files(model: str, x: Inputs, folder: Path, isa: Isa) -> dict[str, Path]:
    """The module as ONNX: float, and quantized by onnxruntime in two ways."""
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_dynamic,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Samples(CalibrationDataReader):
        def __init__(self) -> None:
            self.rest: Iterator[Inputs] = iter([sample(model, seed) for seed in range(CALIBRATION)])

        def get_next(self) -> Inputs | None:
            return next(self.rest, None)

    files = {name: folder / f"{name}.onnx" for name in ("f32", "static int8", "dynamic int8")}
    prepared = folder / "prepared.onnx"
    narrow = isa.is_x86 and isa.dot != "vpdpbusd"
    torch.onnx.export(MODELS[model].build(), tensors(x), files["f32"], input_names=list(x), dynamo=False)
    quant_pre_process(files["f32"], prepared, skip_symbolic_shape=True)
    quantize_static(
        prepared,
        files["static int8"],
        Samples(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        reduce_range=narrow,
        weight_type=QuantType.QInt8,
    )
    quantize_dynamic(
        prepared, files["dynamic int8"], per_channel=True, reduce_range=narrow, weight_type=QuantType.QInt8
    )
    return files


def eager(model: str, x: Inputs) -> Run:
    module, given = MODELS[model].build(), tensors(x)

    def run() -> object:
        with torch.inference_mode():
            return module(*given)

    return run


def contenders(model: str, isa: Isa, folder: Path, stack: ExitStack) -> dict[str, Run]:
    """All runtimes on the same input."""
    x = sample(model, 99)
    found: dict[str, Run] = {f"irc {bits}": ours(model, p, x, folder, stack) for bits, p in PASSES.items()}
    for bits, file in onnx_files(model, x, folder, isa).items():
        found[f"onnxruntime {bits}"] = onnxruntime(str(file), x)
        if bits != "dynamic int8":  # a format of onnxruntime's own
            found[f"openvino {bits}"] = openvino(str(file), x)
    found["torch f32"] = eager(model, x)
    return found


def measured(model: str, isa: Isa, slices: int) -> dict[str, Times]:
    """Seconds of each contender."""
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        runs = contenders(model, isa, Path(folder), stack)
        peak = stack.enter_context(peak_of(isa, float_form(isa, F32)))
        return dict(interleaved(runs, peak, slices, Feedback().progress).times)


def table_of(model: str, times: Mapping[str, Times], title: str) -> Table:
    """Milliseconds, and how much longer than ours each takes."""
    table = Table(title=f"{model}, batch 1, one thread, random weights\n{title}")
    against = [f"irc {bits}" for bits in PASSES]
    for column in ("runtime", "ms", *(f"of {name}" for name in against), "undisturbed"):
        table.add_column(column)
    for name, time in times.items():
        ratios = (f"{time.median / times[other].median:.2f}" for other in against)
        table.add_row(name, f"{1e3 * time.median:.2f}", *ratios, "yes" if time.calm else "no")
    return table


@click.command()
@click.option("--model", "models", multiple=True, type=click.Choice(sorted(MODELS)), default=DEFAULT)
@click.option("--slices", default=SLICES, help="Timed slices of each contender.")
@click.option("--json", "out", type=click.Path(path_type=Path), default=None)
def main(models: tuple[str, ...], slices: int, out: Path | None) -> None:
    """Measure models; one line a runtime."""
    logging.disable(logging.WARNING)  # onnxruntime's quantizer warns of every layer norm
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    isa = host()
    told = {**facts("numpy", "torch", "onnx", "onnxruntime", "openvino", "llvmlite"), "target": isa.name}
    results: list[dict[str, Any]] = []
    for model in models:
        times = measured(model, isa, slices)
        results += [
            {"model": model, "runtime": name, "ms": round(1e3 * t.median, 3), "undisturbed": t.calm}
            for name, t in times.items()
        ]
        Console(width=140).print(table_of(model, times, f"{told['cpu']}, {isa.name}"))
        if out is not None:
            out.write_text(json.dumps({"machine": told, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
