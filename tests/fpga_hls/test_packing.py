"""Products that share a DSP: how many, that they are the right ones, and that designs with them keep their bits."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hls_designs import SANITIZED, STRICT, ap_types, need_compiler

from irc.backends.fpga_hls.device import DSP_PORTS
from irc.backends.fpga_hls.identifiers import TEMPLATES
from irc.backends.fpga_hls.packing import Packing, most_lanes
from irc.backends.fpga_hls.toolchain import compile_simulation


@pytest.mark.parametrize(
    ("x", "w", "lanes"),
    [
        (8, 8, (3, 4, 4)),  # signed 4 by 4 bits
        (15, 8, (3, 4, 4)),  # unsigned 4 by 4
        (128, 8, (2, 3, 3)),  # 8 by 4
        (255, 8, (2, 3, 3)),
        (128, 128, (2, 2, 2)),  # 8 by 8
        (255, 255, (2, 2, 2)),  # both less a zero point
        (2047, 127, (1, 2, 2)),
        (2**15, 2**15, (1, 1, 1)),
        (2**20, 1, (1, 1, 2)),  # x is too wide for the narrow port of the first two
    ],
)
def test_how_many_products_fit(x: int, w: int, lanes: tuple[int, int, int]):
    found = [most_lanes(Packing(x, w, 1), DSP_PORTS[dsp]) for dsp in ("DSP48E1", "DSP48E2", "DSP58")]
    assert tuple(found) == lanes


def right_products(folder: Path, flags: list[str]) -> None:
    source = Path(__file__).parent / "packing.cpp"
    compile_simulation([source], folder / "program", [*flags, "-O1", f"-I{TEMPLATES}"])
    lines = subprocess.run([folder / "program"], capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(lines) == 9
    for line in lines:
        x, w, lanes, step, factor_bits, tried, wrong = map(int, line.split())
        packing = Packing(x, w, lanes)
        assert (step, factor_bits) == (packing.step, packing.factor_bits)
        assert tried > 0
        assert wrong == 0


@pytest.mark.tool("g++")
def test_the_products_are_right(tmp_path: Path):
    need_compiler()
    right_products(tmp_path, STRICT)


@pytest.mark.slow
@pytest.mark.tool("g++")
@pytest.mark.parametrize("kind", ["sanitized", "vendor"])
def test_the_products_are_right_in_other_types(tmp_path: Path, kind: str):
    need_compiler()
    right_products(tmp_path, [*STRICT, *SANITIZED] if kind == "sanitized" else ["-std=c++14", *ap_types()])
