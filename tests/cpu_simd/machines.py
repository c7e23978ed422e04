"""Other machines than this one: each runs calls of graphs that were compiled for its target, all in one program.

Arm and RISC-V programs run under qemu's emulation of Linux. It has no AVX-512, so x86 programs run in Bochs, which
emulates a whole machine: ours has no operating system, but a ROM that starts the program (bare/rom.S).
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from c_programs import output_of

from irc.backends.cpu_simd.compiler import compile_graph
from irc.backends.cpu_simd.header import Interface, header
from irc.backends.cpu_simd.isa import Isa
from irc.backends.cpu_simd.library import object_of
from irc.ir.dims import evaluate
from irc.ir.graph import Graph, Module, Value
from irc.ir.interpret import arrange_inputs, bind_dims, fitted
from irc.ir.scalars import Array

SOURCES = Path(__file__).parent / "bare"
MARK = "-- what calls give --"
TRACK = 16 * 63 * 512
"""Disks of Bochs are multiples of this."""

FLAGS = ("-O1", "-I.", "-o", "program")
ALONE = (
    "-nostdlib",
    "-static",
    "-no-pie",
    "-ffreestanding",
    "-fno-pie",
    "-fno-stack-protector",
    "-fcf-protection=none",
)

QEMU_CPU = {"aarch64": "max", "riscv64": "rv64"}
BOCHS_CPU = {
    "x86-64": "corei7_haswell_4770",  # the oldest with pages of 1 GB and XSAVE
    "x86-64-v3": "corei7_haswell_4770",
    "avx-vnni": "arrow_lake",  # since Bochs 3.0
    "avx512": "corei7_skylake_x",
    "avx512-vnni": "corei7_icelake_u",
}
"""CPUs with the instructions of a target and few others: an instruction that the target does not name is an error."""

Given = int | list[Array]
"""What a call gives: the number of an error, or results."""


def gcc(isa: Isa) -> str:
    return f"{isa.arch}-linux-gnu-gcc"


def qemu(isa: Isa) -> str:
    """The name of the program; Debian has it twice."""
    names = [f"qemu-{isa.arch}", f"qemu-{isa.arch}-static"]
    return next((name for name in names if shutil.which(name)), names[0])


def lacking(isa: Isa) -> str:
    """Why no machine here runs the code of a target; nothing if one does."""
    programs = [gcc(isa), "bochs" if isa.is_x86 else qemu(isa)]
    if missing := [program for program in programs if shutil.which(program) is None]:
        return f"{' and '.join(missing)} is not installed"
    if isa.is_x86 and BOCHS_CPU.get(isa.name) not in bochs_models():
        return f"this Bochs has no CPU for {isa.name}"
    return ""


def need(isa: Isa) -> None:
    """Skip a test if no machine here runs the code of a target."""
    if why := lacking(isa):
        pytest.skip(why)


@cache
def bochs_models() -> list[str]:
    done = subprocess.run(["bochs", "--help", "cpu"], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).split()


UPPER = r"%[xyz]mm(1[6-9]|2\d|3[01])"
AVOIDED = {
    rf"\(%\w+,{UPPER}": "+prefer-no-gather,+prefer-no-scatter",  # gathers and scatters: invalid to Bochs
    rf"vpextr[bw] .*{UPPER},0x": "-avx512vl",  # Bochs 2 does not scale the distance, so it stores elsewhere
}
"""What Bochs gets wrong with one of the upper 16 registers, and features that avoid it."""


class Avoiding(Isa):
    """An instruction set without some instructions."""

    @property
    def needs(self) -> frozenset[str]:
        return frozenset(name for name in super().needs if not name.startswith("prefer-no-"))

    @staticmethod
    def of(isa: Isa, features: str) -> Avoiding:
        return Avoiding(**{**vars(isa), "features": f"{isa.features},{features}"})


@dataclass
class Program:
    """A program for the machine of a target, in a folder: graphs, and calls of them with their inputs."""

    isa: Isa
    folder: Path
    graphs: list[Graph] = field(default_factory=list[Graph])
    calls: list[Array] = field(default_factory=list[Array])
    wanted: list[list[list[Array]]] = field(default_factory=list[list[list[Array]]])  # by graph, call and result

    def add(self, module: Module, calls: Sequence[Sequence[Array]]) -> None:
        """Compile a graph, and call it. Raises IrcError for inputs that do not fit."""
        graph, number = module.main, len(self.graphs)
        ready = [prepared(graph, inputs) for inputs in calls]
        self._compile(graph, self.isa, f"g{number}")
        self.graphs.append(graph)
        for arrays, known in ready:
            self.calls += [np.array([number]), np.array([known[name] for name in graph.symbols], np.int64), *arrays]
        self.wanted.append([[array_of(v, known) for v in graph.outputs] for _, known in ready])

    def _compile(self, graph: Graph, isa: Isa, name: str) -> None:
        code = object_of(compile_graph(graph, isa).program, graph, isa, name=name, embed=True)
        (self.folder / f"{name}.o").write_bytes(b"".join(code))
        if "avx512f" not in isa.needs:
            return
        text = output_of(["x86_64-linux-gnu-objdump", "-d", "--no-show-raw-insn", f"{name}.o"], self.folder).decode()
        for pattern, features in AVOIDED.items():
            if features not in isa.features and re.search(pattern, text):
                self._compile(graph, Avoiding.of(isa, features), name)
                return

    def run(self) -> list[list[Given]]:
        """What each call of each graph gives."""
        pieces = [array.tobytes() for array in self.calls]
        (self.folder / "calls.bin").write_bytes(b"".join(p.ljust(-(-len(p) // 64) * 64, b"\0") for p in pieces))
        types = header(Interface("graph", self.graphs[0], self.isa, embed=True, weights=0))
        names = " ".join(f"each(g{number})" for number in range(len(self.graphs)))
        (self.folder / "graphs.h").write_text(f'{types}\n#define GRAPHS(each) {names}\n#define MARK "{MARK}"\n')
        objects = [f"g{number}.o" for number in range(len(self.graphs))]
        return read((in_bochs if self.isa.is_x86 else under_qemu)(self.isa, objects, self.folder), self.wanted)


def prepared(graph: Graph, inputs: Sequence[Array]) -> tuple[list[Array], Mapping[str, int]]:
    """Inputs as a graph takes them, and its sizes. Raises IrcError for inputs that do not fit."""
    arrays = [fitted(v, a) for v, a in zip(graph.inputs, arrange_inputs(graph, inputs), strict=True)]
    return arrays, bind_dims(graph, arrays)


def array_of(value: Value, known: Mapping[str, int]) -> Array:
    return np.empty(tuple(evaluate(d, known) for d in value.type.shape), value.type.scalar.dtype)


def under_qemu(isa: Isa, objects: Sequence[str], folder: Path) -> bytes:
    """The output of a program for Linux."""
    output_of([gcc(isa), "-static", *FLAGS, *sources("run.c", "calls.S"), *objects], folder)
    return output_of([qemu(isa), "-cpu", QEMU_CPU[isa.arch], "./program"], folder)


def in_bochs(isa: Isa, objects: Sequence[str], folder: Path) -> bytes:
    """The output of a program without an operating system."""
    script, *code = sources("program.ld", "run.c", "calls.S")
    output_of([gcc(isa), *FLAGS, *ALONE, "-DBARE", "-T", script, *code, *objects], folder)
    output_of(["x86_64-linux-gnu-objcopy", "-O", "binary", "program", "program.bin"], folder)
    with (folder / "program.bin").open("ab") as disk:
        disk.truncate(-(-disk.tell() // TRACK) * TRACK)
    rom = ["-Wl,-Ttext=0xffff0000,-e0,-Rprogram,--oformat=binary"]
    output_of([gcc(isa), *ALONE, *rom, *sources("rom.S"), "-o", "rom.bin"], folder)
    command = ["bochs", "-q", "-f", *sources("bochsrc"), f"cpu: model={BOCHS_CPU[isa.name]}"]
    # A Bochs with a debugger waits for the command to continue.
    done = subprocess.run(command, cwd=folder, input=b"c\n", capture_output=True, check=False, timeout=600)
    log = (folder / "bochs.log").read_text(errors="replace")
    assert done.stdout.count(MARK.encode()) == 2, log[-5000:]
    return done.stdout


def sources(*names: str) -> list[str]:
    return [str(SOURCES / name) for name in names]


def read(output: bytes, wanted: Sequence[Sequence[Sequence[Array]]]) -> list[list[Given]]:
    """The status or the arrays of each call, of the types and shapes of `wanted`."""
    stream = BytesIO(output.split(MARK.encode())[1])

    def call(arrays: Sequence[Array]) -> Given:
        status = int.from_bytes(stream.read(4), "little")
        return status or [np.frombuffer(stream.read(a.nbytes), a.dtype).reshape(a.shape) for a in arrays]

    given = [[call(arrays) for arrays in calls] for calls in wanted]
    assert not stream.read(1)
    return given
