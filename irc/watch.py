"""Watching a pipeline: IR behind passes, times, what changed, and the state in front of a pass that fails."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from irc.ir.diagnostics import UsageError, did_you_mean
from irc.ir.files import data_of, write_module
from irc.ir.graph import Module
from irc.ir.scalars import Array
from irc.passes.pipeline import Stage


@dataclass(frozen=True)
class Show:
    """What to show of a pipeline: IR behind some passes, all, or those that change it; IR files in a folder; times."""

    after: tuple[str, ...] = ()
    all: bool = False
    changed: bool = False
    folder: Path | None = None
    times: bool = False

    def check(self, stages: Sequence[Stage]) -> None:
        """Raise UsageError if `after` names a pass that does not run."""
        for name in self.after:
            find_stage(stages, name)


def find_stage(stages: Sequence[Stage], name: str) -> int:
    """The index of the last stage of that pass or preset. Raises UsageError if there is none."""
    for index in range(len(stages) - 1, -1, -1):
        if name in (stages[index].run.name, stages[index].source):
            return index
    names = {stage.run.name for stage in stages} | {stage.source for stage in stages}
    raise UsageError(f"the pipeline does not run '{name}'", hint=did_you_mean(name, names))


@dataclass(frozen=True)
class Record:
    """A stage that has run."""

    text: str
    source: str
    changed: bool
    seconds: float


@dataclass(frozen=True)
class Snapshot:
    """A module as text, and its constants by hash."""

    text: str
    arrays: Mapping[str, Array]

    @staticmethod
    def of(module: Module) -> Snapshot:
        return Snapshot(str(module), {digest: d.array for digest, d in data_of(module).items() if d.loaded})


class Watcher:
    """Called behind every pass; keeps what ran, and what the module was before the pass that runs now."""

    def __init__(self, module: Module, show: Show, out: Callable[[str], None]) -> None:
        self.records: list[Record] = []
        self.before = Snapshot.of(module)
        self._show = show
        self._out = out
        self._dump("input", module)
        self._started = time.perf_counter()

    def __call__(self, stage: Stage, module: Module, changed: bool) -> None:
        seconds = time.perf_counter() - self._started
        self.records.append(Record(str(stage.run), stage.source, changed, seconds))
        if changed:
            self.before = Snapshot.of(module)
        show = self._show
        if show.all or (show.changed and changed) or (show.after and {stage.run.name, stage.source} & {*show.after}):
            note = "" if changed else " (no change)"
            self._out(f"// IR behind {stage.run}{note}\n{self.before.text.rstrip()}")
        self._dump(stage.run.name, module)
        self._started = time.perf_counter()

    def _dump(self, name: str, module: Module) -> None:
        folder = self._show.folder
        if folder is None:
            return
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot write to {folder}: {error.strerror}") from error
        write_module(module, folder / f"{len(self.records):02}-{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}.irc")

    def times(self) -> str:
        """How long every pass took, slowest share in percent."""
        total = sum(record.seconds for record in self.records) or 1.0
        lines = [f"{r.seconds:9.3f} s {100 * r.seconds / total:5.1f} %  {r.text}" for r in self.records]
        return "\n".join([*lines, f"{total:9.3f} s         all passes"])
