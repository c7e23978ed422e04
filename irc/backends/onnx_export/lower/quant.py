"""Crossing between floats and integers, and the ops whose arithmetic is integer by definition.

QuantizeLinear and DequantizeLinear where they can say what is meant, else the same arithmetic from simpler operators.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from irc.backends.onnx_export.integers import I64, bit_length, isqrt, power, rint, round_shift, shift_right
from irc.backends.onnx_export.lower.common import centred, lowers
from irc.backends.onnx_export.lowering import Lowering
from irc.backends.onnx_export.scalars import Kind, limits
from irc.ir.graph import Value
from irc.ir.ops.common import along
from irc.ir.ops.quant import (
    EXP_ONE,
    Dequantize,
    IntNorm,
    IntSoftmax,
    Lut,
    Observe,
    Quantize,
    Requantize,
    Rescale,
)
from irc.ir.scalars import Array

LINEAR: tuple[Kind, ...] = ("int4", "uint4", "int8", "uint8", "int16", "uint16")
"""What QuantizeLinear gives."""


@dataclass(frozen=True)
class Layout:
    """How scales and zero points lie along a tensor."""

    rank: int
    axis: int | None
    group: int | None

    @staticmethod
    def of(op: Quantize | Dequantize, parameter: Value) -> Layout:
        rank = op.x.type.rank
        axis = None if parameter.type.rank == 0 or op.axis is None else op.axis % rank
        return Layout(rank, axis, None if axis is None else op.group)

    def attributes(self, turned: bool = False) -> dict[str, Any]:
        """Those of QuantizeLinear and DequantizeLinear; `turned` for a matrix whose axes change places."""
        if self.axis is None:
            return {}
        return {"axis": 1 - self.axis if turned else self.axis, "block_size": self.group}

    def spread(self, cx: Lowering, name: str, rank: int) -> str:
        """A parameter of that rank, shaped so that it broadcasts against the tensor."""
        if self.axis is None or rank == 0:
            return name
        if self.group is None:
            return cx.node("Reshape", name, cx.ints(*(-1 if i == self.axis else 1 for i in range(self.rank))))
        index = self.axis + 1
        wide = cx.node("Unsqueeze", name, cx.ints(index))
        repeats = [self.group if i == index else 1 for i in range(self.rank + 1)]
        merged = [0 if i < self.axis else -1 for i in range(self.axis + 1)]
        rest = [0] * (self.rank - self.axis - 1)
        repeated = cx.node("Tile", wide, cx.ints(*repeats))
        if not rest:
            return cx.node("Reshape", repeated, cx.ints(*merged))
        flat = cx.node("Shape", repeated, start=index + 1)
        return cx.node("Reshape", repeated, cx.node("Concat", cx.ints(*merged), flat, axis=0))


def _zero_points(cx: Lowering, op: Quantize | Dequantize, kind: Kind, shape: tuple[int, ...]) -> Array | None:
    """The zero points as an array of the shape of the scales; None if they are computed or no codes of the type."""
    data = cx.constant(op.zp)
    if op.zp is not None and data is None:
        return None
    zps = np.zeros(shape, np.int64) if data is None else np.broadcast_to(data.array, shape)
    low, high = limits(kind)
    return zps if np.all((low <= zps) & (zps <= high)) else None


# -- quantize


@lowers(Quantize)
def lower_quantize(cx: Lowering, op: Quantize) -> str:
    kind, layout = cx.kind(op.results[0]), Layout.of(op, op.r)
    shape = op.r.type.static_shape
    zps = None if kind not in LINEAR or shape is None else _zero_points(cx, op, kind, shape)
    if zps is None:
        return _quantized(cx, op, layout)
    encoding = op.to.encoding
    scale = cx.node("Reciprocal", cx.read(op.r)) if encoding is None else cx.const(encoding.scales, "float")
    codes = cx.node("QuantizeLinear", cx.read(op.x, "float"), scale, cx.const(zps, kind), **layout.attributes())
    exact = limits(kind) == (op.to.scalar.min, op.to.scalar.max)
    return codes if exact else cx.fit(op, codes, kind)


def _quantized(cx: Lowering, op: Quantize, layout: Layout) -> str:
    """The arithmetic of the op, for codes that QuantizeLinear does not give."""
    scaled = cx.node("Mul", cx.read(op.x, "float"), layout.spread(cx, cx.read(op.r), op.r.type.rank))
    codes = rint(cx, scaled)
    if op.zp is not None:
        codes = cx.node("Add", codes, layout.spread(cx, cx.read(op.zp, I64), op.zp.type.rank))
    return cx.fit(op, codes, I64)


# -- dequantize


@lowers(Dequantize)
def lower_dequantize(cx: Lowering, op: Dequantize) -> str:
    if found := dequantized(cx, op):
        return found
    layout = Layout.of(op, op.scale)
    codes = cx.read(op.x, I64)
    if op.zp is not None:
        codes = cx.node("Sub", codes, layout.spread(cx, cx.read(op.zp, I64), op.zp.type.rank))
    scale = layout.spread(cx, cx.read(op.scale), op.scale.type.rank)
    return cx.node("Mul", cx.cast(codes, I64, "float"), scale)


def dequantized(cx: Lowering, op: Dequantize, *, turned: bool = False) -> str:
    """The values by DequantizeLinear, empty if it cannot say this; `turned`: those of a constant matrix, transposed."""
    kind, layout, shape = cx.kind(op.x), Layout.of(op, op.scale), op.scale.type.static_shape
    zps = None if kind not in (*LINEAR, "int32") or shape is None else _zero_points(cx, op, kind, shape)
    codes, scale = cx.constant(op.x), cx.constant(op.scale)
    if zps is None or (kind == "int32" and np.any(zps)) or (turned and (codes is None or scale is None)):
        return ""
    if turned and codes is not None and scale is not None:
        name = cx.writer.const(codes.array.T, kind, op.x.name or "constant")
        scales, zps = cx.const(scale.array.T, "float"), zps.T
    else:
        name, scales = cx.read(op.x), cx.read(op.scale)
    zero = () if kind == "int32" else (cx.const(zps, kind),)
    return cx.node("DequantizeLinear", name, scales, *zero, **layout.attributes(turned))


# -- integers


@lowers(Requantize)
def lower_requantize(cx: Lowering, op: Requantize) -> str:
    codes = centred(cx, op.x, op.x_zp, I64)
    factor = _factor(cx, op)
    if op.mode == "float":
        scaled = rint(cx, cx.node("Mul", cx.cast(codes, I64, "float"), factor))
    else:
        scaled = round_shift(cx, cx.node("Mul", codes, factor), op.shift)
    if op.zp:
        scaled = cx.node("Add", scaled, cx.const(op.zp, I64))
    return cx.fit(op, scaled, I64)


def _factor(cx: Lowering, op: Requantize) -> str:
    """The multiplier, shaped so that it broadcasts against the codes."""
    kind: Kind = "float" if op.mode == "float" else I64
    if (data := cx.constant(op.m)) is not None:
        return cx.const(along(op.axis, data.array, op.x.type.rank), kind)
    return Layout(op.x.type.rank, None if op.axis is None else op.axis % op.x.type.rank, None).spread(
        cx, cx.read(op.m, kind), op.m.type.rank
    )


@lowers(Rescale, Observe)
def lower_same(cx: Lowering, op: Rescale | Observe) -> str:
    return cx.done(op, cx.read(op.x), cx.kind(op.x))


@lowers(Lut)
def lower_lut(cx: Lowering, op: Lut) -> str:
    return cx.node("Gather", cx.read(op.table), centred(cx, op.x, op.x.type.scalar.min, I64), axis=0)


@lowers(IntSoftmax)
def lower_int_softmax(cx: Lowering, op: IntSoftmax) -> str:
    """The formula of docs/numerics.md, in i64."""
    axis = op.axis % op.x.type.rank
    zero, lowest = cx.const(0, I64), cx.const(op.x.type.scalar.min, I64)
    codes = cx.read(op.x, I64)
    kept = codes if op.mask is None else cx.node("Where", cx.read(op.mask), codes, lowest)
    top = cx.node("ReduceMax", kept, cx.ints(axis), keepdims=1)
    entries = (op.table.type.static_shape or (1,))[0]
    distance = cx.clip(cx.node("Sub", top, codes), I64, 0, entries - 1)
    e = cx.node("Gather", cx.read(op.table, I64), distance, axis=0)
    e = e if op.mask is None else cx.node("Where", cx.read(op.mask), e, zero)
    total = cx.node("ReduceSum", e, cx.ints(axis), keepdims=1)
    t = cx.clip(cx.node("Sub", bit_length(cx, total), cx.const(EXP_ONE.bit_length(), I64)), I64, 0, None)
    divisor = cx.clip(shift_right(cx, total, t), I64, 1, None)
    r = cx.node("Div", cx.const(2**31, I64), divisor)
    scaled = shift_right(cx, cx.node("Mul", e, r), t)
    return cx.fit(op, round_shift(cx, scaled, 31 - op.frac), I64)


@lowers(IntNorm)
def lower_int_norm(cx: Lowering, op: IntNorm) -> str:
    """The formula of docs/numerics.md, in i64."""
    (c,) = (d for d in op.g.type.shape if isinstance(d, int))
    channels, codes = cx.const(c, I64), centred(cx, op.x, op.x_zp, I64)
    s1 = cx.node("ReduceSum", codes, cx.ints(-1), keepdims=1)
    s2 = cx.node("ReduceSum", cx.node("Mul", codes, codes), cx.ints(-1), keepdims=1)
    n = cx.node("Add", cx.node("Mul", channels, s2), cx.const(op.eps, I64))
    d = cx.node("Mul", channels, codes)
    if op.center:
        n, d = cx.node("Sub", n, cx.node("Mul", s1, s1)), cx.node("Sub", d, s1)
    e, q = _root(cx, n)
    r = cx.node("Div", cx.const(2**31, I64), q)
    p = _half_length(cx, n, c)
    narrowed = shift_right(cx, d, p)
    by = cx.node("Sub", cx.node("Add", e, cx.const(21, I64)), p)
    z = cx.clip(round_shift(cx, cx.node("Mul", narrowed, r), by), I64, -(2**15), 2**15 - 1)
    y = cx.node("Add", cx.node("Mul", z, cx.read(op.g, I64)), cx.read(op.b, I64))
    y = round_shift(cx, y, op.shift)
    return cx.fit(op, cx.node("Add", y, cx.const(op.zp, I64)) if op.zp else y, I64)


def _root(cx: Lowering, n: str) -> tuple[str, str]:
    """e = (bitlen(n) - 31) // 2 and the integer square root of n / 4^e."""
    e = shift_right(cx, cx.node("Sub", bit_length(cx, n), cx.const(31, I64)), 1)
    twice = cx.node("Mul", e, cx.const(2, I64))
    smaller = shift_right(cx, n, cx.clip(twice, I64, 0, None))
    larger = cx.node("Mul", n, power(cx, cx.clip(cx.node("Neg", twice), I64, 0, None)))
    shifted = cx.node("Where", cx.node("GreaterOrEqual", e, cx.const(0, I64)), smaller, larger)
    return e, isqrt(cx, shifted)


def _half_length(cx: Lowering, n: str, channels: int) -> str:
    """p = max(0, (bitlen(channels * n) + 1) // 2 - 14)"""
    half = shift_right(cx, cx.node("Add", bit_length(cx, n, channels), cx.const(1, I64)), 1)
    return cx.clip(cx.node("Sub", half, cx.const(14, I64)), I64, 0, None)
