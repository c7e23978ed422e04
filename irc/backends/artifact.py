"""The folder that `irc compile` writes and everything else reads.

    manifest.json        what it is: backend, target, options, pipeline, inputs and outputs; the SHA-256 of every file
    input.irc            the float graph as captured
    lowered.irc          what the backend was given
    weights.safetensors  the constants of both texts
    golden/              inputs.npz and outputs.npz: sample calls and what the interpreter makes of them
    report.json .html    cost by layer
    schedule.txt         how kernels are laid out, where the backend has a choice
    provenance.json      where every node comes from, and what every pass did
    src/ lib/ ...        what the backend wrote

It holds no date, host, absolute path or duration: equal inputs give equal bytes. It appears complete or not at all.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np

from irc.backends.base import Backend, Job
from irc.backends.contents import CAPTURED, GOLDEN_INPUTS, LOWERED, REPORT, SCHEMA, file_hash
from irc.backends.data import Dataset, Source, read_data
from irc.backends.execute import calls_of, outputs_of, require_whole, run_calls
from irc.backends.folder import MANIFEST, under_construction
from irc.backends.schedule import FILE as SCHEDULE
from irc.backends.schedule import read_schedule
from irc.backends.verification import Verification, verify_samples
from irc.ir.diagnostics import Diagnostic, IrcError, UnsafeInputError, UsageError
from irc.ir.files import read_module
from irc.ir.graph import Module
from irc.ir.scalars import Array
from irc.passes.base import Progress, build, no_progress
from irc.passes.pipeline import parse_named
from irc.passes.sampling import takes_batches
from irc.tables import BACKENDS


class Artifact:
    """An artifact on disk. Opening one checks the schema version and the hash of every file."""

    def __init__(self, path: Path, manifest: Mapping[str, Any], report: dict[str, Any] | None = None) -> None:
        self.path = path
        self.manifest = manifest
        self._report = report

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
        return _object(self.path, REPORT) if self._report is None else self._report

    @property
    def backend(self) -> Backend[Any, Any, Any]:
        return BACKENDS.get(self.manifest["backend"])

    def job(self, progress: Progress = no_progress, threads: int = 1) -> Job[Any, Any]:
        """The job that the backend was given, without its golden calls, to be run by so many threads.

        Raises UsageError if it cannot be.
        """
        if not 1 <= threads <= self.backend.threads:
            able = f"1 to {self.backend.threads} can" if self.backend.threads > 1 else "one can"
            raise UsageError(f"{threads} threads cannot run artifacts of the backend {self.backend.name}", hint=able)
        _, given = parse_named(self.manifest["options"], f"{self.path.name}/{MANIFEST}")
        target = self.backend.find_target(self.manifest["target"])
        options, path = build(self.backend.options, given), self.path / SCHEDULE
        schedule = read_schedule(path) if path.exists() else {}
        return Job(self.module, target, options, schedule=schedule, threads=threads, progress=progress)

    def run(self, *arrays: Array, progress: Progress = no_progress, **named: Array) -> list[Array]:
        """The outputs for arrays: one an input, in order, then by name, with the model's batch axis in front, of any
        size; a model without one takes the arrays of one call.

        As many samples as the model takes at once are one call, and give what the model gives. Of several calls, the
        outputs are joined along their batch axis: that of the batch's symbol, or the first where the batch is a number.
        An output that has none, as a mean over the batch, is stacked, a row for each call.

        Raises UsageError if the arrays do not fit, or do not fill whole calls where an output is of all samples of a
        call; ToolError if the backend needs a program that is missing.
        """
        given = self._named(arrays, named)
        if takes_batches(self.captured.main):
            return self._outputs(self.samples(given), most=sys.maxsize, progress=progress)
        one = self.samples({name: array[None] for name, array in given.items()})
        return [output[0] for output in self._outputs(one, progress=progress)]

    def run_on(
        self, data: Source | None, *, limit: int | None = None, threads: int = 1, progress: Progress = no_progress
    ) -> list[Array]:
        """The outputs for data as `--data` takes it, or for its first `limit` samples; joined as those of `run`.

        Where every output has the batch as an axis, samples are taken as independent, and calls are no larger than they
        need to be.
        """
        return self._outputs(self.samples(data, limit), threads=threads, progress=progress)

    def _outputs(
        self, samples: Dataset, *, most: int | None = None, threads: int = 1, progress: Progress = no_progress
    ) -> list[Array]:
        job, graph = self.job(progress, threads), self.module.main
        require_whole(graph, len(samples))
        results = list(run_calls(job, self.backend, self.path, calls_of(graph, samples, most)))
        return outputs_of(graph, results, len(samples))

    def _named(self, arrays: Sequence[object], named: Mapping[str, object]) -> dict[str, Array]:
        """Arrays in order, then by name, all by name."""
        names = [value.name for value in self.captured.main.inputs]
        if len(arrays) > len(names) or (len(arrays) < len(names) and not named):
            raise UsageError(f"run: {len(arrays)} arrays, the model takes {len(names)} ({', '.join(names)})")
        in_order = dict(zip(names, arrays, strict=False))
        for name in in_order.keys() & named.keys():
            raise UsageError(f"run: input '{name}' is given twice, in order and by name")
        return {name: _array(given) for name, given in (*in_order.items(), *named.items())}

    def verify(
        self,
        data: Source | None = None,
        *,
        limit: int | None = None,
        threads: int = 1,
        progress: Progress = no_progress,
    ) -> Verification:
        """Compare the artifact with the interpreter, bit by bit, on these samples or on its golden inputs.

        With labels, also top-1 of the artifact and of the float graph. Does not raise where results differ: see
        `Verification.exact` and `Verification.require_exact`.
        """
        job, samples = self.job(progress, threads), self.samples(data, limit)
        return verify_samples(job, self.backend, self.path, self.captured, samples)

    def samples(self, data: Source | None, limit: int | None = None) -> Dataset:
        """Data checked against the inputs, or the golden inputs; the first `limit` of them."""
        source = self.path / GOLDEN_INPUTS if data is None else data
        return read_data(source, self.captured.main, "--data").head(limit)

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
    if not (folder / MANIFEST).exists():
        problem = "there is no such artifact"
        if folder.exists():
            problem = f"is no irc artifact: it {f'has no {MANIFEST}' if folder.is_dir() else 'is not a folder'}"
        raise UsageError(Diagnostic(problem, place=str(folder)))
    facts = _object(folder, MANIFEST)
    if facts.get("schema") != SCHEMA:
        message = f"has schema {facts.get('schema')}, this irc reads {SCHEMA}"
        raise IrcError(Diagnostic(message, place=str(folder), hint="compile the model again"))
    kinds = {"irc": str, "model": str, "backend": str, "target": str, "options": str, "files": dict}
    for key, kind in kinds.items():
        if not isinstance(facts.get(key), kind):
            raise _damaged(folder, f"{MANIFEST} has no valid '{key}'")
    return facts


def _object(folder: Path, name: str) -> dict[str, Any]:
    """The JSON object of a file."""
    try:
        found: Any = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(folder, f"{name} cannot be read") from error
    if not isinstance(found, dict):
        raise _damaged(folder, f"{name} holds no object")
    return cast("dict[str, Any]", found)


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
        if file_hash(path) != digest:
            raise _damaged(folder, f"{name} is not the file that was written")


def _stays_inside(name: Any) -> bool:
    """Whether a file name of a manifest is a plain relative path."""
    if not isinstance(name, str) or not name.isprintable() or "\\" in name:
        return False
    return all(part not in ("", ".", "..") for part in name.split("/"))


def _damaged(folder: Path, what: str) -> IrcError:
    return IrcError(Diagnostic(f"the artifact is damaged: {what}", place=str(folder), hint="compile the model again"))


def _array(given: object) -> Array:
    """What a caller gave for an input. Raises UsageError if it is no array and cannot be made one."""
    try:
        found = np.asarray(given)
    except (RuntimeError, TypeError, ValueError) as error:
        raise UsageError(f"run: no array can be made of a {type(given).__name__}: {error}") from error
    if found.dtype == object:
        hint = "arrays in the order of the inputs, or by name: run(x=array)"
        raise UsageError(f"run: a {type(given).__name__} is no array", hint=hint)
    return found
