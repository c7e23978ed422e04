"""Scaled dot-product attention as one op, and its decomposition."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY

import numpy as np

from irc.ir.builder import Builder
from irc.ir.dims import equal, same_shape
from irc.ir.graph import Value
from irc.ir.op import Op, Work
from irc.ir.ops.common import broadcast, elements, require_float, single
from irc.ir.ops.linear import Matmul
from irc.ir.ops.math import Add, Mul, Where
from irc.ir.ops.norm import Softmax
from irc.ir.ops.tensor import Permute
from irc.ir.scalars import BOOL, Array
from irc.ir.types import TensorType, shape_text


class Sdpa(Op, name="sdpa"):
    """softmax(q @ k^T * scale + mask) @ v: q[..., M, D], k[..., N, D], v[..., N, E]; Vaswani et al., 2017.

    A bool mask keeps where true, a float mask is added. Rows with nothing kept give zeros. Batch dimensions broadcast.
    """

    anchor = True
    q: Value
    k: Value
    v: Value
    mask: Value | None = None
    _: KW_ONLY
    scale: float

    def infer(self) -> TensorType:
        q, k, v = self.q.type, self.k.type, self.v.type
        require_float(self, self.q, self.k, self.v)
        if (
            min(q.rank, k.rank, v.rank) < 2
            or equal(q.shape[-1], k.shape[-1]) is not True
            or equal(k.shape[-2], v.shape[-2]) is not True
        ):
            self.fail(f"operands are {q}, {k} and {v}, expected [..., M, D], [..., N, D] and [..., N, E]")
        batch = broadcast(self, q.shape[:-2], k.shape[:-2], v.shape[:-2])
        if self.mask is not None:
            scores = (*batch, q.shape[-2], k.shape[-2])
            if self.mask.type.scalar not in (BOOL, q.scalar):
                self.fail(f"the mask is {self.mask.type}, expected bool or {q.scalar}")
            if not same_shape(broadcast(self, self.mask.type.shape, scores), scores):
                self.fail(f"the mask is {self.mask.type}, the scores are {shape_text(scores)}")
        return TensorType(q.element, (*batch, q.shape[-2], v.shape[-1]))

    def reference(self, q: Array, k: Array, v: Array, mask: Array | None) -> Array:
        dtype, q, k, v = q.dtype, single(q), single(k), single(v)
        scores = (q @ np.swapaxes(k, -1, -2)) * q.dtype.type(self.scale)
        if mask is not None:
            scores = np.where(mask, scores, -np.inf) if mask.dtype == np.bool_ else scores + mask
        top = np.max(scores, axis=-1, keepdims=True, initial=-np.inf)
        e = np.exp(scores - np.where(top == -np.inf, 0, top))
        total: Array = np.sum(e, axis=-1, keepdims=True)
        weights = np.divide(e, total, out=np.zeros_like(e), where=total != 0)
        return (weights @ v).astype(dtype)

    def work(self) -> Work:
        out = self.results[0].type.shape
        n = elements(self, (self.k.type.shape[-2],))
        rows = elements(self, out[:-1])
        depth = elements(self, (self.q.type.shape[-1],)) + elements(self, (out[-1],))
        return Work(macs=rows * n * depth, steps=5 * rows * n)


def decompose_sdpa(op: Sdpa, b: Builder) -> Value:
    """Two matmuls and a softmax with the same meaning, for rows that keep something."""
    rank = op.k.type.rank
    kt = b(Permute(op.k, (*range(rank - 2), rank - 1, rank - 2)))
    scalar = op.q.type.scalar
    scores = b(Mul(b(Matmul(op.q, kt)), b.const(op.scale, scalar)))
    if op.mask is not None and op.mask.type.scalar == BOOL:
        scores = b(Where(op.mask, scores, b.const(-math.inf, scalar)))
    elif op.mask is not None:
        scores = b(Add(scores, op.mask))
    return b(Matmul(b(Softmax(scores)), op.v))
