"""Elementwise ops as the steps behind a front."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar

import numpy as np

from irc.backends.fpga_hls.engine.lowering import EngineLowering
from irc.backends.fpga_hls.engine.memory import View
from irc.backends.fpga_hls.engine.program import (
    PARAMETERS,
    REGISTERS,
    STEPS,
    Access,
    Source,
    Step,
    Tail,
)
from irc.backends.fpga_hls.ranges import Interval, code_bounds
from irc.backends.fpga_hls.types import Code, code_of
from irc.backends.regions import Region
from irc.ir.graph import Value
from irc.ir.op import Op
from irc.ir.ops.bits import And, Not, Or, Xor, all_ones
from irc.ir.ops.common import along
from irc.ir.ops.math import (
    Abs,
    Add,
    Cast,
    Clamp,
    Compare,
    Maximum,
    Minimum,
    Mul,
    Neg,
    Sub,
    Where,
)
from irc.ir.ops.quant import Lut, Requantize, Rescale
from irc.ir.scalars import Array

Operand: TypeAlias = "Value | Array | int"
Elementwise = Callable[["StepBuilder", Any], None]
OPERATIONS: dict[type[Op], Elementwise] = {}
F = TypeVar("F", bound=Elementwise)


COMMUTATIVE = {"ADD", "MULTIPLY", "LARGER", "SMALLER", "AND", "OR", "XOR", "EQUAL", "UNEQUAL"}


class TooMuch(Exception):
    """The steps of a region do not fit a layer: it has to be cut."""


def computes(*ops: type[Op]) -> Callable[[F], F]:
    """Registers the steps of some elementwise ops."""

    def register(step: F) -> F:
        OPERATIONS.update(dict.fromkeys(ops, step))
        return step

    return register


class StepBuilder:
    """Builds the tail of a layer whose results have the shape of `y`, packs along `channel`."""

    def __init__(self, cx: EngineLowering, y: View, channel: int) -> None:
        self.cx = cx
        self.y = y
        self.channel = channel
        self.steps: list[Step] = []
        self.operands: list[View] = []
        self.vectors: list[Array] = []
        self.table: Array | None = None
        self._known: dict[Value, int] = {}

    def front(self, value: Value) -> None:
        """Say which value the front gives."""
        self._known[value] = Source.RESULT

    def run(self, op: Op) -> None:
        """Append an elementwise op."""
        OPERATIONS[type(op)](self, op)

    def alias(self, value: Value, of: Value) -> None:
        self._known[value] = self._source_of(of)

    def append(self, result: Value, operation: str, *operands: Operand, **fields: int) -> None:
        """A step on values, tensors of constants, and numbers; `result` is what it computes."""
        if operation in COMMUTATIVE and self._constant(operands[0]) is not None:
            operands = operands[::-1]
        if operation == "ADD" and self._added(result, *operands):
            return
        sources: list[int] = []
        constant = 0
        for place, operand in enumerate(operands):
            array = self._constant(operand)
            number = None if array is None or np.any(array != array.reshape(-1)[0]) else int(array.reshape(-1)[0])
            if isinstance(operand, Value) and array is None:
                sources.append(self._source_of(operand))
            elif number is not None and (Source.CONSTANT not in sources or number == constant):
                constant = number
                sources.append(Source.CONSTANT)
            else:
                assert array is not None
                sources.append(self._spread(array, in_vector=place > 0))
        self._known[result] = self._step(operation, sources, constant, **fields)

    def _last(self, operand: Operand) -> Step | None:
        """The last step, if it computes an operand, for nothing else, and does nothing more yet."""
        if not isinstance(operand, Value) or not self.steps or len(operand.users) != 1:
            return None
        step = self.steps[-1]
        is_last = self._known.get(self.cx.resolve(operand)) == Source.REGISTER + len(self.steps) - 1
        return step if is_last and step.then == "KEEP" else None

    def _added(self, result: Value, x: Operand, y: Operand) -> bool:
        """Whether a sum could be made part of the last step."""
        for operand, other in ((x, y), (y, x)):
            step = self._last(operand)
            if step is not None and isinstance(other, Value) and self._constant(other) is None and operand is not other:
                if step.operation == "CHOOSE":
                    continue
                self.steps[-1] = replace(step, then="PLUS_C", c=self._source_of(other))
                self._known[result] = Source.REGISTER + len(self.steps) - 1
                return True
        return False

    def _step(self, operation: str, sources: list[int], constant: int = 0, **fields: Any) -> int:
        """Append a step with a register of its own, which is the result."""
        a, b, c = (*sources, Source.CONSTANT, Source.CONSTANT)[:3]
        self.steps.append(Step(operation, len(self.steps), a, b, c, constant, **fields))
        return Source.REGISTER + len(self.steps) - 1

    def saturate(self, value: Value, code: Code) -> None:
        """Limit what the front gives to a code."""
        self.append(value, "TAKE", value, low=code.lowest, high=code.highest)

    def _constant(self, operand: Operand) -> Array | None:
        if isinstance(operand, Value):
            return None if self.cx.resolve(operand) in self._known else self.cx.constant(operand)
        return np.asarray(operand)

    def _source_of(self, value: Value) -> int:
        value = self.cx.resolve(value)
        if value not in self._known:
            self._known[value] = self._operand(self.cx.view(value).expanded(self.y.shape))
        return self._known[value]

    def _operand(self, view: View) -> int:
        packed = self.cx.packed(view, self.channel, self.y.order(self.channel))
        if packed not in self.operands:
            self.operands.append(packed)
        return Source.SECOND + self.operands.index(packed)

    def _spread(self, array: Array, *, in_vector: bool) -> int:
        """A constant that is not one number: a vector by channel, or a tensor in memory."""
        whole = np.broadcast_to(array, self.y.shape)
        moved = np.moveaxis(whole, self.channel, -1).reshape(-1, self.y.shape[self.channel])
        if in_vector and np.all(moved == moved[0]):
            return Source.PARAMETER + self._vector(moved[0])
        bounds = Interval(int(array.min()), int(array.max()))
        code = Code(bounds.bits, signed=True)
        return self._operand(self.cx.constant_view(whole, code, self.y.order(self.channel)))

    def _vector(self, values: Array) -> int:
        for i, known in enumerate(self.vectors):
            if np.array_equal(known, values):
                return i
        self.vectors.append(values)
        return len(self.vectors) - 1

    def look_up(self, result: Value, x: Value, table: Array, lowest: int) -> None:
        """A table of what the last step computes, or else of what a step takes. Raises TooMuch for a second table."""
        if self.table is not None and not np.array_equal(self.table, table):
            raise TooMuch
        self.table = table
        if self._last(x) is None:
            self.append(result, "TAKE", x)
        self.steps[-1] = replace(self.steps[-1], then="IN_TABLE", lowest=lowest)
        self._known[result] = Source.REGISTER + len(self.steps) - 1

    def finish(self, result: Value) -> tuple[Step, ...]:
        """The steps, in few registers; the last one computes the result. Raises TooMuch if they do not fit a layer."""
        last = self._source_of(result)
        if last != Source.REGISTER + len(self.steps) - 1 or not self.steps:
            self._step("TAKE", [last])
        if len(self.operands) > 2 or len(self.vectors) > PARAMETERS or len(self.steps) > STEPS:
            raise TooMuch
        return _with_registers(self.steps)

    def tail(self, steps: tuple[Step, ...], operands: list[Access], y: Access) -> Tail:
        return Tail(steps, tuple(operands), tuple(self.vectors), self.table, y)


Prologue = Callable[[StepBuilder, Value], None]
"""Appends the steps between a front and the ops behind it, which give the same value."""


def nothing(builder: StepBuilder, value: Value) -> None:
    """The prologue of fronts that give what their op does."""


def tail_of(
    cx: EngineLowering, region: Region, y: View, channel: int, prologue: Prologue = nothing
) -> tuple[StepBuilder, tuple[Step, ...]]:
    """The steps of a region behind its anchor. Raises TooMuch if they do not fit a layer."""
    builder = StepBuilder(cx, y, channel)
    assert region.anchor is not None
    value = region.anchor.results[0]
    builder.front(value)
    prologue(builder, value)
    for op in region.steps:
        builder.run(op)
    return builder, builder.finish(region.result)


def _with_registers(steps: list[Step]) -> tuple[Step, ...]:
    """Registers by last use. Raises TooMuch if there are too few."""
    last = {
        s - Source.REGISTER: i for i, step in enumerate(steps) for s in (step.a, step.b, step.c) if s >= Source.REGISTER
    }
    place: dict[int, int] = {}
    found: list[Step] = []
    for i, step in enumerate(steps):
        a, b, c = (
            s if s < Source.REGISTER else Source.REGISTER + place[s - Source.REGISTER] for s in (step.a, step.b, step.c)
        )
        taken = {place[j] for j in range(i) if j in place and last.get(j, -1) > i}
        free = [r for r in range(REGISTERS) if r not in taken]
        if not free:
            raise TooMuch
        place[i] = free[0]
        found.append(replace(step, a=a, b=b, c=c, target=free[0]))
    return tuple(found)


# -- ops


@computes(Requantize)
def _requantize(e: StepBuilder, op: Requantize) -> None:
    m = e.cx.constant(op.m)
    if m is None:
        op.fail("its multiplier is not constant")
    if op.mode == "float":
        op.fail("the engine multiplies by integers only", hint="integerize{requant=fixed}, or hls{style=dataflow}")
    code = code_of(op.to.scalar)
    bounds = {"low": code.lowest, "high": code.highest} if code.bits < 32 else {}
    factor = along(op.axis, m, op.x.type.rank)
    e.append(op.results[0], "REQUANTIZE", op.x, factor, shift=op.shift, x_zp=op.x_zp, zp=op.zp, **bounds)


@computes(Lut)
def _lut(e: StepBuilder, op: Lut) -> None:
    table = e.cx.constant(op.table)
    if table is None:
        op.fail("its table is not constant")
    e.look_up(op.results[0], op.x, table, op.x.type.scalar.min)


@computes(Rescale)
def _rescale(e: StepBuilder, op: Rescale) -> None:
    e.alias(op.results[0], op.x)


PLAIN = {
    Add: "ADD",
    Sub: "SUBTRACT",
    Mul: "MULTIPLY",
    Maximum: "LARGER",
    Minimum: "SMALLER",
    And: "AND",
    Or: "OR",
    Xor: "XOR",
}


@computes(*PLAIN)
def _binary(e: StepBuilder, op: Add) -> None:
    e.append(op.results[0], PLAIN[type(op)], op.x, op.y)


@computes(Neg)
def _neg(e: StepBuilder, op: Neg) -> None:
    e.append(op.results[0], "SUBTRACT", 0, op.x)


@computes(Abs)
def _abs(e: StepBuilder, op: Abs) -> None:
    e.append(op.results[0], "ABSOLUTE", op.x)


@computes(Not)
def _not(e: StepBuilder, op: Not) -> None:
    e.append(op.results[0], "XOR", op.x, all_ones(op.x.type.scalar))


@computes(Clamp)
def _clamp(e: StepBuilder, op: Clamp) -> None:
    low, high = code_bounds(op)
    e.append(op.results[0], "TAKE", op.x, low=low, high=high)


@computes(Cast)
def _cast(e: StepBuilder, op: Cast) -> None:
    target, known = op.to.scalar, e.cx.ranges.of(op.x)
    if target.kind == "bool":
        e.append(op.results[0], "UNEQUAL", op.x, 0)
    elif target.min <= known.lo and known.hi <= target.max:
        e.append(op.results[0], "TAKE", op.x)
    else:
        e.append(op.results[0], "WRAP", op.x, shift=-target.bits if target.signed else target.bits)


COMPARISONS = {"eq": "EQUAL", "ne": "UNEQUAL", "lt": "LESS", "le": "LESS_EQUAL"}
NEGATIONS = {"gt": "le", "ge": "lt"}


@computes(Compare)
def _compare(e: StepBuilder, op: Compare) -> None:
    how = NEGATIONS.get(op.how, op.how)
    e.append(op.results[0], COMPARISONS[how], op.x, op.y)
    if how != op.how:
        e.append(op.results[0], "XOR", op.results[0], 1)


@computes(Where)
def _where(e: StepBuilder, op: Where) -> None:
    e.append(op.results[0], "CHOOSE", op.condition, op.x, op.y)
