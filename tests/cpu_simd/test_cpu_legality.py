"""What the backend refuses, with words, instead of computing something else."""

from __future__ import annotations

import numpy as np
from cpu_running import agree

from irc.backends.cpu_simd.backend import CPU
from irc.backends.cpu_simd.legality import problems
from irc.ir.parser import parse


def said(text: str) -> list[str]:
    return [str(problem) for problem in problems(parse(text).main, CPU)]


def test_a_scale_per_group():
    (text,) = said("""
func @main(%x: f32[1, 4]) -> i8<[[1.0, 0.5]], axis=1, group=2>[1, 4] {
  %r = const [[1.0, 2.0]] : f32[1, 2]
  %y = quantize %x, %r {axis = 1, group = 2} : i8<[[1.0, 0.5]], axis=1, group=2>[1, 4]  at "act"
  return %y
}
""")
    assert "quantize has a scale per group, which no kernel reads" in text
    assert "fold computes it where its operand is constant" in text


def test_an_observer_gives_its_operand():
    module = parse("""
func @main(%x: f32[5]) -> f32[5] {
  %o = observe %x {lo = -2.0, hi = 3.0} : f32[5]
  %y = relu %o : f32[5]
  return %y
}
""")
    agree(module, [np.linspace(-2, 3, 5, dtype=np.float32)])
