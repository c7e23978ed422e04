"""What the backend onnx writes reads back as a graph of the same meaning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from random_graphs import random_graph

import irc
from irc.backends.base import Job
from irc.backends.onnx_export.backend import ONNX, Options, lower
from irc.backends.onnx_export.proto import serialized
from irc.frontend.onnx.read import read
from irc.ir.graph import Module
from irc.ir.interpret import interpret
from irc.ir.ops.token import Select

EXAMPLES = Path(__file__).parents[2] / "examples"
CALIB = {"x": np.load(EXAMPLES / "digits_calib.npz")["x"][:16]}


def through_a_file(module: Module, folder: Path, options: Options | None = None) -> Module:
    """The module written and read again."""
    path = folder / "model.onnx"
    job = Job(module.apply("inline,dce"), ONNX.find_target(""), options or Options())
    path.write_bytes(serialized(lower(job)))
    return read(path).module


@pytest.fixture(scope="module")
def captured() -> dict[str, Module]:
    return {name: irc.capture(EXAMPLES / f"digits_{name}.pt2") for name in ("cnn", "vit")}


@pytest.mark.parametrize("name", ["cnn", "vit"])
def test_floats(captured: dict[str, Module], name: str, tmp_path: Path):
    images = np.load(EXAMPLES / "digits_test.npz")["x"][:5]
    again = through_a_file(captured[name].apply("clean"), tmp_path)
    assert [str(v.type) for v in again.main.inputs] == [str(v.type) for v in captured[name].main.inputs]
    (mine,), (theirs,) = interpret(again, [images]), interpret(captured[name], [images])
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max())
    paths = {node.loc.path for node in again.main.nodes}
    assert {"blocks.0.mlp.fc1", "head"} <= paths if name == "vit" else paths


def test_bits(tmp_path: Path):
    module = irc.parse("""
func @main(%x: i8[9], %y: i32[9], %z: u16[9]) -> (i8[9], i32[9], u16[9], i8[9]) {
  %by = const [0, 1, 2, 3, 6, 7, 8, -1, 100] : i8[9]
  %left = shift_left %x, %by : i8[9]
  %right = shift_right %y, %y : i32[9]
  %none = not %z : u16[9]
  %odd = shift_right %none, %z : u16[9]
  %mixed = xor %left, %x : i8[9]
  return %left, %right, %odd, %mixed
}
""")
    again = through_a_file(module, tmp_path)
    given = [
        np.arange(-40, 50, 10, dtype=np.int8),
        np.arange(-3, 40, 5, dtype=np.int32),
        np.arange(9, dtype=np.uint16) * 3,
    ]
    for mine, theirs in zip(interpret(again, given), interpret(module, given), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(("name", "passes"), [("cnn", "qdq8"), ("vit", "qdq8"), ("cnn", "weight4")])
def test_quantized_layers_stay_quantized(captured: dict[str, Module], name: str, passes: str, tmp_path: Path):
    """Codes, scales and groups come back, so that `integerize` finds what it found before."""
    images = np.load(EXAMPLES / "digits_test.npz")["x"][:4]
    module = captured[name].apply(passes, calib=CALIB)
    again = through_a_file(module, tmp_path)
    codes = [v.type for n in again.walk() if n.opname == "const" for v in n.results if v.type.encoding]
    wanted = [v.type for n in module.walk() if n.opname == "const" for v in n.results if v.type.encoding]
    assert sorted(map(str, codes)) == sorted(map(str, wanted))
    (mine,), (theirs,) = interpret(again, [images]), interpret(module, [images])
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=0.05 * np.abs(theirs).max())


def test_integers(captured: dict[str, Module], tmp_path: Path):
    images = np.load(EXAMPLES / "digits_test.npz")["x"][:3]
    module = captured["cnn"].apply("quant8", calib=CALIB)
    again = through_a_file(module, tmp_path)
    for mine, theirs in zip(interpret(again, [images]), interpret(module, [images]), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def check_seed(seed: int, folder: Path) -> None:
    graph = random_graph(seed)
    if any(isinstance(node, Select) for node in graph.module.walk()):
        return  # written with NonZero, whose result has no size that a file states
    again = through_a_file(graph.module, folder)
    for sample in graph.samples:
        for mine, theirs in zip(interpret(again, sample), interpret(graph.module, sample), strict=True):
            np.testing.assert_array_equal(mine, theirs, err_msg=f"seed {seed}")


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
def test_random_integer_graphs(seed: int, tmp_path_factory: pytest.TempPathFactory):
    check_seed(seed, tmp_path_factory.getbasetemp())


@pytest.mark.slow
@pytest.mark.parametrize("chunk", range(10))
def test_many_random_graphs(chunk: int, tmp_path: Path):
    for seed in range(50_000 + 100 * chunk, 50_100 + 100 * chunk):
        check_seed(seed, tmp_path)
