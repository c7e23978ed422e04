"""The functions of a library that others call, as LLVM; `header.py` tells them to C.

They check everything that they are given. All state is in the caller's memory, so any number of threads may run a
library at once, each with a workspace of its own. They use no instruction beyond those that every machine of the
architecture has, so that `init` can say what is missing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from irc.backends.cpu_simd import team
from irc.backends.cpu_simd.abi import (
    ABI_VERSION,
    CODES,
    ELEMENTS,
    HEADER_BYTES,
    STATUS,
    element_of,
    weights_header,
)
from irc.backends.cpu_simd.codegen.lanes import Function, Lane, bytes_text
from irc.backends.cpu_simd.isa import Isa
from irc.backends.cpu_simd.kernel import emit_dim
from irc.backends.cpu_simd.plan import ALIGNMENT
from irc.backends.cpu_simd.probe import missing, probes
from irc.backends.cpu_simd.program import LAUNCH, OWN, WORKSPACE, Program
from irc.ir.graph import Graph, Value

WEIGHTS_SECTION = ".rodata.irc.weights"
BASELINE = {"x86_64": ("x86-64", ""), "riscv64": ("", "+m,+a,+f,+d,+c")}
"""The oldest CPU of an architecture that runs Linux, where it has a name, and its features."""


@dataclass(eq=False)
class Exports:
    """The public part of a library: functions `NAME_...` around a program."""

    program: Program
    graph: Graph
    isa: Isa
    name: str
    embed: bool
    compiler: str
    declarations: set[str] = field(default_factory=set[str])
    strings: dict[str, str] = field(default_factory=dict[str, str])

    def text(self) -> str:
        """All of it; `declarations` then are the intrinsics that it uses."""
        functions = [
            self.describe(),
            self.status_text(),
            self.init(),
            self.shape("input", self.graph.inputs),
            self.shape("output", self.graph.outputs),
            self.workspace_bytes(),
            self.run(),
            self.team_bytes(),
            self.team_init(),
            self.worker(),
            self.stop(),
            self.run_team(),
        ]
        parts = [f.finish(exported=True, attributes="#1") for f in functions]
        parts.append(self.check_dims().finish(attributes="#1"))
        self.declarations |= {d for f in functions for d in f.declarations.values()}
        cpu, features = BASELINE.get(self.isa.arch, ("", ""))
        attributes = f'attributes #1 = {{ nounwind "target-features"="{features}" "target-cpu"="{cpu}" }}'
        return "\n".join((*self.constants(), probes(self.isa), *parts, attributes))

    # -- functions

    def init(self) -> Function:
        """`i32 init(self*, u32 abi, weights*, u64 bytes)`"""
        f = Function(f"{self.name}_init", {"self": "ptr", "abi": "i32", "weights": "ptr", "bytes": "i64"}, "i32")
        refuse(f, "ABI", f["abi"].compare("ne", ABI_VERSION))
        refuse(f, "NULL", is_null(f["self"]))
        for lacking in missing(f, self.isa):
            refuse(f, "CPU", lacking)
        f.store(self._own_weights(f) if self.embed else self._given_weights(f), f["self"])
        f.store(f.const(self.seal, "i64"), f.at(f["self"], 8))
        f.ret(f.const(0, "i32"))
        return f

    def _own_weights(self, f: Function) -> Lane:
        given = f.convert("ptrtoint", f["weights"], "i64") | f["bytes"]
        refuse(f, "WEIGHTS", given.compare("ne", 0))
        return Lane(f, "@irc.weights", "ptr")

    def _given_weights(self, f: Function) -> Lane:
        refuse(f, "NULL", is_null(f["weights"]))
        refuse(f, "ALIGNMENT", is_misaligned(f["weights"], ALIGNMENT))
        refuse(f, "WEIGHTS", f["bytes"].compare("ne", HEADER_BYTES + len(self.program.weights)))
        for place, word in enumerate(self.header):
            refuse(f, "WEIGHTS", f.load(f.at(f["weights"], place, 8), "i64").compare("ne", word))
        return f.at(f["weights"], HEADER_BYTES)

    @cached_property
    def header(self) -> tuple[int, ...]:
        """The header of a file of the weights, as words of 8 bytes."""
        return struct.unpack("<8q", weights_header(self.program.weights))

    @property
    def seal(self) -> int:
        """What an initialised model carries: part of the hash of its weights, and the ABI version."""
        return self.header[4] ^ (ABI_VERSION << 32)

    def check_dims(self) -> Function:
        """`i32 check_dims(dims*)`: whether all are in range."""
        f = Function("irc.check_dims", {"dims": "ptr"}, "i32")
        if self.program.symbols:
            refuse(f, "NULL", is_null(f["dims"]))
        for place, symbol in enumerate(self.program.symbols.values()):
            number = f.load(f.at(f["dims"], place, 8), "i64")
            refuse(f, "DIM", number.compare("slt", symbol.lo))
            refuse(f, "DIM", number.compare("sgt", symbol.hi))
        f.ret(f.const(0, "i32"))
        return f

    def _checked_dims(self, f: Function) -> Lane:
        return f.emit("i32", 1, "call i32 @irc.check_dims(ptr %dims)")

    def workspace_bytes(self) -> Function:
        """`i64 workspace_bytes(dims*)`: below 0 a status."""
        f = Function(f"{self.name}_workspace_bytes", {"dims": "ptr"}, "i64")
        status = self._checked_dims(f)
        with f.when(status.compare("ne", 0)):
            f.ret(f.neg(f.convert("sext", status, "i64")))
        f.ret(f.emit("i64", 1, f"call i64 @{WORKSPACE}(ptr %dims)"))
        return f

    def run(self) -> Function:
        """`i32 run(self*, dims*, inputs**, outputs**, workspace*, u64 bytes)`"""
        f = Function(f"{self.name}_run", RUN, "i32")
        self._check_run(f)
        f.ret(self._launch(f, Lane(f, "null", "ptr")))
        return f

    def run_team(self) -> Function:
        """`i32 run_team(self*, dims*, inputs**, outputs**, workspace*, u64 bytes, team*)`"""
        f = Function(f"{self.name}_run_team", {**RUN, "team": "ptr"}, "i32", alone=False)
        self._check_run(f)
        self._check_team(f)
        size = self._bytes_of_team(f, team.Team.of(f).load(team.THREADS, "i32"))
        refuse(f, "SIZE", team.Team.of(f).load(team.BYTES, "i64").compare("slt", size))
        with team.running(f, lambda busy: refuse(f, "BUSY", busy)):
            status = self._launch(f, f["team"])
        f.ret(status)
        return f

    def team_bytes(self) -> Function:
        """`i64 team_bytes(dims*, i32 threads)`: below 0 a status."""
        f = Function(f"{self.name}_team_bytes", {"dims": "ptr", "threads": "i32"}, "i64")
        status = self._checked_dims(f)
        with f.when(status.compare("ne", 0)):
            f.ret(f.neg(f.convert("sext", status, "i64")))
        with f.when(_no_team(f)):
            f.ret(f.const(-CODES["THREADS"], "i64"))
        f.ret(self._bytes_of_team(f, f["threads"]))
        return f

    def team_init(self) -> Function:
        """`i32 team_init(self*, team*, u64 bytes, i32 threads)`"""
        given = {"self": "ptr", "team": "ptr", "bytes": "i64", "threads": "i32"}
        f = Function(f"{self.name}_team_init", given, "i32")
        self._check_self(f)
        refuse(f, "NULL", is_null(f["team"]))
        refuse(f, "ALIGNMENT", is_misaligned(f["team"], ALIGNMENT))
        refuse(f, "THREADS", _no_team(f))
        refuse(f, "SIZE", f["bytes"].compare("ult", team.HEADER))
        team.set_up(f, self.seal)
        f.ret(f.const(0, "i32"))
        return f

    def worker(self) -> Function:
        """`i32 worker(team*, i32 index)`: returns when the team is stopped."""
        f = Function(f"{self.name}_worker", {"team": "ptr", "index": "i32"}, "i32", alone=False)
        self._check_team(f)
        threads = team.Team.of(f).load(team.THREADS, "i32")
        refuse(f, "THREADS", f["index"].compare("slt", 1))
        refuse(f, "THREADS", f["index"].compare("sge", threads))
        refuse(f, "BUSY", team.joined(f))
        team.work(f)
        return f

    def stop(self) -> Function:
        """`i32 stop(team*)`"""
        f = Function(f"{self.name}_stop", {"team": "ptr"}, "i32", alone=False)
        self._check_team(f)
        team.stop(f)
        f.ret(f.const(0, "i32"))
        return f

    def _check_team(self, f: Function) -> None:
        refuse(f, "NULL", is_null(f["team"]))
        refuse(f, "ALIGNMENT", is_misaligned(f["team"], ALIGNMENT))
        refuse(f, "TEAM", team.Team.of(f).load(team.SEAL, "i64").compare("ne", self.seal))

    def _bytes_of_team(self, f: Function, threads: Lane) -> Lane:
        own = f.emit("i64", 1, f"call i64 @{OWN}(ptr %dims)")
        return f.convert("zext", threads, "i64") * own + team.HEADER

    def _launch(self, f: Function, by: Lane) -> Lane:
        weights = f.load(f["self"], "ptr")
        given = f"ptr %inputs, ptr %outputs, ptr %dims, {weights.typed}, ptr %workspace, {by.typed}"
        return f.emit("i32", 1, f"call i32 @{LAUNCH}({given})")

    def _check_self(self, f: Function) -> None:
        refuse(f, "NULL", is_null(f["self"]))
        refuse(f, "UNREADY", f.load(f.at(f["self"], 8), "i64").compare("ne", self.seal))

    def _check_run(self, f: Function) -> None:
        """Everything that a run is given but the team."""
        self._check_self(f)
        status = self._checked_dims(f)
        with f.when(status.compare("ne", 0)):
            f.ret(status)
        for kind, values in (("inputs", self.graph.inputs), ("outputs", self.graph.outputs)):
            self._check_tensors(f, f[kind], values)
        refuse(f, "NULL", is_null(f["workspace"]))
        refuse(f, "ALIGNMENT", is_misaligned(f["workspace"], ALIGNMENT))
        refuse(f, "SIZE", f["bytes"].compare("ult", f.emit("i64", 1, f"call i64 @{WORKSPACE}(ptr %dims)")))

    def _check_tensors(self, f: Function, table: Lane, values: Sequence[Value]) -> None:
        if values:
            refuse(f, "NULL", is_null(table))
        for place, value in enumerate(values):
            pointer = f.load(f.at(table, place, 8), "ptr")
            refuse(f, "NULL", is_null(pointer))
            refuse(f, "ALIGNMENT", is_misaligned(pointer, value.type.scalar.dtype.itemsize))

    def shape(self, kind: str, values: Sequence[Value]) -> Function:
        """`i32 KIND_shape(i32 index, dims*, shape*)`: the sizes of a tensor."""
        f = Function(f"{self.name}_{kind}_shape", {"index": "i32", "dims": "ptr", "shape": "ptr"}, "i32")
        refuse(f, "NULL", is_null(f["shape"]))
        status = self._checked_dims(f)
        with f.when(status.compare("ne", 0)):
            f.ret(status)
        symbols = {name: f.load(f.at(f["dims"], i, 8), "i64") for i, name in enumerate(self.program.symbols)}
        for index, value in enumerate(values):
            with f.when(f["index"].compare("eq", index)):
                for axis, size in enumerate(value.type.shape):
                    f.store(emit_dim(f, size, symbols.__getitem__), f.at(f["shape"], axis, 8))
                f.ret(f.const(0, "i32"))
        f.ret(f.const(CODES["TENSOR"], "i32"))
        return f

    def status_text(self) -> Function:
        """`char* status_text(i32 status)`"""
        f = Function(f"{self.name}_status_text", {"status": "i32"}, "ptr")
        with f.when(f["status"].compare("uge", len(STATUS))):
            f.ret(Lane(f, self.string("unknown status"), "ptr"))
        index = f.convert("zext", f["status"], "i64")
        f.ret(f.load(f.at(Lane(f, "@irc.status", "ptr"), index, 8), "ptr"))
        return f

    def describe(self) -> Function:
        """`info* describe()`"""
        f = Function(f"{self.name}_describe", {}, "ptr")
        f.ret(Lane(f, "@irc.info", "ptr"))
        return f

    # -- data

    def string(self, text: str) -> str:
        """The address of a text."""
        return self.strings.setdefault(text, f"@irc.text.{len(self.strings)}")

    def constants(self) -> Iterator[str]:
        """The description, the texts, and room for the weights."""
        graph = self.graph
        yield from self._table("status", [f"ptr {self.string(text)}" for _, text in STATUS], "ptr")
        for kind, values in (("inputs", graph.inputs), ("outputs", graph.outputs)):
            names = [v.name if kind == "inputs" else f"output{i}" for i, v in enumerate(values)]
            rows = [self._tensor(name, v) for name, v in zip(names, values, strict=True)]
            yield from self._table(kind, rows, TENSOR)
        dims = [f"{DIM} {{ ptr {self.string(s.name)}, i64 {s.lo}, i64 {s.hi} }}" for s in self.program.symbols.values()]
        yield from self._table("dims", dims, DIM)
        numbers = (ABI_VERSION, len(graph.inputs), len(graph.outputs), len(dims))
        fields = (
            *(f"i32 {n}" for n in numbers),
            "ptr @irc.inputs, ptr @irc.outputs, ptr @irc.dims",
            f"ptr {self.string(self.isa.name)}, ptr {self.string(self.compiler)}",
            f"i64 {0 if self.embed else HEADER_BYTES + len(self.program.weights)}",
        )
        kinds = "{ i32, i32, i32, i32, ptr, ptr, ptr, ptr, ptr, i64 }"
        yield f"@irc.info = internal constant {kinds} {{ {', '.join(fields)} }}"
        if self.embed:
            # Its bytes are put in when the object is there, so nobody may take their number or the zero for granted.
            yield (
                "@irc.weights = internal externally_initialized constant [1 x i8] zeroinitializer, "
                f'section "{WEIGHTS_SECTION}", align {ALIGNMENT}'
            )
        for text, name in self.strings.items():
            yield f"{name} = internal unnamed_addr constant {bytes_text(text.encode() + bytes(1))}"

    def _tensor(self, name: str, value: Value) -> str:
        scalar = value.type.scalar
        numbers = ELEMENTS.index(element_of(scalar)), scalar.dtype.itemsize, value.type.rank, 0
        texts = f"ptr {self.string(name)}, ptr {self.string(str(value.type))}"
        return f"{TENSOR} {{ {texts}, {', '.join(f'i32 {n}' for n in numbers)} }}"

    def _table(self, name: str, rows: Sequence[str], kind: str) -> Iterator[str]:
        yield f"@irc.{name} = internal constant [{len(rows)} x {kind}] [{', '.join(rows)}]"


TENSOR = "{ ptr, ptr, i32, i32, i32, i32 }"
DIM = "{ ptr, i64, i64 }"


RUN = {**dict.fromkeys(("self", "dims", "inputs", "outputs", "workspace"), "ptr"), "bytes": "i64"}
"""What a run is given."""


def _no_team(f: Function) -> Lane:
    """Whether the number of threads is none that a team can have."""
    return (f["threads"] - 1).compare("uge", team.MOST_THREADS)


def refuse(f: Function, status: str, condition: Lane) -> None:
    """Return a status where a condition holds."""
    with f.when(condition):
        f.ret(f.const(CODES[status], "i32"))


def is_null(pointer: Lane) -> Lane:
    return pointer.compare("eq", Lane(pointer.f, "null", "ptr"))


def is_misaligned(pointer: Lane, to: int) -> Lane:
    f = pointer.f
    return (f.convert("ptrtoint", pointer, "i64") & (to - 1)).compare("ne", 0)
