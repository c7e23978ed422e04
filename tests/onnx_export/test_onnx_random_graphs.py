"""Random integer graphs: onnxruntime gives the bits of the interpreter, whatever shapes, widths and parameters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from onnx_running import run_onnx
from random_graphs import random_graph

from irc.ir.interpret import interpret


def check_seed(seed: int) -> None:
    """Assert that a graph agrees, every third one with kernel regions."""
    graph = random_graph(seed)
    module = graph.module if seed % 3 else graph.module.apply("fold,dce,fuse")
    for given_, sample in zip(run_onnx(module, graph.samples), graph.samples, strict=True):
        for mine, theirs in zip(given_, interpret(module, sample), strict=True):
            np.testing.assert_array_equal(mine, theirs, err_msg=f"seed {seed}")
            assert mine.dtype == theirs.dtype


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
def test_onnxruntime_gives_the_bits_of_the_interpreter(seed: int):
    check_seed(seed)


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(20))
def test_many_graphs(chunk: int):
    for seed in range(30_000 + 100 * chunk, 30_100 + 100 * chunk):
        check_seed(seed)
