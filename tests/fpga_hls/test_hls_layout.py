"""Layouts: orders of elements, against what NumPy does to arrays."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from irc.backends.fpga_hls.layout import (
    Layout,
    Loop,
    c_order,
    channels_last,
    dims_order,
    extent_of,
    merged,
    nest,
    refined,
)

SHAPES = st.lists(st.integers(1, 6), min_size=1, max_size=4).map(tuple)


@st.composite
def shaped(draw: st.DrawFn) -> tuple[tuple[int, ...], Layout]:
    """A shape and some order of its elements, with split dimensions at times."""
    shape = draw(SHAPES)
    loops: list[Loop] = []
    for dim, size in enumerate(shape):
        inner = draw(st.sampled_from([d for d in range(1, size + 1) if size % d == 0]))
        loops += [Loop(dim, size // inner, inner), Loop(dim, inner)]
    return shape, nest(shape, draw(st.permutations(loops)))


def numbered(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(math.prod(shape)).reshape(shape)


def test_a_channels_last_image():
    shape = (1, 2, 3, 4)
    assert channels_last(shape) == Layout(((12, 1), (2, 12)))
    np.testing.assert_array_equal(
        channels_last(shape).arrange(numbered(shape)), numbered(shape).transpose(0, 2, 3, 1).reshape(-1)
    )


def test_neighbouring_loops_merge():
    assert merged([(2, 12), (1, 5), (3, 4), (4, 1)]) == Layout(((24, 1),))
    assert c_order((2, 3, 4)) == dims_order((2, 3, 4), (0, 1, 2))


def test_uneven_loops_do_not_split():
    assert c_order((12,)).split((3, 4)) == (Loop(0, 3), Loop(1, 4))
    assert Layout(((4, 3), (3, 1))).split((12,)) == (Loop(0, 4, 3), Loop(0, 3))
    assert Layout(((4, 1), (3, 4))).split((4, 3)) is None


@given(shaped())
def test_restore_undoes_arrange(case: tuple[tuple[int, ...], Layout]):
    shape, layout = case
    tensor = numbered(shape)
    stream = layout.arrange(tensor)
    assert sorted(stream) == list(range(tensor.size))
    np.testing.assert_array_equal(layout.restore(stream, shape), tensor)


@given(shaped())
def test_split_loops_describe_the_layout(case: tuple[tuple[int, ...], Layout]):
    shape, layout = case
    loops = layout.split(shape)
    assert loops is not None
    assert nest(shape, loops) == layout
    assert extent_of(loops) == layout.count


@given(shaped(), st.data())
def test_a_permuted_tensor_is_the_same_stream(case: tuple[tuple[int, ...], Layout], data: st.DataObject):
    shape, layout = case
    order = data.draw(st.permutations(range(len(shape))))
    turned = layout.permuted(shape, order)
    assert turned is not None
    np.testing.assert_array_equal(turned.arrange(numbered(shape).transpose(order)), layout.arrange(numbered(shape)))


@given(shaped())
def test_grouped_dimensions_are_innermost(case: tuple[tuple[int, ...], Layout]):
    shape, layout = case
    groups = layout.grouped(shape, [len(shape) - 1])
    if groups is not None:
        rows = layout.arrange(numbered(shape)).reshape(extent_of(groups[0]), -1)
        assert all(len(set(row // shape[-1])) == 1 for row in rows)


@given(shaped(), st.data())
def test_refined_layouts_have_the_same_loops(case: tuple[tuple[int, ...], Layout], data: st.DataObject):
    shape, layout = case
    other = dims_order(shape, data.draw(st.permutations(range(len(shape)))))
    cut = refined([layout, other])
    assert cut is not None
    assert sorted(cut[0].loops) == sorted(cut[1].loops)
    assert [merged(x.loops) for x in cut] == [layout, other]
