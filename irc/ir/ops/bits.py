"""Bits of integers, of which a bool has one."""

from __future__ import annotations

import numpy as np

from irc.ir.graph import Value
from irc.ir.op import Op, Work
from irc.ir.ops.common import broadcast, elements, wrapped
from irc.ir.scalars import BOOL, Array, ScalarType
from irc.ir.types import Element, TensorType


def all_ones(scalar: ScalarType) -> int:
    """The integer, or bool, whose every bit is set."""
    return -1 if scalar.signed else scalar.max


class Bits(Op):
    """Base of functions of bits. Operands and result have one type, integers without an encoding (or bool)."""

    on_bools = True

    def infer(self) -> TensorType:
        types = [value.type for value in self.operands]
        scalar = types[0].scalar
        operands = f"operands are {' and '.join(map(str, types))}" if len(types) > 1 else f"operand is {types[0]}"
        if not (scalar.is_integer or (self.on_bools and scalar == BOOL)):
            wanted = "integers or bools" if self.on_bools else "integers"
            self.fail(f"operand is {types[0]}, expected {wanted}")
        if any(t.scalar != scalar for t in types):
            self.fail(f"{operands}, expected one type", hint="cast one of them")
        if any(t.encoding for t in types):
            self.fail(
                f"{operands}, and codes mean numbers that bits say nothing of",
                hint="dequantize, or compute on bits before they are quantized",
            )
        return TensorType(Element(scalar), broadcast(self, *(t.shape for t in types)))

    def work(self) -> Work:
        return Work(steps=elements(self, self.results[0].type.shape))


class Bitwise(Bits):
    """Base of functions of two bits, on each pair of bits."""

    elementwise = ("x", "y")
    x: Value
    y: Value
    commutative = True


class And(Bitwise, name="and"):
    """The bits that both x and y have set."""

    def reference(self, x: Array, y: Array) -> Array:
        return np.bitwise_and(x, y)


class Or(Bitwise, name="or"):
    """The bits that x or y has set."""

    def reference(self, x: Array, y: Array) -> Array:
        return np.bitwise_or(x, y)


class Xor(Bitwise, name="xor"):
    """The bits that differ between x and y."""

    def reference(self, x: Array, y: Array) -> Array:
        return np.bitwise_xor(x, y)


class Not(Bits, name="not"):
    """The bits that x has not set: false for true, -1 - x of signed integers."""

    elementwise = ("x",)
    x: Value

    def reference(self, x: Array) -> Array:
        return np.bitwise_xor(x, x.dtype.type(all_ones(self.x.type.scalar)))


class Shift(Bits):
    """Base of shifts. If `by` is negative or not below the width of the type, all bits leave it.

    So have it PyTorch, and ONNX from operator set 28 on.
    """

    elementwise = ("x", "by")
    x: Value
    by: Value
    on_bools = False

    def reference(self, x: Array, by: Array) -> Array:
        within = (by >= 0) & (by < self.x.type.scalar.bits)
        return self.apply(x.astype(np.int64), np.where(within, by, 0).astype(np.int64), within)

    def apply(self, x: Array, by: Array, within: Array) -> Array:
        """i64 x shifted by 0 .. 63, or by the whole width where `by` is not `within`."""
        raise NotImplementedError


class ShiftLeft(Shift, name="shift_left"):
    """x * 2^by, wrapping around; 0 if `by` is negative or not below the width of the type."""

    def apply(self, x: Array, by: Array, within: Array) -> Array:
        shifted = (x.view(np.uint64) << by.view(np.uint64)).view(np.int64)
        return wrapped(np.where(within, shifted, 0), self.x.type.scalar)


class ShiftRight(Shift, name="shift_right"):
    """x / 2^by towards minus infinity; 0, or -1 for x < 0, if `by` is negative or not below the width of the type."""

    def apply(self, x: Array, by: Array, within: Array) -> Array:
        return (x >> np.where(within, by, 63)).astype(self.x.type.scalar.dtype)
