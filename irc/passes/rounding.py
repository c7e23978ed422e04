"""Rounding weights to integers so that a layer's output, not its weights, stays close.

`compensated` follows GPTQ (Frantar et al., 2022; after Optimal Brain Surgeon): columns are rounded one after another,
and the error of each is spread over the columns still to come, weighted by the inverse Hessian of the layer's inputs.
"""

from __future__ import annotations

import numpy as np

from irc.ir.scalars import Array

DAMPING = 0.01  # of the mean diagonal of the Hessian, as in the paper
BLOCK = 64  # columns whose errors reach the rest together, as one product of matrices
LEAF = 64


def nearest(w: Array, scales: Array, bits: int) -> Array:
    """Codes of w[O, ...] by rounding half to even; scales one a row or scalar."""
    column = scales.reshape(-1, *[1] * (w.ndim - 1)).astype(np.float64)
    return np.clip(np.rint(w / column), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1).astype(np.int8)


def compensated(w: Array, hessian: Array, scales: Array, bits: int, kept: Array | None = None) -> Array:
    """Codes of a matrix w[O, K] under the Hessian X^T X [K, K] of its inputs; weights where `kept` is false stay 0."""
    top, low = 2 ** (bits - 1) - 1, -(2 ** (bits - 1))
    # Columns with the most input energy first: their error is compensated by all others.
    order = np.argsort(-np.diag(hessian), kind="stable")
    spread = error_spread(hessian[np.ix_(order, order)])
    work = np.ascontiguousarray(w.T[order], np.float64)
    keep = None if kept is None else kept.T[order]
    step = np.broadcast_to(scales.reshape(-1).astype(np.float64), (len(w),))
    codes = np.zeros(work.shape, np.int8)
    for start in range(0, len(work), BLOCK):
        end = min(start + BLOCK, len(work))
        errors = np.zeros((end - start, len(w)))
        for k in range(start, end):
            q = np.clip(np.rint(work[k] / step), low, top)
            if keep is not None:
                q = np.where(keep[k], q, 0)
            codes[k] = q
            error = errors[k - start] = (work[k] - q * step) / spread[k, k]
            work[k + 1 : end] -= spread[k, k + 1 : end, None] * error
        work[end:] -= spread[start:end, end:].T @ errors
    out = np.zeros(w.shape, np.int8)
    out[:, order] = codes.T
    return out


def error_spread(hessian: Array) -> Array:
    """The upper triangular U with U^T U = inv(H), H damped: row k says how the error of column k reaches later ones."""
    backwards = hessian[::-1, ::-1].astype(np.float64)
    diagonal = np.diag_indices_from(backwards)
    energy = backwards[diagonal]
    energy = np.where(energy > 0, energy, 1.0)  # inputs that are always 0 tell nothing
    backwards[diagonal] = energy + DAMPING * float(np.mean(energy))
    # With H backwards = L L^T, inv(L) backwards is U: no need to invert H itself.
    return _inverse_factor(backwards)[::-1, ::-1]


def _inverse_factor(h: Array) -> Array:
    """The inverse of the lower Cholesky factor, by halves, so that nearly all the work is products of matrices."""
    if len(h) <= LEAF:
        return np.linalg.inv(np.linalg.cholesky(h))
    half = len(h) // 2
    first = _inverse_factor(h[:half, :half])
    below = h[half:, :half] @ first.T
    second = _inverse_factor(h[half:, half:] - below @ below.T)
    out = np.zeros(h.shape)
    out[:half, :half], out[half:, half:] = first, second
    out[half:, :half] = -second @ (below @ first)
    return out
