"""Indices of an embedding: negative ones count from the end, others outside are an error, or limited in hardware."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import irc
from irc import IrcError

EMBEDDING = """func @main(%i: i64[1, 2]) -> f32[1, 2, 3] {
  %w = const [[1, 2, 3], [-1, 2, 1], [0, 4, -2]] : f32[3, 3]
  %e = gather %w, %i {axis = 0} : f32[1, 2, 3]  at "emb" (Embedding) net.py:1
  %l = const [[1, 0, 0], [0, 1, 0], [0, 0, 1]] : f32[3, 3]
  %y = linear %e, %l : f32[1, 2, 3]  at "fc" (Linear) net.py:2
  return %y
}
"""
SAMPLES = {"i": np.array([[0, 1], [1, 2], [2, 0]])}


@pytest.mark.parametrize("backend", ["cpu", pytest.param("hls", marks=pytest.mark.slow)])
def test_one_meaning_of_negative_and_of_large_indices(backend: str, tmp_path: Path):
    model, passes = irc.parse(EMBEDDING), "quant8,fuse"
    graph = irc.apply(model, passes, calib=SAMPLES)
    compiled = irc.compile(model, passes=passes, backend=backend, calib=SAMPLES, out=tmp_path / backend)
    negative, positive, outside = np.array([[-1, -3]]), np.array([[2, 0]]), np.array([[3, -4]])
    (wanted,) = irc.interpret(graph, [positive])
    for given in (irc.interpret(graph, [negative]), compiled.run(negative)):
        np.testing.assert_array_equal(given[0], wanted)
    message = r"\"emb\" \(Embedding\) net.py:1: gather: index -4 of a dimension"
    with pytest.raises(IrcError, match=message):
        irc.interpret(graph, [outside])
    if backend == "hls":
        np.testing.assert_array_equal(compiled.run(outside)[0], wanted)
    else:
        with pytest.raises(IrcError, match=message):
            compiled.run(outside)
