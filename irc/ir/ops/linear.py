"""Sums of products: linear, matmul, conv; on floats, and exactly on integers (result i32)."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY
from typing import TypeAlias

import numpy as np

from irc.ir.dims import Dim, Shape, add, dim_min, equal, floordiv
from irc.ir.graph import Value
from irc.ir.op import Op, Work
from irc.ir.ops.common import (
    broadcast,
    check_bias,
    check_zp,
    elements,
    exact_matmul,
    exact_type,
    fit_i32,
    integers,
    largest_sum,
    magnitude,
    product_encoding,
    require_float,
    single,
    static,
    times,
)
from irc.ir.scalars import I32, Array
from irc.ir.types import Element, TensorType

Zp: TypeAlias = int | tuple[int, ...]


def _is_integer_sum(op: Op, x: Value, w: Value) -> bool:
    """Whether the operands are integers. Fails at `op` for a mixture."""
    if x.type.scalar.is_integer and w.type.scalar.is_integer:
        return True
    if x.type.scalar.is_integer or w.type.scalar.is_integer:
        op.fail(f"operands are {x.type} and {w.type}, expected floats or integers")
    return False


def _centred(codes: Array, zp: Zp, axis: int = 0) -> Array:
    """`codes - zp` as i64; a tuple is one zero point an index of `axis`."""
    zps = np.asarray(zp, np.int64)
    if zps.ndim:
        column = [1] * codes.ndim
        column[axis] = -1
        zps = zps.reshape(column)
    return codes.astype(np.int64) - zps


def _integer_sum(op: Linear | Conv, channel_axis: int) -> Element:
    """The element of an integer linear or conv, after checking zero points and bias."""
    check_zp(op, op.x, op.x_zp, "x_zp")
    if isinstance(op.w_zp, tuple) and len(op.w_zp) != op.w.type.shape[0]:
        op.fail(f"w_zp has {len(op.w_zp)} values for {op.w.type.shape[0]} output channels")
    check_zp(op, op.w, op.w_zp, "w_zp")
    encoding = product_encoding(op, op.x.type, op.w.type, channel_axis)
    check_bias(op, op.b, encoding)
    return Element(I32, encoding)


class Linear(Op, name="linear"):
    """y = x @ w.T + b over the last axis: x[..., K], w[N, K], b[N]; torch.nn.functional.linear.

    On integers: y = b + sum((x - x_zp) * (w - w_zp)), exact, i32; `w_zp` may be one a row of w.
    """

    anchor = True
    x: Value
    w: Value
    b: Value | None = None
    x_zp: int = 0
    w_zp: int | tuple[int, ...] = 0

    def infer(self) -> TensorType:
        x, w = self.x.type, self.w.type
        if x.rank < 1 or w.rank != 2:
            self.fail(f"operands are {x} and {w}, expected x[..., K] and w[N, K]")
        if equal(x.shape[-1], w.shape[1]) is not True:
            self.fail(f"x has {x.shape[-1]} features, w expects {w.shape[1]}")
        if self.b is not None and (self.b.type.rank != 1 or equal(self.b.type.shape[0], w.shape[0]) is not True):
            self.fail(f"the bias is {self.b.type}, expected [{w.shape[0]}]")
        shape: Shape = (*x.shape[:-1], w.shape[0])
        if not _is_integer_sum(self, self.x, self.w):
            require_float(self, self.x, self.w, self.b)
            return TensorType(x.element, shape)
        return TensorType(_integer_sum(self, len(shape) - 1), shape)

    def reference(self, x: Array, w: Array, b: Array | None) -> Array:
        if x.dtype.kind == "f":
            y = times(single(x), single(w).T)
            return (y if b is None else y + b).astype(x.dtype)
        acc = exact_matmul(_centred(x, self.x_zp), _centred(w, self.w_zp).T)
        return fit_i32(self, acc if b is None else acc + b)

    def work(self) -> Work:
        return Work(macs=elements(self, (*self.x.type.shape, self.w.type.shape[0])))


class Matmul(Op, name="matmul"):
    """x @ y over the last two axes with broadcast batch dimensions: x[..., M, K], y[..., K, N]; torch.matmul.

    On integers: sum((x - x_zp) * (y - y_zp)), exact, i32.
    """

    anchor = True
    x: Value
    y: Value
    x_zp: int = 0
    y_zp: int = 0

    def infer(self) -> TensorType:
        x, y = self.x.type, self.y.type
        if x.rank < 2 or y.rank < 2 or equal(x.shape[-1], y.shape[-2]) is not True:
            self.fail(f"operands are {x} and {y}, expected [..., M, K] and [..., K, N]")
        shape = (*broadcast(self, x.shape[:-2], y.shape[:-2]), x.shape[-2], y.shape[-1])
        if not _is_integer_sum(self, self.x, self.y):
            require_float(self, self.x, self.y)
            return TensorType(x.element, shape)
        check_zp(self, self.x, self.x_zp, "x_zp")
        check_zp(self, self.y, self.y_zp, "y_zp")
        return TensorType(Element(I32, product_encoding(self, x, y, None)), shape)

    def reference(self, x: Array, y: Array) -> Array:
        if x.dtype.kind == "f":
            return times(single(x), single(y)).astype(x.dtype)
        return fit_i32(self, exact_matmul(_centred(x, self.x_zp), _centred(y, self.y_zp)))

    def work(self) -> Work:
        return Work(macs=elements(self, (*self.results[0].type.shape, self.x.type.shape[-1])))


def window_size(size: Dim, kernel: int, stride: int, before: int, after: int, dilation: int, ceil: bool = False) -> Dim:
    """The number of windows along one dimension; `ceil` as in PyTorch: the last may reach over, not start, behind."""
    span = dilation * (kernel - 1) + 1
    rest = add(size, before + after - span)
    if not ceil:
        return add(floordiv(rest, stride), 1)
    reaching_over = floordiv(add(rest, stride - 1), stride)
    starting_inside = floordiv(add(size, before - 1), stride)
    return add(dim_min(reaching_over, starting_inside), 1)


def windows(x: Array, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]) -> Array:
    """Sliding windows of the spatial axes of x[N, C, *spatial] (a view): [N, C, *output, *kernel]."""
    spatial = tuple(range(2, x.ndim))
    span = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    view = np.lib.stride_tricks.sliding_window_view(x, span, axis=spatial)
    steps = (
        slice(None),
        slice(None),
        *(slice(None, None, s) for s in stride),
        *(slice(None, None, d) for d in dilation),
    )
    return view[steps]


def pad_spatial(x: Array, padding: tuple[int, ...], value: float) -> Array:
    """x[N, C, *spatial] with (begins..., ends...) copies of `value` around the spatial axes."""
    n = x.ndim - 2
    if not any(padding):
        return x
    widths = [(0, 0), (0, 0), *zip(padding[:n], padding[n:], strict=True)]
    return np.pad(x, widths, constant_values=x.dtype.type(value))


class Conv(Op, name="conv"):
    """Convolution (cross-correlation) of x[N, C, *spatial] with w[O, C/groups, *kernel], bias b[O].

    Any number of spatial axes. `padding` is (begins..., ends...), one pair a spatial axis. Integers: padded with
    `x_zp`, y = b + sum((x - x_zp) * (w - w_zp)), exact, i32; `w_zp` may be one an output channel.
    """

    anchor = True
    x: Value
    w: Value
    b: Value | None = None
    _: KW_ONLY
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int = 1
    x_zp: int = 0
    w_zp: int | tuple[int, ...] = 0

    def infer(self) -> TensorType:
        x, w = self.x.type, self.w.type
        n = x.rank - 2
        if n < 1 or w.rank != x.rank:
            self.fail(f"operands are {x} and {w}, expected x[N, C, *spatial] and w[O, C/groups, *kernel]")
        if len(self.stride) != n or len(self.dilation) != n or len(self.padding) != 2 * n:
            self.fail(f"stride, dilation and padding need {n}, {n} and {2 * n} values")
        if min((*self.stride, *self.dilation)) < 1 or min(self.padding) < 0 or self.groups < 1:
            self.fail("stride, dilation and groups are positive, padding is not negative")
        out_channels, in_channels, *kernel = static(self, w.shape, "weights")
        if min(out_channels, in_channels, *kernel) < 1:
            self.fail(f"the weights are empty ({w})")
        if equal(x.shape[1], in_channels * self.groups) is not True:
            self.fail(f"x has {x.shape[1]} channels, the weights expect {in_channels * self.groups}")
        if out_channels % self.groups:
            self.fail(f"{out_channels} output channels in {self.groups} groups")
        if self.b is not None and (self.b.type.rank != 1 or self.b.type.shape[0] != out_channels):
            self.fail(f"the bias is {self.b.type}, expected [{out_channels}]")
        spatial = [
            window_size(
                x.shape[2 + i], kernel[i], self.stride[i], self.padding[i], self.padding[n + i], self.dilation[i]
            )
            for i in range(n)
        ]
        if any(isinstance(d, int) and d < 1 for d in spatial):
            self.fail(f"a {kernel} kernel does not fit {x}")
        shape: Shape = (x.shape[0], out_channels, *spatial)
        if not _is_integer_sum(self, self.x, self.w):
            require_float(self, self.x, self.w, self.b)
            return TensorType(x.element, shape)
        return TensorType(_integer_sum(self, 1), shape)

    def reference(self, x: Array, w: Array, b: Array | None) -> Array:
        column = (-1, *[1] * (x.ndim - 2))
        if x.dtype.kind == "f":
            y = self._correlate(single(x), single(w))
            return (y if b is None else y + b.reshape(column)).astype(x.dtype)
        # Centred codes pad with 0, which stands for x_zp.
        x, w = _centred(x, self.x_zp), _centred(w, self.w_zp)
        cheapest = exact_type(magnitude(x) * largest_sum(w, tuple(range(1, w.ndim))))
        acc = integers(self._correlate(x.astype(cheapest), w.astype(cheapest)))
        return fit_i32(self, acc if b is None else acc + b.reshape(column))

    def _correlate(self, x: Array, w: Array) -> Array:
        """The sums of products in the type of the arrays: weights [G, O/G, C/G*k] @ patches [N, G, C/G*k, out]."""
        groups, taps = self.groups, w[0].size
        view = windows(pad_spatial(x, self.padding, 0), w.shape[2:], self.stride, self.dilation)
        n = x.ndim - 2
        output = view.shape[2 : 2 + n]
        patches = np.transpose(view, (0, 1, *range(2 + n, 2 + 2 * n), *range(2, 2 + n)))
        columns = patches.reshape(len(x), groups, taps, math.prod(output))
        return (w.reshape(groups, -1, taps) @ columns).reshape(len(x), len(w), *output)

    def work(self) -> Work:
        per_output = math.prod(static(self, self.w.type.shape[1:], "weights"))
        return Work(macs=elements(self, self.results[0].type.shape) * per_output)
