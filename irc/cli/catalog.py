"""What the tables hold as JSON values, read from the declarations: the source of listings and reference pages."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

from irc.backends.base import Backend
from irc.ir.fields import MISSING, annotation_text
from irc.ir.op import Op
from irc.passes.base import Option, Pass, help_of, option_text, options_of
from irc.passes.pipeline import parse_pipeline, pipeline_text
from irc.tables import BACKENDS, OPS, PASSES, PRESETS

Json = dict[str, Any]


def pass_facts(name: str) -> Json:
    """A pass: effect, help, options. Raises UsageError for an unknown one."""
    cls: type[Pass] = PASSES.get(name)
    return {
        "name": name,
        "effect": cls.effect,
        "help": help_of(cls),
        "text": inspect.getdoc(cls) or "",
        "options": [_option(o) for o in options_of(cls)],
        "from": PASSES.owner(name),
    }


def preset_facts(name: str) -> Json:
    """A preset and the passes it stands for."""
    expanded = pipeline_text(parse_pipeline(PRESETS.get(name)))
    return {"name": name, "help": expanded, "text": "", "options": [], "from": PRESETS.owner(name)}


def op_facts(name: str, backend: Backend[Any, Any, Any] | None = None) -> Json:
    """An op: family, help, fields, and how the backend runs it. Raises UsageError for an unknown one."""
    cls: type[Op] = OPS.get(name)
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
                "default": "" if f.default is MISSING else f.text(f.default),
            }
            for f in cls.fields
        ],
        "from": OPS.owner(name),
    }
    if backend is not None:
        entry["backend"] = backend.coverage(cls)
    return entry


def backend_facts(name: str) -> Json:
    """A backend: options, targets, what it runs behind the user's passes. Raises UsageError for an unknown one."""
    backend: Backend[Any, Any, Any] = BACKENDS.get(name)
    return {
        "name": name,
        "summary": backend.summary,
        "default target": backend.target,
        "options": [_option(o) for o in options_of(backend.options)],
        "targets": [dataclasses.asdict(target) for target in backend.targets.values()],
        "pipeline": backend.pipeline,
        "from": BACKENDS.owner(name),
    }


def options_rows(options: list[Json]) -> list[Json]:
    """Options as rows of a table."""
    shown = {None: "needed", "": "none"}
    rows = [{"option": o["name"], "values": o["kind"], "default": o["default"]} for o in options]
    return [{**row, "default": shown.get(row["default"], row["default"])} for row in rows]


def fields_rows(fields: list[Json]) -> list[Json]:
    """The fields of an op as rows of a table."""
    return [{"field": f["name"], "": f["kind"], "type": f["type"], "default": f["default"]} for f in fields]


def _option(option: Option) -> Json:
    default = None if option.default is dataclasses.MISSING else option_text(option.default)
    return {"name": option.name, "kind": option.kind, "default": default}
