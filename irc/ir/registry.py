"""The ops that exist, resolved to classes."""

from __future__ import annotations

from irc.ir.op import Op
from irc.tables import OPS


def op_class(name: str) -> type[Op]:
    """The class of an op. Raises UsageError for an unknown name."""
    return OPS.get(name)


def all_ops() -> dict[str, type[Op]]:
    """Every registered op, by name."""
    return {name: OPS.get(name) for name in OPS.names()}
