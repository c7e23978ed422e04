"""What the tests of the command line share: a runner, a small model as text, its data, its artifact."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from small_model import two_layers

from irc.cli import main
from irc.ir.files import write_module

Irc = Callable[..., Result]


@pytest.fixture(autouse=True)
def forgetful(fresh_tables: None) -> None:
    """What a command loads is forgotten behind each test."""


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
