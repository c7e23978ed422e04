"""`irc export`: one file for other tools."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from conftest import Irc
from small_model import two_layers

import irc as library
from irc.backends.report import number_text
from irc.ir.files import write_module


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write_module(two_layers("b"), tmp_path / "small.irc")
    return tmp_path / "small.irc"


def test_a_model_and_an_artifact_give_the_same_file(irc: Irc, model: Path, tmp_path: Path):
    artifact = library.compile(str(model), out=tmp_path / "small.reference").path
    for source, file in ((model, "a.onnx"), (artifact, "b.onnx")):
        said = irc("export", "onnx", source, "-o", tmp_path / file).stdout
        assert said == f"{tmp_path / file}: {number_text((tmp_path / file).stat().st_size)} bytes\n"
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    session = onnxruntime.InferenceSession(tmp_path / "a.onnx", providers=["CPUExecutionProvider"])
    x = np.ones((3, 8), np.float32)
    (given,) = session.run(None, {"x": x})
    (wanted,) = library.interpret(two_layers("b"), [x])
    np.testing.assert_allclose(given, wanted, rtol=1e-5, atol=1e-6)


def test_passes_and_options(irc: Irc, model: Path, tmp_path: Path):
    words = ("export", "onnx{weights=file}", model, "--passes", "qdq4", "-o")
    assert irc(*words, tmp_path / "new" / "q.onnx", "--quiet").stdout == ""
    assert re.search(r"other\.onnx and other\.onnx\.data: [\d ]+ bytes\n", irc(*words, tmp_path / "other.onnx").stdout)
    graph = onnx.load(tmp_path / "new" / "q.onnx").graph
    assert "DequantizeLinear" in {node.op_type for node in graph.node}


def test_mistakes(irc: Irc, model: Path, tmp_path: Path):
    taken = tmp_path / "taken.onnx"
    taken.write_text("x")
    assert "exists already" in irc("export", "onnx", model, "-o", taken, code=2).stderr
    irc("export", "onnx", model, "-o", taken, "--force")
    assert "unknown format 'hls'" in irc("export", "hls", model, "-o", tmp_path / "a", code=2).stderr
    assert "unknown backend 'tflite'" in irc("export", "tflite", model, "-o", tmp_path / "a", code=2).stderr
    found = irc("export", "onnx", model, "-o", taken / "below.onnx", code=2).stderr
    assert "taken.onnx" in found
    artifact = library.compile(str(model), out=tmp_path / "small.reference").path
    found = irc("export", "onnx", artifact, "--arch", "a:b", "-o", tmp_path / "a", code=2).stderr
    assert "--arch goes with a PyTorch model; small.reference is an artifact, which says it itself" in found
