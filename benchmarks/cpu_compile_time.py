"""How long a model takes to become a native library, phase by phase, beside torch.compile on the same model.

    python -m benchmarks.cpu_compile_time                           # a table
    python -m benchmarks.cpu_compile_time --model resnet50 --json compile.json

Every row is a process of its own, so nothing is loaded before; importing packages and building the model do not count.
Capture is torch.export and the import into our graph. Passes include calibration and rounding where the pipeline
quantizes. Lowering makes LLVM text of a graph, the library is machine code, object, archive, shared library and header,
and the artifact is what `irc compile` adds: golden vectors of the interpreter, weights, texts, report, hashes. For
torch.compile, the first call with its caches off. Random weights.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import irc
from benchmarks.cpu_models import CALIBRATION, sample, tensors
from benchmarks.machine import facts
from benchmarks.models import MODELS
from irc.backends.base import Job
from irc.backends.cpu_simd.backend import CPU
from irc.passes.base import build

PHASES = ("capture", "passes", "lowering", "library", "irc compile", "torch.compile")
PIPELINES = ("clean,fuse", "quant8,fuse")
DEFAULT = ("deit_tiny", "resnet50", "mobilenet_v2", "resnet18")


def ours(model: str, passes: str) -> dict[str, float]:
    """Seconds of each phase, and of the whole from a captured module to an artifact."""
    x = sample(model, 0)
    module_ = MODELS[model].build()
    clock = [time.perf_counter()]

    def lap() -> float:
        clock.append(time.perf_counter())
        return clock[-1] - clock[-2]

    module = irc.capture(module_, tensors(x))
    found = {"capture": lap()}
    samples = [sample(model, seed) for seed in range(CALIBRATION)]
    given = [value.name for value in module.main.inputs]
    calib = {name: np.concatenate([s[key] for s in samples]) for name, key in zip(given, x, strict=True)}
    lap()
    lowered = irc.apply(module, f"{passes},{CPU.pipeline}", calib=calib)
    found["passes"] = lap()
    job = Job(lowered, CPU.find_target(""), build(CPU.options, {}))
    compiled = CPU.lower(job)
    found["lowering"] = lap()
    with TemporaryDirectory() as folder:
        lap()
        CPU.emit(job, compiled, Path(folder))
        found["library"] = lap()
        lap()
        irc.compile(module, out=Path(folder) / "artifact", passes=passes, backend="cpu", calib=calib)
        found["irc compile"] = lap()
    return found


def theirs(model: str, passes: str) -> dict[str, float]:
    """Seconds until torch.compile has run the model once, on one thread."""
    torch.set_num_threads(1)
    module, x = MODELS[model].build(), tensors(sample(model, 0))
    started = time.perf_counter()
    with torch.inference_mode():
        torch.compile(module)(*x)
    return {"torch.compile": time.perf_counter() - started}


def in_process(what: str, model: str, passes: str) -> dict[str, float]:
    """The same in a process of its own."""
    arguments = [sys.executable, "-W", "ignore", "-m", __spec__.name, "--only", what, "--model", model]
    environment = os.environ | {"TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"}
    done = subprocess.run([*arguments, "--passes", passes], env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@click.command()
@click.option("--model", "models", multiple=True, type=click.Choice(sorted(MODELS)), default=DEFAULT)
@click.option("--passes", "pipelines", multiple=True, default=PIPELINES)
@click.option("--only", type=click.Choice(["ours", "theirs"]), hidden=True)
@click.option("--json", "path", type=click.Path(path_type=Path))
def main(models: tuple[str, ...], pipelines: tuple[str, ...], only: str | None, path: Path | None) -> None:
    """Measure and print."""
    if only is not None:
        print(json.dumps({"ours": ours, "theirs": theirs}[only](models[0], pipelines[0])))
        return
    table = Table("model", "passes", *(f"{phase}, s" for phase in PHASES))
    records: list[dict[str, Any]] = []
    for model in models:
        peer = in_process("theirs", model, pipelines[0])
        for passes in pipelines:
            found = in_process("ours", model, passes) | peer
            records.append({"model": model, "passes": passes, **found})
            table.add_row(model, passes, *(f"{found[phase]:.2f}" for phase in PHASES))
    Console(width=140).print(table)
    if path is not None:
        path.write_text(
            json.dumps({"machine": facts("torch", "numpy", "llvmlite"), "records": records}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
