"""`irc export`: a model as a file, or a folder of files, for other tools."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from irc.backends.report import number_text
from irc.cli.options import (
    feedback,
    force_option,
    model_options,
    passes_option,
    pipeline_options,
    settings,
    voice_options,
)
from irc.cli.output import refuse_existing
from irc.driver import export
from irc.passes.pipeline import parse_named
from irc.tables import FOLDERS


@click.command(
    "export",
    short_help="A model as one file for other tools.",
    epilog="""\b
Examples:
  irc export onnx model.pt2 -o model.onnx
  irc export onnx digits_vit.cpu -o digits_vit.onnx
  irc export params digits_vit.hls -o params
  irc export 'params{files=npz,json}' model.pt2 --passes quant8 --calib calib.npz -o params
  irc export 'onnx{weights=file}' model.pt2 --passes qdq4 --calib calib.npz -o model.onnx
""",
)
@click.argument("format")
@click.argument("model")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The file or folder.")
@force_option
@passes_option
@pipeline_options
@model_options
@voice_options
def export_command(
    format: str, model: str, output: Path, force: bool, verbose: bool, quiet: bool, **given: Any
) -> None:
    """Write MODEL as FORMAT, with options in braces: onnx, a file; or params, a folder with the integer weights,
    scales, tables and golden vectors as npz, JSON, C headers and memories, and the arithmetic that goes with them.

    MODEL is what `irc compile` takes, or an artifact, which stands for the model it was made of; the parameters of an
    artifact are those that its backend was given.
    """
    wanted, voice = settings(backend=format, **given), feedback(verbose, quiet)
    name, _ = parse_named(format, "the format")
    if name in FOLDERS:
        written = FOLDERS.get(name)(model, output, wanted, voice, force=force)
    else:
        refuse_existing(output, force)
        written = export(model, output, wanted, voice)
    if not quiet:
        click.echo(_said(output, written))


def _said(output: Path, written: Sequence[Path]) -> str:
    files = f"{len(written)} files, " if output.is_dir() else ""
    beside = "".join(f" and {path.name}" for path in written if path != output) if not files else ""
    return f"{output}{beside}: {files}{number_text(sum(path.stat().st_size for path in written))} bytes"
