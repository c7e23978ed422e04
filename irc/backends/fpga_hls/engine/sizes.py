"""Which engine to build: the one that is fastest for a program among those that a part has room for."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from irc.backends.fpga_hls.area import UNCALIBRATED, Factors, total
from irc.backends.fpga_hls.device import Part
from irc.backends.fpga_hls.engine.cost import least_cost
from irc.backends.fpga_hls.engine.footprint import footprint
from irc.backends.fpga_hls.engine.memory import WORD
from irc.backends.fpga_hls.engine.program import CHANNELS, Program, Size
from irc.backends.fpga_hls.folding import Budget
from irc.backends.fpga_hls.utilisation import Bill

AT_ONCE = ((16, 1), (32, 1), (32, 2), (64, 1), (64, 2))
"""Columns and words of depth."""
TILES = ((128, 16), (32, 64), (64, 64), (128, 64), (64, 128), (128, 128), (64, 192), (128, 192))
"""Rows and columns."""
DEPTHS = (16, 32)
"""Words of depth of a tile."""
WORTHWHILE = 1.2
"""A larger engine has to save so much time."""
BLOCK_RAM = 0.9
"""Part of the block RAM that an engine may fill, by the estimate."""


def candidates() -> Iterator[Size]:
    """Sizes whose tiles hold whole groups of columns, and a row of as many channels as vectors have."""
    for (pe, simd), (rows, columns), words in product(AT_ONCE, TILES, DEPTHS):
        size = Size(pe, rows, columns, words, simd)
        if columns % pe == 0 and size.packs * WORD >= CHANNELS:
            yield size


def best_size(program: Program, part: Part, budget: Budget, factors: Factors = UNCALIBRATED) -> Size:
    """The size with least LUTs among those that are nearly as fast as the fastest, within the budget of DSPs and LUTs
    and the block RAM of a part; the one that is least beyond the part if none is within that."""
    sizes = list(candidates())
    areas = {size: total(footprint(size, factors).values()) for size in sizes}
    room = [s for s in sizes if budget.allows(areas[s]) and areas[s].bram36 <= BLOCK_RAM * part.bram36]
    if not room:
        return min(sizes, key=lambda s: (Bill({}, areas[s], part).fullest, areas[s].lut))
    cycles = {s: sum(least_cost(layer, s).cycles for layer in program.layers) for s in room}
    enough = WORTHWHILE * min(cycles.values())
    return min((s for s in room if cycles[s] <= enough), key=lambda s: (areas[s].lut, cycles[s]))
