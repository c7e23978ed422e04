"""Sizes that may vary: what the caller names, as torch wants it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from irc.frontend.building import UNBOUNDED
from irc.frontend.samples import Arguments
from irc.frontend.untyped import is_list, is_mapping
from irc.ir.diagnostics import UsageError

Size: TypeAlias = "str | tuple[str, int, int]"
Dynamic: TypeAlias = "Size | Mapping[str, Mapping[int, Size]]"


@dataclass(frozen=True)
class Axis:
    """A named size and its range."""

    name: str
    lo: int = 1
    hi: int = UNBOUNDED


Axes: TypeAlias = dict[str, dict[int, Axis]]


def dynamic_axes(dynamic: Dynamic | None, given: Arguments) -> Axes:
    """The varying axes by input name; a size alone is the first axis of all inputs whose size there is that of the
    first input. Raises UsageError for an unknown input or axis, or a name with two ranges.
    """
    tensors = {name: v for name, v in given.by_name.items() if isinstance(v, torch.Tensor)}
    if dynamic is None:
        return {}
    if isinstance(dynamic, str | tuple):
        firsts = {name: v.shape[0] for name, v in tensors.items() if v.ndim}
        size = next(iter(firsts.values()), None)
        dynamic = {name: {0: dynamic} for name, first in firsts.items() if first == size}
    axes: Axes = {}
    ranges: dict[str, Axis] = {}
    for name, wanted in dynamic.items():
        if name not in tensors:
            raise UsageError(f"there is no input '{name}' whose size could vary", hint=f"inputs: {', '.join(tensors)}")
        rank = tensors[name].ndim
        for place, what in wanted.items():
            axis = Axis(what) if isinstance(what, str) else Axis(*what)
            if not -rank <= place < rank:
                raise UsageError(f"input '{name}' has {rank} axes, there is no axis {place}")
            if not axis.name.isidentifier() or not 0 <= axis.lo <= axis.hi:
                raise UsageError(f"input '{name}': '{axis.name}' in [{axis.lo}, {axis.hi}] is no size")
            if ranges.setdefault(axis.name, axis) != axis:
                raise UsageError(f"the size '{axis.name}' has two ranges")
            axes.setdefault(name, {})[place % rank] = axis
    return axes


def torch_shapes(given: Arguments, axes: Axes) -> dict[str, Any] | None:
    """The `dynamic_shapes` of torch.export, by argument; None if nothing varies."""
    if not axes:
        return None
    dims = {a.name: torch.export.Dim(a.name, min=a.lo, max=a.hi) for places in axes.values() for a in places.values()}

    def shape(value: Any) -> Any:
        if is_mapping(value):
            return {k: shape(v) for k, v in value.items()}
        return type(value)(shape(v) for v in value) if is_list(value) else None

    return {
        name: {place: dims[a.name] for place, a in axes[name].items()} if name in axes else shape(value)
        for name, value in given.by_name.items()
    }


def widened(given: Arguments, axes: Axes) -> Arguments:
    """The arguments with size 1 doubled along varying axes: torch takes a size 1 for a constant."""
    wide: dict[str, Any] = {}
    for name, places in axes.items():
        value = given.by_name[name]
        for place, axis in places.items():
            if value.shape[place] == 1 and axis.hi > 1:
                value = torch.cat((value, value), dim=place)
        wide[name] = value
    return given.replaced(wide)
