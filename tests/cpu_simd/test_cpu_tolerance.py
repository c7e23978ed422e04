"""How far a library may be off: one step where floats become codes, also if the kernel makes floats of them again."""

from __future__ import annotations

import numpy as np

from irc.backends.cpu_simd.tolerance import allowed
from irc.ir.ops.structure import Kernel
from irc.ir.parser import parse

CODES = """func @main(%x: f32[2, 8], %r: f32[], %s: f32[]) -> f32[2, 8] {
  %k = kernel (%a = %x, %e = %r, %f = %s) -> f32[2, 8] {
    %n = layer_norm %a : f32[2, 8]
    %q = quantize %n, %e : i8<0.125>[2, 8]
    %y = dequantize %q, %f : f32[2, 8]
    yield %y
  }
  return %k
}
"""
FINER = """func @main(%x: f32[2, 8], %r: f32[], %m: i32[]) -> i24<0.0625>[2, 8] {
  %k = kernel (%a = %x, %e = %r, %f = %m) -> i24<0.0625>[2, 8] {
    %n = layer_norm %a : f32[2, 8]
    %q = quantize %n, %e : i16<1>[2, 8]
    %y = requantize %q, %f {shift=8} : i24<0.0625>[2, 8]
    yield %y
  }
  return %k
}
"""
ONE = FINER.replace("yield %y", "yield %q").replace("-> i24<0.0625>", "-> i16<1>")
FLOATS = CODES.replace("quantize %n, %e : i8<0.125>", "relu %n : f32").replace("dequantize %q, %f", "tanh %q")


def allowed_in(text: str) -> float:
    (found,) = (node for node in parse(text).main.nodes if isinstance(node, Kernel))
    return allowed(found, np.ones((2, 8), np.float32))


def test_codes_inside_a_kernel_may_be_one_step_off():
    assert 0.125 <= allowed_in(CODES) < 0.126


def test_codes_behind_codes_may_be_off_by_what_a_coarse_step_is_in_fine_ones():
    assert allowed_in(FINER) == 17
    assert allowed_in(ONE.replace("    %y = requantize %q, %f {shift=8} : i24<0.0625>[2, 8]\n", "")) == 1


def test_floats_that_are_never_rounded_may_not():
    assert 0 < allowed_in(FLOATS) < 1e-5
