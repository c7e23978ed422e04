"""How fast the machine could be, and where the time of a run goes."""

from __future__ import annotations

import ctypes
import time
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import cast

import numpy as np

from irc.backends.base import Part, Subject
from irc.backends.cpu_simd.codegen.lanes import Function
from irc.backends.cpu_simd.codegen.llvm import function, loaded, object_code
from irc.backends.cpu_simd.compiler import takes_epilogue
from irc.backends.cpu_simd.forms import operands_of
from irc.backends.cpu_simd.isa import Isa
from irc.backends.cpu_simd.program import Program
from irc.backends.cpu_simd.runtime import Session, session
from irc.backends.cpu_simd.ukernels.dots import DotForm, float_form, of_rows
from irc.backends.regions import regions_of
from irc.ir.graph import Graph
from irc.ir.ops.linear import Conv, Linear, Matmul
from irc.ir.scalars import F32, Array

CHAINS = 14
"""Accumulators of the loop that measures the peak: more than latency times throughput, fewer than registers."""

ROUNDS = 500_000


@contextmanager
def timed(
    run: Session, graph: Graph, program: Program, isa: Isa, inputs: Sequence[Array], threads: int
) -> Generator[Subject]:
    """A loaded library of a program on the inputs of one call; the peak is that of one thread."""
    call, _ = run.prepared(inputs)
    form = commonest_form(graph, isa)
    with peak_of(isa, form) as peak:
        yield Subject(
            run=call,
            peak=peak,
            unit=form.name,
            profile=lambda runs: profile(graph, replace(program, timed=True), isa, inputs, runs, threads),
            bytes=len(program.weights) + len(run.workspace),
        )


def commonest_form(graph: Graph, isa: Isa) -> DotForm:
    """The dot product that most linear, conv and matmul ops of a graph use."""
    regions = regions_of(graph, takes_epilogue)
    anchors = [op for region in regions.regions for op in region.nodes if isinstance(op, Linear | Conv | Matmul)]
    names = Counter(of_rows(operands_of(op, isa, regions.resolve).form, 2) for op in anchors)
    return names.most_common(1)[0][0] if names else float_form(isa, F32)


@contextmanager
def peak_of(isa: Isa, form: DotForm) -> Generator[Callable[[], float]]:
    """A function that measures multiply-accumulates a second of a dot product that reads and writes registers only."""
    lanes = isa.lanes if form.acc_bytes == 4 else isa.lanes // 2
    with loaded(object_code(peak_text(isa, form, lanes), isa.triple, isa.cpu, isa.features)) as address:
        spin = function(address("peak"), None, ctypes.c_int64, ctypes.c_void_p)
        memory = np.zeros(2 * isa.vector_bytes, np.uint8)
        products = ROUNDS * CHAINS * lanes * form.group

        def measure() -> float:
            started = time.perf_counter()
            spin(ROUNDS, memory.ctypes.data)
            return products / (time.perf_counter() - started)

        yield measure


def peak_text(isa: Isa, form: DotForm, lanes: int) -> str:
    """`void peak(i64 rounds, operands*)`: independent chains of one dot product, their sum stored at the end.

    A chain multiplies its own sum, so that no product can be taken out of the loop or shared by two chains.
    """
    f = Function("peak", {"rounds": "i64", "memory": "ptr"})
    a, start = (f.load(f.at(f["memory"], i, isa.vector_bytes), form.acc, lanes) for i in range(2))
    with f.loop(0, f["rounds"], 1, [start] * CHAINS) as loop:
        loop.next(*(form.apply(acc, a, acc) for acc in loop.carried))
    total, *others = loop.results
    for other in others:
        total = total + other
    f.store(total, f["memory"])
    attributes = f'attributes #0 = {{ nounwind "target-features"="{isa.features}" "prefer-vector-width"="512" }}'
    return "\n".join((*f.declarations.values(), f.finish(exported=True), attributes))


Clocked = Callable[[], Array]
"""Runs once; the ticks of a clock that each launch took."""


def clocked(program: Program, run: Session, inputs: Sequence[Array]) -> Clocked:
    """Runs of a program that reads a clock between launches."""
    read = clock_of(program, run, inputs)
    return lambda: np.diff(read())


def clock_of(program: Program, run: Session, inputs: Sequence[Array]) -> Callable[[], Array]:
    """Runs once; what the clock shows before the first launch and behind each."""
    call, _ = run.prepared(inputs)

    def shown() -> Array:
        call()
        end = program.workspace_bytes(run.known)
        kept = run.workspace[end - program.clock_bytes : end].view(np.int64)
        return kept[: len(program.launches) + 1].copy()

    return shown


def profile(graph: Graph, program: Program, isa: Isa, inputs: Sequence[Array], runs: int, threads: int) -> list[Part]:
    """The median time of each launch, of a library that reads a clock between them."""
    with session(graph, program, isa, threads=threads) as run:
        once = clock_of(program, run, inputs)
        started = time.perf_counter()
        shown = np.array([once() for _ in range(runs)])
        seconds = time.perf_counter() - started
    ticks = np.median(np.diff(shown), axis=0)
    second = float(shown[-1, -1] - shown[0, 0]) / seconds
    launches = zip(program.launches, cast("list[float]", (ticks / second).tolist()), strict=True)
    return [Part(launch.loc.path, launch.kernel, took) for launch, took in launches]
