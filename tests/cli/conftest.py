"""What the tests of the command line share: a runner, a small model as text, its data, its artifact."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from irc.cli import main
from irc.ir.builder import Builder
from irc.ir.dims import Symbol, symbol
from irc.ir.files import write_module
from irc.ir.graph import Graph, Module
from irc.ir.location import at
from irc.ir.ops.linear import Linear
from irc.ir.ops.math import Relu
from irc.ir.ops.structure import Return
from irc.ir.types import f32_tensor
from irc.tables import BACKENDS, LOWERINGS, OPS, PASSES, PRESETS

Irc = Callable[..., Result]


@pytest.fixture(autouse=True)
def fresh_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test loads is forgotten behind it."""
    for table in (BACKENDS, LOWERINGS, OPS, PASSES, PRESETS):
        monkeypatch.setattr(table, "_rows", dict(table._rows))


@pytest.fixture
def irc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Irc:
    """Runs `irc` in an empty folder and checks the exit code: irc("opt", "x.irc", code=2)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: Any, code: int = 0, stdin: str | None = None) -> Result:
        monkeypatch.setattr("sys.argv", ["irc", *map(str, arguments)])
        result = CliRunner().invoke(main, list(map(str, arguments)), input=stdin)
        assert result.exit_code == code, f"exit {result.exit_code}\n{result.stdout}\n{result.stderr}"
        assert "Traceback" not in result.output
        return result

    return run


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


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The small model with a symbolic batch, as `.irc` with its weights."""
    path = tmp_path / "mlp.irc"
    write_module(two_layers("b"), path)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Ten labelled samples for it."""
    rng = np.random.default_rng(1)
    path = tmp_path / "data.npz"
    np.savez(path, x=rng.normal(size=(10, 8)).astype(np.float32), labels=np.arange(10) % 3)
    return path


@pytest.fixture
def artifact(irc: Irc, model: Path, data: Path, tmp_path: Path) -> Path:
    """The small model compiled for the reference backend."""
    irc("compile", model, "--calib", data, "-o", "art")
    return tmp_path / "art"


def edit_manifest(artifact: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest of an artifact."""
    path = artifact / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
