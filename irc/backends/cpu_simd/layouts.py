"""How each value had best lie in memory, as its readers want it: the producer writes what the consumer reads.

A value that is only permuted lies as the permutation wants it, so that this costs nothing; images lie with their
channels last and with the border that convolutions read around them; codes lie in the type, and with the shift, that
dot products take.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from irc.backends.cpu_simd.forms import operands_of
from irc.backends.cpu_simd.isa import Isa
from irc.backends.regions import Regions
from irc.ir.graph import Value
from irc.ir.op import Op
from irc.ir.ops.linear import Conv, Linear, Matmul
from irc.ir.ops.pool import AvgPool, MaxPool, SumPool
from irc.ir.ops.tensor import Expand, Permute, Reshape, Slice
from irc.ir.scalars import ScalarType

IMAGES = (Conv, MaxPool, AvgPool, SumPool)
VIEWS = (Reshape, Permute, Slice, Expand)


@dataclass(frozen=True)
class Layout:
    """Dimensions from the outermost to the innermost (None: C order), the type in memory and what is added to codes in
    it, and the border around the spatial dimensions of an image: (begins..., ends...), filled with `fill`."""

    order: Sequence[int] | None = None
    scalar: ScalarType | None = None
    shift: int = 0
    border: tuple[int, ...] = ()
    fill: int = 0


@dataclass(frozen=True)
class Reader:
    """An op that reads a value, and what its region computes."""

    op: Op
    result: Value


def wanted_layouts(regions: Regions, isa: Isa) -> Mapping[Value, Layout]:
    """Layouts of the values that regions compute."""
    readers: dict[Value, list[Reader]] = {}
    for region in regions.regions:
        for op in region.nodes:
            for operand in op.operands:
                readers.setdefault(regions.resolve(operand), []).append(Reader(op, regions.resolve(region.result)))
    found: dict[Value, Layout] = {}
    for region in reversed(regions.regions):
        value = regions.resolve(region.result)
        layout = _Wishes(value, readers.get(value, []), found, regions, isa).layout()
        found[value] = replace(layout, border=()) if isinstance(region.anchor, VIEWS) else layout
    return found


@dataclass(frozen=True)
class _Wishes:
    """What the readers of a value want."""

    value: Value
    readers: Sequence[Reader]
    known: Mapping[Value, Layout]
    regions: Regions
    isa: Isa

    def layout(self) -> Layout:
        layout = replace(self._stored(), order=self._order())
        return self._bordered(layout)

    def _order(self) -> Sequence[int] | None:
        rank = self.value.type.rank
        for reader in self.readers:
            after = self.known[reader.result].order if reader.result in self.known else None
            if isinstance(reader.op, IMAGES) and self._is(reader.op.x):
                return (0, *range(2, rank), 1)
            if isinstance(reader.op, Permute) and len(self.readers) == 1:
                return tuple(reader.op.order[i] for i in after or range(rank))
            if reader.op.elementwise and reader.result.type.shape == self.value.type.shape and after is not None:
                return after
        return None

    def _stored(self) -> Layout:
        """The type in memory: that of a dot product that reads the value, also through views."""
        for reader in self.readers:
            if isinstance(reader.op, Linear | Conv | Matmul) and self._is(reader.op.x):
                operands = operands_of(reader.op, self.isa, self.regions.resolve)
                return Layout(None, operands.form.a, operands.shift)
            if isinstance(reader.op, VIEWS) and self.known[reader.result].scalar is not None:
                after = self.known[reader.result]
                return Layout(None, after.scalar, after.shift)
        return Layout()

    def _bordered(self, layout: Layout) -> Layout:
        """The widest border that convolutions of the value need. They agree on what stands in it: the zero point."""
        convs = [r.op for r in self.readers if isinstance(r.op, Conv) and self._is(r.op.x)]
        if not convs or layout.scalar is None:
            return layout
        border = tuple(max(widths) for widths in zip(*(conv.padding for conv in convs), strict=True))
        return replace(layout, border=border if any(border) else (), fill=convs[0].x_zp)

    def _is(self, operand: Value) -> bool:
        return self.regions.resolve(operand) is self.value
