"""Random integer graphs: the machine gives the bits of the interpreter, whatever shapes, widths and parameters."""

from __future__ import annotations

import numpy as np
import pytest
from random_graphs import random_graph

from irc.backends.cpu_simd.compiler import compile_graph
from irc.backends.cpu_simd.isa import host
from irc.backends.cpu_simd.runtime import session
from irc.ir.interpret import interpret


def run(seeds: range) -> None:
    """Assert that the graphs of the seeds agree, every third one without kernel regions."""
    for seed in seeds:
        graph = random_graph(seed)
        module = graph.module.apply("fold,dce,fuse") if seed % 3 else graph.module
        with session(module.main, compile_graph(module.main, host()).program, host()) as machine:
            for sample in graph.samples:
                for given, expected in zip(machine(sample), interpret(module, sample), strict=True):
                    np.testing.assert_array_equal(given, expected, err_msg=f"seed {seed}")
                    assert given.dtype == expected.dtype


@pytest.mark.parametrize("chunk", range(2))
def test_the_machine_gives_the_bits_of_the_interpreter(chunk: int):
    run(range(40 * chunk, 40 * chunk + 40))


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(30))
def test_many_graphs(chunk: int):
    first = 10_000 + 100 * chunk
    run(range(first, first + 100))
