"""The command line in front of PyTorch files, and the trained examples end to end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

EXAMPLES = Path(__file__).parents[2] / "examples"

FACTORY = """
import torch
def make():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(8, 4), torch.nn.ReLU())
"""


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A state dict, and the module `irc_test_arch` whose `make` builds its model."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "irc_test_arch.py").write_text(FACTORY)
    namespace: dict[str, object] = {}
    exec(FACTORY, namespace)
    torch.save(namespace["make"]().state_dict(), tmp_path / "weights.pt")
    return tmp_path / "weights.pt"


def test_state_dict_needs_arch(irc, weights):
    error = irc("compile", weights, code=2).stderr
    assert "--arch" in error or "arch" in error


def test_state_dict_with_arch(irc, weights, tmp_path):
    options = ("--arch", "irc_test_arch:make", "--input", "input=f32[2, 8]", "--dynamic", "b")
    irc("compile", weights, *options, "-o", "art")
    manifest = json.loads((tmp_path / "art/manifest.json").read_text())
    assert manifest["inputs"][0]["type"].startswith("f32[b, 8]")
    out = irc("verify", "art", "--model", weights, *options).stdout
    assert "float graph and PyTorch: at most" in out


def test_bad_reading_options(irc, weights):
    assert "is not NAME=TYPE" in irc("compile", weights, "--input", "x", code=2).stderr
    error = irc("compile", weights, "--dynamic", "x:b", code=2).stderr
    assert "--dynamic x:b is not INPUT:AXIS=NAME" in error
    assert "x:0=b or x:0=b:1:64; alone, b or b=1:64 is the first axis of every input" in error


@pytest.mark.parametrize("text", ["rows=1:8", "rows:1:8"])
def test_a_batch_with_a_range(irc, weights, text):
    options = ("--arch", "irc_test_arch:make", "--input", "input=f32[2, 8]", "--dynamic", text)
    said = irc("inspect", weights, "--text", *options).stdout
    assert "f32[rows, 8]" in said
    assert "where rows in [1, 8]" in said


def test_an_input_without_samples(irc, weights):
    options = ("--arch", "irc_test_arch:make", "--input", "input=f32[0, 8]")
    error = irc("check", weights, *options, code=2).stderr
    assert "an example input of the shape [0, 8] has no sample\n  hint: its first axis is at least 1" in error


def test_several_modules_to_stop_at(irc, weights):
    options = ("--arch", "irc_test_arch:make", "--input", "input=f32[2, 8]", "--stop-at", "1", "--stop-at", "2")
    assert "--stop-at=2: the model has no such module" in irc("check", weights, *options, code=2).stderr


def test_content_tells_not_the_suffix(irc, tmp_path):
    torch.export.save(torch.export.export(torch.nn.Linear(8, 4), (torch.zeros(2, 8),)), tmp_path / "net.pt2")
    irc("export", "onnx", "net.pt2", "-o", "net.onnx")
    (tmp_path / "onnx.pt2").write_bytes((tmp_path / "net.onnx").read_bytes())
    (tmp_path / "program.onnx").write_bytes((tmp_path / "net.pt2").read_bytes())
    for name in ("onnx.pt2", "program.onnx"):
        assert "f32[2, 8]" in irc("inspect", name, "--text").stdout


def test_pickles_are_refused(irc, tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "pickled.pt")
    error = irc("compile", "pickled.pt", code=6).stderr
    assert "trust" in error
    assert "torch.export.save" in error


def test_missing_model(irc):
    assert "nothing.pt2" in irc("compile", "nothing.pt2", code=2).stderr


def test_another_model_is_noticed(irc, tmp_path):
    example = torch.zeros(2, 8)
    for name in ("one", "two"):
        torch.export.save(torch.export.export(torch.nn.Linear(8, 4), (example,)), tmp_path / f"{name}.pt2")
    irc("compile", "one.pt2", "-o", "art")
    irc("verify", "art", "--model", "one.pt2")
    error = irc("verify", "art", "--model", "two.pt2", code=3).stderr
    assert "error: the captured graph is up to " in error
    assert "off PyTorch, whose outputs reach" in error
    assert "is this the model that the artifact was compiled from?" in error


def test_a_model_that_does_not_fit_the_artifact(irc, tmp_path):
    shapes = {"one": (8, 4, (2, 8)), "other_input": (5, 4, (2, 5)), "other_output": (8, 3, (2, 8))}
    for name, (inputs, outputs, shape) in shapes.items():
        program = torch.export.export(torch.nn.Linear(inputs, outputs), (torch.zeros(shape),))
        torch.export.save(program, tmp_path / f"{name}.pt2")
    irc("compile", "one.pt2", "-o", "art")
    error = irc("verify", "art", "--model", "other_output.pt2", code=2).stderr
    assert "the model does not fit the artifact: output0 has the shape [" in error
    assert ", 3] in other_output.pt2 on PyTorch, [" in error
    assert ", 4] in the captured graph" in error
    error = irc("verify", "art", "--model", "other_input.pt2", code=2).stderr
    assert "other_input.pt2 on PyTorch: the model does not fit the artifact: input 'input': float32[" in error
    assert ", 8], expected [samples, 5] of f32" in error
    assert "is this the model that the artifact was compiled from?" in error


def test_example_inputs_are_no_calibration(irc, tmp_path):
    model = torch.export.export(torch.nn.Linear(8, 4), (torch.randn(2, 8),))
    torch.export.save(model, tmp_path / "layer.pt2")
    assert irc("compile", "layer.pt2", "-o", "float").stderr == ""
    warning = irc("compile", "layer.pt2", "--passes", "quant8", "-o", "art").stderr
    assert "ranges are those of the example inputs that came with the model" in warning
    assert "example inputs" in irc("compile", "layer.pt2", "--passes", "quant8", "-o", "b", "--strict", code=1).stderr


def test_trained_example(irc, tmp_path):
    model, calib, test = (EXAMPLES / f"digits_{n}" for n in ("cnn.pt2", "calib.npz", "test.npz"))
    irc("compile", model, "--passes", "quant8{samples=32},fuse", "--calib", calib, "-o", "art")
    found = json.loads(irc("verify", "art", "--data", test, "--limit", 64, "--json").stdout)
    assert found["exact"]
    assert found["accuracy"]["b_right"] >= 60
    report = json.loads((tmp_path / "art/report.json").read_text())
    assert report["summary"]["smaller by a factor of"] > 3.5
