"""The example models on the HLS backend: the bits of the interpreter, in plain, sanitized and vendor types."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hls_designs import SANITIZED, STRICT, ap_types, job_of, need_compiler
from hls_examples import FAST, IMAGES, differing, job

from irc.backends.base import Job
from irc.backends.fpga_hls.backend import HLS, Options
from irc.backends.fpga_hls.device import Part
from irc.backends.fpga_hls.simulation import codes_of, simulate
from irc.backends.fpga_hls.toolchain import compile_simulation, run_simulation
from irc.ir.interpret import interpret
from irc.ir.scalars import Array

pytestmark = pytest.mark.tool("g++")


@pytest.mark.usefixtures("unoptimized")
@pytest.mark.parametrize("model", FAST)
def test_first_images(tmp_path: Path, model: str):
    need_compiler()
    given = job(model, FAST[model], 16)
    HLS.emit(given, HLS.lower(given), tmp_path)
    assert differing(given, tmp_path, 16) == []


def golden_vectors_pass(folder: Path, given: Job[Part, Options], kind: str) -> None:
    """Emits, builds and runs a test bench, which exits with an error where anything differs."""
    flags = [*STRICT, *SANITIZED, "-O0"] if kind == "sanitized" else ["-std=c++14", *ap_types(), "-O1"]
    HLS.emit(given, HLS.lower(given), folder)
    sources = [folder / "src" / name for name in ("accelerator.cpp", "tb.cpp")]
    compile_simulation(sources, folder / "program", flags)
    run_simulation(folder / "program", [])


@pytest.mark.parametrize(("model", "kind"), [("digits_cnn", "vendor")])
def test_golden_vectors(tmp_path: Path, model: str, kind: str):
    need_compiler()
    golden_vectors_pass(tmp_path, job(model, FAST[model], 16), kind)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "kind"), [("digits_vit", "vendor"), ("digits_cnn", "sanitized"), ("digits_vit", "sanitized")]
)
def test_more_golden_vectors(tmp_path: Path, model: str, kind: str):
    need_compiler()
    golden_vectors_pass(tmp_path, job(model, FAST[model], 16), kind)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "preset", "lut"),
    [
        ("digits_cnn", "quant8", 0.1),
        ("digits_cnn", "quant4a4", 0.1),
        ("digits_vit", "quant8", 0.3),
        ("digits_vit", "quant4a4", 0.25),
    ],
)
def test_products_that_share_dsps(tmp_path: Path, model: str, preset: str, lut: float):
    """Where LUTs are short; only the types of the vendor simulate it."""
    need_compiler()
    module = job(model, preset, 16).module
    given = job_of(module, [[IMAGES[:1]], [IMAGES[1:2]]], lut=lut)
    assert sum(stage.packing > 1 for stage in HLS.lower(given).stages) > 2
    golden_vectors_pass(tmp_path, given, "vendor")


@pytest.mark.usefixtures("unoptimized")
def test_trace_shows_every_stage(tmp_path: Path):
    need_compiler()
    given = job("digits_cnn", "quant8", 16)
    HLS.emit(given, HLS.lower(given), tmp_path)
    expected = dict[object, Array]()
    interpret(given.module, [IMAGES[:1]], observe=lambda value, array: expected.__setitem__(value, array))
    assert HLS.trace is not None
    shown = list(HLS.trace(given, tmp_path, [IMAGES[:1]]))
    assert len(shown) >= len(HLS.lower(given).stages)
    assert all(np.array_equal(array, expected[value]) for value, array in shown)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["quant8", "quant4", "quant4a4"])
@pytest.mark.parametrize("model", FAST)
def test_whole_test_split(tmp_path: Path, model: str, preset: str):
    need_compiler()
    given = job(model, preset, 10_000)
    HLS.emit(given, HLS.lower(given), tmp_path)
    assert differing(given, tmp_path, len(IMAGES)) == []


@pytest.mark.slow
@pytest.mark.parametrize("model", FAST)
def test_streams_as_ports_with_sanitizers(tmp_path: Path, model: str):
    need_compiler()
    module = job(model, FAST[model], 16).module
    given = job_of(module, [[IMAGES[:1]]], io="axis")
    HLS.emit(given, HLS.lower(given), tmp_path)
    sources = [tmp_path / "src" / name for name in ("accelerator.cpp", "tb.cpp")]
    compile_simulation(sources, tmp_path / "program", [*STRICT, "-O1", *SANITIZED])
    pairs = [codes_of(module, [IMAGES[i : i + 1]]) for i in range(8)]
    results = simulate(HLS.lower(given), tmp_path / "program", [codes for codes, _ in pairs])
    for given_codes, (_, wanted) in zip(results, pairs, strict=True):
        np.testing.assert_array_equal(given_codes[0], wanted[0])
