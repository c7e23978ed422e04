"""Ops that the backend does not lower, and what to do instead."""

from __future__ import annotations

NOT_YET = "has no kernel yet; use --backend reference"

REASONS: dict[str, str] = {
    "int_norm": NOT_YET,
    "int_softmax": NOT_YET,
}
