"""The backend `hls`: a Vitis HLS project with test bench, and its C simulation."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

from irc.backends.base import Backend, Job, ReportData, Runner
from irc.backends.fpga_hls.boundary import ACCELERATOR
from irc.backends.fpga_hls.dataflow import build
from irc.backends.fpga_hls.device import DEFAULT, PARTS, Part
from irc.backends.fpga_hls.emit.project import Samples, project
from irc.backends.fpga_hls.emit.top import Io
from irc.backends.fpga_hls.fifo import size_fifos
from irc.backends.fpga_hls.folding import Budget, fold
from irc.backends.fpga_hls.identifiers import identifier
from irc.backends.fpga_hls.legality import inner_ops, problems
from irc.backends.fpga_hls.lower import LOWERINGS
from irc.backends.fpga_hls.reasons import REASONS
from irc.backends.fpga_hls.reports import report
from irc.backends.fpga_hls.stage import Design
from irc.backends.fpga_hls.testbench import decode, encode, sample_bytes
from irc.backends.fpga_hls.toolchain import compile_simulation, run_simulation
from irc.ir.diagnostics import Diagnostic, IrcError, UsageError
from irc.ir.graph import Module, Value
from irc.ir.interpret import arrange_inputs, interpret, run_node
from irc.ir.op import Op
from irc.ir.ops.structure import Call
from irc.ir.scalars import Array

SOURCES = "src"


@dataclass(frozen=True)
class Options:
    """Vitis HLS C++: one dataflow stage a layer, everything on chip."""

    name: ClassVar[str] = "hls"
    clock: float = 200.0  # MHz
    fps: float | None = None  # samples a second that are enough; none: as many as the budget gives
    dsp: float = 0.8  # part of the DSPs of the device that multipliers may take
    fold: tuple[str, ...] = ()  # stage:PExSIMD, for stages whose folding the user sets
    io: Io = "m_axi"
    top: str = "accelerator"  # name of the top function


HlsJob = Job[Part, Options]
Accelerate = Callable[[Sequence[Sequence[Array]]], list[list[Array]]]
"""The accelerator on samples: the codes of each in, the codes of each out."""


def design_of(job: HlsJob) -> Design:
    """The folded design. Raises IrcError with everything that cannot be lowered."""
    design = build(job.module.functions[ACCELERATOR], HLS.lowering)
    fold(design.stages, _budget(job), _fixed_folds(job.options))
    size_fifos(design)
    return design


def _budget(job: HlsJob) -> Budget:
    options = job.options
    enough = 1 if options.fps is None else max(1, int(options.clock * 1e6 / options.fps))
    return Budget(int(job.target.dsps * options.dsp), enough)


def _fixed_folds(options: Options) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for item in options.fold:
        name, _, size = item.partition(":")
        pe, _, simd = size.partition("x")
        if not (pe.isdecimal() and simd.isdecimal() and int(pe) > 0 and int(simd) > 0):
            raise UsageError(f"hls: fold '{item}' is not stage:PExSIMD", hint="for example fold=blocks_0_mlp_fc1:8x4")
        found[name] = (int(pe), int(simd))
    return found


def check(job: HlsJob) -> list[Diagnostic]:
    """Everything that stands against building the accelerator."""
    options = job.options
    if identifier(options.top) != options.top:
        return [
            Diagnostic(
                f"hls: '{options.top}' cannot be the name of the top function", hint="lower-case letters, digits, '_'"
            )
        ]
    if not (options.clock > 0 and 0 < options.dsp <= 1 and (options.fps is None or options.fps > 0)):
        return [Diagnostic("hls: clock and fps are positive, dsp is a part of the device in 0 .. 1")]
    accelerator = job.module.functions.get(ACCELERATOR)
    unsupported = HLS.unsupported(inner_ops(accelerator)) if accelerator else []
    found = problems(job.module, unsupported)
    if not found:
        try:
            design_of(job)
        except IrcError as error:
            return list(error.diagnostics)
    return found


def emit(job: HlsJob, folder: Path) -> ReportData:
    """Write the project to `src`."""
    design = design_of(job)
    options = job.options
    files = project(design, options.top, options.io, job.target, options.clock, _golden(job))
    for name, text in files.items():
        path = folder / SOURCES / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii", newline="\n")
    return report(design, job.options.clock)


def _golden(job: HlsJob) -> Samples:
    """The golden calls of main, as calls of the accelerator."""
    return [codes_of(job.module, golden.inputs) for golden in job.golden]


def codes_of(module: Module, inputs: Sequence[Array]) -> tuple[list[Array], list[Array]]:
    """What the accelerator is given and has to give in one run of main."""
    seen: dict[Value, Array] = {}
    interpret(module, inputs, observe=lambda value, array: seen.__setitem__(value, array))
    call = next(n for n in module.main.nodes if isinstance(n, Call) and n.callee == ACCELERATOR)
    return [seen[v] for v in call.operands], [seen[v] for v in call.results]


@contextmanager
def start(job: HlsJob, folder: Path) -> Generator[Runner]:
    """Compile the C simulation in a temporary folder; runs are one process each, however many samples they have."""
    design = design_of(job)
    with tempfile.TemporaryDirectory(prefix="irc-hls-") as scratch:
        program = Path(scratch) / "simulation"
        sources = folder / SOURCES
        compile_simulation([sources / f"{job.options.top}.cpp", sources / "tb.cpp"], program)

        def run(calls: Sequence[Sequence[Array]]) -> list[list[Array]]:
            return run_main(job.module, calls, lambda codes: simulate(design, program, codes))

        yield run


def simulate(design: Design, program: Path, samples: Sequence[Sequence[Array]]) -> list[list[Array]]:
    """The results of the accelerator for each sample, by one run of the compiled test bench."""
    with tempfile.TemporaryDirectory(prefix="irc-hls-") as scratch:
        given, wanted = Path(scratch) / "in.bin", Path(scratch) / "out.bin"
        with given.open("wb") as file:
            for sample in samples:
                file.write(encode(design.inputs, sample))
        run_simulation(program, [given, wanted, str(len(samples))])
        data, size = wanted.read_bytes(), sample_bytes(design.outputs)
    return [decode(design.outputs, data[i * size : (i + 1) * size]) for i in range(len(samples))]


def run_main(module: Module, calls: Sequence[Sequence[Array]], accelerate: Accelerate) -> list[list[Array]]:
    """Run main for each call; the accelerator runs for all of them at once."""
    nodes = [cast(Op, n) for n in module.main.nodes]
    place = next(i for i, n in enumerate(nodes) if isinstance(n, Call) and n.callee == ACCELERATOR)
    call = nodes[place]
    known = [dict(zip(module.main.inputs, arrange_inputs(module.main, inputs), strict=True)) for inputs in calls]
    for values in known:
        _evaluate(module, nodes[:place], values)
    results = accelerate([[values[v] for v in call.operands] for values in known])
    for values, arrays in zip(known, results, strict=True):
        values.update(zip(call.results, arrays, strict=True))
        _evaluate(module, nodes[place + 1 : -1], values)
    return [[values[v] for v in module.main.outputs] for values in known]


def _evaluate(module: Module, nodes: Sequence[Op], values: dict[Value, Array]) -> None:
    """Add the results of some nodes to the values."""
    for op in nodes:
        values.update(zip(op.results, run_node(op, [values[v] for v in op.operands], {}, module), strict=True))


HLS: Backend[Part, Options] = Backend(
    name="hls",
    summary="Vitis HLS C++ for FPGAs: integer dataflow accelerator, test bench, C simulation",
    options=Options,
    targets=PARTS,
    target=DEFAULT,
    check=check,
    emit=emit,
    start=start,
    lowerings=LOWERINGS,
    reasons=REASONS,
    pipeline="specialize{batch=1},inline,fold,cse,dce,hls-boundary,fuse",
    requant="fixed",
    islands=(),
)
