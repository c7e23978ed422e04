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
FLOATS = CODES.replace("quantize %n, %e : i8<0.125>", "relu %n : f32").replace("dequantize %q, %f", "tanh %q")


def allowed_in(text: str) -> float:
    (found,) = (node for node in parse(text).main.nodes if isinstance(node, Kernel))
    return allowed(found, np.ones((2, 8), np.float32))


def test_codes_inside_a_kernel_may_be_one_step_off():
    assert 0.125 <= allowed_in(CODES) < 0.126


def test_floats_that_are_never_rounded_may_not():
    assert 0 < allowed_in(FLOATS) < 1e-5
