"""Normalisations and softmax of floats; their integer definitions are in `quant.py`."""

from __future__ import annotations

from dataclasses import KW_ONLY

import numpy as np

from irc.ir.dims import equal
from irc.ir.graph import Value
from irc.ir.op import Op, Work
from irc.ir.ops.common import axis_of, elements, require_float
from irc.ir.scalars import Array
from irc.ir.types import TensorType, shape_text


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
        e = np.exp(x - np.max(x, axis=self.axis, keepdims=True))
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
        tail = self.x.type.shape[self.x.type.rank - self.axes :]
        for name, v in (("g", self.g), ("b", self.b)):
            if v is not None and not all(equal(a, d) is True for a, d in zip(v.type.shape, tail, strict=False)):
                self.fail(f"{name} is {v.type}, expected {shape_text(tail)}")
            if v is not None and v.type.rank != self.axes:
                self.fail(f"{name} is {v.type}, expected {self.axes} dimensions")
        return self.x.type

    def check(self) -> None:
        if not 1 <= self.axes <= self.x.type.rank:
            self.fail(f"{self.axes} axes of {self.x.type}")

    def reference(self, x: Array, g: Array | None, b: Array | None) -> Array:
        axes = tuple(range(x.ndim - self.axes, x.ndim))
        wide = x.astype(np.float64)
        centred = wide - wide.mean(axis=axes, keepdims=True)
        y = centred / np.sqrt(np.mean(centred * centred, axis=axes, keepdims=True) + self.eps)
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
        if self.g is not None and (
            self.g.type.rank != 1 or equal(self.g.type.shape[0], self.x.type.shape[-1]) is not True
        ):
            self.fail(f"g is {self.g.type}, expected [{self.x.type.shape[-1]}]")
        return self.x.type

    def reference(self, x: Array, g: Array | None) -> Array:
        wide = x.astype(np.float64)
        y = wide / np.sqrt(np.mean(wide * wide, axis=-1, keepdims=True) + self.eps)
        return (y if g is None else y * g).astype(x.dtype)

    def work(self) -> Work:
        return Work(steps=4 * elements(self, self.x.type.shape))


class GroupNorm(Op, name="group_norm"):
    """Normalises each of `groups` groups of channels of x[N, C, *spatial], then scales by g[C] and adds b[C]; Wu and He, 2018."""

    anchor = True
    x: Value
    g: Value | None = None
    b: Value | None = None
    _: KW_ONLY
    groups: int
    eps: float = 1e-5

    def infer(self) -> TensorType:
        require_float(self, self.x, self.g, self.b)
        channels = self.x.type.shape[1] if self.x.type.rank > 1 else 0
        if not isinstance(channels, int) or self.groups < 1 or channels % self.groups:
            self.fail(f"{channels} channels in {self.groups} groups")
        for name, v in (("g", self.g), ("b", self.b)):
            if v is not None and v.type.shape != (channels,):
                self.fail(f"{name} is {v.type}, expected [{channels}]")
        return self.x.type

    def reference(self, x: Array, g: Array | None, b: Array | None) -> Array:
        wide = x.astype(np.float64).reshape(x.shape[0], self.groups, -1)
        centred = wide - wide.mean(axis=-1, keepdims=True)
        y = (centred / np.sqrt(np.mean(centred * centred, axis=-1, keepdims=True) + self.eps)).reshape(x.shape)
        column = (-1, *[1] * (x.ndim - 2))
        y = y if g is None else y * g.reshape(column)
        return (y if b is None else y + b.reshape(column)).astype(x.dtype)

    def work(self) -> Work:
        return Work(steps=6 * elements(self, self.x.type.shape))


class BatchNorm(Op, name="batch_norm"):
    """(x - mean) / sqrt(var + eps) * g + b with the stored statistics of each channel (axis 1); Ioffe and Szegedy, 2015."""

    x: Value
    mean: Value
    var: Value
    g: Value | None = None
    b: Value | None = None
    eps: float = 1e-5

    def infer(self) -> TensorType:
        require_float(self, self.x, self.mean, self.var, self.g, self.b)
        if self.x.type.rank < 2:
            self.fail(f"operand is {self.x.type}, expected [N, C, ...]")
        for name, v in (("mean", self.mean), ("var", self.var), ("g", self.g), ("b", self.b)):
            if v is not None and (v.type.rank != 1 or equal(v.type.shape[0], self.x.type.shape[1]) is not True):
                self.fail(f"{name} is {v.type}, expected [{self.x.type.shape[1]}]")
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
