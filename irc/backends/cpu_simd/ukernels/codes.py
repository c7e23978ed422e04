"""Constant weights in as few bits as they need: several codes in a word, taken apart in registers.

A word has the width in which the dot product takes a weight. It holds the codes of consecutive groups, the first in its
lowest bits, each plus an offset that makes it unsigned:

    part i of a word = (word >> bits * i) & mask        the codes of group `parts * word + i`, plus the offset

So a vector of words is one load, and its parts are vectors as the dot product takes them. Where few rows read the
weights, products are taken of the unsigned codes: `sum(x * (w + offset)) - offset * sum(x)`, and the second sum, one a
row, is known before. Where many rows do, a panel is first written out as plain weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from irc.backends.cpu_simd.codegen.lanes import Lane
from irc.backends.cpu_simd.isa import Isa
from irc.backends.cpu_simd.kernel import LINE_BYTES, Kernel
from irc.backends.cpu_simd.ukernels.dots import DotForm
from irc.backends.cpu_simd.ukernels.products import Panels, Tile, panel_widths
from irc.ir.scalars import Array, ScalarType

WIDTHS = (2, 4, 8)
"""Bits that a code may take in a word."""


@dataclass(frozen=True)
class Codes:
    """Weights in words: `bits` each, which hold the weight plus `offset`."""

    form: DotForm
    bits: int
    offset: int

    @property
    def word(self) -> ScalarType:
        """The type of a word in memory."""
        return ScalarType("u", 8 * self.form.b.dtype.itemsize)

    @property
    def parts(self) -> int:
        """Codes in a word."""
        return self.word.bits // self.bits

    def words(self, groups: int) -> int:
        """Words in which so many groups lie."""
        return -(-groups // self.parts)

    def part(self, words: Lane, place: int) -> Lane:
        """The unsigned codes of a part, as lanes of the accumulator's bits."""
        f, kind = words.f, f"i{self.word.bits}"
        lanes = f.bitcast(words, kind, words.lanes * 32 // self.word.bits)
        found = f.lshr(lanes, self.bits * place) if place else lanes
        if place < self.parts - 1:
            found = found & ((1 << self.bits) - 1)
        return f.bitcast(found, "i32", words.lanes)

    def plain(self, words: Lane, place: int) -> Lane:
        """The weights of a part."""
        f, lanes = words.f, words.lanes * 32 // self.word.bits
        kind = f"i{self.word.bits}"
        return f.bitcast(self.part(words, place), kind, lanes) - f.const(self.offset, kind, lanes)


def codes_of(form: DotForm, low: int, high: int) -> Codes | None:
    """How weights from low to high, and 0, lie in words; None if a word holds only one."""
    if not form.b.is_integer:
        return None
    low, high = min(low, 0), max(high, 0)
    for bits in WIDTHS:
        if high - low < 1 << bits and 2 * bits <= 8 * form.b.dtype.itemsize:
            return Codes(form, bits, -low)
    return None


def pack_codes(weights: Array, codes: Codes, panels: Panels, fill: int) -> Array:
    """Weights [columns, depth] as one run of panels, each [words, columns, group]; what is missing is `fill`."""
    columns, depth = weights.shape
    starts = list(panel_widths(columns, panels))
    group, parts = codes.form.group, codes.parts
    margins = ((0, sum(width for _, width in starts) - columns), (0, -depth % (group * parts)))
    padded = np.pad(weights + codes.offset, margins, constant_values=fill).astype(codes.word.dtype)
    packed: list[Array] = []
    for start, width in starts:
        part = np.moveaxis(padded[start : start + width].reshape(width, -1, parts, group), 0, 2)
        words = part[:, 0]
        for place in range(1, parts):
            words = words | (part[:, place] << codes.word.dtype.type(codes.bits * place))
        packed.append(words.reshape(-1))
    return np.concatenate(packed)


HEIGHT = 4
"""Rows of a tile: with more, too few vectors of columns are left."""


CHAINS = 16
"""Sums at a time that hide how long a dot product takes, where registers hold so many."""


def registers(isa: Isa, codes: Codes, height: int) -> int:
    """What is left for accumulators, narrow sums and words: the rest holds a part, a mask, and activations, of which
    the compiler loads those of several parts early."""
    early = codes.parts - 1 if height == 1 else height * codes.parts + 1
    return isa.registers - (2 + early + codes.form.spare + isa.copies)


def few_tile(isa: Isa, codes: Codes, rows: int, columns: int) -> Tile:
    """The widest tile without spills."""
    height = min(rows, HEIGHT)
    most = registers(isa, codes, height) // (height * (1 + (codes.form.flush is not None)) + 1)
    return Tile(height, max(1, min(4, -(-columns // isa.lanes), most)), isa.lanes)


def accumulate_codes(
    k: Kernel, codes: Codes, groups: int, rows: Sequence[Lane], b: Lane, tile: Tile, start: Sequence[Lane]
) -> list[Lane]:
    """The accumulators of a tile, row by row, after all products; `rows` and `b` are addresses, `start` first sums."""
    job = _Words(k, codes, tile)
    chunk = job.chunk
    whole = groups // (codes.parts * chunk)
    acc = [*start, *[k.f.const(0, codes.form.acc, tile.lanes)] * (len(start) * (job.chains - 1))]
    if whole:
        with k.f.loop(0, whole, 1, acc) as loop:
            here = [k.f.at(row, loop.index * (chunk * codes.parts), job.a_bytes) for row in rows]
            words = k.f.at(b, loop.index * chunk, job.b_bytes)
            for line in range(0, chunk * job.b_bytes, LINE_BYTES):
                k.f.prefetch(k.f.at(words, AHEAD + line))
            loop.next(*job.products(here, words, codes.parts * chunk, list(loop.carried)))
        acc = list(loop.results)
    left = groups - whole * chunk * codes.parts
    if left:
        here = [k.f.at(row, whole * chunk * codes.parts, job.a_bytes) for row in rows]
        acc = job.products(here, k.f.at(b, whole * chunk, job.b_bytes), left, acc)
    return [reduce(Lane.__add__, acc[i :: len(start)]) for i in range(len(start))]


@dataclass(frozen=True)
class _Words:
    """Products with weights in words, for one tile.

    Where a tile has few sums, several `chains` of dot products take turns at each: no product waits for the last one.
    """

    k: Kernel
    codes: Codes
    tile: Tile

    @property
    def chunk(self) -> int:
        """Words a round: a few, and no more than narrow sums last for."""
        most = max(PRODUCTS // (self.tile.rows * self.tile.vectors), self.codes.parts)
        return max(1, min(self.codes.form.steps or most, most) // self.codes.parts)

    @property
    def chains(self) -> int:
        """1 for narrow sums, whose additions take a cycle."""
        tile = self.tile
        if self.codes.form.flush is not None:
            return 1
        sums = tile.rows * tile.vectors
        room = (registers(self.k.isa, self.codes, tile.rows) - tile.vectors) // sums
        return max(1, min(self.chunk * self.codes.parts, CHAINS // sums, room))

    @property
    def a_bytes(self) -> int:
        """Bytes of a group of activations."""
        return self.codes.form.group_bytes

    @property
    def b_bytes(self) -> int:
        """Bytes of the words of all columns."""
        return self.tile.columns * self.codes.form.group * self.codes.form.b.dtype.itemsize

    def products(self, rows: Sequence[Lane], b: Lane, groups: int, acc: list[Lane]) -> list[Lane]:
        """The accumulators after so many groups, which are written out."""
        f, form, tile = self.k.f, self.codes.form, self.tile
        none = [f.const(0, form.acc, tile.lanes)] * len(acc)
        for first in range(0, groups, form.steps or groups):
            sums = list(none if form.flush else acc)
            for place in range(first, min(groups, first + (form.steps or groups))):
                sums = self.step([f.at(row, place, self.a_bytes) for row in rows], b, place, sums)
            acc = [form.flush(a, s) for a, s in zip(acc, sums, strict=True)] if form.flush else sums
        return acc

    def step(self, rows: Sequence[Lane], b: Lane, place: int, acc: Sequence[Lane]) -> list[Lane]:
        """One group of products for every result, on the chain whose turn it is."""
        f, form, tile = self.k.f, self.codes.form, self.tile
        items = [f.splat(f.load(row, form.acc, align=1), tile.lanes) for row in rows]
        out = list(acc)
        begin = place % self.chains * tile.rows * tile.vectors
        for v in range(tile.vectors):
            weights = self.part(b, place, v)
            for r, item in enumerate(items):
                i = begin + r * tile.vectors + v
                out[i] = form.apply(acc[i], item, weights)
        return out

    def part(self, b: Lane, place: int, vector: int) -> Lane:
        """The weights of a group, for one vector of columns."""
        f, tile = self.k.f, self.tile
        word, part = divmod(place, self.codes.parts)
        there = f.at(b, word * self.b_bytes + vector * (self.b_bytes // tile.vectors))
        return self.codes.part(f.load(there, "i32", tile.lanes), part)


AHEAD = 4096
"""Bytes in front of the products that are asked for: a page, where a prefetcher of the machine stops."""

PRODUCTS = 16
"""Dot products that are written out in a round: more keep more activations in registers than there are."""


def write_out(k: Kernel, codes: Codes, words: int, b: Lane, to: Lane, vectors: int) -> None:
    """Write a panel of so many words as plain weights [groups, columns, group], of which `vectors` hold a group."""
    f, lanes = k.f, k.isa.lanes
    width = vectors * lanes * 4
    with f.loop(0, words) as loop:
        here, there = f.at(b, loop.index, width), f.at(to, loop.index * codes.parts, width)
        for v in range(vectors):
            vector = f.load(f.at(here, v, lanes * 4), "i32", lanes)
            for part in range(codes.parts):
                f.store(codes.plain(vector, part), f.at(f.at(there, part, width), v, lanes * 4), align=1)
