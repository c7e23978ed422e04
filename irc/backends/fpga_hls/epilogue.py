"""Epilogues: the elementwise ops behind an anchor, one C++ statement each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from irc.backends.fpga_hls.extent import Extent
from irc.backends.fpga_hls.identifiers import Names, identifier
from irc.backends.fpga_hls.layout import Layout, Shape
from irc.backends.fpga_hls.lowering import Lowering
from irc.backends.fpga_hls.ranges import Interval
from irc.backends.fpga_hls.stage import Epilogue, Expression, Rom, Statement, Stream
from irc.backends.fpga_hls.types import float_literal, literal
from irc.ir.diagnostics import IrcError
from irc.ir.graph import Value
from irc.ir.op import Op
from irc.ir.scalars import Array

Step = Callable[["EpilogueBuilder", Any], "str | Expression"]
"""The C++ expression of an elementwise op."""
STEPS: dict[type[Op], Step] = {}
F = TypeVar("F", bound=Step)


def computes(*ops: type[Op]) -> Callable[[F], F]:
    """Registers the expression of some ops."""

    def register(step: F) -> F:
        STEPS.update(dict.fromkeys(ops, step))
        return step

    return register


class EpilogueBuilder:
    """Builds the functor of one stage.

    `shape` and `layout` are those of its results, `channels` is the extent of the `channel` argument of templates,
    `stage` the name that its ROMs begin with.
    """

    def __init__(self, cx: Lowering, stage: str, shape: Shape, layout: Layout, channels: int) -> None:
        self.cx = cx
        self.stage = stage
        self.shape = shape
        self.layout = layout
        self.channels = channels
        self.epilogue = Epilogue()
        self.streams: list[Stream] = []
        self._names = Names()
        self._known: dict[Value, str] = {}

    def parameter(self, value: Value, cpp_type: str, name: str) -> None:
        """What the template hands over, and which value that is."""
        self.epilogue.type, self.epilogue.parameter = cpp_type, self._names.fresh(name)
        self._known[value] = self.epilogue.parameter

    def set(self, value: Value, cpp_type: str, hint: str, expression: str, opname: str) -> None:
        """Let a new variable hold a value, by what counts as that op."""
        self._append(value, Statement(cpp_type, self._names.fresh(hint), expression, opname))

    def step(self, op: Op) -> None:
        """Append an elementwise op."""
        given, result = self.cx.step(type(op))(self, op), op.results[0]
        expression = Expression(given) if isinstance(given, str) else given
        if op.view:
            self._known[result] = expression.text
            return
        hint = identifier(result.name) if result.name else HINTS.get(op.opname, "value")
        floating = any(v.type.scalar.is_float for v in op.operands)
        bits = tuple(map(self._bits, op.operands))
        name = self._names.fresh(hint)
        statement = Statement(self.type_of(result), name, expression.text, op.opname, bits, floating, expression.note)
        self._append(result, statement)

    def _append(self, value: Value, statement: Statement) -> None:
        self.epilogue.statements.append(statement)
        self._known[value] = statement.name

    def _bits(self, value: Value) -> int:
        """The width of an operand: of a constant, what its values need."""
        array = self.cx.constant(value)
        if array is None:
            return self.cx.code(value).bits
        return 32 if array.dtype.kind == "f" else Interval(int(array.min()), int(array.max())).bits

    def type_of(self, value: Value) -> str:
        """The C++ type of a value inside the functor: sums are as narrow as their bounds allow."""
        return self.cx.code(value).storage

    def of(self, value: Value) -> str:
        """The expression of an operand: an earlier result, a constant, or the element of a further stream."""
        value = self.cx.resolve(value)
        if value in self._known:
            return self._known[value]
        array = self.cx.constant(value)
        if array is not None:
            return self.constant(array, "constant")
        stream = self.cx.read(value, self.layout, shape=self.shape)
        name = self._names.fresh(identifier(value.name) if value.name else "skip")
        self.streams.append(stream)
        self.epilogue.operands.append((stream.code.storage, name))
        self._known[value] = name
        return name

    def constant(self, array: Array, role: str) -> str:
        """A constant that broadcasts to the results: a literal, or a ROM by channel, by row or by element."""
        rows = self.layout.count // self.channels
        spread = self.layout.arrange(np.broadcast_to(array, self.shape)).reshape(-1, self.channels)
        if np.all(array == array.reshape(-1)[0]):
            value = array.reshape(-1)[0]
            return float_literal(float(value)) if array.dtype.kind == "f" else literal(int(value))
        if np.all(spread == spread[0]):
            return f"{self.rom(spread[0], role)}[channel]"
        if isinstance(rows, Extent) or isinstance(self.channels, Extent):
            message = f"{self.stage}: its {role} differs by row, and how many rows there are shows only while it runs"
            raise IrcError(message, hint="one value for all tokens, or one a channel")
        if np.all(spread == spread[:, :1]):
            return f"{self.rom(spread[:, 0], role)}[index / {self.channels}]"
        return f"{self.rom(spread.reshape(-1), role)}[index]"

    def rom(self, values: Array, role: str) -> str:
        """The name of a new ROM of the stage, or of an equal one that is there already."""
        for known in self.epilogue.roms:
            if known.role == role and isinstance(known.values, np.ndarray) and np.array_equal(known.values, values):
                return known.name
        rom = Rom(role, np.ascontiguousarray(values), self.cx.names.fresh(f"{self.stage}_{role}"))
        self.epilogue.roms.append(rom)
        return rom.name

    def finish(self, result: Value) -> Epilogue:
        """The functor that returns this value."""
        self.epilogue.result = self._known[self.cx.resolve(result)]
        self.epilogue.result_type = self.type_of(result)
        return self.epilogue


HINTS = {
    "requantize": "scaled",
    "add": "sum",
    "sub": "difference",
    "mul": "product",
    "maximum": "larger",
    "minimum": "smaller",
    "clamp": "clamped",
    "lut": "looked_up",
    "where": "chosen",
    "cast": "converted",
    "compare": "holds",
    "neg": "negated",
    "abs": "magnitude",
}
"""Variable names for values without a name of their own."""
