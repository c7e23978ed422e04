"""Folding: more multipliers where they help, within the budget, the same every time."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hls_designs import job_of
from hls_examples import FAST, job

from irc.backends.base import Job
from irc.backends.fpga_hls.area import Area, total
from irc.backends.fpga_hls.backend import HLS, Options
from irc.backends.fpga_hls.dataflow import build
from irc.backends.fpga_hls.device import Part
from irc.backends.fpga_hls.folding import Budget, fold, lanes_of
from irc.backends.fpga_hls.resources import multipliers, pace
from irc.backends.fpga_hls.stage import Config, Design, Stage, Stream
from irc.backends.fpga_hls.stage_area import area
from irc.backends.fpga_hls.types import Code
from irc.ir.diagnostics import UsageError
from irc.ir.location import UNKNOWN


def unfolded(model: str) -> Design:
    return build(job(model, FAST[model], 16).module.functions["accelerator"])


def spent(design: Design) -> int:
    return sum(map(multipliers, design.stages))


def estimate(design: Design) -> Area:
    return total(map(area, design.stages))


@pytest.mark.parametrize("model", FAST)
def test_a_larger_budget_is_never_slower(model: str):
    paces: list[int] = []
    for luts in (0, 40_000, 80_000, 160_000, 320_000, 10**7):
        design = unfolded(model)
        least = estimate(design).lut
        fold(design.stages, Budget(10**6, luts))
        assert estimate(design).lut <= max(luts, least)
        paces.append(pace(design))
    assert paces == sorted(paces, reverse=True)
    assert paces[-1] < paces[0] / 20


def test_lanes_stay_useful():
    design = unfolded("digits_vit")
    fold(design.stages, Budget(10**6, 10**8))
    for stage in design.stages:
        if stage.foldable:
            assert all(have <= most for have, most in zip(stage.fold, lanes_of(stage), strict=True))


def test_a_target_is_met_with_fewer_multipliers():
    model = job("digits_vit", FAST["digits_vit"], 16).module
    fast, slow = (HLS.lower(job_of(model, fps=fps)) for fps in (None, 500.0))
    assert pace(slow) <= 200e6 / 500
    assert spent(slow) < spent(fast) / 5


def test_the_user_has_the_last_word():
    model = job("digits_vit", FAST["digits_vit"], 16).module
    design = HLS.lower(job_of(model, schedule={"blocks_0_mlp_fc1": "3x5"}))
    stage = next(s for s in design.stages if s.name == "blocks_0_mlp_fc1")
    assert stage.fold == (3, 5)


def test_folding_is_deterministic():
    given = job("digits_cnn", FAST["digits_cnn"], 16)
    folds = [[stage.fold for stage in HLS.lower(given).stages] for _ in range(2)]
    assert folds[0] == folds[1]


def test_the_budget_is_a_part_of_the_device():
    model = job("digits_cnn", FAST["digits_cnn"], 16).module
    part = HLS.find_target("")
    assert estimate(HLS.lower(job_of(model, lut=0.2))).lut <= 0.2 * part.luts
    assert estimate(HLS.lower(job_of(model))).lut <= 0.7 * part.luts


def small_job(**options: object) -> Job[Part, Options]:
    """The digits CNN where LUTs run out."""
    return job_of(job("digits_cnn", FAST["digits_cnn"], 16).module, lut=0.1, **options)  # type: ignore[arg-type]


def test_narrow_products_move_into_dsps_when_luts_run_out():
    design = HLS.lower(small_job())
    slow = HLS.lower(small_job(fps=50.0))
    assert isinstance(design, Design)
    assert isinstance(slow, Design)
    assert {stage.packing for stage in slow.stages} == {1}
    assert {stage.packing for stage in design.stages} == {1, 2}
    assert all(stage.packing == 1 for stage in design.stages if stage.template == "depthwise_conv")
    assert estimate(design).dsp <= 0.8 * HLS.find_target("").dsps


def test_a_schedule_gives_the_same_design():
    design, report = HLS.lower(small_job()), HLS.estimate
    assert report is not None
    told = report(small_job(), design)["schedule"]
    assert any(text.endswith("/2") for text in told.values())
    again = HLS.lower(small_job(schedule=told))
    assert [(s.fold, s.packing) for s in again.stages] == [(s.fold, s.packing) for s in design.stages]


def test_more_products_than_a_dsp_holds():
    with pytest.raises(UsageError) as raised:
        HLS.lower(small_job(schedule={"block1_conv1": "8x4/3"}))
    message = "fold: 3 products of 'block1_conv1' do not fit one DSP of 27 x 18 bits"
    assert message in str(raised.value)
    assert "at most 2" in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("9999x1", "fold: 'block1_conv1' has no 9999 outputs and 1 inputs to work on at once", "at most"),
        ("1x4/2", "fold: 2 products of 'block1_conv1' by one DSP are those of 2 outputs, not of 1", "as many outputs"),
    ],
)
def test_foldings_that_a_layer_cannot_use(text: str, message: str, hint: str):
    with pytest.raises(UsageError) as raised:
        HLS.lower(small_job(schedule={"block1_conv1": text}))
    assert message in str(raised.value)
    assert hint in str(raised.value)


def told(**options: object) -> list[str]:
    given = small_job(**options)
    assert HLS.estimate is not None
    return HLS.estimate(given, HLS.lower(given))["unmet"]


def test_multipliers_that_save_no_cycle_are_said():
    assert told() == []
    design = HLS.lower(small_job())
    assert told(schedule=HLS.estimate(small_job(), design)["schedule"]) == []
    idle, *_ = told(schedule={"head": "10x64"})
    assert idle.startswith("head: 10x64 is no faster than ")
    assert idle.endswith(" cycles a sample; one element a cycle enters and leaves a stage")


def test_a_schedule_that_leaves_nothing_to_others_is_said():
    few = replace(HLS.find_target(""), name="few", dsps=90, luts=20_000)
    given = replace(small_job(schedule={"block1_conv2": "8x8"}), target=few)
    assert HLS.estimate is not None
    *_, warning = HLS.estimate(given, HLS.lower(given))["unmet"]
    assert warning.startswith("the stages of the schedule alone take more than dsp=0.8 lut=0.1 allow: all others ")


def test_wide_products_share_dsps_from_the_start():
    config: Config = {
        "rows": 5,
        "channels_in": 64,
        "channels_out": 32,
        "pe": 1,
        "simd": 1,
        "packing": 1,
        "acc_bits": 30,
    }
    codes: Config = {"x_code": "Signed<10>", "w_code": "Signed<8>", "x_zp": 0, "w_zp": 3}
    out = Stream(Code(8, signed=True), 100)
    stage = Stage("s", "linear", "", UNKNOWN, [out], [out], config={**config, **codes})
    fold([stage], Budget(dsps=16, luts=10**6))
    assert stage.packing == 2
    assert multipliers(stage) == 32
    assert area(stage).dsp == 16
