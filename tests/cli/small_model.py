"""A small model as a graph, and edits of artifacts, for the tests of the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from irc.ir.builder import Builder
from irc.ir.dims import Symbol, symbol
from irc.ir.graph import Graph, Module
from irc.ir.location import at
from irc.ir.ops.linear import Linear
from irc.ir.ops.math import Relu
from irc.ir.ops.structure import Return
from irc.ir.types import f32_tensor


def two_layers(batch: Any = 1) -> Module:
    """x[b, 8] -> fc1 -> relu -> fc2 -> [b, 3], with locations."""
    rng = np.random.default_rng(0)
    symbols = [Symbol("b", 1, 64)] if batch == "b" else []
    size = symbol("b") if batch == "b" else batch
    graph = Graph([f32_tensor(size, 8)], names=["x"], name="main", symbols=symbols)
    b = Builder.at_end(graph)
    value = graph.inputs[0]
    for index, (rows, columns) in enumerate([(16, 8), (3, 16)], 1):
        b.loc = at(f"fc{index}", "Linear", "mlp.py", 10 + index)
        w = b.const(rng.normal(size=(rows, columns)).astype(np.float32))
        bias = b.const(rng.normal(size=rows).astype(np.float32))
        value = b(Linear(value, w, bias))
        if index == 1:
            b.loc = at("act", "ReLU", "mlp.py", 20)
            value = b(Relu(value))
    b.add(Return((value,)))
    return Module([graph])


def edit_manifest(artifact: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest of an artifact."""
    path = artifact / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
