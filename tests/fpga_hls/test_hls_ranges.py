"""Bounds of values: never exceeded, and no wider than weights make them."""

from __future__ import annotations

import numpy as np
from hls_designs import legalised
from random_graphs import random_graph

from irc.backends.fpga_hls.boundary import ACCELERATOR
from irc.backends.fpga_hls.dataflow import build
from irc.backends.fpga_hls.layout import Layout
from irc.backends.fpga_hls.lower import LOWERINGS
from irc.backends.fpga_hls.lower.math import always
from irc.backends.fpga_hls.ranges import Interval, bounds_of, products
from irc.backends.regions import regions_of
from irc.ir.graph import Module, Value
from irc.ir.interpret import interpret
from irc.ir.parser import parse
from irc.ir.scalars import Array


def test_bounds_of_random_graphs_hold():
    checked = 0
    for seed in range(150):
        graph = random_graph(seed)
        module = legalised(graph.module, fused=seed % 2 == 0)
        if ACCELERATOR not in module.functions:
            continue
        regions = regions_of(module.functions[ACCELERATOR], lambda op: getattr(LOWERINGS.get(op), "epilogue", None))
        known = bounds_of([op for region in regions.regions for op in region.nodes], regions.resolve)
        for sample in graph.samples:
            for value, array in values_of(module, sample).items():
                if value in known.values:
                    assert known.values[value].lo <= array.min() <= array.max() <= known.values[value].hi, (seed, value)
                    checked += 1
    assert checked > 1000


def values_of(module: Module, inputs: list[Array]) -> dict[Value, Array]:
    """Everything that one run computes."""
    seen: dict[Value, Array] = {}
    interpret(module, inputs, observe=lambda value, array: seen.__setitem__(value, array))
    return seen


def test_sums_of_products_are_exact():
    w = np.array([[3, -2, 0], [1, 1, 1]])
    assert products(Interval(-4, 5), w) == Interval(-3 * 4 - 2 * 5, 3 * 5 + 2 * 4)
    assert products(Interval(2, 5), w) == Interval(-2 * 5, 3 * 5)  # partial sums begin at 0


def test_large_weights_do_not_overflow_the_proof():
    assert products(Interval(-(2**31), 0), np.full((1, 8), 2**31 - 1)).lo == -8 * 2**31 * (2**31 - 1)


def test_bits():
    assert [Interval(lo, hi).bits for lo, hi in [(0, 0), (-1, 0), (0, 1), (-2, 1), (-129, 127), (0, 255)]] == [
        1,
        1,
        2,
        2,
        9,
        9,
    ]


def test_the_accumulator_is_as_narrow_as_the_weights_allow():
    module = legalised(
        parse("""
func @main(%x: i8[1, 4]) -> i32[1, 2] {
  %w = const [[1, 1, 1, 1], [-2, 0, 0, 0]] : i8[2, 4]
  %1 = linear %x, %w : i32[1, 2]  at "fc"
  return %1
}
""")
    )
    (stage,) = build(module.functions[ACCELERATOR]).stages
    assert stage.config["acc_bits"] == 10  # -512 .. 508
    assert isinstance(stage.outputs[0].layout, Layout)


def test_settled_comparisons():
    low, high = Interval(0, 3), Interval(3, 9)
    assert always("le", low, high) is True
    assert always("lt", low, high) is None
    assert always("gt", low, high) is False
    assert always("ge", low, high) is None
    assert always("eq", low, Interval(4, 4)) is False
    assert always("ne", low, Interval(4, 4)) is True
    assert always("eq", Interval(2, 2), Interval(2, 2)) is True
    assert always("ne", low, high) is None
