"""`irc passes`, `irc ops`, `irc targets`: what there is, with options and help."""

from __future__ import annotations

import dataclasses
import inspect
import json
from typing import Any

import click

from irc.backends.base import Backend
from irc.cli.options import json_option, load_option
from irc.cli.output import table
from irc.ir.fields import MISSING, annotation_text
from irc.ir.op import Op
from irc.passes.base import Option, Pass, help_of, option_text, options_of
from irc.passes.pipeline import parse_pipeline, pipeline_text
from irc.tables import BACKENDS, OPS, PASSES, PRESETS

Json = dict[str, Any]


@click.command("passes", short_help="The passes and presets, with their options.")
@click.argument("name", required=False)
@load_option
@json_option
def passes_command(name: str | None, as_json: bool) -> None:
    """All passes and presets, or everything about the one called NAME."""
    if name is not None and name in PRESETS.names():
        found: list[Json] = [_preset(name)]
    elif name is not None:
        found = [_pass(name, PASSES.get(name))]
    else:
        found = [_pass(n, PASSES.get(n)) for n in PASSES.names()] + [_preset(n) for n in PRESETS.names()]
    if as_json:
        click.echo(json.dumps(found, indent=1))
    elif name is not None:
        click.echo(_detail(found[0]))
    else:
        rows = [{"pass": f["name"], "": f.get("effect", "preset"), "does": f["help"]} for f in found]
        click.echo(table(rows))
        click.echo("\nirc passes NAME shows options.")


def _pass(name: str, cls: type[Pass]) -> Json:
    return {
        "name": name,
        "effect": cls.effect,
        "help": help_of(cls),
        "text": inspect.getdoc(cls) or "",
        "options": [_option(o) for o in options_of(cls)],
        "from": PASSES.owner(name),
    }


def _preset(name: str) -> Json:
    expanded = pipeline_text(parse_pipeline(PRESETS.get(name)))
    return {"name": name, "help": expanded, "text": "", "options": [], "from": PRESETS.owner(name)}


def _option(option: Option) -> Json:
    default = None if option.default is dataclasses.MISSING else option_text(option.default)
    return {"name": option.name, "kind": option.kind, "default": default}


def _options_table(options: list[Json]) -> str:
    shown = {None: "needed", "": "none"}
    rows = [{"option": o["name"], "values": o["kind"], "default": o["default"]} for o in options]
    return table([{**row, "default": shown.get(row["default"], row["default"])} for row in rows])


def _detail(found: Json) -> str:
    head = f"{found['name']} ({found.get('effect', 'preset')}, from {found['from']})"
    lines = [head, "", found["text"] or f"  = {found['help']}"]
    if found["options"]:
        lines += ["", _options_table(found["options"])]
    return "\n".join(lines)


@click.command("ops", short_help="The ops of the IR, and which backend runs them.")
@click.argument("name", required=False)
@click.option("--backend", default="", metavar="NAME", help="Show how this backend runs each op, or why not.")
@load_option
@json_option
def ops_command(name: str | None, backend: str, as_json: bool) -> None:
    """All ops, or the declaration of the one called NAME."""
    chosen: Backend[Any, Any] | None = BACKENDS.get(backend) if backend else None
    found = [_op(n, OPS.get(n), chosen) for n in ([name] if name is not None else OPS.names())]
    if as_json:
        click.echo(json.dumps(found, indent=1))
    elif name is not None:
        (op,) = found
        fields = [{"field": f["name"], "": f["kind"], "type": f["type"], "default": f["default"]} for f in op["fields"]]
        click.echo("\n".join([f"{name} ({op['family']}, from {op['from']})", "", op["text"], "", table(fields)]))
    else:
        shown = {"op": "name", "family": "family", "does": "help", **({backend: "backend"} if backend else {})}
        click.echo(table([{column: op[key] for column, key in shown.items()} for op in found]))


def _op(name: str, cls: type[Op], backend: Backend[Any, Any] | None) -> Json:
    entry: Json = {
        "name": name,
        "family": cls.family,
        "help": help_of(cls),
        "text": inspect.getdoc(cls) or "",
        "fields": [
            {
                "name": f.name,
                "kind": f.kind.replace("_", " "),
                "type": annotation_text(f.annotation),
                "default": "" if f.default is MISSING else str(f.default),
            }
            for f in cls.fields
        ],
        "from": OPS.owner(name),
    }
    if backend is not None:
        entry["backend"] = backend.coverage(cls)
    return entry


@click.command("targets", short_help="The backends and targets, with their options.")
@click.argument("name", required=False)
@load_option
@json_option
def targets_command(name: str | None, as_json: bool) -> None:
    """All backends with their options and targets, or those of the one called NAME."""
    found = [_backend(n, BACKENDS.get(n)) for n in ([name] if name is not None else BACKENDS.names())]
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    click.echo("\n\n".join(_backend_text(b) for b in found))


def _backend(name: str, backend: Backend[Any, Any]) -> Json:
    return {
        "name": name,
        "summary": backend.summary,
        "default target": backend.target,
        "options": [_option(o) for o in options_of(backend.options)],
        "targets": [dataclasses.asdict(target) for target in backend.targets.values()],
        "pipeline": backend.pipeline,
        "from": BACKENDS.owner(name),
    }


def _backend_text(backend: Json) -> str:
    lines = [f"{backend['name']}: {backend['summary']}"]
    if backend["pipeline"]:
        lines.append(f"runs behind your passes: {backend['pipeline']}")
    if backend["options"]:
        lines += ["", _options_table(backend["options"])]
    marked = [{**t, "": "default" if t["name"] == backend["default target"] else ""} for t in backend["targets"]]
    return "\n".join([*lines, "", table([{"target": t.pop("name"), **t} for t in marked])])
