"""FIFO depths and cycle formulas, against a model of every loop of every template (hls_tokens.py)."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hls_designs import Trial, design_of, legalised, with_masks
from hls_examples import FAST, job
from hls_tokens import Deadlock, alone, run
from random_graphs import random_graph

from irc.backends.fpga_hls.backend import lower as folded_design
from irc.backends.fpga_hls.boundary import ACCELERATOR
from irc.backends.fpga_hls.fifo import SMALLEST, size_fifos
from irc.backends.fpga_hls.iterations import iterations
from irc.backends.fpga_hls.resources import cycles, pace
from irc.backends.fpga_hls.stage import Design
from irc.ir.parser import parse

ROW_STAGES = ("int_softmax", "masked_int_softmax", "int_norm")  # bounded by a divider, which tokens do not show
SEEDS = range(100)


@cache
def random_designs(seeds: range, *, masked: bool) -> list[tuple[int, Design]]:
    """Designs of random graphs, folded at random; with masks on their weights, only those that have such.

    The same objects for all tests.
    """
    found: list[tuple[int, Design]] = []
    for seed in seeds:
        module = random_graph(seed).module
        if masked and not with_masks(module, np.random.default_rng(seed)):
            continue
        module = legalised(module, fused=seed % 3 > 0)
        if ACCELERATOR in module.functions:
            design = Trial.of("", module, [], np.random.default_rng(seed)).design
            size_fifos(design)
            found.append((seed, design))
    return found


@pytest.mark.parametrize("masked", [False, True])
def test_depths_suffice(masked: bool):
    for seed, design in random_designs(SEEDS, masked=masked):
        ends = run(design, 3)
        assert ends[2] > 0, seed


def test_shallow_fifos_would_not(monkeypatch: pytest.MonkeyPatch):
    """The model does find deadlocks, and residual paths do need depth."""
    stuck = 0
    for _, design in random_designs(SEEDS, masked=False):
        for stream in design.streams:
            monkeypatch.setattr(stream, "depth", min(stream.depth, SMALLEST))
        try:
            run(design, 2)
        except Deadlock:
            stuck += 1
    assert stuck > 3


@pytest.mark.parametrize("masked", [False, True])
def test_formulas_count_the_cycles_of_the_loops(masked: bool):
    """A stage alone, with quick neighbours, takes as long as its formula says."""
    off: list[float] = []
    for _, design in random_designs(SEEDS, masked=masked):
        for stage in design.stages:
            if stage.template not in ROW_STAGES and cycles(stage) >= 100:
                off.append(alone(stage, 3) / cycles(stage) - 1)
    assert len(off) > (60 if masked else 80)
    assert max(map(abs, off)) < 0.4
    assert np.mean(np.abs(off)) < 0.02


def test_no_stage_is_faster_than_its_loops():
    for seed, design in random_designs(SEEDS, masked=False):
        for stage in design.stages:
            assert cycles(stage) >= max(count for _, count in iterations(stage)), (seed, stage.name)


@pytest.mark.slow
@pytest.mark.parametrize("model", FAST)
def test_a_whole_network_keeps_its_pace(model: str):
    design = folded_design(job(model, FAST[model], 16))
    ends = run(design, 4)
    assert ends[3] - ends[2] <= 1.05 * pace(design)


@pytest.mark.slow
def test_depths_of_many_designs():
    for _, design in random_designs(range(1000, 3000), masked=False):
        run(design, 3)


RESIDUAL = """
func @main(%x: i8[1, 16, 8]) -> i32[1, 16, 8] {
  %1 = amax %x {axes = [1], keepdims = true} : i8[1, 1, 8]
  %2 = expand %1 : i8[1, 16, 8]
  %3 = add %x, %2 : i32[1, 16, 8]
  return %3
}
"""


def test_a_path_beside_a_whole_tensor_holds_it():
    design = design_of(legalised(parse(RESIDUAL)))
    copies = [s for stage in design.stages if stage.template == "fork" for s in stage.outputs]
    assert max(s.depth for s in copies) >= 15 * 8
    assert min(s.depth for s in copies) == SMALLEST


SELECTED = """
func @main(%x: i8[1, 24, 8]) -> i8[1, 1, 8]{where} {{
  %t = permute %x {{order = [0, 2, 1]}} : i8[1, 8, 24]
  %a = matmul %x, %t : i32[1, 24, 24]
  %m = const 65536 : i32[]
  %q = requantize %a, %m {{shift = 20}} : i8[1, 24, 24]
  %r = slice %q {{axis = 1, start = 0, stop = 1}} : i8[1, 1, 24]
  %s = reshape %r : i8[1, 24]
  %v = matmul %q, %x : i32[1, 24, 8]
  %p = requantize %v, %m {{shift = 20}} : i8[1, 24, 8]
  %h = maximum %p, %x : i8[1, 24, 8]
  %k = select %h, %s {{{how}}} : i8[1, {kept}, 8]
  %w = const {w} : i8[8, 8]
  %f = linear %k, %w : i32[1, {kept}, 8]
  %g = requantize %f, %m {{shift = 20}} : i8[1, {kept}, 8]
  %o = maximum %g, %k : i8[1, {kept}, 8]
  %y = slice %o {{axis = 1, start = 0, stop = 1}} : i8[1, 1, 8]
  return %y
}}
"""


@pytest.mark.parametrize(
    ("how", "kept", "where"), [("pinned = 1", "12", ""), ("threshold = 3.0", "n1", " where n1 <= 24")]
)
def test_tokens_hardly_wait_for_their_scores(how: str, kept: str, where: str):
    """Scores come with the first row of attention, tokens behind all of it: no more than some rows are held."""
    design = design_of(
        legalised(parse(SELECTED.format(how=how, kept=kept, where=where, w=np.eye(8, dtype=int).tolist())))
    )
    (select,) = [s for s in design.stages if s.template.startswith("select_")]
    tokens = next(s for s in select.inputs if s.count == 24 * 8)
    assert tokens.depth < 0.75 * tokens.count
    for sample in [design, design.at({"n1": 3})] if design.counts else [design]:
        ends = run(sample, 4)
        assert ends[3] - ends[2] < 1.1 * pace(design)
