"""Capturing small functions and comparing the interpreter with PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from irc.frontend.capture import Captured, capture
from irc.ir.equal import difference
from irc.ir.graph import Module
from irc.ir.interpret import interpret
from irc.ir.ops.structure import Const
from irc.ir.parser import parse

TOLERANCE = 1e-4  # max |a - b| / max |b|


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Any) -> Any:
        return self.function(*args)


def outputs_of(module: nn.Module, *inputs: Any, **named: Any) -> list[Tensor]:
    """The tensors a module returns, flat, in eval mode."""
    module.eval()
    with torch.no_grad():
        # Inputs are copied: a model may write to its inputs.
        copies = pytree.tree_map(lambda v: v.clone() if isinstance(v, Tensor) else v, (inputs, named))
        return [v for v in pytree.tree_leaves(module(*copies[0], **copies[1])) if isinstance(v, Tensor)]


def assert_same(given: Sequence[np.ndarray], expected: Sequence[Tensor]) -> float:
    """Outputs agree in number, shape, type and value; the largest relative difference."""
    assert len(given) == len(expected)
    worst = 0.0
    for a, t in zip(given, expected, strict=True):
        b = (t.float() if t.dtype == torch.bfloat16 else t).numpy()
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        if b.dtype.kind != "f":
            np.testing.assert_array_equal(a, b)
            continue
        finite = np.isfinite(b)
        np.testing.assert_array_equal(np.where(finite, 0, a), np.where(finite, 0, b))
        scale = np.abs(b[finite]).max(initial=0) or 1.0
        worst = max(worst, float(np.abs(a[finite] - b[finite]).max(initial=0) / scale))
    assert worst <= TOLERANCE
    return worst


def assert_round_trip(module: Module) -> None:
    """`parse(print(m)) == m`."""
    weights = {n.value.hash: n.value.array for n in module.walk() if isinstance(n, Const)}
    assert not difference(parse(str(module), weights=weights), module)


def check(module: nn.Module, *inputs: Any, dynamic: Any = None) -> Captured:
    """Capture a module and compare the interpreter with it on the same inputs."""
    captured = capture(module, inputs, dynamic=dynamic)
    assert_same(interpret(captured.module, captured.sample_inputs), outputs_of(module, *inputs))
    assert_round_trip(captured.module)
    return captured
