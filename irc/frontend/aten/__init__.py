"""How each ATen op becomes ops of the IR: one file a family, named as in `irc/ir/ops`."""

from __future__ import annotations

from irc.frontend.aten import attention, bits, linear, math, norm, order, pool, resize, structure, tensor
from irc.frontend.aten.refusals import refused
from irc.frontend.aten.table import CONVERTERS
from irc.frontend.context import Converter
from irc.frontend.untyped import decomposable, has_kernel

__all__ = ["COMPUTED", "CONVERTERS", "converter", "is_importable", "refused"]
# Checks of sizes and types, whose place the IR's own types take, and ops that torch writes as others.
REWRITTEN = frozenset(
    {
        "aten.zero.default",
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
# What makes weights out of others (parametrizations) or indices: torch computes it, where all operands are constants.
COMPUTED = frozenset(
    {
        "aten.linalg_matrix_exp.default",
        "aten.linalg_householder_product.default",
        "aten.linalg_qr.default",
        "aten.linalg_inv_ex.default",
        "aten.linalg_solve_ex.default",
        "aten._linalg_solve_ex.default",
        "aten.linalg_solve_triangular.default",
        "aten.tril_indices.default",
        "aten.triu_indices.default",
    }
)
FAMILIES = (
    attention,
    bits,
    linear,
    math,
    norm,
    order,
    pool,
    resize,
    structure,
    tensor,
)  # importing them fills the table


def converter(target: str) -> Converter | None:
    """The converter of an overload, `aten.linear.default`; None if there is none."""
    return CONVERTERS.get(target)


def is_importable(target: str) -> bool:
    """Whether an overload may stand in a program before torch has made it functional.

    True for those in the table, for checks without effect, for what torch itself decomposes into others, and for the
    in-place forms of all these (`aten.relu_.default`). Whether the parts can be imported is seen afterwards.
    """
    namespace, _, rest = target.partition(".")
    name, _, overload = rest.partition(".")
    if namespace != "aten":
        return False
    if target in CONVERTERS or target in REWRITTEN or target in COMPUTED or target in decomposable():
        return True
    if name.endswith("_") and not name.startswith("_"):
        return is_importable(f"aten.{name[:-1]}.{overload}")
    return _is_composite(f"aten::{name}" + (f".{overload}" if overload != "default" else ""))


def _is_composite(name: str) -> bool:
    """Whether torch defines an op by other ops alone. A name that is no op is not."""
    try:
        return has_kernel(name, "CompositeImplicitAutograd")
    except RuntimeError:
        return False
