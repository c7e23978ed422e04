"""Outputs of several calls are joined along the axis that the batch is, and what has no such axis is not cut."""

from __future__ import annotations

import numpy as np
import pytest

import irc as ircc
from irc.backends.artifact import Artifact
from irc.ir.diagnostics import UsageError
from irc.ir.parser import parse

X = np.random.default_rng(3).normal(size=(80, 7)).astype(np.float32)
TURNED = """func @main(%x: f32[{b}, 7]) -> (f32[{b}, 7], f32[7, {b}]) {where} {{
  %s = neg %x : f32[{b}, 7]
  %t = permute %x {{order = [1, 0]}} : f32[7, {b}]
  return %s, %t
}}
"""
SHARED = """func @main(%x: f32[{b}, 7]) -> (f32[{b}, 7], f32[7], f32[]) {where} {{
  %s = neg %x : f32[{b}, 7]
  %m = mean %x {{axes = [0]}} : f32[7]
  %a = mean %x {{axes = [0, 1]}} : f32[]
  return %s, %m, %a
}}
"""


def compiled(text: str, batch: object = "b", least: int = 1) -> Artifact:
    where = f"where b in [{least}, 64]" if batch == "b" else ""
    return ircc.compile(parse(text.format(b=batch, where=where)))


@pytest.mark.parametrize("count", [1, 40, 80])
def test_the_batch_is_joined_where_it_is(count: int) -> None:
    x = X[:count]
    for outputs in (compiled(TURNED).run(x), compiled(TURNED).run_on(x)):
        np.testing.assert_array_equal(outputs[0], -x)
        np.testing.assert_array_equal(outputs[1], x.T)


def test_what_has_no_batch_is_not_cut() -> None:
    artifact = compiled(SHARED)
    for count in (2, 3, 40, 64):
        for outputs in (artifact.run(X[:count]), artifact.run_on(X[:count])):
            assert [a.shape for a in outputs] == [(count, 7), (7,), ()]
            np.testing.assert_allclose(outputs[1], X[:count].mean(0), rtol=1e-5, atol=1e-6)
    assert artifact.verify(X[:40]).exact
    with pytest.raises(UsageError, match=r"80 samples: output1 \(f32\[7\]\) is of all samples of a call") as error:
        artifact.run(X)
    assert "give 1 to 64" in str(error.value)


def test_of_a_static_batch_what_has_none_is_a_row_for_each_call() -> None:
    artifact = compiled(SHARED, 2)
    assert [a.shape for a in artifact.run(X[:2])] == [(2, 7), (7,), ()]
    outputs = artifact.run(X[:6])
    assert [a.shape for a in outputs] == [(6, 7), (3, 7), (3,)]
    np.testing.assert_allclose(outputs[1], X[:6].reshape(3, 2, 7).mean(1), rtol=1e-5)
    assert artifact.verify(X[:6]).exact
    for run in (artifact.run, artifact.verify):
        with pytest.raises(UsageError, match=r"3 samples: output1 .* is of all samples of a call") as error:
            run(X[:3])
        assert "give a multiple of 2" in str(error.value)


def test_fewer_samples_than_a_batch_takes() -> None:
    artifact = compiled(TURNED, least=4)
    for count in (1, 33, 66):
        np.testing.assert_array_equal(artifact.run_on(X[:count])[1], X[:count].T)


def test_a_sample_a_call_is_stacked() -> None:
    text = "func @main(%x: f32[7], %y: f32[2]) -> (f32[7], f32[2]) {\n%s = neg %x : f32[7]\nreturn %s, %y\n}\n"
    artifact = ircc.compile(parse(text))
    assert [a.shape for a in artifact.run(X[0], X[0, :2])] == [(7,), (2,)]
    assert [a.shape for a in artifact.run_on([X, X[:, :2]])] == [(80, 7), (80, 2)]


def test_golden_outputs() -> None:
    artifact = compiled(SHARED)
    found = np.load(artifact.path / "golden/outputs.npz")
    assert found["output1"].shape == (7,)
