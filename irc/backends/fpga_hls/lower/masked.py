"""How a stage makes use of the mask of its weights: which templates, which ROMs.

Blocks and whole filters are tiles that are left out; of N:M masks only the N are kept, each with its place among the M.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from irc.backends.fpga_hls.lower.common import Tail
from irc.backends.fpga_hls.stage import Config, Rom
from irc.backends.fpga_hls.types import Code
from irc.ir.attrs import Mask
from irc.ir.masks import mask_name
from irc.ir.scalars import Array


@dataclass(frozen=True)
class GroupedWeights:
    """Weights [groups, outputs, inputs, taps] for `linear` (one group, one tap) and `conv`."""

    codes: Array
    code: Code
    zp: int

    def count(self, pe: int, simd: int) -> int:
        return self.codes.size

    def tiles(self, pe: int, simd: int) -> Array:
        """Rows in the order group, output tile, tap, input tile; lane p * simd + s; w_zp outside the matrix."""
        split = _split(self.codes, pe, simd, self.zp)
        return split.transpose(0, 1, 5, 3, 2, 4).reshape(-1, pe * simd)


def _split(weights: Array, pe: int, simd: int, fill: int | bool) -> Array:
    """[groups, output tile, pe, input tile, simd, taps]."""
    groups, outputs, inputs, taps = weights.shape
    padded = np.pad(weights, ((0, 0), (0, -outputs % pe), (0, -inputs % simd), (0, 0)), constant_values=fill)
    return padded.reshape(groups, padded.shape[1] // pe, pe, padded.shape[2] // simd, simd, taps)


@dataclass(frozen=True)
class KeptTiles:
    """The tiles of `weights` in which `kept` has a weight, in their order; of every PE results at least one."""

    weights: GroupedWeights
    kept: Array
    _found: dict[tuple[int, int], Array] = field(default_factory=dict[tuple[int, int], Array])

    @property
    def code(self) -> Code:
        return self.weights.code

    def count(self, pe: int, simd: int) -> int:
        return len(self.order(pe, simd)) * pe * simd

    def order(self, pe: int, simd: int) -> Array:
        """The kept tiles: [tiles, 2], the row of PE results and the pack of the run that each belongs to."""
        if (pe, simd) not in self._found:
            by_tile: Array = np.logical_or.reduce(_split(self.kept, pe, simd, fill=False), axis=(2, 4))
            groups, out_tiles, in_tiles, taps = by_tile.shape
            used = np.transpose(by_tile, (0, 1, 3, 2)).reshape(groups, out_tiles, taps * in_tiles)
            used[..., 0] |= ~used.any(axis=-1)
            group, out, pack = np.argwhere(used).T
            self._found[pe, simd] = np.stack([group * out_tiles + out, group * taps * in_tiles + pack], axis=1)
        return self._found[pe, simd]

    def tiles(self, pe: int, simd: int) -> Array:
        row, pack = self.order(pe, simd).T
        dense = self.weights.tiles(pe, simd)
        run = len(dense) // (1 + int(row[-1]))
        return dense[row * run + pack % run]


@dataclass(frozen=True)
class TilePlaces:
    """Where the tiles belong: twice the pack of the run, plus 1 for the last one of its results."""

    of: KeptTiles

    @property
    def code(self) -> Code:
        """Of the longest run, which is that of one lane."""
        groups, _, inputs, taps = self.of.kept.shape
        return Code((2 * groups * inputs * taps - 1).bit_length(), signed=False)

    def count(self, pe: int, simd: int) -> int:
        return len(self.of.order(pe, simd))

    def tiles(self, pe: int, simd: int) -> Array:
        row, pack = self.of.order(pe, simd).T
        last = np.append(row[1:] != row[:-1], True)
        return (2 * pack + last)[:, None]


@dataclass(frozen=True)
class KeptLanes:
    """Of every m input channels n: weights, or their places, [groups, outputs, inputs / m * n, taps]."""

    kept: GroupedWeights
    n: int
    m: int

    @property
    def code(self) -> Code:
        return self.kept.code

    def count(self, pe: int, simd: int) -> int:
        return self.kept.count(pe, simd)

    def tiles(self, pe: int, simd: int) -> Array:
        return self.kept.tiles(pe, simd // self.m * self.n)


def _kept_lanes(w: GroupedWeights, kept: Array, n: int, m: int) -> tuple[KeptLanes, KeptLanes] | None:
    """The weights that are kept and their places; None if somewhere more than n of m are."""
    groups, outputs, inputs, taps = kept.shape
    margin = ((0, 0), (0, 0), (0, -inputs % m), (0, 0))
    shape = (groups, outputs, -1, m, taps)
    by_group = np.pad(kept, margin).reshape(shape)
    if by_group.sum(axis=3).max() > n:
        return None
    codes = np.pad(w.codes, margin, constant_values=w.zp).reshape(shape)
    places = np.argsort(~by_group, axis=3, kind="stable")[:, :, :, :n]  # those kept first, then any that are 0
    found = np.take_along_axis(codes, places, axis=3)
    compact = (groups, outputs, -1, taps)
    weights = GroupedWeights(found.reshape(compact), w.code, w.zp)
    where = GroupedWeights(places.reshape(compact), Code(max(1, (m - 1).bit_length()), signed=False), 0)
    return KeptLanes(weights, n, m), KeptLanes(where, n, m)


@dataclass(frozen=True)
class Arrangement:
    """The weights of a stage: what its template is called behind its name, its ROMs, further fields of its Config.

    `runs_ahead` says how many runs it reads before it works on one.
    """

    suffix: str
    header: str
    roms: list[Rom]
    config: Config
    runs_ahead: int = 0


def idle(mask: Mask | None, kept: Array | None) -> str:
    """The name of a mask whose zeros are stored and multiplied; empty if there are none."""
    return "" if mask is None or kept is None or np.all(kept) else mask_name(mask)


def arranged(tail: Tail, w: GroupedWeights, mask: Mask | None, kept: Array | None) -> Arrangement:
    """The weights in the form that makes most of their mask; `kept` is a bool a weight.

    A mask that saves nothing is named in the stage.
    """
    found = None
    if mask is not None and kept is not None and not np.any(np.where(kept, 0, w.codes - w.zp)):
        if mask.kind in ("block", "filter"):
            found = _by_tile(tail, w, kept)
        elif mask.kind == "nm":
            found = _by_lane(tail, w, kept, *mask.params)
    if found is not None:
        return found
    tail.idle_mask = idle(mask, kept)
    return Arrangement("", "linear.h", [tail.rom("weights", w)], {"packing": 1})


def _by_tile(tail: Tail, w: GroupedWeights, kept: Array) -> Arrangement:
    tiles = KeptTiles(w, kept)
    roms = [tail.rom("weights", tiles), tail.rom("places", TilePlaces(tiles))]
    return Arrangement("_blocks", "sparse.h", roms, {"packing": 1}, runs_ahead=1)


def _by_lane(tail: Tail, w: GroupedWeights, kept: Array, n: int, m: int) -> Arrangement | None:
    lanes = _kept_lanes(w, kept, n, m) if n < m else None
    if lanes is None:
        return None
    roms = [tail.rom(role, values) for role, values in zip(("weights", "places"), lanes, strict=True)]
    return Arrangement("_nm", "sparse.h", roms, {"simd": m, "n": n, "m": m, "place_code": lanes[1].code.cpp})
