"""`irc run`: an artifact on samples."""

from __future__ import annotations

import json
from pathlib import Path

import click

from irc.backends.artifact import Artifact
from irc.backends.folder import write_npz
from irc.cli.options import (
    data_option,
    feedback,
    force_option,
    json_option,
    limit_option,
    load_option,
    threads_option,
    voice_options,
)
from irc.cli.output import refuse_existing
from irc.ir.files import replace_file


@click.command(
    "run",
    short_help="Run an artifact on samples.",
    epilog="""\b
Examples:
  irc run digits_vit.hls --data test.npz -o logits.npz
  irc run digits_vit.reference
""",
)
@click.argument("artifact", type=click.Path(path_type=Path))
@data_option
@limit_option
@threads_option
@click.option("-o", "--output", type=click.Path(path_type=Path), help="An .npz for the outputs.")
@force_option
@load_option
@json_option
@voice_options
def run_command(
    artifact: Path,
    data: str | None,
    limit: int | None,
    threads: int,
    output: Path | None,
    force: bool,
    as_json: bool,
    verbose: bool,
    quiet: bool,
) -> None:
    """Run ARTIFACT on samples (default: its golden inputs). Running one runs its code: only do so if you trust it."""
    opened = Artifact.load(artifact)
    if output is not None:
        refuse_existing(output, force)
    outputs = opened.run_on(data, limit=limit, threads=threads, progress=feedback(verbose, quiet).progress)
    named = {f"output{i}": array for i, array in enumerate(outputs)}
    if output is not None:
        replace_file(output, lambda partial: write_npz(partial, named))
    if as_json:
        click.echo(json.dumps({name: array.tolist() for name, array in named.items()}))
    elif not quiet:
        for name, array in named.items():
            click.echo(f"{name}: {array.dtype}{list(array.shape)}")
