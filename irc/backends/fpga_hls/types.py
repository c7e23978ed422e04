"""IR types as C++ types of the templates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from irc.ir.scalars import Array, ScalarType


@dataclass(frozen=True, slots=True)
class Code:
    """The type of a stream element: `Signed<8>` in configurations, `Int<8>` as a variable, `int8_t` at a port."""

    bits: int
    signed: bool

    @property
    def lowest(self) -> int:
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def highest(self) -> int:
        return (1 << (self.bits - 1 if self.signed else self.bits)) - 1

    @property
    def cpp(self) -> str:
        return f"{'Signed' if self.signed else 'Unsigned'}<{self.bits}>"

    @property
    def storage(self) -> str:
        return f"{'Int' if self.signed else 'UInt'}<{self.bits}>"

    @property
    def port_bits(self) -> int:
        """The width of the builtin integer that carries a code over an interface of the accelerator."""
        return next(width for width in (8, 16, 32, 64) if self.bits <= width)

    @property
    def port(self) -> str:
        return builtin(self.port_bits, self.signed)

    @property
    def port_dtype(self) -> np.dtype[np.generic]:
        """The little-endian NumPy type of `port`."""
        return np.dtype(f"<{'i' if self.signed else 'u'}{self.port_bits // 8}")


def code_of(scalar: ScalarType) -> Code:
    """The code of an integer or bool scalar type."""
    return Code(1, signed=False) if scalar.kind == "bool" else Code(scalar.bits, scalar.signed)


def code_named(cpp: str) -> Code:
    """The code that configurations call `Signed<8>`."""
    kind, _, bits = cpp.partition("<")
    return Code(int(bits.removesuffix(">")), kind == "Signed")


def builtin(bits: int, signed: bool) -> str:
    """`int8_t`, `uint64_t`, ..."""
    return f"{'int' if signed else 'uint'}{bits}_t"


def narrowest_builtin(values: Array) -> str:
    """The narrowest builtin integer type that holds all values."""
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    signed = low < 0
    for bits in (8, 16, 32, 64):
        code = Code(bits, signed)
        if code.lowest <= low and high <= code.highest:
            return builtin(bits, signed)
    raise ValueError(f"{low} .. {high} does not fit 64 bits")


def literal(value: int) -> str:
    """An int constant; the lowest int has no literal of its own in C++."""
    return "(-2147483647 - 1)" if value == -(2**31) else str(value)


def float_literal(value: float) -> str:
    """A float constant that reads back as the same f32."""
    text = str(np.float32(value))
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"
