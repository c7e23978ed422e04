"""Masks of weight constants: what each kind means, as one table.

A mask says which weights stay 0. Each kind maps its compact bits to one bool a weight (true = kept), and scores of
weights to the bits that keep the highest, so that every method and backend shares one meaning. The first axis of a
weight is its output channel, the second its input channel; what follows are the places of a kernel.
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
    """A kind of mask: its parameters, the shape of its bits, how they expand to the shape of the weight.

    `bits_shape(params, weight shape)` is a shape, `expand(bits, params, weight shape)` a bool a weight.
    `project(scores, params, share)` gives the bits that keep a share of the weights: those whose scores are highest
    together, of equal ones the first; `share` is None for a kind whose parameters say it.
    """

    params: tuple[str, ...]
    bits_shape: Callable[[Ints, Ints], Ints]
    expand: Callable[[Array, Ints, Ints], Array]
    project: Callable[[Array, Ints, float | None], Array]
    doc: str


def _planes(shape: Ints) -> Ints:
    """The shape of a weight with two channel axes at least."""
    return (*shape[:2], *[1] * (2 - len(shape)), *shape[2:])


def _highest(scores: Array, count: int) -> Array:
    """True at the `count` highest scores along the last axis, of equal ones at the first."""
    order = np.argsort(-scores, axis=-1, kind="stable")
    bits = np.zeros(scores.shape, bool)
    np.put_along_axis(bits, order[..., :count], True, axis=-1)
    return bits


def _count(share: float | None, size: int) -> int:
    """How many of so many are kept; never none."""
    assert share is not None
    return min(size, max(1, round(share * size)))


def _block_shape(params: Ints, shape: Ints) -> Ints:
    outputs, inputs, *places = _planes(shape)
    return (-(-outputs // params[0]), -(-inputs // params[1]), *places)


def _expand_block(bits: Array, params: Ints, shape: Ints) -> Array:
    row, column = (np.arange(size) // step for size, step in zip(_planes(shape), params, strict=False))
    return bits[row[:, None], column].reshape(shape)


def _project_block(scores: Array, params: Ints, share: float | None) -> Array:
    """Every row of blocks keeps equally many, so that what computes them side by side is done at the same time."""
    total = scores.reshape(_planes(scores.shape))
    for axis, step in enumerate(params):
        total = np.add.reduceat(total, np.arange(0, total.shape[axis], step), axis=axis)
    rows = total.reshape(len(total), -1)
    return _highest(rows, _count(share, rows.shape[1])).reshape(total.shape)


def _expand_filter(bits: Array, params: Ints, shape: Ints) -> Array:
    return np.broadcast_to(bits.reshape((*shape[:1], *[1] * len(shape[1:]))), shape)


def _project_filter(scores: Array, params: Ints, share: float | None) -> Array:
    return _highest(scores.reshape(len(scores), -1).sum(axis=1), _count(share, len(scores)))


def _each_shape(params: Ints, shape: Ints) -> Ints:
    return shape


def _expand_each(bits: Array, params: Ints, shape: Ints) -> Array:
    return bits


def _project_each(scores: Array, params: Ints, share: float | None) -> Array:
    return _highest(scores.reshape(-1), _count(share, scores.size)).reshape(scores.shape)


def _groups(of: Array, length: int, fill: float | bool) -> Array:
    """Values by groups of so many consecutive input channels [outputs, places, groups, length]; the last one filled."""
    outputs, inputs, *kernel = _planes(of.shape)
    places, length = math.prod(kernel), max(1, min(length, inputs))
    groups = -(-inputs // length)
    padded = np.full((outputs, places, groups * length), fill, of.dtype)
    padded[..., :inputs] = of.reshape(outputs, inputs, places).transpose(0, 2, 1)
    return padded.reshape(outputs, places, groups, length)


def _project_nm(scores: Array, params: Ints, share: float | None) -> Array:
    groups = _groups(scores, params[1], -1.0)
    outputs, places, count, length = groups.shape
    bits = _highest(groups, params[0]).reshape(outputs, places, count * length)
    return bits[..., : _planes(scores.shape)[1]].transpose(0, 2, 1).reshape(scores.shape)


KINDS: dict[str, MaskKind] = {
    "unstructured": MaskKind((), _each_shape, _expand_each, _project_each, "any single weight"),
    "nm": MaskKind(
        ("n", "m"),
        _each_shape,
        _expand_each,
        _project_nm,
        "at most n of m consecutive input channels are kept, for each output channel and place of a kernel",
    ),
    "block": MaskKind(
        ("rows", "columns"),
        _block_shape,
        _expand_block,
        _project_block,
        "blocks of output by input channels, for each place of a kernel",
    ),
    "filter": MaskKind((), lambda p, s: s[:1], _expand_filter, _project_filter, "whole output channels"),
}


def mask_name(mask: Mask) -> str:
    """Kind and parameters: `block<4x16>`, `unstructured`."""
    return f"{mask.kind}<{'x'.join(map(str, mask.params))}>" if mask.params else mask.kind


def expand_mask(mask: Mask, shape: tuple[int, ...]) -> Array:
    """One bool a weight, true = kept."""
    return KINDS[mask.kind].expand(mask.bits.array, mask.params, shape)


def project(kind: str, params: Ints, scores: Array, share: float | None = None) -> Mask:
    """The mask of a kind that keeps the weights with the highest scores (not negative, in the shape of the weight)."""
    return Mask(kind, params, Data.of(KINDS[kind].project(scores, params, share)))


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
    most = int(_groups(kept, m, False).sum(-1).max(initial=0))
    return f"mask nm<{n}x{m}> keeps {most} of {m} weights somewhere" if most > n else ""
