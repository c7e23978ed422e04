"""Depthwise convolution: channels in lanes, every tap a vector of weights.

Codes of several rows are multiplied together: two or four rows of an image are interleaved, so that one instruction
multiplies them and adds the products (`vpmaddwd`, `vpdpbusd`, `sdot`). Results of two rows and of neighbouring columns
share what was interleaved; where a result needs only some of the rows, the weights of the others are zero. The order of
channels that this leaves is undone by the instructions that narrow the results (`vpackssdw`, `vpackuswb`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product as every
from typing import TypeAlias

import numpy as np

from irc.backends.cpu_simd.codegen.lanes import BITS, Lane
from irc.backends.cpu_simd.codegen.narrow import BLOCK_BITS, bytes_of, packs, words_of
from irc.backends.cpu_simd.epilogue import Epilogue
from irc.backends.cpu_simd.kernel import Count, Kernel, axes_of, memory
from irc.backends.cpu_simd.lowering import Lowering
from irc.backends.cpu_simd.parts import Part, loops, sizes_of
from irc.backends.cpu_simd.ukernels.dots import DotForm
from irc.backends.cpu_simd.ukernels.products import block_units, row_blocks
from irc.backends.cpu_simd.views import View
from irc.backends.cpu_simd.work import MOVED
from irc.backends.regions import Region
from irc.ir.dims import Dim, equal, mul, product
from irc.ir.graph import Value
from irc.ir.scalars import Array, ScalarType

Key: TypeAlias = tuple[int, int, tuple[int | None, ...]]
"""A vector of weights: plane, tap across, and the taps down that are multiplied together, None for zero."""


@dataclass(frozen=True)
class Reach:
    """A window in one dimension: its taps, and how far apart taps and results are; `pitch` is one place in elements."""

    taps: int
    dilation: int
    stride: int
    pitch: Dim

    def places(self, results: int) -> list[int]:
        """What so many results read, counted from the first tap of the first."""
        return sorted({r * self.stride + t * self.dilation for r, t in every(range(results), range(self.taps))})

    def tap(self, result: int, place: int) -> int | None:
        """The tap of a result that reads a place."""
        tap, rest = divmod(place - result * self.stride, self.dilation)
        return tap if rest == 0 and 0 <= tap < self.taps else None


@dataclass(frozen=True)
class Window:
    """All taps of a result: those of a plane, in each of `planes` (the offsets of the outer dimensions).

    `group` rows are multiplied together; so many `columns` of results share what was read.
    """

    planes: Sequence[Dim]
    down: Reach
    across: Reach
    group: int
    columns: int

    @property
    def count(self) -> int:
        """Taps in all."""
        return len(self.planes) * self.down.taps * self.across.taps

    @cached_property
    def block(self) -> tuple[int, int]:
        """Rows and columns of results that are computed together: two rows where that takes no more products."""
        return 2 if self.group > 1 and self.products(2) <= 2 * self.products(1) else 1, self.columns

    def products(self, rows: int) -> int:
        """What is multiplied in a column for so many rows of results."""
        return sum(any_of(self.taps(row, word)) for row, word in every(range(rows), self.words(rows)))

    def words(self, rows: int) -> list[list[int]]:
        """The rows of an image that are multiplied together, for so many rows of results."""
        places = self.down.places(rows)
        return [places[i : i + self.group] for i in range(0, len(places), self.group)]

    def taps(self, row: int, word: Sequence[int]) -> tuple[int | None, ...]:
        """The taps down of a row of results with which a word is multiplied."""
        found = [self.down.tap(row, place) for place in word]
        return (*found, *[None] * (self.group - len(found)))

    @cached_property
    def keys(self) -> dict[Key, int]:
        """All vectors of weights that blocks of any height need, and their places."""
        downs = {
            self.taps(row, word): None
            for rows in range(1, self.block[0] + 1)
            for row, word in every(range(rows), self.words(rows))
        }
        keys = every(range(len(self.planes)), range(self.across.taps), filter(any_of, downs))
        return {key: place for place, key in enumerate(keys)}

    def packed(self, weights: Array, form: DotForm, units: Units) -> Array:
        """Weights [channels, planes, down, across] as [units, keys, lanes, group]."""
        each = self.down.taps * self.across.taps
        places = [
            [-1 if tap is None else plane * each + tap * self.across.taps + across for tap in taps]
            for plane, across, taps in self.keys
        ]
        with_zero = np.pad(weights.reshape(len(weights), -1), ((0, 0), (0, 1)))
        found = units.packed(with_zero[:, places].transpose(1, 2, 0))  # [units, keys, group, lanes]
        return np.ascontiguousarray(found.transpose(0, 1, 3, 2)).astype(form.b.dtype)


@dataclass(frozen=True)
class Taps:
    """What is summed. `image` is the first tap of each result, [..., rows, columns, channels]; `weights` and first sums
    are packed by `units`."""

    form: DotForm
    image: View
    window: Window
    weights: View
    start: View | None
    units: Units


@dataclass(frozen=True)
class Units:
    """How channels are cut: `channels` at a time, in so many vectors, in the order that interleaving leaves."""

    channels: int
    vectors: int
    order: tuple[int, ...]  # order[i] is the channel in lane i of the vectors

    @staticmethod
    def of(form: DotForm, lanes: int) -> Units:
        block = min(lanes, BLOCK_BITS // 32)
        starts = every(range(form.group), range(0, lanes, block))
        order = [block * part + form.group * start + place for part, start in starts for place in range(block)]
        return Units(form.group * lanes, form.group, tuple(order))

    def packed(self, rows: Array) -> Array:
        """[..., channels] as [units, ..., lanes] in the order of the lanes."""
        channels = rows.shape[-1]
        padded = np.pad(rows, [*[(0, 0)] * (rows.ndim - 1), (0, -channels % self.channels)])
        split = padded.reshape(*rows.shape[:-1], -1, self.channels)[..., list(self.order)]
        return np.ascontiguousarray(np.moveaxis(split, -2, 0))


def interleaved(rows: Sequence[Lane], half: int) -> list[Lane]:
    """The elements `a0 b0 a1 b1 ...` of two rows, or `a0 b0 c0 d0 a1 ...` of four, from one half of each block, as i32
    lanes. One row is what it is."""
    if len(rows) == 1:
        return list(rows)
    f, bits, count = rows[0].f, BITS[rows[0].kind], rows[0].lanes
    each = BLOCK_BITS // bits
    taken = [at + i for at in range(half * each // 2, count, each) for i in range(each // 2)]
    places = [place for i in taken for place in (i, count + i)]
    pairs = [f.shuffle(a, b, places) for a, b in zip(rows[::2], rows[1::2], strict=True)]
    woven = [f.bitcast(pair, f"i{2 * bits}", count // 2) for pair in pairs]
    return woven if len(woven) == 1 else [*interleaved(woven, 0), *interleaved(woven, 1)]


def lower_taps(cx: Lowering, region: Region, job: Taps, epilogue: Epilogue) -> None:
    """Add the kernel of a region."""
    assert region.anchor is not None
    out, window = epilogue.out, job.window
    views = [*epilogue.views, job.image]
    outer = range(len(out.shape) - 3)
    axes = axes_of(tuple(out.shape[i] for i in outer), [v.permuted(list(outer)) for v in views])
    work = mul(product(out.shape), window.count + MOVED)
    with cx.kernel(f"depthwise_{out.shape[-1]}_{window.count}", region.loc, region.result, work=work) as k:
        at = [k.pointer(v) for v in views]
        epilogue.start(k)
        body = _Blocks(k, job, epilogue, views, k.pointer(job.weights), job.start and k.pointer(job.start))
        height, _ = window.block
        part = Part.of(k, [*sizes_of(axes), block_units(out.shape[-3], height)])
        with loops(part, axes, views, at) as (row, begins):
            body.run(row, begins)


@dataclass(frozen=True)
class _Blocks:
    """The loops over blocks of rows and columns and over units of channels; addresses are in the order of `views`."""

    k: Kernel
    job: Taps
    epilogue: Epilogue
    views: Sequence[View]
    weights: Lane
    start: Lane | None

    def run(self, part: Part, at: Sequence[Lane]) -> None:
        k, units = self.k, self.job.units
        *_, rows, columns, channels = self.epilogue.out.shape
        assert isinstance(channels, int)
        whole, rest = divmod(channels, units.channels)
        high, wide = self.job.window.block
        for first, stop, height in row_blocks(part, rows, high):
            with k.f.loop(first, stop, height) as row:
                in_row = self.moved(at, -3, row.index)
                for begin, end, width in row_blocks(Part(k), columns, wide):
                    with k.f.loop(begin, end, width) as column:
                        begins = self.moved(in_row, -2, column.index)
                        if whole:
                            with k.f.loop(0, whole) as loop:
                                self.unit(begins, loop.index, (height, width), units.channels)
                        if rest:
                            self.unit(begins, k.f.const(whole, "i64"), (height, width), rest)

    def moved(self, at: Sequence[Lane], dimension: int, by: Lane) -> list[Lane]:
        """Addresses so many steps further in a dimension of all views."""
        return [self.k.step(v, a, v.strides[dimension], by) for v, a in zip(self.views, at, strict=True)]

    def unit(self, at: Sequence[Lane], unit: Lane, block: tuple[int, int], channels: Count) -> None:
        """A block of results of some channels: sums, epilogue, store."""
        begins = dict(zip(map(id, self.views), self.moved(at, -1, unit * self.job.units.channels), strict=True))
        sums = self.sums(begins[id(self.job.image)], unit, block, channels)
        seen: dict[Value, Lane] = {}
        for place, vectors in sums.items():
            self.finish(vectors, _Spot(self.k, begins, place), channels, seen)

    # -- sums

    def sums(self, at: Lane, unit: Lane, block: tuple[int, int], channels: Count) -> dict[tuple[int, int], list[Lane]]:
        """The sums of each result of a block, in vectors of channels in their order."""
        form, window, parts = self.job.form, self.job.window, range(self.job.units.vectors)
        (height, width), columns = block, window.across
        first = [self.first_sums(unit, part) for part in parts]
        weights = [self.weights_of(unit, part) for part in parts]
        acc = {place: list(first) for place in every(range(height), range(width))}
        together = max(1, len(parts) // 2)
        for half, begin in enumerate(parts[::together]):
            if half:
                self.k.f.fence()  # what this half of the lanes needs is read again: registers hold one half
            for plane, rows in every(range(len(window.planes)), window.words(height)):
                taken: dict[int, list[Lane]] = {}
                used = [(row, taps) for row in range(height) if any_of(taps := window.taps(row, rows))]
                for tap in range(columns.taps):
                    places = [place * columns.stride + tap * columns.dilation for place in range(width)]
                    for column in places:
                        if column not in taken:
                            taken[column] = self.words(at, plane, rows, column, channels, half)
                    for part, (row, taps) in every(parts[begin : begin + together], used):
                        factor = self.weight(weights[part], (plane, tap, taps))
                        for place, column in enumerate(places):
                            word = taken[column][part - begin]
                            acc[row, place][part] = form.apply(acc[row, place][part], word, factor)
        return acc

    @property
    def lanes(self) -> int:
        return self.job.units.channels // self.job.units.vectors

    @property
    def word_bytes(self) -> int:
        return self.lanes * self.job.form.acc_bytes

    def first_sums(self, unit: Lane, part: int) -> Lane:
        f, form = self.k.f, self.job.form
        if self.start is None:
            return f.const(0, form.acc, self.lanes)
        start = f.at(self.start, unit, self.job.units.vectors * self.word_bytes)
        return f.load(f.at(start, part, self.word_bytes), form.acc, self.lanes)

    def weights_of(self, unit: Lane, part: int) -> Lane:
        """Where the weights of a vector of channels begin."""
        f, vectors = self.k.f, self.job.units.vectors
        return f.at(
            f.at(self.weights, unit, len(self.job.window.keys) * vectors * self.word_bytes), part, self.word_bytes
        )

    def weight(self, begin: Lane, key: Key) -> Lane:
        f = self.k.f
        at = f.at(begin, self.job.window.keys[key], self.job.units.vectors * self.word_bytes)
        return f.load(at, self.job.form.acc, self.lanes)

    def words(self, at: Lane, plane: int, rows: Sequence[int], column: int, channels: Count, half: int) -> list[Lane]:
        """What a dot product takes of some rows of a column, in one half of the vectors of channels."""
        window, image = self.job.window, self.job.image
        begin = self.k.step(image, at, window.planes[plane], 1)
        begin = self.k.step(image, begin, window.across.pitch, column)
        taps = [self.tap(self.k.step(image, begin, window.down.pitch, row), channels) for row in rows]
        return interleaved(taps + taps[-1:] * (window.group - len(taps)), half)

    def tap(self, at: Lane, channels: Count) -> Lane:
        """A unit of channels of one tap, in the type that is multiplied."""
        k, units = self.k, self.job.units
        return k.load_part(self.job.image, at, 1, 0, units.channels, channels, raw=self.job.form.group > 1)

    # -- results

    def finish(self, vectors: Sequence[Lane], spot: _Spot, channels: Count, seen: dict[Value, Lane]) -> None:
        """The epilogue on the sums of one result, and its store."""
        k, out = self.k, self.epilogue.out
        done = [self.after(vector, part, spot, channels, seen) for part, vector in enumerate(vectors)]
        whole = channels == self.job.units.channels and equal(out.strides[-1], 1) is True
        if whole and len(done) > 1 and packs(k.isa) and done[0].kind == "i32" and fits_i16(out):
            k.f.store(self.packed([k.shifted(out, lane) for lane in done], out.scalar), spot.address(out))
        else:
            k.store_part(self.ordered(done), out, spot.address(out), out.strides[-1], 0, channels)

    def after(self, acc: Lane, part: int, spot: _Spot, channels: Count, seen: dict[Value, Lane]) -> Lane:
        """What the epilogue makes of one vector of channels in the order of the unit."""
        k, f, units = self.k, self.k.f, self.job.units
        same = [v for v, view in self.epilogue.inputs.items() if not any(self.moves(view))]
        read = self.epilogue.reader(k, spot.address, 0, units.channels, channels, same, seen)
        order = units.order[part * self.lanes : (part + 1) * self.lanes]

        def ordered(value: Value) -> Lane:
            found = read(value)
            return found if units.vectors == 1 else f.shuffle(found, found, order)

        return self.epilogue.after(k, acc, ordered)

    def moves(self, view: View) -> list[bool]:
        """Whether rows and columns of results lie in different places of a view."""
        return [equal(stride, 0) is not True for stride in view.strides[-3:-1]]

    def ordered(self, vectors: Sequence[Lane]) -> Lane:
        """All channels in order."""
        f, order = self.k.f, self.job.units.order
        while len(vectors) > 1:
            vectors = [f.joined(a, b) for a, b in zip(vectors[::2], vectors[1::2], strict=True)]
        (found,) = vectors
        return found if in_order(order) else f.shuffle(found, found, np.argsort(order).tolist())

    def packed(self, vectors: Sequence[Lane], scalar: ScalarType) -> Lane:
        """i32 lanes that fit a type of at most 16 bits, in that type; its narrowing leaves all channels in order."""
        f, kind = self.k.f, memory(scalar)
        if kind == "i8" and len(vectors) == 4:
            return bytes_of(vectors, scalar, self.k.isa)
        low, *more = (words_of(a, b, self.k.isa) for a, b in zip(vectors[::2], vectors[1::2], strict=True))
        if not more:
            return f.convert("trunc", low, kind)
        (high,) = more
        block, count = BLOCK_BITS // 16, low.lanes
        starts = every(range(0, count, block), (0, count))
        return f.shuffle(low, high, [start + half + i for start, half in starts for i in range(block)])


@dataclass(frozen=True)
class _Spot:
    """One result of a block: its row and column, and where each view begins for the first one."""

    k: Kernel
    begins: dict[int, Lane]
    place: tuple[int, int]

    def address(self, view: View) -> Lane:
        row = self.k.step(view, self.begins[id(view)], view.strides[-3], self.place[0])
        return self.k.step(view, row, view.strides[-2], self.place[1])


def fits_i16(view: View) -> bool:
    """Whether all codes that a view can hold are numbers of 16 bits with a sign."""
    scalar = view.scalar
    return scalar.is_integer and scalar.min >= -(2**15) and scalar.max < 2**15


def in_order(places: Sequence[int]) -> bool:
    return list(places) == list(range(len(places)))


def any_of(taps: Sequence[int | None]) -> bool:
    """Whether there is a tap."""
    return any(tap is not None for tap in taps)


def planes_of(kernel: Sequence[int], dilation: Sequence[int], pitches: Sequence[Dim]) -> Iterator[Dim]:
    """From the first tap to each in some dimensions, in elements; `pitches` are those of one place."""
    for taps in every(*map(range, kernel)):
        total: Dim = 0
        for tap, d, pitch in zip(taps, dilation, pitches, strict=True):
            total = total + pitch * (tap * d)
        yield total
