"""`irc inspect`: any stage of a model as a table, text, JSON or a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from irc.backends.artifact import Artifact
from irc.backends.page import page
from irc.backends.report import build, number_text, sizes_counted
from irc.cli.options import force_option, json_option, load_option, model_options, reading
from irc.cli.output import refuse_existing, table
from irc.driver import read_model
from irc.ir.files import replace_file
from irc.ir.graph import Module
from irc.ir.location import ROOT
from irc.version import __version__


@click.command(
    "inspect",
    short_help="A model, IR text or artifact as a table, text or page.",
    epilog="""\b
Examples:
  irc inspect digits_vit.pt2
  irc inspect digits_vit.hls --stage captured --text
  irc inspect digits_vit.hls --html report.html
""",
)
@click.argument("file")
@click.option("--text", is_flag=True, help="The text IR.")
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Write a page.")
@click.option(
    "--stage",
    type=click.Choice(["lowered", "captured"]),
    default="lowered",
    show_default=True,
    help="Of an artifact: behind all passes, or the float graph.",
)
@force_option
@model_options
@load_option
@json_option
def inspect_command(
    file: str, text: bool, html: Path | None, stage: str, force: bool, as_json: bool, **given: Any
) -> None:
    """Show FILE, a model, a .irc text or an artifact: its layers with their ops, work and constants."""
    module, report = _inspected(file, stage, given)
    if html is not None:
        refuse_existing(html, force)
        replace_file(html, lambda partial: partial.write_text(page(report), encoding="utf-8", newline="\n"))
    if text:
        click.echo(str(module), nl=False)
    elif as_json:
        click.echo(json.dumps(report, indent=1))
    elif html is None:
        click.echo(_overview(module, report))


def _inspected(file: str, stage: str, given: dict[str, Any]) -> tuple[Module, dict[str, Any]]:
    if Path(file).is_dir():
        artifact = Artifact.load(file)
        if stage == "lowered":
            return artifact.module, artifact.report
        return artifact.captured, _report(artifact.manifest["model"], artifact.captured)
    read = read_model(file, reading(**given))
    return read.module, _report(read.name, read.module)


def _report(name: str, module: Module) -> dict[str, Any]:
    header: dict[str, Any] = {
        "irc": __version__,
        "model": name,
        "backend": "no backend",
        "target": "",
        "pipeline": "",
        "warnings": [],
    }
    return build(module, module, header, {})


def _overview(module: Module, report: dict[str, Any]) -> str:
    graph = module.main
    lines = [f"{report['model']}: {', '.join(f'{v.name}: {v.type}' for v in graph.inputs)}"]
    lines.append(f"  -> {', '.join(str(v.type) for v in graph.outputs)}")
    if graph.symbols:
        lines.append(
            f"  where {', '.join(map(str, graph.symbols.values()))}; costs are those of {sizes_counted(module)}"
        )
    rows = [{**row, "layer": row["layer"] or ROOT} for row in report["layers"]]
    lines += ["", table(rows, widest=48), ""]
    return "\n".join([*lines, *(f"{key}: {number_text(value)}" for key, value in report["summary"].items())])
