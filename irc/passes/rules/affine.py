"""Rules about scales and offsets per channel: into the weights of the layer before, or into a layer of their own."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from irc.ir.builder import Builder
from irc.ir.clone import rebuilt
from irc.ir.constants import Data
from irc.ir.dims import same_shape
from irc.ir.graph import Node, Value
from irc.ir.ops.common import along
from irc.ir.ops.linear import Conv, Linear, Matmul
from irc.ir.ops.math import Add, Mul, Sub
from irc.ir.ops.norm import BatchNorm
from irc.ir.ops.quant import constant_of
from irc.ir.ops.structure import Const
from irc.ir.rewrite import Match, Miss, Rule, any_, op_
from irc.ir.scalars import Array
from irc.passes.rules.arithmetic import fits, opposed

Layer: TypeAlias = "Conv | Linear"
Affine: TypeAlias = "tuple[Array | None, Array | None]"
"""A scale and an offset, each one number a channel in f64; None for no scale, no offset."""


def channel_axis(layer: Layer) -> int:
    """The axis of the result along which each row of the weights gives one index."""
    return 1 if isinstance(layer, Conv) else layer.result.type.rank - 1


def _per_channel(value: Value, layer: Layer) -> Array | None:
    """A constant as one f64 number a channel of the layer; None if it varies along other axes."""
    array, w, rank = constant_of(value), constant_of(layer.w), layer.result.type.rank
    if array is None or w is None or array.ndim > rank:
        return None
    axis, channels = channel_axis(layer), len(w)
    shape = (1,) * (rank - array.ndim) + array.shape
    if any(size != 1 for i, size in enumerate(shape) if i != axis) or shape[axis] not in (1, channels):
        return None
    return np.broadcast_to(array.astype(np.float64).reshape(-1), (channels,))


def _new_weights(layer: Layer, scale: Array) -> Array:
    w = constant_of(layer.w)
    assert w is not None
    return np.multiply(w, along(0, scale, w.ndim), dtype=np.float64)


def _largest_weights(layer: Layer) -> Array:
    """The largest weight of each channel, in f64."""
    w = constant_of(layer.w)
    assert w is not None
    rows = w.reshape(len(w), -1)
    return np.maximum(np.max(rows, 1, initial=0), -np.min(rows, 1, initial=0)).astype(np.float64)


def _new_bias(layer: Layer, scale: Array | None, offset: Array | None) -> Array | None:
    bias = constant_of(layer.b)
    if bias is None:
        return offset
    scaled = bias.astype(np.float64) * (1 if scale is None else scale)
    return scaled if offset is None else scaled + offset


class _IntoLayer(Rule):
    """Base of rules that put an affine map of each channel into the weights of the layer (named `layer`) in front."""

    def affine(self, m: Match) -> Affine | Miss:
        """The map, or why there is none."""
        raise NotImplementedError

    def guard(self, m: Match) -> Miss | None:
        layer: Layer = m.node("layer")
        if len(layer.result.uses) != 1:
            return Miss(f"the result of {layer.opname} has {len(layer.result.uses)} readers, expected 1")
        if not layer.w.type.scalar.is_float:
            return Miss("the weights are integers")
        if constant_of(layer.w) is None or (layer.b is not None and constant_of(layer.b) is None):
            return Miss("weights or bias are not constant")
        affine = self.affine(m)
        if isinstance(affine, Miss):
            return affine
        scale, offset = affine
        changed = [_new_bias(layer, scale, offset), None if scale is None else _largest_weights(layer) * scale]
        if not all(fits(a, layer.w.type.scalar) for a in changed if a is not None):
            return Miss("the folded weights are not finite")
        return None

    def build(self, m: Match, b: Builder) -> Value:
        layer: Layer = m.node("layer")
        affine = self.affine(m)
        assert not isinstance(affine, Miss)
        scale, offset = affine
        w, bias, scalar = layer.w, _new_bias(layer, scale, offset), layer.w.type.scalar
        if scale is not None:
            const = layer.w.node
            assert isinstance(const, Const)  # its mask stays: what is 0 stays 0
            w = b(Const(Data.of(_new_weights(layer, scale), scalar), const.to, const.mask), w.name)
        hint = layer.b.name if layer.b is not None else ""
        return b(rebuilt(layer, w=w, b=None if bias is None else b.const(bias, scalar, name=hint)))


class FoldBatchNorm(_IntoLayer):
    """batch_norm(conv or linear) -> conv or linear"""

    pattern = op_(BatchNorm, op_((Conv, Linear), name="layer"), name="norm")

    def affine(self, m: Match) -> Affine | Miss:
        axis = channel_axis(m.node("layer"))
        return _batch_norm(m.node("norm")) if axis == 1 else Miss(f"its channels are on axis 1, the layer's on {axis}")


class FoldScale(_IntoLayer):
    """mul(conv or linear, c) -> conv or linear, for one factor or one a channel"""

    pattern = op_(Mul, op_((Conv, Linear), name="layer"), op_(Const, name="c"))

    def affine(self, m: Match) -> Affine | Miss:
        factors = _constant(m)
        return factors if isinstance(factors, Miss) else (factors, None)


class FoldOffset(_IntoLayer):
    """add(conv or linear, c) -> conv or linear with c in its bias, for one offset or one a channel

    Not if another constant is taken away next: a large c rounds the sum, and is meant to.
    """

    pattern = op_(Add, op_((Conv, Linear), name="layer"), op_(Const, name="c"))

    def affine(self, m: Match) -> Affine | Miss:
        offsets = _constant(m)
        if any(opposed(constant_of(m["c"]), _added(user)) for user in m.root.results[0].users):
            return Miss("a constant of the other sign is added next")
        return offsets if isinstance(offsets, Miss) else (None, offsets)


def _added(node: Node) -> Array | None:
    """The constant that a node adds, or takes away."""
    c = constant_of(node.y) if isinstance(node, Add | Sub) else None
    return -c if c is not None and isinstance(node, Sub) else c


def _constant(m: Match) -> Array | Miss:
    """The constant `c` of a match, one number a channel."""
    layer: Layer = m.node("layer")
    found = _per_channel(m["c"], layer)
    if found is None or not same_shape(m.root.results[0].type.shape, layer.result.type.shape):
        return Miss(f"the constant {m['c'].type} is not one number a channel")
    return found


def _batch_norm(op: BatchNorm) -> tuple[Array, Array] | Miss:
    """Scale and offset of each channel of a batch norm."""
    parameters = [constant_of(v) for v in (op.mean, op.var, op.g, op.b)]
    mean, var, g, b = parameters
    if mean is None or var is None or (op.g and g is None) or (op.b and b is None):
        return Miss("its parameters are not constant")
    with np.errstate(all="ignore"):
        return op.affine(mean, var, g, b)


class BatchNormAlone(Rule):
    """batch_norm with no layer to fold into -> depthwise 1x1 conv; mul and add for [N, C]"""

    pattern = op_(BatchNorm, any_("x"), name="norm")

    def guard(self, m: Match) -> Miss | None:
        affine = _batch_norm(m.node("norm"))
        if isinstance(affine, Miss):
            return affine
        return None if all(fits(a, m["x"].type.scalar) for a in affine) else Miss("its scales are not finite")

    def build(self, m: Match, b: Builder) -> Value:
        affine = _batch_norm(m.node("norm"))
        assert not isinstance(affine, Miss)
        scale, offset = affine
        scalar, spatial = m["x"].type.scalar, m["x"].type.rank - 2
        if spatial == 0:
            return b(Add(b(Mul(m["x"], b.const(scale, scalar))), b.const(offset, scalar)))
        ones = (1,) * spatial
        w, shift = b.const(scale.reshape(-1, 1, *ones), scalar), b.const(offset, scalar)
        return b(Conv(m["x"], w, shift, stride=ones, padding=(0, 0) * spatial, dilation=ones, groups=len(scale)))


class MatmulByConstant(Rule):
    """matmul(x, c) -> linear(x, c^T) on floats"""

    pattern = op_(Matmul, any_("x"), op_(Const, name="w"))

    def guard(self, m: Match) -> Miss | None:
        w: Const = m.node("w")
        if not w.value.scalar.is_float or w.result.type.rank != 2:
            return Miss(f"the constant is {w.result.type}, expected a float matrix")
        if not w.value.loaded:
            return Miss("the values of the constant are not loaded")
        return Miss("the mask of the constant would have to be transposed") if w.mask else None

    def build(self, m: Match, b: Builder) -> Value:
        w: Const = m.node("w")
        return b(Linear(m["x"], b.const(w.value.array.T, w.value.scalar, name=w.result.name)))


# BatchNormAlone comes last, in the pass that folds: what stands in front of a batch norm may itself fold into a layer.
FOLDING: tuple[Rule, ...] = (FoldBatchNorm(), FoldScale(), FoldOffset(), BatchNormAlone())
