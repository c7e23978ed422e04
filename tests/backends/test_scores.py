"""Which outputs score classes is told by what computes them."""

from __future__ import annotations

import pytest

from irc.backends.scores import scores_classes
from irc.ir.parser import parse

HEAD = "func @main(%x: f32[2, 8]) -> {} {{\n{}\n}}\n"
PICKED = """
  %p = topk %x : i64[2, 3]
  %o = const [[0], [8]] : i64[2, 1]
  %q = add %p, %o : i64[2, 3]
  %f = reshape %x : f32[16]
  %v = gather %f, %q : f32[2, 3]
"""
INSIDE = (
    """
func @main(%x: f32[2, 8]) -> f32[2, 3] {
  %y = call @best %x : f32[2, 3]
  return %y
}

func @best(%x: f32[2, 8]) -> f32[2, 3] {
"""
    + PICKED
    + """
  return %v
}
"""
)


@pytest.mark.parametrize(
    ("result", "body", "scored"),
    [
        ("f32[2, 8]", "return %x", True),
        ("f32[2, 8]", "%y = softmax %x {axis = 1} : f32[2, 8]\nreturn %y", True),
        ("f32[16]", "%y = reshape %x : f32[16]\nreturn %y", False),
        ("i64[2, 3]", "%p = topk %x : i64[2, 3]\nreturn %p", False),
        ("f32[2, 3]", PICKED + "return %v", False),
        ("f32[2, 3]", PICKED + "%s = sigmoid %v : f32[2, 3]\nreturn %s", False),
        (
            "f32[2, 4]",
            PICKED + "%w = const [[1, 2, 3], [1, 0, 0], [2, 2, 2], [0, 1, 0]] : f32[4, 3]\n"
            "%y = linear %v, %w : f32[2, 4]\nreturn %y",
            True,
        ),
        (
            "f32[2, 3]",
            PICKED + "%a = slice %x {axis = 1, start = 0, stop = 3} : f32[2, 3]\n"
            "%y = mul %a, %v : f32[2, 3]\nreturn %y",
            True,
        ),
    ],
)
def test_scores_of_classes(result: str, body: str, scored: bool):
    assert scores_classes(parse(HEAD.format(result, body)).main) == scored


def test_what_was_picked_inside_of_a_function():
    assert not scores_classes(parse(INSIDE).main)
