"""Normalisations and softmax of floats; their integer definitions are in `quant.py`."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY

import numpy as np

from irc.ir.dims import Dim, Shape, same_shape
from irc.ir.graph import Value
from irc.ir.op import Op, Work
from irc.ir.ops.common import axis_of, elements, mean, require_float, single
from irc.ir.scalars import Array
from irc.ir.types import TensorType, shape_text


def require_shape(op: Op, shape: Shape, **parameters: Value | None) -> None:
    """Fail at `op` unless the parameters that are given have this shape."""
    for name, v in parameters.items():
        if v is not None and not same_shape(v.type.shape, shape):
            op.fail(f"{name} is {v.type}, expected {shape_text(shape)}")


def channels_of(op: Op, x: Value) -> Dim:
    """The size of axis 1. Fails at `op` if there is none."""
    if x.type.rank < 2:
        op.fail(f"operand is {x.type}, expected [N, C, ...]")
    return x.type.shape[1]


def normalized(x: Array, axes: tuple[int, ...], eps: float) -> Array:
    """(x - mean) / sqrt(var + eps) over axes, in f64."""
    centred = x - mean(x, axes)
    return centred / np.sqrt(mean(centred * centred, axes) + eps)


class Softmax(Op, name="softmax"):
    """exp(x - max) / sum(exp(x - max)) along `axis`."""

    anchor = True
    x: Value
    axis: int = -1

    def infer(self) -> TensorType:
        require_float(self, self.x)
        axis_of(self, self.axis, self.x.type.rank)
        return self.x.type

    def reference(self, x: Array) -> Array:
        wide = single(x)
        e = np.exp(wide - np.max(wide, axis=self.axis, keepdims=True, initial=-np.inf))
        return (e / np.sum(e, axis=self.axis, keepdims=True)).astype(x.dtype)

    def work(self) -> Work:
        return Work(steps=5 * elements(self, self.x.type.shape))


class LayerNorm(Op, name="layer_norm"):
    """(x - mean) / sqrt(var + eps) * g + b over the last `axes` axes, as many as g has (default 1); Ba et al., 2016."""

    anchor = True
    x: Value
    g: Value | None = None
    b: Value | None = None
    eps: float = 1e-5
    axes: int = 1

    def infer(self) -> TensorType:
        require_float(self, self.x, self.g, self.b)
        if not 1 <= self.axes <= self.x.type.rank:
            self.fail(f"{self.axes} axes of {self.x.type}")
        require_shape(self, self.x.type.shape[-self.axes :], g=self.g, b=self.b)
        return self.x.type

    def reference(self, x: Array, g: Array | None, b: Array | None) -> Array:
        y = normalized(x, tuple(range(x.ndim - self.axes, x.ndim)), self.eps)
        y = y if g is None else y * g
        return (y if b is None else y + b).astype(x.dtype)

    def work(self) -> Work:
        return Work(steps=6 * elements(self, self.x.type.shape))


class RmsNorm(Op, name="rms_norm"):
    """x / sqrt(mean(x^2) + eps) * g over the last axis; Zhang and Sennrich, 2019."""

    anchor = True
    x: Value
    g: Value | None = None
    eps: float = 1e-6

    def infer(self) -> TensorType:
        require_float(self, self.x, self.g)
        if self.x.type.rank < 1:
            self.fail(f"operand is {self.x.type}, expected [..., C]")
        require_shape(self, self.x.type.shape[-1:], g=self.g)
        return self.x.type

    def reference(self, x: Array, g: Array | None) -> Array:
        wide = x.astype(np.float64)
        y = wide / np.sqrt(mean(wide * wide, (-1,)) + self.eps)
        return (y if g is None else y * g).astype(x.dtype)

    def work(self) -> Work:
        return Work(steps=4 * elements(self, self.x.type.shape))


class GroupNorm(Op, name="group_norm"):
    """Normalises each of `groups` groups of channels of x[N, C, *spatial], times g[C] plus b[C]; Wu and He, 2018."""

    anchor = True
    x: Value
    g: Value | None = None
    b: Value | None = None
    _: KW_ONLY
    groups: int
    eps: float = 1e-5

    def infer(self) -> TensorType:
        require_float(self, self.x, self.g, self.b)
        channels = channels_of(self, self.x)
        if not isinstance(channels, int) or self.groups < 1 or channels % self.groups:
            self.fail(f"{channels} channels in {self.groups} groups")
        require_shape(self, (channels,), g=self.g, b=self.b)
        return self.x.type

    def reference(self, x: Array, g: Array | None, b: Array | None) -> Array:
        grouped = x.reshape(x.shape[0], self.groups, math.prod(x.shape[1:]) // self.groups)
        y = normalized(grouped, (-1,), self.eps).reshape(x.shape)
        column = (-1, *[1] * (x.ndim - 2))
        y = y if g is None else y * g.reshape(column)
        return (y if b is None else y + b.reshape(column)).astype(x.dtype)

    def work(self) -> Work:
        return Work(steps=6 * elements(self, self.x.type.shape))


class BatchNorm(Op, name="batch_norm"):
    """(x - mean) / sqrt(var + eps) * g + b with stored statistics a channel (axis 1); Ioffe and Szegedy, 2015."""

    x: Value
    mean: Value
    var: Value
    g: Value | None = None
    b: Value | None = None
    eps: float = 1e-5

    def infer(self) -> TensorType:
        require_float(self, self.x, self.mean, self.var, self.g, self.b)
        require_shape(self, (channels_of(self, self.x),), mean=self.mean, var=self.var, g=self.g, b=self.b)
        return self.x.type

    def affine(self, mean: Array, var: Array, g: Array | None, b: Array | None) -> tuple[Array, Array]:
        """The scale and the offset of each channel, in f64."""
        scale = (1 if g is None else g.astype(np.float64)) / np.sqrt(var.astype(np.float64) + self.eps)
        return scale, (0 if b is None else b.astype(np.float64)) - mean.astype(np.float64) * scale

    def reference(self, x: Array, mean: Array, var: Array, g: Array | None, b: Array | None) -> Array:
        scale, offset = self.affine(mean, var, g, b)
        column = (-1, *[1] * (x.ndim - 2))
        return (x * scale.reshape(column) + offset.reshape(column)).astype(x.dtype)

    def work(self) -> Work:
        return Work(steps=2 * elements(self, self.x.type.shape))
