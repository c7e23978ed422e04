"""What a stage takes of a part: LUTs, flip-flops, DSPs, block RAM. An estimate from structure, not a synthesis.

Each formula counts what the loops of one template hold (`templates/*.h` say which): multipliers, adders, memories,
FIFOs, and a fixed amount for the control of each process. A stage also counts the FIFOs that it writes. All constants
of the model stand in this file, with where they come from:

- measured: small blocks through yosys for 7-series (signed products, dot products of 16 terms, ROMs)
- data sheet: the shapes of memories and DSPs (UG473, UG474, UG479, UG573, UG574, UG579)
- FINN: the formulas of its open-source estimator (Blott et al., 2018)
- hls4ml: its rule for which products Vitis HLS puts into LUTs (Fahim et al., 2021)
- assumed: what remains; no measurement stands behind it

Flip-flops are the least certain figure: how often a pipeline is cut follows from the clock, which is not modelled.
URAM is never used so far.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np

from irc.backends.fpga_hls.device import Part
from irc.backends.fpga_hls.resources import ROW_LATENCY, buffers_x, is_blocks, tiles, window_counts
from irc.backends.fpga_hls.stage import Design, Epilogue, Rom, Stage, Statement
from irc.backends.fpga_hls.types import narrowest_builtin


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

    @property
    def bram36(self) -> int:
        """Blocks of 36 Kb, each of which is two of 18 Kb."""
        return tiles(self.bram18, 2)


def total(areas: Iterable[Area]) -> Area:
    return reduce(add, areas, Area())


# -- products

DSP_FROM = 9
"""Bits of the narrower operand from which on a product is a DSP; below it is LUTs, as long as the wider one fits the
narrow port of a DSP. (hls4ml: Vitis HLS puts products with weights below 9 bits into LUTs, unless they are bound to
something else, which the templates do not. The limit for the wider operand is assumed.)"""

DSP_PORTS = (27, 18)
"""Bits of the signed operands of a DSP48E2 (UG579). A DSP48E1 has 25 x 18 (UG479), so an operand of 26 or 27 bits may
take one more there than is counted."""


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


# -- epilogues

LUTS_A_BIT = {"clamp": 2, "maximum": 2, "minimum": 2, "abs": 2, "lut": 0}
"""Of the result of an elementwise op: compare and choose. Everything else is one."""


def epilogue(found: Epilogue | None) -> Area:
    """One unit for each statement: results leave a stage one a cycle."""
    if found is None:
        return Area()
    bits = {found.parameter: _type_bits(found.type), **{name: _type_bits(t) for t, name in found.operands}}
    bits |= {r.name: _value_bits(r) for r in found.roms}
    area = Area()
    for statement in found.statements:
        area += _statement(statement, bits)
        bits[statement.name] = _type_bits(statement.type)
    return area


def _statement(statement: Statement, bits: dict[str, int]) -> Area:
    text, own = statement.expression, _type_bits(statement.type)
    if "requantize_float" in text:
        return FLOAT_REQUANTIZE
    if "requantize<" in text:
        acc, factor = (_operand_bits(t, bits) for t in text[text.index(">(") + 2 :].split(", ")[:2])
        rounding = Area(lut=acc + factor + 2 * own, ff=own)  # the sum of half a unit, and two bounds
        return product(acc, factor) + rounding
    if statement.opname == "mul":
        left, right = (_operand_bits(t, bits) for t in text.split(" * ", 1))
        return product(left, right) + Area(ff=own)
    limits = 2 if "saturate<" in text else LUTS_A_BIT.get(statement.opname, 1)
    return Area(lut=limits * own, ff=own)


def _operand_bits(text: str, bits: dict[str, int]) -> int:
    """Bits of a variable, an element of a ROM, or a literal; of anything else those of int."""
    name = re.match(r"-?\w+", text)
    if name and name[0].lstrip("-").isdecimal():
        return int(name[0]).bit_length() + 1
    return bits.get(name[0], 32) if name else 32


def _type_bits(cpp: str) -> int:
    """Bits of `Int<20>`, `UInt<8>`, `int32_t`, `float`."""
    digits = re.search(r"\d+", cpp)
    return int(digits[0]) if digits else 32


def _value_bits(array: Rom) -> int:
    """Bits of the widest value of a ROM, which is all that synthesis keeps."""
    assert isinstance(array.values, np.ndarray)
    if array.values.dtype.kind == "f":
        return 32
    return max(int(array.values.max()).bit_length(), int(array.values.min()).bit_length()) + 1


def _plain_rom(array: Rom) -> Area:
    """A ROM as it is written: the narrowest builtin type that holds its values."""
    values = array.values
    assert isinstance(values, np.ndarray)
    return rom(32 if values.dtype.kind == "f" else _type_bits(narrowest_builtin(values)), values.size)


# -- parts of stages


def _code_bits(stage: Stage, field: str) -> int:
    """Bits of a code of the configuration, `Signed<8>`."""
    return _type_bits(str(stage.config[field]))


def _lane_bits(stage: Stage, operand: str) -> int:
    """Bits of a code minus its zero point: `Centered` of templates/irc_types.h."""
    code = str(stage.config[f"{operand}_code"])
    exact = code.startswith("Signed") and stage.number(f"{operand}_zp") == 0
    return _type_bits(code) + (0 if exact else 1)


def _pack(bits: int, lanes: int) -> Area:
    """pack_runs: subtract the zero point, choose the lane, hold a pack."""
    return PROCESS + Area(lut=bits + lanes, ff=bits * lanes)


def _unpack(stage: Stage, bits: int, lanes: int) -> Area:
    """unpack_runs: hold a pack, choose its lane, and the epilogue behind it."""
    return PROCESS + Area(ff=bits * lanes) + select(bits, lanes) + epilogue(stage.epilogue)


def _multiply_add(stage: Stage) -> Area:
    """The multipliers, adder trees and accumulators of dot_products and channel_products."""
    pe, simd = stage.fold
    return dot_product(_lane_bits(stage, "x"), _lane_bits(stage, "w"), simd, stage.number("acc_bits")) * pe


def _weights(stage: Stage, depth: int) -> Area:
    """The ROM of packed weights, and the subtraction of their zero point."""
    lanes, bits = math.prod(stage.fold), _code_bits(stage, "w_code")
    centring = (bits + 1) * lanes if stage.number("w_zp") else 0
    return rom(lanes * bits, depth) + Area(lut=centring)


def _lines(stage: Stage, packs: int, width: int) -> Area:
    """sliding_window: the ring of lines, comparisons with the borders, the padding in place of a pack."""
    span = (stage.number("kernel_h") - 1) * stage.number("dilation_h") + 1
    depth = (span + stage.number("stride_h")) * stage.number("width") * packs
    return PROCESS + PROCESS + ram(width, depth) + Area(lut=width, ff=width)


# -- one formula a template


def _dot_products(stage: Stage, in_tiles: int, out_tiles: int) -> Area:
    """linear and conv from the packs on: the run that is replayed, products, results."""
    pe, simd = stage.fold
    run, sums = _lane_bits(stage, "x") * simd, stage.number("acc_bits")
    return (
        fifo(run, in_tiles + 1)
        + PROCESS
        + ram(run, in_tiles)
        + _weights(stage, out_tiles * in_tiles)
        + _multiply_add(stage)
        + fifo(sums * pe)
        + _unpack(stage, sums, pe)
    )


def _linear(stage: Stage) -> Area:
    pe, simd = stage.fold
    in_tiles, out_tiles = tiles(stage.number("channels_in"), simd), tiles(stage.number("channels_out"), pe)
    return _pack(_lane_bits(stage, "x"), simd) + _dot_products(stage, in_tiles, out_tiles)


def _taps(stage: Stage) -> int:
    return stage.number("kernel_h") * stage.number("kernel_w")


def _conv(stage: Stage) -> Area:
    pe, simd = stage.fold
    bits, groups = _lane_bits(stage, "x"), stage.number("groups")
    packs = tiles(stage.number("channels_in") // groups, simd)
    out_tiles = groups * tiles(stage.number("channels_out") // groups, pe)
    window = fifo(bits * simd) + _lines(stage, groups * packs, bits * simd)
    return _pack(bits, simd) + window + _dot_products(stage, _taps(stage) * packs, out_tiles)


def _depthwise_conv(stage: Stage) -> Area:
    pe, _ = stage.fold
    bits, sums = _lane_bits(stage, "x"), stage.number("acc_bits")
    packs = tiles(stage.number("channels"), pe)
    window = fifo(bits * pe) * 2 + _lines(stage, packs, bits * pe)
    products = PROCESS + _weights(stage, packs * _taps(stage)) + _multiply_add(stage)
    return _pack(bits, pe) + window + products + fifo(sums * pe) + _unpack(stage, sums, pe)


def _matmul(stage: Stage) -> Area:
    """The buffers are one memory a lane, `buffers` times."""
    pe, simd = stage.fold
    n = stage.number
    x, w, sums = _lane_bits(stage, "x"), _lane_bits(stage, "w"), n("acc_bits")
    in_tiles = tiles(n("depth"), simd)
    load = PROCESS + PROCESS  # three counters of tiles and lanes
    kept = load + ram(w, n("batch") * tiles(n("columns"), pe) * in_tiles) * (pe * simd * n("buffers"))
    if buffers_x(stage):
        kept += load + ram(x, n("batch") * n("rows") * in_tiles) * (simd * n("buffers")) + PROCESS
    else:
        kept += _pack(x, simd)
    products = fifo(x * simd, in_tiles + 1) + PROCESS + ram(x * simd, in_tiles) + _multiply_add(stage)
    return kept + products + fifo(sums * pe) + _unpack(stage, sums, pe)


def _pool(stage: Stage) -> Area:
    """Results are as wide as codes (max_pool) or sums (sum_pool)."""
    channels = stage.number("channels")
    results = stage.number("acc_bits") if "acc_bits" in stage.config else _code_bits(stage, "x_code")
    step = Area(lut=2 * results, ff=results)  # compare and choose; a sum is one LUT a bit
    if is_blocks(stage):
        return PROCESS + ram(results, window_counts(stage)[1] * channels) + step + epilogue(stage.epilogue)
    pe, _ = stage.fold
    bits = _code_bits(stage, "x_code")
    window = fifo(bits * pe) * 2 + _lines(stage, tiles(channels, pe), bits * pe)
    return _pack(bits, pe) + window + PROCESS + step * pe + fifo(results * pe) + _unpack(stage, results, pe)


def _reduce_sum(stage: Stage) -> Area:
    bits = stage.number("acc_bits")
    return PROCESS + ram(bits, stage.number("inner")) + Area(lut=bits, ff=bits) + epilogue(stage.epilogue)


FACTOR = 17  # bits of a reciprocal, unsigned


def _softmax(stage: Stage) -> Area:
    """Three passes over a row and one reciprocal a row; e x factor is a product of 16 by 17 unsigned bits."""
    code, length = _code_bits(stage, "x_code"), stage.number("length")
    sums = 16 + length.bit_length()
    tops = PROCESS + Area(lut=2 * code, ff=code) + fifo(code) + fifo(code + 1, length + 4)
    look_up = PROCESS + Area(lut=2 * code + sums, ff=code + sums) + fifo(16, length + ROW_LATENCY) + fifo(sums)
    invert = PROCESS + Area(lut=2 * 32) + shifter(32) + DIVIDER + fifo(FACTOR + 4)
    scale = PROCESS + product(17, FACTOR + 1) + shifter(32) + Area(lut=32, ff=32) + epilogue(stage.epilogue)
    return tops + look_up + invert + scale


def _norm(stage: Stage) -> Area:
    """Two passes over a row; a square root, a reciprocal and products of whole-row quantities once a row.

    Widths as in NormShape of templates/norm.h; `reduced` and `z` are int32 there.
    """
    length, code = stage.number("length"), _code_bits(stage, "x_code")
    size = length.bit_length()
    difference, sums, squares = code + 1, code + 1 + size, 2 * code + size
    spread = min(64, 1 + max(squares + size, stage.number("eps").bit_length()))
    deviation = sums + 1
    moments = PROCESS + product(difference, difference) + Area(lut=code + sums + squares, ff=code + sums + squares)
    waiting = fifo(code, length + ROW_LATENCY) + fifo(sums + squares) + fifo(sums + FACTOR + 5 + 6)
    square = product(spread, spread) if stage.config["center"] else Area()
    scaled = times_constant(squares, length) + times_constant(64, length) * 2 + Area(lut=3 * spread, ff=3 * spread)
    mantissa = shifter(64) * 2 + Area(lut=3 * 64)  # two shifts that depend on n, the number of its bits twice
    invert = PROCESS + square + scaled + mantissa + SQUARE_ROOT + DIVIDER
    gains = product(min(32, deviation), FACTOR + 1) + product(32, 16)
    shifts = shifter(deviation) + shifter(32) + Area(lut=4 * 32 + 2 * deviation, ff=4 * 32)
    scale = PROCESS + times_constant(difference, length) + gains + shifts + epilogue(stage.epilogue)
    return moments + waiting + invert + scale


def _reorder(stage: Stage) -> Area:
    """A memory `buffers` times, and a counter with its offset for each dimension."""
    width = stage.outputs[0].code.bits
    rank = str(stage.config["extents"]).count(",") + 1
    memory = ram(width, stage.number("count")) * stage.number("buffers")
    return PROCESS * 2 + memory + Area(lut=2 * 32, ff=32) * rank


def _replay(stage: Stage) -> Area:
    return PROCESS + ram(stage.outputs[0].code.bits, stage.number("inner"))


def _map(stage: Stage) -> Area:
    """Elementwise stages, and those that move data without keeping it."""
    return PROCESS + epilogue(stage.epilogue)


def _in_turn(stage: Stage) -> Area:
    """concat and split: one loop for each stream that takes its turn."""
    return PROCESS * max(len(stage.inputs), len(stage.outputs))


FORMULAS: dict[str, Callable[[Stage], Area]] = {
    "linear": _linear,
    "conv": _conv,
    "depthwise_conv": _depthwise_conv,
    "matmul": _matmul,
    "max_pool": _pool,
    "sum_pool": _pool,
    "reduce_sum": _reduce_sum,
    "int_softmax": _softmax,
    "masked_int_softmax": _softmax,
    "int_norm": _norm,
    "reorder": _reorder,
    "replay": _replay,
    "concat": _in_turn,
    "split": _in_turn,
}


# -- designs


def area(stage: Stage) -> Area:
    """What a stage takes with its ROMs and the FIFOs that it writes."""
    tables = [_plain_rom(r) for r in stage.roms if isinstance(r.values, np.ndarray)]
    written = [fifo(s.code.bits, s.depth) for s in stage.outputs]
    return FORMULAS.get(stage.template, _map)(stage) + total([*tables, *written])


def ports(design: Design, io: str) -> Area:
    """What the ports of the accelerator take: an adapter for memory, a process, and the FIFOs of the inputs."""
    found = (*design.inputs, *design.outputs)
    adapters = (M_AXI if io == "m_axi" else Area()) * len(found)
    return adapters + PROCESS * len(found) + total(fifo(p.stream.code.bits, p.stream.depth) for p in design.inputs)


@dataclass(frozen=True)
class Use:
    """How much of one kind a design takes, of how much there is; `most` names the stage that takes most."""

    kind: str
    used: int
    available: int
    most: str

    @property
    def text(self) -> str:
        share = f"{100 * self.used / self.available:.0f} %" if self.available else "none there"
        return f"{_spaced(self.used)} of {_spaced(self.available)} ({share})"

    @property
    def missing(self) -> int:
        return max(0, self.used - self.available)

    @property
    def verdict(self) -> str:
        """What is missing, for a kind that does not fit."""
        return f"{_spaced(self.missing)} {self.kind} too many, most of them in {self.most}"


def _spaced(number: int) -> str:
    return f"{number:,}".replace(",", " ")


KINDS: dict[str, tuple[Callable[[Area], int], Callable[[Part], int]]] = {
    "DSP": (lambda a: a.dsp, lambda p: p.dsps),
    "BRAM36": (lambda a: a.bram36, lambda p: p.bram36),
    "URAM": (lambda a: a.uram, lambda p: p.uram),
    "LUT": (lambda a: a.lut, lambda p: p.luts),
    "FF": (lambda a: a.ff, lambda p: p.ffs),
}


def uses(design: Design, part: Part, io: str) -> list[Use]:
    """The totals of a design against a part. A kind that the part lacks and the design does without is left out."""
    areas = {stage.name: area(stage) for stage in design.stages}
    everything = total([*areas.values(), ports(design, io)])
    found: list[Use] = []
    for kind, (of_area, of_part) in KINDS.items():
        most = max(areas, key=lambda name: of_area(areas[name]), default="the ports")
        used, available = of_area(everything), of_part(part)
        if used or available:
            found.append(Use(kind, used, available, most))
    return found
