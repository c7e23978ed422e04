"""Memory as libraries take it."""

from __future__ import annotations

import numpy as np

from irc.backends.cpu_simd.plan import ALIGNMENT
from irc.ir.scalars import Array


def aligned_bytes(size: int) -> Array:
    """Memory of so many bytes that begins at a cache line."""
    raw = np.empty(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size]
