"""The split of main into boundary and accelerator."""

from __future__ import annotations

import numpy as np
from hls_designs import legalised

from irc.backends.fpga_hls.boundary import ACCELERATOR, Boundary
from irc.backends.fpga_hls.simulation import run_main
from irc.ir.interpret import interpret
from irc.ir.parser import parse
from irc.ir.verify import verify
from irc.passes.base import PassContext

MODEL = """
func @main(%image: f32[1, 2, 4], %ids: i64[1, 3], %keep: bool[1, 4]) -> (f32[1, 2, 4], i8[3, 2]) {
  %r = const 2.0 : f32[]
  %s = const 0.5 : f32[]
  %table = const [[1, 2], [3, 4]] : i8[2, 2]
  %turned = permute %image {order = [0, 2, 1]} : f32[1, 4, 2]
  %1 = quantize %turned, %r : i8<0.5>[1, 4, 2]
  %2 = clamp %1 {lo = 0.0} : i8<0.5>[1, 4, 2]  at "relu"
  %3 = permute %2 {order = [0, 2, 1]} : i8<0.5>[1, 2, 4]
  %zero = const 0 : i8<0.5>[]
  %4 = where %keep, %3, %zero : i8<0.5>[1, 2, 4]  at "mask"
  %5 = gather %table, %ids : i8[1, 3, 2]  at "embedding"
  %6 = reshape %5 : i8[3, 2]
  %7 = dequantize %4, %s : f32[1, 2, 4]
  return %7, %6
}
"""
INPUTS = [
    np.linspace(-3, 3, 8, dtype=np.float32).reshape(1, 2, 4),
    np.array([[1, 0, -1]]),
    np.array([[True, False, True, True]]),
]


def test_main_keeps_floats_and_the_accelerator_gets_codes():
    module = parse(MODEL)
    expected = interpret(module, INPUTS)
    Boundary().run(module, PassContext())
    verify(module)
    main = [node.opname for node in module.main.nodes]
    assert main == ["const", "const", "permute", "quantize", "call", "dequantize", "return"]
    accelerator = module.functions[ACCELERATOR]
    assert [v.name for v in accelerator.inputs] == ["image", "keep", "ids"]
    assert [str(v.type) for v in accelerator.inputs] == ["i8<0.5>[1, 4, 2]", "bool[1, 4]", "i64[1, 3]"]
    for a, b in zip(interpret(module, INPUTS), expected, strict=True):
        np.testing.assert_array_equal(a, b)


TOKENS = """
func @main(%ids: i64[1, 3], %attend: i64[1, 3], %keep: bool[1, 3]) -> i8[1, 3, 2] {
  %table = const [[1, 2], [3, 4]] : i8[2, 2]
  %none = const 0 : i64[]
  %both = and %keep, %keep : bool[1, 3]  at "bools alone"
  %flags = cast %both : i64[1, 3]  at "made into 64 bits"
  %seen = mul %attend, %flags : i64[1, 3]  at "mask"
  %mask = compare %seen, %none {how = ne} : bool[1, 3]  at "mask"
  %wide = reshape %mask : bool[1, 3, 1]
  %zero = const 0 : i8[]
  %1 = gather %table, %ids : i8[1, 3, 2]  at "embedding"
  %2 = where %wide, %1, %zero : i8[1, 3, 2]
  return %2
}
"""


def test_64_bit_integers_that_are_no_indices_stay_with_the_host():
    module = parse(TOKENS)
    inputs = [np.array([[1, 0, 1]]), np.array([[1, 2**40, 0]]), np.array([[True, True, True]])]
    expected = interpret(module, inputs)
    Boundary().run(module, PassContext())
    verify(module)
    assert [n.opname for n in module.main.nodes if n.opname != "const"] == [
        *["and", "cast", "mul", "compare", "call", "return"],
    ]
    assert [str(v.type) for v in module.functions[ACCELERATOR].inputs] == ["bool[1, 3]", "i64[1, 3]"]
    np.testing.assert_array_equal(interpret(module, inputs)[0], expected[0])


def test_it_happens_once():
    module = parse(MODEL)
    Boundary().run(module, PassContext())
    text = str(module)
    Boundary().run(module, PassContext())
    assert str(module) == text


def test_a_shared_constant_is_copied():
    module = parse(
        """
func @main(%x: f32[2]) -> f32[2] {
  %r = const 2.0 : f32[]
  %z = const 3 : i32[]
  %1 = quantize %x, %r, %z : i8<0.5, zp=3>[2]
  %2 = add %1, %z : i32[2]
  %3 = dequantize %1, %r, %z : f32[2]
  return %3
}
""".replace("i8<0.5, zp=3>", "i8")
        .replace("  %2 = add %1, %z : i32[2]\n", "  %2 = maximum %1, %1 : i8[2]\n")
        .replace("dequantize %1", "dequantize %2")
    )
    expected = interpret(module, [np.float32([0.25, -1])])
    Boundary().run(module, PassContext())
    verify(module)
    np.testing.assert_array_equal(interpret(module, [np.float32([0.25, -1])])[0], expected[0])


def test_results_by_way_of_the_accelerator():
    module = legalised(parse(MODEL))
    given: list[list[object]] = []

    def accelerate(samples):
        given.extend(samples)
        return [interpret(module, list(sample), function=ACCELERATOR) for sample in samples]

    results = run_main(module, [INPUTS, INPUTS], accelerate)
    assert len(given) == 2
    for result in results:
        for a, b in zip(result, interpret(parse(MODEL), INPUTS), strict=True):
            np.testing.assert_array_equal(a, b)
