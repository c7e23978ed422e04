"""Pooling over windows."""

from __future__ import annotations

import math

import numpy as np

from irc.ir.dims import Shape
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
        if self.x.type.scalar.kind == "bool":
            self.fail(f"operand is {self.x.type}, expected numbers")
        return TensorType(
            self.x.type.element,
            pooled_shape(self, self.x, self.kernel, self.stride, self.padding, self.dilation, self.ceil),
        )

    def reference(self, x: Array) -> Array:
        scalar = self.x.type.scalar
        lowest = -np.inf if scalar.is_float else scalar.min
        extra = tuple(p + e for p, e in zip(self.padding, ceil_padding(self, x.shape), strict=True))
        view = windows(pad_spatial(x, extra, lowest), self.kernel, self.stride, self.dilation)
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


def ceil_padding(op: MaxPool | AvgPool | SumPool, shape: tuple[int, ...]) -> tuple[int, ...]:
    """What must be added to (begins..., ends...) so that the last window of ceil mode is complete."""
    n = len(shape) - 2
    ends: list[int] = []
    for i in range(n):
        count = op.results[0].type.shape[2 + i]
        span = op.dilation[i] * (op.kernel[i] - 1) + 1 if isinstance(op, MaxPool) else op.kernel[i]
        needed = ((count if isinstance(count, int) else 1) - 1) * op.stride[i] + span
        ends.append(max(0, needed - (shape[2 + i] + op.padding[i] + op.padding[n + i])))
    return (*[0] * n, *ends)


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
        counted = np.ones((1, 1, *shape[2:]))
        counted = pad_spatial(counted, self.padding, 1 if self.count_pad else 0)
        counted = pad_spatial(counted, ceil_padding(self, shape), 0)
        ones = (1,) * len(self.kernel)
        view = windows(counted, self.kernel, self.stride, ones)
        return view.sum(axis=tuple(range(len(shape), view.ndim)))

    def reference(self, x: Array) -> Array:
        extra = tuple(p + e for p, e in zip(self.padding, ceil_padding(self, x.shape), strict=True))
        view = windows(pad_spatial(x, extra, 0), self.kernel, self.stride, (1,) * len(self.kernel))
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
        if t.encoding is not None and not t.encoding.per_tensor:
            self.fail("the operand needs one scale")
        encoding = t.encoding.with_zp(0) if t.encoding else None
        ones = (1,) * len(self.kernel)
        shape = pooled_shape(self, self.x, self.kernel, self.stride, self.padding, ones, self.ceil)
        return TensorType(Element(I32, encoding), shape)

    def reference(self, x: Array) -> Array:
        extra = tuple(p + e for p, e in zip(self.padding, ceil_padding(self, x.shape), strict=True))
        view = windows(
            pad_spatial(x.astype(np.int64) - self.x_zp, extra, 0), self.kernel, self.stride, (1,) * len(self.kernel)
        )
        return fit_i32(self, view.sum(axis=tuple(range(x.ndim, view.ndim))))

    def work(self) -> Work:
        return Work(steps=elements(self, self.results[0].type.shape) * math.prod(self.kernel))
