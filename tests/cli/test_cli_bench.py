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
from irc.backends import measure
from irc.backends.measure import interleaved
from irc.cli.bench import text_of
from irc.ir.diagnostics import IrcError, ToolError, UsageError
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


def test_a_batch(irc: Irc, artifact: Path):
    found = json.loads(irc("bench", artifact, "--slices", 5, "--batch", 40, "--json").stdout)
    assert found["inputs"] == ["float32[40, 8]"]
    assert found["GMAC/s"] == pytest.approx(40 * (8 * 16 + 16 * 3) / found["median ms"] / 1e6)
    refused = irc("bench", artifact, "--batch", 65, code=2).stderr
    assert "--batch 65: the model takes up to 64 samples at once" in refused


def test_a_core_that_others_keep_busy(monkeypatch: pytest.MonkeyPatch):
    clock = [0.0]
    monkeypatch.setattr(measure.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(measure.time, "process_time", lambda: 0.6 * clock[0])

    def run() -> None:
        clock[0] += 0.004

    assert interleaved({"a": run}, lambda: 1.0, 5, no_progress).share == pytest.approx(0.6)


def test_text_of_shared_figures(irc: Irc, artifact: Path):
    found = json.loads(irc("bench", artifact, "--slices", 5, "--json").stdout)
    said = text_of({**found, "share of a core": 0.6})
    assert "others had the core for 40 % of the time: these figures are rough" in said
    assert "others had" not in text_of({**found, "share of a core": 1.0})


def test_another_model_than_that_of_the_artifact(irc: Irc, artifact: Path, tmp_path: Path):
    torch = pytest.importorskip("torch")
    x = torch.zeros(2, 8)
    for layer, inputs, said in (
        (torch.nn.Linear(4, 3), (x[:, :4],), "input 'input': float32[1, 8], expected [samples, 4] of f32"),
        (torch.nn.Linear(8, 5), (x,), "output0 has the shape [1, 3] in the artifact, [1, 5] in "),
        (torch.nn.MSELoss(), (x, x), "takes the inputs input, target; given are x"),
    ):
        torch.export.save(torch.export.export(layer, inputs), tmp_path / "other.pt2")
        refused = irc("bench", artifact, "--vs", "torch", "--model", tmp_path / "other.pt2", code=2).stderr
        assert "the model does not fit the artifact: " in refused
        assert said in refused
        assert "hint: is this the model that the artifact was compiled from?" in refused


def test_text(irc: Irc, artifact: Path):
    text = irc("bench", artifact, "--slices", 5, "--profile").stdout
    assert "median" in text
    assert "in registers" in text
    assert "fc1" in text


def test_peers_that_cannot_be_asked(irc: Irc, artifact: Path):
    assert "--vs torch needs the PyTorch model" in irc("bench", artifact, "--vs", "torch", code=2).stderr
    assert "--vs tvm: no such runtime" in irc("bench", artifact, "--vs", "tvm", code=2).stderr
    missing = irc("bench", artifact, "--vs", "onnxruntime", "--onnx", "none.onnx", code=2).stderr
    assert "File 'none.onnx' does not exist" in missing


def test_only_native_code_is_timed(irc: Irc, tmp_path: Path):
    other = library.compile(two_layers(), out=tmp_path / "small.reference").path
    assert "artifacts of the backend reference are not timed" in irc("bench", other, code=2).stderr


def test_other_runtimes_get_the_float_graph(irc: Irc, artifact: Path):
    pytest.importorskip("openvino")
    found = json.loads(irc("bench", artifact, "--slices", 5, "--vs", "onnxruntime,openvino", "--json").stdout)
    assert [p["name"] for p in found["peers"]] == ["onnxruntime", "openvino"]
    assert all(p["median ms"] > 0 for p in found["peers"])


def test_a_float_graph_that_has_no_onnx_form(irc: Irc, tmp_path: Path):
    model = tmp_path / "wide.irc"
    model.write_text("func @main(%x: f64[4]) -> f64[4] {\n  %y = gelu %x : f64[4]\n  return %y\n}\n")
    irc("compile", model, "--backend", "cpu", "-o", tmp_path / "wide.cpu")
    found = irc("bench", tmp_path / "wide.cpu", "--vs", "onnxruntime", code=1).stderr
    assert "gelu: the backend onnx cannot write it: onnxruntime has no kernel for f64" in found


def test_a_peer_that_is_not_installed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ToolError, match="--vs openvino: openvino is not installed") as error:
        peer("openvino", X, lambda: "model.onnx", None)
    assert "pip install openvino" in str(error.value)


def test_a_peer_that_refuses_the_model(tmp_path: Path):
    pytest.importorskip("openvino")
    broken = tmp_path / "model.onnx"
    broken.write_bytes(b"no model")
    with pytest.raises(ToolError, match=r"^onnxruntime [\d.]+ refuses .*model.onnx\n  note: ."):
        peer("onnxruntime", X, lambda: str(broken), None)
    with pytest.raises(ToolError, match=r"^openvino refuses .*model.onnx\n  note: ."):
        peer("openvino", X, lambda: str(broken), None)


def test_a_model_that_does_not_run(tmp_path: Path):
    module = library.parse("func @main(%x: f32[1, 8]) -> f32[1, 8] { %y = relu %x : f32[1, 8] return %y }")
    path = library.compile(module, backend="onnx", out=tmp_path / "a").path / "model.onnx"
    with pytest.raises(IrcError, match=r"^onnxruntime failed: "):
        peer("onnxruntime", {"x": np.zeros((2, 5), np.float32)}, lambda: str(path), None)


def test_torch_runs_the_captured_model():
    calls: list[object] = []
    peer("torch", X, str, calls.append)()
    assert calls == [X]
    with pytest.raises(UsageError):
        peer("torch", X, str, None)


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
