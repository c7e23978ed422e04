"""A kernel under construction: a function over views, with the symbols of the graph as arguments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from irc.backends.cpu_simd.codegen.lanes import Function, Lane
from irc.backends.cpu_simd.isa import Isa
from irc.backends.cpu_simd.views import View
from irc.ir.dims import Call, Dim, Shape, equal, mul
from irc.ir.scalars import ScalarType


def register(scalar: ScalarType) -> str:
    """The LLVM type in which a value is computed; half floats are computed as f32 and rounded after every op."""
    if scalar.kind == "bool":
        return "i1"
    if scalar.is_float:
        return "double" if scalar.bits == 64 else "float"
    return "i32" if scalar.bits < 32 or scalar == ScalarType("i", 32) else "i64"


def memory(scalar: ScalarType) -> str:
    """The LLVM type of an element in memory, as NumPy has it."""
    if scalar.is_float:
        return {2: "half", 4: "float", 8: "double"}[scalar.dtype.itemsize]
    return f"i{scalar.dtype.itemsize * 8}"


def in_bytes(scalar: ScalarType) -> str:
    """As `register`, but codes of 8 bits stay as wide as they are."""
    return "i8" if scalar.is_integer and scalar.dtype.itemsize == 1 else register(scalar)


LINE_BYTES = 64
"""A cache line."""

CACHE_BYTES = 2**18
"""What stays in the second-level cache of any machine, beside other things."""

Count: TypeAlias = int | Lane
"""A number, or an i64."""


@dataclass(eq=False)
class Kernel:
    """The function, and what its pointer arguments point to: the first element of each view.

    `register` says in which LLVM type an element is computed: `register`, `in_bytes`, or `memory` to only move it.
    If the kernel `splits`, a call runs some of its `units` (see `parts.py`).
    """

    isa: Isa
    symbols: Sequence[str]
    register: Callable[[ScalarType], str] = register
    splits: bool = False
    units: Dim = 0
    f: Function = field(init=False)
    views: list[View] = field(default_factory=list[View])
    _dims: dict[Dim, Lane] = field(default_factory=dict[Dim, Lane])

    def __post_init__(self) -> None:
        self.f = Function("", {f"dim_{name}": "i64" for name in self.symbols}, result="i32")

    def pointer(self, view: View) -> Lane:
        """The address of the first element of a view."""
        for place, known in enumerate(self.views):
            if known.buffer is view.buffer and known.offset == view.offset:
                return self.f[_parameter(known, place)]
        self.views.append(view)
        name = _parameter(view, len(self.views) - 1)
        self.f.parameters = {**self.f.parameters, name: "ptr"}
        return self.f[name]

    def bounds(self) -> tuple[Lane, Lane]:
        """The first unit that a call runs, and the first that it does not."""
        self.f.parameters = {"first": "i64", "last": "i64", **self.f.parameters}
        return self.f["first"], self.f["last"]

    def dim(self, d: Dim) -> Count:
        """A dimension: a number, or an i64 computed from the symbols in front of everything else."""
        if isinstance(d, int):
            return d
        if d not in self._dims:
            with self.f.in_front():
                self._dims[d] = emit_dim(self.f, d, lambda name: self.f[f"dim_{name}"])
        return self._dims[d]

    # -- elements

    def load(self, view: View, at: Lane, lanes: int = 1, *, raw: bool = False) -> Lane:
        """Consecutive elements at an address, as registers; `raw`: as they lie in memory."""
        found = self.f.load(at, memory(view.scalar), lanes)
        return found if raw else self.computed(found, view)

    def computed(self, raw: Lane, view: View) -> Lane:
        """What lies in a view, in the type in which it is computed."""
        value = self.as_register(raw, view.scalar)
        return value - self._shift(view) if self._shift(view) else value

    def to_memory(self, view: View, value: Lane) -> Lane:
        """What was computed, as it lies in a view."""
        return self.as_memory(self.shifted(view, value), view.scalar)

    def shifted(self, view: View, value: Lane) -> Lane:
        """What was computed, with what a view adds to codes in memory."""
        shift = self._shift(view)
        if not shift:
            return value
        return value + shift if value.before is None else value.before.plus(shift)

    def _shift(self, view: View) -> int:
        """What is added to codes in memory; nothing to those that are only moved."""
        return 0 if self.register is memory else view.buffer.shift

    def as_register(self, raw: Lane, scalar: ScalarType) -> Lane:
        """What was read from memory, in the type in which it is computed."""
        kind = self.register(scalar)
        if scalar.kind == "bool" and kind == "i1":
            return raw.compare("ne", 0)
        if scalar.is_float:
            return self.f.convert("fpext", raw, kind)
        return self.f.convert("sext" if scalar.signed else "zext", raw, kind)

    def as_memory(self, value: Lane, scalar: ScalarType) -> Lane:
        """What was computed, as it lies in memory."""
        if scalar.kind == "bool":
            return self.f.convert("zext", value, "i8")
        kind = memory(scalar)
        if value.before is not None and value.before.fits_words and kind == "i16":
            return value.before.words()
        return self.f.convert("fptrunc" if scalar.is_float else "trunc", value, kind)

    def store(self, value: Lane, view: View, at: Lane) -> None:
        self.f.store(self.to_memory(view, value), at)

    def load_strided(self, view: View, at: Lane, stride: Dim, lanes: int, *, raw: bool = False) -> Lane:
        """Elements `stride` apart: one of them in every lane for 0, else one by one unless they are neighbours."""
        if lanes == 1:
            return self.load(view, at, raw=raw)
        if equal(stride, 0) is True:
            return self.f.splat(self.load(view, at, raw=raw), lanes)
        if equal(stride, 1) is True:
            return self.load(view, at, lanes, raw=raw)
        items = [self.load(view, self.step(view, at, stride, place), raw=raw) for place in range(lanes)]
        return self.f.gathered(items)

    def load_part(
        self, view: View, at: Lane, stride: Dim, first: int, lanes: int, count: Count, *, raw: bool = False
    ) -> Lane:
        """Elements from `first` on, `stride` apart, of which there are `count` in all behind `at`; `raw` as in `load`.

        What lanes behind the last one hold does not matter: they are read where memory is ours.
        """
        ours = view.buffer.space in ("workspace", "weights") and stride in (0, 1)
        if ours or (isinstance(count, int) and count >= first + lanes):
            return self.load_strided(view, self.step(view, at, stride, first), stride, lanes, raw=raw)
        if isinstance(count, int):
            items = [self.load(view, self.step(view, at, stride, first + i), raw=raw) for i in range(count - first)]
            return self.f.gathered([*items, *[self.f.const(0, items[0].kind)] * (lanes - len(items))])
        last = count - 1
        places = [self.f.intrinsic("smin", self.f.const(first + i, "i64"), last) for i in range(lanes)]
        return self.f.gathered([self.load(view, self.step(view, at, stride, place), raw=raw) for place in places])

    def store_part(self, value: Lane, view: View, at: Lane, stride: Dim, first: int, count: Count) -> None:
        """Store lanes from element `first` on, `stride` apart, as far as there are `count` in all behind `at`."""
        if isinstance(count, int):
            done = 0
            while done < (left := min(value.lanes, count - first)):
                width = 1 << ((left - done).bit_length() - 1)
                part = value if width == value.lanes else self.f.sliced(value, done, width)
                self.store_strided(part, view, self.step(view, at, stride, first + done), stride)
                done += width
            return
        for place in range(value.lanes):
            with self.f.when(count.compare("sgt", first + place)):
                self.store(self.f.extract(value, place), view, self.step(view, at, stride, first + place))

    def load_masked(self, view: View, at: Lane, stride: Dim, lanes: int, mask: Lane | None) -> Lane:
        """As `load_strided`; where the mask does not hold, nothing is read and the lane is open."""
        if mask is None or equal(stride, 0) is True:
            return self.load_strided(view, at, stride, lanes)
        kind = memory(view.scalar)
        if equal(stride, 1) is True:
            raw = self.f.masked_load(at, mask, self.f.const(0, kind, lanes))
        else:
            raw = self.f.masked_gather(self._each(view, at, stride, lanes), mask, self.f.const(0, kind, lanes))
        return self.computed(raw, view)

    def store_masked(self, value: Lane, view: View, at: Lane, stride: Dim, mask: Lane | None) -> None:
        """As `store_strided`, where the mask holds."""
        if mask is None:
            self.store_strided(value, view, at, stride)
            return
        raw = self.to_memory(view, value)
        if equal(stride, 1) is True:
            self.f.masked_store(raw, at, mask)
        else:
            self.f.masked_scatter(raw, self._each(view, at, stride, value.lanes), mask)

    def _each(self, view: View, at: Lane, stride: Dim, lanes: int) -> Lane:
        """The addresses of elements `stride` apart."""
        return self.f.at_each(at, self.f.vector(range(lanes), "i64") * self.dim(stride), view.size_bytes)

    def store_strided(self, value: Lane, view: View, at: Lane, stride: Dim) -> None:
        if value.lanes == 1 or equal(stride, 1) is True:
            self.store(value, view, at)
            return
        for place in range(value.lanes):
            self.store(self.f.extract(value, place), view, self.step(view, at, stride, place))

    def step(self, view: View, at: Lane, stride: Dim, count: Lane | int) -> Lane:
        """The address `count` strides further."""
        if isinstance(count, int):
            count = self.f.const(count, "i64")
        by = self.dim(stride)
        return self.f.at(at, count * by, view.size_bytes)


OWN = "own"
"""How the names of pointers begin that lead to other memory for each thread."""


def _parameter(view: View, place: int) -> str:
    return f"{OWN if view.buffer.own else 'p'}{place}"


def emit_dim(f: Function, d: Dim, symbol: Callable[[str], Lane]) -> Lane:
    """The value of a dimension, given those of its symbols."""
    if isinstance(d, int):
        return f.const(d, "i64")
    total = f.const(0, "i64")
    for mono, factor in d.terms:
        term = f.const(factor, "i64")
        for atom, power in mono:
            value = symbol(atom) if isinstance(atom, str) else _emit_call(f, atom, symbol)
            for _ in range(power):
                term = term * value
        total = total + term
    return total


def _emit_call(f: Function, call: Call, symbol: Callable[[str], Lane]) -> Lane:
    a, b = (emit_dim(f, arg, symbol) for arg in call.args)
    if call.fn in ("min", "max"):
        return f.intrinsic(f"s{call.fn}", a, b)
    # floor division by a positive number: round towards zero, then correct
    quotient, rest = f.binary("sdiv", a, b), f.binary("srem", a, b)
    negative = f.convert("sext", rest.compare("slt", 0), "i64")
    return quotient + negative if call.fn == "floordiv" else rest + (negative & b)


@dataclass(frozen=True)
class Axis:
    """A loop: how many rounds, and how far each of several views moves in one."""

    size: Dim
    strides: tuple[Dim, ...]


def merged(axes: Sequence[Axis]) -> list[Axis]:
    """The same loops, as few as possible: an axis joins the one above it where every view is evenly spaced."""
    found: list[Axis] = []
    for axis in axes:
        above = found[-1] if found else None
        if above is not None and all(
            equal(outer, mul(inner, axis.size)) is True
            for outer, inner in zip(above.strides, axis.strides, strict=True)
        ):
            found[-1] = replace(axis, size=mul(above.size, axis.size))
        else:
            found.append(axis)
    return found


def axes_of(shape: Shape, views: Sequence[View]) -> list[Axis]:
    """The loops over a shape that views have in common, outermost first, as few as their strides allow.

    The first view decides the order: its smallest stride is innermost.
    """
    axes = [
        Axis(size, tuple(v.strides[i] for v in views)) for i, size in enumerate(shape) if equal(size, 1) is not True
    ]
    return merged([axes[i] for i in outermost_first(axes)])


def outermost_first(axes: Sequence[Axis]) -> list[int]:
    """The places of axes in the order of the strides of their first view, the largest first."""
    return sorted(range(len(axes)), key=lambda i: _distance(axes[i].strides[0]), reverse=True)


def _distance(stride: Dim) -> tuple[int, int]:
    """Symbolic strides are larger than numbers."""
    return (0, stride) if isinstance(stride, int) else (1, sum(c for _, c in stride.terms))
