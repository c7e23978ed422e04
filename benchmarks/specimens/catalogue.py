"""The catalogue of models of the kinds that people bring: small, with random weights, each a few lines.

    @specimen("f32[1, 3, 16, 16]")
    class Net(nn.Module): ...

The decorated class or function builds the model; the texts are the types of its inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from irc import Graph
from irc.ir.scalars import Array

SPECIMENS: dict[str, Specimen] = {}
B = TypeVar("B", bound=Callable[[], nn.Module])


@dataclass(frozen=True)
class Specimen:
    """A model.

    Integers among its inputs are below `high` (one bound, or one an input), and `db` is what its integer form must
    reach. `dynamic` says which sizes vary where tests capture it, `batch` which is the batch (None: there is none).
    `group` is the module that declares it, `note` what makes it smaller than its name. `hardware` is whether the
    benchmark simulates it as an accelerator. `queries`: outputs are sets of candidates, best first, whose order is open
    where they tie.
    """

    name: str
    build: Callable[[], nn.Module]
    inputs: tuple[str, ...]
    high: int | tuple[int, ...]
    dynamic: str | None
    db: float
    group: str
    batch: Any = "b"
    note: str = ""
    hardware: bool = False
    queries: bool = False

    def model(self) -> nn.Module:
        """The model with fixed random weights; batch norms get statistics that are not trivial."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = self.build()
            for m in model.modules():
                if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.affine:
                    nn.init.normal_(m.running_mean, std=0.1)
                    nn.init.uniform_(m.running_var, 0.5, 1.5)
                    nn.init.uniform_(m.weight, 0.5, 1.5)
                    nn.init.normal_(m.bias, std=0.1)
        return model

    def samples(self, graph: Graph, count: int, seed: int) -> dict[str, Array]:
        """Random inputs for so many calls."""
        rng = np.random.default_rng(seed)
        highs = self.high if isinstance(self.high, tuple) else (self.high,) * len(graph.inputs)
        return {v.name: self._sample(v.type, count, high, rng) for v, high in zip(graph.inputs, highs, strict=True)}

    def _sample(self, t: Any, count: int, high: int, rng: np.random.Generator) -> Array:
        first, *rest = t.shape
        shape = (count * (first if isinstance(first, int) else 1), *rest)
        if t.scalar.is_float:
            return rng.normal(size=shape).astype(t.scalar.dtype)
        if t.scalar.is_integer:
            return rng.integers(0, high, shape).astype(t.scalar.dtype)
        return rng.random(shape) < 0.3


def specimen(
    *inputs: str,
    high: int | tuple[int, ...] = 16,
    name: str = "",
    dynamic: str | None = None,
    db: float = 20,
    **facts: Any,
) -> Callable[[B], B]:
    """Adds a model to the catalogue; `facts` are further fields of `Specimen`."""

    def register(build: B) -> B:
        key = name or build.__name__
        assert key not in SPECIMENS, key
        group = facts.pop("group", build.__module__.rpartition(".")[2])
        SPECIMENS[key] = Specimen(key, build, inputs, high, dynamic, db, group, **facts)
        return build

    return register
