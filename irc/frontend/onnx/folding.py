"""A builder that computes what depends on constants only, so that shapes, axes and the like are known at import."""

from __future__ import annotations

import math

from irc.ir.builder import Builder
from irc.ir.constants import Data
from irc.ir.diagnostics import IrcError
from irc.ir.graph import Graph, Module
from irc.ir.interpret import run_node
from irc.ir.location import Loc
from irc.ir.op import Op
from irc.ir.ops.quant import Dequantize, Quantize
from irc.ir.ops.structure import Const

FREE = 2**16  # elements of a result that are computed whatever they come from
WEIGHTS = 16  # bits of quantized weights, which stay quantized; wider codes are biases


class FoldingBuilder(Builder):
    """See the module docstring. Constants that grow much larger than what they are made of are left to passes."""

    def __init__(self, graph: Graph, loc: Loc) -> None:
        super().__init__(graph, None, loc)

    def add(self, node: Op, name: str = "") -> Op:
        """Insert a node, or the constant that it computes."""
        added = super().add(node, name)
        value = self._folded(added)
        if value is None:
            return added
        added.erase()
        return super().add(value, name)

    def _folded(self, node: Op) -> Const | None:
        constants = [v.node for v in node.operands if isinstance(v.node, Const)]
        if _is_kept(node) or len(constants) < len(node.operands) or not self._small(node):
            return None
        try:
            (array,) = run_node(node, [n.value.array for n in constants], {}, Module())
        except IrcError:
            return None  # it fails at run time as well, if it is run
        element = node.result.type.element
        return Const(Data.of(array, element.scalar), element)

    def _small(self, node: Op) -> bool:
        shape = node.result.type.static_shape if len(node.results) == 1 else None
        if shape is None:
            return False
        given = sum(math.prod(v.type.static_shape or ()) for v in node.operands)
        return math.prod(shape) <= max(FREE, given)


def _is_kept(node: Op) -> bool:
    return isinstance(node, Const | Quantize) or (isinstance(node, Dequantize) and node.x.type.scalar.bits <= WEIGHTS)
