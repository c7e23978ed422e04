"""Which engine to build: the one that is fastest for a program among those that a part has room for."""

from __future__ import annotations

from collections.abc import Iterator

from irc.backends.fpga_hls.area import total
from irc.backends.fpga_hls.device import Part
from irc.backends.fpga_hls.engine.cost import cost
from irc.backends.fpga_hls.engine.footprint import footprint
from irc.backends.fpga_hls.engine.memory import WORD
from irc.backends.fpga_hls.engine.program import CHANNELS, Program, Size
from irc.backends.fpga_hls.folding import Budget

COLUMNS_AT_ONCE = (16, 32, 64, 128)
TILES = ((128, 128), (64, 128), (128, 64), (64, 64), (32, 64), (128, 16))


def candidates() -> Iterator[Size]:
    """Sizes whose tiles hold whole groups of columns, and a row of as many channels as vectors have."""
    for pe in COLUMNS_AT_ONCE:
        for rows, columns in TILES:
            size = Size(pe, rows, columns)
            if columns % pe == 0 and size.packs * WORD >= CHANNELS:
                yield size


def best_size(program: Program, part: Part, budget: Budget) -> Size:
    """The fastest size within the budget of DSPs and LUTs and the block RAM of a part; the smallest if none is."""
    sizes = list(candidates())
    areas = {size: total(footprint(size, part).values()) for size in sizes}
    room = [s for s in sizes if budget.allows(areas[s]) and areas[s].bram36 <= part.bram36]
    if not room:
        return min(sizes, key=lambda s: (areas[s].bram18, areas[s].lut))
    return min(room, key=lambda s: (sum(cost(layer, s).cycles for layer in program.layers), areas[s].lut))
