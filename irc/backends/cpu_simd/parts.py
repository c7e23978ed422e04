"""Which part of its work a call of a kernel does, so that several threads can share one kernel.

A kernel is a run of loop nests whose rounds are independent of each other. Rounds of outer loops are its units,
numbered through all nests in the order in which one thread runs them; a call runs those from `first` to `last`. With
too little work for two threads a kernel has no units: every loop then has the bounds that the shapes say.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from irc.backends.cpu_simd.codegen.lanes import Lane, Operand
from irc.backends.cpu_simd.kernel import Axis, Count, Kernel
from irc.backends.cpu_simd.views import View
from irc.ir.dims import Dim, add, dim_max, floordiv, product

ENOUGH = 64
"""Units from which on inner loops of a nest are left alone: that many are shared out evenly by some threads."""


@dataclass(frozen=True)
class Part:
    """What a call runs of the loop at hand and of those inside: all, or the units from `first` to `last`, counted from
    the first one of this loop. `sizes` are the rounds of the loops that make units, outermost first."""

    k: Kernel
    sizes: tuple[Dim, ...] = ()
    bounds: tuple[Lane, Lane] | None = None

    @staticmethod
    def of(k: Kernel, sizes: Sequence[Dim]) -> Part:
        """The part of the next nest of a kernel; `sizes` are the rounds of its loops, as far as they may be shared."""
        shared = _outer(sizes) if k.splits else ()
        if not shared:
            return Part(k)
        before, units = k.units, product(shared)
        k.units = add(before, units)
        f = k.f
        first, last = (f.smin(f.smax(bound - k.dim(before), 0), k.dim(units)) for bound in k.bounds())
        return Part(k, shared, (first, last))

    @property
    def _each(self) -> Dim:
        """Units of one round; at least one, for it divides."""
        return dim_max(product(self.sizes[1:]), 1)

    def rounds(self, start: Dim, stop: Dim) -> tuple[Count, Count]:
        """The rounds of the loop at hand that are run of those from start to stop."""
        k, f = self.k, self.k.f
        if self.bounds is None:
            return k.dim(start), k.dim(stop)
        (first, last), each = self.bounds, self._each
        if each != 1:
            size = f.like(k.dim(each), first)
            first, last = f.binary("sdiv", first, size), f.binary("sdiv", last + size - 1, size)
        return f.smax(first, k.dim(start)), f.smin(last, k.dim(stop))

    def within(self, index: Lane) -> Part:
        """What is run of the loops inside, in one round of the loop at hand."""
        if self.bounds is None or len(self.sizes) == 1:
            return Part(self.k)
        f, size = self.k.f, self.k.dim(self._each)
        begin = index * size
        first, last = (f.smin(f.smax(bound - begin, 0), size) for bound in self.bounds)
        return Part(self.k, self.sizes[1:], (first, last))

    def steps(self, stop: Operand, step: int) -> tuple[Operand, Operand]:
        """Where the loop at hand begins and ends if it takes several elements a round, one unit each (see `units`)."""
        if self.bounds is None:
            return 0, stop
        first, last = self.bounds
        return first * step, self.k.f.smin(last * step, stop)

    def rest(self, start: Operand, stop: Operand) -> tuple[Operand, Operand]:
        """Where a loop over what is left behind these rounds begins and ends: it belongs to the last unit."""
        if self.bounds is None:
            return start, stop
        first, last = self.bounds
        f = self.k.f
        mine = last.compare("eq", self.k.dim(self.sizes[0])) & first.compare("slt", last)
        begin = f.like(start, first)
        return begin, f.select(mine, f.like(stop, first), begin)


def units(size: Dim, step: int) -> Dim:
    """Units of a loop that takes `step` elements a round; what is left over belongs to the last one."""
    return dim_max(floordiv(size, step), 1)


def spans(part: Part, size: Dim, lanes: int) -> list[tuple[Operand, Operand, int]]:
    """(start, stop, step) of whole vectors, and of what is left behind them.

    The last vector of a known size is a whole one too, whose first elements are computed twice; less than a vector is
    taken in halves, what is left of a symbolic size in single elements.
    """
    if isinstance(size, int):
        whole = size // lanes * lanes
        if whole:
            rest = [(*part.rest(size - lanes, size), lanes)] if whole < size else []
            return [(*part.steps(whole, lanes), lanes), *rest]
        powers = [1 << bit for bit in reversed(range(size.bit_length())) if size >> bit & 1]
        return [(*part.rest(sum(powers[:i]), sum(powers[: i + 1])), power) for i, power in enumerate(powers)]
    k = part.k
    count = k.f.like(k.dim(size), k.f.const(0, "i64"))
    whole = count & -lanes
    return [(*part.steps(whole, lanes), lanes), (*part.rest(whole, count), 1)]


def _outer(sizes: Sequence[Dim]) -> tuple[Dim, ...]:
    """The fewest outer loops that have enough rounds, as far as that is known."""
    known = 1
    for place, size in enumerate(sizes):
        if known >= ENOUGH:
            return tuple(sizes[:place])
        known *= size if isinstance(size, int) else 1
    return tuple(sizes)


@contextmanager
def loops(
    part: Part, axes: Sequence[Axis], views: Sequence[View], at: Sequence[Lane]
) -> Generator[tuple[Part, list[Lane]]]:
    """Loops over axes, outermost first; gives what is run of the body, and the addresses of the views in it."""
    if not axes:
        yield part, list(at)
        return
    k, (axis, *rest) = part.k, axes
    with k.f.loop(*part.rounds(0, axis.size)) as loop:
        moved = [
            k.step(view, address, stride, loop.index)
            for view, address, stride in zip(views, at, axis.strides, strict=True)
        ]
        with loops(part.within(loop.index), rest, views, moved) as inner:
            yield inner


def sizes_of(axes: Sequence[Axis]) -> list[Dim]:
    """The rounds of loops."""
    return [axis.size for axis in axes]
