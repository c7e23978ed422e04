"""Helpers of the HLS tests: modules to designs, many designs in one program, and running that."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from irc.backends.base import Golden, Job
from irc.backends.fpga_hls.backend import HLS, Options
from irc.backends.fpga_hls.boundary import ACCELERATOR
from irc.backends.fpga_hls.dataflow import build
from irc.backends.fpga_hls.device import DSP_PORTS, Part
from irc.backends.fpga_hls.fifo import size_fifos
from irc.backends.fpga_hls.packing import packable
from irc.backends.fpga_hls.project import sources
from irc.backends.fpga_hls.simulation import codes_of
from irc.backends.fpga_hls.stage import Design
from irc.backends.fpga_hls.testbench import decode, encode, sample_bytes
from irc.backends.fpga_hls.toolchain import compile_simulation, run_simulation
from irc.ir.builder import Builder
from irc.ir.constants import Data
from irc.ir.graph import Module
from irc.ir.interpret import interpret
from irc.ir.masks import expand_mask, project
from irc.ir.ops.linear import Conv, Linear
from irc.ir.ops.structure import Const
from irc.ir.scalars import Array
from irc.passes.base import PassContext
from irc.passes.pipeline import run_pipeline

STRICT = ["-std=c++14", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"]
SANITIZED = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def need_compiler() -> None:
    """Skip a test that runs a simulation where nothing can compile it."""
    if not any(shutil.which(name) for name in (os.environ.get("CXX", ""), "g++", "clang++") if name):
        pytest.skip("no C++ compiler")


def ap_types() -> list[str]:
    """The flags for the vendor's integer types, whose headers lie in the hls4ml wheel; a skip where they are absent.

    The package is only looked up: importing it is slow, warns, and nothing of it is wanted.
    """
    spec = importlib.util.find_spec("hls4ml")
    places = list(spec.submodule_search_locations or []) if spec else []
    folder = next((f for p in places if (f := Path(p) / "templates" / "vivado" / "ap_types").is_dir()), None)
    if folder is None:
        pytest.skip("no ap_types headers: install the extra `test`, whose hls4ml has them")
    return ["-DIRC_AP_TYPES", "-isystem", str(folder)]


def legalised(module: Module, *, fused: bool = True) -> Module:
    """The module behind the pipeline of the backend, with kernels or without."""
    pipeline = HLS.pipeline if fused else HLS.pipeline.replace(",fuse", "")
    return run_pipeline(pipeline, module, PassContext())


MASKS = ((1, 4, "nm"), (2, 4, "nm"), (2, 3, "nm"), (2, 2, "block"), (3, 4, "block"), (1, 1, "block"))


def with_masks(module: Module, rng: np.random.Generator) -> int:
    """Give the constant weights of main random masks, in place; how many got one."""
    layers = [n for n in module.main.nodes if isinstance(n, Linear | Conv) and isinstance(n.w.node, Const)]
    for op in layers:
        const = op.w.node
        assert isinstance(const, Const)
        w = const.value.array
        *params, kind = MASKS[int(rng.integers(len(MASKS)))] if rng.random() < 0.9 else ("filter",)
        share = None if kind == "nm" else float(rng.random())
        mask = project(str(kind), tuple(map(int, params)), rng.random(w.shape), share)
        zeroed = Data.of(np.where(expand_mask(mask, w.shape), w, 0), const.value.scalar)
        op.w = Builder.before_node(op, op.loc)(Const(zeroed, const.to, mask))
    return len(layers)


def job_of(
    module: Module,
    inputs: Sequence[Sequence[Array]] = (),
    schedule: Mapping[str, str] | None = None,
    **options: object,
) -> Job[Part, Options]:
    """A job for a legalised module, with these inputs as golden calls."""
    golden = [Golden(list(arrays), interpret(module, arrays)) for arrays in inputs]
    return Job(module, HLS.find_target(""), Options(**options), golden, schedule or {})  # type: ignore[arg-type]


def design_of(module: Module) -> Design:
    """The design of a legalised module, not folded."""
    design = build(module.functions[ACCELERATOR])
    size_fifos(design)
    return design


def write(files: Mapping[str, str | bytes], folder: Path) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode("ascii"))


@dataclass
class Trial:
    """A design with samples and what has to come out of it."""

    name: str
    design: Design
    inputs: list[list[Array]]
    outputs: list[list[Array]]

    @staticmethod
    def of(name: str, module: Module, calls: Sequence[Sequence[Array]], rng: np.random.Generator) -> Trial:
        """A trial of a legalised module on calls of main, folded at random."""
        design = design_of(module)
        for stage in design.stages:
            if stage.foldable:
                packing = int(rng.integers(1, packable(stage, DSP_PORTS["DSP48E2"]), endpoint=True))
                stage.set_fold(int(rng.integers(1, 5)), int(rng.integers(1, 6)), packing)
        pairs = [codes_of(module, call) for call in calls]
        return Trial(name, design, [given for given, _ in pairs], [wanted for _, wanted in pairs])

    def files(self) -> dict[str, str]:
        """The project, as far as it is synthesized."""
        return sources(self.design, self.name, "m_axi")

    def memories(self) -> dict[str, bytes]:
        """What is in its memories."""
        return {}

    def call(self, folder: Path) -> list[str]:
        """C++ that runs all samples of a project in that folder."""
        ports = [*self.design.inputs, *self.design.outputs]
        lines = [f"for (int i = 0; i < {len(self.inputs)}; i++) {{"]
        lines += [f"static {p.code.port} {p.name}[{p.count}];" for p in ports]
        lines += [f"if (std::fread({p.name}, sizeof {p.name}, 1, in) != 1) return 2;" for p in self.design.inputs]
        lines.append(f"{self.name}({', '.join(p.name for p in ports)});")
        lines += [f"if (std::fwrite({p.name}, sizeof {p.name}, 1, out) != 1) return 3;" for p in self.design.outputs]
        return [*lines, "}"]


Rewrite = Callable[[dict[str, str], str], dict[str, str]]  # of the sources of a design, by its name


def run_trials(
    trials: Sequence[Trial], folder: Path, flags: Sequence[str], rewrite: Rewrite = lambda files, name: files
) -> list[str]:
    """Compiles the designs into one program and runs it; the names of those that give something else."""
    lines = ["#include <cstdio>"]
    for trial in trials:
        write({**rewrite(trial.files(), trial.name), **trial.memories()}, folder / trial.name)
        lines.append(f'#include "{trial.name}/{trial.name}.cpp"')
    lines.append("int main(int, char** words) {")
    lines.append('std::FILE* in = std::fopen(words[1], "rb"); std::FILE* out = std::fopen(words[2], "wb");')
    lines.append("if (in == nullptr || out == nullptr) return 1;")
    for trial in trials:
        lines += trial.call(folder / trial.name)
    lines.append("return std::fclose(out); }")
    (folder / "all.cpp").write_text("\n".join(lines) + "\n")
    given = b"".join(encode(trial.design.inputs, sample) for trial in trials for sample in trial.inputs)
    (folder / "in.bin").write_bytes(given)
    compile_simulation([folder / "all.cpp"], folder / "all", [*STRICT, *flags])
    run_simulation(folder / "all", [folder / "in.bin", folder / "out.bin"])
    return _differing(trials, (folder / "out.bin").read_bytes())


def _differing(trials: Sequence[Trial], data: bytes) -> list[str]:
    found: list[str] = []
    place = 0
    for trial in trials:
        size = sample_bytes(trial.design.outputs)
        for wanted in trial.outputs:
            given = decode(trial.design.outputs, data[place : place + size])
            place += size
            if not all(np.array_equal(a, b) for a, b in zip(given, wanted, strict=True)):
                found.append(trial.name)
    assert place == len(data)
    return sorted(set(found))


def run_in_parallel(trials: Sequence[Trial], folder: Path, flags: Sequence[str], size: int) -> list[str]:
    """As `run_trials`, in programs of `size` designs, compiled side by side."""
    groups = [trials[i : i + size] for i in range(0, len(trials), size)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(run_trials, group, folder / f"program{i}", flags) for i, group in enumerate(groups)]
        return [name for job in jobs for name in job.result()]
