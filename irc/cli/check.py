"""`irc check`: everything that keeps a model from being compiled, before it is."""

from __future__ import annotations

import json
from typing import Any

import click

from irc.cli.options import backend_options, feedback, json_option, load_option, model_options, reading, voice_options
from irc.driver import check


@click.command(
    "check",
    short_help="What would keep a model from being compiled, and why.",
    epilog="""\b
Examples:
  irc check model.pt2
  irc check model.pt2 --passes quant8,fuse --backend hls --json
""",
)
@click.argument("model")
@backend_options
@model_options
@load_option
@json_option
@voice_options
def check_command(model: str, as_json: bool, verbose: bool, quiet: bool, **given: Any) -> None:
    """Read MODEL, run the passes on it, and list all that its backend cannot do, with places and ways out.

    Nothing is written, and no samples are needed.
    """
    wanted = reading(**given)
    name = check(model, wanted, feedback(verbose, quiet))
    if as_json:
        click.echo(json.dumps({"schema": 1, "exit": 0, "errors": []}))
    elif not quiet:
        click.echo(f"{name} can be compiled for {wanted.backend}")
