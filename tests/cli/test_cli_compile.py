"""`irc compile`: artifacts, data, and everything that can be wrong with either."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_model import two_layers
from threadpoolctl import threadpool_info

from irc import driver
from irc.backends import usable
from irc.backends.artifact import Artifact
from irc.ir.constants import Data
from irc.ir.diagnostics import UsageError
from irc.ir.files import read_module, write_module

BROKEN = Path(__file__).parent / "broken_things.py"
WEIGHTS = "quantize{weights=4 activations=none}"


def tree(folder: Path) -> dict[str, str]:
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


# -- what it writes


def test_artifact_holds_what_was_compiled(irc, artifact):
    assert set(tree(artifact)) == {
        "manifest.json",
        "input.irc",
        "lowered.irc",
        "weights.safetensors",
        "golden/inputs.npz",
        "golden/outputs.npz",
        "report.json",
        "report.html",
        "provenance.json",
    }
    manifest = json.loads((artifact / "manifest.json").read_text())
    assert manifest["model"] == "mlp"
    assert manifest["backend"] == "reference"
    assert manifest["pipeline"] == "canonicalize,fold,canonicalize,cse,dce"
    assert manifest["inputs"] == [{"name": "x", "type": "f32[b, 8]"}]
    assert manifest["outputs"] == [{"name": "output0", "type": "f32[b, 3]"}]
    assert manifest["calibration"]["samples"] == "given"
    report = json.loads((artifact / "report.json").read_text())
    rows = {row["layer"]: row for row in report["layers"]}
    assert rows["fc1"]["macs"] == 8 * 16
    assert rows["fc1"]["bytes"] == 4 * (8 * 16 + 16)
    assert rows["fc2"]["class"] == "Linear"
    provenance = json.loads((artifact / "provenance.json").read_text())
    assert {"path": "act", "class": "ReLU", "file": "mlp.py", "line": 20} in [
        place for node in provenance["functions"]["main"] for place in node["at"]
    ]
    assert [p["pass"] for p in provenance["passes"]][:2] == ["canonicalize", "fold"]


def test_same_input_same_bytes(irc, model, data, tmp_path):
    irc("compile", model, "--calib", data, "-o", "one")
    os.utime(data, (1, 1))
    irc("compile", model, "--calib", data, "-o", "deep/er/two")
    assert tree(tmp_path / "one") == tree(tmp_path / "deep/er/two")
    assert str(tmp_path) not in "".join(p.read_text() for p in (tmp_path / "one").glob("*.[jh]*"))


@pytest.mark.parametrize("work", ["run_pipeline", "interpret"])
def test_what_decides_bytes_uses_one_blas_thread(irc, model, data, monkeypatch, work):
    threads: list[int] = []
    found = getattr(driver, work)

    def watched(*arguments: Any, **named: Any) -> Any:
        threads.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        return found(*arguments, **named)

    monkeypatch.setattr(driver, work, watched)
    irc("compile", model, "--calib", data, "-o", "art")
    assert set(threads) == {1}


def test_names_of_a_model_are_escaped_in_the_page(irc, tmp_path):
    module = two_layers()
    for node in module.walk():
        node.loc = type(node.loc)(tuple(type(s)("<script>", s.cls, s.file, s.line) for s in node.loc.sources))
    write_module(module, tmp_path / "evil.irc")
    irc("compile", "evil.irc", "--passes", "", "-o", "art")
    page = (tmp_path / "art/report.html").read_text()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_default_name_and_summary(irc, model, data, tmp_path):
    out = irc("compile", model, "--calib", data).stdout
    assert out.startswith("mlp.reference: mlp on reference")
    assert "multiply-accumulates" in out
    assert (tmp_path / "mlp.reference/manifest.json").exists()


def test_json(irc, model, data):
    found = json.loads(irc("compile", model, "--calib", data, "-o", "art", "--json").stdout)
    assert found["artifact"] == "art"
    assert found["summary"]["multiply-accumulates"] == 8 * 16 + 16 * 3


def test_quiet_and_verbose(irc, model):
    assert irc("compile", model, "-o", "a", "--quiet").output == ""
    assert "passes: canonicalize,fold" in irc("compile", model, "-o", "b", "--verbose").stderr


def test_quantized(irc, model, data, tmp_path):
    irc("compile", model, "--passes", "quant8,fuse", "--calib", data, "-o", "art")
    report = json.loads((tmp_path / "art/report.json").read_text())
    assert report["summary"]["smaller by a factor of"] > 2
    assert {row["bits"] for row in report["layers"] if row["layer"] in ("fc1", "fc2")} == {8}
    assert "integerize{requant=fixed islands=none}" in report["pipeline"]  # what `auto` stood for
    irc("verify", "art", "--data", data)


def test_stop_after_writes_text(irc, model, data, tmp_path):
    shown = irc("compile", model, "--passes", "quant8", "--calib", data, "--stop-after", "quantize").stdout
    assert "dequantize" in shown
    irc("compile", model, "--passes", "quant8", "--calib", data, "--stop-after", "quantize", "-o", "qdq.irc")
    assert str(read_module(tmp_path / "qdq.irc")) == shown
    options = ("--load", BROKEN, "--passes", "crash", "--stop-after", "crash")
    assert "exists already" in irc("compile", model, *options, "-o", "qdq.irc", code=2).stderr  # before any work


def test_save_temps(irc, model, tmp_path):
    irc("compile", model, "-o", "art", "--save-temps")
    names = sorted(p.name for p in (tmp_path / "art.temps").glob("*.irc"))
    assert names[0] == "00-input.irc"
    assert len(names) == 6


def test_warnings(irc, model, tmp_path):
    shown = irc("compile", model, "--load", BROKEN, "--passes", "grumbling", "-o", "art")
    assert shown.stderr == "warning: the weather is bad\n"
    assert json.loads((tmp_path / "art/report.json").read_text())["warnings"] == ["the weather is bad"]
    error = irc("compile", model, "--load", BROKEN, "--passes", "grumble", "-o", "b", "--strict", code=1).stderr
    assert "a warning, which --strict makes an error" in error
    assert not (tmp_path / "b").exists()


# -- where it writes


def test_existing_output(irc, model, artifact):
    before = tree(artifact)
    error = irc("compile", model, "-o", "art", code=2).stderr
    assert "art: exists already" in error
    assert "--force" in error
    assert tree(artifact) == before
    irc("compile", model, "--passes", "", "-o", "art", "--force")
    assert tree(artifact) != before


def test_force_replaces_only_artifacts(irc, model, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter1.tex").write_text("years of work")
    error = irc("compile", model, "-o", "thesis", "--force", code=2).stderr
    assert "is no irc artifact, so --force does not replace it" in error
    assert (tmp_path / "thesis/chapter1.tex").read_text() == "years of work"
    (tmp_path / "empty").mkdir()
    irc("compile", model, "-o", "empty", "--force")


def test_unwritable_output(irc, model):
    assert "cannot write: mlp.irc is not a folder" in irc("compile", model, "-o", model / "art", code=2).stderr


def test_failure_leaves_nothing_behind(irc, model, artifact, tmp_path):
    before = tree(artifact)
    names = {p.name for p in tmp_path.iterdir()}
    error = irc("compile", model, "--load", BROKEN, "--backend", "failing", "-o", "art", "--force", code=70).stderr
    assert "irc failed: ZeroDivisionError: in emit (broken_things.py:" in error
    assert tree(artifact) == before
    assert {p.name for p in tmp_path.iterdir()} - names == {"irc-reproducer"}


def test_backend_may_not_write_common_files(irc, model):
    error = irc("compile", model, "--load", BROKEN, "--backend", "overreaching", "-o", "art", code=70).stderr
    assert "the backend overreaching wrote manifest.json, which is not its own" in error


def test_refusals_of_a_backend_come_all_at_once(irc, model, tmp_path):
    error = irc("compile", model, "--load", BROKEN, "--backend", "refusing", "-o", "art", code=1).stderr
    assert '"fc1" (Linear) mlp.py:11: linear: not here\n  note: and 1 more: "fc2" (Linear) mlp.py:12' in error
    assert '"fc1" (Linear) mlp.py:11' in error
    assert not (tmp_path / "art").exists()


# -- backends and targets


def test_unknown_backend(irc, model):
    error = irc("compile", model, "--backend", "refrence", code=2).stderr
    assert "unknown backend 'refrence'" in error
    assert "did you mean 'reference'?" in error


def test_unknown_backend_option(irc, model):
    error = irc("compile", model, "--backend", "reference{clock=250}", code=2).stderr
    assert "reference has no option 'clock'" in error
    assert "--backend:1:10" in irc("compile", model, "--backend", "reference oops", code=2).stderr


def test_unknown_target(irc, model):
    error = irc("compile", model, "--target", "somewhere", code=2).stderr
    assert "the backend reference has no target 'somewhere'" in error
    assert "known: any" in error


# -- data


def fails_with(irc, model: Path, calib: object, *messages: str) -> None:
    error = irc("compile", model, "--passes", "calibrate", "--calib", calib, "-o", "never", code=2).stderr
    for message in messages:
        assert message in error
    assert "--calib" in error


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((4, 9), np.float32)}, "input 'x': float32[4, 9], expected [samples, 8] of f32"),
        ({"x": np.zeros(8, np.float32)}, "input 'x': float32[8], expected [samples, 8] of f32"),
        ({"x": np.zeros((4, 8), "U1")}, "input 'x': <U1[4, 8], expected [samples, 8] of f32"),
        ({"y": np.zeros((4, 8), np.float32)}, "the array for input 'x' (f32[b, 8]) is missing"),
        ({"y": np.zeros((4, 8), np.float32)}, "there is no input 'y'"),
        ({"x": np.zeros((0, 8), np.float32)}, "holds no samples"),
        ({"x": np.full((4, 8), np.nan, np.float32)}, "holds NaN or infinite values"),
        ({"x": np.zeros((4, 8), np.float32), "labels": np.zeros(3, int)}, "labels have shape [3], expected [4]"),
        ({"x": np.zeros((4, 8), np.float32), "labels": np.zeros(4, "U1")}, "labels are <U1, expected integers"),
        ({"x": np.zeros((4, 8), np.float32), "labels": np.zeros(4)}, "labels are float64, expected integers"),
    ],
)
def test_data_that_do_not_fit(irc, model, tmp_path, arrays, message):
    np.savez(tmp_path / "bad.npz", **arrays)
    fails_with(irc, model, "bad.npz", message)


def test_data_that_cannot_be_read(irc, model, tmp_path):
    fails_with(irc, model, "nothing.npz", "there is no such file")
    fails_with(irc, model, "nothing", "there is no such file", "module:function")
    (tmp_path / "text.npz").write_text("hello")
    fails_with(irc, model, "text.npz", "text.npz is not a readable .npz")
    with zipfile.ZipFile("odd.npz", "w") as archive:
        archive.writestr("x.npy", "no array")
    fails_with(irc, model, "odd.npz", "'x' in odd.npz is no array")
    (tmp_path / "text.npy").write_text("hello")
    fails_with(irc, model, "text.npy", "text.npy is not a readable .npy")
    np.save(tmp_path / "pickled.npy", np.array([{}], object), allow_pickle=True)
    fails_with(irc, model, "pickled.npy", "is not a readable .npy", "allow_pickle=False")
    (tmp_path / "folder").mkdir()
    fails_with(irc, model, "folder", "the folder has no .npz files")
    fails_with(irc, model, model, "is neither .npz, .npy nor a folder")
    fails_with(irc, model, "no_such_module:f", "ModuleNotFoundError")


@pytest.mark.parametrize(("offset", "byte"), [(10, 99), (8, 1), (6, 200)], ids=["compression", "encrypted", "version"])
def test_archives_of_data_that_are_damaged(irc, model, tmp_path, offset, byte):
    np.savez(tmp_path / "bad.npz", x=np.zeros((4, 8), np.float32))
    content = bytearray((tmp_path / "bad.npz").read_bytes())
    content[content.index(b"PK\x01\x02") + offset] = byte
    (tmp_path / "bad.npz").write_bytes(content)
    fails_with(irc, model, "bad.npz", "bad.npz is not a readable .npz")


def test_header_of_an_array_that_is_damaged(irc, model, tmp_path):
    np.save(tmp_path / "bad.npy", np.zeros((4, 8), np.float32))
    content = (tmp_path / "bad.npy").read_bytes()
    (tmp_path / "bad.npy").write_bytes(content.replace(b"(4, 8), }", b"(4, 8, [["))
    fails_with(irc, model, "bad.npy", "bad.npy is not a readable .npy")


def test_every_kind_of_data(irc, model, data, tmp_path):
    x = np.load(data)["x"]
    np.save(tmp_path / "x.npy", x)
    (tmp_path / "parts").mkdir()
    np.savez(tmp_path / "parts/b.npz", x=x[5:])
    np.savez(tmp_path / "parts/a.npz", x=x[:5])
    (tmp_path / "irc_test_batches.py").write_text(
        "import numpy as np\ndef f():\n    x = np.load('x.npy')\n    yield {'x': x[:3]}\n    yield {'x': x[3:]}\n"
        "def fails():\n    return 1 / 0\n"
        "def one():\n    return {'x': np.load('x.npy')}\ndef bad():\n    return [1]\n"
    )
    for index, calib in enumerate([data, "x.npy", "parts", "irc_test_batches:f", "irc_test_batches:one"]):
        irc("compile", model, "--passes", "quant8", "--calib", calib, "-o", f"art{index}")
    arts = [tree(tmp_path / f"art{index}") for index in range(5)]
    assert all(art == arts[0] for art in arts)
    fails_with(irc, model, "irc_test_batches:bad", "the function gives no dicts of arrays by input name")
    fails_with(irc, model, "irc_test_batches:fails", "the function failed: ZeroDivisionError: division by zero")


def test_parts_must_agree(irc, model, tmp_path):
    (tmp_path / "parts").mkdir()
    np.savez(tmp_path / "parts/a.npz", x=np.zeros((2, 8), np.float32))
    np.savez(tmp_path / "parts/b.npz", x=np.zeros((2, 7), np.float32))
    fails_with(irc, model, "parts", "its parts cannot be joined")
    np.savez(tmp_path / "parts/b.npz", y=np.zeros((2, 7), np.float32))
    fails_with(irc, model, "parts", "its parts hold different arrays: x and y")


def test_inputs_must_hold_equally_many_samples(irc, tmp_path):
    text = "func @main(%a: f32[b, 2], %c: f32[b, 2]) -> f32[b, 2] where b in [1, 8] {\n"
    (tmp_path / "two.irc").write_text(text + "  %y = add %a, %c : f32[b, 2]\n  return %y\n}\n")
    np.savez(tmp_path / "bad.npz", a=np.zeros((2, 2), np.float32), c=np.zeros((3, 2), np.float32))
    fails_with(irc, tmp_path / "two.irc", "bad.npz", "the arrays hold different numbers of samples: a 2, c 3")


def test_random_data_only_with_a_warning(irc, model, tmp_path):
    assert irc("compile", model, "-o", "exact").stderr == ""
    warning = irc("compile", model, "--passes", "quant8", "-o", "art").stderr
    assert "right for size and speed, not for accuracy (use --calib)" in warning
    assert json.loads((tmp_path / "art/manifest.json").read_text())["calibration"]["samples"] == "random"


def test_budgets(irc, model, data, tmp_path):
    """A part that is too small and a goal that is out of reach: warnings, and errors of their own with --strict."""
    words = ("compile", model, "--passes", "quant8,fuse", "--calib", data, "--backend", "hls{fps=1e12 lut=1}")
    warning = irc(*words, "-o", "art").stderr
    assert "fps=1e+12 is not reached: " in warning
    assert "samples a second, most of the time in fc" in warning
    assert any("fps=1e+12" in text for text in json.loads((tmp_path / "art/report.json").read_text())["warnings"])
    assert "a warning, which --strict makes an error" in irc(*words, "-o", "b", "--strict", code=4).stderr
    assert not (tmp_path / "b").exists()


def test_static_batches(irc, data, tmp_path):
    write_module(two_layers(4), tmp_path / "four.irc")
    irc("compile", "four.irc", "--passes", "quant8", "--calib", data, "-o", "art")
    out = irc("run", "art", "--data", data, "-o", "out.npz").stdout
    assert out == "output0: float32[10, 3]\n"
    assert "bit-equal" in irc("verify", "art", "--data", data).stdout


def test_specialized_batch(irc, model, data, tmp_path):
    irc("compile", model, "--passes", "clean,specialize{batch=1}", "--calib", data, "-o", "art", "--verify=run")
    assert "f32[1, 8]" in (tmp_path / "art/lowered.irc").read_text()
    assert "top-1" in irc("verify", "art", "--data", data).stdout


@pytest.mark.parametrize("text", ["batch=0", "dims=b:65", "dims=n:1", "dims=b"])
def test_specialize_out_of_range(irc, model, text):
    assert "specialize" in irc("opt", model, "--passes", f"specialize{{{text}}}", code=2).stderr


def test_models_without_samples(irc, tmp_path):
    (tmp_path / "none.irc").write_text("func @main() -> f32[] {\n  %c = const 1.0 : f32[]\n  return %c\n}\n")
    assert "the model has no inputs" in irc("check", "none.irc", code=1).stderr


@pytest.mark.parametrize("shapes", [("",), ("0, 4",), ("", "1, 3"), ("2, 3", "1, 3")])
def test_inputs_that_share_no_batch_take_a_sample_a_call(irc, tmp_path, shapes):
    inputs = ", ".join(f"%x{i}: f32[{shape}]" for i, shape in enumerate(shapes))
    (tmp_path / "m.irc").write_text(f"func @main({inputs}) -> f32[{shapes[0]}] {{\n  return %x0\n}}\n")
    irc("compile", "m.irc", "--backend", "reference", "-o", "m.out")
    sizes = [[int(size) for size in shape.split(",") if size.strip()] for shape in shapes]
    samples = {f"x{i}": np.full([5, *size], i, np.float32) for i, size in enumerate(sizes)}
    np.savez(tmp_path / "data.npz", **samples)
    assert "5 samples" in irc("verify", "m.out", "--data", "data.npz").output
    (one,) = Artifact.load(tmp_path / "m.out").run(*(array[0] for array in samples.values()))
    assert one.shape == tuple(sizes[0])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((4, 8)), "useless.npz: every value of the samples is the same (input 'x' is 0), so ranges"),
        (np.full((1, 8), 0.5), "useless.npz: every value of the samples is the same (input 'x' is 0.5), so ranges"),
        (np.tile(np.arange(8), (4, 1)), "useless.npz: all 4 samples are the same, so ranges"),
    ],
)
@pytest.mark.parametrize("passes", ["quant8,fuse", WEIGHTS])
def test_data_that_tell_nothing(irc, model, tmp_path, x, message, passes):
    np.savez(tmp_path / "useless.npz", x=x.astype(np.float32))
    options = ("compile", model, "--passes", passes, "--calib", "useless.npz")
    said = irc(*options).stderr
    assert said.count(message) == said.count("warning:") == 1
    assert "give samples like what the model will see" in said
    assert "a warning, which --strict makes an error" in irc(*options, "--force", "--strict", code=1).stderr


@pytest.mark.parametrize("largest", [1e30, 3e18])
def test_data_that_overflow(irc, model, tmp_path, largest):
    np.savez(tmp_path / "huge.npz", x=np.full((4, 8), largest, np.float32))
    message = f"--calib=huge.npz: input 'x' reaches {largest:.3g}, too large for calibration: sums of products overflow"
    for passes in ("quant8,fuse", WEIGHTS):
        error = irc("compile", model, "--passes", passes, "--calib", "huge.npz", code=2).stderr
        assert message in error
        assert "hint: scale the samples as those the model was trained with" in error
    irc("compile", model, "--passes", "clean", "--calib", "huge.npz")
    assert message in irc("opt", model, "--passes", "calibrate", "--calib", "huge.npz", code=2).stderr


def test_the_fill_of_a_mask_does_not_overflow():
    usable.refuse_overflow({"mask": np.array([0, -3.4e38], np.float32), "x": np.ones(2)}, "--calib")
    with pytest.raises(UsageError, match=r"input 'mask' reaches 3.4e\+38, too large"):
        usable.refuse_overflow({"mask": np.array([-3.4e38], np.float32)}, "--calib")


def test_inputs_that_never_vary_beside_one_that_does():
    varied = np.arange(6.0).reshape(2, 3)
    assert usable.says_nothing({"x": varied, "cache": np.zeros((2, 9)), "step": np.zeros(2)}, "--calib") == ""
    assert usable.says_nothing({"ids": np.array([[3, 4, 5]])}, "--calib") == ""
    assert usable.says_nothing({"ids": np.full((2, 3), 7), "mask": np.ones((2, 3))}, "--calib").startswith(
        "--calib: every value of the samples is the same (input 'ids' is 7, 'mask' is 1), so ranges from them are wrong"
    )


def test_layers_whose_inputs_overflow(irc, tmp_path, data):
    module = two_layers("b")
    first = next(node for node in module.main.nodes if node.opname == "const")
    first.value = Data.of(first.value.array * np.float32(1e25))
    write_module(module, tmp_path / "steep.irc")
    error = irc("compile", "steep.irc", "--passes", WEIGHTS, "--calib", data, code=1).stderr
    assert '"fc2" (Linear) mlp.py:12: products of what the layer reads overflow f32 on the calibration samples' in error
    assert "hint: scale the samples as those the model was trained with; if they are, its weights are damaged" in error
