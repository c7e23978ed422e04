"""The backend `hls`: a Vitis HLS project with test bench, and its C simulation."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import ClassVar

from irc.backends.base import Backend, Job, ReportData, Runner
from irc.backends.fpga_hls.boundary import ACCELERATOR
from irc.backends.fpga_hls.dataflow import build
from irc.backends.fpga_hls.device import DEFAULT, PARTS, Part
from irc.backends.fpga_hls.emit.top import Io
from irc.backends.fpga_hls.fifo import size_fifos
from irc.backends.fpga_hls.folding import Budget, fold
from irc.backends.fpga_hls.identifiers import identifier
from irc.backends.fpga_hls.legality import inner_ops, problems
from irc.backends.fpga_hls.lower import LOWERINGS
from irc.backends.fpga_hls.project import Samples, project
from irc.backends.fpga_hls.reasons import REASONS
from irc.backends.fpga_hls.reports import idle_masks, report, unmet
from irc.backends.fpga_hls.simulation import codes_of, compiled, run_main, watched
from irc.backends.fpga_hls.stage import Design
from irc.ir.diagnostics import IrcError, UsageError
from irc.ir.graph import Value
from irc.ir.scalars import Array

SOURCES = "src"
FASTEST = 1000  # MHz; no fabric reaches it


@dataclass(frozen=True)
class Options:
    """Vitis HLS C++: one dataflow stage a layer, everything on chip."""

    name: ClassVar[str] = "hls"
    clock: float = 200.0  # MHz
    fps: float | None = None  # samples a second that are enough; none: as many as the budget gives
    dsp: float = 0.8  # part of the DSPs of the device that folding may fill, by the estimate
    lut: float = 0.7  # part of its LUTs; narrow products are made of them
    fold: tuple[str, ...] = ()  # stage:PExSIMD, for stages whose folding the user sets
    io: Io = "m_axi"
    top: str = "accelerator"  # name of the top function

    def __post_init__(self) -> None:
        if identifier(self.top) != self.top:
            raise UsageError(
                f"hls: '{self.top}' cannot be the name of the top function", hint="lower-case letters, digits, '_'"
            )
        for name, value, most in (("clock", self.clock, FASTEST), ("dsp", self.dsp, 1), ("lut", self.lut, 1)):
            if not 0 < value <= most:
                raise UsageError(f"hls: {name}={value:g} is not above 0 and at most {most:g}")
        if self.fps is not None and not 0 < self.fps < inf:
            raise UsageError(f"hls: fps={self.fps:g} is not a positive number")
        _fixed_folds(self)


HlsJob = Job[Part, Options]


def lower(job: HlsJob) -> Design:
    """The folded design. Raises IrcError with everything that stands against building the accelerator."""
    accelerator = job.module.functions.get(ACCELERATOR)
    unsupported = HLS.unsupported(inner_ops(accelerator)) if accelerator else []
    if found := problems(job.module, unsupported):
        raise IrcError(found)
    design = build(job.module.functions[ACCELERATOR], HLS.lowering)
    fold(design.stages, _budget(job), _fixed_folds(job.options))
    size_fifos(design)
    return design


def _budget(job: HlsJob) -> Budget:
    options = job.options
    enough = 1 if options.fps is None else max(1, int(options.clock * 1e6 / options.fps))
    return Budget(int(job.target.dsps * options.dsp), int(job.target.luts * options.lut), enough)


def _fixed_folds(options: Options) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for item in options.fold:
        name, _, size = item.partition(":")
        pe, _, simd = size.partition("x")
        if not (pe.isdecimal() and simd.isdecimal() and int(pe) > 0 and int(simd) > 0):
            raise UsageError(f"hls: fold '{item}' is not stage:PExSIMD", hint="for example fold=blocks_0_mlp_fc1:8x4")
        found[name] = (int(pe), int(simd))
    return found


def emit(job: HlsJob, design: Design, folder: Path) -> ReportData:
    """Write the project to `src`."""
    options = job.options
    files = project(design, options.top, options.io, job.target, options.clock, _golden(job))
    for name, text in files.items():
        path = folder / SOURCES / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii", newline="\n")
    missed = [*unmet(design, job.target, options.clock, options.io, options.fps), *idle_masks(design)]
    return {**report(design, job.target, options.clock, options.io), "unmet": missed}


def _golden(job: HlsJob) -> Samples:
    """The golden calls of main, as calls of the accelerator."""
    return [codes_of(job.module, golden.inputs) for golden in job.golden]


@contextmanager
def start(job: HlsJob, folder: Path) -> Generator[Runner]:
    """Compile the C simulation; runs are one process each, however many samples they have."""
    with compiled(lower(job), folder / SOURCES, job.options.top) as accelerate:
        yield lambda calls: run_main(job.module, calls, accelerate)


def trace(job: HlsJob, folder: Path, inputs: Sequence[Array]) -> Iterator[tuple[Value, Array]]:
    """What travels between the stages in one run of main."""
    options = job.options
    codes, _ = codes_of(job.module, inputs)
    return watched(lower(job), folder / SOURCES, options.top, options.io, codes)


HLS: Backend[Part, Options, Design] = Backend(
    name="hls",
    summary="Vitis HLS C++ for FPGAs: integer dataflow accelerator, test bench, C simulation",
    options=Options,
    targets=PARTS,
    target=DEFAULT,
    lower=lower,
    emit=emit,
    start=start,
    trace=trace,
    lowerings=LOWERINGS,
    reasons=REASONS,
    pipeline="specialize{batch=1},inline,fold,cse,dce,hls-boundary,fuse",
    requant="fixed",
    islands=(),
)
