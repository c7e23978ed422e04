"""ONNX files on the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import irc
from irc.cli import main

TYPE = helper.make_tensor_value_info("x", 1, ["b", 4])


def written(path: Path, *ops: str) -> Path:
    """A layer, and these operators behind it."""
    names = ["h", *(f"h{i}" for i in range(len(ops)))]
    nodes = [helper.make_node("Gemm", ["x", "fc.weight", "fc.bias"], ["h"], "/fc/Gemm", transB=1)]
    nodes += [helper.make_node(op, [a], [b], f"/{op}") for op, a, b in zip(ops, names, names[1:], strict=False)]
    weights = {"fc.weight": np.eye(4, dtype=np.float32) * 2, "fc.bias": np.ones(4, np.float32)}
    tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "g", [TYPE], [onnx.ValueInfoProto(name=names[-1])], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def ran(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as done:
        main([str(a) for a in arguments])
    return int(done.value.code or 0)


def test_compile_run_and_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = written(tmp_path / "net.onnx", "Relu")
    assert ran("compile", path, "--backend", "cpu", "-o", tmp_path / "net.cpu") == 0
    artifact = irc.load(tmp_path / "net.cpu")
    x = np.array([[1, -2, 3, 0.5]], np.float32)
    np.testing.assert_array_equal(artifact.run(x)[0], np.maximum(2 * x + 1, 0))
    assert ran("check", path) == 0
    capsys.readouterr()
    assert ran("inspect", path, "--text") == 0
    text = capsys.readouterr().out
    assert "linear %x, %fc.weight, %fc.bias : f32[b, 4]" in text
    assert 'at "fc" (Gemm)' in text


def test_inputs_and_sizes_can_be_stated(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = written(tmp_path / "net.onnx")
    assert ran("inspect", path, "--text", "--input", "x=f32[3, 4]") == 0
    assert "func @main(%x: f32[3, 4]) -> f32[3, 4]" in capsys.readouterr().out
    assert ran("inspect", path, "--text", "--dynamic", "x:0=rows:1:8") == 0
    assert "where rows in [1, 8]" in capsys.readouterr().out
    assert ran("inspect", path, "--text", "--dynamic", "rows=1:8") == 0
    assert "where rows in [1, 8]" in capsys.readouterr().out


def test_check_lists_every_operator_in_the_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = written(tmp_path / "net.onnx", "NonZero", "Unique")
    assert ran("check", path) == 1
    said = capsys.readouterr().err
    assert "NonZero (opset 17) is not supported" in said
    assert "Unique (opset 17) is not supported" in said
