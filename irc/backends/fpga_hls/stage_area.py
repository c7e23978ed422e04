"""What a stage takes: one formula a template, which counts what its loops hold (`templates/*.h` say which).

A stage also counts the FIFOs that it writes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from irc.backends.fpga_hls.area import (
    DIVIDER,
    FLOAT_REQUANTIZE,
    M_AXI,
    PROCESS,
    SQUARE_ROOT,
    UNCALIBRATED,
    Area,
    Factors,
    dot_product,
    fifo,
    packed_dot_products,
    product,
    ram,
    rom,
    select,
    shifter,
    times_constant,
    total,
)
from irc.backends.fpga_hls.packing import packing_of
from irc.backends.fpga_hls.resources import (
    ROW_LATENCY,
    buffers_x,
    is_blocks,
    kept_lanes,
    kept_tiles,
    multipliers,
    tiles,
    window_counts,
)
from irc.backends.fpga_hls.stage import Design, Epilogue, Rom, Stage, Statement
from irc.backends.fpga_hls.types import narrowest_builtin

# -- epilogues

LUTS_A_BIT = {"clamp": 2, "maximum": 2, "minimum": 2, "abs": 2, "lut": 0}
"""Of the result of an elementwise op: compare and choose. Everything else is one."""


def epilogue(found: Epilogue | None) -> Area:
    """One unit for each statement: results leave a stage one a cycle."""
    return total(map(_statement, found.statements)) if found is not None else Area()


def _statement(statement: Statement) -> Area:
    own = _type_bits(statement.type)
    if statement.floating:
        return FLOAT_REQUANTIZE
    if statement.opname == "requantize":
        rounding = Area(lut=sum(statement.operands) + 2 * own, ff=own)  # the sum of half a unit, and two bounds
        return product(*statement.operands) + rounding
    if statement.opname == "mul":
        return product(*statement.operands) + Area(ff=own)
    if statement.opname in ("shift_left", "shift_right"):
        return shifter(own) + Area(ff=own)
    return Area(lut=LUTS_A_BIT.get(statement.opname, 1) * own, ff=own)


def _type_bits(cpp: str) -> int:
    """Bits of `Int<20>`, `UInt<8>`, `int32_t`, `float`."""
    digits = re.search(r"\d+", cpp)
    return int(digits[0]) if digits else 32


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
    """The multipliers, adder trees and accumulators of dot_products and channel_products.

    Of an N:M mask each multiplier has a choice of M lanes. The last products that share a DSP may be fewer.
    """
    pe, simd = stage.fold
    if stage.packing > 1:
        packing, acc = packing_of(stage), stage.number("acc_bits")
        full, rest = divmod(pe, packing.lanes)
        last = packed_dot_products(replace(packing, lanes=rest), simd, acc) if rest else Area()
        return packed_dot_products(packing, simd, acc) * full + last
    kept, x = kept_lanes(stage, simd), _lane_bits(stage, "x")
    chosen = select(x, stage.simd_step) * kept
    return (dot_product(x, _lane_bits(stage, "w"), kept, stage.number("acc_bits")) + chosen) * pe


def takes_dsps(stage: Stage) -> bool:
    """Whether the products of a stage of sums of products are DSPs even if each is made on its own."""
    return product(_lane_bits(stage, "x"), _lane_bits(stage, "w")).dsp > 0


def _weights(stage: Stage, depth: int) -> Area:
    """The ROM of packed weights, the subtraction of their zero point, and the ROM of places under a mask."""
    pe, simd = stage.fold
    lanes, bits = pe * kept_lanes(stage, simd), _code_bits(stage, "w_code")
    centring = (bits + 1) * lanes if stage.number("w_zp") else 0
    places = Area()
    if "place_code" in stage.config:
        places = rom(lanes * _code_bits(stage, "place_code"), depth)
    return rom(lanes * bits, depth) + Area(lut=centring) + places


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
    if stage.template.endswith("_blocks"):
        kept, runs = kept_tiles(stage), 2 * in_tiles * int(stage.config.get("groups", 1))
        held = fifo(run) + PROCESS + ram(run, runs) + rom(stage.packed("places").code.bits, kept)
        return held + _weights(stage, kept) + _multiply_add(stage) + fifo(sums * pe) + _unpack(stage, sums, pe)
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


def _select(stage: Stage) -> Area:
    """Scores in a memory with two ports, which are compared two by two; a counter; a flag a row."""
    scores, rows = stage.inputs[0].code.bits, stage.number("rows")
    compare = Area(lut=2 * scores + 2 * rows.bit_length(), ff=scores + rows.bit_length())
    return PROCESS * 2 + ram(scores, rows) + compare + fifo(1, rows)


def _select_above(stage: Stage) -> Area:
    """One comparison with a constant, a counter, a flag a row."""
    bits, rows = stage.inputs[0].code.bits, stage.number("rows")
    return PROCESS * 2 + Area(lut=bits + rows.bit_length(), ff=rows.bit_length()) + fifo(1, rows)


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
    "linear_blocks": _linear,
    "linear_nm": _linear,
    "conv": _conv,
    "conv_blocks": _conv,
    "conv_nm": _conv,
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
    "select_rows": _select,
    "select_above": _select_above,
    "concat": _in_turn,
    "split": _in_turn,
}


# -- designs


def module_parts(stage: Stage) -> tuple[Area, Area]:
    """What the function of a stage takes, with its ROMs: sums of products, and all else."""
    tables = total(_plain_rom(r) for r in stage.roms if isinstance(r.values, np.ndarray))
    products = _multiply_add(stage) if multipliers(stage) else Area()
    return products, FORMULAS.get(stage.template, _map)(stage) + tables - products


def area(stage: Stage, factors: Factors = UNCALIBRATED) -> Area:
    """What a stage takes with its ROMs and the FIFOs that it writes."""
    products, rest = module_parts(stage)
    return factors.of(products, rest + total(fifo(s.code.bits, s.depth) for s in stage.outputs))


def ports(design: Design, io: str, factors: Factors = UNCALIBRATED) -> Area:
    """What the ports of the accelerator take: an adapter for memory, a process, and the FIFOs of the inputs."""
    found = (*design.inputs, *design.outputs)
    adapters = (M_AXI if io == "m_axi" else Area()) * len(found)
    fifos = total(fifo(p.stream.code.bits, p.stream.depth) for p in design.inputs)
    return factors.of(Area(), adapters + PROCESS * len(found) + fifos)
