"""What the backend refuses, with words, instead of computing something else."""

from __future__ import annotations

import numpy as np
from cpu_running import agree

from irc.backends.cpu_simd.backend import CPU
from irc.backends.cpu_simd.legality import problems
from irc.ir.parser import parse


def said(text: str) -> list[str]:
    return [str(problem) for problem in problems(parse(text).main, CPU)]


def test_an_empty_tensor():
    (text,) = said("""
func @main(%x: f32[1, 4]) -> f32[1, 0] {
  %y = slice %x {axis = 1, start = 0, stop = 0, step = 1} : f32[1, 0]  at "act"
  return %y
}
""")
    assert "slice gives an empty tensor, f32[1, 0]\n  hint: the pass clean computes what has no elements" in text
    (text,) = said("""
func @main(%x: f32[3, 0]) -> f32[3] {
  %y = sum %x {axes = [1]} : f32[3]
  return %y
}
""")
    assert "sum takes an empty tensor, f32[3, 0]" in text


def test_an_empty_constant_and_an_empty_input_are_nothing():
    module = parse("""
func @main(%x: f32[1, 4], %cache: f32[1, 0]) -> (f32[1, 0], f32[1, 4]) {
  %none = const [[]] : f32[1, 0]
  %y = relu %x : f32[1, 4]
  return %none, %y
}
""")
    agree(module, [np.array([[-1, 2, -3, 4]], np.float32), np.empty((1, 0), np.float32)])


def test_an_observer_gives_its_operand():
    module = parse("""
func @main(%x: f32[5]) -> f32[5] {
  %o = observe %x {lo = -2.0, hi = 3.0} : f32[5]
  %y = relu %o : f32[5]
  return %y
}
""")
    agree(module, [np.linspace(-2, 3, 5, dtype=np.float32)])
