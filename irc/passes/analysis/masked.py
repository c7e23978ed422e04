"""What the masks of weights leave of a layer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from irc.ir.graph import Value
from irc.ir.masks import expand_mask
from irc.ir.op import Op
from irc.ir.ops.linear import Conv, Linear
from irc.ir.ops.quant import Dequantize
from irc.ir.ops.structure import Const


def kept_count(const: Const) -> int:
    """How many values of a constant its mask keeps."""
    if const.mask is None or not const.mask.bits.loaded:
        return const.value.size
    return int(np.count_nonzero(expand_mask(const.mask, const.value.shape)))


def kept_weights(op: Op, outer: Mapping[Value, Value]) -> tuple[int, int]:
    """How many weights of an op are kept, of how many; (1, 1) for an op without masked weights.

    `outer` says what the inputs of the region around it stand for.
    """
    if not isinstance(op, Linear | Conv):
        return 1, 1
    node = outer.get(op.w, op.w).node
    if isinstance(node, Dequantize):
        node = outer.get(node.x, node.x).node
    if not isinstance(node, Const) or node.mask is None or not node.value.size:
        return 1, 1
    return kept_count(node), node.value.size
