"""Random integer graphs: the C simulation gives the bits of the interpreter, whatever shapes, widths and folding."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hls_designs import SANITIZED, Trial, ap_types, legalised, need_compiler, run_in_parallel
from random_graphs import random_graph

from irc.backends.fpga_hls.boundary import ACCELERATOR

pytestmark = pytest.mark.tool("g++")


def trials_of(seeds: range) -> list[Trial]:
    """Trials of random graphs, every third one without kernels. Graphs of movements alone may leave nothing to run."""
    trials: list[Trial] = []
    for seed in seeds:
        graph = random_graph(seed)
        module = legalised(graph.module, fused=seed % 3 > 0)
        if ACCELERATOR in module.functions:
            trials.append(Trial.of(f"g{seed}", module, graph.samples, np.random.default_rng(seed)))
    assert len(trials) > 0.9 * len(seeds)
    return trials


def test_simulation_gives_the_bits_of_the_interpreter(tmp_path: Path):
    need_compiler()
    assert run_in_parallel(trials_of(range(220)), tmp_path, ["-O0"], 55) == []


def test_no_undefined_behaviour(tmp_path: Path):
    need_compiler()
    assert run_in_parallel(trials_of(range(1000, 1014)), tmp_path, ["-O0", *SANITIZED], 7) == []


def test_vendor_types_give_the_same_bits(tmp_path: Path):
    need_compiler()
    assert run_in_parallel(trials_of(range(2000, 2014)), tmp_path, ["-O0", *ap_types()], 7) == []


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(20))
def test_many_graphs(tmp_path: Path, chunk: int):
    need_compiler()
    first = 10_000 + 250 * chunk
    assert run_in_parallel(trials_of(range(first, first + 250)), tmp_path, ["-O0"], 50) == []


@pytest.mark.slow
def test_many_graphs_without_undefined_behaviour(tmp_path: Path):
    need_compiler()
    assert run_in_parallel(trials_of(range(20_000, 20_400)), tmp_path, ["-O0", *SANITIZED], 25) == []


@pytest.mark.slow
def test_many_graphs_with_vendor_types(tmp_path: Path):
    need_compiler()
    assert run_in_parallel(trials_of(range(30_000, 30_300)), tmp_path, ["-O0", *ap_types()], 25) == []
