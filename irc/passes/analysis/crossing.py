"""What a host does around a graph of codes: bring its inputs from floats to codes and its masks from 64-bit integers to
bools, and compute with floats after it."""

from __future__ import annotations

from typing import cast

from irc.ir.graph import Graph, Value
from irc.ir.op import Op
from irc.ir.ops.quant import Dequantize, Quantize
from irc.ir.ops.structure import Const
from irc.ir.ops.tensor import Gather
from irc.ir.scalars import BOOL


def entering(graph: Graph) -> set[Op]:
    """What happens to inputs before a device computes with codes of at most 32 bits.

    Floats up to the quantize ops, comparisons and casts that end them, or up to a result, if they serve for nothing
    else; and 64-bit integers, such as a mask of tokens that is compared with 0, with the bools that they are made from.
    """
    coded = any(isinstance(n, Quantize) for n in graph.nodes)
    found: list[Op] = []
    outside = set(graph.inputs)
    flags = {v for v in graph.inputs if is_wide(v) or v.type.scalar == BOOL}
    of_flags: set[Op] = set()
    for node in graph.nodes:
        op = cast(Op, node)
        if isinstance(op, Const):
            outside.add(op.result)
        elif not op.terminator and not isinstance(op, Dequantize) and all(v in outside for v in op.operands):
            found.append(op)
            if not isinstance(op, Quantize):
                outside.update(op.results)
            if all(v in flags or isinstance(v.node, Const) for v in op.operands):
                of_flags.add(op)
                flags.update(v for v in op.results if is_wide(v) or v.type.scalar == BOOL)
    kept: set[Op] = set()
    for op in reversed(found):
        users = [user for value in op.results for user in value.users]
        of_floats = coded and any(v.type.scalar.is_float for v in op.operands)
        ends = of_floats and not any(v.type.scalar.is_float for v in op.results)
        leading = any(user in kept for user in users)
        alone = bool(users) and all(user in kept or (of_floats and user.terminator) for user in users)
        if isinstance(op, Quantize) or ends or alone or (op in of_flags and (takes_64_bits(op) or leading)):
            kept.add(op)
    return kept


def is_wide(value: Value) -> bool:
    """Whether a value is integers of more than 32 bits."""
    return value.type.scalar.is_integer and value.type.scalar.bits > 32


def takes_64_bits(op: Op) -> bool:
    """Whether an op computes with integers of more than 32 bits; a gather that only has such indices does not."""
    wide = [v for v in op.operands if is_wide(v)]
    indices = isinstance(op, Gather) and wide == [op.indices]
    return any(map(is_wide, op.results)) or bool(wide and not indices)


def leaving(graph: Graph) -> set[Op]:
    """The dequantize ops of results and what is computed from these, unless that becomes codes again."""
    last: set[Op] = set()
    for node in reversed(list(graph.nodes)):
        op = cast(Op, node)
        users = [user for value in op.results for user in value.users]
        if not isinstance(op, Quantize) and users and all(user.terminator or user in last for user in users):
            last.add(op)
    behind: set[Op] = set()
    for node in graph.nodes:
        op = cast(Op, node)
        if op in last and (isinstance(op, Dequantize) or any(v.node in behind for v in op.operands)):
            behind.add(op)
    return behind
