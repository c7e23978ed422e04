"""`irc export params`: a folder with the parameters of an artifact, or of a model behind its passes."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from irc.backends.artifact import Artifact
from irc.backends.data import Dataset
from irc.backends.execute import calls_of
from irc.backends.folder import MANIFEST
from irc.driver import Settings, lower, read_model, stages_of
from irc.feedback import Feedback
from irc.ir.clone import clone
from irc.ir.diagnostics import Diagnostic, UsageError
from irc.ir.files import make_parent, unwritable
from irc.ir.graph import Module
from irc.passes.base import build
from irc.passes.pipeline import parse_named
from irc.tools.params.files import FILES
from irc.tools.params.gather import gather

MARKS = ("params.json", "params.npz", "params.h", "mem", "coe")


@dataclass(frozen=True)
class Options:
    """Integer weights, biases, scales, zero points, tables and golden vectors, with the arithmetic in every file."""

    name: ClassVar[str] = "params"
    files: tuple[Literal["npz", "json", "h", "mem", "coe"], ...] = ("npz", "json", "h", "mem", "coe")


def write_params(
    model: Any, folder: Path, settings: Settings, feedback: Feedback, *, force: bool = False
) -> list[Path]:
    """Write the parameters of an artifact as its backend was given them, or of a model behind its passes; which files.

    `settings.backend` is the format as text: `params{files=npz,json}`. Raises UsageError for an output that is there or
    options that do not exist, IrcError for a model without integers, and what reading and passes raise.
    """
    _, given = parse_named(settings.backend, "format")
    options = build(Options, given)
    _claim(folder, force)
    name, module, data = _subject(model, settings, feedback)
    call = calls_of(module.main, data.head(1))[0]
    found = gather(clone(module), call)
    try:
        make_parent(folder)
        with tempfile.TemporaryDirectory(prefix=".irc-", dir=folder.parent) as made:
            partial = Path(made) / "params"
            partial.mkdir()
            for kind in options.files:
                FILES[kind](name, found, partial)
            if folder.exists():
                shutil.rmtree(folder)
            partial.rename(folder)
            return sorted(file for file in folder.rglob("*") if file.is_file())
    except OSError as error:
        raise unwritable(folder, error) from error


def _claim(folder: Path, force: bool) -> None:
    """Raise UsageError if a folder may not be written there. With `force`, only one of ours may be replaced."""
    if not folder.exists():
        return
    ours = folder.is_dir() and (not any(folder.iterdir()) or any((folder / name).exists() for name in MARKS))
    if not force:
        raise UsageError(Diagnostic("exists already", place=str(folder), hint="--force replaces it"))
    if not ours:
        raise UsageError(Diagnostic("is no folder of parameters, so --force does not replace it", place=str(folder)))


def _subject(model: Any, settings: Settings, feedback: Feedback) -> tuple[str, Module, Dataset]:
    if isinstance(model, str | Path) and (Path(model) / MANIFEST).is_file():
        model = Artifact.load(model)
    if isinstance(model, Artifact):
        return model.manifest["model"], model.module, model.samples(settings.calib)
    read = read_model(model, settings)
    lowered = lower(read, stages_of(settings, None), None, settings, feedback)
    return lowered.name, lowered.module, lowered.data


def export_params(
    model: Any,
    out: str | Path,
    *,
    format: str = "params",
    force: bool = False,
    feedback: Feedback | None = None,
    **settings: Any,
) -> None:
    """`irc export params` from Python: `irc.export_params(artifact, "folder")`, with settings as of `irc.compile`."""
    write_params(model, Path(out), Settings(backend=format, **settings), feedback or Feedback(), force=force)
