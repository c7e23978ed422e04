"""Rounding weights to integers so that a layer's output, not its weights, stays close.

`compensated` follows GPTQ (Frantar et al., 2022; after Optimal Brain Surgeon): columns are rounded one after another,
and each makes up for the errors of those before it, as far as the Hessian of the layer's inputs says that it can. It is
written as Babai's nearest plane algorithm, which gives the same codes (Chen et al., The Geometry of LLM Quantization,
2025) from the Cholesky factor of the Hessian, without inverting it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from irc.ir.scalars import Array

DAMPING = 0.01  # of the mean diagonal of the Hessian, as in the paper
BLOCK = 64  # columns whose errors reach the rest together, as one product of matrices
WHOLE = 2**15  # inputs of a layer whose Hessian is kept as a whole (4 GiB) ...
PART = 2**10  # ... and how many make up for each other's errors in a layer that has more


@dataclass
class Gram:
    """X^T X of rows X[n, K] that come in parts, at least one; parts wait until they are worth a product.

    Beyond `WHOLE` columns only the blocks of `PART` columns on its diagonal.
    """

    known: list[Array] | None = None
    waiting: list[Array] = field(default_factory=list[Array])

    def add(self, rows: Array) -> None:
        """Add rows [n, K], f32."""
        self.waiting.append(rows)
        if sum(map(len, self.waiting)) >= min(rows.shape[1], WHOLE):
            self.total()

    def total(self) -> list[Array]:
        """X^T X of all rows so far, f32: [K, K], or the blocks of `columns_of`."""
        if self.known is not None and not self.waiting:
            return self.known
        rows = np.concatenate(self.waiting)
        with np.errstate(over="ignore", invalid="ignore"):
            products = [rows[:, part].T @ rows[:, part] for part in columns_of(rows.shape[1])]
            known = self.known or [np.zeros((), np.float32)] * len(products)
            self.known, self.waiting = [a + b for a, b in zip(known, products, strict=True)], []
        return self.known

    def is_finite(self) -> bool:
        """Whether no sum left f32."""
        return all(bool(np.isfinite(block).all()) for block in self.total())


def columns_of(count: int) -> Iterator[slice]:
    """The blocks of so many columns that have a Hessian each."""
    step = count if count <= WHOLE else PART
    for start in range(0, max(count, 1), max(step, 1)):
        yield slice(start, min(start + step, count))


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
