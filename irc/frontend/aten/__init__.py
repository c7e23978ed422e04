"""How each ATen op becomes ops of the IR: one file a family, named as in `irc/ir/ops`."""

from __future__ import annotations

import difflib

import torch

from irc.frontend.aten import attention, linear, math, norm, pool, structure, tensor
from irc.frontend.aten.table import CONVERTERS
from irc.frontend.context import Converter

__all__ = ["CONVERTERS", "converter", "is_importable", "nearest"]
# Checks of sizes and types; they have no result, and shapes are checked by the IR's own types.
EFFECTLESS = frozenset(
    f"aten.{name}"
    for name in ["sym_size.int", "sym_numel.default", "sym_stride.int", "_assert_scalar.default", "_assert_tensor_metadata.default", "_assert_async.msg", "sym_constrain_range.default", "sym_constrain_range_for_size.default"]
)
FAMILIES = (attention, linear, math, norm, pool, structure, tensor)  # importing them fills the table


def converter(target: str) -> Converter | None:
    """The converter of an overload, `aten.linear.default`; None if there is none."""
    return CONVERTERS.get(target)


def is_importable(target: str) -> bool:
    """Whether an overload has a converter once torch has made the program functional.

    True for those in the table, for their in-place forms (`aten.relu_.default`), and for what torch composes of other ops
    (`aten.reshape.default`). Whether an op that is composed can be imported in the end is not known here.
    """
    if target in CONVERTERS or target in EFFECTLESS:
        return True
    namespace, _, rest = target.partition(".")
    name, _, overload = rest.partition(".")
    if f"{namespace}.{name.removesuffix('_')}.{overload}" in CONVERTERS:
        return True
    return namespace == "aten" and _is_composite(f"aten::{name}" + (f".{overload}" if overload != "default" else ""))


def _is_composite(name: str) -> bool:
    """Whether torch defines an op by other ops alone. A name that is no op is not."""
    try:
        return torch._C._dispatch_has_kernel_for_dispatch_key(name, "CompositeImplicitAutograd")
    except RuntimeError:
        return False


def nearest(target: str) -> str:
    """What to do about an unsupported op."""
    close = difflib.get_close_matches(target, CONVERTERS, n=1, cutoff=0.75)
    similar = f"the nearest supported op is {close[0]}; " if close else ""
    return f"{similar}replace the layer, or write it with supported ops"
