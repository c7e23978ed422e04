"""`irc verify`: an artifact against the interpreter, bit by bit, and its accuracy."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from irc.backends.artifact import Artifact
from irc.backends.compare import Accuracy, Distance, Divergence
from irc.backends.scores import UNSCORED
from irc.backends.verification import Verification
from irc.cli.options import (
    data_option,
    feedback,
    json_option,
    limit_option,
    load_option,
    model_options,
    reading,
    threads_option,
    voice_options,
)
from irc.driver import against_torch


@click.command(
    "verify",
    short_help="Check an artifact against the interpreter, bit by bit.",
    epilog="""\b
Examples:
  irc verify digits_vit.hls
  irc verify digits_vit.hls --data test.npz
  irc verify digits_vit.hls --data test.npz --limit 100 --model digits_vit.pt2

With `labels` in the data, top-1 of the artifact and of the float graph are printed too. Exit code 3 if a bit
differs that no float arithmetic explains.
""",
)
@click.argument("artifact", type=click.Path(path_type=Path))
@data_option
@limit_option
@threads_option
@click.option("--model", metavar="FILE", help="The PyTorch model: also compare the float graph with PyTorch.")
@model_options
@load_option
@json_option
@voice_options
def verify_command(
    artifact: Path,
    data: str | None,
    limit: int | None,
    threads: int,
    model: str | None,
    as_json: bool,
    verbose: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Run ARTIFACT and the interpreter on samples (default: its golden inputs) and compare every bit of every output.

    Running an artifact runs its code: only do so if you trust it.
    """
    opened = Artifact.load(artifact)
    voice = feedback(verbose, quiet)
    found = opened.verify(data, limit=limit, threads=threads, progress=voice.progress)
    distance = None
    if model is not None:
        distance = against_torch(opened, model, opened.samples(data, limit), reading(**given), voice)
    if as_json:
        click.echo(json.dumps({**to_json(found), "torch": None if distance is None else asdict(distance)}, indent=1))
    elif not quiet:
        click.echo(f"{opened.manifest['model']} on {opened.manifest['backend']}, {found.samples} samples")
        click.echo("\n".join(lines_of(found)))
        if distance is not None:
            click.echo(
                f"float graph and PyTorch: at most {distance.largest:.3g} apart, outputs reach {distance.scale:.3g}"
            )
    found.require_exact()


def lines_of(found: Verification) -> list[str]:
    """What was found, one line an output, and the accuracy."""
    lines = [
        f"{o.name}: {'bit-equal to the interpreter' if o.exact else _difference(found)} "
        f"({o.elements - o.differing} of {o.elements} elements equal)"
        for o in found.outputs
    ]
    lines += [
        f"{o.name} against the float graph: {_apart(d)}" for o, d in zip(found.outputs, found.to_float, strict=True)
    ]
    if found.tolerated and found.nearest is not None:
        lines.append(f"nearest to its tolerance: {found.nearest}")
    return lines + accuracy_lines(found.accuracy, found.labelled, "float", "compiled")


def accuracy_lines(a: Accuracy | None, labelled: bool, reference: str, other: str) -> list[str]:
    """Top-1 of two classifiers, paired, or why there is none although there are labels."""
    if a is None:
        return [UNSCORED] if labelled else []
    return [
        f"top-1: {reference} {100 * a.a_right / a.samples:.2f} %, {other} {100 * a.b_right / a.samples:.2f} %, "
        f"paired difference {100 * a.difference:+.2f} % (standard error {100 * a.error:.2f})",
        f"flips: {a.lost} lost, {a.won} won, {a.changed} predictions changed",
    ]


def _apart(d: Distance) -> str:
    if d.integers:
        return f"{d.equal} of {d.elements} integers equal"
    noise = f"signal to noise {d.decibels:.1f} dB" if d.noise else "no noise"
    return f"{noise}, at most {d.largest:.3g} apart, outputs reach {d.scale:.3g}"


def _difference(found: Verification) -> str:
    return "differs as floats may, no layer by more than its tolerance" if found.tolerated else "differs"


def to_json(found: Verification) -> dict[str, Any]:
    """The same as JSON values."""
    return {
        "schema": 1,
        "samples": found.samples,
        "exact": found.exact,
        "tolerated": found.tolerated,
        "nearest to its tolerance": None if found.nearest is None else _margin(found.nearest),
        "outputs": [asdict(output) for output in found.outputs],
        "to float": [asdict(each) for each in found.to_float],
        "accuracy": None if found.accuracy is None else asdict(found.accuracy),
        "first divergence": None if found.divergence is None else str(found.divergence),
    }


def _margin(d: Divergence) -> dict[str, Any]:
    return {"layer": d.loc.path, "op": d.op, "largest": d.largest, "allowed": d.allowed}
