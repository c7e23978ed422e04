"""Pooling over windows."""

from __future__ import annotations

import math

import numpy as np

from irc.ir.dims import Shape, evaluate
from irc.ir.graph import Value
from irc.ir.op import Op, Work
from irc.ir.ops.common import check_zp, elements, fit_i32, require_float
from irc.ir.ops.linear import pad_spatial, window_size, windows
from irc.ir.scalars import I32, Array
from irc.ir.types import Element, TensorType


class MaxPool(Op, name="max_pool"):
    """The largest value of each window of x[N, C, *spatial]; integer codes keep their type. Padding never wins."""

    anchor = True
    x: Value
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    ceil: bool = False

    def infer(self) -> TensorType:
        known = self.x.type.encoding
        if self.x.type.scalar.kind == "bool":
            self.fail(f"operand is {self.x.type}, expected numbers")
        shape = pooled_shape(self, self.x, self.kernel, self.stride, self.padding, self.dilation, self.ceil)
        if known is not None and (known.group is not None or (known.axis is not None and known.axis > 1)):
            self.fail(f"operand is {self.x.type}, whose scales differ within a window")
        return TensorType(self.x.type.element, shape)

    def reference(self, x: Array) -> Array:
        scalar = self.x.type.scalar
        lowest = -np.inf if scalar.is_float else scalar.min
        view = pool_windows(self, x, lowest, lowest)
        return np.asarray(view.max(axis=tuple(range(x.ndim, view.ndim))))

    def work(self) -> Work:
        return Work(steps=elements(self, self.results[0].type.shape) * math.prod(self.kernel))


def pooled_shape(
    op: Op,
    x: Value,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    ceil: bool,
) -> Shape:
    """The shape a pooling gives. Fails at `op` if its parameters do not fit."""
    t = x.type
    n = t.rank - 2
    if n < 1 or not len(kernel) == len(stride) == len(dilation) == n or len(padding) != 2 * n:
        op.fail(f"kernel, stride, dilation and padding do not fit {t}")
    if min((*kernel, *stride, *dilation)) < 1 or min(padding) < 0:
        op.fail("kernel, stride and dilation are positive, padding is not negative")
    spatial = [
        window_size(t.shape[2 + i], kernel[i], stride[i], padding[i], padding[n + i], dilation[i], ceil)
        for i in range(n)
    ]
    if any(isinstance(d, int) and d < 1 for d in spatial):
        op.fail(f"a {list(kernel)} window does not fit {t}")
    return (*t.shape[:2], *spatial)


def pool_windows(op: MaxPool | AvgPool | SumPool, x: Array, fill: float, beyond: float) -> Array:
    """The windows of x[N, C, *spatial], a view [N, C, *output, *kernel].

    `fill` stands in the padding, `beyond` behind it, where the last window of ceil mode reaches over.
    """
    n = x.ndim - 2
    dilation = op.dilation if isinstance(op, MaxPool) else (1,) * n
    counts: list[int] = []
    ends: list[int] = []
    for i, size in enumerate(x.shape[2:]):
        before, after = op.padding[i], op.padding[n + i]
        count = window_size(size, op.kernel[i], op.stride[i], before, after, dilation[i], op.ceil)
        counts.append(evaluate(count, {}))
        needed = (counts[i] - 1) * op.stride[i] + dilation[i] * (op.kernel[i] - 1) + 1
        ends.append(max(0, needed - (size + before + after)))
    padded = pad_spatial(pad_spatial(x, op.padding, fill), (*[0] * n, *ends), beyond)
    view = windows(padded, op.kernel, op.stride, dilation)
    return view[(slice(None), slice(None), *map(slice, counts))]


class AvgPool(Op, name="avg_pool"):
    """The mean of each window of float x[N, C, *spatial].

    `count_pad` counts padded zeros in the divisor, as torch's count_include_pad; what ceil mode adds is never counted.
    """

    anchor = True
    x: Value
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    ceil: bool = False
    count_pad: bool = True

    def infer(self) -> TensorType:
        require_float(self, self.x)
        ones = (1,) * len(self.kernel)
        return TensorType(
            self.x.type.element, pooled_shape(self, self.x, self.kernel, self.stride, self.padding, ones, self.ceil)
        )

    def divisor(self, shape: tuple[int, ...]) -> Array:
        """The number of counted elements of each window (one axis a spatial dimension)."""
        view = pool_windows(self, np.ones((1, 1, *shape[2:])), 1 if self.count_pad else 0, 0)
        return view.sum(axis=tuple(range(len(shape), view.ndim)))

    def reference(self, x: Array) -> Array:
        view = pool_windows(self, x, 0, 0)
        total = view.sum(axis=tuple(range(x.ndim, view.ndim)), dtype=np.float64)
        return (total / self.divisor(x.shape)).astype(x.dtype)

    def work(self) -> Work:
        return Work(steps=elements(self, self.results[0].type.shape) * math.prod(self.kernel))


class SumPool(Op, name="sum_pool"):
    """The exact i32 sum of `x - x_zp` over each window of integer codes x[N, C, *spatial]; padding adds nothing."""

    anchor = True
    x: Value
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    ceil: bool = False
    x_zp: int = 0

    def infer(self) -> TensorType:
        t = self.x.type
        if not t.scalar.is_integer or t.scalar.bits > 32:
            self.fail(f"operand is {t}, expected integers of at most 32 bits")
        check_zp(self, self.x, self.x_zp, "x_zp")
        if t.encoding is not None and (not t.encoding.per_tensor or t.encoding.binary):
            self.fail(f"the operand has the encoding <{t.encoding}>, a sum needs one scale")
        encoding = t.encoding.with_zp(0) if t.encoding else None
        ones = (1,) * len(self.kernel)
        shape = pooled_shape(self, self.x, self.kernel, self.stride, self.padding, ones, self.ceil)
        return TensorType(Element(I32, encoding), shape)

    def reference(self, x: Array) -> Array:
        view = pool_windows(self, x.astype(np.int64) - self.x_zp, 0, 0)
        return fit_i32(self, view.sum(axis=tuple(range(x.ndim, view.ndim))))

    def work(self) -> Work:
        return Work(steps=elements(self, self.results[0].type.shape) * math.prod(self.kernel))
