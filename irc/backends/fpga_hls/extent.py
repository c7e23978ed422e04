"""Sizes that a count decides which is born in the run: integers, the most they can be, that know what they are made of.

Everything that is built for the most (buffers, FIFOs, estimates) takes them as the integers they are. Loops take them
apart: `factor * n ** power`. Products and exact quotients stay such sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import SupportsIndex

from irc.backends.fpga_hls.layout import Shape
from irc.ir.dims import Dim, Symbol
from irc.ir.graph import Value


@dataclass(frozen=True, slots=True)
class Count:
    """A count that is born in the run, of at most so many."""

    name: str
    most: int


class Extent(int):
    """`factor * n ** power` for a count n; as an integer, what that is at most. It equals no integer that is fixed."""

    factor: int
    count: Count
    power: int

    def __new__(cls, factor: int, count: Count, power: int = 1) -> Extent:
        made = super().__new__(cls, factor * count.most**power)
        made.factor, made.count, made.power = factor, count, power
        return made

    def text(self) -> str:
        """`4 * n * n`: a C++ expression of the count."""
        names = ["n"] * self.power
        return " * ".join(names if self.factor == 1 else [str(self.factor), *names])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Extent):
            return False
        return (self.factor, self.count, self.power) == (other.factor, other.count, other.power)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((self.factor, self.count, self.power))

    def __mul__(self, other: int) -> int:
        factor, power = self._parts(other)
        return Extent(self.factor * factor, self.count, self.power + power)

    __rmul__ = __mul__

    def __divmod__(self, other: int) -> tuple[int, int]:
        factor, power = self._parts(other)
        if self.factor % factor or power > self.power:
            return int(self) // int(other), 1  # no size: the rest says that it does not go
        left = self.power - power
        return Extent(self.factor // factor, self.count, left) if left else self.factor // factor, 0

    def __floordiv__(self, other: int) -> int:
        return divmod(self, other)[0]

    def __mod__(self, other: int) -> int:
        return divmod(self, other)[1]

    def __rdivmod__(self, other: int) -> tuple[int, int]:
        return other // int(self), 1

    def __rfloordiv__(self, other: int) -> int:
        return divmod(other, self)[0]

    def __rmod__(self, other: int) -> int:
        return divmod(other, self)[1]

    def __pow__(self, other: SupportsIndex, mod: None = None) -> int:  # type: ignore[override]
        raise TypeError("a size is made by products")

    def _parts(self, other: int) -> tuple[int, int]:
        """Factor and power of another size of the same count."""
        if not isinstance(other, Extent):
            return other, 0
        if other.count != self.count:
            raise ValueError(f"a size of two counts, {self.count.name} and {other.count.name}")
        return other.factor, other.power


def limited(size: int, counts: Mapping[str, int]) -> int:
    """A size where a count is at most what is given by its name."""
    if not isinstance(size, Extent) or size.count.name not in counts:
        return size
    return Extent(size.factor, Count(size.count.name, counts[size.count.name]), size.power)


def sized(dim: Dim, symbols: Mapping[str, Symbol]) -> int | None:
    """A dimension as a size; None if it is none: a sum, or of another symbol than a count."""
    if isinstance(dim, int):
        return dim
    if len(dim.terms) != 1:
        return None
    ((parts, factor),) = dim.terms
    if len(parts) != 1:
        return None
    ((atom, power),) = parts
    if not isinstance(atom, str) or not symbols[atom].counted:
        return None
    return Extent(factor, Count(atom, symbols[atom].hi), power)


def shape_of(value: Value) -> Shape | None:
    """The sizes of a value, with those that a count decides; None if it has others."""
    shape = value.type.static_shape
    if shape is not None or value.graph is None:
        return shape
    found = [sized(dim, value.graph.function.symbols) for dim in value.type.shape]
    return tuple(n for n in found if n is not None) if None not in found else None
