"""What an engine takes of a part: one formula a process, which counts what its loops and memories hold.

The templates (engine*.h) say which; parts and constants are those of `area.py`. Memories between processes are there
twice.
"""

from __future__ import annotations

from irc.backends.fpga_hls.area import (
    DIVIDER,
    M_AXI,
    PROCESS,
    SQUARE_ROOT,
    UNCALIBRATED,
    Area,
    Factors,
    packed_dot_products,
    product,
    ram,
    select,
    shifter,
)
from irc.backends.fpga_hls.engine.memory import WORD
from irc.backends.fpga_hls.engine.program import CHANNELS, PARAMETERS, REGISTERS, TABLE, Size
from irc.backends.fpga_hls.packing import Packing

LANE = 9
"""Bits of a code minus its zero point."""

PAIR = Packing(255, 255, 2)
"""Products that share a DSP (templates/engine_gemm.h): of codes of 8 bits less their zero points."""

TWICE = 2
"""Copies of a memory between two processes: one is filled while the other is read."""

INDEX_BITS = 12
"""Of a row, of which there are at most CHANNELS."""

PRODUCTS = "multipliers"
"""The part that is sums of products."""


def footprint(size: Size, factors: Factors = UNCALIBRATED) -> dict[str, Area]:
    """What each part of an engine takes."""
    none = Area()
    parts = formulas(size).items()
    return {name: factors.of(found, none) if name == PRODUCTS else factors.of(none, found) for name, found in parts}


def formulas(size: Size) -> dict[str, Area]:
    """The same without calibration."""
    return {
        "tiles": _between(size),
        PRODUCTS: _array(size),
        "loads and stores": _memory_processes(),
        "steps": _steps(size),
        "rows": _rows(size),
        "ranks": _ranks(size),
        "folds": (PROCESS + product(LANE, LANE) * WORD + Area(lut=4 * 32, ff=32) * WORD),
        "moves": PROCESS + _addresses(6) * 2,
        "ports": M_AXI * (6 * 4 + 2),  # six of 128 bits, two of 8; M_AXI is one of 32
    }


def _banks(width: int, depth: int, banks: int = WORD) -> Area:
    return ram(width, depth) * banks


def _between(size: Size) -> Area:
    """The memories between the processes, and what the front keeps from tile to tile."""
    columns = size.pe // WORD  # packs of columns that are there at once
    results = _banks(32, size.packs // columns, WORD * columns)
    return (
        _banks(LANE, size.rows * size.turns, size.simd * WORD) * TWICE
        + _banks(32, size.packs) * (4 * TWICE)  # elements, second, third, out
        + _banks(1, size.packs) * TWICE
        + _banks(LANE, size.groups * size.turns, size.multipliers) * TWICE
        + results * (TWICE + 1)
        + _banks(32, (2 + PARAMETERS) * CHANNELS // WORD) * TWICE
        + _banks(32, TABLE) * (2 * TWICE)
    )


def _array(size: Size) -> Area:
    """Products of PAIR, the trees of a word of them each, and 32-bit sums."""
    word = packed_dot_products(PAIR, WORD, 32) * (size.multipliers // (PAIR.lanes * WORD))
    return PROCESS + word + Area(lut=32, ff=32) * size.pe


def _addresses(products: int) -> Area:
    """Products of counters with pitches, and their sum."""
    return (product(32, 32) + Area(lut=32, ff=64)) * products


def _memory_processes() -> Area:
    """Seven loops over words, each behind three divisions, with a place in memory and bytes to sort."""
    one = PROCESS + DIVIDER * 3 + _addresses(3) + select(8, 4) * WORD
    return one * 7


def _steps(size: Size) -> Area:
    lane = product(33, 32) + shifter(64) + Area(lut=64 + 2 * 64 + 8 * 32 + 3 * 12 * 32, ff=4 * 64)
    return PROCESS + lane * WORD + _banks(32, size.packs, WORD * REGISTERS)


def _rows(size: Size) -> Area:
    """Softmax and norm; dividers and the root start with a new row in every cycle."""
    pipelined = (DIVIDER + SQUARE_ROOT) * 2
    softmax = (product(17, 18) + shifter(32) + Area(lut=4 * 32, ff=4 * 32)) * WORD
    lane = product(17, 17) + product(17, 13) + product(32, 18) + product(17, 17)
    norm = (lane + shifter(48) + shifter(32) + Area(lut=6 * 40, ff=6 * 40)) * WORD
    spread = product(48, 17) + product(40, 40) + product(64, 17) * 2 + shifter(64) * 3
    kept = _banks(16, size.packs) + ram(64, size.rows) * 6
    return PROCESS * 7 + pipelined + softmax + norm + spread + kept


def _ranks(size: Size) -> Area:
    """A score is compared with a pack of others; the indices that are found are kept for a tile of rows."""
    compare = Area(lut=2 * 32 + 2 * INDEX_BITS, ff=32 + INDEX_BITS) * WORD
    chosen = select(32, WORD) + ram(32, size.rows)
    return PROCESS * 3 + compare + chosen + Area(lut=2 * WORD, ff=WORD)
