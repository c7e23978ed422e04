"""The backend `hls`: a Vitis HLS project with test bench, and its C simulation."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import ClassVar, Literal, TypeAlias

from irc.backends.base import Backend, Job, ReportData, Runner
from irc.backends.fpga_hls.area import UNCALIBRATED, Factors, total
from irc.backends.fpga_hls.boundary import ACCELERATOR
from irc.backends.fpga_hls.calibration.record import calibration_of
from irc.backends.fpga_hls.dataflow import build
from irc.backends.fpga_hls.device import DEFAULT, DSP_PORTS, PARTS, Part
from irc.backends.fpga_hls.emit.top import Io
from irc.backends.fpga_hls.engine.build import build as build_engine
from irc.backends.fpga_hls.engine.plan import Plan, planned
from irc.backends.fpga_hls.engine.project import project as engine_project
from irc.backends.fpga_hls.engine.reports import Costs, costs, engine_bill, engine_report, engine_unmet
from irc.backends.fpga_hls.engine.schedule import SIZE, read_schedule
from irc.backends.fpga_hls.engine.sizes import best_size
from irc.backends.fpga_hls.engine.watch import engine_watched
from irc.backends.fpga_hls.fifo import size_fifos
from irc.backends.fpga_hls.folding import Budget, fold, folding_text, read_foldings
from irc.backends.fpga_hls.identifiers import identifier
from irc.backends.fpga_hls.legality import inner_ops, problems
from irc.backends.fpga_hls.lower import LOWERINGS
from irc.backends.fpga_hls.project import Samples, project
from irc.backends.fpga_hls.reasons import REASONS
from irc.backends.fpga_hls.reports import Seen, averages, idle_masks, idle_multipliers, report, unmet
from irc.backends.fpga_hls.simulation import codes_of, compiled, counts_seen, run_main, watched
from irc.backends.fpga_hls.stage import Design
from irc.backends.fpga_hls.utilisation import Bill, bill_of
from irc.ir.diagnostics import IrcError, UsageError
from irc.ir.graph import Value
from irc.ir.scalars import Array

SOURCES = "src"
FASTEST = max(part.fastest for part in PARTS.values())


@dataclass(frozen=True)
class Options:
    """Vitis HLS C++: a dataflow stage for each layer, all on chip; or one engine for all layers, data in memory."""

    name: ClassVar[str] = "hls"
    style: Literal["auto", "dataflow", "engine"] = "auto"  # auto: dataflow where it fits the part, else engine
    clock: float = 200.0  # MHz
    fps: float | None = None  # samples a second that are enough; none: as many as the budget gives
    dsp: float = 0.8  # part of the DSPs of the device that folding may fill, by the estimate
    lut: float = 0.7  # part of its LUTs; narrow products are made of them
    io: Io = "m_axi"
    top: str = "accelerator"  # name of the top function
    calibration: str = ""  # a file of `irc calibrate`

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
        if self.style == "engine" and self.io != "m_axi":
            raise UsageError(f"hls: io={self.io} goes with style=dataflow; the engine works on memory", hint="io=m_axi")
        if self.calibration:  # what the file holds, so that an artifact needs no file
            object.__setattr__(self, "calibration", calibration_of(self.calibration).text)

    @property
    def factors(self) -> Factors:
        """Of the estimate of LUTs and flip-flops."""
        return calibration_of(self.calibration).factors if self.calibration else UNCALIBRATED


Lowered: TypeAlias = "Design | Plan"
HlsJob = Job[Part, Options]


def lower(job: HlsJob) -> Lowered:
    """The accelerator in the style that is asked for, or that fits. Raises IrcError with everything against it."""
    if job.options.clock > job.target.fastest:
        message = f"hls: clock={job.options.clock:g} is more than the block RAM of {job.target.name} can do"
        raise UsageError(message, hint=f"at most {job.target.fastest:g} MHz, and less with logic around it")
    accelerator = job.module.functions.get(ACCELERATOR)
    unsupported = HLS.unsupported(inner_ops(accelerator)) if accelerator else []
    if found := problems(job.module, unsupported):
        raise IrcError(found)
    if job.options.style == "engine":
        return _engine(job, "style=engine asks for it")
    if SIZE in job.schedule:
        if job.options.style == "dataflow":
            raise UsageError("hls: the schedule is one of an engine", hint="style=engine")
        return _engine(job, "the schedule is one of an engine")
    design = _dataflow(job)
    if job.options.style == "dataflow" or job.options.io != "m_axi" or job.schedule:
        return design
    missing = bill_of(design, job.target, job.options.io, job.options.factors).lacking
    if not missing:
        return design
    return _engine_that_fits(job, f"style=dataflow does not fit {job.target.name}: {missing}") or design


def _dataflow(job: HlsJob) -> Design:
    design = build(job.module.functions[ACCELERATOR], HLS.lowering)
    fold(design.stages, _budget(job), read_foldings(job.schedule), job.options.factors)
    size_fifos(design)
    return design


def _engine(job: HlsJob, why: str) -> Plan:
    schedule = read_schedule(job.schedule)
    program = build_engine(job.module.functions[ACCELERATOR])
    size = schedule.size or best_size(program, job.target, _budget(job), job.options.factors)
    return planned(program, size, why, schedule.rows)


def _engine_that_fits(job: HlsJob, why: str) -> Plan | None:
    """An engine; None if it cannot run an op, or does not fit either."""
    try:
        plan = _engine(job, why)
    except IrcError:
        return None
    return None if engine_bill(plan, job.target, job.options.factors).lacking else plan


def _budget(job: HlsJob) -> Budget:
    options = job.options
    enough = 1 if options.fps is None else max(1, int(options.clock * 1e6 / options.fps))
    ports = DSP_PORTS[job.target.dsp]
    return Budget(int(job.target.dsps * options.dsp), int(job.target.luts * options.lut), enough, ports)


def emit(job: HlsJob, lowered: Lowered, folder: Path) -> ReportData:
    """Write the project to `src`."""
    options, golden = job.options, _golden(job)
    if isinstance(lowered, Plan):
        known, bill = costs(lowered), engine_bill(lowered, job.target, options.factors)
        _write(engine_project(lowered, known, options.top, bill, options.clock, golden), folder / SOURCES)
        return _of_engine(job, lowered, known, bill)
    bill = bill_of(lowered, job.target, options.io, options.factors)
    seen = [counts_seen(job.module, call.inputs) for call in job.golden] if lowered.counts else []
    known = averages(lowered, seen)
    _write(project(lowered, options.top, options.io, bill, options.clock, golden, known), folder / SOURCES)
    return _of_dataflow(job, lowered, bill, seen)


def estimate(job: HlsJob, lowered: Lowered) -> ReportData:
    """Cycles, area, and what is missed: all that is known without a synthesis."""
    options = job.options
    if isinstance(lowered, Plan):
        return _of_engine(job, lowered, costs(lowered), engine_bill(lowered, job.target, options.factors))
    return _of_dataflow(job, lowered, bill_of(lowered, job.target, options.io, options.factors))


def _of_engine(job: HlsJob, plan: Plan, known: Costs, bill: Bill) -> ReportData:
    options = job.options
    way_out = _as_dataflow(job) if bill.lacking else ""
    missed = engine_unmet(plan, known, bill, options.clock, options.fps, options.factors, way_out)
    told = engine_report(plan, known, bill, options.clock)
    return {**_noted(told, options), "unmet": missed, "schedule": plan.schedule}


def _of_dataflow(job: HlsJob, design: Design, bill: Bill, seen: Seen = ()) -> ReportData:
    """`seen` are the counts of the golden samples."""
    options = job.options
    way_out = _as_engine(job) if bill.lacking else ""
    missed = [
        *unmet(design, bill, options.clock, options.fps, way_out),
        *idle_masks(design),
        *_chosen(job, design, bill),
    ]
    folds = {stage.name: folding_text(stage) for stage in design.stages if stage.foldable}
    told = report(design, bill, options.clock, seen)
    return {**_noted(told, options), "unmet": missed, "schedule": folds}


def _chosen(job: HlsJob, design: Design, bill: Bill) -> list[str]:
    """What speaks against the foldings of the schedule."""
    options, stages = job.options, [stage for stage in design.stages if stage.name in job.schedule]
    found = idle_multipliers(stages)
    if stages and not _budget(job).allows(total(bill.areas[stage.name] for stage in stages)):
        found.append(
            f"the stages of the schedule alone take more than dsp={options.dsp:g} lut={options.lut:g} allow: all "
            "others have as few multipliers as can be"
        )
    return found


def _noted(told: ReportData, options: Options) -> ReportData:
    """With what the estimate was fitted to."""
    if not options.calibration:
        return told
    return {**told, "notes": [*told["notes"], calibration_of(options.calibration).note]}


def _as_dataflow(job: HlsJob) -> str:
    """What to do about an engine that does not fit."""
    try:
        design = _dataflow(replace(job, schedule={}))
    except IrcError:
        return ""
    fits = not bill_of(design, job.target, job.options.io, job.options.factors).lacking
    return "style=dataflow does fit" if fits else ""


def _as_engine(job: HlsJob) -> str:
    """What to do about a dataflow accelerator that does not fit, where `auto` has not tried it already."""
    asked = job.options.style == "dataflow" or bool(job.schedule)
    free = replace(job, options=replace(job.options, io="m_axi"), schedule={})
    return "style=engine does fit" if asked and _engine_that_fits(free, "") else ""


def _write(files: Mapping[str, str | bytes], folder: Path) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode("ascii"))


def _golden(job: HlsJob) -> Samples:
    """The golden calls of main, as calls of the accelerator."""
    return [codes_of(job.module, golden.inputs) for golden in job.golden]


@contextmanager
def start(job: HlsJob, folder: Path) -> Generator[Runner]:
    """Compile the C simulation; runs are one process each, however many samples they have."""
    with compiled(lower(job), folder / SOURCES, job.options.top) as accelerate:
        yield lambda calls: run_main(job.module, calls, accelerate)


def trace(job: HlsJob, folder: Path, inputs: Sequence[Array]) -> Iterator[tuple[Value, Array]]:
    """What the layers compute in one run of main, layer by layer."""
    options = job.options
    codes, _ = codes_of(job.module, inputs)
    lowered = lower(job)
    if isinstance(lowered, Plan):
        return engine_watched(lowered, folder / SOURCES, options.top, codes)
    return watched(lowered, folder / SOURCES, options.top, options.io, codes)


HLS: Backend[Part, Options, Lowered] = Backend(
    name="hls",
    summary="Vitis HLS C++ for FPGAs: integer accelerator as dataflow or as engine, test bench, C simulation",
    options=Options,
    targets=PARTS,
    target=DEFAULT,
    lower=lower,
    emit=emit,
    start=start,
    trace=trace,
    estimate=estimate,
    device=ACCELERATOR,
    schedules=True,
    lowerings=LOWERINGS,
    reasons=REASONS,
    pipeline="specialize{batch=1},inline,fold,cse,dce,hls-boundary,fuse",
    requant="fixed",
    islands=(),
)
