"""What can be asked of a module behind some passes: whether it computes what the model did, by bounds or a command."""

from __future__ import annotations

import shlex
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from irc.backends.base import Backend, Golden, Job
from irc.backends.comparison import Bounds, Comparison, compared
from irc.backends.data import Dataset
from irc.backends.execute import calls_of
from irc.backends.folder import write_npz
from irc.backends.programs import status_of
from irc.backends.sides import on_interpreter
from irc.backends.verification import verify_samples
from irc.ir.diagnostics import MismatchError, UsageError
from irc.ir.files import write_module
from irc.ir.graph import Module
from irc.ir.interpret import interpret
from irc.passes.base import Progress

SKIP = 125  # the exit status by which a command says that it cannot tell, as for `git bisect run`
LINES = 3  # of what a command says that are kept


@dataclass(frozen=True)
class Verdict:
    """Whether a check holds, and why not."""

    kind: Literal["good", "bad", "skip"]
    why: str = ""


GOOD = Verdict("good")


@dataclass(frozen=True)
class Check:
    """A question to a module: a command of the user's, or bounds on its distance to the model it comes from.

    Without bounds, those of the kind of arithmetic hold (`irc.backends.comparison.usual`).
    """

    bounds: Bounds | None = None
    command: str = ""

    def __call__(self, reference: Module, module: Module, data: Dataset, progress: Progress) -> Verdict:
        if self.command:
            return _ask(self.command, module, data)
        found = distance(reference, module, data, progress, self.bounds)
        rows = [(row.b, found.broken(row)) for row in found.outputs]
        broken = [f"{name}: {'; '.join(texts)}" for name, texts in rows if texts]
        return Verdict("bad", ", ".join(broken)) if broken else GOOD

    @property
    def options(self) -> str:
        """The check as options of the command line."""
        if self.command:
            return f"--check {shlex.quote(self.command)}"
        return " ".join(f"--metric {name}={bound:g}" for name, bound in (self.bounds or {}).items())


def distance(
    reference: Module,
    module: Module,
    data: Dataset,
    progress: Progress,
    bounds: Bounds | None,
    *,
    layers: bool = False,
) -> Comparison:
    """A module against the one it comes from, both on the interpreter."""
    a, b = on_interpreter(reference, "in front"), on_interpreter(module, "behind")
    return compared(a, b, data, progress, layers=data if layers else None, bounds=bounds)


def _ask(command: str, module: Module, data: Dataset) -> Verdict:
    """Run a command with the path of the text IR, whose weights and `inputs.npz` lie beside it."""
    words = shlex.split(command)
    if not words:
        raise UsageError("--check is empty", hint="for example --check='python my_check.py'")
    with tempfile.TemporaryDirectory(prefix="irc-check-") as folder:
        path = Path(folder) / "module.irc"
        write_module(module, path)
        write_npz(path.with_name("inputs.npz"), data.samples)
        status, said = status_of([*words, str(path)])
    if status == SKIP:
        return Verdict("skip")
    last = " / ".join(said.splitlines()[-LINES:])
    return Verdict("bad", f"{words[0]} ends with {status}{': ' if last else ''}{last}") if status else GOOD


@dataclass(frozen=True)
class Lowering:
    """A backend as the last step: what it makes of a module must compute what the interpreter does."""

    backend: Backend[Any, Any, Any]
    empty: Job[Any, Any]

    def __call__(self, module: Module, data: Dataset, progress: Progress) -> Verdict:
        with tempfile.TemporaryDirectory(prefix="irc-lowered-") as name:
            folder = Path(name)
            calls = calls_of(module.main, data)[:1]
            golden = [Golden(call, interpret(module, call)) for call in calls]
            job = replace(self.empty, module=module, golden=golden, progress=progress)
            self.backend.emit(job, self.backend.lower(job), folder)
            found = verify_samples(job, self.backend, folder, module, data)
        try:
            found.require_exact()
        except MismatchError as error:
            notes = [note for diagnostic in error.diagnostics[:1] for note in diagnostic.notes]
            return Verdict("bad", "; ".join([error.diagnostics[0].message, *notes]))
        return GOOD
