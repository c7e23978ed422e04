"""Kernels over rows: some dimensions of a tensor are run through for every element of the others.

Vectors lie along the row where its elements are neighbours, and across neighbouring rows otherwise:

    along     row by row, `lanes` elements of a row at once; accumulators are combined over their lanes in the end
    across    `lanes` rows at once, element by element

What a kernel does with a row is written once for both: passes over its `Spot`s, each a vector of elements.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from irc.backends.cpu_simd.codegen.lanes import Lane, Operand
from irc.backends.cpu_simd.epilogue import Arrange, Epilogue
from irc.backends.cpu_simd.kernel import Axis, Kernel, axes_of
from irc.backends.cpu_simd.lowering import Lowering
from irc.backends.cpu_simd.parts import Part, loops, sizes_of, units
from irc.backends.cpu_simd.views import View
from irc.backends.cpu_simd.work import HARD
from irc.backends.regions import Region
from irc.ir.dims import Dim, add, equal, mul, product
from irc.ir.scalars import ScalarType

CHAINS = 4
"""Accumulators that grow independently of each other, which hides the latency of an addition."""

Accumulators = list[Lane]
Step = Callable[["Spot", Accumulators], Accumulators]
Combine = Callable[[Accumulators, Accumulators], Accumulators]


@dataclass(frozen=True, eq=False)
class Rows:
    """The views of a kernel, and the loops over them: over rows (`kept`), and over the elements of one (`run`)."""

    cx: Lowering
    k: Kernel
    epilogue: Epilogue
    views: Sequence[View]
    begins: Sequence[Lane]
    kept: Sequence[Axis]
    run: Sequence[Axis]
    across: bool
    lanes: int
    size: Dim  # elements of a row
    ones: dict[View, Lane]  # views of one element, which is read once

    def each(self, body: Callable[[Row], None]) -> None:
        """Emit the loops over rows; `body` emits what is done with one, or with a vector of them."""
        k = self.k
        if not self.across:
            with loops(Part.of(k, sizes_of(self.kept)), self.kept, self.views, self.begins) as (_, at):
                body(Row(self, Spot(self, tuple(at), self._still, 1, None, k.f.const(0, "i64"))))
            return
        *outer, inner = self.kept
        part = Part.of(k, [*sizes_of(outer), units(inner.size, self.lanes)])
        with loops(part, outer, self.views, self.begins) as (row, at):
            for start, stop, width, mask in spans(row, inner.size, self.lanes):
                with k.f.loop(start, stop, width) as loop:
                    moved = self.moved(at, inner, loop.index)
                    body(Row(self, Spot(self, moved, inner.strides, self.lanes, mask, k.f.const(0, "i64"))))

    @property
    def _still(self) -> tuple[Dim, ...]:
        return tuple(0 for _ in self.views)

    def moved(self, at: Sequence[Lane], axis: Axis, count: Lane) -> tuple[Lane, ...]:
        """The addresses `count` rounds of a loop later."""
        return tuple(
            self.k.step(view, address, stride, count)
            for view, address, stride in zip(self.views, at, axis.strides, strict=True)
        )

    @property
    def count(self) -> Lane:
        """The number of elements of a row, as an i64."""
        return self.k.f.like(self.k.dim(self.size), self.k.f.const(0, "i64"))

    def scratch(self, scalar: ScalarType) -> View:
        """Memory for one row, or for a vector of rows; see `Spot.keep`."""
        size = mul(self.size, self.lanes) if self.across else add(self.size, self.lanes)
        return self.cx.scratch(scalar, (size,), own=True)


@dataclass(frozen=True, eq=False)
class Spot:
    """A vector of elements: where it lies in each view, and how far apart its lanes are. `mask` holds for lanes that
    exist, `index` is the place of the first in its row."""

    rows: Rows
    at: tuple[Lane, ...]
    strides: tuple[Dim, ...]
    lanes: int
    mask: Lane | None
    index: Lane

    def read(self, view: View) -> Lane:
        """The elements of a view; what lanes hold that do not exist is open."""
        if view in self.rows.ones:
            return self.rows.k.f.splat(self.rows.ones[view], self.lanes)
        place = self.rows.views.index(view)
        return self.rows.k.load_masked(view, self.at[place], self.strides[place], self.lanes, self.mask)

    def write(self, value: Lane, view: View) -> None:
        place = self.rows.views.index(view)
        value = self.rows.k.f.splat(value, self.lanes)
        self.rows.k.store_masked(value, view, self.at[place], self.strides[place], self.mask)

    def finish(self, value: Lane) -> None:
        """The epilogue of the region on lanes of the anchor's result, and the store."""
        k, epilogue = self.rows.k, self.rows.epilogue
        result = epilogue.after(k, k.f.splat(value, self.lanes), lambda leaf: self.read(epilogue.inputs[leaf]))
        self.write(result, epilogue.out)

    def keep(self, value: Lane, scratch: View) -> None:
        """Store lanes until a later pass over the row."""
        self.rows.k.store(value, scratch, self._scratch_at(scratch))

    def kept(self, scratch: View) -> Lane:
        """What `keep` stored."""
        return self.rows.k.load(scratch, self._scratch_at(scratch), self.lanes)

    def _scratch_at(self, scratch: View) -> Lane:
        base = self.rows.k.pointer(scratch)
        return self.rows.k.f.at(base, self.index * (self.lanes if self.rows.across else 1), scratch.size_bytes)


@dataclass(frozen=True, eq=False)
class Row:
    """A row, or a vector of rows: `spot` is its first element."""

    rows: Rows
    spot: Spot

    def fold(self, start: Sequence[Lane], step: Step, combine: Combine, *, chains: int = CHAINS) -> Accumulators:
        """Accumulators after all elements: one value a row.

        `start` are neutral scalars; `step` adds a spot; `combine` adds accumulators, in whatever order.
        """
        f, lanes = self.rows.k.f, self.spot.lanes if self.rows.across else self.rows.lanes
        first = [f.splat(value, lanes) for value in start]
        sets = self._fold(self.rows.run, self.spot.at, [first] * chains, step)
        while len(sets) > 1:
            sets = [combine(*pair) if len(pair) == 2 else pair[0] for pair in _pairs(sets)]
        (total,) = sets
        return total if self.rows.across else reduce_lanes(total, combine)

    def places(self, spot: Spot) -> Lane:
        """The places of the lanes of a spot in a row of one dimension, as i32."""
        f = self.rows.k.f
        first = f.splat(f.convert("trunc", spot.index, "i32"), spot.lanes)
        return first if self.rows.across or spot.lanes == 1 else first + f.vector(range(spot.lanes), "i32")

    def _fold(
        self, axes: Sequence[Axis], at: tuple[Lane, ...], sets: list[Accumulators], step: Step
    ) -> list[Accumulators]:
        rows, k = self.rows, self.rows.k
        if len(axes) > 1:
            axis, *rest = axes
            with k.f.loop(0, k.dim(axis.size), 1, _flat(sets)) as loop:
                inner = self._fold(rest, rows.moved(at, axis, loop.index), _unflat(loop.carried, len(sets)), step)
                loop.next(*_flat(inner))
            return _unflat(loop.results, len(sets))
        axis = axes[0] if axes else Axis(1, tuple(0 for _ in rows.views))
        for start, stop, width, mask in spans(Part(k), axis.size, self._stride, len(sets)):
            used = 1 if mask is not None or width == self._stride else len(sets)
            with k.f.loop(start, stop, width, _flat(sets[:used])) as loop:
                grown: list[Accumulators] = []
                for place, accumulators in enumerate(_unflat(loop.carried, used)):
                    spot = self._spot(at, axis, loop.index + place * self._stride, mask)
                    after = step(spot, accumulators)
                    grown.append(after if mask is None else _chosen(mask, after, accumulators))
                loop.next(*_flat(grown))
            sets = [*_unflat(loop.results, used), *sets[used:]]
        return sets

    def each(self, body: Callable[[Spot], None]) -> None:
        """Emit a pass over the elements in order."""
        rows = self.rows
        *outer, axis = rows.run or [Axis(1, tuple(0 for _ in rows.views))]
        with loops(Part(rows.k), outer, rows.views, self.spot.at) as (all_, at):
            for start, stop, width, mask in spans(all_, axis.size, self._stride):
                with rows.k.f.loop(start, stop, width) as loop:
                    body(self._spot(tuple(at), axis, loop.index, mask))

    @property
    def _stride(self) -> int:
        """Elements from one spot to the next."""
        return 1 if self.rows.across else self.rows.lanes

    def _spot(self, at: tuple[Lane, ...], axis: Axis, index: Lane, mask: Lane | None) -> Spot:
        moved = self.rows.moved(at, axis, index)
        if self.rows.across:
            return replace(self.spot, at=moved, index=index)
        return Spot(self.rows, moved, axis.strides, self.rows.lanes, mask, index)


Span: TypeAlias = tuple[Operand, Operand, int, Lane | None]
"""A loop over vectors: start, stop, step, and which lanes exist (None: all)."""


def spans(part: Part, size: Dim, lanes: int, chains: int = 1) -> list[Span]:
    """Loops over elements: vectors of all chains at once, single ones, and the last, of which some lanes exist."""
    k = part.k
    count = k.dim(size)
    whole = _down(count, lanes)
    many = _down(count, lanes * chains) if chains > 1 else 0
    found: list[Span] = []
    if _some(0, many):
        found.append((0, many, lanes * chains, None))
    if _some(many, whole):
        found.append((*((many, whole) if chains > 1 else part.steps(whole, lanes)), lanes, None))
    if lanes > 1 and _some(whole, count):
        found.append((*part.rest(whole, count), lanes, _lanes_below(k, count, whole, lanes)))
    return found


def _some(start: Operand, stop: Operand) -> bool:
    """Whether there may be elements from start to stop."""
    return isinstance(start, Lane) or isinstance(stop, Lane) or start < stop


def _down(count: Operand, step: int) -> Operand:
    """The largest multiple of a step that is not larger."""
    if isinstance(count, Lane):
        return count.f.binary("sdiv", count, step) * step if step > 1 else count
    return int(count) // step * step


def _lanes_below(k: Kernel, count: Operand, first: Operand, lanes: int) -> Lane:
    """Which lanes from `first` on are in front of `count`."""
    if isinstance(count, Lane) and isinstance(first, Lane):
        return k.f.vector(range(lanes), "i64").compare("slt", count - first)
    assert isinstance(count, int)
    assert isinstance(first, int)
    return k.f.vector([lane < count - first for lane in range(lanes)], "i1")


def _pairs(sets: Sequence[Accumulators]) -> list[Sequence[Accumulators]]:
    return [sets[i : i + 2] for i in range(0, len(sets), 2)]


def _flat(sets: Sequence[Accumulators]) -> Accumulators:
    return [lane for accumulators in sets for lane in accumulators]


def _unflat(lanes: Sequence[Lane], sets: int) -> list[Accumulators]:
    each = len(lanes) // sets
    return [list(lanes[i * each : (i + 1) * each]) for i in range(sets)]


def _chosen(mask: Lane, after: Accumulators, before: Accumulators) -> Accumulators:
    return [a.f.select(mask, a, b) for a, b in zip(after, before, strict=True)]


def reduce_lanes(total: Accumulators, combine: Combine) -> Accumulators:
    """The lanes of accumulators combined, halves first."""
    while (lanes := total[0].lanes) > 1:
        half = lanes // 2
        low, high = ([_part(a, first, half) for a in total] for first in (0, half))
        total = combine(low, high)
    return total


def _part(a: Lane, first: int, count: int) -> Lane:
    return a.f.extract(a, first) if count == 1 else a.f.shuffle(a, a, range(first, first + count))


def sums(left: Accumulators, right: Accumulators) -> Accumulators:
    """Accumulators that are sums, combined."""
    return [a + b for a, b in zip(left, right, strict=True)]


def lower_rows(
    cx: Lowering,
    region: Region,
    x: View,
    reduced: Sequence[int],
    body: Callable[[Row], None],
    *,
    arrange: Arrange = lambda view: view,
    parameters: Sequence[View] = (),
    ordered: bool = False,
) -> None:
    """Add the kernel of a region: `body` emits what is done with a row of x, which runs along the dimensions `reduced`.

    `parameters` are more views of the dimensions of x; `ordered` rows are run through element by element.
    """
    epilogue = Epilogue.of(cx, region, arrange)
    views = list(dict.fromkeys([x, *epilogue.views, *parameters]))
    kept = [i for i in range(len(x.shape)) if i not in reduced]
    outer, inner = (
        axes_of(tuple(x.shape[i] for i in dims), [v.permuted(dims) for v in views]) for dims in (kept, reduced)
    )
    along = bool(inner) and equal(inner[-1].strides[0], 1) is True
    across = bool(outer) and not along and equal(outer[-1].strides[0], 1) is True
    lanes = 1 if ordered and not across else cx.isa.lanes
    work = mul(product(x.shape), HARD)
    with cx.kernel(epilogue.hint, region.loc, region.result, work=work) as k:
        begins = [k.pointer(v) for v in views]
        size = product(tuple(x.shape[i] for i in reduced))
        single = [v for v in views if v != epilogue.out and all(equal(stride, 0) is True for stride in v.strides)]
        ones = {v: k.load(v, k.pointer(v)) for v in single}
        Rows(cx, k, epilogue, views, begins, outer, inner, across, lanes, size, ones).each(body)
