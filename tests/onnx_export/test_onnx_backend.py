"""The backend as a user meets it: artifacts of the digits examples, names, bytes, batches, messages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx_running import Case

import irc
from irc import Artifact, IrcError
from irc.backends.onnx_export import backend
from irc.backends.onnx_export.proto import IR_VERSION, OPSET
from irc.cli.verify import lines_of, to_json
from irc.ir.diagnostics import ToolError
from irc.ir.ops.linear import Linear

EXAMPLES = Path(__file__).parents[2] / "examples"
CALIB, TEST = EXAMPLES / "digits_calib.npz", EXAMPLES / "digits_test.npz"


def compiled(model: Any, passes: str, out: Path) -> Artifact:
    source = EXAMPLES / f"{model}.pt2" if isinstance(model, str) else model
    return irc.compile(source, passes=passes, backend="onnx", calib=CALIB, out=out)


def proto_of(artifact: Artifact) -> onnx.ModelProto:
    return onnx.load(artifact.path / "model.onnx")


@pytest.fixture(scope="module")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return compiled("digits_vit", "clean", tmp_path_factory.mktemp("vit") / "a")


@pytest.fixture(scope="module")
def qdq4(vit: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return compiled(vit.captured, "qdq4", tmp_path_factory.mktemp("vit4") / "a")


def test_floats_agree(vit: Artifact):
    found = vit.verify(TEST, limit=64)
    assert found.tolerated
    assert found.nearest is not None
    assert 0 < found.nearest.share <= 1
    (said,) = [line for line in lines_of(found) if line.startswith("nearest to its tolerance: ")]
    assert re.search(r"elements, by up to [\d.e-]+, [\d.e-]+ allowed$", said)
    told = to_json(found)["nearest to its tolerance"]
    assert told["layer"] in said
    assert 0 < told["largest"] <= told["allowed"]
    assert found.to_float[0].relative < 1e-5


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("backend", ["onnx", "cpu"])
def test_terms_that_cancel_say_how_far_a_sum_may_be_off(backend: str, relu: bool):
    layer = torch.nn.Linear(512, 64, bias=False)
    half = torch.rand(64, 256, generator=torch.Generator().manual_seed(0))
    layer.weight.data = torch.cat([half, -half], 1)[:, torch.randperm(512, generator=torch.Generator().manual_seed(0))]
    model = torch.nn.Sequential(layer, torch.nn.ReLU()) if relu else layer
    artifact = irc.compile(model, "f32[1, 512]", passes="clean,fuse" if backend == "cpu" else "clean", backend=backend)
    found = artifact.verify({"input": np.full((1, 512), 0.1, np.float32)})
    assert not found.exact
    assert found.tolerated


def test_quantized_layers_are_within_one_step(qdq4: Artifact):
    found = qdq4.verify(TEST, limit=16)
    found.require_exact()
    kinds = {t.data_type for t in proto_of(qdq4).graph.initializer}
    assert onnx.TensorProto.INT4 in kinds


@pytest.mark.parametrize(("weights", "said"), [(8, True), (7, False)])
def test_what_onnxruntime_may_saturate_is_said(tmp_path: Path, weights: int, said: bool):
    artifact = compiled("digits_cnn", f"qdq8{{weights={weights} ends={weights} rounding=mse}}", tmp_path / "a")
    assert any("disable_quant_qdq" in note for note in artifact.report["notes"]) == said


@pytest.mark.parametrize("passes", ["quant8,fuse", "quant4"])
def test_integers_are_equal_to_the_bit(tmp_path: Path, passes: str):
    artifact = compiled("digits_cnn", passes, tmp_path / "a")
    assert artifact.verify(TEST, limit=16).exact


def test_one_file_takes_every_batch(vit: Artifact):
    images = np.load(TEST)["x"][:5]
    session = onnxruntime.InferenceSession(vit.path / "model.onnx", providers=["CPUExecutionProvider"])
    (port,) = session.get_inputs()
    assert (port.name, port.shape) == ("x", ["b", 1, 32, 32])
    assert session.get_outputs()[0].shape == ["b", 10]
    for batch in (1, 5):
        (given,) = session.run(["output0"], {"x": images[:batch]})
        (wanted,) = irc.interpret(vit.module, [images[:batch]])
        np.testing.assert_allclose(given, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def test_versions_are_pinned(vit: Artifact):
    proto = proto_of(vit)
    onnx.checker.check_model(proto, full_check=True)
    assert (proto.ir_version, [o.version for o in proto.opset_import]) == (10, [21]) == (IR_VERSION, [OPSET])
    assert proto.producer_name == f"irc {irc.__version__}"


def test_names_and_places_are_those_of_the_model(vit: Artifact):
    graph = proto_of(vit).graph
    node = next(n for n in graph.node if n.name == "blocks.0.mlp.act/Gelu")
    assert {p.key: p.value for p in node.metadata_props}["irc.module"] == "blocks.0.mlp.act"
    assert re.fullmatch(r'at "blocks.0.mlp.act" \(GELU\) models.py:\d+', node.doc_string)
    assert "blocks.1.norm2.weight" in {t.name for t in graph.initializer}


def test_same_input_same_bytes(vit: Artifact, tmp_path: Path):
    again = irc.compile(vit.captured, backend="onnx", calib=CALIB, out=tmp_path / "b")
    assert (again.path / "model.onnx").read_bytes() == (vit.path / "model.onnx").read_bytes()


def test_weights_beside_the_model(vit: Artifact, tmp_path: Path):
    images = np.load(TEST)["x"][:3]
    artifact = irc.compile(vit.captured, backend="onnx{weights=file}", calib=CALIB, out=tmp_path / "a")
    assert (artifact.path / "model.onnx.data").stat().st_size > 4 * (artifact.path / "model.onnx").stat().st_size
    assert np.array_equal(artifact.run(images)[0], vit.run(images)[0])


def test_weights_that_fit_no_file(monkeypatch: pytest.MonkeyPatch, vit: Artifact):
    monkeypatch.setattr(backend, "LARGEST", 1000)
    with pytest.raises(IrcError) as caught:
        irc.compile(vit.captured, passes="clean", backend="onnx")
    assert re.fullmatch(
        r"onnx: \d+ bytes of weights do not fit one file\n  hint: onnx\{weights=file\} keeps them beside it",
        str(caught.value),
    )


def test_an_output_called_like_an_input():
    case = Case()
    x = case.input("f32", 2)
    x.name = "output0"
    y = case.b(Linear(x, case.const("f32", [[1.0, 2.0]])))
    case.agree(x, y, y)


def test_onnxruntime_says_why_it_refuses_a_file(tmp_path: Path, vit: Artifact):
    (tmp_path / "model.onnx").write_bytes(b"no model")
    with (
        pytest.raises(ToolError, match=r"^onnxruntime [\d.]+ refuses .*model.onnx\n  note: "),
        backend.start(vit.job(), tmp_path),
    ):
        pass


def test_inputs_that_onnxruntime_refuses(vit: Artifact):
    with (
        backend.start(vit.job(), vit.path) as run,
        pytest.raises(IrcError, match=r"^onnxruntime failed: .*Got invalid dimensions"),
    ):
        run([[np.zeros((1, 1, 5, 5), np.float32)]])
