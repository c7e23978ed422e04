"""Op classes: declared once; constructor, printer, parser, verifier and documentation follow from typed fields.

    class Conv(Op, name="conv"):
        \"\"\"Convolution of x with w.\"\"\"

        x: Value                    # an operand
        w: Value
        b: Value | None = None      # an optional operand
        _: KW_ONLY                  # the fields below are given by name
        stride: tuple[int, ...]     # an attribute
        groups: int = 1

        def infer(self) -> TensorType: ...
        def reference(self, x, w, b): ...

A field annotated `Value`, `Value | None` or `tuple[Value, ...]` is an operand, `Graph` a region, anything else an
attribute. A field set to `of_result()` is not printed but read from the type of the result (`to: Element`,
`shape: Shape`, `types: tuple[TensorType, ...]`).
"""

from __future__ import annotations

import inspect
import types as pytypes
import typing
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Literal, NoReturn, Self, Union, dataclass_transform, get_args, get_origin

from irc.ir.attrs import Attr, FuncRef
from irc.ir.constants import Data
from irc.ir.diagnostics import Diagnostic, IrcError
from irc.ir.dims import Expr
from irc.ir.graph import Graph, Node, Value
from irc.ir.location import UNKNOWN
from irc.ir.printer import attr_text
from irc.ir.types import Element, TensorType

FieldKind = Literal["operand", "optional", "variadic", "region", "attribute", "of_result"]
OPERANDS = ("operand", "optional", "variadic")


class _Missing:
    """The default of a field that has none."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Any = _Missing()
_OF_RESULT: Any = _Missing()


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

    @cached_property
    def literal(self) -> bool:
        """Whether values are words of a `Literal` (they print without quotes)."""
        return get_origin(self.annotation) is Literal

    @cached_property
    def up_front(self) -> bool:
        """Whether the value stands in front of the operands: `const #hash`, `call @f %x`."""
        return self.annotation in (Data, FuncRef)

    def admits(self, value: Any) -> bool:
        """Whether an attribute value has the declared type."""
        return _admits(self.annotation, value)


def _admits(annotation: Any, value: Any) -> bool:
    origin = get_origin(annotation)
    if origin is Literal:
        return value in get_args(annotation)
    if origin in (Union, pytypes.UnionType):
        return any(_admits(option, value) for option in get_args(annotation))
    if origin is tuple:
        (item, _) = get_args(annotation)
        return isinstance(value, tuple) and all(_admits(item, v) for v in typing.cast("tuple[Any, ...]", value))
    if annotation is float:
        return isinstance(value, float)
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if annotation in (None, type(None)):
        return value is None
    return isinstance(value, annotation)


def annotation_text(annotation: Any) -> str:
    """`int | None` as users write it."""
    origin = get_origin(annotation)
    if origin is Literal:
        return " | ".join(map(str, get_args(annotation)))
    if origin in (Union, pytypes.UnionType):
        return " | ".join(annotation_text(a) for a in get_args(annotation))
    if origin is tuple:
        return f"[{annotation_text(get_args(annotation)[0])}, ...]"
    if annotation is Expr:
        return "dim"
    return "none" if annotation in (None, type(None)) else str(annotation.__name__)


def _kind_of(annotation: Any, default: Any) -> FieldKind:
    if default is _OF_RESULT:
        return "of_result"
    if annotation is Value:
        return "operand"
    if annotation is Graph:
        return "region"
    if get_origin(annotation) is tuple and get_args(annotation)[0] is Value:
        return "variadic"
    if get_origin(annotation) in (Union, pytypes.UnionType) and Value in get_args(annotation):
        return "optional"
    return "attribute"


def _operand_property(position: int, kind: FieldKind) -> property:
    def start(node: Node) -> int:
        return sum(node.segments[:position])

    def read(node: Node) -> Any:
        first = start(node)
        group = node.operands[first : first + node.segments[position]]
        if kind == "variadic":
            return group
        return group[0] if group else None

    def write(node: Node, value: Any) -> None:
        first, length = start(node), node.segments[position]
        if kind == "variadic":
            new = tuple(value)
        else:
            new = () if value is None else (value,)
        if len(new) == length == 1:
            node.set_operand(first, new[0])
            return
        operands = (*node.operands[:first], *new, *node.operands[first + length :])
        segments = (*node.segments[:position], len(new), *node.segments[position + 1 :])
        node.set_operands(operands, segments)

    return property(read, write)


def _attribute_property(field: Field) -> property:
    def read(node: Node) -> Any:
        return node.attributes[field.name]

    def write(node: Node, value: Any) -> None:
        if node.attributes[field.name] != value:
            node.attributes[field.name] = value
            node.touch()

    return property(read, write)


def _region_property(position: int) -> property:
    return property(lambda node: node.regions[position])


@dataclass(frozen=True, slots=True)
class Work:
    """What executing a node costs, at the upper bound of symbolic dimensions: multiply-accumulates and other scalar steps."""

    macs: int = 0
    steps: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(self.macs + other.macs, self.steps + other.steps)


@dataclass_transform(field_specifiers=(of_result,))
class Op(Node):
    """Base of all op classes; an instance is a node. See the module docstring for how one is declared."""

    fields: ClassVar[tuple[Field, ...]] = ()
    family: ClassVar[str] = ""  # the file of the op: one name all the way down to the backends
    pure: ClassVar[bool] = True  # no effect besides its results; may be erased when unused, merged when equal
    view: ClassVar[bool] = False  # moves values without changing them: works on any element type
    commutative: ClassVar[bool] = False
    takes_dims: ClassVar[bool] = False  # `reference` has a `dims` parameter: the numbers symbols stand for

    def __init_subclass__(cls, name: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not name:
            return
        cls.opname = name
        cls.family = cls.__module__.rpartition(".")[2]
        hints = typing.get_type_hints(cls)
        own = [
            n
            for base in reversed(cls.__mro__)
            if issubclass(base, Op) and base is not Op
            for n in vars(base).get("__annotations__", {})
        ]
        fields: list[Field] = []
        for field_name in dict.fromkeys(own):
            annotation = hints[field_name]
            if get_origin(annotation) is ClassVar:
                continue
            default = _declared_default(cls, field_name)
            kind = _kind_of(annotation, default)
            fields.append(Field(field_name, kind, annotation, MISSING if kind == "of_result" else default))
        cls.fields = tuple(fields)
        position = region = 0
        for field in fields:
            if field.kind in OPERANDS:
                setattr(cls, field.name, _operand_property(position, field.kind))
                position += 1
            elif field.kind == "region":
                setattr(cls, field.name, _region_property(region))
                region += 1
            else:
                setattr(cls, field.name, _attribute_property(field))
        cls.takes_dims = "dims" in inspect.signature(cls.reference).parameters

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        names = [f.name for f in self.fields]
        if len(args) > len(names):
            raise TypeError(f"{self.opname} takes {len(names)} arguments, {len(args)} given")
        given = dict(zip(names, args, strict=False))
        for key, value in kwargs.items():
            if key in given or key not in names:
                raise TypeError(f"{self.opname}: unexpected argument '{key}'")
            given[key] = value
        operands: list[Value] = []
        segments: list[int] = []
        attributes: dict[str, Attr] = {}
        regions: list[Graph] = []
        for field in self.fields:
            value = given.get(field.name, field.default)
            if value is MISSING:
                raise TypeError(f"{self.opname}: argument '{field.name}' is missing")
            if field.kind in OPERANDS:
                group = tuple(value) if field.kind == "variadic" else (() if value is None else (value,))
                operands += group
                segments.append(len(group))
            elif field.kind == "region":
                regions.append(value)
            else:
                attributes[field.name] = value
        super().__init__(operands, tuple(segments), attributes, regions, UNKNOWN)

    # -- what an op class defines

    def infer(self) -> TensorType | tuple[TensorType, ...]:
        """The type(s) of the result(s), from operand types and attributes. Raises by `self.fail`."""
        raise NotImplementedError(f"{self.opname}.infer")

    def check(self) -> None:
        """Facts that `infer` does not need. Raises by `self.fail`."""

    def reference(self, *args: Any, **kwargs: Any) -> Any:
        """The meaning of the op: NumPy arrays of the operands in field order (None for a missing one) to result array(s)."""
        raise NotImplementedError(f"{self.opname}.reference")

    def work(self) -> Work:
        """Multiply-accumulates and other steps of one execution."""
        return Work()

    # -- shared

    def infer_types(self) -> tuple[TensorType, ...]:
        """`infer` as a tuple, after checking the kinds of all attributes."""
        for field in self.fields:
            if field.kind in ("attribute", "of_result"):
                value = self.attributes[field.name]
                if not field.admits(value):
                    self.fail(
                        f"attribute '{field.name}' is {attr_text(value)}, expected {annotation_text(field.annotation)}"
                    )
        inferred = self.infer()
        return inferred if isinstance(inferred, tuple) else (inferred,)

    def set_result_types(self) -> Self:
        """Create the results (first time) or refresh their types."""
        types = self.infer_types()
        if not self.results:
            self.results = tuple(Value(t, self, i) for i, t in enumerate(types))
        else:
            for value, t in zip(self.results, types, strict=True):
                value.type = t
            self.touch()
        return self

    def fail(self, message: str, *, hint: str = "") -> NoReturn:
        """Raise an IrcError about this node."""
        raise IrcError(Diagnostic(f"{self.opname}: {message}", self.loc, hint=hint))

    # -- what the printer asks

    def operand_groups(self) -> list[Value | None]:
        """Operands in field order; None stands for a missing optional one that is followed by a present one."""
        out: list[Value | None] = []
        index = 0
        for length, field in zip(self.segments, (f for f in self.fields if f.kind in OPERANDS), strict=True):
            if length == 0 and field.kind == "optional":
                out.append(None)
            out += self.operands[index : index + length]
            index += length
        while out and out[-1] is None:
            out.pop()
        return out

    def shown_attributes(self) -> tuple[list[str], list[tuple[str, str]]]:
        """Texts in front of the operands, and (name, text) pairs for the braces; defaults are left out."""
        head: list[str] = []
        pairs: list[tuple[str, str]] = []
        for field in self.fields:
            if field.kind != "attribute":
                continue
            value = self.attributes[field.name]
            if field.up_front:
                head.append(attr_text(value))
            elif value != field.default or type(value) is not type(field.default):
                pairs.append((field.name, str(value) if field.literal else attr_text(value)))
        return head, pairs


def _declared_default(cls: type[Op], name: str) -> Any:
    for base in cls.__mro__:
        if name in vars(base).get("__annotations__", {}):
            value = vars(base).get(name, MISSING)
            if isinstance(value, property):  # an inherited field whose default the base class has taken over
                return next(f.default if f.kind != "of_result" else _OF_RESULT for f in base.fields if f.name == name)
            return value
    return MISSING


def element_of(value: Value) -> Element:
    return value.type.element
