"""What a converter of one ATen op sees: the builder, the expected result, and how to give up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch

from irc.frontend.building import Building, Number
from irc.frontend.dims import Symbols
from irc.frontend.scalars import DTYPES, SCALARS
from irc.ir.graph import Value
from irc.ir.scalars import ScalarType
from irc.ir.types import TensorType

Later: TypeAlias = Callable[[], Value]
Result: TypeAlias = "Value | tuple[Value | Later, ...]"  # what is rarely asked for is built when it is
Converter: TypeAlias = Callable[..., Result]


@dataclass
class Context(Building):
    """One call of an ATen op while it is imported.

    `fake` is what torch says about the result: a fake tensor, or a sequence of them.
    """

    symbols: Symbols
    fake: Any = field(repr=False)

    @property
    def type(self) -> TensorType:
        """The type torch gives the only result."""
        return self.type_of(self.fake)

    def type_of(self, fake: torch.Tensor) -> TensorType:
        """The type of a fake tensor."""
        return self.symbols.type_of(fake)


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
