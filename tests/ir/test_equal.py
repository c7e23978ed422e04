"""Structural equality, and what the first difference is."""

from __future__ import annotations

import pytest

from irc.ir.equal import difference, equal
from irc.ir.parser import parse

BASE = """
func @main(%x: f32[n, 4], %w: f32[3, 4]) -> f32[n, 3] where n in [1, 8] {
  %y = linear %x, %w : f32[n, 3]  at "fc"
  %z = kernel (%a = %y) -> f32[n, 3] {
    %b = clamp %a {lo = 0.0} : f32[n, 3]
    yield %b
  }
  return %z
}
"""


def test_names_of_values_do_not_matter() -> None:
    assert equal(parse(BASE), parse(BASE.replace("%b", "%hidden").replace("%y", "%17")))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("@main", "@other", "functions ['main'] and ['other']"),
        ("n in [1, 8]", "n in [1, 9]", "@main: symbols ['n in [1, 8]'] and ['n in [1, 9]']"),
        (", %w: f32[3, 4]", ", %w: f32[3, 4], %v: f32[]", "@main: 2 and 3 inputs"),
        ("linear %x, %w", "linear %x, %w, _", ""),
        ("{lo = 0.0}", "{lo = 1.0}", "@main: node 1 (kernel): node 0 (clamp): attributes"),
        ('"fc"', '"fc2"', "@main: node 0 (linear): locations 'at \"fc\"' and 'at \"fc2\"'"),
        ("clamp %a {lo = 0.0}", "relu %a", "@main: node 1 (kernel): node 0 (clamp): clamp and relu"),
        ("return %z", "return %y", "@main: node 2 (return): different operands"),
        ("  return", "  %c = const 1.0 : f32[]\n  return", "@main: node 2 (return): return and const"),
        ("yield %b", "yield %a", "@main: node 1 (kernel): node 1 (yield): different operands"),
    ],
)
def test_the_first_difference_in_words(old: str, new: str, expected: str) -> None:
    assert difference(parse(BASE), parse(BASE.replace(old, new))).startswith(expected)
    assert equal(parse(BASE), parse(BASE.replace(old, new))) is (expected == "")


def test_types_and_numbers_of_nodes() -> None:
    def text(kind: str, tail: str = "") -> str:
        return f"func @main(%x: {kind}[2]) -> {kind}[2] {{\n  {tail}return %x\n}}"

    assert difference(parse(text("f32")), parse(text("f16"))) == "@main: input 0 is f32[2] and f16[2]"
    graph = parse(text("f32"))
    graph.main.terminator.erase()
    assert difference(parse(text("f32")), graph) == "@main: 1 and 0 nodes"
    results = parse(text("f32", "%y = relu %x : f32[2]\n")), parse(text("f32", "%y = relu %x : f32[2]\n"))
    results[1].main.nodes.__next__().results = ()
    assert difference(*results) == "@main: node 0 (relu): different numbers of results or regions"
    results[1].main.nodes.__next__().set_result_types()
    results[1].main.nodes.__next__().result.type = parse(text("f16")).main.inputs[0].type
    assert difference(*results) == "@main: node 0 (relu): result 0 is f32[2] and f16[2]"
