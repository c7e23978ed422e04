"""Graph to text. Knows no op class: everything it prints comes from fields that the op declares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, Protocol

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
    opname: ClassVar[str]
    terminator: ClassVar[bool]

    @property
    def results(self) -> Sequence[ValueLike]: ...
    @property
    def operands(self) -> Sequence[ValueLike]: ...
    @property
    def regions(self) -> Sequence[GraphLike]: ...
    @property
    def loc(self) -> Loc: ...

    def operand_groups(self) -> Sequence[ValueLike | None]:
        """Operands in field order; None stands for a missing one."""
        ...

    def shown_attributes(self) -> tuple[list[str], list[tuple[str, str]]]:
        """Texts in front of the operands, and (name, text) pairs for the braces."""
        ...


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
        # <?>: used before its definition, only in dumps of invalid graphs
        return f"%{self._names.get(id(value), '<?>')}"


def _types_text(values: Sequence[ValueLike]) -> str:
    if len(values) == 1:
        return str(values[0].type)
    return f"({', '.join(str(v.type) for v in values)})"


def _node_lines(node: NodeLike, names: _Names, depth: int) -> list[str]:
    """`%r = op head operands {attributes} : types loc`; with a region, `-> types { body } loc` after the attributes."""
    pad = INDENT * depth
    head, attributes = node.shown_attributes()
    operands = [names.use(v) if v is not None else "_" for v in node.operand_groups()]
    body = node.regions[0] if node.regions else None
    if body is not None:
        bound = [f"{names.define(v)} = {outer}" for v, outer in zip(body.inputs, operands, strict=False)]
        operands = [f"({', '.join(bound)})"]
    words = [node.opname, *head, *([", ".join(operands)] if operands else [])]
    if attributes:
        words.append(f"{{{', '.join(f'{k} = {v}' for k, v in attributes)}}}")
    text = pad + " ".join(words)
    if node.results:
        text = f"{pad}{', '.join(names.define(r) for r in node.results)} = {' '.join(words)}"
    loc = f"  {node.loc}" if node.loc else ""
    if body is not None:
        inner = [line for n in body.nodes for line in _node_lines(n, names, depth + 1)]
        return [f"{text} -> {_types_text(node.results)} {{", *inner, f"{pad}}}{loc}"]
    return [text + ("" if node.terminator else f" : {_types_text(node.results)}") + loc]


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
