"""What a converter of one op of another system sees: the builder, constants, and how to give up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn, TypeAlias

import numpy as np

from irc.ir.builder import Builder
from irc.ir.diagnostics import Diagnostic, IrcError
from irc.ir.dims import Dim, Expr
from irc.ir.graph import Value
from irc.ir.ops.math import Cast
from irc.ir.ops.tensor import Iota, Reshape
from irc.ir.scalars import I64, ScalarType
from irc.ir.types import Element

Number: TypeAlias = bool | int | float
MOST_CONSTANT = 2**24  # elements of a constant that is computed while importing
UNBOUNDED = 4096  # the bound of a size that the model does not bound; buffers are sized by it


@dataclass
class Building:
    """One call of an op while it is imported; `target` is its name."""

    b: Builder
    target: str

    def unsupported(self, reason: str, hint: str = "") -> NoReturn:
        """Give up: this use of the op has no equivalent."""
        raise IrcError(Diagnostic(f"{self.target}: {reason}", self.b.loc, hint=hint))

    def number(self, d: Dim, what: str) -> int:
        """A size that must be a number here."""
        if not isinstance(d, int):
            self.unsupported(f"{what} is {d}, not a number", "capture the model with a fixed size there")
        return d

    def countable(self, count: int, what: str) -> int:
        """A number of elements that are computed here, one after the other. Gives up beyond `MOST_CONSTANT`."""
        if count > MOST_CONSTANT:
            self.unsupported(f"{what} of {count} elements", f"at most {MOST_CONSTANT}")
        return count

    def const(self, value: Number | Dim, scalar: ScalarType) -> Value:
        """A number, or a size that is known when the model runs, at rank 0."""
        if isinstance(value, Expr):
            return self.cast(self.b(Reshape(self.b(Iota(value, 1, shape=(1,))), ())), scalar)
        return self.b.const(np.asarray(value, scalar.dtype), scalar)

    def size(self, d: Dim) -> Value:
        """A size as an i64 of rank 0."""
        return self.const(d, I64)

    def cast(self, x: Value, scalar: ScalarType) -> Value:
        """`x` as another scalar type; itself if it has that type."""
        return x if x.type.scalar == scalar else self.b(Cast(x, Element(scalar)))

    def operand(self, x: Value | Number | Dim, scalar: ScalarType) -> Value:
        """A tensor, number or size as a tensor of that scalar type."""
        return self.cast(x, scalar) if isinstance(x, Value) else self.const(x, scalar)
