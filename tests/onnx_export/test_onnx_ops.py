"""Ops by family on random inputs: onnxruntime gives what the interpreter gives, floats to 1e-5 of the largest."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
import pytest
from onnx_running import Case, file_of

from irc.ir.constants import Data
from irc.ir.diagnostics import IrcError
from irc.ir.dims import add, mul, symbol
from irc.ir.op import Op
from irc.ir.ops.attention import Sdpa
from irc.ir.ops.bits import And, Not, Or, ShiftLeft, ShiftRight, Xor
from irc.ir.ops.linear import Conv, Linear, Matmul
from irc.ir.ops.math import (
    Amax,
    Argmax,
    Cast,
    Clamp,
    Compare,
    Cumsum,
    Elu,
    Gelu,
    LeakyRelu,
    Mean,
    Pow,
    Softplus,
    Sum,
    Topk,
    Where,
)
from irc.ir.ops.norm import BatchNorm, GroupNorm, LayerNorm, RmsNorm, Softmax
from irc.ir.ops.pool import AvgPool, MaxPool, SumPool
from irc.ir.ops.quant import Dequantize, Observe, Quantize
from irc.ir.ops.structure import Const
from irc.ir.ops.tensor import Concat, Expand, Gather, Iota, Pad, Reshape, Scatter, Slice
from irc.ir.scalars import F32, scalar
from irc.ir.types import Element, f32_tensor, per_axis, per_tensor
from irc.tables import OPS

FLOATS = ["f32", "f16", "bf16", "f64"]
UNARY = [
    "relu",
    "sigmoid",
    "tanh",
    "exp",
    "sin",
    "cos",
    "floor",
    "round",
    "neg",
    "abs",
    "silu",
    "hardsigmoid",
    "hardswish",
]
B, N = symbol("b"), symbol("n")


def operators(file: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_from_string(file).graph.node]


# -- math


@pytest.mark.parametrize("kind", FLOATS)
@pytest.mark.parametrize("name", [*UNARY, "silu", "hardsigmoid", "hardswish"])
def test_functions_of_one_element(name: str, kind: str):
    case = Case()
    case.agree(OPS.get(name)(case.input(kind, "b", 7)))


@pytest.mark.parametrize("kind", FLOATS)
@pytest.mark.parametrize("name", ["log", "sqrt", "rsqrt"])
def test_functions_of_positive_elements(name: str, kind: str):
    case = Case()
    case.agree(OPS.get(name)(case.input(kind, 9, values=case.rng.uniform(0.1, 9, 9))))


@pytest.mark.parametrize("kind", FLOATS[:3])
@pytest.mark.parametrize(
    "make",
    [
        Gelu,
        lambda x: Gelu(x, "tanh"),
        LeakyRelu,
        lambda x: LeakyRelu(x, 0.3),
        lambda x: Elu(x, 0.7),
        Softplus,
        lambda x: Softplus(x, 2.0, 1.5),
        OPS.get("erf"),
    ],
)
def test_functions_with_a_kernel_for_f32_alone(make: Any, kind: str):
    case = Case()
    case.agree(make(case.input(kind, "b", 11)))


def test_bounds_and_powers():
    case = Case()
    x = case.input("f32", 4, 5)
    case.agree(Clamp(x, -0.5, 0.25), Clamp(x, hi=0.1), Clamp(x), Pow(x, 2.0))


@pytest.mark.parametrize("kind", ["f32", "f16", "f64", "i64", "i32", "i16", "u8", "i4", "u32"])
@pytest.mark.parametrize("name", ["add", "sub", "mul", "maximum", "minimum"])
def test_two_operands_broadcast(name: str, kind: str):
    case = Case()
    values = [1 + case.rng.integers(0, 4, shape) for shape in ((3, 1, 5), (2, 1))]
    x, y = (case.input(kind, *v.shape, values=v) for v in values)
    if kind == "u32" and name in ("add", "sub", "mul"):
        x = case.b(Clamp(x, 0, 9))
    case.agree(OPS.get(name)(x, y))


@pytest.mark.parametrize("how", ["eq", "ne", "lt", "le", "gt", "ge"])
@pytest.mark.parametrize("kind", ["f32", "f16", "i8", "u16", "i64", "u32", "bool"])
def test_comparisons(how: Any, kind: str):
    case = Case()
    x, y = (case.input(kind, 8, values=case.rng.integers(0, 2, 8).astype(bool)) for _ in range(2))
    case.agree(Compare(x, y, how))


@pytest.mark.parametrize("kind", ["f32", "bf16", "i8", "u16", "i64", "bool"])
def test_choices(kind: str):
    case = Case()
    case.agree(Where(case.input("bool", 4, 1), case.input(kind, 4, 3), case.input(kind, 3)))


def test_logic():
    case = Case()
    x, y = case.input("bool", 9), case.input("bool", 9)
    case.agree(And(x, y), Or(x, y), Xor(x, y), Not(x))


@pytest.mark.parametrize("kind", ["i8", "u8", "u3", "i12", "u16", "i32", "u32", "i64"])
def test_bits(kind: str):
    case, limits = Case(), scalar(kind)
    x, y = case.input(kind, 4, 5), case.input(kind, 5)
    low, high = max(limits.min, -2), min(limits.max, limits.bits + 1)
    distances = np.linspace(low, high, 20).reshape(4, 5).astype(limits.dtype)
    given, known, near = case.input(kind, 4, 5, values=distances), case.const(kind, distances), case.const(kind, 2)
    shifts = [op(x, by) for op in (ShiftLeft, ShiftRight) for by in (y, given, known, near)]
    case.agree(And(x, y), Or(x, y), Xor(x, y), Not(x), *shifts)


NUMBERS = [
    0.0,
    -0.5,
    0.99,
    -1.5,
    2.5,
    126.7,
    127.5,
    -128.9,
    300.0,
    -4e4,
    3e9,
    -3e9,
    1e19,
    -1e19,
    np.inf,
    -np.inf,
    np.nan,
]


@pytest.mark.parametrize(
    "target", ["i4", "u3", "i8", "u8", "i16", "i20", "i32", "u32", "i64", "bool", "f16", "f64", "bf16"]
)
def test_casts_of_floats(target: str):
    case = Case()
    case.agree(Cast(case.input("f32", len(NUMBERS), values=NUMBERS), to=Element(scalar(target))))


@pytest.mark.parametrize("target", ["i2", "u5", "i8", "u8", "i12", "u16", "i32", "u32", "i64", "bool", "f32", "bf16"])
@pytest.mark.parametrize("source", ["bool", "i3", "u8", "i16", "i32", "u32", "i64"])
def test_casts_of_integers(source: str, target: str):
    kind = scalar(source)
    ends = [kind.min, kind.min + 1, 0, 1, kind.max // 3, kind.max]
    case = Case()
    case.agree(Cast(case.input(source, 6, values=np.array(ends, kind.dtype)), to=Element(scalar(target))))


@pytest.mark.parametrize("kind", ["f32", "f16", "f64", "i8", "i64"])
@pytest.mark.parametrize("axes", [(0,), (-1, 0), ()])
@pytest.mark.parametrize("keepdims", [True, False])
def test_reductions(kind: str, axes: tuple[int, ...], keepdims: bool):
    case = Case()
    x = case.input(kind, "b", 5, 4)
    ops: list[Op] = [Sum(x, axes, keepdims), Amax(x, axes, keepdims)]
    if kind.startswith("f"):
        ops.append(Mean(x, axes, keepdims))
    if len(axes) == 1 and kind != "i64":
        ops.append(Argmax(x, axes, keepdims))
    case.agree(*ops)


@pytest.mark.parametrize("kind", ["f32", "f16", "bf16", "f64", "i8", "i32", "i64"])
def test_positions_of_the_largest(kind: str):
    case = Case()
    x = case.input(kind, "b", 5, 4)
    case.agree(Topk(x, (*x.type.shape[:-1], 3)), Topk(x, x.type.shape))


def test_positions_of_the_largest_where_some_are_equal():
    case = Case()
    few = np.array([[1, 2, 2, 1], [np.nan, np.inf, 1, 2], [0, -0.0, 0, -np.inf]], np.float32)
    case.agree(Topk(case.input("f32", 3, 4, values=few), (3, 3)))


def test_running_sums():
    case = Case()
    case.agree(Cumsum(case.input("f32", 3, 8), 1), Cumsum(case.input("i8", 3, 8), -2), Cumsum(case.input("i64", 4), 0))


# -- movements


@pytest.mark.parametrize("kind", ["f32", "f16", "bf16", "i4", "u16", "i64", "bool"])
def test_movements_of_every_type(kind: str):
    case = Case()
    x = case.input(kind, "b", 4, 6)
    edge = [] if kind == "bool" else [Pad(x, (0, 1, 2), (1, 0, 3), 1.0)]
    case.agree(
        Reshape(x, shape=(B, 2, 12)),
        Reshape(x, shape=(mul(B, 4), 6)),
        OPS.get("permute")(x, (2, 0, 1)),
        Concat((x, x), 0),
        Slice(x, 2, 1, 5, 2),
        Gather(x, case.const("i64", [[0, -1]]), 1),
        Scatter(x, case.const("i32", [[0], [-1]]), case.input(kind, "b", 2, 1, 6), 1),
        Expand(case.input(kind, 1, 4, 1), shape=(2, B, 4, 6)),
        *edge,
    )


def test_sizes_that_are_computed():
    case = Case()
    x, y = case.input("f32", "b", "n", 4), case.input("f32", "n")
    case.agree(
        Reshape(x, shape=(mul(B, N), 2, 2)),
        Reshape(x, shape=(N, B, 4)),
        Slice(x, 1, N // 2, N),
        Slice(x, 1, 0, N % 4),
        Concat((x, case.b(Slice(x, 1, 0, 1))), 1),
        Expand(y, shape=(B, N)),
        Iota(0, 1, shape=(add(N, 1),)),
        Iota(N, -2, shape=(B,)),
    )


def test_a_symbol_inside_an_expression():
    case = Case()
    x = case.graph.add_input(case.b.const(0.0, F32).type.with_shape((mul(N, 2), 3)), "x")
    case.arrays.append(np.ones((12, 3), np.float32))
    case.agree(Expand(case.b(Iota(0, 1, shape=(N,))), shape=(3, N)), Slice(x, 0, 0, N))


def test_nothing_at_all():
    case = Case()
    x = case.input("f32", "b", 0, 4)
    case.agree(Reshape(x, shape=(0, mul(B, 2))), Concat((x, case.input("f32", "b", 2, 4)), 1))


# -- sums of products


@pytest.mark.parametrize("kind", FLOATS)
@pytest.mark.parametrize("lead", [("b",), ("b", 5), ()])
def test_linear(kind: str, lead: tuple[Any, ...]):
    case = Case()
    x, w, bias = case.input(kind, *lead, 8), case.input(kind, 6, 8), case.input(kind, 6)
    case.agree(Linear(x, w, bias), Linear(x, case.const(kind, case.rng.standard_normal((3, 8)))))


@pytest.mark.parametrize("kind", FLOATS)
def test_matmul(kind: str):
    case = Case()
    case.agree(Matmul(case.input(kind, "b", 1, 4, 8), case.input(kind, 3, 8, 5)))


@pytest.mark.parametrize("kind", FLOATS[:3])
def test_convolutions(kind: str):
    case = Case()
    x = case.input(kind, "b", 4, 9, 7)
    w = case.const(kind, case.rng.standard_normal((6, 2, 3, 2)))
    case.agree(
        Conv(x, w, case.input(kind, 6), stride=(2, 1), padding=(1, 0, 2, 1), dilation=(1, 2), groups=2),
        Conv(x, case.input(kind, 3, 4, 1, 1), stride=(1, 1), padding=(0,) * 4, dilation=(1, 1)),
    )


@pytest.mark.parametrize(("channels", "parts"), [(3, 1), (256, 2)])
def test_integer_convolutions_are_exact(channels: int, parts: int):
    """The weights are cut where a sum of magnitudes reaches 2^24."""
    case = Case()
    x = case.input("u8", 2, channels, 5, 5)
    w = case.const("i8", np.where(case.rng.random((4, channels, 3, 3)) < 0.9, 127, -128))
    conv = Conv(x, w, case.const("i32", [1, -2, 3, -4]), stride=(1, 1), padding=(1,) * 4, dilation=(1, 1), x_zp=3)
    assert operators(case.agree(conv)).count("Conv") == parts


# -- pooling


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize(
    ("padding", "stride"), [((0, 0, 0, 0), (3, 2)), ((1, 0, 1, 1), (2, 2)), ((3, 1, 0, 4), (2, 3))]
)
def test_pooling(padding: tuple[int, ...], stride: tuple[int, ...], ceil: bool):
    case = Case()
    x, codes = case.input("f32", "b", 2, 9, 8), case.input("i8", 2, 3, 9, 8)
    window: dict[str, Any] = {"kernel": (3, 2), "stride": stride, "padding": padding, "ceil": ceil}
    case.agree(
        MaxPool(case.input("f32", 2, 2, 9, 8), dilation=(1, 2), **window),
        MaxPool(codes, dilation=(1, 1), **window),
        MaxPool(case.input("i16", 1, 1, 9, 8), dilation=(2, 1), **window),
        AvgPool(x, **window),
        AvgPool(x, count_pad=False, **window),
        SumPool(codes, x_zp=5, **window),
    )


# -- norms and attention


@pytest.mark.parametrize("kind", FLOATS)
def test_norms(kind: str):
    case = Case()
    x, g, b = case.input(kind, "b", 6, 8), case.input(kind, 8), case.input(kind, 8)
    channels = [case.input(kind, 6, values=case.rng.uniform(0.5, 2, 6)) for _ in range(4)]
    case.agree(
        Softmax(x),
        Softmax(x, 1),
        LayerNorm(x, g, b),
        LayerNorm(x, g),
        LayerNorm(x, None, b),
        LayerNorm(x, axes=2, eps=1e-3),
        RmsNorm(x, g),
        RmsNorm(x),
        GroupNorm(x, channels[0], channels[1], groups=3),
        GroupNorm(x, groups=2),
        BatchNorm(x, *channels),
        BatchNorm(x, channels[0], channels[1]),
    )


@pytest.mark.parametrize("kind", ["f32", "f16", "f64"])
@pytest.mark.parametrize("mask", ["none", "bool", "float", "constant"])
def test_attention(kind: str, mask: str):
    case = Case()
    q, k, v = (case.input(kind, "b", 2, m, d) for m, d in ((5, 8), ("n", 8), ("n", 4)))
    kept = case.rng.random((5, 6)) < 0.5
    kept[2] = False  # a row with nothing kept gives zeros
    masks = {
        "bool": lambda: case.input("bool", 5, "n", values=kept),
        "float": lambda: case.input(kind, 5, "n", values=np.where(kept, 0.5, -math.inf)),
        "constant": lambda: case.const("bool", np.tri(5, 1) > 0),
    }
    case.agree(Sdpa(q, k, v, masks[mask]() if mask in masks else None, scale=0.3))


# -- quantization


@pytest.mark.parametrize("kind", ["i4", "u4", "i3", "i7", "i8", "u8", "i12", "i16", "u16", "i20"])
@pytest.mark.parametrize("layout", ["tensor", "channel", "group"])
def test_quantize_and_dequantize(kind: str, layout: str):
    case = Case()
    code, rng = scalar(kind), case.rng
    shape = {"tensor": (), "channel": (3,), "group": (3, 4)}[layout]
    scale = (rng.uniform(0.5, 2, shape) / code.max * 2).astype(np.float32)
    zp = np.broadcast_to(1, shape).astype(np.int32)
    axis = {"tensor": None, "channel": 0, "group": 1}[layout]
    group = 2 if layout == "group" else None
    x = case.input("f32", 3, 8)
    r, z = case.const("f32", np.float32(1) / scale), case.const("i32", zp)
    codes = case.b(Quantize(x, r, z, axis=axis, group=group, to=Element(code)))
    found = operators(case.agree(codes, steps=1))
    assert found.count("QuantizeLinear") == (kind != "i20")
    again = Case()
    stored = again.const(kind, again.random(code, (3, 8)))
    parameters = again.const("f32", scale), again.const("i32", zp)
    back = Dequantize(stored, *parameters, axis=axis, group=group, to=Element(F32))
    assert operators(again.agree(back, again.input("f32", 1))).count("DequantizeLinear") == (kind != "i20")


def test_four_bits_are_stored_as_four_bits():
    case = Case()
    x = case.input("f32", 2, 4, 6)
    i4 = Element(scalar("i4"), per_axis(np.float32([0.5, 0.25, 0.125]), 0))
    codes = case.b(Const(Data.of(np.array([[-8, 7, 3, 0, 1, -1]] * 3), i4.scalar), i4))
    scales = case.const("f32", [0.5, 0.25, 0.125])
    file = case.agree(Linear(x, case.b(Dequantize(codes, scales, axis=0, to=Element(F32)))))
    four_bits = [t for t in onnx.load_from_string(file).graph.initializer if t.data_type == onnx.TensorProto.INT4]
    (weights,) = [t for t in four_bits if list(t.dims) == [6, 3]]
    assert len(weights.raw_data) == 9
    assert "Transpose" not in operators(file)


def test_activations_of_four_bits():
    case = Case()
    element = Element(scalar("u4"), per_tensor(0.25, 8))
    codes = case.b(Quantize(case.input("f32", 5, 3), case.const("f32", 4.0), case.const("i32", 8), to=element))
    back = Dequantize(codes, case.const("f32", 0.25), case.const("i32", 8), to=Element(F32))
    file = case.agree(back)
    assert operators(file) == ["QuantizeLinear", "DequantizeLinear", "Identity"]
    assert onnx.TensorProto.UINT4 in {t.data_type for t in onnx.load_from_string(file).graph.initializer}


def test_scales_that_are_computed():
    case = Case()
    scale, zp = case.input("f32", 3, values=[0.5, 0.25, 2.0]), case.input("i32", 3, values=[1, -2, 3])
    codes = case.b(Quantize(case.input("f32", 3, 5), scale, zp, axis=0, to=Element(scalar("i8"))))
    case.agree(Dequantize(codes, scale, zp, axis=0, to=Element(F32)), codes)


def test_what_calibration_saw_is_left_out():
    case = Case()
    assert operators(case.agree(Observe(case.input("f32", 3), lo=0.0, hi=1.0))) == ["Identity"]


# -- refusals


def test_everything_that_cannot_be_written_is_told_at_once():
    case = Case()
    x = case.input("f64", 1, 2, 4, 4)
    window: dict[str, Any] = {"kernel": (2, 2), "stride": (2, 2), "padding": (0,) * 4}
    codes, weights = case.input("i8", 1, 2, 4, 4), case.input("i8", 3, 2, 1, 1)
    whole = Conv(codes, weights, stride=(1, 1), padding=(0,) * 4, dilation=(1, 1))
    tall = MaxPool(case.input("f32", 1, 1, "n"), kernel=(2,), stride=(2,), padding=(0, 0), dilation=(1,), ceil=True)
    module = case.module(Gelu(x), AvgPool(x, **window), whole, tall, Argmax(case.input("i64", 4), (0,)))
    with pytest.raises(IrcError) as caught:
        file_of(module)
    assert [str(d) for d in caught.value.diagnostics] == [
        "gelu: the backend onnx cannot write it: onnxruntime has no kernel for f64\n"
        "  hint: widen makes it f32 (put it in front of the other passes)",
        "avg_pool: the backend onnx cannot write it: onnxruntime has no kernel for f64\n"
        "  hint: widen makes it f32 (put it in front of the other passes)",
        "conv: the backend onnx cannot write it: integer weights that are computed\n"
        "  hint: keep them constant, or the layer in float",
        "max_pool: the backend onnx cannot write it: windows that reach over the end of a symbolic dimension\n"
        "  hint: specialize fixes it",
        "argmax: the backend onnx cannot write it: onnxruntime has no kernel for i64\n"
        "  hint: cast to 32 bits in the model",
    ]


def test_sizes_that_no_input_tells():
    case = Case()
    case.graph.add_input(f32_tensor(mul(B, N)), "x")
    module = case.module(Iota(0, 1, shape=(B,)))
    with pytest.raises(IrcError) as caught:
        file_of(module)
    assert str(caught.value) == (
        "iota: the backend onnx cannot write it: no input tells the size b of i64[b]\n  hint: specialize fixes it"
    )
