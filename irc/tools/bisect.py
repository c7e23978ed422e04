"""`irc debug bisect`: the first pass behind which a check fails, or the lowering; and the layer."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from irc.backends.comparison import Row
from irc.backends.data import Dataset, Source
from irc.driver import Read, Settings, Warnings, context, data_of, one_blas_thread, read_backend, read_model, stages_of
from irc.feedback import Feedback
from irc.ir.clone import clone
from irc.ir.diagnostics import IrcError, UsageError, described
from irc.ir.location import Loc
from irc.passes.base import PassContext
from irc.passes.pipeline import ROUNDING, Stage, pipeline_text, run_pipeline
from irc.reproducer import BEFORE, INPUTS, write_case
from irc.tools.verdict import Check, Lowering, Verdict, distance
from irc.watch import Snapshot

SAMPLES = 16  # on which checks run, where nobody says how many


@dataclass(frozen=True)
class Setup:
    """A model, the passes that are suspected, and the samples on which it shows."""

    read: Read
    stages: list[Stage]
    calib: Dataset
    data: Dataset
    cx: PassContext
    check: Check
    lowering: Lowering | None
    settings: Settings
    feedback: Feedback
    loaded: tuple[str, ...]  # files with passes of the user's

    def command(self, stages: Sequence[Stage]) -> str:
        """The command line that shows the failure again, in the folder of the reproducer."""
        words = [f"irc debug bisect {BEFORE}", f"--passes {shlex.quote(pipeline_text(stages))}"]
        words += [f"--load {shlex.quote(file)}" for file in self.loaded]
        words += [f"--backend {shlex.quote(self.settings.backend)}"] if self.lowering else []
        words += [f"--target {shlex.quote(self.settings.target)}"] if self.settings.target else []
        words += [f"--calib {INPUTS}", f"--seed {self.settings.seed}", self.check.options]
        return " ".join(word for word in words if word)


def set_up(
    model: Any,
    settings: Settings,
    feedback: Feedback,
    check: Check,
    *,
    limit: int = SAMPLES,
    lowered: bool = False,
    loaded: Sequence[str] = (),
) -> Setup:
    """Everything that is read before any pass runs; `lowered` says that the backend is suspected too."""
    backend, empty = read_backend(settings) if lowered else (None, None)
    stages = stages_of(settings, backend)
    read = read_model(model, settings)
    kind, calib = data_of(read, settings)
    cx = context(calib, kind, backend, settings, feedback, Warnings(feedback.warn))
    resolved = [Stage(stage.run.resolved(cx), stage.source) for stage in stages]
    lowering = None if backend is None or empty is None else Lowering(backend, empty)
    return Setup(read, resolved, calib, calib.head(limit), cx, check, lowering, settings, feedback, tuple(loaded))


@dataclass(frozen=True)
class Found:
    """The step that breaks the check: a pass, several if the check could not tell between them, or the lowering."""

    step: str
    why: str
    good: int  # passes in front of it, behind which the check holds
    layer: Row | None  # the first that the step changes by more than it may
    loc: Loc
    folder: Path | None
    rounding: float | None = None  # what the step changes of the largest output, if it is an exact pass that rounds


def bisect_of(setup: Setup) -> Found:
    """Find the step. Raises UsageError if the check fails on the model itself, or holds behind every step."""
    with one_blas_thread():
        steps = _Steps(setup)
        if steps.ask(0).kind != "good":
            why = steps.ask(0).why or "it cannot tell"
            raise UsageError(f"the check does not hold in front of all passes: {why}", hint="no pass is to blame")
        last = steps.last()
        if steps.ask(last).kind != "bad":
            raise UsageError("the check holds behind every pass", hint="is it the check that fails for you?")
        return _told(setup, steps, *_between(0, last, steps))


class _Steps:
    """The module in front of all passes and behind each of them, and what the check says of it.

    Behind the last is the step that failed of itself, if one did, or what the backend makes of the module.
    """

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.states = [clone(setup.read.module)]
        self.raised: Exception | None = None
        self._verdicts: dict[int, Verdict] = {}
        module = clone(setup.read.module)
        for stage in setup.stages:
            try:
                run_pipeline([stage], module, setup.cx)
            except Exception as error:
                self.raised = error
                break
            self.states.append(clone(module))

    def last(self) -> int:
        """The last step that is to be asked."""
        behind = len(self.states) - 1
        further = self.raised is not None or (self.setup.lowering is not None and self.ask(behind).kind == "good")
        return behind + 1 if further else behind

    def ask(self, index: int) -> Verdict:
        if index not in self._verdicts:
            self._verdicts[index] = self._asked(index)
        return self._verdicts[index]

    def _asked(self, index: int) -> Verdict:
        setup = self.setup
        if index < len(self.states):
            return setup.check(self.states[0], self.states[index], setup.data, setup.feedback.progress)
        if self.raised is not None:
            return Verdict("bad", said(self.raised))
        assert setup.lowering is not None
        return setup.lowering(self.states[-1], setup.data, setup.feedback.progress)

    def name(self, index: int) -> str:
        """The pass in front of a step, or the backend."""
        if index <= len(self.setup.stages):
            return f"the pass {self.setup.stages[index - 1].run}"
        assert self.setup.lowering is not None
        return f"the lowering of the backend {self.setup.lowering.backend.name}"


def said(error: Exception) -> str:
    """An error of irc by its first message, any other by its type too."""
    return error.diagnostics[0].message if isinstance(error, IrcError) else described(error)


def _between(low: int, high: int, steps: _Steps) -> tuple[int, int]:
    """The nearest good and bad step, given one of each; what lies between them cannot tell."""
    skipped: set[int] = set()
    while untold := [k for k in range(low + 1, high) if k not in skipped]:
        middle = min(untold, key=lambda k: abs(2 * k - low - high))
        verdict = steps.ask(middle).kind
        if verdict == "good":
            low = middle
        elif verdict == "bad":
            high = middle
        else:
            skipped.add(middle)
    return low, high


def _told(setup: Setup, steps: _Steps, low: int, high: int) -> Found:
    names = " or ".join(steps.name(index) for index in range(low + 1, high + 1))
    layer, rounding = None, None
    if high < len(steps.states):
        bounds = None if setup.check.command else setup.check.bounds
        seen = distance(steps.states[low], steps.states[high], setup.data, setup.feedback.progress, bounds, layers=True)
        layer = seen.first
        exact = all(stage.run.effect == "exact" for stage in setup.stages[low:high])
        changed = max((row.measured.distance.relative for row in seen.outputs), default=0.0)
        rounding = changed if exact and changed <= ROUNDING else None
    error = steps.raised if high == len(steps.states) else None
    loc = error.diagnostics[0].loc if isinstance(error, IrcError) else Loc()
    why = steps.ask(high).why
    samples = setup.calib.samples
    command = setup.command(setup.stages[low:high])
    folder = write_case(Snapshot.of(steps.states[low]), samples, command, f"{names}: {why}\n")
    return Found(names, why, low, layer, loc if layer is None else layer.loc, folder, rounding)


def bisect(
    model: Any,
    passes: str,
    *,
    calib: Source | None = None,
    backend: str = "",
    bounds: Mapping[str, float] | None = None,
    command: str = "",
    limit: int = SAMPLES,
    feedback: Feedback | None = None,
    **settings: Any,
) -> Found:
    """The first pass behind which a model fails a check: `irc.bisect("model.pt2", "quant4", calib=calib)`.

    The check is a command that gets a path of text IR, or `bounds` by metric on the distance to the model; with
    `backend`, also that what the backend makes computes what the interpreter does. Leaves a reproducer behind.

    Raises UsageError if there is nothing to find.
    """
    given = {"backend": backend} if backend else {}
    wanted = Settings(passes=passes, calib=calib, **given, **settings)
    check = Check(bounds, command)
    return bisect_of(set_up(model, wanted, feedback or Feedback(), check, limit=limit, lowered=bool(backend)))
