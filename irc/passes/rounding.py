"""Rounding weights to integers so that a layer's output, not its weights, stays close.

`compensated` follows GPTQ (Frantar et al., 2022; after Optimal Brain Surgeon): columns are rounded one after another,
and each makes up for the errors of those before it, as far as the Hessian of the layer's inputs says that it can. It is
written as Babai's nearest plane algorithm, which gives the same codes (Chen et al., The Geometry of LLM Quantization,
2025) from the Cholesky factor of the Hessian, without inverting it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from irc.ir.scalars import Array

DAMPING = 0.01  # of the mean diagonal of the Hessian, as in the paper
BLOCK = 64  # columns whose errors reach the rest together, as one product of matrices


@dataclass
class Gram:
    """X^T X of rows X[n, K] that come in parts, at least one; parts wait until they are worth a product."""

    known: Array | None = None
    waiting: list[Array] = field(default_factory=list[Array])

    def add(self, rows: Array) -> None:
        """Add rows [n, K], f32."""
        self.waiting.append(rows)
        if sum(map(len, self.waiting)) >= rows.shape[1]:
            self.total()

    def total(self) -> Array:
        """X^T X of all rows so far [K, K], f32."""
        if self.known is not None and not self.waiting:
            return self.known
        rows = np.concatenate(self.waiting)
        with np.errstate(over="ignore", invalid="ignore"):
            product = rows.T @ rows
            self.known, self.waiting = product if self.known is None else self.known + product, []
        return self.known

    def is_finite(self) -> bool:
        """Whether no sum left f32."""
        return bool(np.isfinite(self.total()).all())


def nearest(w: Array, scales: Array, bits: int) -> Array:
    """Codes of w[O, ...] by rounding half to even; scales one a row, scalar, or one a weight of a matrix."""
    column = scales.reshape(-1, *[1] * (w.ndim - 1)) if scales.ndim < 2 else scales
    return np.clip(np.rint(w / column.astype(np.float64)), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1).astype(np.int8)


def compensated(w: Array, hessian: Array, scales: Array, bits: int, kept: Array | None = None) -> Array:
    """Codes of a matrix w[O, K] under the Hessian X^T X [K, K] of its inputs; scales one a row or one a weight; weights
    where `kept` is false stay 0."""
    top, low = 2 ** (bits - 1) - 1, -(2 ** (bits - 1))
    # From last to first: the column with the most input energy is rounded first, and all others make up for its error.
    order = np.argsort(-np.diag(hessian), kind="stable")[::-1]
    factor = np.linalg.cholesky(_damped(hessian[np.ix_(order, order)]))
    factor /= np.diag(factor)
    columns = np.ascontiguousarray(w.T[order], np.float64)
    keep = None if kept is None else kept.T[order]
    steps = np.broadcast_to(scales.reshape(len(w), -1).T.astype(np.float64), w.T.shape)[order]
    codes, errors, made_up = np.zeros(columns.shape, np.int8), np.zeros(columns.shape), np.zeros(columns.shape)
    for end in range(len(columns), 0, -BLOCK):
        start = max(0, end - BLOCK)
        for k in reversed(range(start, end)):
            wanted = columns[k] + made_up[k] + factor[k + 1 : end, k] @ errors[k + 1 : end]
            q = np.clip(np.rint(wanted / steps[k]), low, top)
            if keep is not None:
                q = np.where(keep[k], q, 0)
            codes[k] = q
            errors[k] = columns[k] - q * steps[k]
        made_up[:start] += factor[start:end, :start].T @ errors[start:end]
    out = np.zeros(w.shape, np.int8)
    out[:, order] = codes.T
    return out


def _damped(hessian: Array) -> Array:
    """A positive definite Hessian in f64; inputs that are always 0 count as 1, they tell nothing."""
    out = hessian.astype(np.float64)
    diagonal = np.diag_indices_from(out)
    energy = np.where(out[diagonal] > 0, out[diagonal], 1.0)
    out[diagonal] = energy + DAMPING * float(np.mean(energy))
    return out
