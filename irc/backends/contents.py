"""What every artifact holds besides the files of its backend, and the manifest that seals it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from irc.backends.base import Golden, ReportData
from irc.backends.data import Dataset
from irc.backends.execute import join, joined
from irc.backends.folder import MANIFEST, write_json, write_npz
from irc.backends.page import page
from irc.backends.report import build
from irc.backends.schedule import FILE as SCHEDULE
from irc.backends.schedule import schedule_text
from irc.ir.constants import save_weights
from irc.ir.diagnostics import InternalError
from irc.ir.files import WEIGHTS, data_of
from irc.ir.graph import Graph, Module, Node
from irc.passes.sampling import takes_batches

SCHEMA = 1
CAPTURED, LOWERED = "input.irc", "lowered.irc"
REPORT, PAGE, PROVENANCE = "report.json", "report.html", "provenance.json"
GOLDEN, GOLDEN_INPUTS, GOLDEN_OUTPUTS = "golden", "golden/inputs.npz", "golden/outputs.npz"
RESERVED = (MANIFEST, CAPTURED, LOWERED, WEIGHTS, REPORT, PAGE, PROVENANCE, GOLDEN, SCHEDULE)


@dataclass(frozen=True)
class Contents:
    """What is known of a compilation when it is done. `facts` are the identifying texts: irc, model, backend, ..."""

    facts: Mapping[str, str]
    captured: Module
    lowered: Module
    passes: Sequence[Mapping[str, Any]]
    notes: Sequence[str]
    warnings: Sequence[str]
    calibration: Mapping[str, Any]
    golden: Sequence[Golden]
    told: ReportData  # by the backend
    schedule: Mapping[str, str]


def write_contents(folder: Path, contents: Contents) -> None:
    """Write the common files beside those of the backend, then the manifest with the hash of everything."""
    for name in RESERVED:
        if (folder / name).exists():
            raise InternalError(f"the backend {contents.facts['backend']} wrote {name}, which is not its own")
    (folder / CAPTURED).write_text(str(contents.captured), encoding="utf-8", newline="\n")
    (folder / LOWERED).write_text(str(contents.lowered), encoding="utf-8", newline="\n")
    constants = {**data_of(contents.captured), **data_of(contents.lowered)}
    if constants:
        save_weights(constants.values(), folder / WEIGHTS)
    _write_golden(folder, contents.lowered.main, contents.golden)
    header = {**contents.facts, "warnings": list(contents.warnings), "notes": list(contents.notes)}
    report = build(contents.lowered, contents.captured, header, contents.told)
    write_json(folder / REPORT, report)
    if contents.schedule:
        text = schedule_text(contents.schedule, contents.facts["backend"])
        (folder / SCHEDULE).write_text(text, encoding="utf-8", newline="\n")
    (folder / PAGE).write_text(page(report), encoding="utf-8", newline="\n")
    write_json(folder / PROVENANCE, _provenance(contents))
    facts = {**contents.facts, "calibration": dict(contents.calibration), **_signature(contents.lowered.main)}
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    write_json(folder / MANIFEST, {"schema": SCHEMA, **facts, "files": {n: file_hash(folder / n) for n in names}})


def _write_golden(folder: Path, graph: Graph, golden: Sequence[Golden]) -> None:
    """The sample calls joined along their sample axis: inputs by name, outputs as `output0`, `output1`, ..."""
    (folder / GOLDEN).mkdir()
    axis = 0 if takes_batches(graph) else None
    inputs = {v.name: join([g.inputs[i] for g in golden], axis) for i, v in enumerate(graph.inputs)}
    outputs = {f"output{i}": array for i, array in enumerate(joined(graph, [g.outputs for g in golden]))}
    write_npz(folder / GOLDEN_INPUTS, inputs)
    write_npz(folder / GOLDEN_OUTPUTS, outputs)


def _signature(graph: Graph) -> dict[str, Any]:
    return {
        "inputs": [{"name": v.name, "type": str(v.type)} for v in graph.inputs],
        "outputs": [{"name": f"output{i}", "type": str(v.type)} for i, v in enumerate(graph.outputs)],
        "symbols": [str(symbol) for symbol in graph.symbols.values()],
    }


def _provenance(contents: Contents) -> dict[str, Any]:
    """What every pass did, and where every node comes from."""
    functions = contents.lowered.functions.items()
    return {
        "schema": SCHEMA,
        "passes": list(contents.passes),
        "notes": list(contents.notes),
        "functions": {name: [_node_provenance(node) for node in graph.nodes] for name, graph in functions},
    }


def _node_provenance(node: Node) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "op": node.opname,
        "at": [{"path": s.path, "class": s.cls, "file": s.file, "line": s.line} for s in node.loc.sources],
        "via": list(node.loc.passes),
    }
    if node.regions:
        entry["body"] = [_node_provenance(inner) for region in node.regions for inner in region.nodes]
    return entry


def file_hash(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def data_hash(data: Dataset) -> str:
    """The SHA-256 of all samples."""
    digest = hashlib.sha256()
    for name, array in sorted(data.samples.items()):
        digest.update(f"{name} {array.dtype.str}{list(array.shape)}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
