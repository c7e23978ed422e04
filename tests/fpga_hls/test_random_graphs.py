"""Random graphs and quantized models: the C simulation gives the bits of the interpreter, whatever it is made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hls_designs import SANITIZED, Trial, ap_types, legalised, need_compiler, run_in_parallel, with_masks
from hls_models import random_model
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from random_graphs import RandomGraph, random_graph

from irc.backends.fpga_hls.boundary import ACCELERATOR
from irc.ir.op import Op
from irc.ir.ops.linear import Conv, Linear, Matmul
from irc.ir.ops.quant import Requantize


def graph_of(seed: int) -> RandomGraph | None:
    """A graph of integer ops; a quantized model for every fourth seed."""
    return random_model(seed) if seed % 4 == 3 else random_graph(seed)


def trials_of(seeds: Sequence[int]) -> list[Trial]:
    """Trials of random graphs, every third one without kernels. Graphs of movements alone may leave nothing to run."""
    trials: list[Trial] = []
    for seed in seeds:
        graph = graph_of(seed)
        module = legalised(graph.module, fused=seed % 3 > 0) if graph else None
        if graph and module and ACCELERATOR in module.functions:
            trials.append(Trial.of(f"g{seed}", module, graph.samples, np.random.default_rng(seed)))
    assert len(trials) > 0.8 * len(seeds)
    return trials


def masked_trials(seeds: Sequence[int]) -> list[Trial]:
    """Trials of those random graphs that have weights, under random masks."""
    trials: list[Trial] = []
    for seed in seeds:
        graph, rng = random_graph(seed), np.random.default_rng(seed)
        if with_masks(graph.module, rng):
            trials.append(Trial.of(f"masked{seed}", legalised(graph.module), graph.samples, rng))
    return trials


@pytest.mark.tool("g++")
@given(st.lists(st.integers(0, 2**32 - 1), min_size=30, max_size=30, unique=True))
@settings(max_examples=1, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
def test_simulation_gives_the_bits_of_the_interpreter(tmp_path_factory: pytest.TempPathFactory, seeds: list[int]):
    need_compiler()
    trials = trials_of(seeds)
    assert len(trials) >= 25
    assert run_in_parallel(trials, tmp_path_factory.mktemp("graphs"), ["-O0"], 30) == []


@pytest.mark.tool("g++")
def test_masked_weights(tmp_path: Path):
    need_compiler()
    trials = masked_trials(range(30))
    used = {stage.template for trial in trials for stage in trial.design.stages}
    assert {"linear_blocks", "linear_nm", "conv_blocks", "conv_nm"} <= used
    assert run_in_parallel(trials, tmp_path, ["-O0"], 50) == []


@pytest.mark.slow
@pytest.mark.tool("g++")
def test_many_masked_weights(tmp_path: Path):
    need_compiler()
    assert run_in_parallel(masked_trials(range(1000, 2000)), tmp_path, ["-O0", *SANITIZED], 50) == []


FOUND = [14213]
"""Seeds that once failed: 14213 sums over a dimension of one, of a stream that is not in C order."""


@pytest.mark.tool("g++")
def test_what_was_found_once(tmp_path: Path):
    need_compiler()
    assert run_in_parallel(trials_of(FOUND), tmp_path, ["-O0"], 50) == []


@pytest.mark.tool("g++")
def test_no_undefined_behaviour(tmp_path: Path):
    need_compiler()
    assert run_in_parallel(trials_of(range(1000, 1004)), tmp_path, ["-O0", *SANITIZED], 4) == []


@pytest.mark.tool("g++")
def test_vendor_types_give_the_same_bits(tmp_path: Path):
    need_compiler()
    assert run_in_parallel(trials_of(range(2000, 2003)), tmp_path, ["-O0", *ap_types()], 4) == []


@pytest.mark.slow
@pytest.mark.tool("g++")
@pytest.mark.parametrize("chunk", range(20))
def test_many_graphs(tmp_path: Path, chunk: int):
    need_compiler()
    trials = trials_of(range(10_000 + 280 * chunk, 10_000 + 280 * (chunk + 1)))
    assert len(trials) >= 250
    assert run_in_parallel(trials, tmp_path, ["-O0"], 50) == []


@pytest.mark.slow
@pytest.mark.tool("g++")
def test_many_graphs_without_undefined_behaviour(tmp_path: Path):
    need_compiler()
    assert run_in_parallel(trials_of(range(20_000, 20_400)), tmp_path, ["-O0", *SANITIZED], 25) == []


@pytest.mark.slow
@pytest.mark.tool("g++")
def test_many_graphs_with_vendor_types(tmp_path: Path):
    need_compiler()
    assert run_in_parallel(trials_of(range(30_000, 30_300)), tmp_path, ["-O0", *ap_types()], 25) == []


# -- what the graphs are made of

OPS = (
    "linear conv matmul add sub mul concat max_pool sum_pool int_softmax int_norm requantize lut clamp gather permute "
    "select"
)


def ops_of(seeds: Sequence[int]) -> list[Op]:
    """The ops of some random graphs, those of quantized models as they are before the boundary is drawn."""
    graphs = [graph for seed in seeds if (graph := graph_of(seed))]
    return [node for graph in graphs for node in graph.module.main.walk() if isinstance(node, Op)]


@pytest.fixture(scope="module")
def ops() -> list[Op]:
    return ops_of(range(400))


def test_every_family_of_ops_takes_part():
    counts = Counter(op.opname for op in ops_of(range(200)))
    assert {name: counts[name] for name in OPS.split() if counts[name] < 4} == {}


@pytest.mark.slow
def test_weights_and_activations_have_2_to_8_bits(ops: list[Op]):
    bits = Counter[tuple[str, int, str]]()
    for op in ops:
        if isinstance(op, Linear | Conv | Matmul):
            for role, value in zip("xw", op.operands[:2], strict=True):
                bits[op.opname, value.type.scalar.bits, role] += 1
    wanted = [(name, n, role) for name in ("linear", "conv", "matmul") for n in range(2, 9) for role in "xw"]
    assert [key for key in wanted if bits[key] < 3] == []


@pytest.mark.slow
def test_scales_are_per_tensor_and_per_channel(ops: list[Op]):
    requantize = Counter((op.mode, op.axis is None) for op in ops if isinstance(op, Requantize))
    assert all(requantize[mode, whole] > 50 for mode in ("fixed", "float") for whole in (True, False))


@pytest.mark.slow
def test_convolutions_are_dense_grouped_and_depthwise(ops: list[Op]):
    kinds = Counter[str]()
    for op in ops:
        if isinstance(op, Conv):
            channels = op.x.type.shape[1]
            kinds["dense" if op.groups == 1 else "depthwise" if op.groups == channels else "grouped"] += 1
            kinds["strided"] += max(op.stride) > 1
            kinds["dilated"] += max(op.dilation) > 1
            kinds["uneven padding"] += op.padding[: len(op.padding) // 2] != op.padding[len(op.padding) // 2 :]
            kinds["zero points of channels"] += isinstance(op.w_zp, tuple)
    assert len(kinds) == 7
    assert min(kinds.values()) >= 3
