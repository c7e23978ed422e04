"""Why an operator of torch has no equivalent, and what to do about it."""

from __future__ import annotations

import difflib

from irc.frontend.aten.table import CONVERTERS
from irc.ir.diagnostics import Diagnostic
from irc.ir.location import Loc

SIZED_BY_DATA = frozenset(
    {
        "aten.bincount",
        "aten.masked_select",
        "aten.nonzero",
        "aten.nonzero_numpy",
        "aten.repeat_interleave",
        "aten.unique_consecutive",
        "aten.unique_dim",
        "aten._unique",
        "aten._unique2",
        "torchvision.nms",
    }
)
OF_GRAPHS = {  # operators whose operands are graphs, by name
    "cond": "which branch runs depends on the data: compute both and select with torch.where",
    "while_loop": "how often it runs depends on the data: write a fixed number of rounds",
}
UNROLL = "it runs a graph of its own: write a loop in Python, which torch.export unrolls"
ALL_ROWS = (
    "keep all rows and mask what does not count (torch.where, or a factor 0 or 1), so that sizes follow from the "
    "shapes of the inputs; of a mixture of experts, every expert on all rows"
)
OPAQUE = "nothing is known of a custom op but its name: export the model with the body of the op in its place"
TELLING = 8  # letters of a name that say something by their likeness: median is no mean, and sinh no sin
REPLACE = "replace the layer, or write it with supported ops"


def refused(target: str, loc: Loc) -> Diagnostic:
    """An overload without a converter, `aten.nonzero.default`, as a finding."""
    reason = ": the size of its result depends on the data" if _family(target) in SIZED_BY_DATA else ""
    return Diagnostic(f"{target} is not supported{reason}", loc, hint=remedy(target))


def remedy(target: str) -> str:
    """What to do about an unsupported op; names a supported one of ATen that is spelled nearly the same."""
    family = _family(target)
    namespace, _, name = family.rpartition(".")
    if namespace in ("", "higher_order"):
        return OF_GRAPHS.get(name, UNROLL)
    if family in SIZED_BY_DATA:
        return ALL_ROWS
    if namespace != "aten":
        return OPAQUE
    names = {known.split(".")[1]: known for known in reversed(CONVERTERS)}
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.8) if len(name) >= TELLING else ()
    return f"the nearest supported op is {names[close[0]]}; {REPLACE}" if close else REPLACE


def _family(target: str) -> str:
    """`aten.nonzero` of `aten.nonzero.default`; operators of graphs have no overloads: `higher_order.cond`, `cond`."""
    return ".".join(target.split(".")[:2])
