"""Masks of weight constants: what each kind means, as one table.

A mask says which weights stay 0. Each kind maps its compact bits to one bool a weight (true = kept), so that every
method and backend shares one meaning. The leading axis of a weight is its output channel.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from irc.ir.attrs import Mask
from irc.ir.constants import Data
from irc.ir.scalars import BOOL, Array
from irc.ir.types import Element

Ints: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class MaskKind:
    """A kind of mask: its parameters, the shape of its bits, and how they expand to the shape of the weight.

    `bits_shape(params, weight shape)` is a shape, `expand(bits, params, weight shape)` a bool a weight.
    """

    params: tuple[str, ...]
    bits_shape: Callable[[Ints, Ints], Ints]
    expand: Callable[[Array, Ints, Ints], Array]
    doc: str


def _matrix(shape: Ints) -> tuple[int, int]:
    """A weight as a matrix: output channels by everything else."""
    return (shape[0], math.prod(shape[1:])) if shape else (1, 1)


def _block_shape(params: Ints, shape: Ints) -> Ints:
    return tuple(-(-size // step) for size, step in zip(_matrix(shape), params, strict=True))


def _expand_block(bits: Array, params: Ints, shape: Ints) -> Array:
    row, column = (np.arange(size) // step for size, step in zip(_matrix(shape), params, strict=True))
    return bits[row[:, None], column].reshape(shape)


def _expand_filter(bits: Array, params: Ints, shape: Ints) -> Array:
    return np.broadcast_to(bits.reshape((*shape[:1], *[1] * len(shape[1:]))), shape)


def _each_shape(params: Ints, shape: Ints) -> Ints:
    return shape


def _expand_each(bits: Array, params: Ints, shape: Ints) -> Array:
    return bits


KINDS: dict[str, MaskKind] = {
    "unstructured": MaskKind((), _each_shape, _expand_each, "any single weight"),
    "nm": MaskKind(("n", "m"), _each_shape, _expand_each, "at most n of m consecutive weights of a row are kept"),
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
    if not (data.loaded and mask.bits.loaded):
        return ""
    expected, given = list(kind.bits_shape(mask.params, data.shape)), list(mask.bits.shape)
    if given != expected:
        return f"mask {mask.kind} of a {list(data.shape)} weight needs bits of shape {expected}, got {given}"
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
    length = max(1, min(m, columns))
    padded = np.zeros((rows, -(-columns // length) * length), bool)
    padded[:, :columns] = kept.reshape(rows, columns)
    most = int(padded.reshape(rows, padded.shape[1] // length, length).sum(-1).max(initial=0))
    return f"mask nm<{n}x{m}> keeps {most} of {m} weights somewhere" if most > n else ""
