"""The closed list of attribute kinds: what a field of an op that is neither operand nor region may hold.

`bool`, `int` (64 bits), `float` (no NaN), `str`, `None`, a dimension, a scalar type, an element, a type, `Data`,
`FuncRef`, `Mask`, and tuples of these. `printer.py` writes them, `terms.py` reads them by the annotation of the field.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from irc.ir.constants import Data
from irc.ir.dims import Expr
from irc.ir.scalars import ScalarType
from irc.ir.types import Element, TensorType


class FuncRef(str):
    """The name of a function of the module; prints as `@name`."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Mask:
    """Which values of a weight constant stay 0: a kind, its parameters and the bits.

    `mask = block<4x16, #hash>`: `kind` is `block`, `params` is (4, 16). `bits` is a bool array, true = kept, whose
    shape the kind defines; `irc.ir.masks` expands it to the shape of the constant.
    """

    kind: str
    params: tuple[int, ...]
    bits: Data


Plain: TypeAlias = bool | int | float | str | None
Attr: TypeAlias = "Plain | Expr | ScalarType | Element | TensorType | Data | FuncRef | Mask | tuple[Attr, ...]"
