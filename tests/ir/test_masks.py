"""Masks: what each kind keeps, and what is no mask of a weight."""

from __future__ import annotations

import numpy as np
import pytest

from irc.ir.attrs import Mask
from irc.ir.constants import Data
from irc.ir.masks import KINDS, check_mask, expand_mask, project
from irc.ir.scalars import F32, F64, I8
from irc.ir.types import Element, per_tensor


def mask(kind: str, bits: object, *params: int) -> Mask:
    return Mask(kind, params, Data.of(np.array(bits)))


def problem(weight: object, m: Mask) -> str:
    return check_mask(m, Data.of(np.array(weight), F32), Element(F32))


def test_block_masks_cover_ragged_edges() -> None:
    kept = expand_mask(mask("block", [[True, False], [False, True]], 2, 3), (3, 4))
    assert kept.astype(int).tolist() == [[1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1]]


def test_block_masks_are_of_channels_at_each_place_of_a_kernel() -> None:
    kept = expand_mask(mask("block", [[[True, False], [False, True]]], 1, 2), (1, 3, 2))
    assert kept.astype(int).tolist() == [[[1, 0], [1, 0], [0, 1]]]


def test_filter_masks_keep_output_channels() -> None:
    kept = expand_mask(mask("filter", [True, False]), (2, 1, 2))
    assert kept.astype(int).tolist() == [[[1, 1]], [[0, 0]]]


@pytest.mark.parametrize("kind", ["unstructured", "nm"])
def test_masks_of_single_weights(kind: str) -> None:
    params = (1, 2) if kind == "nm" else ()
    bits = np.array([[True, False], [False, True]])
    assert expand_mask(mask(kind, bits, *params), (2, 2)).tolist() == bits.tolist()


def test_nm_counts_along_rows() -> None:
    weight = [[1.0, 1, 0, 0, 1], [0.0, 0, 1, 1, 0]]
    bits = np.array(weight) != 0
    assert problem(weight, mask("nm", bits, 2, 4)) == ""
    assert problem(weight, mask("nm", bits, 1, 4)) == "mask nm<1x4> keeps 2 of 4 weights somewhere"
    assert problem(weight, mask("nm", bits, 2, 5)) == "mask nm<2x5> keeps 3 of 5 weights somewhere"


def test_zero_is_what_stands_for_zero() -> None:
    codes, m = Data.of(np.array([[3, 5]]), I8), mask("unstructured", [[False, True]])
    assert check_mask(m, codes, Element(I8, per_tensor(0.5, 3))) == ""
    assert check_mask(m, codes, Element(I8, per_tensor(0.5))) == "1 weights under the mask are not 0"


def test_what_is_no_mask() -> None:
    weight = [[0.0, 1.0]]
    assert problem(weight, mask("diagonal", [[True, True]])).startswith("unknown mask kind 'diagonal' (known: ")
    assert problem(weight, mask("filter", [1])) == "mask bits are i64, expected bool"
    assert (
        problem(weight, mask("filter", [[True]]))
        == "mask filter of a [1, 2] weight needs bits of shape [1], got [1, 1]"
    )
    assert problem(0.0, mask("filter", False)) == ""


def test_large_parameters_need_no_memory() -> None:
    weight = np.ones((2, 3))
    assert problem(weight, mask("block", [[True]], 10**9, 10**9)) == ""
    assert problem(weight, mask("nm", np.ones((2, 3), bool), 10**9, 10**9)) == ""
    assert problem(np.zeros((0, 3)), mask("block", np.zeros((0, 1), bool), 4, 4)) == ""
    assert problem(np.zeros((0, 3)), mask("nm", np.zeros((0, 3), bool), 2, 4)) == ""


def test_absent_values_are_not_judged() -> None:
    weight = Data.unresolved(F32, (2, 2), "0123456789abcdef")
    assert check_mask(mask("filter", [True]), weight, Element(F32)) == ""


def test_kinds_have_names_for_their_parameters() -> None:
    assert {name: kind.params for name, kind in KINDS.items() if kind.params} == {
        "nm": ("n", "m"),
        "block": ("rows", "columns"),
    }


SHAPES = [(5, 7), (4, 6, 3), (3, 5, 2, 2), (2, 1), (6,)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("kind", "params"), [("unstructured", ()), ("nm", (2, 4)), ("nm", (1, 9)), ("block", (2, 3)), ("filter", ())]
)
def test_projections_are_masks_and_keep_what_scores_most(kind: str, params: tuple[int, ...], shape: tuple[int, ...]):
    scores = np.random.default_rng(len(shape)).random(shape)
    found = project(kind, params, scores, None if kind == "nm" else 0.4)
    kept = expand_mask(found, shape)
    assert check_mask(found, Data.of(np.where(kept, scores, 0)), Element(F64)) == ""
    others = Mask(kind, params, Data.of(np.roll(found.bits.array, 1, axis=-1)))
    assert scores[kept].sum() >= scores[expand_mask(others, shape)].sum() - 1e-9 or kind in ("nm", "block")


def test_rows_of_blocks_keep_equally_many() -> None:
    scores = np.random.default_rng(0).random((8, 20, 3)) * np.arange(1, 9)[:, None, None]
    bits = project("block", (2, 4), scores, 0.3).bits.array
    assert bits.shape == (4, 5, 3)
    assert bits.reshape(4, -1).sum(axis=1).tolist() == [4, 4, 4, 4]  # of 15, 4.5 to even


def test_equal_scores_keep_the_first() -> None:
    ones = np.ones((2, 8))
    assert project("nm", (2, 4), ones).bits.array[0].tolist() == [True, True, False, False] * 2
    assert project("unstructured", (), ones, 0.25).bits.array.tolist() == [[True] * 4 + [False] * 4, [False] * 8]
    assert project("filter", (), ones, 0.5).bits.array.tolist() == [True, False]


def test_something_is_always_kept() -> None:
    assert project("unstructured", (), np.zeros((2, 2)), 0.01).bits.array.sum() == 1
