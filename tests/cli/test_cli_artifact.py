"""`irc run`, `irc verify`, `irc inspect`, and artifacts that are damaged or hostile."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from small_model import edit_manifest

BROKEN = Path(__file__).parent / "broken_things.py"


# -- run


def test_run_on_golden_inputs(irc, artifact):
    assert irc("run", "art").stdout == "output0: float32[8, 3]\n"
    found = json.loads(irc("run", "art", "--json").stdout)
    expected = np.load(artifact / "golden/outputs.npz")["output0"]
    assert np.array_equal(np.float32(found["output0"]), expected)


def test_run_on_data(irc, artifact, data, tmp_path):
    irc("run", "art", "--data", data, "-o", "out.npz")
    assert np.load("out.npz")["output0"].shape == (10, 3)
    assert "out.npz: exists already" in irc("run", "art", "-o", "out.npz", code=2).stderr
    irc("run", "art", "--limit", "2", "-o", "out.npz", "--force", "--quiet")
    assert np.load("out.npz")["output0"].shape == (2, 3)
    assert "cannot write" in irc("run", "art", "-o", data / "out.npz", code=2).stderr


def test_run_checks_the_data(irc, artifact, tmp_path):
    np.savez(tmp_path / "bad.npz", x=np.zeros((2, 7), np.float32))
    error = irc("run", "art", "--data", "bad.npz", code=2).stderr
    assert "--data=bad.npz: input 'x': float32[2, 7], expected [samples, 8] of f32" in error


def test_missing_tool(irc, model):
    irc("compile", model, "--load", BROKEN, "--backend", "toolless", "-o", "art")
    error = irc("run", "art", code=5).stderr
    assert "no compiler was found" in error
    assert "install g++" in error


# -- verify


def test_verify_prints_equality_and_accuracy(irc, artifact, data):
    out = irc("verify", "art", "--data", data).stdout.splitlines()
    assert out[0] == "mlp on reference, 10 samples"
    assert out[1] == "output0: bit-equal to the interpreter (30 of 30 elements equal)"
    assert out[2].startswith("output0 against the float graph: no noise")
    assert "paired difference +0.00 % (standard error 0.00)" in out[3]
    assert out[4] == "flips: 0 lost, 0 won, 0 predictions changed"
    found = json.loads(irc("verify", "art", "--data", data, "--json").stdout)
    assert found["exact"] is True
    assert found["accuracy"]["samples"] == 10


def test_labels_that_are_no_classes(irc, artifact, tmp_path):
    for label in (3, -1):
        np.savez(tmp_path / "odd.npz", x=np.zeros((2, 8), np.float32), labels=[1, label])
        error = irc("verify", "art", "--data", "odd.npz", code=2).stderr
        assert f"labels: {label} is none of the 3 classes that output0 scores" in error
        assert "classes count from 0 to 2" in error


def test_verify_without_labels(irc, artifact):
    out = irc("verify", "art").stdout
    assert "top-1" not in out
    assert "output0 against the float graph: no noise, at most 0 apart, outputs reach" in out


def test_verify_tells_how_far_from_float(irc, model, data, tmp_path):
    irc("compile", model, "--passes", "quant8", "--calib", data, "-o", "eight")
    said = re.search(r"against the float graph: signal to noise ([\d.]+) dB, at most", irc("verify", "eight").stdout)
    assert said
    assert 20 < float(said[1]) < 80
    (found,) = json.loads(irc("verify", "eight", "--json").stdout)["to float"]
    assert found["signal"] > found["noise"] > 0


def test_mismatch_names_the_first_layer(irc, model, data):
    irc("compile", model, "--load", BROKEN, "--backend", "wrong", "--passes", "", "-o", "art")
    result = irc("verify", "art", "--data", data, code=3)
    assert "output0: differs (29 of 30 elements equal)" in result.stdout
    assert "output0 differs from the interpreter in 1 of 30 elements, by up to 1, first in call 0" in result.stderr
    assert 'the first value that differs is "act" (ReLU) mlp.py:20: relu differs in 160 of 160' in result.stderr


# -- inspect


def test_inspect_a_text(irc, model):
    out = irc("inspect", model).stdout
    assert out.startswith("mlp: x: f32[b, 8]\n  -> f32[b, 3]\n  where b in [1, 64]; costs are those of one sample\n")
    assert "fc1    Linear  linear   128" in out
    assert "multiply-accumulates: 176" in out
    assert irc("inspect", model, "--text").stdout == model.read_text()
    assert json.loads(irc("inspect", model, "--json").stdout)["summary"]["multiply-accumulates"] == 176


def test_inspect_says_at_which_sizes_costs_are(irc, tmp_path):
    for batch, counted in (("b", "one sample"), ("3", "one run")):
        text = f"func @main(%x: f32[{batch}, n]) -> f32[{batch}, n] where b in [1, 4], n in [2, 128] {{\n"
        text += f"  %y = relu %x : f32[{batch}, n]\n  return %y\n}}\n"
        Path("sized.irc").write_text(text if batch == "b" else text.replace("b in [1, 4], ", ""))
        out = irc("inspect", "sized.irc").stdout
        assert f"n in [2, 128]; costs are those of {counted} at the largest sizes, n = 128\n" in out


def test_inspect_an_artifact(irc, model, data, tmp_path):
    irc("compile", model, "--passes", "quant8", "--calib", data, "-o", "art")
    assert "requantize" in irc("inspect", "art").stdout
    assert "requantize" not in irc("inspect", "art", "--stage", "captured").stdout
    assert irc("inspect", "art", "--html", "page.html").stdout == ""
    assert "<title>mlp on reference</title>" in (tmp_path / "page.html").read_text()
    assert "exists already" in irc("inspect", "art", "--html", "page.html", code=2).stderr
    irc("inspect", "art", "--html", "new/folder/page.html")
    assert "not a folder" in irc("inspect", "art", "--html", "page.html/page.html", code=2).stderr


# -- damage


def test_not_an_artifact(irc, model, tmp_path):
    assert "there is no such artifact" in irc("run", "nothing", code=2).stderr
    assert "is no irc artifact: it is not a folder" in irc("run", model, code=2).stderr
    (tmp_path / "empty").mkdir()
    assert "is no irc artifact: it has no manifest.json" in irc("run", "empty", code=2).stderr


def damaged(irc, message: str, code: int = 1) -> None:
    error = irc("verify", "art", code=code).stderr
    assert message in error
    assert error.startswith("error: art: ")


def test_edited_file(irc, artifact):
    path = artifact / "lowered.irc"
    path.write_text(path.read_text().replace("relu", "tanh"))
    damaged(irc, "the artifact is damaged: lowered.irc is not the file that was written")


def test_missing_file(irc, artifact):
    (artifact / "weights.safetensors").unlink()
    damaged(irc, "the artifact is damaged: weights.safetensors is missing")


def test_truncated_manifest(irc, artifact):
    (artifact / "manifest.json").write_text('{"schema": 1,')
    damaged(irc, "the artifact is damaged: manifest.json cannot be read")
    (artifact / "manifest.json").write_text("[" * 100_000)
    damaged(irc, "the artifact is damaged: manifest.json cannot be read")
    (artifact / "manifest.json").write_text("[1]")
    damaged(irc, "manifest.json holds no object")


def test_other_schema(irc, artifact):
    edit_manifest(artifact, lambda m: m.update(schema=99))
    damaged(irc, "has schema 99, this irc reads 1")


def test_incomplete_manifest(irc, artifact):
    edit_manifest(artifact, lambda m: m.pop("backend"))
    damaged(irc, "manifest.json has no valid 'backend'")


def test_unlisted_file(irc, artifact):
    edit_manifest(artifact, lambda m: m["files"].pop("lowered.irc"))
    damaged(irc, "manifest.json does not list lowered.irc")


@pytest.mark.parametrize("name", ["../mlp.irc", "/etc/passwd", "src/../../x", "a\\b", "a\n/../../x", "", "."])
def test_names_never_leave_the_folder(irc, artifact, name):
    edit_manifest(artifact, lambda m: m["files"].update({name: "0" * 64}))
    damaged(irc, "outside the artifact", code=6)


def test_links_never_leave_the_folder(irc, artifact, model):
    (artifact / "link").symlink_to(model)
    edit_manifest(artifact, lambda m: m["files"].update(link="0" * 64))
    damaged(irc, "link is a link out of the artifact", code=6)


def test_unknown_backend_of_an_artifact(irc, artifact):
    edit_manifest(artifact, lambda m: m.update(backend="tpu"))
    assert "unknown backend 'tpu'" in irc("run", "art", code=2).stderr


def test_an_artifact_can_be_moved(irc, artifact, tmp_path):
    shutil.move(artifact, tmp_path / "elsewhere")
    irc("verify", "elsewhere")
