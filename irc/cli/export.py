"""`irc export`: a model as one file for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

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


@click.command(
    "export",
    short_help="A model as one file for other tools.",
    epilog="""\b
Examples:
  irc export onnx model.pt2 -o model.onnx
  irc export onnx digits_vit.cpu -o digits_vit.onnx
  irc export 'onnx{weights=file}' model.pt2 --passes qdq4 --calib calib.npz -o model.onnx
""",
)
@click.argument("format")
@click.argument("model")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The file.")
@force_option
@passes_option
@pipeline_options
@model_options
@voice_options
def export_command(
    format: str, model: str, output: Path, force: bool, verbose: bool, quiet: bool, **given: Any
) -> None:
    """Write MODEL to a file of FORMAT: onnx, with options in braces.

    MODEL is what `irc compile` takes, or an artifact, which stands for the model it was made of.
    """
    refuse_existing(output, force)
    export(model, output, settings(backend=format, **given), feedback(verbose, quiet))
