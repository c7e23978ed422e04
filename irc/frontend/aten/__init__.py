"""How each ATen op becomes ops of the IR: one file a family, named as in `irc/ir/ops`."""

from __future__ import annotations

import difflib
from functools import cache

from irc.frontend.aten import attention, linear, math, norm, pool, structure, tensor
from irc.frontend.aten.table import CONVERTERS
from irc.frontend.context import Converter
from irc.frontend.untyped import decomposable, has_kernel

__all__ = ["CONVERTERS", "converter", "is_importable", "nearest"]
# Checks of sizes and types; they have no result, and shapes are checked by the IR's own types.
EFFECTLESS = frozenset(
    {
        "aten.sym_size.int",
        "aten.sym_numel.default",
        "aten.sym_stride.int",
        "aten._assert_scalar.default",
        "aten._assert_tensor_metadata.default",
        "aten._assert_async.msg",
        "aten.sym_constrain_range.default",
        "aten.sym_constrain_range_for_size.default",
    }
)
FAMILIES = (attention, linear, math, norm, pool, structure, tensor)  # importing them fills the table


def converter(target: str) -> Converter | None:
    """The converter of an overload, `aten.linear.default`; None if there is none."""
    return CONVERTERS.get(target)


def is_importable(target: str) -> bool:
    """Whether an overload may stand in a program before torch has made it functional.

    True for those in the table and their in-place forms (`aten.relu_.default`), for checks without effect, and for what
    torch itself decomposes into others. Whether the parts can be imported is seen afterwards.
    """
    if target in CONVERTERS or target in EFFECTLESS or target in _decomposed():
        return True
    namespace, _, rest = target.partition(".")
    name, _, overload = rest.partition(".")
    if name.endswith("_") and f"{namespace}.{name[:-1]}.{overload}" in CONVERTERS:
        return True
    return namespace == "aten" and _is_composite(f"aten::{name}" + (f".{overload}" if overload != "default" else ""))


@cache
def _decomposed() -> frozenset[str]:
    """The overloads for which torch has a decomposition."""
    return decomposable()


def _is_composite(name: str) -> bool:
    """Whether torch defines an op by other ops alone. A name that is no op is not."""
    try:
        return has_kernel(name, "CompositeImplicitAutograd")
    except RuntimeError:
        return False


def nearest(target: str) -> str:
    """What to do about an unsupported op."""
    close = difflib.get_close_matches(target, CONVERTERS, n=1, cutoff=0.75)
    similar = f"the nearest supported op is {close[0]}; " if close else ""
    return f"{similar}replace the layer, or write it with supported ops"
