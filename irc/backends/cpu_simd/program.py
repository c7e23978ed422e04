"""A lowered graph as one LLVM module: kernels, and functions that run them in order.

    i64 irc.workspace(i64* dims)                                         bytes that a run needs for these sizes
    i32 irc.launch(i8** inputs, i8** outputs, i64* dims, i8* weights, i8* workspace)    0, or what went wrong

They believe what they are given; `exports.py` puts functions in front of them that do not. `dims` are the numbers of
the symbols in the order of their declaration. `weights` and `workspace` are aligned to 64 bytes. Nothing is allocated
and nothing is kept between runs, so runs with workspaces of their own may go on at once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from irc.backends.cpu_simd.codegen.lanes import Function, Lane
from irc.backends.cpu_simd.isa import Isa
from irc.backends.cpu_simd.kernel import emit_dim
from irc.backends.cpu_simd.lowering import Launch
from irc.backends.cpu_simd.plan import ALIGNMENT, SLACK, Placed, aligned
from irc.backends.cpu_simd.views import Buffer, View
from irc.ir.dims import Symbol, add, evaluate, mul

LAUNCH, WORKSPACE = "irc.launch", "irc.workspace"

ARGUMENTS: tuple[str, ...] = ("inputs", "outputs", "dims", "weights", "workspace")


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
        own = [self._workspace(), self._run(isa)]
        declarations = sorted({*self.declarations, *declared, *(d for f in own for d in f.declarations.values())})
        return "\n".join(
            (
                *declarations,
                *kernels,
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
            size = emit_dim(
                f,
                add(mul(entry.buffer.size, entry.buffer.scalar.dtype.itemsize), SLACK + ALIGNMENT - 1),
                symbols.__getitem__,
            )
            places[entry.buffer] = start, start + _rounded(f, size)
        return places

    def _symbols(self, f: Function) -> dict[str, Lane]:
        return {name: f.load(f.at(f["dims"], place, 8), "i64") for place, name in enumerate(self.symbols)}

    def _run(self, isa: Isa) -> Function:
        parameters = dict.fromkeys(ARGUMENTS, "ptr")
        f = Function(LAUNCH, parameters, result="i32")
        symbols = self._symbols(f)
        places = self._places(f)
        self._note_time(f, isa, 0)
        for number, launch in enumerate(self.launches, 1):
            pointers = [self._address(f, view, places, symbols) for view in launch.views]
            arguments = ", ".join((*(s.typed for s in symbols.values()), *(p.typed for p in pointers)))
            status = f.emit("i32", 1, f"call i32 @{launch.kernel}({arguments})")
            with f.when(status.compare("ne", 0)):
                f.ret(status)
            self._note_time(f, isa, number)
        f.ret(f.const(0, "i32"))
        return f

    def _note_time(self, f: Function, isa: Isa, number: int) -> None:
        if not self.timed:
            return
        end = f.emit("i64", 1, f"call i64 @{WORKSPACE}(ptr %dims)")
        # A program may read the cycles of an x86 CPU, of others only a clock that runs steadily.
        count = f.call(f"llvm.read{'cycle' if isa.is_x86 else 'steady'}counter", "i64", 1)
        f.store(count, f.at(f.at(f["workspace"], end), number * 8 - self.clock_bytes))

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


def _larger(f: Function, a: Lane, b: Lane) -> Lane:
    if a.text.isdecimal() and b.text.isdecimal():
        return a if int(a.text) >= int(b.text) else b
    return f.intrinsic("smax", a, b)


def _rounded(f: Function, size: Lane) -> Lane:
    """Down to a multiple of the alignment."""
    if size.text.isdecimal():
        return f.const(int(size.text) // ALIGNMENT * ALIGNMENT, "i64")
    return size & -ALIGNMENT
