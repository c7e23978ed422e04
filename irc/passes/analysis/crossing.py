"""What a host does around a graph of codes: bring its inputs from floats to codes, and compute with floats after it."""

from __future__ import annotations

from typing import cast

from irc.ir.graph import Graph
from irc.ir.op import Op
from irc.ir.ops.quant import Dequantize, Quantize
from irc.ir.ops.structure import Const


def entering(graph: Graph) -> set[Op]:
    """What happens to inputs as floats up to the quantize ops that end it, and serves for nothing else."""
    found: list[Op] = []
    outside = set(graph.inputs)
    for node in graph.nodes:
        op = cast(Op, node)
        if isinstance(op, Const):
            outside.add(op.result)
        elif not op.terminator and not isinstance(op, Dequantize) and all(v in outside for v in op.operands):
            found.append(op)
            if not isinstance(op, Quantize):
                outside.update(op.results)
    kept: set[Op] = set()
    for op in reversed(found):
        users = [user for value in op.results for user in value.users]
        if isinstance(op, Quantize) or (users and all(user in kept for user in users)):
            kept.add(op)
    return kept


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
