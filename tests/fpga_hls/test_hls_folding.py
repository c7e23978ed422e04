"""Folding: more multipliers where they help, within the budget, the same every time."""

from __future__ import annotations

import pytest
from hls_designs import job_of
from hls_examples import FAST, job

from irc.backends.fpga_hls.area import Area, total
from irc.backends.fpga_hls.backend import HLS
from irc.backends.fpga_hls.dataflow import build
from irc.backends.fpga_hls.folding import Budget, fold, lanes_of
from irc.backends.fpga_hls.resources import multipliers, pace
from irc.backends.fpga_hls.stage import Design
from irc.backends.fpga_hls.stage_area import area


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
