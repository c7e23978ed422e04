"""Rounding weights to integers so that a layer's output, not its weights, stays close.

`compensated` follows GPTQ (Frantar et al., 2022; after Optimal Brain Surgeon): columns are rounded one after another,
and the error of each is spread over the columns still to come, weighted by the inverse Hessian of the layer's inputs.
"""

from __future__ import annotations

import numpy as np

from irc.ir.scalars import Array

DAMPING = 0.01  # of the mean diagonal of the Hessian, as in the paper
BLOCK = 128


def nearest(w: Array, scales: Array, bits: int) -> Array:
    """Codes of w[O, ...] by rounding half to even; scales one a row or scalar."""
    column = scales.reshape(-1, *[1] * (w.ndim - 1)).astype(np.float64)
    return np.clip(np.rint(w / column), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1).astype(np.int8)


def compensated(w: Array, hessian: Array, scales: Array, bits: int, kept: Array | None = None) -> Array:
    """Codes of a matrix w[O, K] under the Hessian X^T X [K, K] of its inputs; weights where `kept` is false stay 0."""
    top, low = 2 ** (bits - 1) - 1, -(2 ** (bits - 1))
    work = w.astype(np.float64).copy()
    h = hessian.astype(np.float64).copy()
    dead = np.diag(h) <= 0
    h[dead, dead] = 1.0
    h[np.diag_indices_from(h)] += DAMPING * float(np.mean(np.diag(h)))
    # Columns with the most input energy first: their error is compensated by all others.
    order = np.argsort(-np.diag(h), kind="stable")
    work, h = work[:, order], h[np.ix_(order, order)]
    keep = None if kept is None else kept[:, order]
    upper = np.linalg.cholesky(np.linalg.inv(h)).T
    step = np.broadcast_to(scales.reshape(-1).astype(np.float64), (len(w),))
    codes = np.zeros(work.shape)
    for start in range(0, work.shape[1], BLOCK):
        end = min(start + BLOCK, work.shape[1])
        errors = np.zeros((len(w), end - start))
        for k in range(start, end):
            q = np.clip(np.rint(work[:, k] / step), low, top)
            if keep is not None:
                q = np.where(keep[:, k], q, 0)
            codes[:, k] = q
            error = (work[:, k] - q * step) / upper[k, k]
            work[:, k + 1 : end] -= np.outer(error, upper[k, k + 1 : end])
            errors[:, k - start] = error
        work[:, end:] -= errors @ upper[start:end, end:]
    out = np.zeros(work.shape, np.int8)
    out[:, order] = codes
    return out
