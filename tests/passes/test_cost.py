"""The cost table: every op that runs, each weight once, kernels and calls through their bodies."""

from __future__ import annotations

from irc.ir.parser import parse
from irc.passes.analysis.cost import Row, Total, cost_table, total
from irc.passes.base import PassContext
from irc.passes.pipeline import run_pipeline

LAYER = """
func @main(%x: i8<0.5>[b, 3]) -> i8<0.25>[b, 2] where b in [1, 4] {
  %w = const [[1, 2, 3], [4, 5, 6]] : i4<[0.5, 0.25], axis=0>[2, 3]
  %bias = const [1, 2] : i32[2]
  %m = const [16, 8] : i32[2]
  %acc = linear %x, %w, %bias : i32<[0.25, 0.125], axis=1>[b, 2]  at "fc"
  %q = requantize %acc, %m {shift = 4, axis = 1} : i8<0.25>[b, 2]  at "fc"
  return %q
}
"""

EXPECTED = [
    Row("fc", "linear", macs=24, steps=0, weights=8, weight_bits=4, weight_bytes=3 + 8, output_bytes=32),
    Row("fc", "requantize", macs=0, steps=8, weights=2, weight_bits=32, weight_bytes=8, output_bytes=8),
]


def test_each_op_is_a_row() -> None:
    assert cost_table(parse(LAYER)) == EXPECTED


def test_kernels_count_through_their_bodies() -> None:
    module = parse(LAYER)
    run_pipeline("fuse", module, PassContext())
    assert "kernel" in str(module)
    assert cost_table(module) == EXPECTED


def test_the_sums() -> None:
    assert total(EXPECTED) == Total(macs=24, steps=8, weights=10, weight_bytes=19)
    assert total([]) == Total()


def test_calls_count_with_the_weights_they_pass() -> None:
    module = parse(
        """
        func @main(%x: f32[1, 2]) -> f32[1, 2] {
          %v = const [[1.0, 2.0], [3.0, 4.0]] : f32[2, 2]
          %w = const [[1.0, 2.0], [3.0, 5.0]] : f32[2, 2]
          %a = call @f %x, %v : f32[1, 2]  at "blocks.0"
          %b = call @f %a, %w : f32[1, 2]  at "blocks.1"
          %c = call @f %b, %w : f32[1, 2]  at "blocks.2"
          return %c
        }
        func @f(%x: f32[n, 2], %w: f32[2, 2]) -> f32[n, 2] where n in [1, 1] {
          %y = linear %x, %w : f32[n, 2]  at "fc"
          return %y
        }
        """
    )
    rows = cost_table(module)
    assert [(r.path, r.macs, r.weights) for r in rows] == [
        ("blocks.0.fc", 4, 4),
        ("blocks.1.fc", 4, 4),
        ("blocks.2.fc", 4, 0),  # shared with blocks.1
    ]


def test_the_reader_of_codes_pays_for_them() -> None:
    module = parse(
        """
        func @main(%x: f32[1, 2]) -> f32[1, 2] {
          %codes = const [[1, 2], [3, 4]] : i4<0.5>[2, 2]
          %scale = const 0.5 : f32[]
          %w = dequantize %codes, %scale : f32[2, 2]  at "fc"
          %p = permute %w {order = [1, 0]} : f32[2, 2]
          %y = linear %x, %p : f32[1, 2]  at "fc"
          return %y
        }
        """
    )
    assert [(r.op, r.weights, r.weight_bits, r.weight_bytes) for r in cost_table(module)] == [
        ("dequantize", 0, 0, 0),
        ("permute", 0, 0, 0),
        ("linear", 5, 4, 6),
    ]
