"""Masks of weights in hardware: what they save, the same bits, and what is said where they save nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hls_designs import design_of, job_of, legalised, need_compiler
from hls_examples import IMAGES, differing, job

from irc.backends.fpga_hls.backend import HLS
from irc.backends.fpga_hls.backend import lower as folded_design
from irc.backends.fpga_hls.reports import idle_masks
from irc.backends.fpga_hls.resources import LINEAR, cycles, multipliers, pace
from irc.backends.fpga_hls.stage import Design, Stage
from irc.backends.fpga_hls.stage_area import area
from irc.ir.diagnostics import UsageError
from irc.ir.parser import parse

PAIRS, BLOCKS = "prune{kind=2:4},quant8", "prune{kind=block:4x4 sparsity=0.7},quant8"
FILTERS = "prune{kind=filter sparsity=0.5},quant8"


def folded_alike(preset: str, size: str) -> dict[str, Stage]:
    """The inner layers of the digits ViT, all folded by hand to the same size."""
    module = job("digits_vit", preset, 16).module
    inner = [s.name for s in design_of(module).stages if s.name.startswith("blocks") and s.template in LINEAR]
    design = folded_design(job_of(module, schedule=dict.fromkeys(inner, size)))
    return {s.name: s for s in design.stages if s.name in inner}


@pytest.mark.tool("g++")
@pytest.mark.parametrize(
    ("model", "preset"), [("digits_cnn", BLOCKS), pytest.param("digits_vit", PAIRS, marks=pytest.mark.slow)]
)
@pytest.mark.usefixtures("unoptimized")
def test_first_images(tmp_path: Path, model: str, preset: str):
    need_compiler()
    given = job(model, preset, 16)
    HLS.emit(given, HLS.lower(given), tmp_path)
    assert differing(given, tmp_path, 16) == []


@pytest.mark.slow
@pytest.mark.tool("g++")
@pytest.mark.parametrize(
    "preset", [PAIRS, BLOCKS, BLOCKS.replace("quant8", "quant4"), "prune{kind=filter sparsity=0.5},quant8"]
)
@pytest.mark.parametrize("model", ["digits_vit", "digits_cnn"])
def test_whole_test_split(tmp_path: Path, model: str, preset: str):
    need_compiler()
    given = job(model, preset, 10_000)
    HLS.emit(given, HLS.lower(given), tmp_path)
    assert differing(given, tmp_path, len(IMAGES)) == []


def test_blocks_save_cycles():
    dense, sparse = (folded_alike(preset, "4x4") for preset in ("quant8", BLOCKS))
    assert len(sparse) == 16
    assert {s.template for s in sparse.values()} == {"linear_blocks"}
    assert all(cycles(dense[name]) > 2.5 * cycles(stage) for name, stage in sparse.items())
    assert all(multipliers(dense[name]) == multipliers(stage) for name, stage in sparse.items())
    stored = {n: (s.packed("weights").count(4, 4), dense[n].packed("weights").count(4, 4)) for n, s in sparse.items()}
    assert all(kept < 0.35 * full for kept, full in stored.values())


def test_pairs_save_half_of_the_multipliers_and_weights():
    dense, sparse = (folded_alike(preset, "4x8") for preset in ("quant8", PAIRS))
    assert {s.template for s in sparse.values()} == {"linear_nm"}
    for name, stage in sparse.items():
        assert cycles(stage) == cycles(dense[name])
        assert 2 * multipliers(stage) == multipliers(dense[name])
        assert area(stage).lut < 0.75 * area(dense[name]).lut
        assert 2 * stage.packed("weights").count(4, 8) == dense[name].packed("weights").count(4, 8)


@pytest.mark.slow
def test_what_is_saved_goes_into_fewer_multipliers_or_cycles():
    dense, pairs, blocks = (folded_design(job("digits_vit", preset, 16)) for preset in ("quant8", PAIRS, BLOCKS))
    assert pace(pairs) <= pace(dense)
    assert pace(blocks) <= pace(dense)
    spent = [sum(map(multipliers, design.stages)) for design in (dense, pairs, blocks)]
    assert spent[1] < 0.8 * spent[0]
    assert spent[2] < 0.65 * spent[0]


def test_single_weights_save_nothing_and_are_said_to(tmp_path: Path):
    dense, given = (job("digits_cnn", p, 16) for p in ("quant8", "prune{kind=unstructured sparsity=0.5},quant8"))
    assert pace(folded_design(dense)) == pace(folded_design(given))
    (warning,) = HLS.emit(given, HLS.lower(given), tmp_path)["unmet"]
    expected = "a mask of the kind unstructured saves nothing in hardware, its zeros are multiplied: "
    assert warning.startswith(expected)
    assert warning.count(",") >= 6
    assert warning.endswith("; those of blocks, of whole filters and of N:M would be left out")


def weighted(mask: str, w: str, op: str = "linear %x, %w : i32[1, 3, 2]") -> Design:
    text = f"""
func @main(%x: i8[1, 3, 4]) -> i32[1, 3, 2] {{
  %w = const {w} {{mask = {mask}}} : i8[2, 4]  at "fc"
  %y = {op}  at "fc"
  return %y
}}
"""
    return design_of(legalised(parse(text)))


def test_zeros_that_stand_for_something_are_kept():
    """With a zero point of 1 a code of 0 is a weight of -1."""
    mask, w = "block<1x2, [[true, false], [false, true]]>", "[[1, 2, 0, 0], [0, 0, 3, 4]]"
    assert idle_masks(weighted(mask, w)) == []
    shifted = weighted(mask, w, "linear %x, %w {w_zp = 1} : i32[1, 3, 2]")
    assert [s.template for s in shifted.stages] == ["linear"]
    assert idle_masks(shifted) == [
        "a mask of the kind block<1x2> saves nothing in hardware, its zeros are multiplied: fc"
    ]


def test_a_mask_that_keeps_everything_is_none():
    design = weighted(
        "unstructured<[[true, true, true, true], [true, true, true, true]]>", "[[1, 2, 5, 6], [1, 1, 3, 4]]"
    )
    assert idle_masks(design) == []


def test_tiles_larger_than_blocks_hold_what_any_of_them_keeps():
    mask, w = "block<1x2, [[true, false], [false, true]]>", "[[1, 2, 0, 0], [0, 0, 3, 4]]"
    (stage,) = weighted(mask, w).stages
    found = {}
    for fold in ((1, 1), (1, 2), (2, 2), (2, 4)):
        stage.set_fold(*fold)
        found[fold] = len(stage.packed("weights").tiles(*fold))
    assert found == {(1, 1): 4, (1, 2): 2, (2, 2): 2, (2, 4): 1}


def test_groups_of_channels_are_not_cut():
    module = job("digits_vit", PAIRS, 16).module
    with pytest.raises(UsageError) as raised:
        folded_design(job_of(module, schedule={"blocks_0_mlp_fc1": "4x6"}))
    expected = "fold: 6 input channels at once cut the groups of 4 of the mask of 'blocks_0_mlp_fc1'"
    assert str(raised.value).startswith(expected)
    assert raised.value.diagnostics[0].hint == "a multiple of 4"
