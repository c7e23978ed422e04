"""Depthwise convolution: channels in lanes, every tap a vector of weights.

Codes are multiplied in pairs of taps: two images of neighbouring taps are interleaved, so that one instruction
multiplies both and adds them (`vpmaddwd`); the order of channels that this leaves is undone behind the last tap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product as every

import numpy as np

from irc.backends.cpu_simd.codegen.lanes import Lane
from irc.backends.cpu_simd.epilogue import Epilogue
from irc.backends.cpu_simd.kernel import Axis, Count, Kernel, axes_of
from irc.backends.cpu_simd.lowering import Lowering
from irc.backends.cpu_simd.parts import Part, loops, sizes_of
from irc.backends.cpu_simd.ukernels.dots import DotForm
from irc.backends.cpu_simd.ukernels.products import block_units, row_blocks
from irc.backends.cpu_simd.views import View
from irc.backends.cpu_simd.work import MOVED
from irc.backends.regions import Region
from irc.ir.dims import Dim, equal, mul, product
from irc.ir.graph import Value
from irc.ir.scalars import Array

PIXELS = 4
"""Results of a row that share a vector of weights."""


@dataclass(frozen=True)
class Taps:
    """What is summed. `image` has the dimensions of the arranged result and is the first tap of each; `offsets` lead
    from there to all taps, in elements. `weights` and first sums are packed by `units`."""

    form: DotForm
    image: View
    offsets: Sequence[Dim]
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
        if form.group == 1:
            return Units(lanes, 1, tuple(range(lanes)))
        low, high = (interleaved(lanes, part) for part in (0, 1))
        return Units(2 * lanes, 2, tuple(place for place in (*low[::2], *high[::2])))

    def packed(self, rows: Array) -> Array:
        """[..., channels] as [units, ..., lanes] in the order of the lanes."""
        channels = rows.shape[-1]
        padded = np.pad(rows, [*[(0, 0)] * (rows.ndim - 1), (0, -channels % self.channels)])
        split = padded.reshape(*rows.shape[:-1], -1, self.channels)[..., list(self.order)]
        return np.ascontiguousarray(np.moveaxis(split, -2, 0))


def interleaved(lanes: int, part: int) -> list[int]:
    """Places of `a0 b0 a1 b1 ...` for 16-bit elements, as one instruction does it: within 128 bits, low or high half.

    a and b have 2 * lanes elements; those of b count on from there.
    """
    out: list[int] = []
    for block in range(0, 2 * lanes, 8):
        for place in range(4):
            element = block + 4 * part + place
            out += [element, element + 2 * lanes]
    return out


def pack_taps(weights: Array, form: DotForm, units: Units) -> Array:
    """Weights [channels, taps] as [units, pairs of taps, lanes, group]."""
    channels, taps = weights.shape
    padded = np.pad(weights, ((0, 0), (0, -taps % form.group))).reshape(channels, -1, form.group)
    packed = units.packed(padded.transpose(1, 2, 0))  # [units, groups, group, lanes]
    return np.ascontiguousarray(packed.transpose(0, 1, 3, 2)).astype(form.b.dtype)


def lower_taps(cx: Lowering, region: Region, job: Taps, epilogue: Epilogue) -> None:
    """Add the kernel of a region."""
    assert region.anchor is not None
    out = epilogue.out
    views = [*epilogue.views, job.image]
    rows = range(len(out.shape) - 1)
    axes = axes_of(tuple(out.shape[i] for i in rows), [v.permuted(list(rows)) for v in views])
    *outer, inner = axes or [Axis(1, tuple(0 for _ in views))]
    work = mul(product(out.shape), len(job.offsets) + MOVED)
    with cx.kernel(f"depthwise_{out.shape[-1]}_{len(job.offsets)}", region.loc, region.result, work=work) as k:
        at = [k.pointer(v) for v in views]
        epilogue.start(k)
        body = _Rows(k, job, epilogue, views, inner, k.pointer(job.weights), job.start and k.pointer(job.start))
        part = Part.of(k, [*sizes_of(outer), block_units(inner.size, PIXELS)])
        with loops(part, outer, views, at) as (row, begins):
            body.run(row, begins)


@dataclass(frozen=True)
class _Rows:
    """The loops over a row and over units of channels; addresses are in the order of `views`."""

    k: Kernel
    job: Taps
    epilogue: Epilogue
    views: Sequence[View]
    axis: Axis
    weights: Lane
    start: Lane | None

    def run(self, part: Part, at: Sequence[Lane]) -> None:
        k, units = self.k, self.job.units
        channels = self.epilogue.out.shape[-1]
        assert isinstance(channels, int)
        whole, rest = divmod(channels, units.channels)
        for first, stop, pixels in row_blocks(part, self.axis.size, PIXELS):
            with k.f.loop(first, stop, pixels) as row:
                begins = [
                    k.step(view, begin, stride, row.index)
                    for view, begin, stride in zip(self.views, at, self.axis.strides, strict=True)
                ]
                if whole:
                    with k.f.loop(0, whole) as loop:
                        self.unit(begins, loop.index, pixels, units.channels)
                if rest:
                    self.unit(begins, k.f.const(whole, "i64"), pixels, rest)

    def unit(self, at: Sequence[Lane], unit: Lane, pixels: int, channels: Count) -> None:
        """Some pixels of some channels: sums, epilogue, store."""
        k, job, units = self.k, self.job, self.job.units
        strides = dict(zip(map(id, self.views), self.axis.strides, strict=True))
        begins = {
            id(view): k.step(view, begin, view.strides[-1], unit * units.channels)
            for view, begin in zip(self.views, at, strict=True)
        }

        def pixel(view: View, place: int) -> Lane:
            return k.step(view, begins[id(view)], strides[id(view)], place)

        sums = self.sums([pixel(job.image, p) for p in range(pixels)], unit, channels)
        same = {value for value, view in self.epilogue.inputs.items() if equal(strides[id(view)], 0) is True}
        seen: list[dict[Value, Lane]] = [{} for _ in range(units.vectors)]
        lanes = units.channels // units.vectors
        for place, vectors in enumerate(sums):
            for v, acc in enumerate(vectors):
                if not isinstance(channels, int) or v * lanes < channels:
                    self.epilogue.vector(k, acc, partial(pixel, place=place), v * lanes, channels, same, seen[v])

    def sums(self, pixels: Sequence[Lane], unit: Lane, channels: Count) -> list[list[Lane]]:
        """The sums of each pixel, in vectors of channels in their order."""
        k, f, job, units = self.k, self.k.f, self.job, self.job.units
        form, lanes = job.form, units.channels // units.vectors
        word = lanes * form.acc_bytes
        groups = -(-len(job.offsets) // form.group)
        weights = f.at(self.weights, unit, groups * units.vectors * word)
        if self.start is None:
            zero = [f.const(0, form.acc, lanes)] * units.vectors
        else:
            start = f.at(self.start, unit, units.vectors * word)
            zero = [f.load(f.at(start, v, word), form.acc, lanes) for v in range(units.vectors)]
        acc = [list(zero) for _ in pixels]
        for group in range(groups):
            offsets = job.offsets[group * form.group : (group + 1) * form.group]
            row = f.at(weights, group, units.vectors * word)
            vectors = [f.load(f.at(row, v, word), form.acc, lanes) for v in range(units.vectors)]
            for place, pixel in enumerate(pixels):
                taps = [self.tap(k.step(job.image, pixel, offset, 1), channels) for offset in offsets]
                words = self.words(taps)
                acc[place] = [form.apply(a, x, w) for a, x, w in zip(acc[place], words, vectors, strict=True)]
        return [self.ordered(vectors) for vectors in acc]

    def tap(self, at: Lane, channels: Count) -> Lane:
        """A unit of channels of one tap, in the type that is multiplied."""
        k, units, form = self.k, self.job.units, self.job.form
        found = k.load_part(self.job.image, at, 1, 0, units.channels, channels)
        return found if form.group == 1 else k.f.convert("trunc", found, "i16")

    def words(self, taps: Sequence[Lane]) -> list[Lane]:
        """Taps as the words that a dot product takes."""
        f, units = self.k.f, self.job.units
        if self.job.form.group == 1:
            return [taps[0]]
        lanes = units.channels // 2
        other = taps[1] if len(taps) > 1 else taps[0]  # its weight is zero
        return [f.bitcast(f.shuffle(taps[0], other, interleaved(lanes, part)), "i32", lanes) for part in (0, 1)]

    def ordered(self, vectors: Sequence[Lane]) -> list[Lane]:
        """Vectors with their channels in order."""
        f, units = self.k.f, self.job.units
        if units.vectors == 1:
            return list(vectors)
        lanes = units.channels // 2
        place = {channel: lane for lane, channel in enumerate(units.order)}
        return [
            f.shuffle(vectors[0], vectors[1], [place[part * lanes + lane] for lane in range(lanes)])
            for part in range(2)
        ]


def tap_offsets(kernel: Sequence[int], dilation: Sequence[int], strides: Sequence[Dim]) -> list[Dim]:
    """From the first tap to each, in elements; `strides` are those of the spatial dimensions."""
    offsets: list[Dim] = []
    for tap in every(*map(range, kernel)):
        total: Dim = 0
        for place, d, stride in zip(tap, dilation, strides, strict=True):
            total = total + stride * (place * d)
        offsets.append(total)
    return offsets
