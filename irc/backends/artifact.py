"""The folder that `irc compile` writes and everything else reads.

    manifest.json        what it is: backend, target, options, pipeline, inputs and outputs; the SHA-256 of every file
    input.irc            the float graph as captured
    lowered.irc          what the backend was given
    weights.safetensors  the constants of both texts
    golden/              inputs.npz and outputs.npz: sample calls and what the interpreter makes of them
    report.json .html    cost by layer
    provenance.json      where every node comes from, and what every pass did
    src/ lib/ ...        what the backend wrote

It holds no date, host, absolute path or duration: equal inputs give equal bytes. It appears complete or not at all.
"""

from __future__ import annotations

import hashlib
import io
import json
import secrets
import shutil
import zipfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np

from irc.backends.base import Backend, Golden, Job
from irc.backends.data import Source, read_data
from irc.backends.execute import Verification, calls_of, join, outputs_of, run_calls, verify_samples
from irc.ir.diagnostics import Diagnostic, IrcError, UnsafeInputError, UsageError
from irc.ir.files import WEIGHTS, read_module, reason_of
from irc.ir.graph import Graph, Module
from irc.ir.scalars import Array
from irc.passes.base import Progress, build, no_progress
from irc.passes.pipeline import parse_named
from irc.tables import BACKENDS

SCHEMA = 1
MANIFEST, CAPTURED, LOWERED = "manifest.json", "input.irc", "lowered.irc"
REPORT, PAGE, PROVENANCE, GOLDEN = "report.json", "report.html", "provenance.json", "golden"
RESERVED = frozenset({MANIFEST, CAPTURED, LOWERED, WEIGHTS, REPORT, PAGE, PROVENANCE, GOLDEN})


# -- writing


def claim(path: Path, force: bool) -> None:
    """Raise UsageError if an artifact may not be written there. With `force`, only an artifact may be replaced."""
    if not path.exists() and not path.is_symlink():
        return
    if not force:
        raise UsageError(Diagnostic("exists already", place=str(path), hint="--force replaces it, -o names another"))
    if not (path / MANIFEST).is_file() and not (path.is_dir() and not any(path.iterdir())):
        raise UsageError(Diagnostic("is no irc artifact, so --force does not replace it", place=str(path)))


@contextmanager
def under_construction(path: Path, force: bool) -> Generator[Path]:
    """A new folder beside `path` that takes its place if the block ends well and vanishes if it does not.

    Raises UsageError if it cannot be made, or if `path` exists and `force` is not given.
    """
    claim(path, force)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir()
    except OSError as error:
        raise UsageError(Diagnostic(f"cannot write: {reason_of(error)}", place=str(path))) from error
    try:
        yield partial
        _put_in_place(partial, path, force)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _put_in_place(partial: Path, path: Path, force: bool) -> None:
    claim(path, force)  # nobody came first
    old = partial.with_suffix(".old")
    replaced = path.exists()
    try:
        if replaced:
            path.rename(old)
        try:
            partial.rename(path)
        except OSError:
            if replaced:
                old.rename(path)
            raise
    except OSError as error:
        raise UsageError(Diagnostic(f"cannot write: {reason_of(error)}", place=str(path))) from error
    shutil.rmtree(old, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Indented JSON, keys in the order given."""
    path.write_text(json.dumps(value, indent=1, ensure_ascii=True) + "\n", encoding="ascii", newline="\n")


def write_npz(path: Path, arrays: Mapping[str, Array]) -> None:
    """An `.npz` without dates: equal arrays give equal bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), content.getvalue())


def write_golden(folder: Path, graph: Graph, golden: Sequence[Golden]) -> None:
    """The sample calls joined along their first axis: inputs by name, outputs as `output0`, `output1`, ..."""
    (folder / GOLDEN).mkdir()
    if not golden:
        return
    inputs = {v.name: join([g.inputs[i] for g in golden]) for i, v in enumerate(graph.inputs)}
    outputs = {f"output{i}": join([g.outputs[i] for g in golden]) for i in range(len(golden[0].outputs))}
    write_npz(folder / GOLDEN / "inputs.npz", inputs)
    write_npz(folder / GOLDEN / "outputs.npz", outputs)


def signature(graph: Graph) -> dict[str, Any]:
    """Inputs and outputs of a function as JSON values."""
    return {
        "inputs": [{"name": v.name, "type": str(v.type)} for v in graph.inputs],
        "outputs": [{"name": f"output{i}", "type": str(v.type)} for i, v in enumerate(graph.outputs)],
        "symbols": [str(symbol) for symbol in graph.symbols.values()],
    }


def seal(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write the manifest: `facts`, and the hash of every file that is there."""
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    write_json(folder / MANIFEST, {"schema": SCHEMA, **facts, "files": {n: _digest(folder / n) for n in names}})


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -- reading


class Artifact:
    """An artifact on disk. Opening one checks the schema version and the hash of every file."""

    def __init__(self, path: Path, manifest: Mapping[str, Any]) -> None:
        self.path = path
        self.manifest = manifest

    @staticmethod
    def load(path: str | Path) -> Artifact:
        """Open an artifact. Raises IrcError if it is damaged, UnsafeInputError if a name leads out of the folder."""
        folder = Path(path)
        manifest = _manifest(folder)
        _check_files(folder, manifest["files"])
        return Artifact(folder, manifest)

    @cached_property
    def captured(self) -> Module:
        """The float graph as it was captured."""
        return read_module(self.path / CAPTURED)

    @cached_property
    def module(self) -> Module:
        """What the backend was given."""
        return read_module(self.path / LOWERED)

    @cached_property
    def report(self) -> dict[str, Any]:
        """Cost by layer, as in `report.json`."""
        return json.loads((self.path / REPORT).read_text(encoding="ascii"))

    @property
    def backend(self) -> Backend[Any, Any]:
        return BACKENDS.get(self.manifest["backend"])

    def job(self, progress: Progress = no_progress) -> Job[Any, Any]:
        """The job that the backend was given, without its golden calls."""
        _, given = parse_named(self.manifest["options"], f"{self.path.name}/{MANIFEST}")
        target = self.backend.find_target(self.manifest["target"])
        return Job(self.module, target, build(self.backend.options, given), progress=progress)

    def run(self, *arrays: Array, progress: Progress = no_progress, **named: Array) -> list[Array]:
        """The outputs for samples: one array an input, in order or by name, with a leading sample axis.

        Raises UsageError if the arrays do not fit, ToolError if the backend needs a program that is missing.
        """
        return self.run_on(named or arrays, progress=progress)

    def run_on(self, data: Source, *, progress: Progress = no_progress) -> list[Array]:
        """The outputs for data as `--data` takes it."""
        graph = self.module.main
        samples = read_data(data, graph, "--data")
        results = list(run_calls(self.job(progress), self.backend, self.path, calls_of(graph, samples)))
        return outputs_of(results, len(samples))

    def verify(self, data: Source | None = None, *, progress: Progress = no_progress) -> Verification:
        """Compare the artifact with the interpreter, bit by bit, on these samples or on its golden inputs.

        With labels, also top-1 of the artifact and of the float graph. Does not raise where results differ: see
        `Verification.exact` and `Verification.require_exact`.
        """
        source = self.path / GOLDEN / "inputs.npz" if data is None else data
        samples = read_data(source, self.module.main, "--data")
        return verify_samples(self.job(progress), self.backend, self.path, self.captured, samples)

    def save(self, path: str | Path, *, force: bool = False) -> Artifact:
        """A copy of the artifact at another place."""
        with under_construction(Path(path), force) as folder:
            for name in (*self.manifest["files"], MANIFEST):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.path / name, folder / name)
        return Artifact(Path(path), self.manifest)

    def __repr__(self) -> str:
        return f"Artifact('{self.path}', {self.manifest['model']} on {self.manifest['backend']})"


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        problem = "is no irc artifact: it has no manifest.json" if folder.is_dir() else "there is no such artifact"
        raise UsageError(Diagnostic(problem, place=str(folder))) from error
    except NotADirectoryError as error:
        raise UsageError(Diagnostic("is no irc artifact: it is not a folder", place=str(folder))) from error
    except (OSError, ValueError) as error:
        raise _damaged(folder, f"{MANIFEST} cannot be read") from error
    if not isinstance(manifest, dict):
        raise _damaged(folder, f"{MANIFEST} holds no object")
    facts = cast("dict[str, Any]", manifest)
    if facts.get("schema") != SCHEMA:
        message = f"has schema {facts.get('schema')}, this irc reads {SCHEMA}"
        raise IrcError(Diagnostic(message, place=str(folder), hint="compile the model again"))
    kinds = {"irc": str, "model": str, "backend": str, "target": str, "options": str, "files": dict}
    for key, kind in kinds.items():
        if not isinstance(facts.get(key), kind):
            raise _damaged(folder, f"{MANIFEST} has no valid '{key}'")
    return facts


def _check_files(folder: Path, files: Mapping[Any, Any]) -> None:
    for name in files:
        if not _stays_inside(name):
            raise UnsafeInputError(Diagnostic(f"{MANIFEST} names {name!r}, outside the artifact", place=str(folder)))
    for name in (CAPTURED, LOWERED, REPORT):
        if name not in files:
            raise _damaged(folder, f"{MANIFEST} does not list {name}")
    root = folder.resolve()
    for name, digest in files.items():
        path = folder / name
        if not path.resolve().is_relative_to(root):
            raise UnsafeInputError(Diagnostic(f"{name} is a link out of the artifact", place=str(folder)))
        if not path.is_file():
            raise _damaged(folder, f"{name} is missing")
        if _digest(path) != digest:
            raise _damaged(folder, f"{name} is not the file that was written")


def _stays_inside(name: Any) -> bool:
    """Whether a file name of a manifest is a plain relative path."""
    if not isinstance(name, str) or not name.isprintable() or "\\" in name:
        return False
    return all(part not in ("", ".", "..") for part in name.split("/"))


def _damaged(folder: Path, what: str) -> IrcError:
    return IrcError(Diagnostic(f"the artifact is damaged: {what}", place=str(folder), hint="compile the model again"))
