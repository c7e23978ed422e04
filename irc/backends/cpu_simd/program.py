"""A lowered graph as one LLVM module: kernels, and functions that run them in order.

    i64 irc.workspace(i64* dims)                                         bytes that a run needs for these sizes
    i64 irc.own(i64* dims)                                               bytes that each worker of a team needs
    i32 irc.launch(i8** inputs, i8** outputs, i64* dims, i8* weights, i8* workspace, i8* team)   0, or what went wrong

They believe what they are given; `exports.py` puts functions in front of them that do not. `dims` are the numbers of
the symbols in the order of their declaration. `weights` and `workspace` are aligned to 64 bytes. Nothing is allocated
and nothing is kept between runs, so runs with workspaces of their own may go on at once. `team` is null for one thread.

A kernel that can be split has a function in front of it that every thread of a team can call, with what it is called
with in a table: numbers of symbols, addresses, and how far apart the memory lies that each worker has of its own.

    i32 irc.part.KERNEL(i64* arguments, i64 first, i64 last, i64 worker)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from irc.backends.cpu_simd import futex, team
from irc.backends.cpu_simd.codegen.lanes import Function, Lane
from irc.backends.cpu_simd.isa import Isa
from irc.backends.cpu_simd.kernel import emit_dim
from irc.backends.cpu_simd.lowering import Launch
from irc.backends.cpu_simd.plan import ALIGNMENT, SLACK, Placed, aligned
from irc.backends.cpu_simd.views import Buffer, View
from irc.backends.cpu_simd.work import grain
from irc.ir.dims import Symbol, add, evaluate, floordiv, mul

LAUNCH, WORKSPACE, OWN = "irc.launch", "irc.workspace", "irc.own"

ARGUMENTS: tuple[str, ...] = ("inputs", "outputs", "dims", "weights", "workspace", "team")


@dataclass(frozen=True)
class Program:
    """What runs: kernels by name, launches in order, the places of buffers, the bytes of all constants."""

    symbols: Mapping[str, Symbol]
    kernels: Mapping[str, str]  # name -> text without its name
    declarations: Sequence[str]
    launches: Sequence[Launch]
    placed: Sequence[Placed]
    weights: bytes
    timed: bool = False
    """Whether a run leaves the counts of a clock behind its workspace: one at its start, one behind each launch."""

    def text(self, isa: Isa, more: Sequence[str] = (), declared: Collection[str] = ()) -> str:
        """The LLVM module, with more functions and the intrinsics that these use."""
        attributes = f'"target-features"="{isa.features}" "prefer-vector-width"="512"' + (
            f' "target-cpu"="{isa.cpu}"' if isa.cpu else ""
        )
        kernels = [text.replace("@(", f"@{name}(", 1) for name, text in self.kernels.items()]
        split = {launch.kernel: launch for launch in self.launches if launch.units != 0}
        parts = [self._part(launch) for launch in split.values()]
        own = [self._workspace(), self._own(), *parts, *team.functions(isa), self._run(isa)]
        declarations = sorted({*self.declarations, *declared, *(d for f in own for d in f.declarations.values())})
        return "\n".join(
            (
                *declarations,
                *kernels,
                futex.definition(isa),
                *(f.finish() for f in own),
                *more,
                f"attributes #0 = {{ nounwind {attributes} }}",
            )
        )

    def offset(self, buffer: Buffer, dims: Mapping[str, int]) -> int:
        """Where a constant or a part of the workspace begins, in bytes, for these numbers of the symbols."""
        return buffer.offset if buffer.space == "weights" else self._extents(dims)[buffer][0]

    def workspace_bytes(self, dims: Mapping[str, int]) -> int:
        """What a run needs for these numbers of the symbols."""
        return max((end for _, end in self._extents(dims).values()), default=ALIGNMENT) + self.clock_bytes

    @property
    def clock_bytes(self) -> int:
        """What the counts take at the end of the workspace."""
        return aligned(8 * (len(self.launches) + 1)) if self.timed else 0

    def _extents(self, dims: Mapping[str, int]) -> dict[Buffer, tuple[int, int]]:
        """Where each part of the workspace begins and ends, in bytes."""
        extents: dict[Buffer, tuple[int, int]] = {}
        for entry in self.placed:
            start = max((extents[below][1] for below in entry.above), default=0)
            size = evaluate(entry.buffer.size, dims) * entry.buffer.scalar.dtype.itemsize
            extents[entry.buffer] = start, start + aligned(size + SLACK)
        return extents

    def _workspace(self) -> Function:
        f = Function(WORKSPACE, {"dims": "ptr"}, result="i64")
        ends = [end for _, end in self._places(f).values()]
        total = f.const(ALIGNMENT, "i64")
        for end in ends:
            total = f.intrinsic("smax", total, end)
        f.ret(total + self.clock_bytes)
        return f

    def _places(self, f: Function) -> dict[Buffer, tuple[Lane, Lane]]:
        """Where each part of the workspace begins and ends, in bytes."""
        symbols = self._symbols(f)
        places: dict[Buffer, tuple[Lane, Lane]] = {}
        for entry in self.placed:
            start = f.const(0, "i64")
            for below in entry.above:
                start = _larger(f, start, places[below][1])
            places[entry.buffer] = start, start + _extent(f, entry.buffer, symbols)
        return places

    def _own(self) -> Function:
        f = Function(OWN, {"dims": "ptr"}, result="i64")
        symbols = self._symbols(f)
        total = f.const(0, "i64")
        for launch in self.launches:
            total = _larger(f, total, _own_places(f, launch, symbols)[1])
        f.ret(total)
        return f

    def _part(self, launch: Launch) -> Function:
        f = Function(
            f"irc.part.{launch.kernel}", {"args": "ptr", "first": "i64", "last": "i64", "worker": "i64"}, "i32"
        )
        count = len(self.symbols)
        arguments = [f["first"], f["last"], *(f.load(f.at(f["args"], i, 8), "i64") for i in range(count))]
        pointers = [f.load(f.at(f["args"], count + i, 8), "ptr") for i in range(len(launch.views))]
        if any(view.buffer.own for view in launch.views):
            away = f.load(f.at(f["args"], count + len(pointers), 8), "i64") * f["worker"]
            pointers = [f.at(p, away) if v.buffer.own else p for p, v in zip(pointers, launch.views, strict=True)]
        f.ret(_call(f, launch.kernel, [*arguments, *pointers]))
        return f

    def _symbols(self, f: Function) -> dict[str, Lane]:
        return {name: f.load(f.at(f["dims"], place, 8), "i64") for place, name in enumerate(self.symbols)}

    def _run(self, isa: Isa) -> Function:
        parameters = dict.fromkeys(ARGUMENTS, "ptr")
        f = Function(LAUNCH, parameters, result="i32", alone=False)
        most = max((len(launch.views) for launch in self.launches), default=0)
        table = f.emit("ptr", 1, f"alloca [{len(self.symbols) + most + 1} x i64], align 8")
        symbols = self._symbols(f)
        places = self._places(f)
        self._note_time(f, isa, 0)
        for number, launch in enumerate(self.launches, 1):
            pointers = [self._address(f, view, places, symbols) for view in launch.views]
            if launch.units == 0:
                status = _call(f, launch.kernel, [*symbols.values(), *pointers])
            else:
                status = self._share(f, isa, launch, symbols, pointers, table)
            with f.when(status.compare("ne", 0)):
                f.ret(status)
            self._note_time(f, isa, number)
        f.ret(f.const(0, "i32"))
        return f

    def _share(
        self, f: Function, isa: Isa, launch: Launch, symbols: Mapping[str, Lane], pointers: Sequence[Lane], table: Lane
    ) -> Lane:
        """Call a kernel that can be split, by as many threads as there are and as its work is worth."""
        own, _ = _own_places(f, launch, symbols)
        arguments: list[Lane] = [*symbols.values()]
        for view, pointer in zip(launch.views, pointers, strict=True):
            if view.buffer.own:
                shared = f["team"].compare("ne", Lane(f, "null", "ptr"))
                pointer = f.select(shared, f.at(f.at(f["team"], team.HEADER), own[view.buffer]), pointer)
            arguments.append(pointer)
        if own:
            arguments.append(f.emit("i64", 1, f"call i64 @{OWN}(ptr %dims)"))
        for place, argument in enumerate(arguments):
            f.store(argument, f.at(table, place, 8))
        code = Lane(f, f"@irc.part.{launch.kernel}", "ptr")
        units, most = (emit_dim(f, d, symbols.__getitem__) for d in (launch.units, floordiv(launch.work, grain(isa))))
        return _call(f, team.SHARE, [f["team"], code, table, units, most])

    def _note_time(self, f: Function, isa: Isa, number: int) -> None:
        if not self.timed:
            return
        end = f.emit("i64", 1, f"call i64 @{WORKSPACE}(ptr %dims)")
        f.store(team.clock(f, isa), f.at(f.at(f["workspace"], end), number * 8 - self.clock_bytes))

    def _address(
        self,
        f: Function,
        view: View,
        places: Mapping[Buffer, tuple[Lane, Lane]],
        symbols: Mapping[str, Lane],
    ) -> Lane:
        buffer = view.buffer
        if buffer.space == "workspace":
            base = f.at(f["workspace"], places[buffer][0])
        elif buffer.space == "weights":
            base = f.at(f["weights"], buffer.offset)
        else:
            base = f.load(f.at(f[f"{buffer.space}s"], buffer.index, 8), "ptr")
        return f.at(base, emit_dim(f, mul(view.offset, view.size_bytes), symbols.__getitem__))


def _call(f: Function, name: str, arguments: Sequence[Lane]) -> Lane:
    """The status of a function of ours."""
    return f.emit("i32", 1, f"call i32 @{name}({', '.join(a.typed for a in arguments)})")


def _own_places(f: Function, launch: Launch, symbols: Mapping[str, Lane]) -> tuple[dict[Buffer, Lane], Lane]:
    """Where the parts lie that each worker has of its own in a launch, and how many bytes they take."""
    places: dict[Buffer, Lane] = {}
    end = f.const(0, "i64")
    for buffer in dict.fromkeys(view.buffer for view in launch.views):
        if buffer.own and launch.units != 0:
            places[buffer] = end
            end = end + _extent(f, buffer, symbols)
    return places, end


def _extent(f: Function, buffer: Buffer, symbols: Mapping[str, Lane]) -> Lane:
    """Bytes that a part of the workspace takes, a multiple of the alignment."""
    size = add(mul(buffer.size, buffer.scalar.dtype.itemsize), SLACK + ALIGNMENT - 1)
    return _rounded(f, emit_dim(f, size, symbols.__getitem__))


def _larger(f: Function, a: Lane, b: Lane) -> Lane:
    if a.text.isdecimal() and b.text.isdecimal():
        return a if int(a.text) >= int(b.text) else b
    return f.intrinsic("smax", a, b)


def _rounded(f: Function, size: Lane) -> Lane:
    """Down to a multiple of the alignment."""
    if size.text.isdecimal():
        return f.const(int(size.text) // ALIGNMENT * ALIGNMENT, "i64")
    return size & -ALIGNMENT
