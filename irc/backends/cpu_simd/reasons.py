"""Ops that the backend does not lower, and what to do instead."""

from __future__ import annotations

NOT_YET = "has no kernel yet; use --backend reference"

REASONS: dict[str, str] = {
    "amax": NOT_YET,
    "argmax": NOT_YET,
    "batch_norm": NOT_YET,
    "cos": NOT_YET,
    "cumsum": NOT_YET,
    "elu": NOT_YET,
    "erf": NOT_YET,
    "exp": NOT_YET,
    "gelu": NOT_YET,
    "group_norm": NOT_YET,
    "int_norm": NOT_YET,
    "int_softmax": NOT_YET,
    "layer_norm": NOT_YET,
    "log": NOT_YET,
    "mean": NOT_YET,
    "pow": NOT_YET,
    "rms_norm": NOT_YET,
    "sdpa": NOT_YET,
    "sigmoid": NOT_YET,
    "silu": NOT_YET,
    "sin": NOT_YET,
    "softmax": NOT_YET,
    "softplus": NOT_YET,
    "sum": NOT_YET,
    "tanh": NOT_YET,
}
