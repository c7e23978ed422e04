"""`irc passes`, `irc ops`, `irc targets`: what there is, with options and help."""

from __future__ import annotations

import json
from typing import Any

import click

from irc.backends.base import Backend
from irc.cli.catalog import (
    Json,
    backend_facts,
    fields_rows,
    op_facts,
    options_rows,
    pass_facts,
    preset_facts,
)
from irc.cli.options import json_option, load_option
from irc.cli.output import table
from irc.tables import BACKENDS, OPS, PASSES, PRESETS


@click.command("passes", short_help="The passes and presets, with their options.")
@click.argument("name", required=False)
@load_option
@json_option
def passes_command(name: str | None, as_json: bool) -> None:
    """All passes and presets, or everything about the one called NAME."""
    if name is not None:
        found = [preset_facts(name) if name in PRESETS.names() else pass_facts(name)]
    else:
        found = [*map(pass_facts, PASSES.names()), *map(preset_facts, PRESETS.names())]
    if as_json:
        click.echo(json.dumps(found, indent=1))
    elif name is not None:
        click.echo(_pass_text(found[0]))
    else:
        rows = [{"pass": f["name"], "": f.get("effect", "preset"), "does": f["help"]} for f in found]
        click.echo(table(rows))
        click.echo("\nirc passes NAME shows options.")


def _pass_text(found: Json) -> str:
    head = f"{found['name']} ({found.get('effect', 'preset')}, from {found['from']})"
    lines = [head, "", found["text"] or f"  = {found['help']}"]
    if found["options"]:
        lines += ["", table(options_rows(found["options"]))]
    return "\n".join(lines)


@click.command("ops", short_help="The ops of the IR, and which backend runs them.")
@click.argument("name", required=False)
@click.option("--backend", default="", metavar="NAME", help="Show how this backend runs each op, or why not.")
@load_option
@json_option
def ops_command(name: str | None, backend: str, as_json: bool) -> None:
    """All ops, or the declaration of the one called NAME."""
    chosen: Backend[Any, Any, Any] | None = BACKENDS.get(backend) if backend else None
    found = [op_facts(n, chosen) for n in ([name] if name is not None else OPS.names())]
    if as_json:
        click.echo(json.dumps(found, indent=1))
    elif name is not None:
        click.echo(_op_text(found[0], backend))
    else:
        shown = {"op": "name", "family": "family", "does": "help", **({backend: "backend"} if backend else {})}
        click.echo(table([{column: op[key] for column, key in shown.items()} for op in found]))


def _op_text(op: Json, backend: str) -> str:
    lines = [f"{op['name']} ({op['family']}, from {op['from']})", "", op["text"], "", table(fields_rows(op["fields"]))]
    return "\n".join([*lines, *(["", f"{backend}: {op['backend']}"] if backend else [])])


@click.command("targets", short_help="The backends and targets, with their options.")
@click.argument("name", required=False)
@load_option
@json_option
def targets_command(name: str | None, as_json: bool) -> None:
    """All backends with their options and targets, or those of the one called NAME."""
    found = [backend_facts(n) for n in ([name] if name is not None else BACKENDS.names())]
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    click.echo("\n\n".join(_backend_text(b) for b in found))


def _backend_text(backend: Json) -> str:
    lines = [f"{backend['name']}: {backend['summary']}"]
    if backend["pipeline"]:
        lines.append(f"runs behind your passes: {backend['pipeline']}")
    if backend["options"]:
        lines += ["", table(options_rows(backend["options"]))]
    marked = [{**t, "": "default" if t["name"] == backend["default target"] else ""} for t in backend["targets"]]
    return "\n".join([*lines, "", table([{"target": t.pop("name"), **t} for t in marked])])
