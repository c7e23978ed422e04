"""`irc check`: everything that keeps a model from being compiled, what falls back, and how large it will be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import click

from irc.backends.report import number_text
from irc.cli import as_json as diagnostic_json
from irc.cli import fail
from irc.cli.options import backend_options, feedback, json_option, load_option, model_options, reading, voice_options
from irc.tools.check import SCHEMA, Preflight, preflight

KEYS = {
    "schema": "the version of this format",
    "exit": "the exit code",
    "model": "its name",
    "backend": "for which",
    "target": "and for what machine or part",
    "pipeline": "the passes, those of the backend included",
    "errors": "what stands in the way: message, place, layer, source, notes, hint, how many uses, and all places",
    "coverage": "operators and macs of one sample, and how many of them can be compiled",
    "fallbacks": "what runs otherwise than asked for, as errors, and whether options or defaults say so (stated)",
    "estimate": "sizes by what they are of: numbers, or texts; depends on the backend",
    "unmet": "budgets that are missed",
}
"""The keys of `--json`, in order."""


@click.command(
    "check",
    short_help="What would keep a model from being compiled, and why.",
    epilog="""\b
Examples:
  irc check model.pt2
  irc check model.pt2 --passes quant8,fuse --backend hls --strict
  irc check detector.onnx --backend cpu --stop-at model.22 --json
""",
)
@click.argument("model")
@backend_options
@model_options
@click.option("--strict", is_flag=True, help="What falls back, and budgets that are not met, are errors.")
@load_option
@json_option
@voice_options
@click.pass_context
def check_command(
    ctx: click.Context, model: str, strict: bool, as_json: bool, verbose: bool, quiet: bool, **given: Any
) -> None:
    """Read MODEL and list all that keeps it from being compiled like this, with places and ways out; what share of it
    can be compiled; what falls back; and how much memory, code or area it will take.

    Nothing is written, nothing is calibrated, and no samples are needed.
    """
    found = preflight(model, reading(**given), feedback(verbose, quiet))
    error = found.error(strict=strict)
    if as_json:
        click.echo(json.dumps(_json(found, 0 if error is None else error.exit_code), indent=1))
    elif not quiet:
        click.echo("\n".join(_lines(found)))
    if error is not None:
        fail(ctx, error, told=as_json)


def _lines(found: Preflight) -> Iterator[str]:
    """The report as text."""
    facts = {
        "pipeline": found.facts["pipeline"] or "none",
        "operators": _share(found.coverage.compiled, found.coverage.operators),
        "multiply-accumulates": _share(found.coverage.compiled_macs, found.coverage.macs),
        **found.estimate,
    }
    width = max(map(len, facts))
    yield from (f"  {key:{width}}  {number_text(value)}" for key, value in facts.items())
    yield from (f"fallback: {f.text}" + ("" if f.stated else "  (an error with --strict)") for f in found.fallbacks)
    yield from (f"missed: {text}" for text in found.unmet)
    what = "cannot" if found.blockers else "can"
    yield f"{found.name} {what} be compiled for {found.facts['backend']} ({found.facts['target']})"


def _share(part: int, whole: int) -> str:
    share = f" ({100 * part / whole:.1f} %)" if whole else ""
    return f"{number_text(part)} of {number_text(whole)} can be compiled{share}"


def _json(found: Preflight, code: int) -> dict[str, Any]:
    """The report as JSON values by KEYS."""
    reached = found.coverage
    return {
        "schema": SCHEMA,
        "exit": code,
        "model": found.name,
        **found.facts,
        "errors": [diagnostic_json(d) for d in found.blockers],
        "coverage": {
            "operators": reached.operators,
            "compiled operators": reached.compiled,
            "macs": reached.macs,
            "compiled macs": reached.compiled_macs,
        },
        "fallbacks": [{**diagnostic_json(f.diagnostic), "stated": f.stated} for f in found.fallbacks],
        "estimate": dict(found.estimate),
        "unmet": list(found.unmet),
    }
