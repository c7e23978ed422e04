"""What the HLS backend refuses, and what it says then."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hls_designs import job_of, legalised
from hls_examples import FAST, job

from irc.backends.fpga_hls.backend import HLS
from irc.backends.fpga_hls.boundary import ACCELERATOR
from irc.backends.fpga_hls.legality import problems
from irc.ir.diagnostics import IrcError, UsageError
from irc.ir.graph import Module
from irc.ir.parser import parse


def said(text: str, **options: object) -> str:
    """All diagnostics for a module, as one text."""
    try:
        HLS.lower(job_of(legalised(parse(text)), **options))
    except IrcError as error:
        return "\n".join(map(str, error.diagnostics))
    return ""


FLOAT = """
func @main(%x: f32[1, 4]) -> f32[1, 4] {
  %1 = gelu %x : f32[1, 4]  at "act" (GELU) model.py:3
  %2 = exp %1 : f32[1, 4]  at "exp" (Exp) model.py:4
  return %2
}
"""


def test_floats_are_refused_all_at_once():
    text = said(FLOAT)
    assert "input 'x' enters the accelerator as f32, not as codes" in text
    assert '"act" (GELU) model.py:3: gelu: the backend hls cannot run it' in text
    assert '"exp" (Exp) model.py:4: exp: the backend hls cannot run it' in text
    assert "integerize makes it a table lookup of codes" in text


def test_an_island_is_refused():
    text = said("""
func @main(%x: i8<0.5>[1, 4]) -> f32[1, 4] {
  %0 = const 0.5 : f32[]
  %1 = const 2.0 : f32[]
  %2 = dequantize %x, %0 : f32[1, 4]  at "before"
  %3 = softmax %2 : f32[1, 4]  at "attn.softmax" (Softmax) model.py:7
  %4 = quantize %3, %1 : i8<0.5>[1, 4]  at "behind"
  %5 = dequantize %4, %0 : f32[1, 4]
  return %5
}
""")
    assert '"attn.softmax" (Softmax) model.py:7: softmax: the backend hls cannot run it' in text
    assert "integerize{islands=none}" in text
    assert "floats in the middle of the graph" in text


def test_floats_are_found_behind_integer_results():
    module = parse("""
func @main(%x: i8[1, 4]) -> i8[1, 4] {
  %1 = call @accelerator %x : i8[1, 4]
  return %1
}
func @accelerator(%x: i8[1, 4]) -> i8[1, 4] {
  %0 = const 0.5 : f32[]
  %1 = kernel (%a = %x, %s = %0) -> i8[1, 4] {
    %2 = cast %s : i8[]  at "scale" (Scale) model.py:5
    %3 = maximum %a, %2 : i8[1, 4]
    yield %3
  }
  return %1
}
""")
    (found,) = problems(module, [])
    assert '"scale" (Scale) model.py:5: cast computes f32; the accelerator has no floats' in str(found)


@pytest.mark.parametrize("preset", ["quant8", pytest.param("quant4", marks=pytest.mark.slow), "quant4a4"])
@pytest.mark.parametrize("model", FAST)
def test_no_float_is_left_in_the_examples(model: str, preset: str):
    """Not even as a constant: the ports are codes, and so is everything in between."""
    given = job(model, preset, 16)
    HLS.lower(given)
    accelerator = given.module.functions[ACCELERATOR]
    values = [*accelerator.inputs, *(v for node in accelerator.walk() for v in node.results)]
    assert [str(v.type) for v in values if v.type.scalar.is_float] == []
    assert all(v.type.scalar.is_integer for v in (*accelerator.inputs, *accelerator.outputs))


def test_a_symbolic_dimension_is_refused():
    text = said("""
func @main(%x: i8[1, n]) -> i8[1, n] where n in [1, 9] {
  %1 = clamp %x {lo = 0.0} : i8[1, n]  at "relu"
  return %1
}
""")
    assert '"relu": clamp gives i8[1, n], whose size is not known before it runs' in text
    assert "hint: fix every dimension: specialize{dims=n:9}" in text


def test_an_accumulator_of_more_than_32_bits_is_refused():
    text = said("""
func @main(%x: i16[1, 4]) -> i32[1, 1] {
  %w = const [[32767, 32767, -32768, 32767]] : i16[1, 4]
  %1 = linear %x, %w : i32[1, 1]  at "head" (Linear) model.py:9
  return %1
}
""")
    # -32768 * (3 * 32767) - 32767 * 32768, and 32767 * (3 * 32767) + 32768 * 32768
    assert (
        '"head" (Linear) model.py:9: linear: a result can be -4294836224 .. 4294770691, which does not fit 32 bits'
        in text
    )


def test_a_sum_of_streams_is_proved_too():
    text = said("""
func @main(%x: i32[1, 4]) -> i32[1, 4] {
  %1 = add %x, %x : i32[1, 4]  at "sum"
  return %1
}
""")
    assert '"sum": add: a result can be -4294967296 .. 4294967294' in text


def test_64_bit_arithmetic_on_codes_is_refused():
    text = said("""
func @main(%x: i8[1, 4]) -> i64[1, 4] {
  %1 = cast %x : i64[1, 4]  at "cast"
  %2 = add %1, %1 : i64[1, 4]  at "sum"
  return %2
}
""")
    assert '"cast": cast works on 64-bit integers; the accelerator has 32 bits' in text
    assert '"sum": add works on 64-bit integers; the accelerator has 32 bits' in text
    assert "cast to i32 in the model" in text


@pytest.mark.parametrize(
    ("signature", "node", "message"),
    [
        ("(%x: f32[1, 4]) -> f32[1, 4]", "add %x, %x : f32[1, 4]", "add computes f32; the accelerator has no floats"),
        (
            "(%x: u32[1, 4]) -> u32[1, 4]",
            "clamp %x {lo = 1.0} : u32[1, 4]",
            "clamp works on u32; the accelerator computes in signed 32 bits",
        ),
    ],
)
def test_types_the_accelerator_does_not_have(signature: str, node: str, message: str):
    assert f'"layer": {message}' in said(f'func @main{signature} {{\n  %1 = {node}  at "layer"\n  return %1\n}}')


def test_a_bias_that_is_computed():
    text = said("""
func @main(%x: i8[1, 2], %b: i32[1]) -> i32[1, 1] {
  %w = const [[1, 2]] : i8[1, 2]
  %0 = clamp %b {lo = -9.0, hi = 9.0} : i32[1]
  %1 = linear %x, %w, %0 : i32[1, 1]  at "fc"
  return %1
}
""")
    assert '"fc": linear: its bias is not constant' in text


def test_computed_weights_with_several_zero_points():
    text = said("""
func @main(%x: i8[1, 2], %w: i8[2, 2]) -> i32[1, 2] {
  %1 = linear %x, %w {w_zp = [1, 2]} : i32[1, 2]  at "fc"
  return %1
}
""")
    assert '"fc": linear: weights that are computed need one zero point' in text


def test_nothing_to_accelerate():
    text = said("func @main(%x: i8[2]) -> i8[2] { return %x }")
    assert "there is nothing to accelerate: main has no integer operation" in text


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            "%1 = conv %x, %w {stride = [1, 1, 1], padding = [0, 0, 0, 0, 0, 0], dilation = [1, 1, 1]} : "
            "i32[1, 1, 2, 2, 1]",
            "conv: 3 spatial dimensions; the accelerator takes images and sequences",
        ),
        ("%1 = gather %x, %i {axis = 2} : i8[1, 1, 2, 2, 2]", "gather: only rows of a constant table can be gathered"),
    ],
)
def test_what_has_no_stage(body: str, message: str):
    result = body.rpartition(": ")[2]
    text = said(f"""
func @main(%x: i8[1, 1, 2, 2, 2]) -> {result} {{
  %w = const [[[[[3, 4]]]]] : i8[1, 1, 1, 1, 2]
  %i = const [0, 1] : i64[2]
  {body}  at "layer"
  return %1
}}
""")
    assert f'"layer": {message}' in text


def test_two_images_at_once():
    text = said("""
func @main(%x: i8[2, 1, 4, 4]) -> i8[2, 1, 2, 2] {
  %1 = max_pool %x {kernel = [2, 2], stride = [2, 2], padding = [0, 0, 0, 0], dilation = [1, 1]}
       : i8[2, 1, 2, 2]  at "pool"
  return %1
}
""")
    assert '"pool": max_pool: 2 images at once inside the accelerator' in text
    assert "export the model with a batch of 1, or with one that varies (--dynamic=b)" in text


def test_weights_that_are_computed():
    text = said("""
func @main(%x: i8[1, 1, 4, 4], %w: i8[1, 1, 2, 2]) -> i32[1, 1, 3, 3] {
  %1 = conv %x, %w {stride = [1, 1], padding = [0, 0, 0, 0], dilation = [1, 1]} : i32[1, 1, 3, 3]  at "conv"
  return %1
}
""")
    assert '"conv": conv: its weights are not constant' in text


def test_a_zero_point_that_is_no_code():
    text = said("""
func @main(%x: i4[1, 2]) -> i32[1, 1] {
  %w = const [[1, 2]] : i8[1, 2]
  %1 = linear %x, %w {x_zp = 9} : i32[1, 1]  at "fc"
  return %1
}
""")
    assert '"fc": linear: x_zp = 9 is no code of its operand (-8 .. 7)' in text


SMALL = """
func @main(%x: i8[1, 4]) -> i8[1, 4] {
  %1 = clamp %x {lo = 0.0} : i8[1, 4]  at "relu"
  return %1
}
"""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top": "std::x"}, "'std::x' cannot be the name of the top function"),
        ({"top": "while"}, "'while' cannot be the name of the top function"),
        ({"clock": -1.0}, "clock=-1 is not above 0 and at most 1000"),
        ({"clock": math.nan}, "clock=nan is not above 0"),
        ({"clock": 1e9}, r"clock=1e\+09 is not above 0 and at most 1000"),
        ({"fps": math.inf}, "fps=inf is not a positive number"),
        ({"dsp": 1.5}, "dsp=1.5 is not above 0 and at most 1"),
        ({"lut": 0.0}, "lut=0 is not above 0 and at most 1"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str):
    with pytest.raises(UsageError, match=message):
        HLS.options(**options)


def test_a_clock_that_the_part_cannot_have():
    text = said(SMALL, clock=900.0)
    assert "hls: clock=900 is more than the block RAM of zcu102 can do\n  hint: at most 750 MHz" in text


def test_schedules_that_cannot_be():
    assert "there is no such stage to fold: 'head'" in said(SMALL, schedule={"head": "2x2"})
    for size in ("8", "0x1", "4x", "axb", "8x4/0", "8/4"):
        assert f"head: the folding '{size}' is not PExSIMD or PExSIMD/PACKING" in said(SMALL, schedule={"head": size})
    assert "the schedule is one of an engine" in said(SMALL, schedule={"engine size": "x"}, style="dataflow")


WHOLE = "array{pe=32 rows=64 columns=64 words=16 simd=1}"


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ({"relu": "8x4"}, "relu: '8x4' is not tile{...}"),
        ({"relu_copy": "tile{rows=1}"}, "the engine has no such layer with tiles: 'relu_copy'"),
        ({"relu_clamp": "tile{rows=0}"}, "relu_clamp: tiles of 0 rows, expected 1 to 1"),
        ({"relu_clamp": "tile{rows=9}"}, "relu_clamp: tiles of 9 rows, expected 1 to 1"),
        ({"relu_clamp": "tile{height=9}"}, "tile has no option 'height'"),
        ({"relu_clamp": "tile"}, "tile needs the option rows"),
        ({"engine size": "8x4"}, "engine size: '8x4' is not array{...}"),
        (
            {"engine size": WHOLE.replace("pe=32", "pe=24")},
            "engine size: pe=24 columns=64, expected a multiple of 16, and",
        ),
        (
            {"engine size": WHOLE.replace("columns=64", "columns=80")},
            "pe=32 columns=80, expected a multiple of 16, and a",
        ),
        ({"engine size": WHOLE.replace("rows=64", "rows=16")}, "a tile of 16 x 64 elements, expected at least 2048"),
        ({"engine size": WHOLE.replace("simd=1", "simd=3")}, "engine size: words=16, expected a multiple of simd=3"),
        ({"engine size": WHOLE.replace("words=16", "words=0")}, "engine size: words=0, expected 1 to 4096"),
    ],
)
def test_engine_schedules_that_cannot_be(schedule: dict[str, str], message: str):
    assert message in said(SMALL, schedule=schedule, style="engine")


def test_unknown_part():
    with pytest.raises(UsageError, match="no target 'zcu103'"):
        HLS.find_target("zcu103")


def test_a_legal_module():
    module: Module = parse(SMALL)
    HLS.lower(job_of(legalised(module), [[np.zeros((1, 4), np.int8)]]))
