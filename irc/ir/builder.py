"""Inserting nodes: infers their types, sets their locations.

b = Builder.at_end(graph)
w = b.const(array)
y = b(Linear(x, w))
"""

from __future__ import annotations

import numpy as np

from irc.ir.constants import Data
from irc.ir.graph import Graph, Node, Value
from irc.ir.location import UNKNOWN, Loc
from irc.ir.op import Op
from irc.ir.scalars import Array, ScalarType
from irc.ir.types import Element, Encoding
from irc.tables import OPS


class Builder:
    """Inserts nodes into a graph in front of `before`, or at its end; new nodes get `loc`."""

    def __init__(self, graph: Graph, before: Node | None = None, loc: Loc = UNKNOWN) -> None:
        self.graph = graph
        self.before = before
        self.loc = loc

    @staticmethod
    def before_node(node: Node, loc: Loc | None = None) -> Builder:
        """Insert in front of `node`, with its location unless another is given."""
        if node.graph is None:
            raise ValueError(f"{node.opname} is in no graph")
        return Builder(node.graph, node, node.loc if loc is None else loc)

    @staticmethod
    def at_end(graph: Graph, loc: Loc = UNKNOWN) -> Builder:
        return Builder(graph, None, loc)

    def add(self, node: Op, name: str = "") -> Op:
        """Insert a new node; its results exist afterwards. Raises IrcError if its operands do not fit together."""
        if not node.loc:
            node.loc = self.loc
        try:
            node.set_result_types()
        except Exception:
            node.drop_operands()  # leave no uses behind a node that never came to be
            raise
        if name and node.results:
            node.results[0].name = name
        if self.before is not None:
            self.graph.insert(node, before=self.before)
        else:
            self.graph.append(node)
        return node

    def __call__(self, node: Op, name: str = "") -> Value:
        """Insert a new node with one result and return the result."""
        return self.add(node, name).result

    def const(
        self,
        value: Array | float | int,
        scalar: ScalarType | None = None,
        encoding: Encoding | None = None,
        name: str = "",
    ) -> Value:
        """A constant of these values."""
        data = Data.of(np.asarray(value), scalar)
        return self(OPS.get("const")(data, Element(data.scalar, encoding)), name)
