"""Amounts of what an FPGA has, and what multipliers, memories, FIFOs and other parts of a stage take of them.

An estimate from structure, not a synthesis. `stage_area.py` puts these parts together as the templates do. All
constants of the model stand in this file, with where they come from; docs/hls-estimates.md says which of them
measurements stand behind:

- measured: small blocks through yosys for 7-series (signed products, dot products of 16 terms, ROMs)
- data sheet: the shapes of memories and DSPs (UG473, UG474, UG479, UG573, UG574, UG579)
- FINN: the formulas of its open-source estimator (Blott et al., 2018)
- hls4ml: its rule for which products Vitis HLS puts into LUTs (Fahim et al., 2021)
- assumed: what remains; no measurement stands behind it

Flip-flops are the least certain figure: how often a pipeline is cut follows from the clock, which is not modelled.
URAM is never used so far. `irc calibrate` fits three factors of the whole (`Factors`) to a user's own synthesis.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import reduce
from operator import add

from irc.backends.fpga_hls import device
from irc.backends.fpga_hls.packing import Packing
from irc.backends.fpga_hls.resources import tiles


@dataclass(frozen=True)
class Area:
    """Amounts of what a part has; BRAM in blocks of 18 Kb."""

    lut: int = 0
    ff: int = 0
    dsp: int = 0
    bram18: int = 0
    uram: int = 0

    def __add__(self, other: Area) -> Area:
        return Area(
            self.lut + other.lut,
            self.ff + other.ff,
            self.dsp + other.dsp,
            self.bram18 + other.bram18,
            self.uram + other.uram,
        )

    def __mul__(self, times: int) -> Area:
        return Area(self.lut * times, self.ff * times, self.dsp * times, self.bram18 * times, self.uram * times)

    def __sub__(self, other: Area) -> Area:
        return self + other * -1

    @property
    def bram36(self) -> int:
        """Blocks of 36 Kb, each of which is two of 18 Kb."""
        return tiles(self.bram18, 2)


def total(areas: Iterable[Area]) -> Area:
    return reduce(add, areas, Area())


@dataclass(frozen=True)
class Factors:
    """What LUTs and flip-flops of the formulas are multiplied by: a calibration to what a synthesis reports."""

    products: float = 1.0  # LUTs of sums of products
    logic: float = 1.0  # all other LUTs
    ff: float = 1.0

    def of(self, products: Area, rest: Area) -> Area:
        """Both together."""
        both = products + rest
        return replace(
            both,
            lut=round(products.lut * self.products + rest.lut * self.logic),
            ff=round(both.ff * self.ff),
        )


UNCALIBRATED = Factors()


# -- products

DSP_FROM = 9
"""Bits of the narrower operand from which on a product is a DSP; below it is LUTs, as long as the wider one fits the
narrow port of a DSP. (hls4ml: Vitis HLS puts products with weights below 9 bits into LUTs, unless they are bound to
something else, which the templates do not. The limit for the wider operand is assumed.)"""

DSP_PORTS = device.DSP_PORTS["DSP48E2"]
"""Single products are counted by it on every part: one of 26 or 27 bits may take one more DSP48E1 than that."""


def product(a: int, b: int) -> Area:
    """A product of two numbers of so many bits, signed; its sum is not included."""
    narrow, wide = sorted((a, b))
    if narrow < DSP_FROM and wide <= DSP_PORTS[1]:
        return Area(lut=product_luts(a, b), ff=a + b)
    pairs = ((narrow, wide), (wide, narrow))
    dsps = min(math.prod(map(_chunks, pair, DSP_PORTS)) for pair in pairs)
    return Area(dsp=dsps, ff=0 if dsps == 1 else a + b)


def product_luts(a: int, b: int) -> int:
    """LUTs of a signed product: one row of adders less than the narrower operand has bits, two LUTs a bit.

    Measured: 2x2 5, 4x4 24, 4x6 34, 4x8 46, 6x6 66, 8x8 120; this gives 4, 24, 36, 48, 60, 112.
    """
    narrow, wide = sorted((a, b))
    return 2 * (narrow - 1) * wide if narrow > 1 else wide


def _chunks(bits: int, port: int) -> int:
    """Ports that an operand needs: the lower ones hold unsigned parts, which are a bit shorter."""
    return 1 + max(0, -(-(bits - port) // (port - 1)))


def times_constant(bits: int, factor: int) -> Area:
    """A product with a constant: an adder for each further digit of the constant."""
    return Area(lut=bits * max(0, factor.bit_count() - 1))


def dot_product(x: int, w: int, simd: int, acc: int) -> Area:
    """`simd` products of x by w bits and their sum with an accumulator of `acc` bits.

    Measured, a product with its part of the adder tree: 4x4 54, 4x8 85 to 89, 8x8 191 to 200; this gives 56, 96, 176.
    Behind DSPs the tree is taken as plain carry chains, one LUT a bit (UG474).
    """
    one = product(x, w)
    tree = 4 * (x + w) if one.dsp == 0 else min(acc, x + w + math.ceil(math.log2(simd)))
    return (one + Area(lut=tree, ff=min(acc, x + w))) * simd + Area(ff=acc)


def packed_dot_products(packing: Packing, simd: int, acc: int) -> Area:
    """As many dot products as the packing has lanes: one DSP for each of the `simd` products that share a factor.

    Beside the DSP: a carry chain that puts the wide factor together, signs, and half of what gives back to lanes, since
    the tree takes that up. Measured through yosys for UltraScale+, 16 terms: four of 4x4 bits 1383, three of 9x4 1236,
    two of 9x8 944, two of 9x9 1017; this gives 1264, 1216, 912, 960.
    """
    lanes, bits = packing.lanes, packing.step + 1
    apart = 0 if lanes == 1 else packing.factor_bits - packing.step + (lanes - 1) * (packing.step // 2 + 1)
    tree = min(acc, bits + math.ceil(math.log2(simd)))
    return (Area(lut=apart, dsp=1) + Area(lut=tree, ff=min(acc, bits)) * lanes) * simd + Area(ff=acc) * lanes


# -- memories

BRAM18_SHAPES = ((1, 16384), (2, 8192), (4, 4096), (9, 2048), (18, 1024), (36, 512))
"""Widths and depths of a RAMB18 with one write and one read port (UG473, UG573)."""

LUT_MEMORY_BITS = 1024  # FINN: up to so many bits, or so few words, a memory is LUTs
LUT_MEMORY_DEPTH = 64


def bram18(width: int, depth: int) -> int:
    """Blocks of 18 Kb for `depth` words, in the shape that takes least.

    Measured: 512 words of 36 bits 1, 1024 of 18 1, 512 of 72 and 1024 of 36 2, 2048 of 32 4.
    """
    return min(tiles(width, w) * tiles(depth, d) for w, d in BRAM18_SHAPES)


def _in_luts(width: int, depth: int) -> bool:
    return depth <= LUT_MEMORY_DEPTH or width * depth <= LUT_MEMORY_BITS


def rom(width: int, depth: int) -> Area:
    """A ROM with one port: a LUT holds 64 bits (UG474)."""
    if _in_luts(width, depth):
        return Area(lut=width * tiles(depth, 64), ff=width)
    return Area(bram18=bram18(width, depth))


def ram(width: int, depth: int) -> Area:
    """A RAM with one write and one read port: four LUTs hold 64 words of three bits (RAM64M, UG474)."""
    if depth <= 1:
        return Area(ff=width * depth)
    if _in_luts(width, depth):
        return Area(lut=tiles(4 * width * tiles(depth, 64), 3), ff=width)
    return Area(bram18=bram18(width, depth))


FIFO = 2
"""hls::stream holds so many elements unless a pragma says otherwise (UG1399)."""


def fifo(width: int, depth: int = FIFO) -> Area:
    """A FIFO: shift registers of two bits a LUT where it is small, and counters (FINN); otherwise block RAM."""
    counters = 2 * math.ceil(math.log2(max(2, depth)))
    control = Area(lut=counters, ff=counters + width)
    if _in_luts(width, depth):
        return control + Area(lut=tiles(width, 2) * tiles(depth, 32))
    return control + Area(bram18=bram18(width, depth))


# -- logic

PROCESS = Area(lut=100, ff=100)
"""Loop counters, handshakes and states of a process (FINN: 300 LUTs for a unit of three loops; FFs assumed equal)."""

M_AXI = Area(lut=580, ff=512, bram18=2)
"""The adapter of a memory port (assumed; of the size that HLS reports print for a port of 32 bits)."""

DIVIDER = Area(lut=8 * 32, ff=12 * 32)
"""A sequential divider of 32 bits (assumed; of the size that HLS reports print for one)."""

SQUARE_ROOT = Area(lut=16 * 2 * 32, ff=16 * 32)
"""isqrt: 16 steps, each a compare and a subtraction of 32 bits; a register behind each is assumed."""

FLOAT_REQUANTIZE = Area(lut=800, ff=800, dsp=3)
"""A float product with both conversions and rounding (assumed; the DSPs as in UG1399)."""


def select(bits: int, ways: int) -> Area:
    """One of several words: a LUT6 chooses among four bits (UG474)."""
    return Area(lut=bits * tiles(max(0, ways - 1), 3))


def shifter(bits: int) -> Area:
    """A shift by any distance: two binary stages a LUT."""
    return Area(lut=bits * tiles(math.ceil(math.log2(bits)), 2))
