"""The backend `reference`: the interpreter. Runs every op; its artifact is the lowered text with its weights."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from irc.backends.base import Backend, Job, ReportData, Runner
from irc.ir.graph import Value
from irc.ir.interpret import interpret
from irc.ir.registry import all_ops
from irc.ir.scalars import Array


@dataclass(frozen=True)
class Options:
    """The interpreter has no options."""

    name: ClassVar[str] = "reference"


@dataclass(frozen=True)
class Anywhere:
    """Wherever Python and NumPy run."""

    name: str = "any"
    summary: str = "every machine with NumPy"


RefJob = Job[Anywhere, Options]


def lower(job: RefJob) -> None:
    """The interpreter runs every valid module as it is."""


def emit(job: RefJob, lowered: None, folder: Path) -> ReportData:
    """The lowered text is all there is to write, and every artifact has it."""
    return {}


@contextmanager
def start(job: RefJob, folder: Path) -> Generator[Runner]:
    """Runs are calls of the interpreter."""

    def run(calls: Sequence[Sequence[Array]]) -> list[list[Array]]:
        return [interpret(job.module, arrays) for arrays in calls]

    yield run


def trace(job: RefJob, folder: Path, inputs: Sequence[Array]) -> Iterable[tuple[Value, Array]]:
    """Every value of one run."""
    seen: list[tuple[Value, Array]] = []
    interpret(job.module, inputs, observe=lambda value, array: seen.append((value, array)))
    return seen


REFERENCE = Backend(
    name="reference",
    summary="the interpreter: slow, runs every op, and by definition right",
    options=Options,
    targets={"any": Anywhere()},
    target="any",
    lower=lower,
    emit=emit,
    start=start,
    trace=trace,
    lowerings={op: op.reference for op in all_ops().values()},
)
