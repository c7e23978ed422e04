"""Small questions about values that several passes ask."""

from __future__ import annotations

import numpy as np

from irc.ir.graph import Node, Value
from irc.ir.ops.math import Add, Clamp, Mul, Relu, Sub, Where
from irc.ir.ops.norm import Softmax
from irc.ir.ops.quant import constant_of
from irc.ir.ops.structure import Const

VERY_NEGATIVE = -1e4  # what masks add to, or put in place of, a score that must not count


def is_mask_fill(value: Value) -> bool:
    """Whether a value is a constant so negative that softmax ignores it."""
    array = constant_of(value)
    return array is not None and bool(np.all(array <= VERY_NEGATIVE))


def masked_scores(node: Node) -> bool:
    """Whether a node only hides scores from a softmax: where(mask, scores, very negative)."""
    return (
        isinstance(node, Where) and is_mask_fill(node.y) and all(isinstance(u, Softmax) for u in node.results[0].users)
    )


def scalar_constant(value: Value) -> float | None:
    """The number, if the value is a constant with one element."""
    node = value.node
    if isinstance(node, Const) and node.value.size == 1 and node.value.scalar.is_float:
        return float(node.value.array.reshape(()))
    return None


def continues_sum(node: Node) -> bool:
    """Whether a node takes an accumulator as it is: it adds, bounds, or multiplies by a positive number."""
    return isinstance(node, Relu | Clamp | Add | Sub) or (isinstance(node, Mul) and (scalar_constant(node.y) or 0) > 0)


def is_real(value: Value) -> bool:
    """Whether a value is computed floats."""
    return value.type.scalar.is_float and not isinstance(value.node, Const)
