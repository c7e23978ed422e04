"""`irc analyze`: where accuracy is lost."""

from __future__ import annotations

import json
import math
import shlex
from typing import Any

import click

from irc.backends.compare import Distance, share_equal, together
from irc.backends.scores import UNSCORED
from irc.cli.options import data_option, feedback, json_option, load_option, model_options, reading, voice_options
from irc.cli.output import measured_text, place_of, table
from irc.tools.sensitivity import SAMPLES, WIDTHS, Loss, Quality, Sensitivity, sensitivity_of

TOP = 20


@click.group("analyze", short_help="Where accuracy is lost, and the options that win it back.")
def analyze_command() -> None:
    """Measurements of a model before it is compiled."""


@analyze_command.command(
    "sensitivity",
    short_help="What each layer loses at each number of bits.",
    epilog="""\b
Examples:
  irc analyze sensitivity model.pt2 --calib calib.npz --data test.npz
  irc analyze sensitivity model.pt2 --passes quant4a4,fuse --calib calib.npz --bits 8,4 --top 5
""",
)
@click.argument("model")
@click.option("--passes", default="quant4", show_default=True, metavar="PIPELINE", help="What is to be repaired.")
@click.option("--calib", metavar="DATA", help="Samples for ranges and rounding; also for loss where --data is not.")
@data_option
@click.option(
    "--limit", type=click.IntRange(min=1), default=SAMPLES, show_default=True, metavar="N", help="Samples for loss."
)
@click.option("--bits", default=",".join(map(str, WIDTHS)), show_default=True, metavar="LIST", help="2 to 8 each.")
@click.option("--top", type=click.IntRange(min=1), default=TOP, show_default=True, help="Rows to print.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of everything random.")
@model_options
@load_option
@json_option
@voice_options
def sensitivity_command(
    model: str,
    data: str | None,
    limit: int,
    bits: str,
    top: int,
    as_json: bool,
    verbose: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Quantize one layer of MODEL at a time, its weights or its input activations, and rank what that costs.

    The cost is noise beside the signal, summed over outputs: each counts the same, however large its numbers are.
    Then the layers whose noise the pipeline could save most of get 8 bits, and the whole pipeline runs with and
    without that: the last line but one is the option to use, the last line what it gives.
    """
    found = sensitivity_of(
        model, data, reading(**given), feedback(verbose, quiet), widths=read_widths(bits), limit=limit
    )
    if as_json:
        click.echo(json.dumps(to_json(found), indent=1))
    elif not quiet:
        click.echo("\n".join(lines_of(found, given["passes"], top)))


def read_widths(text: str) -> list[int]:
    """`8,4` as numbers. Raises a usage error for anything else."""
    words = text.split(",")
    if not all(word.isdecimal() and 2 <= int(word) <= 8 for word in words):
        raise click.BadParameter(f"'{text}' is not a list of numbers from 2 to 8", param_hint="--bits")
    return [int(word) for word in words]


def lines_of(found: Sensitivity, passes: str, top: int) -> list[str]:
    """What was found: the worst rows, the pipeline, its repair."""
    lines = [f"{found.name}, {found.samples} samples, one layer at a time:", *_columns(found)]
    lines.append(table([_row(loss, found) for loss in found.losses[:top]]))
    if len(found.losses) > top:
        lines.append(f"... {len(found.losses) - top} more (--top)")
    lines += ["", f"{passes}: {_quality(found.before, found)}"]
    lines += [UNSCORED] if found.labelled and found.before.top1 is None else []
    if found.after is None:
        return [*lines, "more bits for single layers do not help"]
    layers = f"{found.raised} layer{'s' if found.raised > 1 else ''}"
    return [
        *lines,
        f"8 bits for {layers} with {100 * found.share:.0f} % of the noise that fewer bits cause:",
        f"  --passes {shlex.quote(found.passes)}",
        f"gives {_quality(found.after, found)}",
    ]


def _columns(found: Sensitivity) -> list[str]:
    """Which outputs the figures of the table are of, where that is not the same for all."""
    outputs = found.before.outputs
    whole = [f"output{i}" for i, d in enumerate(outputs) if d.integers]
    reals = [f"output{i}" for i, d in enumerate(outputs) if not d.integers]
    if len(outputs) == 1:
        return []
    parts = [f"sqnr and cos of {', '.join(reals)}"] if reals else []
    parts += [f"equal of {', '.join(whole)}"] if whole else []
    parts += [f"{_top1(found)} of output0"] if found.before.top1 is not None else []
    return [f"({'; '.join(parts)})"]


def _row(loss: Loss, found: Sensitivity) -> dict[str, Any]:
    return {
        **place_of(loss.loc),
        "what": loss.part,
        "bits": loss.bits,
        **_reals(loss),
        **({} if (equal := share_equal(loss.outputs)) is None else {"equal": f"{100 * equal:.2f} %"}),
        **({} if loss.top1 is None else {_top1(found): f"{100 * loss.top1:.2f} %"}),
        "bytes saved": loss.saved,
    }


def _reals(loss: Loss) -> dict[str, str]:
    if loss.distance.integers:
        return {}
    return {"sqnr dB": f"{loss.distance.decibels:.1f}", "cos": measured_text(loss.distance.cosine)}


def _top1(found: Sensitivity) -> str:
    return "top-1 lost" if found.labelled else "classes changed"


def _quality(quality: Quality, found: Sensitivity) -> str:
    top1 = "" if quality.top1 is None else f", {_top1(found)} {100 * quality.top1:.2f} %"
    several = len(quality.outputs) > 1
    outputs = [(f"output{i} " if several else "") + _apart(d) for i, d in enumerate(quality.outputs)]
    return f"{', '.join(outputs)}{top1}, {quality.bytes} bytes of constants"


def _apart(d: Distance) -> str:
    """How far an output is from the float graph's: integers by how many are equal."""
    return f"{100 * d.share:.2f} % equal" if d.integers else f"sqnr {d.decibels:.1f} dB"


def to_json(found: Sensitivity) -> dict[str, Any]:
    """The same as JSON values, all rows."""
    return {
        "schema": 1,
        "model": found.name,
        "samples": found.samples,
        "labelled": found.labelled,
        "layers": [_loss_json(loss) for loss in found.losses],
        "before": _quality_json(found.before),
        "passes": found.passes or None,
        "after": None if found.after is None else _quality_json(found.after),
    }


def _loss_json(loss: Loss) -> dict[str, Any]:
    return {
        "place": str(loss.loc.sources[0]) if loss.loc.sources else "",
        "what": loss.part,
        "bits": loss.bits,
        "sqnr": None if loss.distance.integers else _finite(loss.distance.decibels),
        "cos": None if loss.distance.integers else loss.distance.cosine,
        "equal": share_equal(loss.outputs),
        "top1": loss.top1,
        "bytes saved": loss.saved,
    }


def _quality_json(quality: Quality) -> dict[str, Any]:
    reals = together(quality.outputs)
    return {
        "sqnr": None if reals.integers else _finite(reals.decibels),
        "equal": share_equal(quality.outputs),
        "outputs": [_output_json(d) for d in quality.outputs],
        "top1": quality.top1,
        "bytes": quality.bytes,
    }


def _output_json(d: Distance) -> dict[str, Any]:
    return {"equal": d.share} if d.integers else {"sqnr": _finite(d.decibels)}


def _finite(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)
