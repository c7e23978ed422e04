"""Trained networks of the QONNX zoo give the codes that qonnx's own executor gives.

They are no part of the repository, and qonnx runs beside no newer onnx: `QONNX_PYTHON` names a Python that has it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.qonnx_zoo import compare, read, samples_for

FOLDER = Path(__file__).parents[3] / "shared" / "data" / "qonnx"
MODELS = sorted(FOLDER.glob("*.onnx"))
PYTHON = os.environ.get("QONNX_PYTHON", "")


@pytest.mark.skipif(not MODELS, reason=f"no networks in {FOLDER.name} beside the repository")
@pytest.mark.parametrize("model", MODELS, ids=lambda path: path.stem)
def test_the_zoo_is_read(model: Path) -> None:
    names = {node.opname for node in read(model).main.nodes}
    assert {"dequantize", "linear"} <= names


@pytest.mark.skipif(not MODELS, reason=f"no networks in {FOLDER.name} beside the repository")
@pytest.mark.skipif(not PYTHON, reason="QONNX_PYTHON names no Python with the package qonnx")
@pytest.mark.parametrize("model", MODELS, ids=lambda path: path.stem)
def test_codes_are_those_of_the_executor(model: Path) -> None:
    found = compare(model, PYTHON, samples_for(model, 4))
    assert found.same == found.codes > 0
    assert found.results <= 1e-6 * found.scale
