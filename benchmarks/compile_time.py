"""How long and how much memory a compile to an FPGA project takes, from a saved program, in a process of its own.

    python -m benchmarks.compile_time                        # a table, and compile_time.json
    python -m benchmarks.compile_time --model resnet18 --twice
    python -m benchmarks.compile_time --model deit_tiny --passes quant8,fuse --backend 'hls{style=engine}'

Weights and the 16 calibration images are random: figures for speed and size. Wall-clock time is only worth something on
a machine that does nothing else; processor time says what the compile itself needs.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.machine import facts
from benchmarks.models import MODELS

COLUMNS = ("command", "wall s", "cpu s", "peak MB", "files", "MB", "same bytes")
FIGURES = (
    "cycles per sample",
    "milliseconds per sample",
    "multipliers",
    "multipliers busy in these",
    "memory traffic per sample, bytes",
    "DSP, estimated",
    "BRAM36, estimated",
    "LUT, estimated",
    "fits zcu102, estimated",
)
"""Of the report of an engine."""
DEFAULT = ("resnet18", "resnet50", "mobilenet_v2", "deit_tiny")
SAMPLES = 16


def save(model: str, folder: Path) -> tuple[Path, Path]:
    """A model as a program file, and calibration data for it."""
    shape = (1, 3, 224, 224)
    program, calib = folder / f"{model}.pt2", folder / "calib.npz"
    torch.export.save(torch.export.export(MODELS[model].build(), (torch.zeros(shape),)), program)
    np.savez(calib, x=np.random.default_rng(0).standard_normal((SAMPLES, *shape[1:]), np.float32))
    return program, calib


def run(*arguments: str) -> dict[str, object]:
    """`irc ARGUMENTS` in a process of its own. Raises RuntimeError if it fails."""
    start = time.perf_counter()
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "irc", *arguments],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
    )
    _, status, used = os.wait4(pid, 0)
    if status:
        raise RuntimeError(f"irc {' '.join(arguments)} failed")
    return {
        "wall s": round(time.perf_counter() - start, 2),
        "cpu s": round(used.ru_utime + used.ru_stime, 2),
        "peak MB": round(used.ru_maxrss / 1024),
    }


def fastest(*arguments: str, runs: int = 5) -> dict[str, object]:
    """The run with the least wall-clock time."""
    return min((run(*arguments) for _ in range(runs)), key=lambda row: str(row["wall s"]))


def digest(artifact: Path) -> str:
    """A hash of the names and bytes of all files."""
    found = hashlib.sha256()
    for path in sorted(p for p in artifact.rglob("*") if p.is_file()):
        found.update(f"{path.relative_to(artifact)}\n{path.stat().st_size}\n".encode())
        found.update(path.read_bytes())
    return found.hexdigest()


def measure(model: str, passes: str, backend: str, twice: bool, folder: Path) -> dict[str, object]:
    """Compile a model, or compile it twice and compare the bytes; with the figures of its report."""
    program, calib = save(model, folder)
    digests: list[str] = []
    row: dict[str, object] = {}
    for index in range(2 if twice else 1):
        out = folder / f"{model}{index}.hls"
        options = ["--passes", passes, "--backend", backend, "--calib", str(calib), "--output", str(out), "--quiet"]
        measured = run("compile", str(program), *options)
        row = row or measured
        digests.append(digest(out))
    files = [p for p in (folder / f"{model}0.hls").rglob("*") if p.is_file()]
    size = round(sum(p.stat().st_size for p in files) / 2**20, 1)
    same = len(set(digests)) == 1 if twice else "not asked"
    summary = json.loads((folder / f"{model}0.hls" / "report.json").read_text())["summary"]
    figures = {name: summary[name] for name in FIGURES if name in summary}
    command = f"compile {model} {passes} {backend}"
    return {"command": command, **row, "files": len(files), "MB": size, "same bytes": same, **figures}


@click.command()
@click.option("--model", "models", multiple=True, type=click.Choice(DEFAULT), default=DEFAULT)
@click.option("--passes", default="quant4,fuse")
@click.option("--backend", default="hls")
@click.option("--twice", is_flag=True, help="Compile twice and compare the bytes.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("compile_time.json"))
def main(models: tuple[str, ...], passes: str, backend: str, twice: bool, out: Path) -> None:
    """Measure and print."""
    rows: list[dict[str, object]] = [{"command": "--help", **fastest("--help")}]
    for model in models:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(model, passes, backend, twice, Path(folder)))
        print(rows[-1], flush=True)
    table = Table(*COLUMNS)
    for row in rows:
        table.add_row(*(str(row.get(c, "")) for c in COLUMNS))
    Console().print(table)
    out.write_text(json.dumps({"machine": facts("torch", "numpy"), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
