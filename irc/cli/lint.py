"""`irc lint`: what a synthesis tool would refuse, or silently serialise, in HLS C++."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from irc.backends.fpga_hls.lint.check import lint, sources_of
from irc.backends.fpga_hls.lint.finding import Finding
from irc.backends.fpga_hls.lint.rules import RULES
from irc.cli.options import json_option

FOUND = 1  # exit code


@click.command(
    "lint",
    short_help="What HLS would refuse, or run in sequence, in a project.",
    epilog="""\b
Examples:
  irc lint digits_vit.hls
  irc lint my_project/src/accelerator.cpp --json
  irc lint digits_vit.hls --include /opt/ap_types --include /usr/include/c++/12 ...

A finding that is meant is allowed by a comment on its line or above: // lint: allow RULE: REASON.
Exit code 1 if anything is found.
""",
)
@click.argument("project", type=click.Path(path_type=Path))
@click.option(
    "--include",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Headers of vendor and compiler, instead of those that stand for them.  [repeatable]",
)
@json_option
@click.pass_context
def lint_command(ctx: click.Context, project: Path, include: tuple[Path, ...], as_json: bool) -> None:
    """Read the C++ of PROJECT (an artifact of the backend hls, a folder, or a file), without running any of it.

    All .cpp files but the test bench are read as synthesis reads them: pragmas, loops, calls, DATAFLOW regions.
    """
    found = sorted({f for source in sources_of(project) for f in lint(source, source.parent, include)})
    code = FOUND if found else 0
    if as_json:
        click.echo(json.dumps({"schema": 1, "exit": code, "findings": [_as_json(f) for f in found]}, indent=1))
    else:
        click.echo("\n".join([*map(str, found), *_reasons(found)]) if found else f"{project}: nothing found")
    ctx.exit(code)


def _reasons(found: list[Finding]) -> list[str]:
    """Why the broken rules are rules."""
    return ["", *(f"{name}: {rule.reason}" for name, rule in RULES.items() if any(f.rule == name for f in found))]


def _as_json(finding: Finding) -> dict[str, str | int]:
    rule = RULES.get(finding.rule)
    return {**asdict(finding), "reason": rule.reason if rule else ""}
