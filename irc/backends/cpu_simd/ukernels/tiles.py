"""The largest tiles that registers hold."""

from __future__ import annotations

from irc.backends.cpu_simd.isa import Isa
from irc.backends.cpu_simd.ukernels.dots import DotForm, loaded_together
from irc.backends.cpu_simd.ukernels.products import Tile
from irc.ir.dims import Dim

HIGHEST = 14
"""Rows of a tile: more save no loads worth their code."""

WIDEST = 4
"""Vectors of a tile."""


def tile_of(isa: Isa, form: DotForm, rows: Dim, columns: Dim) -> Tile:
    """The largest tile without spills: accumulators, one vector of b each, one of a (of each row where a load brings
    several groups), one product."""
    lanes = isa.lanes if form.acc != "double" else isa.lanes // 2
    needed = -(-columns // lanes) if isinstance(columns, int) else WIDEST
    best = Tile(1, 1, lanes)
    for vectors in range(1, min(WIDEST, needed) + 1):
        height = min(fits(isa, form, vectors), rows if isinstance(rows, int) else HIGHEST)
        if height >= 1 and saved(height, vectors) > saved(best.rows, best.vectors):
            best = Tile(height, vectors, lanes)
    return best


def fits(isa: Isa, form: DotForm, vectors: int) -> int:
    """The rows of the highest tile of so many vectors; 0 if there is none."""
    left, row = isa.registers - vectors - form.spare - isa.copies, vectors
    if loaded_together(isa, form) > 1:
        row += 1
    else:
        left -= 1
    return max(0, min(left // row, HIGHEST)) // form.rows * form.rows


def saved(rows: int, vectors: int) -> float:
    """Products of a tile for each vector that it loads."""
    return rows * vectors / (rows + vectors)
