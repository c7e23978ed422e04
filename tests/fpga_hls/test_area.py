"""The estimate of what stages take: stages computed by hand, the block RAM table, totals."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner
from hls_designs import job_of
from hls_examples import FAST, job

from irc.backends.fpga_hls import utilisation
from irc.backends.fpga_hls.area import (
    PROCESS,
    Area,
    bram18,
    dot_product,
    fifo,
    product,
    product_luts,
    ram,
    rom,
    select,
    total,
)
from irc.backends.fpga_hls.backend import HLS, Options
from irc.backends.fpga_hls.device import PARTS
from irc.backends.fpga_hls.folding import Budget, fold
from irc.backends.fpga_hls.identifiers import TEMPLATES
from irc.backends.fpga_hls.reports import report, unmet
from irc.backends.fpga_hls.stage import Config, Epilogue, Stage, Statement, Stream
from irc.backends.fpga_hls.stage_area import FORMULAS, area, epilogue, ports
from irc.backends.fpga_hls.types import Code
from irc.backends.fpga_hls.utilisation import bill_of
from irc.cli.lists import targets_command
from irc.ir.location import UNKNOWN

ZCU102 = PARTS["zcu102"]


def stage(template: str, config: Config, found: Epilogue | None = None, depth: int = 16) -> Stage:
    out = Stream(Code(18, True), 100, depth=depth)
    return Stage("s", template, "", UNKNOWN, [out], [out], config=config, epilogue=found)


def operands(weights: int = 4, codes: int = 8, zp: int = 0) -> Config:
    return {
        "acc_bits": 18,
        "x_code": f"Signed<{codes}>",
        "w_code": f"Signed<{weights}>",
        "x_zp": zp,
        "w_zp": 0,
    }


LINEAR: Config = {"rows": 5, "channels_in": 64, "channels_out": 32}
WINDOW: Config = {
    "height": 16,
    "width": 16,
    "kernel_h": 3,
    "kernel_w": 3,
    "stride_h": 1,
    "stride_w": 1,
    "dilation_h": 1,
    "dilation_w": 1,
    "pad_top": 1,
    "pad_left": 1,
    "pad_bottom": 1,
    "pad_right": 1,
}
MATMUL: Config = {
    "blocks": 1,
    "batch": 4,
    "rows": 65,
    "depth": 16,
    "columns": 64,
    "buffers": 2,
    "rows_first": False,
    "x_order": "Order<BATCH, FREE, DEPTH>",
    "w_order": "Order<BATCH, FREE, DEPTH>",
}
NORM: Config = {"rows": 65, "length": 64, "center": True, "eps": 1000, "x_code": "Signed<8>", "shift": 8}
SOFTMAX: Config = {"rows": 260, "length": 65, "frac": 8, "x_code": "Signed<8>"}


# -- memories


@pytest.mark.parametrize(
    ("width", "depth", "blocks"),
    [
        (36, 512, 1),
        (18, 1024, 1),
        (72, 512, 2),
        (36, 1024, 2),
        (32, 2048, 4),
        (1, 16384, 1),
        (9, 2049, 2),
        (10, 512, 1),
    ],
)
def test_block_ram_table(width: int, depth: int, blocks: int):
    assert bram18(width, depth) == blocks
    assert rom(width, depth) == ram(width, depth) == Area(bram18=blocks)


def test_small_memories_are_luts():
    assert rom(64, 64) == Area(lut=64, ff=64)
    assert rom(8, 128) == Area(lut=16, ff=8)
    assert ram(12, 64) == Area(lut=16, ff=12)
    assert ram(12, 1) == Area(ff=12)
    assert fifo(8, 16) == Area(lut=8 + 4, ff=8 + 8)
    assert fifo(8, 64) == Area(lut=12 + 8, ff=12 + 8)
    assert fifo(8, 4096) == Area(lut=24, ff=24 + 8, bram18=2)


# -- products


@pytest.mark.parametrize(
    ("a", "b", "measured"), [(2, 2, 5), (4, 4, 24), (4, 6, 34), (4, 8, 46), (6, 6, 66), (8, 8, 120)]
)
def test_products_in_luts_are_near_the_measured_ones(a: int, b: int, measured: int):
    assert product_luts(a, b) == pytest.approx(measured, rel=0.1, abs=1)


@pytest.mark.parametrize(("w", "measured"), [((4, 4), 54), ((4, 8), 87), ((8, 8), 195)])
def test_dot_products_in_luts_are_near_the_measured_ones(w: tuple[int, int], measured: int):
    assert dot_product(*w, 16, 20).lut / 16 == pytest.approx(measured, rel=0.15)


def test_wide_products_are_dsps():
    assert product(8, 8).dsp == product(4, 18).dsp == product(9, 8).dsp == 0
    assert product(9, 9).dsp == product(8, 19).dsp == product(27, 18).dsp == product(18, 27).dsp == 1
    assert product(20, 25).dsp == product(28, 18).dsp == product(35, 27).dsp == 2
    assert product(36, 27).dsp == 3  # the lower parts are unsigned, 17 bits each
    assert product(47, 47).dsp == 6


# -- stages by hand


def test_linear_stage_by_hand():
    found = area(stage("linear", {**LINEAR, **operands(), "pe": 4, "simd": 8}))
    pack, run, replayed, weights = (116, 164), (8 + 32, 8 + 64), (86, 64), (128, 128)
    products = ((48 + 48) * 32, (12 + 12) * 32 + 4 * 18)
    sums, unpacked, out = (2 + 36, 2 + 72), (100 + 18, 100 + 72), (8 + 9, 8 + 18)
    parts = [pack, run, (100, 100), replayed, weights, products, sums, unpacked, out]
    assert found == Area(lut=sum(lut for lut, _ in parts), ff=sum(ff for _, ff in parts))
    assert found == Area(lut=3715, ff=1640)


def test_wide_weights_take_a_dsp_a_product():
    found = area(stage("linear", {**LINEAR, **operands(16, 16), "pe": 4, "simd": 8}))
    assert found.dsp == 32
    assert found.bram18 == 0  # 64 words of 512 bits are LUTs
    narrow = area(stage("linear", {**LINEAR, **operands(16, 16), "pe": 1, "simd": 1}))
    assert narrow.bram18 == bram18(16, 32 * 64) + bram18(16, 64 + 1) == 2 + 1  # weights, and a run that waits


def test_folding_keeps_to_the_dsps():
    """Products of wide operands end the DSPs before the LUTs."""
    wide = stage("linear", {**LINEAR, **operands(16, 16), "pe": 1, "simd": 1})
    fold([wide], Budget(dsps=20, luts=10**9))
    assert area(wide).dsp == 16
    fold([wide], Budget(dsps=10**9, luts=area(wide).lut))
    assert area(wide).dsp == 16


def test_zero_points_widen_the_lanes():
    plain, centred = (area(stage("linear", {**LINEAR, **operands(zp=zp), "pe": 1, "simd": 1})) for zp in (0, 3))
    assert centred.lut > plain.lut


def test_conv_keeps_lines():
    config: Config = {**WINDOW, "channels_in": 32, "channels_out": 32, "groups": 1, **operands(), "pe": 1, "simd": 8}
    found = area(stage("conv", config))
    lines = (3 + 1) * 16 * 4  # lines x width x packs of 8 codes
    assert found.bram18 == bram18(8 * 8, lines) + bram18(4 * 8, 32 * 9 * 4) == 2 + 3


def test_matmul_doubles_a_memory_for_each_lane():
    config: Config = {**MATMUL, **operands(8), "pe": 1, "simd": 16}
    assert area(stage("matmul", config)).bram18 == 2 * 16
    single = area(stage("matmul", {**config, "buffers": 1}))
    assert single.bram18 == 16
    turned = area(stage("matmul", {**config, "x_order": "Order<FREE, BATCH, DEPTH>"}))
    assert turned.bram18 == 2 * 16 + 2 * 16  # all of x as well


def test_norm_and_softmax_units():
    norm = area(stage("int_norm", NORM))
    assert norm.dsp == 1 + 4 + 1 + 2  # squares 9x9, square of the sum 31x31, scale 17x18, gain 32x16
    assert area(stage("int_norm", {**NORM, "center": False})).dsp == 1 + 1 + 2
    assert area(stage("int_softmax", SOFTMAX)).dsp == 1
    assert area(stage("int_softmax", SOFTMAX)).bram18 == 1  # 145 elements of 16 bits wait for the scale


def test_reorder_replay_and_plain_moves():
    order: Config = {"blocks": 1, "count": 4096, "buffers": 2, "extents": "Dims<64, 64>", "strides": "Dims<1, 64>"}
    out = fifo(18, 16)
    assert area(stage("reorder", order)) == PROCESS * 2 + Area(bram18=4) * 2 + Area(lut=64, ff=32) * 2 + out
    assert area(stage("replay", {"outer": 1, "repeat": 8, "inner": 64})) == PROCESS + ram(18, 64) + out
    assert area(stage("slice", {})) == PROCESS + out


def test_epilogues_count_every_statement():
    requantize = "requantize<Signed<8>, 18>(biased, 16777215, 3)"
    found = Epilogue(
        "Int<19>",
        "acc",
        [
            Statement("Int<20>", "biased", "acc + 7", "add"),
            Statement("Int<8>", "scaled", requantize, "requantize", (20, 25)),
            Statement("Int<8>", "clamped", "clamp<int32_t>(scaled, 0, 127)", "clamp", (8,)),
            Statement("Int<17>", "product", "clamped * skip", "mul", (8, 9)),
        ],
        operands=[("Int<9>", "skip")],
    )
    scaled = Area(lut=20 + 25 + 16, ff=8 + 20 + 25, dsp=2)
    assert epilogue(found) == Area(lut=20, ff=20) + scaled + Area(lut=16, ff=8) + product(8, 9) + Area(ff=17)
    assert epilogue(None) == Area()


def test_float_requantize_takes_a_float_multiplier():
    found = Epilogue("Int<20>", "acc", [Statement("Int<8>", "y", "", "requantize", (20, 32), floating=True)])
    assert epilogue(found).dsp == 3


def test_select_is_a_tree_of_four_to_one():
    assert [select(8, ways).lut for ways in (1, 2, 4, 5, 16)] == [0, 8, 8, 16, 40]


# -- more at once takes more


@pytest.mark.parametrize("weights", [2, 4, 8, 16])
@pytest.mark.parametrize(
    ("template", "config"),
    [
        ("linear", LINEAR),
        ("conv", {**WINDOW, "channels_in": 64, "channels_out": 32, "groups": 1}),
        ("depthwise_conv", {**WINDOW, "channels": 64}),
        ("matmul", MATMUL),
    ],
)
def test_wider_folding_takes_no_fewer_luts_or_dsps(template: str, config: Config, weights: int):
    found = stage(template, {**config, **operands(weights, max(8, weights)), "pe": 1, "simd": 1})
    if template == "depthwise_conv":
        del found.config["simd"]
    for simd in (1, 2, 4, 8):
        last = Area()
        for pe in (1, 2, 4, 8, 16, 32):
            found.set_fold(pe, simd)
            now = area(found)
            assert now.lut >= last.lut
            assert now.dsp >= last.dsp
            last = now


def test_every_template_with_a_memory_has_a_formula():
    text = "".join(path.read_text() for path in TEMPLATES.glob("*.h"))
    assert all(f" {name}(" in text for name in FORMULAS)


# -- designs


@pytest.mark.parametrize("model", FAST)
@pytest.mark.parametrize("part", PARTS)
def test_totals_of_the_examples_are_the_sums_of_their_stages(model: str, part: str):
    given = replace(job(model, FAST[model], 16), target=PARTS[part])
    design = HLS.lower(given)
    summed = total([*map(area, design.stages), ports(design, "m_axi")])
    found = {use.kind: use.used for use in bill_of(design, given.target, "m_axi").uses}
    expected = {"DSP": summed.dsp, "BRAM36": summed.bram36, "LUT": summed.lut, "FF": summed.ff}
    assert found == expected | ({"URAM": 0} if given.target.uram else {})
    told = report(design, bill_of(design, given.target, "m_axi"), 200)
    for kind, amount in (("DSP", summed.dsp), ("BRAM18", summed.bram18), ("LUT", summed.lut), ("FF", summed.ff)):
        assert sum(row[kind] for row in told["layers"]) == amount
    assert len(told["layers"]) == len({row["layer"] for row in told["layers"]})


def test_report_says_what_is_missing():
    design = HLS.lower(job("digits_cnn", "quant8", 16))
    small = replace(ZCU102, name="small", luts=1000, dsps=0)
    summary = report(design, bill_of(design, small, "m_axi"), 200)["summary"]
    luts = sum(area(s).lut for s in design.stages) + ports(design, "m_axi").lut
    largest = max(design.stages, key=lambda s: area(s).lut)
    thousands = f"{luts:,}".replace(",", " ")
    assert summary["LUT, estimated"] == f"{thousands} of 1 000 ({100 * luts / 1000:.0f} %)"
    assert summary["DSP, estimated"].endswith("of 0 (none there)")
    beyond = f"{luts - 1000:,}".replace(",", " ")
    assert f"{beyond} LUT too many, most of them in {largest.name}" in summary["fits small, estimated"]
    roomy = replace(ZCU102, luts=10**9, ffs=10**9, dsps=10**6, bram36=10**6)
    enough = bill_of(design, roomy, "m_axi")
    assert report(design, enough, 200)["summary"]["fits zcu102, estimated"] == "yes"
    assert unmet(design, enough, 200, fps=1.0) == []
    (warning,) = unmet(design, bill_of(design, small, "m_axi"), 200, fps=None)
    assert warning.startswith("the design does not fit small, by the estimate: ")
    assert f"{beyond} LUT too many" in warning
    assert warning.endswith("; it fits zcu102, vck190, u250")
    huge = replace(bill_of(design, small, "m_axi"), beside=Area(lut=10**8))
    (warning,) = unmet(design, huge, 200, fps=None, way_out="style=engine does fit")
    assert warning.endswith("; no part that irc knows has room for it; style=engine does fit")


def test_what_to_do_where_a_style_does_not_fit(tmp_path):
    """Each style says whether the other one fits."""
    few = replace(ZCU102, name="few-luts", luts=80_000)
    given = replace(job("digits_vit", "quant8", 16), target=few, options=Options(style="dataflow", lut=1.0))
    warning, *_ = HLS.emit(given, HLS.lower(given), tmp_path)["unmet"]
    assert warning.endswith("; style=engine does fit")
    given = replace(job("digits_cnn", "quant8", 16), target=PARTS["kv260"], options=Options(style="engine", fps=100.0))
    warning, *_ = HLS.emit(given, HLS.lower(given), tmp_path)["unmet"]
    assert warning.startswith("the engine does not fit kv260, by the estimate: ")
    assert "BRAM36 too many, most of them in tiles; it fits zcu102, vck190, u250" in warning
    assert warning.endswith("; style=dataflow does fit")


def test_streams_as_ports_need_no_adapters():
    design = HLS.lower(job("digits_cnn", "quant8", 16))
    assert ports(design, "m_axi").bram18 - ports(design, "axis").bram18 == 2 * 2


def test_a_faster_design_is_larger():
    module = job("digits_cnn", "quant8", 16).module
    slow, fast = (total(map(area, HLS.lower(job_of(module, fps=fps)).stages)) for fps in (50, 5000))
    assert slow.lut < fast.lut
    assert slow.dsp <= fast.dsp


def test_guide_and_report_show_the_estimate(tmp_path):
    given = job("digits_cnn", "quant8", 16)
    told = HLS.emit(given, HLS.lower(given), tmp_path)
    json.dumps(told)
    assert any("not the result of a synthesis" in note for note in told["notes"])
    guide = (tmp_path / "src/README.md").read_text()
    for use in bill_of(HLS.lower(given), given.target, "m_axi").uses:
        assert f"| {use.kind} | {use.text} | `{use.most}` |" in guide


def test_the_area_of_a_stage_is_taken_once(tmp_path, monkeypatch: pytest.MonkeyPatch):
    given = job("digits_cnn", "quant8", 16)
    design = HLS.lower(given)
    asked: list[str] = []
    monkeypatch.setattr(utilisation, "area", lambda s, factors: asked.append(s.name) or area(s, factors))
    HLS.emit(given, design, tmp_path)
    assert asked == [stage.name for stage in design.stages]


def test_targets_show_their_budgets():
    shown = CliRunner().invoke(targets_command, ["hls"]).output
    row = next(line for line in shown.splitlines() if line.startswith("pynq-z2"))
    assert all(f"{number:,}".replace(",", " ") in row for number in (53_200, 106_400, 220, 140))
