"""New nodes, graphs and modules from existing ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from irc.ir.attrs import Attr
from irc.ir.builder import Builder
from irc.ir.dims import Dim, Expr, substitute
from irc.ir.graph import Graph, Module, Node, Value
from irc.ir.location import Loc
from irc.ir.op import Op
from irc.ir.types import TensorType


def clone(module: Module) -> Module:
    """An equal module whose nodes and values are its own; constants are shared."""
    return Module([_copied(function) for function in module.functions.values()])


def _copied(graph: Graph) -> Graph:
    """An equal graph, types as they are."""
    names, types = [v.name for v in graph.inputs], [v.type for v in graph.inputs]
    new = Graph(types, names=names, name=graph.name, symbols=graph.symbols.values())
    values = dict(zip(graph.inputs, new.inputs, strict=True))
    for node in graph.nodes:
        operands, regions = [values[v] for v in node.operands], [_copied(region) for region in node.regions]
        twin = type(node).__new__(type(node))
        Node.__init__(twin, operands, node.segments, node.attributes, regions, node.loc)
        twin.results = tuple(Value(v.type, twin, v.index, v.name) for v in node.results)
        values.update(zip(node.results, twin.results, strict=True))
        new.append(twin)
    return new


def rebuilt(op: Op, **changes: Any) -> Op:
    """A new node like `op` with some fields changed; not inserted, without results and location."""
    return type(op)(**{**{f.name: getattr(op, f.name) for f in op.fields}, **changes})


def with_dims(attr: Attr, dims: Mapping[str, Dim]) -> Attr:
    """An attribute with symbols replaced; what `dims` does not name stays."""
    if isinstance(attr, Expr):
        return substitute(attr, dims)
    if isinstance(attr, TensorType):
        return attr.substitute(dict(dims))
    if isinstance(attr, tuple):
        return tuple(with_dims(item, dims) for item in cast("tuple[Attr, ...]", attr))
    return attr


def copy_node(op: Op, values: dict[Value, Value], dims: Mapping[str, Dim], b: Builder, loc: Loc) -> Op:
    """Insert a copy of `op` that reads `values[v]` for each operand v; its results are added to `values`.

    Types are inferred anew, so encodings of the operands reach the results. Raises IrcError where they do not fit.
    """
    changes: dict[str, Any] = {}
    for field in op.fields:
        value: Any = getattr(op, field.name)
        if isinstance(value, Value):
            changes[field.name] = values[value]
        elif field.kind == "variadic":
            changes[field.name] = tuple(values[v] for v in value)
        elif not isinstance(value, Graph):
            changes[field.name] = with_dims(value, dims)
        else:
            outer = [values[v] for v in op.operands]
            changes[field.name] = _copy_region(value, [v.type for v in outer], dims)
    node = type(op)(**changes)
    node.loc = loc
    b.add(node)
    for old, new in zip(op.results, node.results, strict=True):
        new.name = old.name
        values[old] = new
    return node


def _copy_region(region: Graph, inputs: list[TensorType], dims: Mapping[str, Dim]) -> Graph:
    """A copy of the region of a node for operands of these types."""
    body = Graph(inputs, names=[v.name for v in region.inputs])
    values = dict(zip(region.inputs, body.inputs, strict=True))
    b = Builder.at_end(body)
    for node in region.nodes:
        copy_node(cast(Op, node), values, dims, b, node.loc)
    return body
