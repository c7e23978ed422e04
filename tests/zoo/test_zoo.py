"""Models nobody had in mind: captured as PyTorch computes them, integers close to floats, hardware equal to those."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import irc
from irc import Artifact, IrcError, Module
from irc.backends.data import Dataset
from irc.backends.execute import calls_of
from irc.frontend.capture import Captured, capture
from irc.ir.interpret import interpret
from irc.ir.scalars import Array

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.specimens import OWN, SPECIMENS, Specimen, load

load(*OWN)

EVERY = pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) for n in SPECIMENS])
SMALL = [name for name, specimen in SPECIMENS.items() if specimen.group != "papers"]  # benchmarks/zoo.py has those
TOLERANCE = 1e-4  # of the largest output
HALF = {"Half": 2e-3, "Bf16": 2e-2}
QUICK_FLOATS = ["UNet_bilinear", "Tcn", "EncDec", "Llama", "Dlrm", "f_inplace", "token-selector vit"]
QUICK_ONNX = ["Llama", "Bf16", "f_where_zero"]
QUICK_INTEGERS = ["f_cumsum", "Tied", "Half", "f_normalize", "f_where_zero", "f_minmax", "f_abs_neg", "f_div"]
QUICK_HARDWARE = ["UintImage"]
NO_HARDWARE = {
    "Conv3d": "3 spatial dimensions; the accelerator takes images and sequences",
    "f_cumsum": "running sums are not implemented; compute it from the results",
}


def captured(specimen: Specimen) -> Captured:
    inputs = specimen.inputs if len(specimen.inputs) > 1 else specimen.inputs[0]
    return capture(specimen.model(), inputs, dynamic=specimen.dynamic)


def samples(specimen: Specimen, module: Module, count: int, seed: int) -> dict[str, Array]:
    return specimen.samples(module.main, count, seed)


def compare_with_torch(name: str) -> None:
    model = captured(SPECIMENS[name])
    graph = model.module.main
    for call in calls_of(graph, Dataset(samples(SPECIMENS[name], model.module, 2, seed=1))):
        expected = model.run_torch({v.name: a for v, a in zip(graph.inputs, call, strict=True)})
        for given, wanted in zip(interpret(model.module, call), expected, strict=True):
            largest = np.abs(np.float64(wanted)).max(initial=1e-6)
            bound = HALF.get(name, TOLERANCE) * largest
            np.testing.assert_allclose(np.float64(given), np.float64(wanted), rtol=0, atol=bound)


def ratio(signal: Array, given: Array) -> float:
    """How far the signal is above the error, in dB."""
    error = np.square(signal - given).sum()
    return float(10 * np.log10(max(np.square(signal).sum(), 1e-30) / max(error, 1e-30)))


def compare_integers(name: str, preset: str) -> None:
    module = captured(SPECIMENS[name]).module
    calib = samples(SPECIMENS[name], module, 96, seed=1)
    integers = irc.apply(module, preset, calib=calib)
    calls = calls_of(module.main, Dataset(samples(SPECIMENS[name], module, 8, seed=2)))
    floats, codes = ([interpret(m, call) for call in calls] for m in (module, integers))
    for wanted, given in zip(zip(*floats, strict=True), zip(*codes, strict=True), strict=True):
        a, b = (np.concatenate([np.float64(x).ravel() for x in xs]) for xs in (wanted, given))
        assert ratio(a, b) > (SPECIMENS[name].db if preset == "quant8" else 10)


def hardware(name: str, preset: str) -> tuple[Artifact, Module]:
    module = captured(SPECIMENS[name]).module
    calib = samples(SPECIMENS[name], module, 32, seed=1)
    return irc.compile(module, passes=f"{preset},fuse", backend="hls", calib=calib), module


def verify_hardware(name: str, preset: str) -> None:
    artifact, module = hardware(name, preset)
    assert artifact.verify(samples(SPECIMENS[name], module, 4, seed=3)).exact


@pytest.mark.parametrize("name", QUICK_FLOATS)
def test_captured_as_torch_computes(name: str) -> None:
    compare_with_torch(name)


@EVERY
def test_every_model_is_captured(name: str) -> None:
    compare_with_torch(name)


@pytest.mark.parametrize("name", QUICK_INTEGERS)
def test_integers_are_close(name: str) -> None:
    compare_integers(name, "quant8")


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["quant8", "quant4"])
@pytest.mark.parametrize("name", SMALL)
def test_integers_of_every_model_are_close(name: str, preset: str) -> None:
    compare_integers(name, preset)


@pytest.mark.tool("g++")
@pytest.mark.parametrize("name", QUICK_HARDWARE)
def test_hardware_is_exact(name: str) -> None:
    verify_hardware(name, "quant8")


@pytest.mark.slow
@pytest.mark.tool("g++")
@pytest.mark.parametrize("preset", ["quant8", "quant4"])
@pytest.mark.parametrize("name", [n for n in SMALL if n not in NO_HARDWARE])
def test_hardware_of_every_model_is_exact(name: str, preset: str) -> None:
    verify_hardware(name, preset)


@pytest.mark.parametrize("name", NO_HARDWARE)
def test_what_is_no_hardware_says_so(name: str) -> None:
    with pytest.raises(IrcError, match=NO_HARDWARE[name]):
        hardware(name, "quant8")


@pytest.mark.filterwarnings("ignore:No complete tensor found")  # torch, about weights that share memory
@pytest.mark.parametrize("name", ["Spectral", "Half"])
def test_saved_programs(name: str, tmp_path: Path) -> None:
    specimen = SPECIMENS[name]
    module, direct = specimen.model().eval(), captured(specimen)
    inputs = tuple(torch.from_numpy(a) for a in direct.sample_inputs.values())
    torch.export.save(torch.export.export(module, inputs), tmp_path / "model.pt2")
    saved = capture(tmp_path / "model.pt2")
    for a, b in zip(interpret(saved.module, saved.sample_inputs), direct.run_torch(direct.sample_inputs), strict=True):
        np.testing.assert_allclose(np.float64(a), np.float64(b), rtol=0, atol=HALF.get(name, TOLERANCE))


def verify_onnx(name: str) -> None:
    """onnxruntime gives the floats of the interpreter: layer by layer within the tolerance, the outputs to 1e-5."""
    module = captured(SPECIMENS[name]).module
    found = irc.compile(module, backend="onnx").verify(samples(SPECIMENS[name], module, 2, seed=1))
    found.require_exact()
    assert max(d.relative for d in found.to_float) < HALF.get(name, 1e-5)


@pytest.mark.parametrize("name", QUICK_ONNX)
def test_onnxruntime_gives_the_floats_of_some(name: str):
    verify_onnx(name)


@EVERY
def test_onnxruntime_gives_the_floats_of_all(name: str):
    verify_onnx(name)
