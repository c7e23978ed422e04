"""`irc debug`: what breaks a model on its way through the passes."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from irc.backends.comparison import read_metrics
from irc.cli import LOADED
from irc.cli.options import (
    Command,
    chain,
    feedback,
    json_option,
    load_option,
    model_options,
    reading,
    voice_options,
)
from irc.ir.diagnostics import UsageError
from irc.ir.location import Loc
from irc.tools.bisect import SAMPLES, Setup, bisect_of, set_up
from irc.tools.reduce import reduce_of
from irc.tools.verdict import Check

CHECKS = """\b
Checks:
  by default the model must compute, behind every pass, what it does in front of all of them: within rel=1e-3
  while all is float, sqnr=10 once codes take part; integers equal=1, then equal=0.9 (see irc compare)
  --metric NAME=BOUND      bounds of your own
  --check COMMAND          a command that gets the path of a .irc, with weights and inputs.npz beside it:
                           status 0 is good, 125 says that it cannot tell, anything else is bad
  --backend NAME           and what the backend makes must compute what the interpreter does
"""


def suspects(passes: str) -> Callable[[Command], Command]:
    """The options that say what is suspected and how it shows."""
    return chain(
        click.option("--passes", default=passes, show_default=True, metavar="PIPELINE", help="What is suspected."),
        click.option("--backend", default="", metavar="NAME", help="Its passes and lowering are suspected too."),
        click.option("--target", "--part", default="", metavar="NAME", help="What the backend compiles for."),
        click.option("--check", "command", default="", metavar="COMMAND", help="Tells good from bad."),
        click.option("--metric", "metrics", multiple=True, metavar="NAME=BOUND", help="What is good.  [repeatable]"),
        click.option("--calib", metavar="DATA", help="Samples for passes and checks."),
        click.option(
            "--limit", type=click.IntRange(min=1), default=SAMPLES, show_default=True, metavar="N", help="For checks."
        ),
        click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of everything random."),
        model_options,
        load_option,
        json_option,
        voice_options,
    )


@click.group("debug", short_help="The pass, the lowering, the layers that break a check.")
def debug_command() -> None:
    """Find what breaks a model on its way through the passes."""


@debug_command.command(
    "bisect",
    short_help="The first pass behind which a check fails.",
    epilog=f"""\b
Examples:
  irc debug bisect model.pt2 --passes quant4,fuse --calib calib.npz --metric sqnr=20
  irc debug bisect model.pt2 --load my_pass.py --passes my-pass,quant8 --calib calib.npz
  irc debug bisect model.pt2 --passes quant8,fuse --backend cpu --calib calib.npz
  irc debug bisect graph.irc --passes clean --check 'python check.py'

{CHECKS}""",
)
@click.argument("model")
@suspects("clean")
@click.pass_context
def bisect_command(ctx: click.Context, model: str, as_json: bool, verbose: bool, quiet: bool, **given: Any) -> None:
    """Find the first pass behind which a check fails on MODEL, or the lowering, and the layer; write a reproducer."""
    found = bisect_of(_set_up(ctx, model, verbose, quiet, given))
    place = "" if found.layer is None else f"{found.layer.b} against {found.layer.a}"
    if as_json:
        values = {"step": found.step, "why": found.why, "good": found.good, "layer": found.loc.path}
        values = {**values, "rounding": found.rounding}
        click.echo(json.dumps({"schema": 1, **values, "reproducer": str(found.folder or "")}, indent=1))
    elif not quiet:
        click.echo(f"the check holds behind {found.good} passes, then {found.step} breaks it")
        click.echo(f"  {found.why}")
        if found.rounding is not None:
            click.echo(f"  {_within_rounding(found.rounding)}")
        if found.loc.sources:
            click.echo(f"  first at {_place(found.loc)}{': ' if place else ''}{place}")
        click.echo(_kept(found.folder))


@debug_command.command(
    "reduce",
    short_help="The smallest part of a graph that still fails a check.",
    epilog=f"""\b
Examples:
  irc debug reduce irc-reproducer/before.irc --passes fold --calib irc-reproducer/inputs.npz
  irc debug reduce model.pt2 --passes quant8,fuse --backend cpu --calib calib.npz

{CHECKS}""",
)
@click.argument("model")
@suspects("")
@click.pass_context
def reduce_command(ctx: click.Context, model: str, as_json: bool, verbose: bool, quiet: bool, **given: Any) -> None:
    """Leave out nodes of MODEL as long as passes, or a lowering, still break the check; write the rest as a reproducer.

    Nodes that are left out become inputs, with the values they had.
    """
    found = reduce_of(_set_up(ctx, model, verbose, quiet, given))
    if as_json:
        nodes = [{"op": node.opname, "layer": node.loc.path} for node in found.nodes]
        values = {"nodes": nodes, "of": found.of, "why": found.why}
        click.echo(json.dumps({"schema": 1, **values, "reproducer": str(found.folder or "")}, indent=1))
    elif not quiet:
        click.echo(f"{len(found.nodes)} of {found.of} nodes are enough: {found.why}")
        for node in found.nodes:
            click.echo(f"  {node.opname}{' at ' if node.loc.sources else ''}{_place(node.loc)}")
        click.echo(_kept(found.folder))


def _set_up(ctx: click.Context, model: str, verbose: bool, quiet: bool, given: dict[str, Any]) -> Setup:
    command, metrics, limit = given.pop("command"), given.pop("metrics"), given.pop("limit")
    backend = given.pop("backend")
    settings = reading(**given, **({"backend": backend} if backend else {}))
    check = Check(_bounds(command, metrics), command)
    loaded: Sequence[str] = ctx.meta.get(LOADED, ())
    voice = feedback(verbose, quiet)
    return set_up(model, settings, voice, check, limit=limit, lowered=bool(backend), loaded=loaded)


def _bounds(command: str, metrics: Sequence[str]) -> dict[str, float] | None:
    names, bounds = read_metrics(metrics)
    if metrics and len(bounds) != len(names):
        raise UsageError("--metric needs a bound here", hint="for example --metric sqnr=20")
    if command and metrics:
        raise UsageError("--check and --metric are two checks", hint="give one of them")
    return bounds or None


def _within_rounding(changed: float) -> str:
    return (
        f"this is an exact pass, and outputs change by {changed:.1g} of the largest: floats round in another order; "
        "the check is stricter than float arithmetic"
    )


def _place(loc: Loc) -> str:
    return str(loc.sources[0]).removeprefix('"" ') if loc.sources else ""


def _kept(folder: Path | None) -> str:
    return f"{folder}/command.txt shows it again" if folder else "there was no place for a reproducer"
