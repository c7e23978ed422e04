"""Masks of weight constants: what each kind means, as one table.

A mask says which weights stay 0. Each kind maps its compact bits to one bool a weight (true = kept), so that every method and backend
shares one meaning. The leading axis of a weight is its output channel.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from irc.ir.attrs import Mask
from irc.ir.constants import Data
from irc.ir.scalars import BOOL, Array
from irc.ir.types import Element


@dataclass(frozen=True)
class MaskKind:
    """A kind of mask: the parameters it takes, the shape of its bits, and how they expand to the shape of the weight."""

    params: tuple[str, ...]
    bits_shape: Callable[[tuple[int, ...], tuple[int, ...]], tuple[int, ...]]  # (params, weight shape) -> shape
    expand: Callable[
        [Array, tuple[int, ...], tuple[int, ...]], Array
    ]  # (bits, params, weight shape) -> bool[weight shape]
    doc: str


def _matrix(shape: tuple[int, ...]) -> tuple[int, int]:
    """A weight as a matrix: output channels by everything else."""
    return (shape[0], math.prod(shape[1:])) if shape else (1, 1)


def _block_shape(params: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    rows, columns = _matrix(shape)
    return math.ceil(rows / params[0]), math.ceil(columns / params[1])


def _expand_block(bits: Array, params: tuple[int, ...], shape: tuple[int, ...]) -> Array:
    rows, columns = _matrix(shape)
    full = np.repeat(np.repeat(bits, params[0], axis=0), params[1], axis=1)
    return full[:rows, :columns].reshape(shape)


def _expand_filter(bits: Array, params: tuple[int, ...], shape: tuple[int, ...]) -> Array:
    return np.broadcast_to(bits.reshape(-1, *[1] * (len(shape) - 1)), shape)


KINDS: dict[str, MaskKind] = {
    "unstructured": MaskKind((), lambda p, s: s, lambda b, p, s: b, "any single weight"),
    "nm": MaskKind(
        ("n", "m"), lambda p, s: s, lambda b, p, s: b, "at most n of m consecutive weights of a row are kept"
    ),
    "block": MaskKind(("rows", "columns"), _block_shape, _expand_block, "whole tiles of the weight matrix"),
    "filter": MaskKind((), lambda p, s: s[:1], _expand_filter, "whole output channels"),
}


def expand_mask(mask: Mask, shape: tuple[int, ...]) -> Array:
    """One bool a weight, true = kept."""
    return KINDS[mask.kind].expand(mask.bits.array, mask.params, shape)


def check_mask(mask: Mask, data: Data, element: Element) -> str:
    """What is wrong with a mask on this constant; empty if nothing is."""
    kind = KINDS.get(mask.kind)
    if kind is None:
        return f"unknown mask kind '{mask.kind}' (known: {', '.join(KINDS)})"
    if len(mask.params) != len(kind.params) or any(p < 1 for p in mask.params):
        return f"mask {mask.kind} takes {len(kind.params)} positive parameters, got {list(mask.params)}"
    if mask.bits.scalar != BOOL:
        return f"mask bits are {mask.bits.scalar}, expected bool"
    expected = kind.bits_shape(mask.params, data.shape)
    if mask.bits.shape != expected:
        return f"mask {mask.kind} of a {list(data.shape)} weight needs bits of shape {list(expected)}, got {list(mask.bits.shape)}"
    if not (data.loaded and mask.bits.loaded):
        return ""
    kept = expand_mask(mask, data.shape)
    real = element.encoding.decode(data.array) if element.encoding else data.array
    broken = int(np.count_nonzero(np.where(kept, 0, real)))
    if broken:
        return f"{broken} weights under the mask are not 0"
    if mask.kind == "nm":
        return _check_nm(kept, *mask.params)
    return ""


def _check_nm(kept: Array, n: int, m: int) -> str:
    rows, columns = _matrix(kept.shape)
    padded = np.zeros((rows, math.ceil(columns / m) * m), bool)
    padded[:, :columns] = kept.reshape(rows, columns)
    most = int(padded.reshape(rows, -1, m).sum(-1).max(initial=0))
    return f"mask nm<{n}x{m}> keeps {most} of {m} weights somewhere" if most > n else ""
