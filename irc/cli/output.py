"""How verbs write: aligned columns, and IR to a file or stdout."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from irc.backends.report import columns_of, number_text
from irc.ir.diagnostics import Diagnostic, UsageError
from irc.ir.files import is_device, write_module
from irc.ir.graph import Module
from irc.ir.location import Loc


def refuse_existing(path: Path, force: bool) -> None:
    """Raise UsageError if a file is there and may not be replaced."""
    if path.exists() and not force and not is_device(path):
        raise UsageError(Diagnostic("exists already", place=str(path), hint="--force replaces it"))
    if path.is_dir():
        raise UsageError(Diagnostic("is a folder", place=str(path)))


def write_ir(module: Module, output: Path | None, force: bool) -> None:
    """The text of a module, to stdout, or to a file with its weights beside it."""
    if output is None:
        click.echo(str(module), nl=False)
        return
    refuse_existing(output, force)
    write_module(module, output)


def table(rows: Sequence[Mapping[str, Any]], widest: int = 1000) -> str:
    """Rows as aligned columns with a header; numbers to the right, longer texts than `widest` cut."""
    columns = columns_of(rows)
    cells = [columns, *([_cut(number_text(row.get(c, "")), widest) for c in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    numeric = [all(isinstance(row.get(c, 0), int | float) for row in rows) for c in columns]

    def line(texts: Sequence[str]) -> str:
        padded = (t.rjust(w) if n else t.ljust(w) for t, w, n in zip(texts, widths, numeric, strict=True))
        return "  ".join(padded).rstrip()

    return "\n".join(line(texts) for texts in cells)


def _cut(text: str, widest: int) -> str:
    """A text on one line of limited width; names of a model may hold anything."""
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if len(text) <= widest else text[: widest - 3] + "..."


def place_of(loc: Loc) -> dict[str, str]:
    """The first place of a location as cells of a table: module path and source line."""
    if not loc.sources:
        return {"layer": "", "line": ""}
    source = loc.sources[0]
    return {"layer": source.path, "line": f"{source.file}:{source.line}" if source.file else ""}


def measured_text(value: float) -> str:
    """A measured number in four digits."""
    return f"{value:.4g}" if math.isfinite(value) else str(value)
