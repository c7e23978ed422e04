"""Random integer graphs: the machine gives the bits of the interpreter, whatever shapes, widths and parameters."""

from __future__ import annotations

import numpy as np
import pytest
from cpu_running import all_results
from random_graphs import random_graph

from irc.ir.interpret import interpret


def run(seeds: range) -> None:
    """Assert that the graphs of the seeds agree, every third one without kernel regions."""
    for seed in seeds:
        graph = random_graph(seed)
        module = graph.module.apply("fold,dce,fuse") if seed % 3 else graph.module
        for sample, given in zip(graph.samples, all_results(module, graph.samples), strict=True):
            for found, expected in zip(given, interpret(module, sample), strict=True):
                np.testing.assert_array_equal(found, expected, err_msg=f"seed {seed}")
                assert found.dtype == expected.dtype


@pytest.mark.parametrize("chunk", range(2))
def test_the_machine_gives_the_bits_of_the_interpreter(chunk: int):
    run(range(40 * chunk, 40 * chunk + 40))


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(30))
def test_many_graphs(chunk: int):
    first = 10_000 + 100 * chunk
    run(range(first, first + 100))
