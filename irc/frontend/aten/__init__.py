"""How each ATen op becomes ops of the IR: one file a family, named as in `irc/ir/ops`."""

from __future__ import annotations

from irc.frontend.aten import attention, linear, math, norm, pool, structure, tensor
from irc.frontend.aten.table import CONVERTERS
from irc.frontend.context import Converter
from irc.ir.diagnostics import did_you_mean

__all__ = ["CONVERTERS", "converter", "nearest"]
FAMILIES = (attention, linear, math, norm, pool, structure, tensor)  # importing them fills the table


def converter(target: str) -> Converter | None:
    """The converter of an overload, `aten.linear.default`; None if there is none."""
    return CONVERTERS.get(target)


def nearest(target: str) -> str:
    """What to do about an unsupported op."""
    similar = did_you_mean(target, CONVERTERS)
    advice = "replace the layer, or write it with supported ops"
    if similar.startswith("did you mean"):
        return f"the nearest supported op is {similar.split(chr(39))[1]}; {advice}"
    return advice
