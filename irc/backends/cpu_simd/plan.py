"""One arena for everything that lives between steps: buffers that are in use at once do not overlap.

Which buffer lies above which others is decided at the upper bounds of all dimensions, the largest buffer first, each as
low as it fits; a run then stacks them by their real sizes. So a small batch needs little memory, and one plan serves
all sizes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from irc.backends.cpu_simd.views import Buffer
from irc.ir.dims import Symbol, bounds

ALIGNMENT = 64
"""Bytes: a cache line, and the widest vector."""

SLACK = 64
"""Bytes behind a buffer that a kernel may read (never write) with its last vector."""


@dataclass(frozen=True)
class Placed:
    """A buffer, and those it lies above; on the floor if there are none."""

    buffer: Buffer
    above: tuple[Buffer, ...]


def aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def plan(buffers: Sequence[Buffer], symbols: Mapping[str, Symbol], *, reuse: bool = True) -> list[Placed]:
    """The buffers from the floor up. Without `reuse` none shares memory with another."""
    sizes = {b: _largest(b, symbols) for b in buffers}
    starts: dict[Buffer, int] = {}
    for buffer in sorted(buffers, key=lambda b: (-sizes[b], b.first, b.index)):
        start = 0
        for other in _rivals(buffer, starts, reuse):
            if starts[other] - start >= sizes[buffer]:
                break
            start = max(start, starts[other] + sizes[other])
        starts[buffer] = start
    order = sorted(buffers, key=lambda b: (starts[b], b.index))
    return [Placed(b, tuple(o for o in _rivals(b, starts, reuse) if starts[o] < starts[b])) for b in order]


def _rivals(buffer: Buffer, starts: Mapping[Buffer, int], reuse: bool) -> list[Buffer]:
    """The placed buffers that are in use while this one is, from the floor up."""
    found = [
        other
        for other in starts
        if other is not buffer and (not reuse or (other.first <= buffer.last and buffer.first <= other.last))
    ]
    return sorted(found, key=lambda other: starts[other])


def _largest(buffer: Buffer, symbols: Mapping[str, Symbol]) -> int:
    return aligned(bounds(buffer.size, symbols)[1] * buffer.scalar.dtype.itemsize + SLACK)
