"""The backend `cpu`: SIMD kernels by LLVM, ahead of time, for this machine or another."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal

from irc.backends.base import Backend, Job, ReportData, Runner, Subject, Tuned
from irc.backends.cpu_simd.compiler import Compiled, compile_graph
from irc.backends.cpu_simd.header import Interface
from irc.backends.cpu_simd.isa import ISAS, Isa, known_host
from irc.backends.cpu_simd.legality import problems
from irc.backends.cpu_simd.library import NAME, object_of
from irc.backends.cpu_simd.lower import LOWERINGS, STEPS
from irc.backends.cpu_simd.package import FOLDER, is_name, write_library
from irc.backends.cpu_simd.reports import estimate, report
from irc.backends.cpu_simd.runtime import Session, in_memory, opened, require, session
from irc.backends.cpu_simd.schedule.cache import remember, remembered
from irc.backends.cpu_simd.schedule.record import Record, read_records, text_of
from irc.backends.cpu_simd.schedule.search import search
from irc.backends.cpu_simd.team import MOST_THREADS
from irc.backends.cpu_simd.timing import timed
from irc.backends.cpu_simd.tolerance import allowed
from irc.ir.diagnostics import IrcError, UsageError
from irc.ir.graph import Value
from irc.ir.ops.structure import STRUCTURAL
from irc.ir.scalars import Array
from irc.passes.integerize import ISLANDS

EMBEDDED = 2**31 - 2**26
"""The most bytes of weights inside a library: code reaches 2 GB."""


@dataclass(frozen=True)
class Options:
    """SIMD kernels for CPUs: one native library, no Python at run time."""

    name: ClassVar[str] = "cpu"
    weights: Literal["embed", "file"] = "embed"  # inside the library, or beside it
    so: Literal["auto", "yes", "no"] = "auto"  # a shared library: where there is a linker, always, never
    prefix: str = NAME  # of files and C names
    winograd: Literal["auto", "no"] = "auto"  # 3x3 convolutions by fewer products: where faster, never

    def __post_init__(self) -> None:
        if not is_name(self.prefix):
            hint = "lower-case letters, digits, '_', and no word of C"
            raise UsageError(f"cpu: '{self.prefix}' cannot be the prefix of C names", hint=hint)


CpuJob = Job[Isa, Options]


def compiled(job: CpuJob, *, reuse: bool = True) -> Compiled:
    """The lowered graph of a job, as its options want it."""
    winograd, schedules = job.options.winograd == "auto", read_records(job.schedule)
    return compile_graph(job.module.main, job.target, reuse=reuse, winograd=winograd, schedules=schedules)


def lower(job: CpuJob) -> Compiled:
    """The lowered graph. Raises IrcError with everything that stands against compiling it."""
    if found := problems(job.module.main, CPU):
        raise IrcError(found)
    lowered = compiled(job)
    weights = len(lowered.program.weights)
    if job.options.weights == "embed" and weights > EMBEDDED:
        message = f"cpu: {weights} bytes of weights are more than the code of a library can reach"
        raise IrcError(message, hint="cpu{weights=file} keeps them beside it")
    return lowered


def tune(job: CpuJob, lowered: Compiled) -> Tuned:
    """The fastest schedules of the kernels that the job leaves open: remembered from before, or measured now.

    Raises ToolError if this machine cannot run them.
    """
    require(job.target)
    known = remembered(job.target)
    found = {key: known[key] for key in lowered.scheduled if key in known and key not in job.schedule}
    open_ = [key for key in lowered.scheduled if key not in found and key not in job.schedule]
    told = f"tuning: {len(open_)} kernels searched, {len(found)} remembered"
    gain = ""
    if open_:

        def with_(records: Mapping[str, Record]) -> Compiled:
            return compiled(replace(job, schedule={**job.schedule, **text_of({**found, **records})}))

        new = search(job.module.main, job.target, with_, job.golden[0].inputs, open_, job.progress)
        remember(job.target, new.records)
        found |= new.records
        gain = f"; what was searched makes a run take {100 * new.share:.0f} % of its time"
    other = sum(record != lowered.records[key] for key, record in found.items())
    return Tuned(text_of(found), f"{told}, {other} of them laid out otherwise than by rule{gain}")


def emit(job: CpuJob, lowered: Compiled, folder: Path) -> ReportData:
    """Write the library to `lib`."""
    graph, options, program = job.module.main, job.options, lowered.program
    embed = options.weights == "embed"
    code = object_of(program, graph, job.target, name=options.prefix, embed=embed)
    interface = Interface(options.prefix, graph, job.target, embed, len(program.weights))
    write_library(folder, interface, program, code, options.so)
    return {**report(program, job.target, code[0]), "schedule": text_of(lowered.records)}


@contextmanager
def start(job: CpuJob, folder: Path) -> Generator[Runner]:
    """Load the library of the artifact; runs are calls of it."""
    with artifact_session(job, folder) as run:
        yield lambda calls: [run(arrays) for arrays in calls]


@contextmanager
def artifact_session(job: CpuJob, folder: Path) -> Generator[Session]:
    """The library of an artifact in this process. Raises ToolError if the machine cannot run it."""
    require(job.target)
    path = folder / FOLDER / job.options.prefix
    code = path.with_suffix(".o").read_bytes()
    weights = None if job.options.weights == "embed" else in_memory(path.with_suffix(".weights").read_bytes())
    with opened(job.module.main, code, job.target, weights, job.options.prefix, threads=job.threads) as run:
        yield run


def trace(job: CpuJob, folder: Path, inputs: Sequence[Array]) -> Generator[tuple[Value, Array]]:
    """Every value that a kernel writes, in one run without reuse of memory."""
    graph = job.module.main
    traced = compiled(job, reuse=False)
    with session(graph, traced.program, job.target) as run:
        outputs = run(inputs)
        for value in traced.order:
            array = run.read(traced.program, traced.views[value], outputs)
            yield value, array.astype(value.type.scalar.dtype)


@contextmanager
def subject(job: CpuJob, folder: Path, inputs: Sequence[Array]) -> Generator[Subject]:
    """The library of an artifact on the inputs of one call, ready to be timed."""
    program = compiled(job).program
    with (
        artifact_session(job, folder) as run,
        timed(run, job.module.main, program, job.target, inputs, job.threads) as found,
    ):
        yield found


HOST = known_host()
ELSEWHERE = "x86-64-v3"  # the default on a machine that irc knows nothing of

CPU: Backend[Isa, Options, Compiled] = Backend(
    name="cpu",
    summary="native SIMD kernels for CPUs: x86-64 and Arm, one library without dependencies",
    options=Options,
    targets=ISAS,
    target=ELSEWHERE if HOST is None else HOST.name,
    aliases={} if HOST is None else dict.fromkeys(("host", "native"), HOST.name),
    lower=lower,
    emit=emit,
    start=start,
    trace=trace,
    subject=subject,
    estimate=lambda job, lowered: estimate(lowered.program, job.target),
    tune=tune,
    schedules=True,
    tolerance=allowed,
    threads=MOST_THREADS,
    lowerings={**dict.fromkeys(STRUCTURAL, "structure"), **LOWERINGS, **STEPS},
    pipeline="inline,fold,cse,dce,fuse",
    requant="float",
    islands=ISLANDS,
)
