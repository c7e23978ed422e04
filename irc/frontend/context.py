"""What a converter of one ATen op sees: the builder, the expected result, and how to give up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeAlias

import numpy as np
import torch

from irc.frontend.dims import Symbols
from irc.frontend.scalars import DTYPES, SCALARS
from irc.ir.builder import Builder
from irc.ir.diagnostics import Diagnostic, IrcError
from irc.ir.dims import Dim
from irc.ir.graph import Value
from irc.ir.ops.math import Cast
from irc.ir.ops.tensor import Iota, Reshape
from irc.ir.scalars import I64, ScalarType
from irc.ir.types import Element, TensorType

Number: TypeAlias = bool | int | float
Result: TypeAlias = "Value | tuple[Value, ...]"
Converter: TypeAlias = Callable[..., Result]


@dataclass
class Context:
    """One call of an ATen op while it is imported.

    `fake` is what torch says about the result: a fake tensor, or a sequence of them.
    """

    b: Builder
    symbols: Symbols
    target: str
    fake: Any = field(repr=False)

    @property
    def type(self) -> TensorType:
        """The type torch gives the only result."""
        return self.type_of(self.fake)

    def type_of(self, fake: torch.Tensor) -> TensorType:
        """The type of a fake tensor."""
        return self.symbols.type_of(fake)

    def unsupported(self, reason: str, hint: str = "") -> NoReturn:
        """Give up: this use of the op has no equivalent."""
        raise IrcError(Diagnostic(f"{self.target}: {reason}", self.b.loc, hint=hint))

    def number(self, d: Dim, what: str) -> int:
        """A size that must be a number here."""
        if not isinstance(d, int):
            self.unsupported(f"{what} is {d}, not a number", "capture the model with a fixed size there")
        return d

    def const(self, value: Number, scalar: ScalarType) -> Value:
        """A rank-0 constant."""
        return self.b.const(np.asarray(value, scalar.dtype), scalar)

    def size(self, d: Dim, scalar: ScalarType = I64) -> Value:
        """A size as a constant of rank 0."""
        if isinstance(d, int):
            return self.const(d, scalar)
        return self.cast(self.b(Reshape(self.b(Iota(d, 1, shape=(1,))), ())), scalar)

    def cast(self, x: Value, scalar: ScalarType) -> Value:
        """`x` as another scalar type; itself if it has that type."""
        return x if x.type.scalar == scalar else self.b(Cast(x, Element(scalar)))

    def operand(self, x: Value | Number, scalar: ScalarType) -> Value:
        """A tensor or number as a tensor of that scalar type."""
        return self.cast(x, scalar) if isinstance(x, Value) else self.const(x, scalar)


def promote(*operands: Value | Number) -> ScalarType:
    """torch's type promotion: operands with dimensions count first, then rank 0, then numbers; a higher kind wins."""
    result: list[ScalarType] = []
    for group in (
        [x.type.scalar for x in operands if isinstance(x, Value) and x.type.rank],
        [x.type.scalar for x in operands if isinstance(x, Value) and not x.type.rank],
        [SCALARS[_default(x)] for x in operands if not isinstance(x, Value)],
    ):
        if not group:
            continue
        dtype = DTYPES[group[0]]
        for scalar in group[1:]:
            dtype = torch.promote_types(dtype, DTYPES[scalar])
        result.append(SCALARS[dtype])
    return max(result, key=_kind)  # the first of the highest kind: earlier groups win ties


def _kind(scalar: ScalarType) -> int:
    return 2 if scalar.is_float else 1 if scalar.is_integer else 0


def _default(x: Number) -> torch.dtype:
    return torch.bool if isinstance(x, bool) else torch.int64 if isinstance(x, int) else torch.float32
