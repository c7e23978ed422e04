"""What `import irc` offers does the same as the command line."""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path

import click
import numpy as np
import pytest
from small_model import two_layers

import irc as ircc
from irc.cli import VERBS
from irc.driver import Settings
from irc.feedback import IrcWarning
from irc.ir.arguments import ARGUMENTS, in_python
from irc.ir.diagnostics import UsageError
from irc.ir.equal import equal
from irc.tables import resolve


@pytest.fixture
def samples() -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(2).normal(size=(12, 8)).astype(np.float32)}


def test_compile_run_verify_save(samples, tmp_path):
    module = two_layers("b")
    before = str(module)
    artifact = ircc.compile(module, passes="quant8,fuse", calib=samples)
    assert str(module) == before
    (outputs,) = artifact.run(samples["x"])
    assert outputs.shape == (12, 3)
    assert np.array_equal(outputs, artifact.run(x=samples["x"])[0])
    assert artifact.verify().exact
    assert artifact.verify(samples).samples == 12
    assert artifact.report["summary"]["smaller by a factor of"] > 2
    saved = artifact.save(tmp_path / "saved")
    assert saved.path == tmp_path / "saved"
    assert ircc.load(saved.path).manifest == artifact.manifest
    with pytest.raises(UsageError, match="exists already"):
        artifact.save(tmp_path / "saved")


def test_compile_to_a_folder(samples, tmp_path):
    artifact = ircc.compile(two_layers(), calib=samples, out=tmp_path / "art")
    assert artifact.path == tmp_path / "art"
    assert "reference" in repr(artifact)
    with pytest.raises(UsageError, match="exists already"):
        ircc.compile(two_layers(), out=tmp_path / "art")
    ircc.compile(two_layers(), out=tmp_path / "art", force=True)


def test_temporary_artifacts_vanish(samples):
    artifact = ircc.compile(two_layers(), calib=samples)
    path = Path(artifact.path)
    assert path.exists()
    del artifact
    assert not path.exists()


def test_apply_copies(samples):
    module = two_layers("b")
    quantized = module.apply("quant8", calib=samples)
    assert "requantize" in str(quantized)
    assert "requantize" not in str(module)
    assert equal(ircc.parse(str(module), check=False), module)
    assert "requantize" in str(ircc.apply(module, "quant8", calib=samples["x"]))


def test_random_data_is_a_python_warning():
    with pytest.warns(IrcWarning, match=r"not for accuracy \(use calib=\)"):
        two_layers().apply("calibrate")


def test_wrong_arrays(samples):
    artifact = ircc.compile(two_layers(), calib=[samples["x"]])
    with pytest.raises(UsageError, match=r"2 arrays, the model takes 1 \(x\)"):
        artifact.run(samples["x"], samples["x"])
    with pytest.raises(UsageError, match=r"expected \[samples, 8\] of f32"):
        artifact.run(samples["x"][:, :5])
    with pytest.raises(UsageError, match="run: a dict is no array") as error:
        artifact.run({"x": samples["x"]})
    assert "by name: run(x=array)" in str(error.value)


def test_arrays_in_order_and_by_name(samples):
    artifact = ircc.compile(
        ircc.parse(
            "func @main(%x: f32[b, 8], %y: f32[b, 8]) -> f32[b, 8] where b in [1, 64] {\n"
            "  %z = sub %x, %y : f32[b, 8]\n  return %z\n}\n"
        )
    )
    x = samples["x"]
    np.testing.assert_array_equal(artifact.run(x, y=2 * x)[0], -x)
    with pytest.raises(UsageError, match=r"run: 1 arrays, the model takes 2 \(x, y\)"):
        artifact.run(x)
    with pytest.raises(UsageError, match=r"run: 3 arrays, the model takes 2 \(x, y\)"):
        artifact.run(x, x, x)
    with pytest.raises(UsageError, match="run: input 'x' is given twice, in order and by name"):
        artifact.run(x, x=x)
    with pytest.raises(UsageError, match=r"the array for input 'y' \(f32\[b, 8\]\) is missing"):
        artifact.run(x=x)
    with pytest.raises(UsageError, match="there is no input 'z'"):
        artifact.run(x, z=x)


def test_a_tensor_with_gradients(samples):
    torch = pytest.importorskip("torch")
    artifact = ircc.compile(two_layers(), calib=[samples["x"]])
    with pytest.raises(UsageError, match="run: no array can be made of a Tensor"):
        artifact.run(torch.from_numpy(samples["x"].astype(np.float32)).requires_grad_())


def test_capture_a_torch_module(samples):
    torch = pytest.importorskip("torch")
    layer = torch.nn.Linear(8, 4)
    module = ircc.capture(layer, (torch.zeros(12, 8),))
    (outputs,) = ircc.interpret(module, [samples["x"]])
    expected = layer(torch.from_numpy(samples["x"])).detach().numpy()
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-5)


def test_inputs_for_a_module_of_the_ir(samples):
    with pytest.raises(UsageError, match="inputs= goes with a PyTorch model; a module of the IR says it itself"):
        ircc.compile(two_layers(), "art")


def test_messages_name_arguments(samples, tmp_path):
    module = two_layers()
    for given, message in (
        ({"calib": tmp_path / "no.npz"}, f"calib={tmp_path}/no.npz: there is no such file"),
        ({"calib": [samples["x"], samples["x"]]}, r"calib: 2 arrays, the model takes 1"),
        ({"passes": "quant9"}, r"passes:1:1: .*quant9"),
        ({"tune": True}, "tune: the backend reference has nothing to measure"),
        ({"integer_only": False}, "integer_only: no pass makes integers\n  hint: passes=quant8,fuse has one"),
    ):
        with pytest.raises(UsageError, match=message) as error:
            ircc.compile(module, **given)
        assert "--" in str(error.value.diagnostics[0])
    ircc.compile(module, calib=samples, out=tmp_path / "art")
    with pytest.raises(UsageError, match="hint: force=True replaces it, out= names another"):
        ircc.compile(module, calib=samples, out=tmp_path / "art")
    assert in_python("well-o, un--force and --forced") == "well-o, un--force and --forced"


def test_every_option_has_its_argument():
    commands = [resolve(place) for place, _ in VERBS.values()]
    commands += [each for command in commands if isinstance(command, click.Group) for each in command.commands.values()]
    spelt = {text for each in commands for option in each.params for text in (*option.opts, *option.secondary_opts)}
    assert set(ARGUMENTS) <= spelt
    functions = ("compile", "capture", "compare", "sensitivity", "bisect", "reduce", "export_params")
    known = {name for function in functions for name in inspect.signature(getattr(ircc, function)).parameters}
    settings = {field.name for field in fields(Settings)}
    named = {text.partition("=")[0] for text in ARGUMENTS.values()}
    assert named <= known | settings
    assert settings - named <= {"show", "seed", "verify", "stop_after"}  # in no message
