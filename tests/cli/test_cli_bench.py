"""`irc bench`: what it says of an artifact, of its layers and of other runtimes. No figure is judged here."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import Irc
from small_model import two_layers

import irc as library
from irc import peers
from irc.backends import measure
from irc.backends.measure import interleaved
from irc.ir.diagnostics import ToolError, UsageError
from irc.passes.base import no_progress
from irc.peers import peer

X = {"x": np.zeros((1, 8), np.float32)}


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return library.compile(two_layers("b"), backend="cpu", out=tmp_path / "small.cpu").path


def test_figures_of_an_artifact(irc: Irc, artifact: Path):
    found = json.loads(irc("bench", artifact, "--slices", 5, "--profile", "--json").stdout)
    assert found["inputs"] == ["float32[1, 8]"]
    assert 0 < found["median ms"] <= found["p90 ms"]
    macs = 8 * 16 + 16 * 3
    assert found["GMAC/s"] == pytest.approx(macs / found["median ms"] / 1e6)
    assert found["part of the peak"] == pytest.approx(found["GMAC/s"] / found["peak GMAC/s"])
    assert found["bytes of weights and workspace"] > 4 * (8 * 16 + 16 * 3)
    assert {row["layer"] for row in found["layers"]} == {"fc1", "fc2"}
    assert sum(row["%"] for row in found["layers"]) == pytest.approx(100)
    assert found["peers"] == []


def test_text(irc: Irc, artifact: Path):
    text = irc("bench", artifact, "--slices", 5, "--profile").stdout
    assert "median" in text
    assert "in registers" in text
    assert "fc1" in text


def test_peers_that_cannot_be_asked(irc: Irc, artifact: Path):
    assert "--vs torch needs the PyTorch model" in irc("bench", artifact, "--vs", "torch", code=2).stderr
    assert "--vs openvino needs the model as ONNX" in irc("bench", artifact, "--vs", "openvino", code=2).stderr
    assert "--vs tvm: no such runtime" in irc("bench", artifact, "--vs", "tvm", code=2).stderr


def test_only_native_code_is_timed(irc: Irc, tmp_path: Path):
    other = library.compile(two_layers(), out=tmp_path / "small.reference").path
    assert "artifacts of the backend reference are not timed" in irc("bench", other, code=2).stderr


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_peer_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ToolError, match=f"--vs {name}: {name} is not installed") as error:
        peer(name, X, "model.onnx", None)
    assert f"pip install {name}" in str(error.value)


def test_a_peer_that_refuses_the_model(monkeypatch: pytest.MonkeyPatch):
    def refuse(model: str, inputs: object) -> peers.Run:
        raise RuntimeError("first line\n\nsecond line")

    monkeypatch.setitem(peers.READERS, "onnxruntime", refuse)
    with pytest.raises(ToolError, match=r"onnxruntime cannot run model\.onnx") as error:
        peer("onnxruntime", X, "model.onnx", None)
    assert "note: second line" in str(error.value)


def test_torch_runs_the_captured_model():
    calls: list[object] = []
    peer("torch", X, None, calls.append)()
    assert calls == [X]
    with pytest.raises(UsageError):
        peer("torch", X, None, None)


def test_disturbed_slices_do_not_count(monkeypatch: pytest.MonkeyPatch):
    clock = [0.0]
    monkeypatch.setattr(measure.time, "perf_counter", lambda: clock[0])
    turns = [0]

    def run() -> None:
        clock[0] += 0.004 if calm() else 0.009

    def calm() -> bool:
        return turns[0] < 11 or (turns[0] - 11) // 4 % 2 == 0

    def peak() -> float:
        turns[0] += 1
        return 100.0 if calm() else 60.0

    found = interleaved({"a": run, "b": run}, peak, 5, no_progress)
    assert found.peak == 100.0
    for times in found.times.values():
        assert times.calm
        assert times.median == pytest.approx(0.004)


def test_a_machine_without_a_calm_moment(monkeypatch: pytest.MonkeyPatch):
    clock, turns = [0.0], [0]
    monkeypatch.setattr(measure.time, "perf_counter", lambda: clock[0])

    def run() -> None:
        clock[0] += 0.005

    def peak() -> float:
        turns[0] += 1
        return 100.0 if turns[0] == 1 else 50.0

    found = interleaved({"a": run}, peak, 5, no_progress)
    assert not found.times["a"].calm
    assert found.times["a"].percentile(90) == pytest.approx(0.005)


def test_threads(irc: Irc, artifact: Path):
    assert "1, 8], 2 threads" in irc("bench", artifact, "--slices", 5, "--threads", 2).stdout
    assert irc("run", artifact, "--threads", 3).stdout == irc("run", artifact).stdout
    assert irc("verify", artifact, "--threads", 2).stdout == irc("verify", artifact).stdout


def test_threads_that_an_artifact_cannot_have(irc: Irc, artifact: Path, tmp_path: Path):
    found = irc("verify", artifact, "--threads", 65, code=2).stderr
    assert "65 threads cannot run artifacts of the backend cpu" in found
    assert "1 to 64 can" in found
    other = library.compile(two_layers(), out=tmp_path / "small.reference").path
    found = irc("run", other, "--threads", 2, code=2).stderr
    assert "2 threads cannot run artifacts of the backend reference" in found
    assert "one can" in found
