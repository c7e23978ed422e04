"""Op classes: declared once; constructor, printer, parser, verifier and documentation follow from typed fields.

    class Conv(Op, name="conv"):
        '''Convolution of x with w.'''

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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn, Protocol, Self, TypeVar, cast, dataclass_transform

from irc.ir.attrs import Attr
from irc.ir.diagnostics import Diagnostic, IrcError
from irc.ir.fields import MISSING, OPERANDS, Field, annotation_text, bind_field, declared_fields, of_result
from irc.ir.graph import Graph, Node, Value
from irc.ir.location import UNKNOWN
from irc.ir.printer import attr_text
from irc.ir.scalars import Array
from irc.ir.types import TensorType

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Work:
    """What executing a node costs, at the upper bound of symbolic dimensions: multiply-accumulates and other steps."""

    macs: int = 0
    steps: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(self.macs + other.macs, self.steps + other.steps)


class Frame(Protocol):
    """What an op may ask of the interpreter while it runs."""

    @property
    def dims(self) -> Mapping[str, int]:
        """The numbers symbols stand for."""
        ...

    def run(self, graph: Graph, inputs: Sequence[Array]) -> list[Array]:
        """Run a region of the node."""
        ...

    def call(self, name: str, inputs: Sequence[Array]) -> list[Array]:
        """Run a function of the module."""
        ...


@dataclass_transform(field_specifiers=(of_result,))
class Op(Node):
    """Base of all op classes; an instance is a node. See the module docstring for how one is declared."""

    fields: ClassVar[tuple[Field, ...]] = ()
    family: ClassVar[str] = ""  # the file of the op: one name all the way down to the backends
    pure: ClassVar[bool] = True  # no effect besides its results; may be erased when unused, merged when equal
    view: ClassVar[bool] = False  # moves values without changing them: works on any element type
    commutative: ClassVar[bool] = False
    anchor: ClassVar[bool] = False  # the work around which `fuse` builds a kernel
    # Operands (field names) whose elements it combines one by one after broadcasting; the others are parameters.
    elementwise: ClassVar[tuple[str, ...]] = ()
    takes_dims: ClassVar[bool] = False  # `reference` has a `dims` parameter: the numbers symbols stand for

    def __init_subclass__(cls, name: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not name:
            return
        if cls.opname:
            raise TypeError(f"{name} derives from the op {cls.opname}; share code by a base class without a name")
        cls.opname = name
        cls.family = cls.__module__.rpartition(".")[2]
        cls.fields = declared_fields(cls, Op)
        positions = {"operand": 0, "region": 0, "attribute": 0}
        for field in cls.fields:
            group = "operand" if field.kind in OPERANDS else "region" if field.kind == "region" else "attribute"
            bind_field(cls, field, positions[group])
            positions[group] += 1
        cls.takes_dims = "dims" in inspect.signature(cls.reference).parameters

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        given = self._arguments(args, kwargs)
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
                attributes[field.name] = field.plain(value)
        super().__init__(operands, tuple(segments), attributes, regions, UNKNOWN)

    def _arguments(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Arguments by field name. Raises TypeError as a Python function does."""
        positional = [f.name for f in self.fields if not f.by_name]
        if len(args) > len(positional):
            raise TypeError(f"{self.opname} takes {len(positional)} positional arguments, {len(args)} given")
        given = dict(zip(positional, args, strict=False))
        names = {f.name for f in self.fields}
        for key, value in kwargs.items():
            if key in given or key not in names:
                raise TypeError(f"{self.opname}: unexpected argument '{key}'")
            given[key] = value
        return given

    # -- what an op class defines

    def infer(self) -> TensorType | tuple[TensorType, ...]:
        """The type(s) of the result(s), from operand types and attributes. Raises by `self.fail`."""
        raise NotImplementedError(f"{self.opname}.infer")

    def check(self) -> None:
        """Facts that `infer` does not need, also those about symbols and other functions. Raises by `self.fail`."""

    def reference(self, *args: Any, **kwargs: Any) -> Any:
        """The meaning of the op: arrays of the operands in field order (None for a missing one) to result array(s)."""
        raise NotImplementedError(f"{self.opname}.reference")

    def work(self) -> Work:
        """Multiply-accumulates and other steps of one execution."""
        return Work()

    # -- shared

    def execute(self, operands: Sequence[Array], frame: Frame) -> Sequence[Array]:
        """The results on arrays: `reference`, except for ops that run graphs."""
        keywords: dict[str, Any] = {"dims": frame.dims} if self.takes_dims else {}
        out: Any = self.reference(*self.by_field(operands), **keywords)
        return cast("Sequence[Array]", out) if isinstance(out, tuple) else (out,)

    def by_field(self, operands: Sequence[Array]) -> list[Any]:
        """One entry an operand field: an array, None for a missing optional one, a list for a variadic one."""
        return [
            list(group) if field.kind == "variadic" else (group[0] if group else None)
            for field, group in self._groups(operands)
        ]

    def _groups(self, items: Sequence[T]) -> Iterator[tuple[Field, Sequence[T]]]:
        """What belongs to the operands, one group an operand field."""
        index = 0
        for length, field in zip(self.segments, (f for f in self.fields if f.kind in OPERANDS), strict=True):
            yield field, items[index : index + length]
            index += length

    def infer_types(self) -> tuple[TensorType, ...]:
        """`infer` as a tuple, after checking the kinds of all attributes; each type is sound by itself."""
        for field in self.fields:
            if field.kind in ("attribute", "of_result"):
                value = self.attributes[field.name]
                if not field.admits(value):
                    self.fail(
                        f"attribute '{field.name}' is {attr_text(value)}, expected {annotation_text(field.annotation)}"
                    )
        inferred = self.infer()
        types = inferred if isinstance(inferred, tuple) else (inferred,)
        for t in types:
            if problem := t.problem():
                self.fail(f"the result would be {t}: {problem}")
        return types

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
        for field, group in self._groups(self.operands):
            out += [None] if field.kind == "optional" and not group else group
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
            text = field.text(self.attributes[field.name])
            if field.up_front:
                head.append(text)
            elif field.default is MISSING or text != field.text(field.default):
                pairs.append((field.name, text))
        return head, pairs
