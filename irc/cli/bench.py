"""`irc bench`: how fast an artifact is on this machine, where its time goes, and how others do."""

from __future__ import annotations

import json
import resource
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import click
import numpy as np

from irc.backends.artifact import Artifact
from irc.backends.base import Job, Subject
from irc.backends.comparison import outputs_of_both
from irc.backends.data import Dataset
from irc.backends.measure import Measured, interleaved
from irc.backends.sides import fitting, on_backend, on_torch
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
from irc.driver import Settings, export, fitting_models, read_torch
from irc.feedback import Feedback
from irc.ir.diagnostics import UsageError
from irc.ir.scalars import Array
from irc.passes.base import Progress, no_progress
from irc.passes.sampling import any_batch, batch_size, batches
from irc.peers import Torch, peer

PROFILED = 50  # runs
SHARE = 0.95  # of a core that undisturbed figures need
ROUGH = "these figures are rough"
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

One call with the first sample of the data, or the first N with --batch. Slices of all contenders alternate; one counts
only if a loop without memory ran undisturbed before and behind it. --threads is for the artifact: other runtimes get
one thread.
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
@click.option(
    "--batch", type=click.IntRange(min=1), metavar="N", help="Samples of the call, of a model whose batch varies."
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
    batch: int | None,
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
    samples = samples_of(opened, data, batch)
    named = next(batches(job.module.main, samples.samples, most=len(samples)))
    call = list(named.values())
    torch = None if model is None else torch_of(opened, job, model, samples, reading(**given))
    names = [name.strip() for name in vs.split(",") if name.strip()]
    with tempfile.TemporaryDirectory() as folder, opened.backend.subject(job, opened.path, call) as subject:
        file = cache(lambda: onnx or exported(opened, Path(folder)))
        peers = {name: peer(name, named, file, torch) for name in names}
        found = timed(subject, peers, slices, feedback(verbose, quiet).progress)
        result = figures(opened, subject, found, call, threads, onnx)
        if profile:
            result["layers"] = layers(subject)
    click.echo(json.dumps(result, indent=1) if as_json else text_of(result))


def samples_of(artifact: Artifact, data: str | None, batch: int | None) -> Dataset:
    """The first `batch` samples, from the first again where there are less. Raises UsageError for a batch that the
    model does not take."""
    wanted = batch or 1
    taken = batch_size(artifact.captured.main, wanted)
    if batch is not None and taken != batch:
        raise UsageError(f"--batch {batch}: the model takes up to {taken} samples at once")
    found = artifact.samples(data, wanted).samples
    return Dataset({name: np.resize(array, (wanted, *array.shape[1:])) for name, array in found.items()})


def torch_of(artifact: Artifact, job: Job[Any, Any], model: str, samples: Dataset, settings: Settings) -> Torch:
    """What runs the PyTorch model on the samples. Raises UsageError if it takes or gives other than the artifact."""
    captured = read_torch(model, settings)
    side = on_torch(captured, f"{model} on PyTorch")
    with fitting_models():
        outputs_of_both(on_backend(job, artifact.backend, artifact.path, "the artifact"), side, samples, no_progress)
    inputs = next(batches(side.graph, fitting(samples, side).samples, most=len(samples)))
    return lambda named: captured.run_torch(inputs)


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
    graph = artifact.captured.main
    macs = artifact.report["summary"]["multiply-accumulates"] * (len(call[0]) if any_batch(graph) else 1)
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
        "share of a core": found.share,
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
        lines.append(f"the machine was disturbed all the time: {ROUGH}")
    if result["share of a core"] < SHARE:
        lines.append(f"others had the core for {100 * (1 - result['share of a core']):.0f} % of the time: {ROUGH}")
    if "layers" in result:
        rows = [{**row, "us": round(row["us"], 2), "%": round(row["%"], 1)} for row in result["layers"]]
        total = sum(row["us"] for row in rows)
        lines += ["", table(rows, 60), f"together {total:.4g} us, medians of runs that read a clock between kernels"]
    return "\n".join(lines)
