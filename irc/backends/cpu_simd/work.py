"""How much work a kernel does, and how much of it is worth the attention of another thread.

The unit is a multiply-accumulate in a full vector; other things are counted as as many of these as take as long.
"""

from __future__ import annotations

from irc.backends.cpu_simd.isa import Isa

MOVED = 16
"""An element that is read, treated with a few instructions, and written."""

HARD = 64
"""An element that takes a row several passes, or a function such as exp."""

GRAIN = 1 << 16
"""The least work of a share, times the lanes of a vector: some ten microseconds, so that handing it over (below one
microsecond where a thread waits for it, several where one has to be woken) costs little."""


def grain(isa: Isa) -> int:
    """The least work of a share."""
    return GRAIN * isa.lanes
