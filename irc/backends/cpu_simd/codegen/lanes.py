"""Typed vectors: a small builder of LLVM functions, in which a generator reads like the loop it makes.

    f = Function("scale", {"x": "ptr", "y": "ptr", "n": "i64"})
    with f.loop(0, f["n"], 8) as loop:
        x = f.load(f.at(f["x"], loop.index, 4), "float", 8)
        f.store(x * 2.0, f.at(f["y"], loop.index, 4))
    text = f.finish()

A `Lane` is an SSA value of one or several equal lanes; Python operators and numbers work on it as in C, lane by lane.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeAlias

BITS = {"i1": 1, "i8": 8, "i16": 16, "i32": 32, "i64": 64, "i128": 128, "half": 16, "float": 32, "double": 64}
FLOATS = ("half", "float", "double")


@dataclass(frozen=True, slots=True, eq=False)
class Lane:
    """An SSA value or a constant: `lanes` elements of one LLVM type (`i32`, `float`, `ptr`, ...)."""

    f: Function
    text: str
    kind: str
    lanes: int = 1
    before: Saturated | None = None

    @property
    def type(self) -> str:
        return type_text(self.kind, self.lanes)

    @property
    def typed(self) -> str:
        return f"{self.type} {self.text}"

    @property
    def is_float(self) -> bool:
        return self.kind in FLOATS

    def __add__(self, other: Operand) -> Lane:
        return self.f.binary("fadd" if self.is_float else "add", self, other)

    def __sub__(self, other: Operand) -> Lane:
        return self.f.binary("fsub" if self.is_float else "sub", self, other)

    def __mul__(self, other: Operand) -> Lane:
        return self.f.binary("fmul" if self.is_float else "mul", self, other)

    def __truediv__(self, other: Operand) -> Lane:
        return self.f.binary("fdiv", self, other)

    def __and__(self, other: Operand) -> Lane:
        return self.f.binary("and", self, other)

    def __or__(self, other: Operand) -> Lane:
        return self.f.binary("or", self, other)

    def __xor__(self, other: Operand) -> Lane:
        return self.f.binary("xor", self, other)

    def __lshift__(self, other: Operand) -> Lane:
        return self.f.binary("shl", self, other)

    def __rshift__(self, other: Operand) -> Lane:
        """An arithmetic shift; `Function.lshr` is the logical one."""
        return self.f.binary("ashr", self, other)

    def compare(self, how: str, other: Operand) -> Lane:
        """`how` as LLVM says: eq, slt, ult, ... on integers, oeq, ogt, uno, ... on floats."""
        return self.f.compare(how, self, other)


Operand: TypeAlias = Lane | int | float


def type_text(kind: str, lanes: int) -> str:
    return kind if lanes == 1 else f"<{lanes} x {kind}>"


def float_text(value: float, kind: str) -> str:
    """A float constant as the bits of a double, which is how LLVM writes all but half."""
    if kind == "float":
        value = struct.unpack("<f", struct.pack("<f", value))[0]
    if kind == "half":
        return f"0xH{struct.unpack('<H', struct.pack('<e', value))[0]:04X}"
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


def bytes_text(content: bytes) -> str:
    """A constant of bytes, with its type."""
    escaped = "".join(f"\\{byte:02X}" for byte in content)
    return f'[{len(content)} x i8] c"{escaped}"'


WORD = (-(2**15), 2**15 - 1)
"""The ends of 16 bits with a sign."""


@dataclass(frozen=True, slots=True, eq=False)
class Saturated:
    """What a value was before it was clamped: `clamp(value + number, low, high)`, far from the ends of its type.

    Who narrows the value can take this one, and leave the clamp to instructions that saturate.
    """

    value: Lane
    low: int
    high: int
    number: int = 0

    @property
    def limits(self) -> tuple[int, int]:
        return self.low, self.high

    @property
    def how(self) -> tuple[int, int, int]:
        """What was done to the value."""
        return self.low, self.high, self.number

    @property
    def fits_words(self) -> bool:
        """Whether numbers of 16 bits with a sign hold the clamped value, with the number and without."""
        low, high = min(self.low, self.low - self.number), max(self.high, self.high - self.number)
        return WORD[0] <= low and high <= WORD[1]

    def plus(self, number: int) -> Lane:
        """The clamped value plus a small number."""
        return self.value.f.saturated(self.value, self.low + number, self.high + number, self.number + number)

    def words(self) -> Lane:
        """The clamped value in 16 bits, which it must fit."""
        f = self.value.f
        return self.narrow(f.convert("trunc", f.clamp(self.value, *WORD), "i16"))

    def narrow(self, words: Lane, limits: tuple[int, int] = WORD) -> Lane:
        """The clamp of the value that was narrowed to `words` with saturation; nothing where who takes it saturates to
        these `limits`."""
        if self.number:
            words = words.f.intrinsic("sadd.sat", words, words.f.const(self.number, "i16", words.lanes))
        return words if self.limits in (WORD, limits) else words.f.clamp(words, *self.limits)


@dataclass(eq=False)
class Loop:
    """A loop under construction: its index, the values it carries, and those it ends with."""

    index: Lane
    carried: tuple[Lane, ...]
    results: tuple[Lane, ...] = ()
    following: tuple[Lane, ...] | None = None

    def next(self, *values: Lane) -> None:
        """What the carried values are in the next round."""
        self.following = values


@dataclass(eq=False)
class Function:
    """A function under construction. `parameters` are LLVM types by name; nothing but the function uses what pointers
    lead to while it runs, if it is `alone`."""

    name: str
    parameters: Mapping[str, str]
    result: str = "void"
    alone: bool = field(default=True, kw_only=True)
    declarations: dict[str, str] = field(default_factory=dict[str, str])
    lines: list[str] = field(default_factory=list[str])
    prologue: list[str] = field(default_factory=list[str])
    count: int = 0
    block: str = "entry"

    def __getitem__(self, name: str) -> Lane:
        """A parameter."""
        return Lane(self, f"%{name}", self.parameters[name])

    # -- instructions

    def emit(self, kind: str, lanes: int, text: str) -> Lane:
        """An instruction with a result."""
        self.count += 1
        name = f"%v{self.count}"
        self.lines.append(f"  {name} = {text}")
        return Lane(self, name, kind, lanes)

    def do(self, text: str) -> None:
        """An instruction without one."""
        self.lines.append(f"  {text}")

    def const(self, value: float, kind: str, lanes: int = 1) -> Lane:
        text = float_text(float(value), kind) if kind in FLOATS else str(int(value))
        return Lane(self, text if lanes == 1 else f"splat ({kind} {text})", kind, lanes)

    def vector(self, values: Sequence[float], kind: str) -> Lane:
        """A constant with different lanes."""
        items = (float_text(float(v), kind) if kind in FLOATS else str(int(v)) for v in values)
        return Lane(self, "<" + ", ".join(f"{kind} {item}" for item in items) + ">", kind, len(values))

    def like(self, value: Operand, other: Lane) -> Lane:
        """A number as a constant of the type of `other`; a lane as it is, spread over the lanes of `other`."""
        if not isinstance(value, Lane):
            return self.const(value, other.kind, other.lanes)
        return self.splat(value, other.lanes) if value.lanes == 1 else value

    def binary(self, opcode: str, a: Lane, b: Operand) -> Lane:
        if isinstance(b, Lane) and a.lanes == 1 < b.lanes:
            a = self.splat(a, b.lanes)
        b = self.like(b, a)
        if folded := _folded(opcode, a, b):
            return folded
        return self.emit(a.kind, a.lanes, f"{opcode} {a.typed}, {b.text}")

    def lshr(self, a: Lane, by: Operand) -> Lane:
        return self.binary("lshr", a, by)

    def neg(self, a: Lane) -> Lane:
        return self.emit(a.kind, a.lanes, f"fneg {a.typed}") if a.is_float else self.const(0, a.kind, a.lanes) - a

    def compare(self, how: str, a: Lane, b: Operand) -> Lane:
        opcode = "fcmp" if a.is_float else "icmp"
        return self.emit("i1", a.lanes, f"{opcode} {how} {a.typed}, {self.like(b, a).text}")

    def select(self, condition: Lane, a: Lane, b: Lane) -> Lane:
        condition = self.splat(condition, a.lanes) if condition.lanes == 1 else condition
        return self.emit(a.kind, a.lanes, f"select {condition.typed}, {a.typed}, {self.like(b, a).typed}")

    def convert(self, opcode: str, a: Lane, kind: str) -> Lane:
        """sext, zext, trunc, sitofp, uitofp, fptosi, fpext or fptrunc; nothing where the type is that already."""
        return a if a.kind == kind else self.emit(kind, a.lanes, f"{opcode} {a.typed} to {type_text(kind, a.lanes)}")

    def bitcast(self, a: Lane, kind: str, lanes: int) -> Lane:
        """The same bits as other lanes."""
        return self.emit(kind, lanes, f"bitcast {a.typed} to {type_text(kind, lanes)}")

    def call(
        self, name: str, kind: str, lanes: int, *args: Lane, suffix: str = "", immediate: Sequence[str] = ()
    ) -> Lane:
        """A call of an intrinsic that gives a value; `immediate` are typed constants behind the operands."""
        self.declare(name, type_text(kind, lanes), [*(a.type for a in args), *(i.split()[0] for i in immediate)])
        given = ", ".join([*(a.typed for a in args), *immediate])
        return self.emit(kind, lanes, f"call {type_text(kind, lanes)} @{name}({given}){suffix}")

    def declare(self, name: str, result: str, arguments: Iterable[str]) -> None:
        self.declarations[name] = f"declare {result} @{name}({', '.join(arguments)})"

    def intrinsic(self, name: str, *args: Lane) -> Lane:
        """An overloaded `llvm.` intrinsic of operands of one type: fma, rint, smin, maxnum, ctlz, ..."""
        first = args[0]
        return self.call(f"llvm.{name}.{mangled(first)}", first.kind, first.lanes, *(self.like(a, first) for a in args))

    def smin(self, a: Lane, b: Operand) -> Lane:
        return self.intrinsic("smin", a, self.like(b, a))

    def smax(self, a: Lane, b: Operand) -> Lane:
        return self.intrinsic("smax", a, self.like(b, a))

    def clamp(self, a: Lane, low: int, high: int) -> Lane:
        return self.smin(self.smax(a, low), high)

    def saturated(self, a: Lane, low: int, high: int, number: int = 0) -> Lane:
        """`clamp(a + number, low, high)` of integers that are far from the ends of their type (see `Saturated`)."""
        moved = a + number if number else a
        return replace(self.clamp(moved, low, high), before=Saturated(a, low, high, number))

    def fma(self, a: Lane, b: Operand, c: Operand) -> Lane:
        return self.intrinsic("fma", a, self.like(b, a), self.like(c, a))

    def fence(self) -> None:
        """What is read behind this is read again: it need not stay in registers. No instruction."""
        self.do('fence syncscope("singlethread") acq_rel')

    # -- lanes

    def splat(self, a: Lane, lanes: int) -> Lane:
        """A scalar in every lane."""
        if a.lanes == lanes:
            return a
        if not a.text.startswith("%"):
            return Lane(self, f"splat ({a.kind} {a.text})", a.kind, lanes)
        one = self.emit(a.kind, lanes, f"insertelement {type_text(a.kind, lanes)} poison, {a.typed}, i64 0")
        return self.shuffle(one, one, [0] * lanes)

    def shuffle(self, a: Lane, b: Lane, places: Sequence[int]) -> Lane:
        """Lanes of a followed by those of b, by place."""
        mask = f"<{len(places)} x i32> <{', '.join(f'i32 {p}' for p in places)}>"
        return self.emit(a.kind, len(places), f"shufflevector {a.typed}, {b.typed}, {mask}")

    def joined(self, a: Lane, b: Lane) -> Lane:
        """Lanes of a followed by those of b."""
        if a.before and b.before and a.before.how == b.before.how:
            return self.saturated(self.joined(a.before.value, b.before.value), *a.before.how)
        return self.shuffle(a, b, range(a.lanes + b.lanes))

    def sliced(self, a: Lane, first: int, lanes: int) -> Lane:
        """So many lanes from one on."""
        return self.extract(a, first) if lanes == 1 else self.shuffle(a, a, range(first, first + lanes))

    def extract(self, a: Lane, place: int) -> Lane:
        return a if a.lanes == 1 else self.emit(a.kind, 1, f"extractelement {a.typed}, i64 {place}")

    def insert(self, a: Lane, value: Lane, place: int) -> Lane:
        return self.emit(a.kind, a.lanes, f"insertelement {a.typed}, {value.typed}, i64 {place}")

    def gathered(self, items: Sequence[Lane]) -> Lane:
        """Scalars as the lanes of a vector."""
        if len(items) == 1:
            return items[0]
        out = Lane(self, "poison", items[0].kind, len(items))
        for place, item in enumerate(items):
            out = self.insert(out, item, place)
        return out

    def reduce(self, how: Callable[[Lane, Lane], Lane], a: Lane) -> Lane:
        """All lanes combined, halves first: the order in which floats are summed."""
        while a.lanes > 1:
            half = a.lanes // 2
            low, high = self.shuffle(a, a, range(half)), self.shuffle(a, a, range(half, a.lanes))
            a = how(self._scalar(low), self._scalar(high))
        return a

    def _scalar(self, a: Lane) -> Lane:
        return a if a.lanes > 1 else self.emit(a.kind, 1, f"extractelement <1 x {a.kind}> {a.text}, i64 0")

    # -- memory

    def at(self, pointer: Lane, index: Lane | int, size: int = 1) -> Lane:
        """The pointer behind `index` elements of `size` bytes."""
        if isinstance(index, int):
            return (
                pointer if index == 0 else self.emit("ptr", 1, f"getelementptr i8, {pointer.typed}, i64 {index * size}")
            )
        return self.emit("ptr", 1, f"getelementptr i8, {pointer.typed}, i64 {(index * size).text}")

    def load(self, pointer: Lane, kind: str, lanes: int = 1, *, align: int = 0) -> Lane:
        size = f", align {align or max(1, BITS.get(kind, 64) // 8)}"
        return self.emit(kind, lanes, f"load {type_text(kind, lanes)}, {pointer.typed}{size}")

    def store(self, a: Lane, pointer: Lane, *, align: int = 0) -> None:
        self.do(f"store {a.typed}, {pointer.typed}, align {align or max(1, BITS.get(a.kind, 64) // 8)}")

    def at_each(self, pointer: Lane, places: Lane, size: int) -> Lane:
        """The pointers behind so many elements of `size` bytes, one a lane."""
        return self.emit("ptr", places.lanes, f"getelementptr i8, {pointer.typed}, {(places * size).typed}")

    def masked_load(self, pointer: Lane, mask: Lane, other: Lane) -> Lane:
        """Neighbouring elements where the mask holds, the lanes of `other` elsewhere."""
        name = f"llvm.masked.load.{mangled(other)}.p0"
        return self.call(name, other.kind, other.lanes, pointer, self._align(other), mask, other)

    def masked_store(self, a: Lane, pointer: Lane, mask: Lane) -> None:
        """Store the lanes where the mask holds.

        One lane by a constant mask is stored alone: where vectors were cut (`trunc`), LLVM 22 stores it for AVX-512 as
        wide as it was before.
        """
        chosen = mask.text.strip("<>").split(", ")
        if chosen.count("i1 1") == 1:
            place = chosen.index("i1 1")
            self.store(self.extract(a, place), self.at(pointer, place, BITS[a.kind] // 8))
            return
        self._do_call(f"llvm.masked.store.{mangled(a)}.p0", a, pointer, self._align(a), mask)

    def masked_gather(self, pointers: Lane, mask: Lane, other: Lane) -> Lane:
        """One element a pointer where the mask holds, the lanes of `other` elsewhere."""
        name = f"llvm.masked.gather.{mangled(other)}.v{other.lanes}p0"
        return self.call(name, other.kind, other.lanes, pointers, self._align(other), mask, other)

    def masked_scatter(self, a: Lane, pointers: Lane, mask: Lane) -> None:
        """Store the lanes where the mask holds, each at its pointer."""
        self._do_call(f"llvm.masked.scatter.{mangled(a)}.v{a.lanes}p0", a, pointers, self._align(a), mask)

    def _align(self, a: Lane) -> Lane:
        return self.const(max(1, BITS[a.kind] // 8), "i32")

    def _do_call(self, name: str, *args: Lane) -> None:
        self.declare(name, "void", [a.type for a in args])
        self.do(f"call void @{name}({', '.join(a.typed for a in args)})")

    def prefetch(self, pointer: Lane, level: int = 2) -> None:
        """Ask for the cache line of a pointer, to be used soon, in the caches from this level on."""
        self.declare("llvm.prefetch.p0", "void", ("ptr", "i32", "i32", "i32"))
        self.do(f"call void @llvm.prefetch.p0({pointer.typed}, i32 0, i32 {4 - level}, i32 1)")

    # -- control

    @contextmanager
    def in_front(self) -> Generator[None]:
        """What is emitted here runs first of all, so that its values are known everywhere; it has no branches."""
        self.lines, self.prologue = self.prologue, self.lines
        yield
        self.lines, self.prologue = self.prologue, self.lines

    def label(self, hint: str) -> str:
        self.count += 1
        return f"{hint}{self.count}"

    def start_block(self, label: str) -> None:
        self.lines.append(f"{label}:")
        self.block = label

    @contextmanager
    def loop(self, start: Operand, stop: Operand, step: int = 1, carried: Sequence[Lane] = ()) -> Generator[Loop]:
        """`for (i64 index = start; index < stop; index += step)`, with values that change from round to round.

        A loop of known length is tested behind its body; one round is no loop.
        """
        if isinstance(start, int) and isinstance(stop, int):
            if start >= stop:
                raise ValueError("a loop without rounds")
            if start + step >= stop:
                loop = Loop(self.const(start, "i64"), tuple(carried))
                yield loop
                loop.results = loop.following if loop.following is not None else loop.carried
                return
        known = isinstance(start, int) and isinstance(stop, int)
        begin, end = (self.like(v, self.const(0, "i64")) for v in (start, stop))
        before, body, exit_ = self.block, self.label("loop"), self.label("done")
        head = body if known else self.label("head")
        self.do(f"br label %{head}")
        self.start_block(head)
        place = len(self.lines)
        index, *phis = (self._phi(v) for v in (begin, *carried))
        if not known:
            self.do(f"br i1 {index.compare('slt', end).text}, label %{body}, label %{exit_}")
            self.start_block(body)
        loop = Loop(index, tuple(phis))
        yield loop
        following = loop.following if loop.following is not None else loop.carried
        stepped = index + step
        latch = self.block
        if known:
            self.do(f"br i1 {stepped.compare('slt', end).text}, label %{body}, label %{exit_}")
        else:
            self.do(f"br label %{head}")
        pairs = zip((index, *phis), (begin, *carried), (stepped, *following), strict=True)
        for offset, (phi, first, later) in enumerate(pairs):
            self.lines[place + offset] = (
                f"  {phi.text} = phi {phi.type} [ {first.text}, %{before} ], [ {later.text}, %{latch} ]"
            )
        self.start_block(exit_)
        loop.results = following if known else tuple(phis)

    def _phi(self, value: Lane) -> Lane:
        return self.emit(value.kind, value.lanes, "phi")

    @contextmanager
    def when(self, condition: Lane) -> Generator[None]:
        """The body runs where a scalar condition holds."""
        then, after = self.label("then"), self.label("after")
        self.do(f"br {condition.typed}, label %{then}, label %{after}")
        self.start_block(then)
        yield
        if not self._returned:
            self.do(f"br label %{after}")
        self.start_block(after)

    def ret(self, value: Lane | None = None) -> None:
        self.do("ret void" if value is None else f"ret {value.typed}")

    @property
    def _returned(self) -> bool:
        return bool(self.lines) and self.lines[-1].startswith("  ret ")

    def finish(self, *, exported: bool = False, attributes: str = "#0") -> str:
        """The text of the function; it returns here if nothing else does."""
        if not self._returned:
            self.ret(None if self.result == "void" else self.const(0, self.result))
        pointers = {"ptr": "ptr noalias"} if self.alone else {}
        given = ", ".join(f"{pointers.get(kind, kind)} %{name}" for name, kind in self.parameters.items())
        linkage = "" if exported else "internal "
        body = "\n".join(("entry:", *self.prologue, *self.lines))
        return f"define {linkage}{self.result} @{self.name}({given}) {attributes} {{\n{body}\n}}\n"


def mangled(a: Lane) -> str:
    """The suffix of an overloaded intrinsic: `v8f32`, `i64`."""
    kind = {"half": "f16", "float": "f32", "double": "f64"}.get(a.kind, a.kind)
    return kind if a.lanes == 1 else f"v{a.lanes}{kind}"


def _folded(opcode: str, a: Lane, b: Lane) -> Lane | None:
    """Index arithmetic on constants, and with neutral ones, needs no instruction."""
    if a.lanes != 1 or a.is_float:
        return None
    known_a, known_b = _number(a), _number(b)
    if known_a is not None and known_b is not None and opcode in ("add", "sub", "mul"):
        value = {"add": known_a + known_b, "sub": known_a - known_b, "mul": known_a * known_b}[opcode]
        return a.f.const(value, a.kind)
    if opcode in ("add", "sub") and known_b == 0:
        return a
    if opcode == "add" and known_a == 0:
        return b
    if opcode == "mul" and 1 in (known_a, known_b):
        return a if known_b == 1 else b
    if opcode == "mul" and 0 in (known_a, known_b):
        return a.f.const(0, a.kind)
    return None


def _number(a: Lane) -> int | None:
    return int(a.text) if a.text.lstrip("-").isdecimal() else None
