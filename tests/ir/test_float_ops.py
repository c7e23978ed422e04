"""The references of float ops against PyTorch in f64, rounded to the type of the op.

Half types are computed wide and rounded once: they agree to one unit in the last place. f32 agrees to 2e-6 of the
value, sums to 1e-6 and sums of products to 1e-5 of the largest value.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from irc.ir.builder import Builder
from irc.ir.graph import Graph, Module
from irc.ir.interpret import interpret
from irc.ir.op import Op
from irc.ir.ops import attention, bits, linear, math, norm, pool, tensor
from irc.ir.ops.structure import Return
from irc.ir.registry import all_ops
from irc.ir.scalars import BF16, BOOL, F16, F32, F64, I64, Array, ScalarType, round_to_bf16, scalar_of
from irc.ir.types import Element, TensorType
from irc.tables import BUILT_IN, OPS

DTYPES = {F16: torch.float16, BF16: torch.bfloat16, F32: torch.float32, F64: torch.float64}
HALVES = (F16, BF16)
ULP = {F16: 2.0**-10, BF16: 2.0**-7, F32: 2e-6, F64: 1e-9}


def run(make: Callable[..., Op], *arrays: Array | None, kind: ScalarType = F32) -> Array:
    """The result of one node on arrays; floats are inputs of `kind`."""
    given = [a for a in arrays if a is not None]
    kinds = [kind if a.dtype.kind == "f" else scalar_of(a) for a in given]
    types = [TensorType(Element(k), a.shape) for k, a in zip(kinds, given, strict=True)]
    graph = Graph(types, name="main")
    values = iter(graph.inputs)
    b = Builder.at_end(graph)
    node = make(*(None if a is None else next(values) for a in arrays))
    b.add(Return([b(node)]))
    return interpret(Module([graph]), given)[0]


def rounded(x: torch.Tensor, kind: ScalarType) -> Array:
    """A result of PyTorch as the type holds it."""
    if not x.is_floating_point():
        return x.numpy()
    out = x.to(DTYPES[kind])
    return out.float().numpy() if kind == BF16 else out.numpy()


def check(
    make: Callable[..., Op],
    expected: Callable[..., torch.Tensor],
    *arrays: Array | None,
    kind: ScalarType = F32,
    scale: float = 0.0,
) -> None:
    """Compare to the tolerance of the type; `scale` adds that much of the largest value, for sums of products."""
    given = [a if a is None or a.dtype.kind != "f" else as_kind(a, kind) for a in arrays]
    ours = run(make, *given, kind=kind)
    wide = [a if a is None or a.dtype.kind != "f" else a.astype(np.float64) for a in given]
    theirs = rounded(expected(*(None if a is None else torch.from_numpy(np.array(a)) for a in wide)), kind)
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    largest = (
        float(np.max(np.abs(np.where(np.isfinite(theirs), theirs, 0)), initial=0)) if theirs.dtype.kind == "f" else 0
    )
    np.testing.assert_allclose(
        ours.astype(np.float64), theirs.astype(np.float64), rtol=ULP[kind], atol=1e-38 + scale * largest
    )


def as_kind(a: Array, kind: ScalarType) -> Array:
    """The nearest values of a float type."""
    with np.errstate(over="ignore"):
        return round_to_bf16(a) if kind == BF16 else a.astype(kind.dtype)


def array(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed + len(shape)).standard_normal(shape).astype(np.float32)


UNARY: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "hardsigmoid": F.hardsigmoid,
    "hardswish": F.hardswish,
    "softplus": F.softplus,
    "elu": F.elu,
    "leaky_relu": F.leaky_relu,
    "tanh": torch.tanh,
    "exp": torch.exp,
    "log": torch.log,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "erf": torch.erf,
    "sin": torch.sin,
    "cos": torch.cos,
    "floor": torch.floor,
    "round": torch.round,
    "neg": torch.neg,
    "abs": torch.abs,
}
HALF_WAY = [0.5, 2.5, -2.5, 1.0, -1.0, 3.0, -3.0, 6.0]
FAR_AND_NEAR = [0.0, -0.0, 19.9, 20.1, -20.0, 88.0, -88.0, 1e-7, -1e-7, 1e-30, 1e4, -1e4, np.nan]
SPECIAL = np.array([*HALF_WAY, *FAR_AND_NEAR], np.float32)


@pytest.mark.parametrize("kind", [F32, F16, BF16, F64], ids=str)
@pytest.mark.parametrize("name", UNARY)
def test_unary(name: str, kind: ScalarType) -> None:
    cls = all_ops()[name]
    for x in (SPECIAL, 3 * array(5, 7), array(3, 1, 2), array(0, 3), np.array(0.7, np.float32)):
        # The tail of gelu is a difference of nearly equal numbers, exact to 1e-11.
        check(cls, UNARY[name], x, kind=kind, scale=1e-11 if name == "gelu" else 0)


@pytest.mark.parametrize(
    "name", ["relu", "sigmoid", "tanh", "exp", "sqrt", "erf", "floor", "hardsigmoid", "softplus", "elu"]
)
def test_unary_of_infinity(name: str) -> None:
    check(all_ops()[name], UNARY[name], np.array([np.inf, -np.inf], np.float32))


@pytest.mark.parametrize("kind", [F32, F16], ids=str)
def test_unary_with_parameters(kind: ScalarType) -> None:
    x = np.concatenate([SPECIAL, 4 * array(40)])
    check(lambda v: math.Gelu(v, "tanh"), lambda t: F.gelu(t, approximate="tanh"), x, kind=kind, scale=1e-7)
    check(lambda v: math.LeakyRelu(v, 0.3), lambda t: F.leaky_relu(t, 0.3), x, kind=kind)
    check(lambda v: math.Elu(v, 0.7), lambda t: F.elu(t, 0.7), x, kind=kind)
    check(lambda v: math.Softplus(v, 2.0, 5.0), lambda t: F.softplus(t, 2.0, 5.0), x, kind=kind)
    check(lambda v: math.Clamp(v, -0.5, 1.25), lambda t: t.clamp(-0.5, 1.25), x, kind=kind)
    check(lambda v: math.Clamp(v, lo=0.25), lambda t: t.clamp(min=0.25), x, kind=kind)
    check(lambda v: math.Clamp(v, hi=0.25), lambda t: t.clamp(max=0.25), x, kind=kind)
    for exponent in (2.0, 0.5, -1.0, 3.0, 0.0, 1.7):
        check(lambda v, e=exponent: math.Pow(v, e), lambda t, e=exponent: t.pow(e), x, kind=kind)


BINARY = {
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
}
BROADCASTS = [((3, 5), (3, 5)), ((3, 5), (5,)), ((1, 5), (3, 1)), ((), (2, 3)), ((4, 1, 2), (3, 1)), ((0, 3), (1, 3))]


@pytest.mark.parametrize("kind", [F32, F16, BF16, F64], ids=str)
@pytest.mark.parametrize("name", BINARY)
def test_binary(name: str, kind: ScalarType) -> None:
    for a, b in BROADCASTS:
        check(all_ops()[name], BINARY[name], array(*a), array(*b, seed=5), kind=kind)
    check(
        all_ops()[name],
        BINARY[name],
        np.array([np.nan, np.inf, -np.inf, 0.0], np.float32),
        np.zeros(4, np.float32),
        kind=kind,
    )


@pytest.mark.parametrize("how", ["eq", "ne", "lt", "le", "gt", "ge"])
def test_compare(how: str) -> None:
    x, y = np.array([1, 2, 3, np.nan, np.nan], np.float32), np.array([2, 2, 2, 2, np.nan], np.float32)
    check(lambda a, b: math.Compare(a, b, how), getattr(torch, how), x, y)
    check(lambda a, b: math.Compare(a, b, how), getattr(torch, how), array(3, 1).round(), array(1, 4).round())


def test_logic() -> None:
    x, y = np.array([[True], [False]]), np.array([True, False])
    check(bits.And, torch.logical_and, x, y)
    check(bits.Or, torch.logical_or, x, y)
    check(bits.Xor, torch.logical_xor, x, y)
    check(bits.Not, torch.logical_not, x)
    check(math.Where, torch.where, x, array(2, 2), array(2))


AXES = [(), (0,), (1,), (-1,), (0, 2), (2, 1), (0, 1, 2)]


@pytest.mark.parametrize("kind", [F32, F16, BF16], ids=str)
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axes", [(0,), (1,), (-1,), (0, 2), (2, 1), (0, 1, 2)])
def test_reductions(axes: tuple[int, ...], keepdims: bool, kind: ScalarType) -> None:
    x = array(3, 5, 7)
    check(lambda v: math.Sum(v, axes, keepdims), lambda t: t.sum(axes, keepdims), x, kind=kind, scale=1e-6)
    check(lambda v: math.Mean(v, axes, keepdims), lambda t: t.mean(axes, keepdims), x, kind=kind, scale=1e-6)
    check(lambda v: math.Amax(v, axes, keepdims), lambda t: t.amax(axes, keepdims), x, kind=kind)


def test_reductions_over_no_axis() -> None:
    for make in (math.Sum, math.Mean, math.Amax):
        check(lambda v, make=make: make(v, ()), lambda t: t, array(3, 5))


@pytest.mark.parametrize("keepdims", [False, True])
def test_argmax_is_the_first(keepdims: bool) -> None:
    for x in (array(3, 5, 7), np.ones((2, 3, 1), np.float32)):
        check(lambda v: math.Argmax(v, (1,), keepdims), lambda t: t.argmax(1, keepdims), x)


@pytest.mark.parametrize("count", [0, 1, 3, 5])
def test_positions_of_the_largest(count: int) -> None:
    x = array(3, 2, 5)
    check(lambda v: math.Topk(v, (3, 2, count)), lambda t: t.topk(count).indices, x)
    check(lambda v: math.Topk(v, (3, 2, 5)), lambda t: t.sort(descending=True, stable=True).indices, np.round(x))


def test_empty_reductions() -> None:
    x = array(2, 0)
    check(lambda v: math.Sum(v, (1,)), lambda t: t.sum(1), x)
    check(lambda v: math.Mean(v, (1,)), lambda t: t.mean(1), x)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_along_an_axis(axis: int) -> None:
    for x in (array(3, 5, 7), array(1, 1), array(2, 0), np.array([[1e4, -1e4, 0.0]], np.float32)):
        check(lambda v: norm.Softmax(v, axis), lambda t: t.softmax(axis), x, scale=1e-7)
        check(lambda v: math.Cumsum(v, axis), lambda t: t.cumsum(axis), x, scale=1e-6)
    for kind in HALVES:
        check(lambda v: norm.Softmax(v, axis), lambda t: t.softmax(axis), array(4, 6), kind=kind)


@pytest.mark.parametrize("kind", [F32, F16, BF16, F64], ids=str)
@pytest.mark.parametrize("shape", [(7,), (3, 7), (2, 3, 7), (0, 7)])
def test_linear(shape: tuple[int, ...], kind: ScalarType) -> None:
    w, b = array(5, 7), array(5)
    check(linear.Linear, F.linear, array(*shape), w, b, kind=kind, scale=1e-5)
    check(linear.Linear, F.linear, array(*shape), w, kind=kind, scale=1e-5)


@pytest.mark.parametrize("kind", [F32, F16], ids=str)
def test_matmul(kind: ScalarType) -> None:
    for a, b in [
        ((3, 4), (4, 5)),
        ((2, 3, 4), (4, 5)),
        ((2, 1, 3, 4), (6, 4, 5)),
        ((3, 0), (0, 5)),
        ((4, 1, 1), (1, 1, 1)),
    ]:
        check(linear.Matmul, torch.matmul, array(*a), array(*b), kind=kind, scale=1e-5)


CONVS = [  # input, weights, stride, padding, dilation, groups
    ((1, 3, 9), (4, 3, 3), (1,), (0,), (1,), 1),
    ((2, 4, 11), (6, 2, 3), (2,), (2,), (2,), 2),
    ((1, 3, 8, 9), (5, 3, 3, 2), (1, 2), (1, 0), (1, 1), 1),
    ((2, 4, 7, 7), (4, 1, 3, 3), (1, 1), (1, 1), (1, 1), 4),
    ((2, 4, 7, 7), (8, 1, 3, 3), (2, 2), (1, 1), (2, 1), 4),
    ((1, 6, 5, 6), (4, 3, 1, 1), (3, 2), (0, 0), (1, 1), 2),
    ((1, 2, 5, 6, 4), (3, 2, 2, 3, 1), (1, 2, 1), (1, 1, 0), (2, 1, 1), 1),
    ((0, 3, 5, 5), (4, 3, 3, 3), (1, 1), (1, 1), (1, 1), 1),
]
TORCH_CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


@pytest.mark.parametrize("kind", [F32, F16], ids=str)
@pytest.mark.parametrize(("shape", "weights", "stride", "padding", "dilation", "groups"), CONVS)
def test_conv(
    shape: tuple[int, ...],
    weights: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
    kind: ScalarType,
) -> None:
    def ours(x: Any, w: Any, b: Any = None) -> Op:
        return linear.Conv(x, w, b, stride=stride, padding=padding * 2, dilation=dilation, groups=groups)

    def theirs(x: torch.Tensor, w: torch.Tensor, b: torch.Tensor | None = None) -> torch.Tensor:
        return TORCH_CONV[len(stride)](x, w, b, stride, padding, dilation, groups)

    x, w = array(*shape), array(*weights)
    check(ours, theirs, x, w, array(weights[0]), kind=kind, scale=1e-5)
    check(ours, theirs, x, w, kind=kind, scale=1e-5)


def test_conv_with_different_padding_at_both_ends() -> None:
    def ours(x: Any, w: Any) -> Op:
        return linear.Conv(x, w, stride=(2, 1), padding=(1, 0, 2, 3), dilation=(1, 1))

    check(
        ours,
        lambda x, w: F.conv2d(F.pad(x, (0, 3, 1, 2)), w, stride=(2, 1)),
        array(1, 2, 5, 6),
        array(3, 2, 3, 3),
        scale=1e-5,
    )


WINDOWS = [(k, s, p) for k, s, p in itertools.product((1, 2, 3), (1, 2, 3), (0, 1)) if p <= k // 2]


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize(("kernel", "stride", "padding"), WINDOWS)
def test_pools(kernel: int, stride: int, padding: int, ceil: bool) -> None:
    k, s, p = (kernel, kernel), (stride, stride + 1), (padding,) * 4

    def largest(dilation: int) -> tuple[Callable[..., Op], Callable[..., torch.Tensor]]:
        return (
            lambda v: pool.MaxPool(v, k, s, p, (dilation, dilation), ceil),
            lambda t: F.max_pool2d(t, kernel, s, padding, dilation, ceil),
        )

    def average(counted: bool) -> tuple[Callable[..., Op], Callable[..., torch.Tensor]]:
        return (
            lambda v: pool.AvgPool(v, k, s, p, ceil, counted),
            lambda t: F.avg_pool2d(t, kernel, s, padding, ceil, counted),
        )

    for size in range(5, 10):
        x = array(2, 3, size, size + 1)
        check(*largest(1), x)
        check(*largest(2), x)
        check(*average(False), x, scale=1e-7)
        check(*average(True), x, scale=1e-7)


def test_pools_of_other_ranks_and_types() -> None:
    check(lambda v: pool.MaxPool(v, (3,), (2,), (1, 1), (1,)), lambda t: F.max_pool1d(t, 3, 2, 1), array(1, 2, 9))
    check(
        lambda v: pool.AvgPool(v, (2, 1, 2), (2, 1, 1), (0,) * 6),
        lambda t: F.avg_pool3d(t, (2, 1, 2), (2, 1, 1)),
        array(1, 2, 4, 3, 3),
    )
    for kind in HALVES:
        check(lambda v: pool.AvgPool(v, (2,), (2,), (0, 0)), lambda t: F.avg_pool1d(t, 2), array(1, 2, 8), kind=kind)
        check(
            lambda v: pool.MaxPool(v, (2,), (2,), (0, 0), (1,)), lambda t: F.max_pool1d(t, 2), array(1, 2, 8), kind=kind
        )
    x = np.array([[[1.0, np.nan, -np.inf, -np.inf]]], np.float32)
    check(lambda v: pool.MaxPool(v, (2,), (2,), (0, 0), (1,)), lambda t: F.max_pool1d(t, 2), x)


@pytest.mark.parametrize("kind", [F32, F16, BF16], ids=str)
def test_norms(kind: ScalarType) -> None:
    x, g, b = array(2, 6, 4, 5), array(5), array(5, seed=3)
    check(
        lambda v, g, b: norm.LayerNorm(v, g, b, 1e-3),
        lambda t, g, b: F.layer_norm(t, (5,), g, b, 1e-3),
        x,
        g,
        b,
        kind=kind,
        scale=1e-6,
    )
    check(lambda v: norm.LayerNorm(v, axes=3), lambda t: F.layer_norm(t, (6, 4, 5)), x, kind=kind, scale=1e-6)
    check(
        lambda v, b: norm.LayerNorm(v, None, b),
        lambda t, b: F.layer_norm(t, (5,), None, b),
        x,
        b,
        kind=kind,
        scale=1e-6,
    )
    check(lambda v, g: norm.RmsNorm(v, g, 1e-3), lambda t, g: F.rms_norm(t, (5,), g, 1e-3), x, g, kind=kind, scale=1e-6)
    check(lambda v: norm.RmsNorm(v), lambda t: F.rms_norm(t, (5,), eps=1e-6), x, kind=kind, scale=1e-6)
    g, b, mean, var = (array(6, seed=s) for s in range(4))
    var = np.abs(var) + np.float32(0.1)
    check(
        lambda v, g, b: norm.GroupNorm(v, g, b, groups=3),
        lambda t, g, b: F.group_norm(t, 3, g, b),
        x,
        g,
        b,
        kind=kind,
        scale=1e-6,
    )
    check(lambda v: norm.GroupNorm(v, groups=1), lambda t: F.group_norm(t, 1), x, kind=kind, scale=1e-6)
    check(
        lambda v, m, s, g, b: norm.BatchNorm(v, m, s, g, b),
        lambda t, m, s, g, b: F.batch_norm(t, m, s, g, b),
        *(x, mean, var, g, b),
        kind=kind,
        scale=1e-6,
    )
    check(norm.BatchNorm, F.batch_norm, array(3, 6), mean, var, kind=kind, scale=1e-6)


MASKS = [None, array(4, 6) > 0, array(2, 1, 4, 6) > 0, array(4, 6), np.tril(np.ones((4, 6), bool))]


@pytest.mark.parametrize("mask", MASKS, ids=["none", "bool", "bool of a batch", "float", "causal"])
@pytest.mark.parametrize("kind", [F32, F16], ids=str)
def test_attention(mask: Array | None, kind: ScalarType) -> None:
    q, k, v = array(2, 3, 4, 8), array(2, 3, 6, 8, seed=1), array(2, 3, 6, 5, seed=2)

    def theirs(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, m: torch.Tensor | None = None) -> torch.Tensor:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=m, scale=0.3)

    inputs = (q, k, v) if mask is None else (q, k, v, mask)
    check(lambda *values: attention.Sdpa(*values, scale=0.3), theirs, *inputs, kind=kind, scale=1e-6)


def test_attention_of_nothing_is_zero() -> None:
    mask = np.zeros((2, 3), bool)
    out = run(lambda *values: attention.Sdpa(*values, scale=1.0), array(2, 4), array(3, 4), array(3, 4), mask)
    assert not out.any()
    assert not run(lambda *values: attention.Sdpa(*values, scale=1.0), array(2, 4), array(0, 4), array(0, 5)).any()
    mask = np.full((2, 3), -np.inf, np.float32)
    assert not run(
        lambda *values: attention.Sdpa(*values, scale=1.0), array(2, 4), array(3, 4), array(3, 4), mask
    ).any()


@pytest.mark.parametrize("kind", [F32, F16], ids=str)
@pytest.mark.parametrize("mask", MASKS, ids=["none", "bool", "bool of a batch", "float", "causal"])
def test_attention_decomposes(mask: Array | None, kind: ScalarType) -> None:
    if mask is not None and mask.dtype == bool:
        mask = mask | (np.arange(6) == 0)  # every row keeps something
    arrays = [
        array(2, 3, 4, 8),
        array(2, 3, 6, 8, seed=1),
        array(2, 3, 6, 5, seed=2),
        *([mask] if mask is not None else []),
    ]
    graph = Graph([TensorType(Element(BOOL if a.dtype == bool else kind), a.shape) for a in arrays], name="main")
    b = Builder.at_end(graph)
    node = b.add(attention.Sdpa(*graph.inputs, scale=0.3))
    b.add(Return([node.result, attention.decompose_sdpa(node, b)]))
    whole, parts = interpret(Module([graph]), arrays)
    np.testing.assert_allclose(parts.astype(np.float64), whole, rtol=0, atol=(4 * ULP[F16] if kind == F16 else 1e-6))


def test_movement() -> None:
    x = array(2, 3, 4)
    check(lambda v: tensor.Reshape(v, (4, 6)), lambda t: t.reshape(4, 6), x)
    check(lambda v: tensor.Reshape(v, (24,)), lambda t: t.reshape(24), x)
    check(lambda v: tensor.Permute(v, (2, 0, 1)), lambda t: t.permute(2, 0, 1), x)
    check(lambda v: tensor.Permute(v, ()), lambda t: t, np.float32(3).reshape(()))
    check(lambda v: tensor.Expand(v, (5, 2, 3, 4)), lambda t: t.expand(5, 2, 3, 4), array(1, 3, 1))
    check(lambda v: tensor.Expand(v, (2, 2)), lambda t: t.expand(2, 2), np.float32(3).reshape(()))
    check(lambda a, b: tensor.Concat((a, b), -1), lambda a, b: torch.cat([a, b], -1), x, array(2, 3, 5))
    check(lambda a: tensor.Concat((a,), 0), lambda a: a, x)
    check(lambda v: tensor.Slice(v, -1, 1, 4, 2), lambda t: t[..., 1:4:2], x)
    check(lambda v: tensor.Slice(v, 0, 2, 2), lambda t: t[2:2], x)
    check(lambda v: tensor.Pad(v, (0, 1, 2), (1, 0, 3), -2.5), lambda t: F.pad(t, (2, 3, 1, 0, 0, 1), value=-2.5), x)
    check(lambda v: tensor.Pad(v, (), (), 1.0), lambda t: t, np.float32(3).reshape(()))
    check(lambda v, i: tensor.Gather(v, i, 1), lambda t, i: t[:, i], x, np.array([[2, 0], [-1, 1]]))
    check(tensor.Gather, lambda t, i: t[i], x, np.array([1, 1, 0]))
    check(
        lambda v, i, u: tensor.Scatter(v, i, u, 1),
        lambda t, i, u: t.index_copy(1, i.flatten() % 3, u.flatten(1, 2)),
        x,
        np.array([[2], [-3]]),
        array(2, 2, 1, 4),
    )
    check(tensor.Scatter, lambda t, i, u: torch.stack([t[0], u[2]]), x, np.array([1, -1, 1]), array(3, 3, 4))
    check(lambda: tensor.Iota(3, -2, (5,)), lambda: torch.arange(3, -7, -2))
    check(lambda v: tensor.Permute(v, (1, 0)), lambda t: t.T, array(2, 3) > 0)


@pytest.mark.parametrize(
    ("source", "target", "dtype"),
    [
        (F32, F16, torch.float16),
        (F16, F32, torch.float32),
        (F32, BF16, torch.bfloat16),
        (F32, F64, torch.float64),
        (F32, I64, torch.int64),
        (F32, scalar_of(np.zeros(1, np.int8)), torch.int8),
        (F32, BOOL, torch.bool),
        (F16, I64, torch.int64),
    ],
)
def test_cast(source: ScalarType, target: ScalarType, dtype: torch.dtype) -> None:
    x = np.array([0.0, -0.0, 0.5, -0.5, 1.5, -1.5, 2.7, -2.7, 100.0, -100.0], np.float32)
    ours = run(lambda v: math.Cast(v, Element(target)), x, kind=source)
    theirs = torch.from_numpy(as_kind(x, source).astype(np.float32)).to(dtype)
    assert ours.tolist() == (theirs.float() if target == BF16 else theirs).tolist()
    assert ours.dtype == target.dtype


def test_observe_changes_nothing() -> None:
    cls = all_ops()["observe"]
    check(lambda v: cls(v, lo=-1.0, hi=1.0), lambda t: t, array(3, 4))


INTEGER = {
    "quantize",
    "dequantize",
    "requantize",
    "rescale",
    "lut",
    "int_softmax",
    "int_norm",
    "sum_pool",
}  # test_integer_ops
BITS = {"and", "or", "xor", "not", "shift_left", "shift_right"}  # test_integer_ops
STRUCTURE = {"const", "return", "yield", "kernel", "call"}  # test_interpret
TOKENS = {"select"}  # tests/passes/test_token_select, tests/cpu_simd/test_cpu_tokens


def test_no_float_op_is_forgotten() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    left = {name: cls.__name__ for name, cls in all_ops().items() if name not in INTEGER | BITS | STRUCTURE | TOKENS}
    own = {name: cls for name, cls in left.items() if OPS.owner(name) == BUILT_IN}
    missing = [name for name, cls in own.items() if not re.search(rf'\b{cls}\b|"{name}"', source)]
    assert not missing
