"""Pooling: windows of known reach are unrolled, others are loops with bounds; nothing is read outside of the image.

Where an image begins and ends, fewer taps of a window lie inside. Output positions that reach the same taps are one
loop: a pool of 3 x 3 with a border has nine, one for the inside and one for each side and corner.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product as every

from irc.backends.cpu_simd.codegen.lanes import Lane
from irc.backends.cpu_simd.elementwise import evaluate, fits_bytes, leaf_views, rounded, wide_lanes
from irc.backends.cpu_simd.kernel import Axis, Count, Kernel, in_bytes, merged, outermost_first, register
from irc.backends.cpu_simd.lower.bytes import largest
from irc.backends.cpu_simd.lower.common import lowers
from irc.backends.cpu_simd.lowering import Lowering
from irc.backends.cpu_simd.parts import Part, spans, units
from irc.backends.cpu_simd.views import View
from irc.backends.cpu_simd.work import MOVED
from irc.backends.regions import Region
from irc.ir.dims import Dim, add, equal, mul, product, sub
from irc.ir.graph import Value
from irc.ir.ops.pool import AvgPool, MaxPool, SumPool

UNROLLED = 400
"""Taps that a kernel may have in all its loops together; beyond, taps are loops."""

Pool = MaxPool | AvgPool | SumPool


@dataclass(frozen=True)
class Reach:
    """Output positions from `start` on, along one dimension, whose windows have the taps `first` to `last` inside.

    `counted` are those that a mean divides by. None where position and symbols say it at run time.
    """

    start: Dim
    size: Dim
    first: int | None = None
    last: int | None = None
    counted: int | None = None


@dataclass(frozen=True)
class Side:
    """One spatial dimension of a pool: its size, that of the result, and the window along it."""

    size: Dim
    out: Dim
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int
    count_pad: bool

    def reaches(self) -> list[Reach]:
        """Runs of output positions that reach the same taps, in order."""
        if not isinstance(self.size, int) or not isinstance(self.out, int):
            return [Reach(0, self.out)]
        found: list[Reach] = []
        for place in range(self.out):
            begin = place * self.stride - self.before
            first = _clipped(-(begin // self.dilation), self.kernel)
            last = max(first, _clipped(-((begin - self.size) // self.dilation), self.kernel))
            beyond = _clipped(self.size + self.after - begin, self.kernel)
            counted = beyond if self.count_pad else last - first
            here = Reach(place, 1, first, last, counted)
            if found and replace(found[-1], start=place, size=1) == here:
                found[-1] = replace(found[-1], size=add(found[-1].size, 1))
            else:
                found.append(here)
        return found

    def bounds(self, k: Kernel, reach: Reach, place: Lane) -> tuple[Count, Count, Count]:
        """First and last tap, and the number of counted ones, of the window at a position."""
        if reach.first is not None and reach.last is not None and reach.counted is not None:
            return reach.first, reach.last, reach.counted
        f = k.f
        begin = place * self.stride - self.before
        size = f.like(k.dim(self.size), begin)
        first = self._clipped_lane(k, f.const(0, "i64") - begin)
        last = f.smax(self._clipped_lane(k, size - begin), first)
        if not self.count_pad:
            return first, last, last - first
        return first, last, f.clamp(size + self.after - begin, 0, self.kernel)

    def _clipped_lane(self, k: Kernel, distance: Lane) -> Lane:
        """The taps that lie in front of a distance, as far as the window has them."""
        steps = distance
        if self.dilation > 1:
            steps = k.f.binary("sdiv", distance + (self.dilation - 1), self.dilation)
        return k.f.clamp(steps, 0, self.kernel)


def _clipped(taps: int, kernel: int) -> int:
    return max(0, min(taps, kernel))


def sides_of(op: Pool) -> list[Side]:
    """The spatial dimensions of a pool."""
    n = len(op.kernel)
    dilation = op.dilation if isinstance(op, MaxPool) else (1,) * n
    count_pad = isinstance(op, AvgPool) and op.count_pad
    out = op.results[0].type.shape
    return [
        Side(
            op.x.type.shape[2 + i],
            out[2 + i],
            op.kernel[i],
            op.stride[i],
            dilation[i],
            op.padding[i],
            op.padding[n + i],
            count_pad,
        )
        for i in range(n)
    ]


def reaches_of(sides: Sequence[Side]) -> list[tuple[Reach, ...]]:
    """What the kernel has loops for: every combination of reaches, unless that would be too much code."""
    found = list(every(*(side.reaches() for side in sides)))
    taps = sum(math.prod((r.last or 0) - (r.first or 0) for r in reaches) for reaches in found)
    if taps > UNROLLED:
        return [tuple(Reach(0, side.out) for side in sides)]
    return found


@dataclass(frozen=True)
class Fold:
    """What is done with the taps of a window: `start` when there is none, `join` takes one as it lies in memory, and
    `finish` gives the result in the register of its type, from the taps inside and the counted ones."""

    start: Callable[[int], Lane]
    join: Callable[[Lane | None, Lane], Lane]
    finish: Callable[[Lane, Count, Count], Lane]


def fold_of(k: Kernel, op: Pool, x: View) -> Fold:
    if isinstance(op, MaxPool):
        return _largest(k, op, x)
    return _sum(k, op, x) if isinstance(op, SumPool) else _mean(k, op, x)


def _largest(k: Kernel, op: MaxPool, x: View) -> Fold:
    f, scalar = k.f, x.scalar
    if op.x.type.scalar.is_float:
        kind = register(scalar)
        return Fold(
            lambda lanes: f.const(-math.inf, kind, lanes),
            lambda acc, tap: _larger(k, acc, k.as_register(tap, scalar)),
            lambda acc, inside, counted: acc,
        )
    lowest = op.x.type.scalar.min + x.buffer.shift
    bits = 8 * x.size_bytes
    signed = lowest - (1 << bits) if lowest >= 1 << (bits - 1) else lowest
    return Fold(
        lambda lanes: f.const(signed, f"i{bits}", lanes),
        lambda acc, tap: tap if acc is None else largest(k, scalar, tap, acc),
        lambda acc, inside, counted: k.computed(acc, x),
    )


def _larger(k: Kernel, acc: Lane | None, tap: Lane) -> Lane:
    """The larger of two floats; NaN once there has been one."""
    if acc is None:
        return tap
    kept = k.f.select(tap.compare("ogt", acc), tap, acc)
    return k.f.select(tap.compare("uno", tap), tap, kept)


def _sum(k: Kernel, op: SumPool, x: View) -> Fold:
    """Sums of what lies in memory; what zero point and shift add to it is taken off in the end."""
    f, scalar = k.f, x.scalar
    taps = math.prod(op.kernel)
    narrow = max(-scalar.min, scalar.max) * taps < 1 << 15
    kind = "i16" if narrow else "i32"

    def joined(acc: Lane | None, tap: Lane) -> Lane:
        wide = f.convert("sext" if scalar.signed else "zext", tap, kind)
        return wide if acc is None else acc + wide

    def finish(acc: Lane, inside: Count, counted: Count) -> Lane:
        total = f.convert("sext", acc, "i32")
        offset = op.x_zp + x.buffer.shift
        if isinstance(inside, Lane):
            return total - f.convert("trunc", inside * offset, "i32") if offset else total
        return total - _wrapped(inside * offset) if offset else total

    return Fold(lambda lanes: f.const(0, kind, lanes), joined, finish)


def _wrapped(value: int) -> int:
    """The i32 of the lowest bits."""
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)


def _mean(k: Kernel, op: AvgPool, x: View) -> Fold:
    f, scalar = k.f, x.scalar
    kind = register(scalar)

    def joined(acc: Lane | None, tap: Lane) -> Lane:
        value = k.as_register(tap, scalar)
        return value if acc is None else acc + value

    def finish(acc: Lane, inside: Count, counted: Count) -> Lane:
        divisor = f.convert("sitofp", counted, kind) if isinstance(counted, Lane) else float(counted)
        return rounded(k, acc / f.like(divisor, acc), op.x.type.scalar)

    return Fold(lambda lanes: f.const(0.0, kind, lanes), joined, finish)


@lowers(MaxPool, AvgPool, SumPool, epilogue=True)
def lower_pool(cx: Lowering, region: Region) -> None:
    op = region.anchor
    assert isinstance(op, MaxPool | AvgPool | SumPool)
    x, out = cx.view(op.x), cx.result(region.result)
    shape = cx.resolve(region.result).type.shape
    inputs = leaf_views(cx, region, shape)
    sides = sides_of(op)
    window = replace(
        x, shape=shape, strides=(*x.strides[:2], *(mul(s, d.stride) for s, d in zip(x.strides[2:], sides, strict=True)))
    )
    for stride, side in zip(x.strides[2:], sides, strict=True):
        window = replace(window, offset=sub(window.offset, mul(stride, side.before)))
    views = [out, window, *inputs.values()]
    narrow = isinstance(op, MaxPool) and fits_bytes(cx, region.steps, views)
    hint = "_".join((op.opname, *map(str, op.kernel)))
    work = mul(product(shape), math.prod(op.kernel) + MOVED)
    with cx.kernel(hint, region.loc, region.result, work=work, registers=in_bytes if narrow else register) as k:
        body = _Windows(cx, k, region, op, x, out, window, inputs, sides)
        body.emit(cx.isa.vector_bytes if narrow else wide_lanes(cx.isa, views))


@dataclass(frozen=True)
class _Place:
    """Where the loops are: the addresses of the views, and the output positions along the spatial dimensions."""

    at: tuple[Lane, ...]
    positions: tuple[Lane, ...]


@dataclass(frozen=True)
class _Loop:
    """A loop of the kernel, and which spatial dimension it runs along if its taps depend on the position."""

    axis: Axis
    side: int | None


@dataclass(frozen=True)
class _Windows:
    """The loops of a pool."""

    cx: Lowering
    k: Kernel
    region: Region
    op: Pool
    x: View
    out: View
    window: View
    inputs: dict[Value, View]
    sides: Sequence[Side]

    @property
    def views(self) -> list[View]:
        return [self.out, self.window, *self.inputs.values()]

    def emit(self, lanes: int) -> None:
        k, views = self.k, self.views
        begins = [k.pointer(view) for view in views]
        axes = [Axis(size, tuple(v.strides[i] for v in views)) for i, size in enumerate(self.out.shape)]
        fixed = {v: k.load(w, k.pointer(w)) for v, w in self.inputs.items() if not any(w.strides)}
        for reaches in reaches_of(self.sides):
            parts = [*axes[:2], *(replace(a, size=r.size) for a, r in zip(axes[2:], reaches, strict=True))]
            at = list(begins)
            for axis, reach in zip(axes[2:], reaches, strict=True):
                at = [
                    k.step(v, place, stride, _number(reach.start))
                    for v, place, stride in zip(views, at, axis.strides, strict=True)
                ]
            zeros = tuple(k.f.const(0, "i64") for _ in self.sides)
            nest = _nested(parts, reaches)
            *outer, inner = nest
            width = lanes if inner.side is None else 1
            part = Part.of(k, [*(loop.axis.size for loop in outer), units(inner.axis.size, width)])
            with self._loops(part, outer, _Place(tuple(at), zeros)) as (row, place):
                for start, stop, count in spans(row, inner.axis.size, width):
                    with k.f.loop(start, stop, count) as loop:
                        here = self._moved(place, inner, loop.index)
                        self._window(reaches, here, inner.axis, count, fixed)

    def tap_stride(self, side: int) -> Dim:
        """How far apart the taps of a window lie along a spatial dimension."""
        return mul(self.x.strides[2 + side], self.sides[side].dilation)

    @contextmanager
    def _loops(self, part: Part, nest: Sequence[_Loop], place: _Place) -> Generator[tuple[Part, _Place]]:
        if not nest:
            yield part, place
            return
        with (
            self.k.f.loop(*part.rounds(0, nest[0].axis.size)) as loop,
            self._loops(part.within(loop.index), nest[1:], self._moved(place, nest[0], loop.index)) as inner,
        ):
            yield inner

    def _moved(self, place: _Place, loop: _Loop, index: Lane) -> _Place:
        at = tuple(
            self.k.step(v, address, stride, index)
            for v, address, stride in zip(self.views, place.at, loop.axis.strides, strict=True)
        )
        if loop.side is None:
            return replace(place, at=at)
        return _Place(at, tuple(index if i == loop.side else p for i, p in enumerate(place.positions)))

    def _window(
        self, reaches: Sequence[Reach], place: _Place, inner: Axis, lanes: int, fixed: dict[Value, Lane]
    ) -> None:
        """One vector of results."""
        k = self.k
        fold = fold_of(k, self.op, self.x)
        found = [s.bounds(k, r, p) for s, r, p in zip(self.sides, reaches, place.positions, strict=True)]
        bounds = [(first, last) for first, last, _ in found]
        acc = self._taps(fold, list(enumerate(bounds)), place.at[1], inner.strides[1], lanes, None)
        inside, counted = _product([_between(*b) for b in bounds]), _product([c for *_, c in found])
        value = fold.finish(fold.start(lanes) if acc is None else acc, inside, counted)
        addresses = dict(zip(self.inputs, zip(place.at[2:], inner.strides[2:], strict=True), strict=True))

        def read(leaf: Value) -> Lane:
            if leaf in fixed:
                return k.f.splat(fixed[leaf], lanes)
            address, stride = addresses[leaf]
            return k.load_strided(self.inputs[leaf], address, stride, lanes)

        known = {self.op.results[0]: value}
        evaluate(self.cx, k, self.region.steps, known, read)
        k.store_strided(known[self.cx.resolve(self.region.result)], self.out, place.at[0], inner.strides[0])

    def _taps(
        self,
        fold: Fold,
        bounds: Sequence[tuple[int, tuple[Count, Count]]],
        at: Lane,
        stride: Dim,
        lanes: int,
        acc: Lane | None,
    ) -> Lane | None:
        """All taps of a window joined, in the order of its dimensions; None if there is none."""
        k = self.k
        if not bounds:
            return fold.join(acc, k.load_strided(self.window, at, stride, lanes, raw=True))
        (i, (first, last)), *rest = bounds
        step = self.tap_stride(i)
        if isinstance(first, int) and isinstance(last, int):
            for tap in range(first, last):
                acc = self._taps(fold, rest, k.step(self.x, at, step, tap), stride, lanes, acc)
            return acc
        with k.f.loop(first, last, 1, [fold.start(lanes) if acc is None else acc]) as loop:
            joined = self._taps(fold, rest, k.step(self.x, at, step, loop.index), stride, lanes, loop.carried[0])
            assert joined is not None
            loop.next(joined)
        return loop.results[0]


def _nested(axes: Sequence[Axis], reaches: Sequence[Reach]) -> list[_Loop]:
    """Loops over all dimensions, outermost first, as few as possible; those whose taps move stay by themselves."""
    moving = {2 + i for i, reach in enumerate(reaches) if reach.first is None}
    order = [i for i in outermost_first(axes) if i in moving or equal(axes[i].size, 1) is not True]
    if moving:
        return [_Loop(axes[i], i - 2 if i in moving else None) for i in order]
    return [_Loop(axis, None) for axis in merged([axes[i] for i in order]) or axes[:1]]


def _number(dim: Dim) -> int:
    assert isinstance(dim, int), "positions begin at a number"
    return dim


def _between(first: Count, last: Count) -> Count:
    """The taps from the first to the last."""
    return first.f.like(last, first) - first if isinstance(first, Lane) else last - first


def _product(counts: Sequence[Count]) -> Count:
    total: Count = 1
    for count in counts:
        total = count * total if isinstance(count, Lane) else total * count
    return total
