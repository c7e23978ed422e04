"""`irc compare`: any two things that compute a model."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from irc.backends.comparison import METRICS, Comparison, Row, read_metrics
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
from irc.cli.output import measured_text, place_of, table
from irc.cli.verify import accuracy_lines
from irc.tools.compare import compare_sides

EPILOG = """\b
Examples:
  irc compare model.pt2 model.cpu --data test.npz --layerwise
  irc compare model.cpu model.hls --metric linf=0
  irc compare model.onnx model.onnx@interpreter
  irc compare model.hls/input.irc model.hls/lowered.irc --layerwise --metric sqnr=20 --metric top1

\b
What runs a side: PyTorch its models, onnxruntime ONNX files, an artifact what its backend compiled, the interpreter
IR text. @torch, @onnxruntime, @compiled and @interpreter behind a name choose.

\b
Metrics, of B against A: """ + "; ".join(f"{name}, {metric.summary}" for name, metric in METRICS.items())


@click.command("compare", short_help="Any two of model, IR text and artifact, layer by layer.", epilog=EPILOG)
@click.argument("a")
@click.argument("b")
@click.option("--layerwise", is_flag=True, help="Compare the values on the way too, and name the first that differs.")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME[=BOUND]",
    help="What to show, and what to demand.  [repeatable; default: equal bits where both sides have those of one "
    "graph; else rel=1e-3 for floats and equal=1 for integers (classes, indices), sqnr=10 and equal=0.9 where codes "
    "take part]",
)
@data_option
@limit_option
@threads_option
@model_options
@load_option
@json_option
@voice_options
def compare_command(
    a: str,
    b: str,
    layerwise: bool,
    metrics: Sequence[str],
    data: str | None,
    limit: int | None,
    threads: int,
    as_json: bool,
    verbose: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Run A, the reference, and B on samples and compare what they give.

    Layers are paired by the module path and source line they come from, codes by what they stand for. Exit code 3 if
    a bound is not kept. Running an artifact runs its code: only do so if you trust it.
    """
    shown, bounds = read_metrics(metrics)
    voice = feedback(verbose, quiet)
    wanted = reading(**given)
    found = compare_sides(
        a, b, data, wanted, voice, layerwise=layerwise, limit=limit, threads=threads, bounds=bounds or None
    )
    if as_json:
        click.echo(json.dumps(to_json(found), indent=1))
    elif not quiet:
        click.echo("\n".join(lines_of(found, shown)))
    found.require()


def lines_of(found: Comparison, shown: Sequence[str]) -> list[str]:
    """What was found: the outputs, the layers, the accuracy, the first layer that differs."""
    integers = any(row.measured.distance.integers for row in (*found.outputs, *found.layers))
    shown = tuple(dict.fromkeys((*shown, *found.bounds, *(found.of_integers if integers else ()))))
    lines = [f"{found.b} against {found.a}, {found.samples} samples"]
    lines += [table([{"": row.b, **_numbers(row, shown)} for row in found.outputs])]
    if integers and found.of_integers is not found.bounds:
        lines += [f"of integers, {name} must be {bound:g} or more" for name, bound in found.of_integers.items()]
    lines += accuracy_lines(found.accuracy, found.labelled, "A", "B")
    if found.traced:
        of_a, of_b = found.alone
        alone = f"; {of_a} of A and {of_b} of B have no partner" if of_a or of_b else ""
        lines += ["", f"{len(found.layers)} layers, {found.traced} samples{alone}"]
        if found.layers:
            lines.append(table([_layer(row, shown, found) for row in found.layers]))
        else:
            lines.append("the two sides have no place in the model in common")
    return lines


def _layer(row: Row, shown: Sequence[str], found: Comparison) -> dict[str, str]:
    return {
        **place_of(row.loc),
        "A": row.a,
        "B": row.b,
        **_numbers(row, shown),
        " ": "<-" if row is found.first else "",
    }


def _numbers(row: Row, shown: Sequence[str]) -> dict[str, str]:
    return {name: measured_text(METRICS[name].of(row.measured)) for name in shown}


def to_json(found: Comparison) -> dict[str, Any]:
    """The same as JSON values."""
    return {
        "schema": 1,
        "a": found.a,
        "b": found.b,
        "samples": found.samples,
        "agrees": found.agrees,
        "bounds": dict(found.bounds),
        "bounds of integers": dict(found.of_integers),
        "outputs": [_row_json(row) for row in found.outputs],
        "layers": [_row_json(row) for row in found.layers],
        "alone": dict(zip("ab", found.alone, strict=True)),
        "accuracy": None if found.accuracy is None else asdict(found.accuracy),
        "first divergence": None if found.first is None else str(found.first.source or found.first.b),
    }


def _row_json(row: Row) -> dict[str, Any]:
    values = {name: metric.of(row.measured) for name, metric in METRICS.items()}
    numbers = {name: value if math.isfinite(value) else str(value) for name, value in values.items()}
    return {"place": str(row.source or ""), "a": row.a, "b": row.b, **numbers}
