"""Graph to text. Knows no op class: everything it prints comes from fields that the op declares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, cast

from irc.ir.attrs import Attr, FuncRef, Mask
from irc.ir.constants import Data, data_text
from irc.ir.dims import Symbol
from irc.ir.location import Loc, quote
from irc.ir.types import TensorType


class ValueLike(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def type(self) -> TensorType: ...


class GraphLike(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def inputs(self) -> Sequence[ValueLike]: ...
    @property
    def outputs(self) -> Sequence[ValueLike]: ...
    @property
    def nodes(self) -> Iterable[NodeLike]: ...
    @property
    def symbols(self) -> Mapping[str, Symbol]: ...


class NodeLike(Protocol):
    """What the printer needs of a node. `Op` adds `operand_groups` and `shown_attributes` from its declaration."""

    opname: Any

    @property
    def results(self) -> Sequence[ValueLike]: ...
    @property
    def operands(self) -> Sequence[ValueLike]: ...
    @property
    def regions(self) -> Sequence[GraphLike]: ...
    @property
    def loc(self) -> Loc: ...


class ModuleLike(Protocol):
    @property
    def functions(self) -> Mapping[str, GraphLike]: ...


INDENT = "  "


def attr_text(value: Attr) -> str:
    """The text of an attribute. Words of a `Literal` field print bare, see `shown_attributes`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "none"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, FuncRef):
        return f"@{value}"
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, Data):
        return data_text(value)
    if isinstance(value, Mask):
        params = f"<{'x'.join(map(str, value.params))}, {data_text(value.bits)}>"
        return value.kind + params if value.params else f"{value.kind}<{data_text(value.bits)}>"
    if isinstance(value, tuple):
        return f"[{', '.join(attr_text(v) for v in value)}]"
    return str(value)


class _Names:
    """Gives every value of a function a unique printable name, its hint where possible."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._taken: set[str] = set()
        self._counters: dict[str, int] = {}

    def define(self, value: ValueLike) -> str:
        hint = "".join(c if c.isascii() and (c.isalnum() or c in "_.$") else "_" for c in value.name)
        name = hint
        if not hint or hint in self._taken or hint.isdigit():
            stem = f"{hint}_" if hint and not hint.isdigit() else ""
            number = self._counters.get(stem, 0)
            while f"{stem}{number}" in self._taken:
                number += 1
            self._counters[stem] = number + 1
            name = f"{stem}{number}"
        self._taken.add(name)
        self._names[id(value)] = name
        return f"%{name}"

    def use(self, value: ValueLike) -> str:
        return (
            f"%{self._names.get(id(value), '<?>')}"  # <?>: used before its definition, only in dumps of invalid graphs
        )


def _types_text(values: Sequence[ValueLike]) -> str:
    if len(values) == 1:
        return str(values[0].type)
    return f"({', '.join(str(v.type) for v in values)})"


def _node_lines(node: NodeLike, names: _Names, depth: int) -> list[str]:
    pad = INDENT * depth
    # Operands are named before results, so that a node printed alone does not show its results first.
    groups = cast(Any, node).operand_groups()
    shown = cast(Any, node).shown_attributes()
    head, attributes = cast("tuple[list[str], list[tuple[str, str]]]", shown)
    operands = cast("list[ValueLike | None]", groups)
    loc = f"  {node.loc}" if node.loc else ""
    braces = f" {{{', '.join(f'{k} = {v}' for k, v in attributes)}}}" if attributes else ""
    words = [node.opname, *head]

    if node.regions:
        (body,) = node.regions
        pairs = list(zip(body.inputs, operands, strict=True))
        outer = [names.use(cast(ValueLike, operand)) for _, operand in pairs]
        bound = ", ".join(f"{names.define(inner)} = {text}" for (inner, _), text in zip(pairs, outer, strict=True))
        results = ", ".join(names.define(r) for r in node.results)
        lines = [f"{pad}{results} = {' '.join(words)} ({bound}){braces} -> {_types_text(node.results)} {{"]
        for inner in body.nodes:
            lines += _node_lines(inner, names, depth + 1)
        lines.append(f"{pad}}}{loc}")
        return lines

    args = ", ".join(names.use(v) if v is not None else "_" for v in operands)
    text = " ".join([*words, args]) if args else " ".join(words)
    if node.results:
        results = ", ".join(names.define(r) for r in node.results)
        return [f"{pad}{results} = {text}{braces} : {_types_text(node.results)}{loc}"]
    return [f"{pad}{text}{braces}{loc}"]


def print_graph(graph: GraphLike) -> str:
    """The text of one function (or, for messages, of a region)."""
    names = _Names()
    inputs = ", ".join(f"{names.define(v)}: {v.type}" for v in graph.inputs)
    where = f" where {', '.join(str(s) for s in graph.symbols.values())}" if graph.symbols else ""
    lines = [f"func @{graph.name}({inputs}) -> {_types_text(graph.outputs)}{where} {{"]
    for node in graph.nodes:
        lines += _node_lines(node, names, 1)
    return "\n".join([*lines, "}"])


def print_module(module: ModuleLike) -> str:
    return "\n\n".join(print_graph(f) for f in module.functions.values()) + "\n"


def print_node(node: NodeLike) -> str:
    """One node alone, for messages."""
    names = _Names()
    for value in node.operands:
        names.define(value)
    return "\n".join(_node_lines(node, names, 0))
