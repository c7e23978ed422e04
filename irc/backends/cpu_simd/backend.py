"""The backend `cpu`: SIMD kernels by LLVM, ahead of time, for this machine or another."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from irc.backends.base import Backend, Job, ReportData, Runner
from irc.backends.cpu_simd.compiler import compile_graph
from irc.backends.cpu_simd.isa import ISAS, Isa, host
from irc.backends.cpu_simd.legality import problems
from irc.backends.cpu_simd.lower import LOWERINGS, STEPS
from irc.backends.cpu_simd.reasons import REASONS
from irc.backends.cpu_simd.runtime import session
from irc.ir.diagnostics import Diagnostic
from irc.ir.graph import Value
from irc.ir.ops.structure import STRUCTURAL
from irc.ir.scalars import Array


@dataclass(frozen=True)
class Options:
    """SIMD kernels for CPUs: one native library, no Python at run time."""

    name: ClassVar[str] = "cpu"


CpuJob = Job[Isa, Options]


def check(job: CpuJob) -> list[Diagnostic]:
    """Everything that stands against compiling the graph."""
    return problems(job.module.main, CPU)


def emit(job: CpuJob, folder: Path) -> ReportData:
    """Write the LLVM text of the program."""
    compiled = compile_graph(job.module.main, job.target)
    program = compiled.program
    return {
        "summary": {
            "kernels": len(program.kernels),
            "launches": len(program.launches),
            "weight bytes": len(program.weights),
        }
    }


@contextmanager
def start(job: CpuJob, folder: Path) -> Generator[Runner]:
    """Compile for this process; runs are calls of the library."""
    graph = job.module.main
    with session(graph, compile_graph(graph, job.target).program, job.target) as run:
        yield lambda calls: [run(arrays) for arrays in calls]


def trace(job: CpuJob, folder: Path, inputs: Sequence[Array]) -> Generator[tuple[Value, Array]]:
    """Every value that a kernel writes, in one run without reuse of memory."""
    graph = job.module.main
    compiled = compile_graph(graph, job.target, reuse=False)
    with session(graph, compiled.program, job.target) as run:
        run(inputs)
        for value in compiled.order:
            yield value, run.read(compiled.views[value])


CPU: Backend[Isa, Options] = Backend(
    name="cpu",
    summary="native SIMD kernels for CPUs: x86-64 and Arm, one library without dependencies",
    options=Options,
    targets={"host": host(), **ISAS},
    target="host",
    check=check,
    emit=emit,
    start=start,
    trace=trace,
    lowerings={**dict.fromkeys(STRUCTURAL, "structure"), **LOWERINGS, **STEPS},
    reasons=REASONS,
    pipeline="inline,fold,cse,dce,fuse",
    requant="float",
    islands=("softmax", "layer_norm"),
)
