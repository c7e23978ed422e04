"""Generated code with all processes at once: FIFOs of the declared depths are enough, and none holds more."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
from concurrent_sources import concurrent
from hls_designs import Trial, legalised, need_compiler, run_trials
from hls_examples import FAST, IMAGES, job
from test_hls_fifo import RESIDUAL, SELECTED
from test_random_graphs import trials_of

from irc.backends.fpga_hls.backend import HLS
from irc.backends.fpga_hls.fifo import SMALLEST, size_fifos
from irc.backends.fpga_hls.simulation import codes_of
from irc.ir.diagnostics import ToolError
from irc.ir.parser import parse

pytestmark = [
    pytest.mark.tool("g++"),
    pytest.mark.skipif(importlib.util.find_spec("clang") is None, reason="no libclang: the extra `lint`"),
]


def most_held(trials: Sequence[Trial], folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """Name, depth and most elements of every FIFO, once every result is right. Raises ToolError on a deadlock."""
    need_compiler()
    record = folder / "occupancy.txt"
    monkeypatch.setenv("IRC_OCCUPANCY", str(record))
    wrong = run_trials(
        trials, folder, ["-O0"], rewrite=lambda files, name: concurrent(files, name, folder / "as_is" / name)
    )
    assert wrong == []
    rows = (line.rsplit(" ", 2) for line in record.read_text().splitlines())
    return [(name, int(depth), int(most)) for name, depth, most in rows]


def random_trials(seeds: Iterable[int]) -> list[Trial]:
    trials = trials_of(list(seeds))
    for trial in trials:
        size_fifos(trial.design)
    return trials


@pytest.mark.parametrize("model", ["digits_cnn", pytest.param("digits_vit", marks=pytest.mark.slow)])
def test_examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str):
    given = job(model, FAST[model], 16)
    codes, wanted = codes_of(given.module, [IMAGES[:1]])
    trial = Trial("top", HLS.lower(given), [codes], [wanted])
    found = most_held([trial], tmp_path, monkeypatch)
    assert [row for row in found if row[2] > row[1]] == []
    depths = {name: depth for name, depth, _ in found}
    assert {s.name: s.depth for s in trial.design.streams}.items() <= depths.items()


def test_random_graphs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    trials = random_trials(range(2))
    found = most_held(trials, tmp_path, monkeypatch)
    assert len(found) >= sum(len(t.design.streams) for t in trials)
    assert [row for row in found if row[2] > row[1]] == []


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(10))
def test_many_random_graphs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int):
    found = most_held(random_trials(range(100 + 20 * chunk, 120 + 20 * chunk)), tmp_path, monkeypatch)
    assert [row for row in found if row[2] > row[1]] == []


def residual() -> Trial:
    """A path beside a whole tensor, which the FIFO of the other path has to hold."""
    module = legalised(parse(RESIDUAL))
    return Trial.of("top", module, [[np.zeros((1, 16, 8), np.int8)]], np.random.default_rng(0))


def test_a_join_fills_its_fifo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    found = most_held([residual()], tmp_path, monkeypatch)
    assert max(most for _, _, most in found) >= 15 * 8


def test_tokens_in_front_of_a_selector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    text = SELECTED.format(how="pinned = 1", kept="12", where="", w=np.eye(8, dtype=int).tolist())
    rng = np.random.default_rng(0)
    images = [[rng.integers(-128, 128, (1, 24, 8)).astype(np.int8)] for _ in range(3)]
    trial = Trial.of("top", legalised(parse(text)), images, rng)
    size_fifos(trial.design)
    (select,) = [s for s in trial.design.stages if s.template == "select_rows"]
    found = most_held([trial], tmp_path, monkeypatch)
    assert [row for row in found if row[2] > row[1]] == []
    held = {name: most for name, _, most in found}
    assert all(0 < held[s.name] <= s.depth for s in select.inputs)


def test_a_shallow_fifo_deadlocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    trial = residual()
    for stream in trial.design.streams:
        stream.depth = SMALLEST
    with pytest.raises(ToolError, match=r"deadlock: .*copy"):
        most_held([trial], tmp_path, monkeypatch)
