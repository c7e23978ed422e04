"""Products of floats with constant weights that are codes with scales, one for each group of a column.

    y = sum over groups g of scale[g] * (sum(x * u) - c * sum(x))        weight = scale * (u - c), u unsigned

Codes lie in words (`codes.py`), behind the scales of their group, in the order in which they are read. Words are
shifted down by two parts at a time: `word & mask` of the second one is the code times a power of two, which is taken
back from `x` beforehand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from irc.backends.cpu_simd.codegen.lanes import Lane
from irc.backends.cpu_simd.kernel import Kernel
from irc.backends.cpu_simd.ukernels.codes import AHEAD, HEIGHT, Codes, pack_codes
from irc.backends.cpu_simd.ukernels.products import LINE_BYTES, Panels, Tile, panel_widths
from irc.ir.scalars import Array

CHAINS = 4
"""Sums at a time: more would leave no registers for what is taken out of words."""


@dataclass(frozen=True)
class Scaled:
    """Codes of `depth` rows with a scale for each `group` of them; `centre` is the unsigned code that stands for 0."""

    codes: Codes
    depth: int
    group: int
    centre: float

    @property
    def groups(self) -> int:
        return self.depth // self.group

    @property
    def words(self) -> int:
        """Words of a group, and its scales, which are as wide."""
        return self.codes.words(self.group) + 1

    @property
    def factors(self) -> list[float]:
        """What takes back the place of each part; the last one is shifted down all the way."""
        parts = range(self.codes.parts)
        return [2.0**-self.codes.bits if i % 2 and i < self.codes.parts - 1 else 1.0 for i in parts]

    def pair(self, words: Lane, places: Sequence[int]) -> Iterator[Lane]:
        """The codes of an even part and of the one behind it, times a power of two."""
        f, bits = words.f, self.codes.bits
        lower = f.lshr(words, bits * places[0]) if places[0] else words
        for place in places:
            if place == self.codes.parts - 1:
                found = f.lshr(words, bits * place)
            else:
                found = lower & (((1 << bits) - 1) << (bits * (place % 2)))
            yield f.convert("sitofp", found, "float")


def pack_scaled(weights: Array, scales: Array, scaled: Scaled, panels: Panels) -> Array:
    """Codes [columns, depth] and scales [columns, groups] as panels, each [groups, scales and words, columns]."""
    columns = len(weights)
    parts = [
        pack_codes(weights[:, g * scaled.group : (g + 1) * scaled.group], scaled.codes, panels, 0)
        for g in range(scaled.groups)
    ]
    packed: list[Array] = []
    for start, width in panel_widths(columns, panels):
        for g, words in enumerate(parts):
            some = np.zeros(width, np.float32)
            some[: min(width, columns - start)] = scales[start : start + width, g]
            size = scaled.words - 1
            packed += [some.view(np.uint32), words[start * size : (start + width) * size]]
    return np.concatenate(packed)


def scaled_tile(rows: int, columns: int, lanes: int) -> Tile:
    """As many sums as there may be at a time."""
    height = min(rows, HEIGHT)
    return Tile(height, max(1, min(4, -(-columns // lanes), CHAINS // height)), lanes)


def accumulate_scaled(
    k: Kernel, scaled: Scaled, rows: Sequence[Lane], taken: Sequence[Lane], b: Lane, tile: Tile, start: Sequence[Lane]
) -> list[Lane]:
    """The sums of a tile, row by row. `rows` are addresses of x times `factors`, `taken` of what the centre takes off
    each group, `b` of the panel."""
    f, job = k.f, _Groups(k, scaled, tile)
    with f.loop(0, scaled.groups, 1, start) as loop:
        here = f.at(b, loop.index * scaled.words, job.width)
        first = [f.splat(f.load(f.at(row, loop.index, 4), "float"), tile.lanes) for row in taken]
        at = [f.at(row, loop.index * scaled.group, 4) for row in rows]
        sums = job.sums(at, f.at(here, job.width), first)
        scales = [f.load(f.at(here, v, 4 * tile.lanes), "float", tile.lanes) for v in range(tile.vectors)]
        each = zip(sums, scales * tile.rows, loop.carried, strict=True)
        loop.next(*(scaled.codes.form.apply(total, part, scale) for part, scale, total in each))
    return list(loop.results)


@dataclass(frozen=True)
class _Groups:
    """The products of one group."""

    k: Kernel
    scaled: Scaled
    tile: Tile

    @property
    def width(self) -> int:
        """Bytes of a word of all columns."""
        return 4 * self.tile.columns

    def sums(self, rows: Sequence[Lane], b: Lane, first: Sequence[Lane]) -> list[Lane]:
        """The sums of a tile over a group, before its scales; several chains where there are few sums."""
        f, tile, parts = self.k.f, self.tile, self.scaled.codes.parts
        count = tile.rows * tile.vectors
        chains = max(1, CHAINS // count)
        none = [f.const(0.0, "float", tile.lanes)] * count
        acc = [first[i // tile.vectors] for i in range(count)] + none * (chains - 1)
        whole, left = divmod(self.scaled.group, parts)
        if whole:
            with f.loop(0, whole, 1, acc) as loop:
                there = f.at(b, loop.index, self.width)
                for line in range(0, self.width, LINE_BYTES):
                    f.prefetch(f.at(there, AHEAD + line))
                here = [f.at(row, loop.index * parts, 4) for row in rows]
                loop.next(*self.word(here, there, parts, list(loop.carried)))
            acc = list(loop.results)
        if left:
            acc = self.word([f.at(row, whole * parts, 4) for row in rows], f.at(b, whole, self.width), left, acc)
        while len(acc) > count:
            acc = [x + y for x, y in zip(acc[: len(acc) // 2], acc[len(acc) // 2 :], strict=True)]
        return acc

    def word(self, rows: Sequence[Lane], b: Lane, parts: int, acc: list[Lane]) -> list[Lane]:
        """The sums after so many parts of a word."""
        f, tile = self.k.f, self.tile
        count = tile.rows * tile.vectors
        for pair in range(0, parts, 2):
            places = range(pair, min(parts, pair + 2))
            items = [[f.splat(f.load(f.at(row, p, 4), "float"), tile.lanes) for row in rows] for p in places]
            for v in range(tile.vectors):
                words = f.load(f.at(b, v, 4 * tile.lanes), "i32", tile.lanes)
                for part, weights in zip(places, self.scaled.pair(words, places), strict=True):
                    chain = part % (len(acc) // count) * count
                    for r, item in enumerate(items[part - pair]):
                        place = chain + r * tile.vectors + v
                        acc[place] = self.scaled.codes.form.apply(acc[place], item, weights)
        return acc
