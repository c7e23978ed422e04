"""The fields an op declares: what annotations mean, which values they admit, how a node reads and writes them."""

from __future__ import annotations

import types as pytypes
import typing
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, Union, get_args, get_origin

import numpy as np

from irc.ir.attrs import FuncRef
from irc.ir.constants import Data
from irc.ir.dims import Expr
from irc.ir.graph import Graph, Node, Value
from irc.ir.printer import attr_text

FieldKind = Literal["operand", "optional", "variadic", "region", "attribute", "of_result"]
OPERANDS = ("operand", "optional", "variadic")
INT64 = range(-(2**63), 2**63)


class _Marker:
    """A default that is no value."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


MISSING: Any = _Marker("MISSING")
_OF_RESULT: Any = _Marker("OF_RESULT")


def of_result() -> Any:
    """Marks an attribute that the text format reads from the result type."""
    return _OF_RESULT


@dataclass(frozen=True)
class Field:
    """One declared field of an op."""

    name: str
    kind: FieldKind
    annotation: Any
    default: Any = MISSING
    by_name: bool = False  # declared below `_: KW_ONLY`

    @cached_property
    def literal(self) -> bool:
        """Whether values are words of a `Literal`, which print without quotes."""
        return get_origin(self.annotation) is Literal

    @cached_property
    def up_front(self) -> bool:
        """Whether the value stands in front of the operands: `const #hash`, `call @f %x`."""
        return self.annotation in (Data, FuncRef)

    def admits(self, value: Any) -> bool:
        """Whether an attribute value has the declared type."""
        return _admits(self.annotation, value)

    def text(self, value: Any) -> str:
        """The text of a value."""
        return str(value) if self.literal else attr_text(value)

    def plain(self, value: Any) -> Any:
        """The value as text, hash and equality want it: NumPy scalars, lists and ints for floats become plain."""
        return _plain(self.annotation, value)


def declared_fields(cls: type[Any], base: type[Any]) -> tuple[Field, ...]:
    """The fields of a subclass of `base`, inherited ones first."""
    hints = typing.get_type_hints(cls)
    fields: dict[str, Field] = {}
    for owner in reversed(cls.__mro__):
        if not issubclass(owner, base) or owner is base:
            continue
        by_name = False
        for name in vars(owner).get("__annotations__", {}):
            annotation = hints[name]
            if annotation is KW_ONLY:
                by_name = True
            elif get_origin(annotation) is not ClassVar:
                if hasattr(base, name):
                    raise TypeError(f"field '{name}' of {cls.__name__} would hide a member of {base.__name__}")
                default = getattr(cls, name, MISSING)
                kind = _kind_of(annotation, default)
                fields[name] = Field(name, kind, annotation, MISSING if default is _OF_RESULT else default, by_name)
    return tuple(fields.values())


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, pytypes.UnionType)


def _kind_of(annotation: Any, default: Any) -> FieldKind:
    if default is _OF_RESULT:
        return "of_result"
    if annotation is Value:
        return "operand"
    if annotation is Graph:
        return "region"
    if annotation == tuple[Value, ...]:
        return "variadic"
    return "optional" if _is_union(annotation) and Value in get_args(annotation) else "attribute"


def _admits(annotation: Any, value: Any) -> bool:
    if annotation is float:
        return isinstance(value, float) and value == value  # NaN would make a node differ from itself
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool) and value in INT64
    if isinstance(annotation, type):
        return isinstance(value, annotation)
    origin = get_origin(annotation)
    if origin is Literal:
        return value in get_args(annotation)
    if _is_union(annotation):
        return any(_admits(option, value) for option in get_args(annotation))
    if origin is tuple:
        item = get_args(annotation)[0]
        return isinstance(value, tuple) and all(_admits(item, v) for v in typing.cast("tuple[Any, ...]", value))
    return value is None if annotation is None else isinstance(value, annotation)


def _plain(annotation: Any, value: Any) -> Any:
    if isinstance(value, np.generic):
        return _plain(annotation, typing.cast(Any, value).item())
    if isinstance(value, list | tuple):
        item = get_args(annotation)[0] if get_origin(annotation) is tuple else None
        return tuple(_plain(item, v) for v in typing.cast("Sequence[Any]", value))
    if annotation is float and type(value) is int and value in INT64:
        return float(value)
    return FuncRef(value) if annotation is FuncRef and isinstance(value, str) else value


def annotation_text(annotation: Any) -> str:
    """`int | None` as users write it."""
    origin = get_origin(annotation)
    if origin is Literal:
        return " | ".join(map(str, get_args(annotation)))
    if _is_union(annotation):
        return " | ".join(annotation_text(a) for a in get_args(annotation))
    if origin is tuple:
        return f"[{annotation_text(get_args(annotation)[0])}, ...]"
    if annotation is Expr:
        return "dim"
    return "none" if annotation in (None, type(None)) else str(annotation.__name__)


def bind_field(cls: type[Any], field: Field, position: int) -> None:
    """Let `node.<field>` read and write: `position` counts the operand fields, or the regions, in front of it."""
    if field.kind in OPERANDS:
        setattr(cls, field.name, _operand_property(position, field.kind))
    elif field.kind == "region":
        setattr(cls, field.name, property(lambda node: node.regions[position]))
    else:
        setattr(cls, field.name, _attribute_property(field))


def _operand_property(position: int, kind: FieldKind) -> property:
    def place(node: Node) -> tuple[int, int]:
        first = sum(node.segments[:position])
        return first, first + node.segments[position]

    def read(node: Node) -> Any:
        first, end = place(node)
        if kind == "variadic":
            return node.operands[first:end]
        return node.operands[first] if first < end else None

    def write(node: Node, value: Any) -> None:
        first, end = place(node)
        new: list[Value] = list(value) if kind == "variadic" else [] if value is None else [value]
        if len(new) == end - first == 1:
            node.set_operand(first, new[0])
            return
        segments = (*node.segments[:position], len(new), *node.segments[position + 1 :])
        node.set_operands((*node.operands[:first], *new, *node.operands[end:]), segments)

    return property(read, write)


def _attribute_property(field: Field) -> property:
    def read(node: Node) -> Any:
        return node.attributes[field.name]

    def write(node: Node, value: Any) -> None:
        value = field.plain(value)
        if node.attributes[field.name] != value:
            node.attributes[field.name] = value
            node.touch()

    return property(read, write)
