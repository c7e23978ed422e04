"""`fuse`: outlining into kernel regions.

A region holds one anchor (an op with the trait `anchor`), the elementwise ops that follow it, and the elementwise ops
that only prepare another operand of those. The pass knows no backend; one that cannot run a region as a unit splits it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from irc.ir.builder import Builder
from irc.ir.dims import same_shape
from irc.ir.graph import Graph, Module, Value
from irc.ir.location import fuse as fused
from irc.ir.op import Op
from irc.ir.ops.structure import Const, Kernel, Yield
from irc.passes.analysis.crossing import entering, leaving
from irc.passes.base import Pass, PassContext


@dataclass(frozen=True)
class Fuse(Pass):
    """Put each anchor op and the elementwise ops around it into one kernel region.

    An elementwise op joins the region that computes an operand nothing else reads, if its other operands are constants
    or have the shape of its result. Of several such regions it joins the last one with an anchor, so a residual
    addition is done by the later of its two branches; elementwise ops that only prepare its other operand come along.
    Elementwise ops that follow no anchor form regions of their own. Movements, constants, single ops, and what brings
    the inputs of the function from floats to codes or follows the floats of its results, stay outside.
    """

    name = "fuse"
    effect = "exact"

    def run(self, module: Module, cx: PassContext) -> None:
        for function in module.functions.values():
            for group in _groups(function):
                if len(group.nodes) > 1:
                    _outline(function, group, self.name)


@dataclass(eq=False)
class _Group:
    """Nodes that become one region, by their position in the function."""

    nodes: dict[int, Op]
    anchored: bool

    @property
    def end(self) -> int:
        return max(self.nodes)


def _groups(graph: Graph) -> list[_Group]:
    """One group for every anchor, and one for every chain of elementwise ops that joins none."""
    open_groups: dict[Value, _Group] = {}  # the value a group computes -> the group
    groups: dict[_Group, None] = {}
    # Where a device computes on codes, its host does what is in front of them and behind.
    outside = entering(graph) | leaving(graph)
    for position, node in enumerate(graph.nodes):
        op = cast(Op, node)
        if not (op.anchor or op.elementwise) or len(op.results) != 1 or op in outside:
            continue
        candidates = [] if op.anchor else _candidates(op, open_groups)
        if candidates:
            group = max(candidates, key=lambda g: (g.anchored, g.end))
            for other in candidates:
                if other is not group and not other.anchored:
                    group.nodes.update(other.nodes)
                    del groups[other]
            group.nodes[position] = op
        else:
            group = _Group({position: op}, op.anchor)
            groups[group] = None
        open_groups[op.results[0]] = group
    return list(groups)


def _candidates(op: Op, open_groups: dict[Value, _Group]) -> list[_Group]:
    """The groups an elementwise op can join: they compute an operand that only this op reads."""
    operands = [cast(Value, getattr(op, name)) for name in op.elementwise]
    shape = op.results[0].type.shape
    if not all(isinstance(v.node, Const) or same_shape(v.type.shape, shape) for v in operands):
        return []
    found = [open_groups[v] for v in operands if v in open_groups and v.users == (op,)]
    return list(dict.fromkeys(found))


def _outline(graph: Graph, group: _Group, pass_name: str) -> None:
    """Move the nodes of a group into a kernel at the place of the last one, where all its operands are defined."""
    nodes = [group.nodes[position] for position in sorted(group.nodes)]
    result, following = nodes[-1].results[0], nodes[-1].next
    readers = result.uses
    inside = {value for node in nodes for value in node.results}
    outer = list(dict.fromkeys(v for node in nodes for v in node.operands if v not in inside))
    body = Graph([v.type for v in outer], names=[v.name for v in outer])
    entry = dict(zip(outer, body.inputs, strict=True))
    for node in nodes:
        graph.unlink(node)
        body.append(node)
        for index, value in enumerate(node.operands):
            node.set_operand(index, entry.get(value, value))
    Builder.at_end(body).add(Yield((result,)))
    # The anchor's location first: it is the layer that reports name.
    loc = fused(node.loc for node in sorted(nodes, key=lambda n: not n.anchor)).via(pass_name)
    kernel = Builder(graph, following, loc).add(Kernel(tuple(outer), body), result.name)
    for use in readers:
        use.node.set_operand(use.index, kernel.results[0])
