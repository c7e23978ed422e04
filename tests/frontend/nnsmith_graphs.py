"""Random models of NNSmith (Liu et al., ASPLOS 2023), captured, interpreted and compiled for this machine."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import torch
from nnsmith.graph_gen import model_gen
from nnsmith.materialize import Model
from nnsmith.narrow_spec import auto_opset
from torch import Tensor, nn
from torch_support import outputs_of

from irc.backends.base import Job
from irc.backends.cpu_simd.backend import CPU, Options
from irc.backends.cpu_simd.isa import host
from irc.backends.cpu_simd.runtime import session
from irc.frontend.capture import capture
from irc.frontend.untyped import quiet
from irc.ir.clone import clone
from irc.ir.constants import Data
from irc.ir.diagnostics import IrcError
from irc.ir.graph import Module
from irc.ir.interpret import interpret
from irc.ir.ops.structure import Const
from irc.ir.scalars import Array
from irc.passes.base import PassContext
from irc.passes.pipeline import run_pipeline

KINDS = ["float32", "float64", "int64", "int32", "bool"]
LARGEST = 2**12  # elements of a tensor


class Net(nn.Module):
    """A model of NNSmith with its inputs in order."""

    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net
        net.debug_numeric = lambda *args, **kwargs: None  # its test for NaN is a branch on data

    def forward(self, *inputs: Tensor) -> Any:
        return self.net(*inputs)


@cache
def operators() -> tuple[Any, Any]:
    logging.disable(logging.INFO)
    kind = Model.init("torch")
    return kind, auto_opset(kind, None, vulops=False)


def graph(seed: int, nodes: int) -> tuple[Net, tuple[Tensor, ...]]:
    """A model of some operators, and inputs."""
    kind, opset = operators()
    made = model_gen(
        opset,
        method="symbolic-cinit",
        max_nodes=nodes,
        seed=seed,
        timeout_ms=10_000,
        max_elem_per_tensor=LARGEST,
        dtype_choices=KINDS,
    )
    torch.manual_seed(seed)
    net = kind.from_gir(made.make_concrete()).torch_model
    return Net(net).eval(), tuple(net.get_random_inps().values())


def conditioning(module: Module, given: Sequence[Array], results: Sequence[Array]) -> list[Array]:
    """By how much each element of the results moves where inputs and weights move by a unit in the last place.

    Random chains of operators like sin(tan(x)) make any rounding as large as their result.
    """
    moved = clone(module)
    for node in moved.walk():
        if isinstance(node, Const) and node.value.scalar.is_float:
            node.value = Data.of(_next(node.value.array), node.value.scalar)
    shifted = interpret(moved, [_next(a) for a in given])
    return [np.abs(a.astype(float) - b.astype(float)) for a, b in zip(shifted, results, strict=True)]


def _next(array: Array) -> Array:
    return np.nextafter(array, np.inf, dtype=array.dtype) if array.dtype.kind == "f" else array


def assert_near(found: Sequence[Array], expected: Sequence[Array], slack: Sequence[Array]) -> None:
    """Equal, floats to 1e-4 of the largest, 1e-6, and a hundred times what a unit in the last place changes."""
    for a, b, moves in zip(found, expected, slack, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        if b.dtype.kind != "f":
            np.testing.assert_array_equal(a, b)
            continue
        finite = np.isfinite(b) & np.isfinite(moves)
        steady = ~np.isfinite(b) & (moves == 0)
        np.testing.assert_array_equal(a[steady], b[steady])
        allowed = 1e-6 + 1e-4 * np.abs(b[finite]).max(initial=0) + 100 * moves[finite]
        assert (np.abs(a[finite].astype(float) - b[finite]) <= allowed).all()


@dataclass
class Count:
    """How graphs went, by seed; the texts say why not."""

    passed: list[int] = field(default_factory=list[int])
    refused: dict[int, str] = field(default_factory=dict[int, str])
    cpu_refused: dict[int, str] = field(default_factory=dict[int, str])
    wrong: dict[int, str] = field(default_factory=dict[int, str])

    def run(self, seed: int, nodes: int) -> None:
        model, inputs = graph(seed, nodes)
        expected = [result.detach() for result in outputs_of(model, *inputs)]  # a parameter may be a result
        try:
            with quiet():
                captured = capture(model, inputs)
        except IrcError as error:
            self.refused[seed] = str(error.diagnostics[0].message)
            return
        given = list(captured.sample_inputs.values())
        try:
            found = interpret(captured.module, given)
            slack = conditioning(captured.module, given, found)
            assert_near(found, [t.numpy() for t in expected], slack)
            self._on_cpu(seed, captured.module, given, found, slack)
        except AssertionError as error:
            self.wrong[seed] = " ".join(str(error).split())[:300] or "values differ"
        else:
            self.passed.append(seed)

    def _on_cpu(
        self, seed: int, module: Module, given: Sequence[Array], expected: Sequence[Array], slack: Sequence[Array]
    ) -> None:
        lowered = clone(module)
        run_pipeline(f"clean,{CPU.pipeline}", lowered, PassContext())
        job = Job(lowered, host(), Options())
        try:
            program = CPU.lower(job).program
        except IrcError as error:
            self.cpu_refused[seed] = str(error.diagnostics[0].message)
            return
        with session(lowered.main, program, job.target) as run:
            assert_near(run(given), expected, slack)


def count_of(seeds: range, nodes: int) -> Count:
    count = Count()
    with np.errstate(all="ignore"):
        for seed in seeds:
            count.run(seed, nodes)
    return count
