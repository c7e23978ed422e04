"""The one place that sees every layer: load, capture, run passes, check, emit, write the artifact."""

from __future__ import annotations

import re
import tempfile
import weakref
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from threadpoolctl import threadpool_limits  # pyright: ignore[reportMissingTypeStubs]

from irc.backends.artifact import Artifact
from irc.backends.base import Backend, Golden, Job, ReportData
from irc.backends.compare import Distance
from irc.backends.comparison import outputs_of_both
from irc.backends.contents import Contents, data_hash, write_contents
from irc.backends.data import Dataset, Source, made_up, read_data
from irc.backends.execute import calls_of
from irc.backends.fallbacks import Fallback, in_float
from irc.backends.folder import MANIFEST, claim, under_construction
from irc.backends.schedule import read_schedule
from irc.backends.sides import on_interpreter, on_torch
from irc.backends.usable import refuse_overflow, says_nothing
from irc.feedback import Feedback
from irc.frontend.cut import cut_module
from irc.ir.clone import clone
from irc.ir.diagnostics import BudgetError, Diagnostic, InternalError, IrcError, MismatchError, UsageError, described
from irc.ir.files import read_module
from irc.ir.graph import Module
from irc.ir.interpret import interpret
from irc.ir.scalars import Array
from irc.passes.base import PassContext, build, configured_text
from irc.passes.integerize import ISLANDS, Integerize
from irc.passes.pipeline import Stage, noted, parse_named, parse_pipeline, pipeline_text, run_pipeline
from irc.passes.sampling import as_samples, batch_size, batches
from irc.reproducer import write_reproducer
from irc.tables import BACKENDS, EXPORTS, FRONTENDS
from irc.version import __version__
from irc.watch import Record, Show, Watcher, find_stage

MADE_UP = 16  # random samples where there are no others
GOLDEN_SAMPLES = 8
TORCH_TOLERANCE = 1e-3  # of the largest output
OTHER_MODEL = "is this the model that the artifact was compiled from?"
STRICT = "a warning, which --strict makes an error"
STRICT_FALLBACK = "a fallback, which --strict makes an error"
UNCHOSEN = {
    "random": "no samples are given, so ranges are those of random data: the result is right for size and speed, not "
    "for accuracy (use --calib)",
    "of the model": "no samples are given, so ranges are those of the example inputs that came with the model (use "
    "--calib with data like what it will see)",
}


@dataclass(frozen=True)
class Settings:
    """How to lower and compile; the same on the command line and in Python.

    `backend` and `passes` are texts as on the command line: `hls{clock=250}`, `quant4,fuse`. `verify="run"` also runs
    the interpreter behind every pass. `strict` makes warnings errors. `integer_only` says whether there are integers
    from end to end, or softmax and norms in float between them; None leaves that to the backend. `schedule` is a file
    as the schedule.txt of an artifact; what it leaves open is measured with `tune`, else decided by rule.
    """

    passes: str = "clean"
    backend: str = "reference"
    target: str = ""
    calib: Source | None = None
    seed: int = 0
    verify: Literal["ir", "run"] = "ir"
    strict: bool = False
    integer_only: bool | None = None
    stop_after: str = ""
    schedule: Path | None = None
    tune: bool = False
    show: Show = field(default_factory=Show)
    # how to read the model
    inputs: Any = None
    dynamic: Any = None
    arch: str | None = None
    trust_pickle: bool = False
    weights: Path | None = None
    stop_at: str = ""


@dataclass
class Lowered:
    """A model behind its passes."""

    name: str
    captured: Module
    module: Module
    stages: list[Stage]
    records: list[Record]
    data: Dataset
    data_kind: Literal["given", "of the model", "random"]
    notes: list[str]
    warnings: list[str]


@dataclass(frozen=True)
class Read:
    """A model as it was read: its graph and the sample inputs it came with, if any."""

    name: str
    module: Module
    samples: Mapping[str, Array]
    random: bool = False  # the samples were made up from shapes


# -- reading models

_ZIP = b"PK"  # what a saved program starts with
# A ModelProto: the version of the format, then another of its fields. Neither zip, pickle nor safetensors begin so.
_ONNX = re.compile(rb"\x08[\x03-\x1f][\x12\x1a\x22\x28\x32\x3a\x42\x72]", re.DOTALL)


def read_model(model: Any, settings: Settings) -> Read:
    """A model as IR: a module of ours, a `.irc` file, what an artifact was made of, an ONNX model, or whatever the
    PyTorch frontend reads; of all these the part before the module `stop_at`, if there is one."""
    read = _read_ir(model, settings)
    if read is not None:
        return replace(read, module=cut_module(read.module, settings.stop_at)) if settings.stop_at else read
    if is_onnx(model):
        imported = read_onnx(model, settings)
        return Read(imported.name, imported.module, as_samples(imported.module.main, imported.samples))
    captured = read_torch(model, settings)
    samples = as_samples(captured.module.main, captured.sample_inputs)
    return Read(captured.name, captured.module, samples, captured.random_samples)


def _read_ir(model: Any, settings: Settings) -> Read | None:
    """A model that is IR already; None for others."""
    if isinstance(model, Module):
        _refuse_torch_options("a module of the IR", settings)
        return Read("model", model, {})
    if isinstance(model, str | Path):
        path = Path(model)
        if path.suffix == ".irc":
            _refuse_torch_options(f"{path.name} is text IR, which", settings)
            return Read(path.stem, read_module(path, settings.weights), {})
        if (path / MANIFEST).is_file():
            _refuse_torch_options(f"{path.name} is an artifact, which", settings)
            artifact = Artifact.load(path)
            return Read(artifact.manifest["model"], artifact.captured, artifact.samples(None).samples)
    return None


def is_onnx(model: Any) -> bool:
    """Whether a model is an ONNX file, by its first bytes or its suffix, or one of the package `onnx`."""
    if isinstance(model, str | Path):
        head = _head(Path(model))
        return bool(_ONNX.match(head)) or (Path(model).suffix == ".onnx" and not head.startswith(_ZIP))
    return type(model).__name__ == "ModelProto"


def _head(path: Path) -> bytes:
    """The first bytes of a file; none if there is no such file, of which the frontends say what is wrong."""
    try:
        if path.is_file():
            with path.open("rb") as file:
                return file.read(3)
    except (OSError, ValueError):
        pass
    return b""


def read_onnx(model: Any, settings: Settings) -> Any:
    """An ONNX model as the frontend imports it (`irc.frontend.onnx.read.Imported`)."""
    if settings.arch is not None:
        raise UsageError("--arch goes with a file of weights; an ONNX model says its operators itself")
    return FRONTENDS.get("onnx")(model, settings.inputs, dynamic=settings.dynamic, stop_at=settings.stop_at)


def _refuse_torch_options(what: str, settings: Settings) -> None:
    given = {"input": settings.inputs, "dynamic": settings.dynamic, "arch": settings.arch}
    for name, value in given.items():
        if value is not None:
            raise UsageError(f"--{name} goes with a PyTorch model; {what} says it itself")


def read_torch(model: Any, settings: Settings) -> Any:
    """A PyTorch model as the frontend captures it (`irc.frontend.capture.Captured`)."""
    return FRONTENDS.get("torch")(
        model,
        settings.inputs,
        dynamic=settings.dynamic,
        trust_pickle=settings.trust_pickle,
        arch=settings.arch,
        stop_at=settings.stop_at,
    )


def capture(
    model: Any,
    inputs: Any = None,
    *,
    dynamic: Any = None,
    arch: str | None = None,
    trust_pickle: bool = False,
    stop_at: str = "",
) -> Module:
    """The float graph of a PyTorch module, exported program or file; arguments as of `irc.frontend.capture.capture`."""
    settings = Settings(inputs=inputs, dynamic=dynamic, arch=arch, trust_pickle=trust_pickle, stop_at=stop_at)
    return read_model(model, settings).module


# -- lowering


class Warnings:
    """Passes on what passes warn of, each text once, and keeps it."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self.texts: list[str] = []
        self._warn = warn

    def __call__(self, text: str) -> None:
        if text not in self.texts:
            self.texts.append(text)
            self._warn(text)

    def refuse(self) -> None:
        """Raise IrcError if there are any."""
        if self.texts:
            raise IrcError([Diagnostic(text, notes=(STRICT,)) for text in self.texts])


class Judged(Mapping[str, Array]):
    """Calibration samples that are judged when a pass first looks at them: those that nobody chose, or that tell
    nothing, say so; those that no range can hold raise UsageError.
    """

    def __init__(self, samples: Mapping[str, Array], kind: str, source: object, warn: Callable[[str], None]) -> None:
        self._samples = samples
        self._unchosen = UNCHOSEN.get(kind, "")
        self._place = f"--calib={source}" if isinstance(source, str | Path) else "--calib"
        self._warn = warn

    def __getitem__(self, name: str) -> Array:
        self._judge()
        return self._samples[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._samples)

    def __len__(self) -> int:
        return len(self._samples)

    def _judge(self) -> None:
        if self._verdict:
            self._warn(self._verdict)

    @cached_property
    def _verdict(self) -> str:
        refuse_overflow(self._samples, self._place)
        return self._unchosen or says_nothing(self._samples, self._place)


def stages_of(settings: Settings, backend: Backend[Any, Any, Any] | None) -> list[Stage]:
    """The user's passes and the private ones of the backend, up to `stop_after`. Raises UsageError for a mistake."""
    stages = parse_pipeline(settings.passes) if settings.passes.strip() else []
    if backend is not None and backend.pipeline:
        stages += parse_pipeline(backend.pipeline)
    if settings.integer_only is not None and not any(isinstance(stage.run, Integerize) for stage in stages):
        option = "--integer-only" if settings.integer_only else "--float-islands"
        raise UsageError(f"{option}: no pass makes integers", hint="--passes=quant8,fuse has one, which is integerize")
    settings.show.check(stages)
    return stages[: find_stage(stages, settings.stop_after) + 1] if settings.stop_after else stages


def lower(
    read: Read,
    stages: list[Stage],
    backend: Backend[Any, Any, Any] | None,
    settings: Settings,
    feedback: Feedback,
    *,
    types_only: bool = False,
) -> Lowered:
    """Run the stages on a copy of the model; with `types_only` as quickly as types can be had.

    Raises what the passes raise; a pass that fails for no reason of the user's leaves a reproducer behind.
    """
    warnings = Warnings(feedback.warn)
    module = clone(read.module)
    kind, data = ("random", made_up(module.main, 1, settings.seed)) if types_only else data_of(read, settings)
    cx = context(data, kind, backend, settings, feedback, warnings)
    cx.types_only = types_only
    stages = [Stage(stage.run.resolved(cx), stage.source) for stage in stages]
    watcher = run_watched(module, stages, cx, settings, data.samples, feedback)
    if settings.strict:
        warnings.refuse()
    return Lowered(read.name, read.module, module, stages, watcher.records, data, kind, cx.notes, warnings.texts)


def context(
    data: Dataset,
    kind: str,
    backend: Backend[Any, Any, Any] | None,
    settings: Settings,
    feedback: Feedback,
    warn: Callable[[str], None],
) -> PassContext:
    """What passes are handed; samples that nobody chose, or that tell nothing, say so when they are looked at."""
    samples = Judged(data.samples, kind, settings.calib, warn)
    cx = PassContext(samples=samples, seed=settings.seed, progress=feedback.progress, warn=warn)
    if backend is not None:
        cx.requant, cx.islands = backend.requant, backend.islands
    if settings.integer_only is not None:
        cx.islands = () if settings.integer_only else ISLANDS
    return cx


def data_of(read: Read, settings: Settings) -> tuple[Literal["given", "of the model", "random"], Dataset]:
    """The samples of the settings, else those of the model, else random ones, and which these are."""
    graph = read.module.main
    if settings.calib is not None:
        return "given", read_data(settings.calib, graph, "--calib")
    if read.samples and set(read.samples) == {v.name for v in graph.inputs}:
        return ("random" if read.random else "of the model"), Dataset(dict(read.samples))
    return "random", made_up(graph, MADE_UP, settings.seed)


def run_watched(
    module: Module,
    stages: list[Stage],
    cx: PassContext,
    settings: Settings,
    samples: Mapping[str, Array] | None,
    feedback: Feedback,
) -> Watcher:
    """Run the stages on the module in place, showing what was asked for; a failure of irc leaves a reproducer."""
    watcher = Watcher(module, settings.show, feedback.show)
    compare = None
    if settings.verify == "run" and samples:
        first = next(batches(module.main, samples, most=1))
        compare = [first[value.name] for value in module.main.inputs]
    try:
        with one_blas_thread():
            run_pipeline(stages, module, cx, after=watcher, compare=compare)
    except (InternalError, MismatchError) as error:
        raise _reproducible(error, error, watcher, stages, samples, settings.seed) from error
    except IrcError:
        raise
    except Exception as error:
        failed = InternalError(f"the pass {stages[len(watcher.records)].run} failed: {described(error)}")
        raise _reproducible(failed, error, watcher, stages, samples, settings.seed) from error
    finally:
        if settings.show.times:
            feedback.show(watcher.times())
    return watcher


def one_blas_thread() -> AbstractContextManager[object]:
    """How a sum is split decides its last bit, and the bytes of an artifact must not depend on the cores."""
    return threadpool_limits(1, user_api="blas")


def _reproducible(
    raised: IrcError,
    cause: Exception,
    watcher: Watcher,
    stages: list[Stage],
    samples: Mapping[str, Array] | None,
    seed: int,
) -> IrcError:
    folder = write_reproducer(watcher.before, stages[len(watcher.records) :], samples, seed, cause)
    return noted(raised, f"{folder}/command.txt shows it again" if folder else "there was no place for a reproducer")


# -- compiling


def read_backend(settings: Settings) -> tuple[Backend[Any, Any, Any], Job[Any, Any]]:
    """The backend of the settings, and a job for it with an empty module. Raises UsageError for a mistake."""
    name, given = parse_named(settings.backend, "--backend")
    backend: Backend[Any, Any, Any] = BACKENDS.get(name)
    target = backend.find_target(settings.target)
    if settings.tune and backend.tune is None:
        raise UsageError(f"--tune: the backend {backend.name} has nothing to measure", hint="cpu has")
    if settings.schedule is not None and not backend.schedules:
        raise UsageError(f"--schedule: the backend {backend.name} has no schedules", hint="cpu has")
    schedule = {} if settings.schedule is None else read_schedule(settings.schedule)
    return backend, Job(Module(), target, build(backend.options, given), schedule=schedule)


def compile_to(
    model: Any, out: Path | None, settings: Settings, feedback: Feedback, *, force: bool = False
) -> Artifact:
    """Compile a model into an artifact at `out` (default: `<model>.<backend>`). Raises what `compile` raises."""
    backend, empty = read_backend(settings)
    stages = stages_of(settings, backend)
    if out is not None:
        claim(out, force)
    feedback.step(f"reading {model if isinstance(model, str | Path) else type(model).__name__}")
    read = read_model(model, settings)
    path = out or Path(f"{re.sub(r'[^A-Za-z0-9_.-]', '_', read.name) or 'model'}.{backend.name}")
    with under_construction(path, force) as folder:
        feedback.step(f"passes: {pipeline_text(stages) or 'none'}")
        lowered = lower(read, stages, backend, settings, feedback)
        job = replace(empty, module=lowered.module, progress=feedback.progress)
        product = backend.lower(job)
        _tell(fallbacks_of(lowered, backend), lowered, settings, feedback)
        job = replace(job, golden=_golden(lowered))
        tuned = None
        if settings.tune and backend.tune is not None:
            feedback.step("tuning")
            tuned = backend.tune(job, product)
            job = replace(job, schedule={**tuned.schedule, **job.schedule})
            product = backend.lower(job)
        feedback.step(f"writing {path}")
        told = backend.emit(job, product, folder)
        _judge(told.pop("unmet", []), lowered, settings, feedback)
        write_contents(folder, _contents(lowered, backend, job, told))
        artifact = Artifact.load(folder)
        report = artifact.report
    if tuned is not None:
        feedback.found(tuned.told)
    return Artifact(path, artifact.manifest, report)  # not read again: another irc may put its own there


def fallbacks_of(lowered: Lowered, backend: Backend[Any, Any, Any]) -> list[Fallback]:
    """What stays in float though the pipeline was to make integers of it."""
    asked = [stage.run for stage in lowered.stages if isinstance(stage.run, Integerize)]
    return in_float(lowered.module, asked[-1].islands, backend.device) if asked else []


def _tell(found: Sequence[Fallback], lowered: Lowered, settings: Settings, feedback: Feedback) -> None:
    """Say what falls back. Raises IrcError if `strict` and not all of it is what options or defaults say."""
    silent = [f.diagnostic for f in found if not f.stated]
    if settings.strict and silent:
        raise IrcError([replace(d, notes=(*d.notes, STRICT_FALLBACK)) for d in silent])
    for fallback in found:
        lowered.notes.append(fallback.text)
        feedback.tell(fallback.text)


def _judge(unmet: Sequence[str], lowered: Lowered, settings: Settings, feedback: Feedback) -> None:
    """Warn of each budget that is not met. Raises BudgetError if `strict`."""
    for text in unmet:
        lowered.warnings.append(text)
        if not settings.strict:
            feedback.warn(text)
    if settings.strict and unmet:
        raise BudgetError([Diagnostic(text, notes=(STRICT,)) for text in unmet])


def export(model: Any, path: Path, settings: Settings, feedback: Feedback) -> list[Path]:
    """Write a model to one file in the format of the settings' backend, maybe with weights beside it; which these are.

    Raises what `compile` raises.
    """
    backend, empty = read_backend(settings)
    write = EXPORTS.get(backend.name)
    lowered = lower(read_model(model, settings), stages_of(settings, backend), backend, settings, feedback)
    return write(replace(empty, module=lowered.module), path)


def _contents(lowered: Lowered, backend: Backend[Any, Any, Any], job: Job[Any, Any], told: ReportData) -> Contents:
    return Contents(
        facts={
            "irc": __version__,
            "model": lowered.name,
            "backend": backend.name,
            "target": job.target.name,
            "options": configured_text(job.options),
            "pipeline": pipeline_text(lowered.stages),
        },
        captured=lowered.captured,
        lowered=lowered.module,
        passes=[{"pass": r.text, "of": r.source, "changed": r.changed} for r in lowered.records],
        notes=lowered.notes,
        warnings=lowered.warnings,
        calibration={"samples": lowered.data_kind, "count": len(lowered.data), "sha256": data_hash(lowered.data)},
        golden=job.golden,
        schedule=told.pop("schedule", {}),
        told=told,
    )


def _golden(lowered: Lowered) -> list[Golden]:
    graph = lowered.module.main
    data = lowered.data.head(max(GOLDEN_SAMPLES, batch_size(graph, GOLDEN_SAMPLES)))
    with one_blas_thread():
        return [Golden(call, interpret(lowered.module, call)) for call in calls_of(graph, data)]


def against_torch(artifact: Artifact, model: str, data: Dataset, settings: Settings, feedback: Feedback) -> Distance:
    """How far the captured graph of an artifact is, on the interpreter, from the PyTorch model it was captured from.

    Raises UsageError if the model has other inputs or outputs, MismatchError if it is further than rounding explains.
    """
    captured = on_interpreter(artifact.captured, "the captured graph")
    torch = on_torch(read_torch(model, settings), f"{model} on PyTorch")
    with fitting_models():
        expected, given = outputs_of_both(torch, captured, data, feedback.progress)
    distance = Distance()
    for a, b in zip(given, expected, strict=True):
        distance.add(a, b)
    if not distance.relative <= TORCH_TOLERANCE:
        message = (
            f"the captured graph is up to {distance.largest:g} off PyTorch, whose outputs reach {distance.scale:g}"
        )
        raise MismatchError(message, hint=OTHER_MODEL)
    return distance


@contextmanager
def fitting_models() -> Generator[None]:
    """Where a PyTorch model runs on the data of an artifact: a UsageError inside says that it does not fit."""
    try:
        yield
    except UsageError as error:
        raise UsageError(
            [
                replace(d, message=f"the model does not fit the artifact: {d.message}", hint=d.hint or OTHER_MODEL)
                for d in error.diagnostics
            ]
        ) from error


# -- Python


def compile(
    model: Any,
    inputs: Any = None,
    *,
    passes: str = "clean",
    backend: str = "reference",
    target: str = "",
    calib: Source | None = None,
    out: str | Path | None = None,
    force: bool = False,
    feedback: Feedback | None = None,
    **settings: Any,
) -> Artifact:
    """Compile a model: `irc.compile("model.pt2", passes="quant4,fuse", backend="hls", calib={"x": images})`.

    `model` is a PyTorch module (then `inputs` are example inputs), an exported program, a path, or a module of the IR.
    `calib` are samples to take ranges from: arrays by input name with a leading sample axis, or what `--calib` takes.
    Without `out` the artifact lives in a temporary folder, until it is collected; `Artifact.save` keeps it. Further
    settings are those of `Settings`.

    Raises UsageError (2) for bad settings or an existing `out`, IrcError (1) with every reason why the model cannot be
    compiled, ToolError (5), UnsafeInputError (6), InternalError (70) where irc is at fault.
    """
    wanted = Settings(passes=passes, backend=backend, target=target, calib=calib, inputs=inputs, **settings)
    if out is not None:
        return compile_to(model, Path(out), wanted, feedback or Feedback(), force=force)
    holder = tempfile.TemporaryDirectory(prefix="irc-")
    try:
        artifact = compile_to(model, Path(holder.name) / "artifact", wanted, feedback or Feedback())
    except BaseException:
        holder.cleanup()
        raise
    weakref.finalize(artifact, holder.cleanup)
    return artifact


def apply(module: Module, passes: str, *, feedback: Feedback | None = None, **settings: Any) -> Module:
    """A copy of a module behind a pipeline: `irc.apply(module, "quant8", calib=arrays)`; settings as of `compile`."""
    wanted = Settings(passes=passes, **settings)
    stages = stages_of(wanted, None)
    return lower(Read("module", module, {}), stages, None, wanted, feedback or Feedback()).module


def load(path: str | Path) -> Artifact:
    """Open an artifact. Raises UsageError if there is none, IrcError if it is damaged."""
    return Artifact.load(path)
