"""Selection of tokens in onnxruntime: the rows of the interpreter, a number that only the run tells included."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_running import Case, run_onnx

from irc.ir.interpret import interpret
from irc.ir.ops.token import Select
from irc.ir.parser import parse


@pytest.mark.parametrize("kind", ["i8", "u4", "i16", "i32", "i64", "f16", "f32", "f64", "bf16"])
@pytest.mark.parametrize("batch", [(), (1,), ("b",), (2, 3)], ids=str)
def test_equal_scores_keep_the_first_rows(kind: str, batch: tuple[int | str, ...]):
    c = Case()
    x = c.input("f32", *batch, 9, 4)
    sizes = tuple(3 if d == "b" else d for d in batch)
    scores = c.input(kind, *batch, 9, values=c.rng.integers(0, 4, (*sizes, 9)))
    c.agree(
        *(
            c.b(Select(x, scores, pinned=pinned, shape=(*x.type.shape[:-2], kept, 4)))
            for kept, pinned in ((9, 0), (9, 9), (5, 1), (4, 0), (1, 1))
        )
    )


def test_nan_is_as_low_as_minus_infinity():
    c = Case()
    x, scores = c.input("i8", 5, 2), c.input("f32", 5, values=[np.nan, -np.inf, np.nan, 1, -2])
    c.agree(*(Select(x, scores, pinned=0, shape=(kept, 2)) for kept in range(1, 6)))


COUNTS = """
func @main(%x: f32[1, 5, 2], %s: {kind}[1, 5]) -> f32[1, 2] where n1 <= 5, n2 <= 5 {{
  %a = select %x, %s {{threshold = {threshold}}} : f32[1, n1, 2]
  %r = reshape %a : f32[n1, 2]
  %b = reshape %r : f32[1, n1, 2]
  %t = mean %b {{axes = [2]}} : f32[1, n1]
  %c = select %b, %t {{threshold = 0.0}} : f32[1, n2, 2]
  %y = sum %c {{axes = [1]}} : f32[1, 2]
  return %y
}}
"""


@pytest.mark.parametrize(("kind", "threshold"), [("f32", 0.25), ("i32", 1.0), ("u8", 1.5), ("f16", 0.1)])
def test_counts_of_the_run(kind: str, threshold: float):
    module, rng = parse(COUNTS.format(kind=kind, threshold=threshold)), np.random.default_rng(5)
    calls = [[rng.standard_normal((1, 5, 2)).astype(np.float32), rng.integers(0, 3, (1, 5))] for _ in range(8)]
    dtype = module.main.inputs[1].type.scalar.dtype
    calls = [[x, s.astype(dtype)] for x, s in calls]
    for call, given in zip(calls, run_onnx(module, calls), strict=True):
        np.testing.assert_allclose(given[0], interpret(module, call)[0], rtol=1e-6)
