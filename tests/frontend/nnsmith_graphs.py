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
from torch_support import assert_same, outputs_of

from irc.backends.base import Job
from irc.backends.cpu_simd.backend import CPU, Options
from irc.backends.cpu_simd.isa import host
from irc.backends.cpu_simd.runtime import session
from irc.frontend.capture import capture
from irc.frontend.untyped import quiet
from irc.ir.clone import clone
from irc.ir.diagnostics import IrcError
from irc.ir.graph import Module
from irc.ir.interpret import interpret
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
            assert_same(found, expected)
            self._on_cpu(seed, captured.module, given, found)
        except AssertionError as error:
            self.wrong[seed] = " ".join(str(error).split())[:300] or "values differ"
        else:
            self.passed.append(seed)

    def _on_cpu(self, seed: int, module: Module, given: Sequence[Array], expected: Sequence[Array]) -> None:
        lowered = clone(module)
        run_pipeline(f"clean,{CPU.pipeline}", lowered, PassContext())
        job = Job(lowered, host(), Options())
        try:
            program = CPU.lower(job).program
        except IrcError as error:
            self.cpu_refused[seed] = str(error.diagnostics[0].message)
            return
        with session(lowered.main, program, job.target) as run:
            assert_same(run(given), [torch.from_numpy(np.array(a)) for a in expected])


def count_of(seeds: range, nodes: int) -> Count:
    count = Count()
    with np.errstate(all="ignore"):
        for seed in seeds:
            count.run(seed, nodes)
    return count
