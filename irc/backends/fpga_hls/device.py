"""FPGA parts and what they have."""

from __future__ import annotations

from dataclasses import dataclass

DSP_PORTS = {"DSP48E1": (25, 18), "DSP48E2": (27, 18), "DSP58": (27, 24)}
"""Bits of the two signed factors that each kind of DSP takes (UG479, UG579, AM004)."""


@dataclass(frozen=True)
class Part:
    """A part as the data sheet counts it: BRAM in blocks of 36 Kb, URAM in blocks of 288 Kb, DSPs of the kind `dsp`.

    `fastest` is a clock in MHz, rounded up, that block RAM of the speed grade does not go beyond (DS187, DS923, DS925).
    """

    name: str
    summary: str
    part: str  # what the vendor tool calls it
    luts: int
    ffs: int
    dsps: int
    bram36: int
    uram: int = 0
    dsp: str = "DSP48E2"
    fastest: float = 750.0


PARTS = {
    part.name: part
    for part in (
        Part("zcu102", "Zynq UltraScale+ ZU9EG", "xczu9eg-ffvb1156-2-e", 274_080, 548_160, 2_520, 912),
        Part("kv260", "Kria K26, Zynq UltraScale+ ZU5EV", "xck26-sfvc784-2LV-c", 117_120, 234_240, 1_248, 144, 64),
        Part("pynq-z2", "Zynq-7020", "xc7z020clg400-1", 53_200, 106_400, 220, 140, dsp="DSP48E1", fastest=400.0),
        Part(
            "u250",
            "Alveo U250, Virtex UltraScale+ XCU13P",
            "xcu250-figd2104-2L-e",
            1_728_000,
            3_456_000,
            12_288,
            2_688,
            1_280,
        ),
        Part(
            "vck190",
            "Versal AI Core VC1902, without its AI engines",
            "xcvc1902-vsva2197-2MP-e-S",
            899_840,
            1_799_680,
            1_968,
            967,
            463,
            "DSP58",
            fastest=1000.0,
        ),
    )
}
DEFAULT = "zcu102"
