"""`python -m irc.cli.docs`: the reference pages in `docs/`, written from the declarations."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from irc.backends.report import columns_of, number_text
from irc.cli.catalog import Json, backend_facts, fields_rows, op_facts, options_rows, pass_facts, preset_facts
from irc.frontend.onnx.ops import CONVERTERS, REASONS
from irc.tables import BACKENDS, BUILT_IN, OPS, PASSES, PRESETS, Table

WRITTEN_BY = "Written from the declarations by `python -m irc.cli.docs`; edit those."


def pages() -> dict[str, str]:
    """The text of every page, by file name. What plug-ins add is left out."""
    written = {"ops.md": _ops(), "passes.md": _passes(), "backends.md": _backends(), "onnx-import.md": _onnx()}
    return {name: "\n\n".join(blocks) + "\n" for name, blocks in written.items()}


def own(table: Table) -> list[str]:
    """The names of a table that irc itself put there."""
    return [name for name in table.names() if table.owner(name) == BUILT_IN]


def _ops() -> Iterator[str]:
    yield "# Ops"
    yield (
        "What each op means is its class in `irc/ir/ops/`; integer arithmetic in words is in [numerics](numerics.md). "
        f"{WRITTEN_BY}"
    )
    ops = sorted(map(op_facts, own(OPS)), key=lambda op: op["family"])
    for family, members in groupby(ops, key=lambda op: op["family"]):
        yield f"## {family}"
        for op in members:
            yield f"### {op['name']}"
            yield _prose(op["text"])
            if op["fields"]:
                yield _table(fields_rows(op["fields"]))


def _passes() -> Iterator[str]:
    yield "# Passes"
    yield (
        "`exact` passes keep every result (floats to rounding), `lossy` ones trade accuracy. Options are written "
        f"`name{{option=value other=1,2}}`. {WRITTEN_BY}"
    )
    yield "## Presets"
    yield _table(
        [{"preset": f"`{p['name']}`", "stands for": f"`{p['help']}`"} for p in map(preset_facts, own(PRESETS))]
    )
    for found in map(pass_facts, own(PASSES)):
        yield f"## {found['name']}"
        yield f"*{found['effect']}.* {_prose(found['text'])}"
        if found["options"]:
            yield _table(options_rows(found["options"]))


def _backends() -> Iterator[str]:
    names = own(BACKENDS)
    yield "# Backends"
    yield f"How to add one: the head of `irc/backends/base.py`. {WRITTEN_BY}"
    for backend in map(backend_facts, names):
        yield f"## {backend['name']}"
        yield _sentence(backend["summary"])
        if backend["pipeline"]:
            yield f"Runs behind your passes: `{backend['pipeline']}`."
        if backend["options"]:
            yield _table(options_rows(backend["options"]))
        yield f"Targets (the default is `{_default_target(backend)}`):"
        yield _table([{"target": t["name"], **{k: v for k, v in t.items() if k != "name"}} for t in backend["targets"]])
    yield "## Which backend runs which op"
    rows = [{"op": op, **{name: op_facts(op, BACKENDS.get(name))["backend"] for name in names}} for op in own(OPS)]
    yield _table(rows)


ONNX = """\
Every verb takes `model.onnx` as it takes a `.pt2`; in Python `irc.capture` and `irc.compile` take a path or an
`onnx.ModelProto`. `irc check model.onnx` lists all operators that stand in the way, with how often and where.

- **Versions**: operator sets from 13 to the newest that the installed package onnx knows; older ones are read as far
  as their operators are the same.
- **Quantized models**: QDQ (a scale a tensor, a channel or a block; down to 2 bits), QOperator (`QLinearConv`,
  `MatMulInteger`, and those of onnxruntime), and QONNX (`Quant`, `BipolarQuant`, `MultiThreshold`, channels last
  too). Codes keep their meaning in the types of the IR; `--passes integerize,fuse` computes with them in integers.
- **Sizes**: a size with a name varies, also in expressions such as `past + 1`; one without gets a name. `--dynamic
  x:0=b:1:64` bounds one, `--input 'x=f32[1, 3, 224, 224]'` fixes all of an input. What the model computes from shapes
  is known when it is read.
- **Data beside the file** is read from the folder of the model only; a path that leaves it is refused (exit 6).
- **Places**: module path and class come from the metadata of torch's and our exporter, else from names such as
  `/blocks.0/fc/MatMul`. `--stop-at blocks.11` (or the name of an operator) takes the part before; what lies behind
  need not be supported.
- **Operators without a row here** are taken apart if the file or the standard says what they are made
  of (functions)."""


def _onnx() -> Iterator[str]:
    yield "# ONNX import"
    yield f"{ONNX}\n\n{WRITTEN_BY}"
    for domain, entries in groupby(sorted(CONVERTERS.items()), key=lambda entry: entry[0][0]):
        yield f"## {domain or 'ai.onnx'}"
        yield _table(
            [
                {"operator": name, "inputs": _count(c.least, c.most), "attributes": ", ".join(sorted(c.attributes))}
                for (_, name), c in entries
            ]
        )
    yield "## Refused"
    yield "Of these, and of attributes and inputs that are not listed above, a message says which, where and why."
    yield _table([{"operator": name, "why": reason} for (_, name), reason in sorted(REASONS.items())])
    yield (
        "So are tensors of 8-bit floats, complex numbers and texts; a size, axis or shape that the model computes from "
        "its data; and NaN among the weights."
    )


def _count(least: int, most: int | None) -> str:
    return f"{least} or more" if most is None else str(least) if least == most else f"{least} to {most}"


def _default_target(backend: Json) -> str:
    """The default by a name that is the same on every machine: `host`, not what that is here."""
    aliases = BACKENDS.get(backend["name"]).aliases.items()
    return next((alias for alias, name in aliases if name == backend["default target"]), backend["default target"])


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _prose(text: str) -> str:
    """A docstring as Markdown: outside of code, signs are no markup."""
    parts = text.split("`")
    return "`".join(p if i % 2 else p.replace("*", "\\*").replace("<", "&lt;") for i, p in enumerate(parts))


def _table(rows: Sequence[Json]) -> str:
    """Rows as a Markdown table."""
    columns = columns_of(rows)
    lines = [columns, ["---"] * len(columns), *([_cell(row.get(c, "")) for c in columns] for row in rows)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _cell(value: Any) -> str:
    return number_text(value).replace("|", "\\|")


def main(folder: Path) -> None:
    """Write all pages into a folder."""
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
