"""Exact passes keep what a graph computes, change nothing the second time, and leave text that reads back."""

from __future__ import annotations

import numpy as np
import pytest
from generator import Sample, float_graph, integer_graph, weights_of

from irc.ir.equal import difference
from irc.ir.interpret import interpret
from irc.ir.parser import parse
from irc.ir.scalars import Array
from irc.passes.base import PassContext
from irc.passes.pipeline import run_pipeline

PASSES = ["canonicalize", "fold", "cse", "dce", "fuse", "decompose"]
PIPELINES = [*PASSES, "clean", "decompose,clean,fuse,dce"]
SEEDS = range(10)
MANY = [pytest.param(seed, marks=pytest.mark.slow) for seed in range(10, 1000)]


def assert_close(before: list[Array], after: list[Array], noise: list[Array]) -> None:
    """Within 1e-5 of the largest value of each result, or what rounding the inputs differently does ten times over."""
    for a, b, moved in zip(before, after, noise, strict=True):
        assert np.isfinite(a).all()
        allowed = max(1e-5 * float(np.abs(a).max()), 10 * float(np.abs(moved - a).max()))
        np.testing.assert_allclose(b, a, rtol=0, atol=max(allowed, 1e-8))


def assert_equal(before: list[Array], after: list[Array]) -> None:
    for a, b in zip(before, after, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def run(sample: Sample, pipeline: str) -> list[Array]:
    """The results after a pipeline. Checks that the text reads back, and that a single pass run twice runs once."""
    module = sample.module
    run_pipeline(pipeline, module, PassContext())
    again = parse(str(module), weights=weights_of(module))
    assert difference(module, again) == ""
    if pipeline in PASSES:
        mutations = module.mutations
        run_pipeline(pipeline, module, PassContext())
        assert module.mutations == mutations, f"{pipeline} changes its own result"
        assert difference(module, again) == ""
    return interpret(module, sample.inputs)


@pytest.mark.parametrize("seed", [*SEEDS, *MANY])
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_floats_stay_close(pipeline: str, seed: int) -> None:
    sample = float_graph(seed)
    before = interpret(sample.module, sample.inputs)
    noise = interpret(sample.module, [x * np.float32(1 + 2.0**-22) for x in sample.inputs])
    assert_close(before, run(sample, pipeline), noise)


@pytest.mark.parametrize("seed", [*SEEDS, *MANY])
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_integers_keep_every_bit(pipeline: str, seed: int) -> None:
    sample = integer_graph(seed)
    assert_equal(interpret(sample.module, sample.inputs), run(sample, pipeline))


@pytest.mark.parametrize("seed", SEEDS)
def test_clean_graphs_have_no_batch_norm(seed: int) -> None:
    sample = float_graph(seed)
    run_pipeline("clean", sample.module, PassContext())
    assert not [n for n in sample.module.walk() if n.opname in ("batch_norm", "div", "sub")]


@pytest.mark.parametrize("graph", [float_graph, integer_graph])
def test_a_seed_is_a_graph(graph) -> None:
    first, second = graph(11), graph(11)
    assert str(first.module) == str(second.module)
    assert_equal(first.inputs, second.inputs)
    assert str(first.module) != str(graph(12).module)
