"""`irc opt`: text IR in, passes, text IR out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from irc.backends.data import read_data
from irc.cli.options import (
    feedback,
    force_option,
    json_option,
    pipeline_options,
    settings,
    stop_at_option,
    voice_options,
)
from irc.cli.output import refuse_existing, write_ir
from irc.driver import Judged, Warnings, run_watched, stages_of
from irc.frontend.cut import cut_module
from irc.ir.files import decoded, read_module, weights_for
from irc.ir.parser import parse
from irc.ir.rewrite import NearMiss
from irc.passes.base import PassContext


@click.command(
    "opt",
    short_help="Text IR to text IR.",
    epilog="""\b
Examples:
  irc opt graph.irc --passes canonicalize,cse,dce
  irc opt - --passes fold < graph.irc
  irc opt graph.irc --passes 'drop-small{below=0.05}' --load my_pass.py -o small.irc
  irc opt graph.irc --passes canonicalize --explain MergeReshapes
""",
)
@click.argument("file", metavar="FILE|-", type=click.Path(path_type=Path))
@click.option("--passes", default="", metavar="PIPELINE", help="Passes and presets to run.  [default: no passes]")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A .irc file; weights go beside it.")
@force_option
@click.option("--weights", type=click.Path(path_type=Path), help="Constants of FILE.  [default: those beside it]")
@stop_at_option
@click.option("--explain", default="", metavar="RULE", help="Where this rule nearly applied, and why it did not.")
@pipeline_options
@json_option
@voice_options
def opt_command(
    file: Path,
    output: Path | None,
    force: bool,
    weights: Path | None,
    explain: str,
    as_json: bool,
    verbose: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Run passes on the text IR in FILE (`-` is stdin) and print the result."""
    wanted = settings(**given)
    voice = feedback(verbose, quiet)
    stages = stages_of(wanted, None)
    if output is not None:
        refuse_existing(output, force)
    if str(file) == "-":
        text = decoded(sys.stdin.buffer.read(), "<stdin>")
        module = parse(text, weights=weights_for(None, weights), source="<stdin>")
    else:
        module = read_module(file, weights)
    if wanted.stop_at:
        module = cut_module(module, wanted.stop_at)
    data = read_data(wanted.calib, module.main, "--calib").samples if wanted.calib is not None else None
    misses: list[NearMiss] = []
    warnings = Warnings(voice.warn)
    samples = None if data is None else Judged(data, "given", wanted.calib, warnings)
    cx = PassContext(samples=samples, seed=wanted.seed, progress=voice.progress, warn=warnings)
    cx.explain = misses.append if explain else None
    run_watched(module, stages, cx, wanted, data, voice)
    if wanted.strict:
        warnings.refuse()
    if explain:
        click.echo(_explained(explain, misses), err=True)
    write_ir(module, output, force)


def _explained(rule: str, misses: list[NearMiss]) -> str:
    """The places where a rule nearly applied."""
    found = [f"{m.rule}: {m.node} {m.loc}: {m.reason}" for m in misses if m.rule == rule]
    if found:
        return "\n".join(dict.fromkeys(found))
    others = ", ".join(sorted({m.rule for m in misses})) or "none"
    return f"{rule}: no near miss (it applied everywhere, or its first op is not there); rules with one: {others}"
