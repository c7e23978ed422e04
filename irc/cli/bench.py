"""`irc bench`: how fast an artifact is on this machine, where its time goes, and how others do."""

from __future__ import annotations

import json
import resource
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import click

from irc.backends.artifact import Artifact
from irc.backends.base import Subject
from irc.backends.execute import calls_of
from irc.backends.measure import Measured, interleaved
from irc.cli.options import (
    data_option,
    feedback,
    json_option,
    load_option,
    model_options,
    reading,
    threads_option,
    voice_options,
)
from irc.cli.output import table
from irc.driver import Settings, export, read_torch
from irc.feedback import Feedback
from irc.ir.diagnostics import UsageError
from irc.ir.scalars import Array
from irc.passes.base import Progress
from irc.peers import peer

PROFILED = 50  # runs
Json = dict[str, Any]


@click.command(
    "bench",
    short_help="Time an artifact on this machine, against other runtimes.",
    epilog="""\b
Examples:
  irc bench digits_vit.cpu
  irc bench digits_vit.cpu --profile
  irc bench digits_vit.cpu --vs torch --model digits_vit.pt2
  irc bench digits_vit.cpu --vs onnxruntime,openvino
  irc bench resnet.cpu --vs onnxruntime --onnx resnet_int8.onnx

The first sample of the data as one call. Slices of all contenders alternate; one counts only if a loop without memory
ran undisturbed before and behind it. --threads is for the artifact: other runtimes get one thread.
""",
)
@click.argument("artifact", type=click.Path(path_type=Path))
@data_option
@click.option("--vs", default="", metavar="NAMES", help="Runtimes to compare with: onnxruntime, openvino, torch.")
@click.option("--model", metavar="FILE", help="The PyTorch model, for --vs torch.")
@click.option(
    "--onnx",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="The model as ONNX for --vs.  [default: its floats]",
)
@threads_option
@click.option("--profile", is_flag=True, help="Also the time of every layer.")
@click.option("--slices", type=click.IntRange(min=5), default=25, show_default=True, help="Of each contender.")
@model_options
@load_option
@json_option
@voice_options
def bench_command(
    artifact: Path,
    data: str | None,
    vs: str,
    model: str | None,
    onnx: str | None,
    threads: int,
    profile: bool,
    slices: int,
    as_json: bool,
    verbose: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Time ARTIFACT on this machine. Running one runs its code: only do so if you trust it."""
    opened = Artifact.load(artifact)
    if opened.backend.subject is None:
        raise UsageError(f"artifacts of the backend {opened.backend.name} are not timed", hint="those of cpu are")
    job = opened.job(threads=threads)
    call = calls_of(job.module.main, opened.samples(data, 1))[0]
    named = {v.name: array for v, array in zip(opened.captured.main.inputs, call, strict=True)}
    torch = None if model is None else read_torch(model, reading(**given)).run_torch
    names = [name.strip() for name in vs.split(",") if name.strip()]
    with tempfile.TemporaryDirectory() as folder, opened.backend.subject(job, opened.path, call) as subject:
        file = cache(lambda: onnx or exported(opened, Path(folder)))
        peers = {name: peer(name, named, file, torch) for name in names}
        found = timed(subject, peers, slices, feedback(verbose, quiet).progress)
        result = figures(opened, subject, found, call, threads, onnx)
        if profile:
            result["layers"] = layers(subject)
    click.echo(json.dumps(result, indent=1) if as_json else text_of(result))


def exported(artifact: Artifact, folder: Path) -> str:
    """The float graph of an artifact as an ONNX file. Raises IrcError with everything that stands against it."""
    path = folder / "model.onnx"
    export(artifact.captured, path, Settings(backend="onnx"), Feedback())
    return str(path)


def timed(subject: Subject, peers: dict[str, Any], slices: int, progress: Progress) -> Measured:
    return interleaved({"irc": subject.run, **peers}, subject.peak, slices, progress)


def figures(
    artifact: Artifact, subject: Subject, found: Measured, call: list[Array], threads: int, onnx: str | None
) -> Json:
    """What was measured, as JSON values: milliseconds, multiply-accumulates in G/s, bytes."""
    own = found.times["irc"]
    macs = artifact.report["summary"]["multiply-accumulates"]
    return {
        "schema": 1,
        "model": artifact.manifest["model"],
        "target": artifact.manifest["target"],
        "inputs": [f"{a.dtype}{list(a.shape)}" for a in call],
        "threads": threads,
        "median ms": 1e3 * own.median,
        "p90 ms": 1e3 * own.percentile(90),
        "GMAC/s": macs / own.median / 1e9,
        "peak GMAC/s": found.peak / 1e9,
        "peak of": subject.unit,
        "part of the peak": macs / own.median / found.peak,
        "bytes of weights and workspace": subject.bytes,
        "peak bytes of this process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "undisturbed": all(times.calm for times in found.times.values()),
        "peers": [
            {
                "name": name,
                "runs": onnx if onnx and name != "torch" else "the model in float",
                "threads": 1,
                "median ms": 1e3 * times.median,
                "p90 ms": 1e3 * times.percentile(90),
                "times slower": times.median / own.median,
            }
            for name, times in found.times.items()
            if name != "irc"
        ],
    }


def layers(subject: Subject) -> list[Json]:
    """Time by module path, the slowest first."""
    parts = subject.profile(PROFILED)
    total = sum(part.seconds for part in parts)
    rows: dict[str, Json] = {}
    for part in parts:
        row = rows.setdefault(part.layer, {"layer": part.layer, "us": 0.0, "%": 0.0, "kernels": ""})
        row["us"] += 1e6 * part.seconds
        row["%"] += 100 * part.seconds / total
        row["kernels"] = ", ".join(filter(None, (row["kernels"], part.what)))
    return sorted(rows.values(), key=lambda row: -row["us"])


def text_of(result: Json) -> str:
    threads = "one thread" if result["threads"] == 1 else f"{result['threads']} threads"
    lines = [
        f"{result['model']} for {result['target']}, {', '.join(result['inputs'])}, {threads}",
        f"median {result['median ms']:.4g} ms, p90 {result['p90 ms']:.4g} ms",
        f"{result['GMAC/s']:.4g} GMAC/s, {100 * result['part of the peak']:.1f} % of the {result['peak GMAC/s']:.4g} "
        f"that {result['peak of']} reaches in registers",
        f"weights and workspace {result['bytes of weights and workspace'] / 1e6:.3g} MB, "
        f"this process at most {result['peak bytes of this process'] / 1e6:.4g} MB",
    ]
    lines += [
        f"{p['name']} ({p['runs']}, one thread): median {p['median ms']:.4g} ms, {p['times slower']:.2f}x irc"
        for p in result["peers"]
    ]
    if not result["undisturbed"]:
        lines.append("the machine was disturbed all the time: these figures are rough")
    if "layers" in result:
        rows = [{**row, "us": round(row["us"], 2), "%": round(row["%"], 1)} for row in result["layers"]]
        total = sum(row["us"] for row in rows)
        lines += ["", table(rows, 60), f"together {total:.4g} us, medians of runs that read a clock between kernels"]
    return "\n".join(lines)
