"""What a backend is: one frozen value made of functions and data. Never inherited, and never asked what it is.

    # irc/backends/my_backend.py
    @dataclass(frozen=True)
    class Options:
        \"\"\"Options of the backend.\"\"\"
        name: ClassVar[str] = "mine"               # in front of the braces: --backend 'mine{clock=250}'
        clock: float = 200.0                       # fields are options, read exactly like those of a pass

    @dataclass(frozen=True)
    class Part:                                    # a target: any frozen dataclass with `name` and `summary`
        name: str
        summary: str
        luts: int

    def lower(job: Job[Part, Options]) -> Design: ...    # whatever `emit` needs; raises IrcError with every reason
    def emit(job: Job[Part, Options], lowered: Design, folder: Path) -> ReportData: ...   # writes below `folder`
    @contextmanager
    def start(job: Job[Part, Options], folder: Path) -> Generator[Runner]:  # e.g. compiles in a temporary folder
        yield lambda calls: [simulate(arrays) for arrays in calls]

    MINE = Backend(
        name="mine", summary="one line for `irc targets`",
        options=Options, targets={"big": Part("big", "the big one", 100_000)}, target="big",
        requant="fixed", islands=(), pipeline="specialize{batch=1},fuse",
        lowerings={Linear: lower_linear, ...}, reasons={"sdpa": "integerize splits it into matmul and int_softmax"},
        lower=lower, emit=emit, start=start,
    )

and one row in `irc/tables.py` (BACKENDS: `"mine": "irc.backends.my_backend:MINE"`), or `Plugin(backends={"mine":
MINE})` out of tree.

What the driver does with it, in this order:
 1. reads `--backend 'mine{clock=250}' --target big` into `options` and a target, before any work;
 2. runs the user's passes, then `pipeline` (legalisation that every job needs), with `requant` and `islands` as what
    `auto` means;
 3. `lower(job)`: if it raises, all diagnostics are printed and nothing is written; `irc check` stops here, and asks
    `estimate` what is known of the result;
 4. runs the interpreter on a few samples: `job.golden`; with `--tune` also `tune`, and `lower` once more;
 5. `emit(job, lowered, folder)` with `folder` the artifact under construction, in which `src/` (or `lib/`) and
    anything else not named in `irc.backends.contents.RESERVED` is the backend's; names of files it writes must not
    come from the model;
 6. writes the common files (texts, weights, golden vectors, report, manifest with hashes) and renames the folder into
    place.

`irc run` and `irc verify` open the artifact, parse `lowered.irc`, and call `start(job, folder)` on the finished,
read-only folder. `main` of the module keeps its boundary: inputs and outputs are those of the user's model (usually
floats), so a backend whose device takes codes runs the boundary `quantize`/`dequantize` itself, in `start`, with
`irc.ir.interpret`. `irc.backends.reference` is a complete example.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, Protocol, TypeVar

from irc.ir.diagnostics import Diagnostic, UsageError, did_you_mean
from irc.ir.graph import Module, Node, Value
from irc.ir.op import Op
from irc.ir.scalars import Array
from irc.passes.base import Configured, Progress, no_progress
from irc.tables import BACKENDS, LOWERINGS

ReportData = dict[str, Any]
"""What `emit` has to say about its result, plain JSON values; every key may be missing:
`{"summary": {label: number | text}, "layers": [{"layer": module path, column: number | text}], "notes": [text]}`.
`"schedule": {what: how}` is how everything is laid out, to be read, edited and given as `job.schedule` again.
`"unmet": [text]` are budgets that the result does not keep: warnings, or errors with `--strict`.
Rows of `layers` are joined by module path with the MACs and bytes that the driver adds. No seconds, paths or dates."""

Tolerance = Callable[[Node, Array], float]
"""How far the results of a node may be from those that the interpreter computes from the same operands: 0 for the same
bits, 1 for codes that a float computation rounds, more or less for floats."""

Runner = Callable[[Sequence[Sequence[Array]]], list[list[Array]]]
"""Runs `main` several times: the inputs of each call, in order, to the results of each call. Arrays have the types of
`main`."""


class Target(Protocol):
    """What is compiled for: a part, an instruction set. A frozen dataclass; `irc targets` shows its fields."""

    @property
    def name(self) -> str: ...
    @property
    def summary(self) -> str: ...


TargetT = TypeVar("TargetT", bound=Target)
OptionsT = TypeVar("OptionsT", bound=Configured)
LoweredT = TypeVar("LoweredT")


SAYING = 3  # letters of a name that are no chance


def _squeezed(text: str) -> str:
    """The letters and digits alone, in lower case."""
    return "".join(filter(str.isalnum, text.lower()))


@dataclass(frozen=True)
class Golden:
    """One call of `main` on sample data, as the interpreter computes it."""

    inputs: list[Array]
    outputs: list[Array]


@dataclass(frozen=True)
class Part:
    """What a part of a run took: the module path of its layer, what ran there, seconds."""

    layer: str
    what: str
    seconds: float


@dataclass(frozen=True)
class Tuned:
    """What `tune` found: schedules by what they lay out, and a sentence on what was searched and won."""

    schedule: Mapping[str, str]
    told: str


@dataclass(frozen=True)
class Subject:
    """A compiled model that can be timed on one set of inputs.

    `run` runs it once. `peak` measures, in about a millisecond and without memory, how many multiply-accumulates a
    second the machine can do with the instruction named `unit` at this moment. `profile` times the parts of a run.
    `bytes` is all the memory that a run touches but inputs and outputs.
    """

    run: Callable[[], object]
    peak: Callable[[], float]
    unit: str
    profile: Callable[[int], Sequence[Part]]
    bytes: int


@dataclass(frozen=True)
class Job(Generic[TargetT, OptionsT]):
    """One compilation: the module behind all passes, for which target, with which options."""

    module: Module
    target: TargetT
    options: OptionsT
    golden: Sequence[Golden] = ()  # only in `emit` and `tune`
    schedule: Mapping[str, str] = field(default_factory=dict[str, str])  # how the user wants things laid out
    threads: int = 1  # that run it
    progress: Progress = field(default=no_progress, compare=False)


@dataclass(frozen=True)
class Backend(Generic[TargetT, OptionsT, LoweredT]):
    """A backend; see the module docstring.

    `lowerings` maps op classes to whatever the backend calls to lower a node of that class; `lowering` also finds
    those of third parties. `reasons` says in one sentence, for each other op by name, why it has none: which pass
    takes it apart or what to do. `trace` runs one call and yields (value of the module, array) for every value the
    backend can show, in order, so that `irc verify` can name the first layer that differs; None if it cannot.
    `tolerance` says how far each node's floats may be off; None if every bit is the interpreter's. `subject` makes an
    artifact and the inputs of one call ready for `irc bench`; None if its speed here means nothing. `estimate` tells
    what `emit` will, as far as it is known before; its "fallbacks" are texts on what `lower` does otherwise than asked
    for. `device` is the function that runs on the device where `main` stays on a host. A
    backend with `schedules` heeds `job.schedule` and tells how it laid things out; `tune` measures how what is left
    open is laid out best, None if there is nothing to measure. Up to `threads` threads
    can run an artifact together.
    """

    name: str
    summary: str
    options: type[OptionsT]
    targets: Mapping[str, TargetT]
    target: str  # the default
    aliases: Mapping[str, str] = field(default_factory=dict[str, str], kw_only=True)  # other names of targets
    lower: Callable[[Job[TargetT, OptionsT]], LoweredT]
    emit: Callable[[Job[TargetT, OptionsT], LoweredT, Path], ReportData]
    start: Callable[[Job[TargetT, OptionsT], Path], AbstractContextManager[Runner]]
    lowerings: Mapping[type[Op], Any] = field(default_factory=dict[type[Op], Any])
    reasons: Mapping[str, str] = field(default_factory=dict[str, str])
    pipeline: str = ""
    requant: Literal["fixed", "float"] = "fixed"
    islands: tuple[str, ...] = ()
    trace: Callable[[Job[TargetT, OptionsT], Path, Sequence[Array]], Iterable[tuple[Value, Array]]] | None = None
    subject: Callable[[Job[TargetT, OptionsT], Path, Sequence[Array]], AbstractContextManager[Subject]] | None = None
    estimate: Callable[[Job[TargetT, OptionsT], LoweredT], ReportData] | None = None
    device: str = ""
    tune: Callable[[Job[TargetT, OptionsT], LoweredT], Tuned] | None = None
    schedules: bool = False
    tolerance: Tolerance | None = None
    threads: int = 1

    def lowering(self, op: type[Op]) -> Any | None:
        """What lowers an op class: the backend's own entry, else a third party's; None if there is neither.

        Raises UsageError if both exist.
        """
        own = self.lowerings.get(op)
        key = f"{self.name}/{op.opname}"
        if key not in LOWERINGS.names():
            return own
        if own is not None:
            owner = LOWERINGS.owner(key)
            raise UsageError(f"lowering '{key}' of {owner} clashes with the one of the backend {self.name}")
        return LOWERINGS.get(key)

    def coverage(self, op: type[Op]) -> str:
        """`yes` for an op the backend lowers, else why it does not; empty if that is not known."""
        return "yes" if self.lowering(op) is not None else self.reasons.get(op.opname, "")

    def unsupported(self, nodes: Iterable[Node]) -> list[Diagnostic]:
        """One diagnostic for every node whose op has no lowering, with the reason."""
        found: list[Diagnostic] = []
        for node in nodes:
            if isinstance(node, Op) and self.lowering(type(node)) is None:
                reason = self.reasons.get(node.opname, "there is no lowering")
                message = f"{node.opname}: the backend {self.name} cannot run it"
                found.append(Diagnostic(message, node.loc, hint=reason))
        return found

    def find_target(self, name: str) -> TargetT:
        """The target of that name, the default for ''. Raises UsageError for an unknown one."""
        found = self._target(name or self.target)
        if found is None:
            others = [other for other in BACKENDS.names() if BACKENDS.get(other)._target(name) is not None]
            hint = f"--backend={' or '.join(others)} has it" if others else self._meant(name)
            raise UsageError(f"the backend {self.name} has no target '{name}'", hint=hint)
        return found

    def _meant(self, name: str) -> str:
        """A hint at the target whose name, else whose facts, say something of what was asked for: an instruction set, a
        product."""
        asked = _squeezed(name)
        facts = {t.name: [text for text in vars(t).values() if isinstance(text, str)] for t in self.targets.values()}
        for said in ({other: [other] for other in facts}, facts):
            for other, texts in said.items():
                if len(asked) >= SAYING and any(asked in _squeezed(text) for text in texts):
                    return f"did you mean '{other}' ({self.targets[other].summary})?"
        return did_you_mean(name, self.targets)

    def _target(self, name: str) -> TargetT | None:
        return self.targets.get(self.aliases.get(name, name))
