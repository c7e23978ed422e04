"""Reading what stands inside a statement: dimensions, types, constant data, attributes and locations."""

from __future__ import annotations

import math
import types as pytypes
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

import numpy as np

from irc.ir.attrs import Attr, FuncRef, Mask
from irc.ir.constants import Data
from irc.ir.cursor import Cursor
from irc.ir.diagnostics import Span
from irc.ir.dims import FUNCTIONS, MAX_SIZE, Dim, Expr, Shape, add, mul, sub, symbol
from irc.ir.fields import annotation_text
from irc.ir.lexer import Token
from irc.ir.location import UNKNOWN, Loc, Source
from irc.ir.scalars import BOOL, F32, I32, Array, ScalarType, scalar
from irc.ir.types import Element, Encoding, TensorType


@dataclass(frozen=True)
class Written:
    """Constant data as it stands in the text: a token with its sign, or a list. Its scalar type stands elsewhere."""

    span: Span
    token: Token | None = None
    negative: bool = False
    items: tuple[Written, ...] = ()

    def leaves(self) -> list[tuple[Token, bool]]:
        """The values in order, each with whether it is negative."""
        return [(self.token, self.negative)] if self.token else [x for item in self.items for x in item.leaves()]


class Terms(Cursor):
    """A cursor that reads terms. `weights` gives the values of data that stand as a hash."""

    def __init__(self, text: str, source: str, weights: Mapping[str, Array]) -> None:
        super().__init__(text, source)
        self.weights = weights
        self.loaded: dict[tuple[str, ScalarType, tuple[int, ...]], Data] = {}
        self.symbols_read: list[Token] = []

    # -- dimensions

    def dim(self) -> Dim:
        with self.deeper(), self.errors_at(self.token.span):
            total = self.dim_term()
            while self.at("+") or self.at("-"):
                combine = add if self.take().text == "+" else sub
                total = combine(total, self.dim_term())
        return total

    def dim_term(self) -> Dim:
        negative = self.accept("-")
        total = self.dim_atom()
        while self.accept("*"):
            total = mul(total, self.dim_atom())
        return mul(-1, total) if negative else total

    def dim_atom(self) -> Dim:
        token = self.take()
        if token.kind == "integer":
            size = self.integer_of(token, negative=False)
            return size if size <= MAX_SIZE else self.fail("a dimension is too large", token.span)
        if token.kind != "word" or token.text[0].isdigit():
            self.fail(f"expected a dimension, found {token}", token.span)
        if token.text in FUNCTIONS and self.at("("):
            args = self.list_of("(", self.dim, ")")
            if len(args) != 2:
                self.fail(f"{token.text} takes two dimensions", token.span)
            with self.errors_at(token.span):
                return FUNCTIONS[token.text](args[0], args[1])
        self.symbols_read.append(token)
        return symbol(token.text)

    def shape(self) -> Shape:
        return tuple(self.list_of("[", self.dim, "]"))

    # -- types

    def tensor_type(self) -> TensorType:
        start = self.token.span
        kind = self.scalar_type()
        if not self.at("<"):
            t = TensorType(Element(kind), self.shape())
        else:
            scale, zp, options = self.encoding()
            t = self.encoded(kind, self.shape(), scale, zp, options)
        if problem := t.problem():
            self.fail(problem, start)
        return t

    def scalar_type(self) -> ScalarType:
        token = self.expect_kind("word", "a scalar type")
        try:
            return scalar(token.text)
        except ValueError:
            hint = "f64, f32, f16, bf16, bool, i64, i1 .. i32 or u1 .. u32"
            self.fail(f"'{token.text}' is not a scalar type", token.span, hint=hint)

    def encoding(self) -> tuple[float | Written, int | Written, dict[str, Any]]:
        """`<scale, zp=3, axis=0, group=32, binary>`: scale, zero point and the rest by name."""
        self.expect("<")
        scale = self.written() if self.token.kind == "hash" or self.at("[") else self.number()
        zp: int | Written = 0
        options: dict[str, Any] = {}
        while self.accept(","):
            key = self.expect_kind("word", "zp, axis, group or binary")
            if key.text == "binary":
                options["binary"] = True
                continue
            self.expect("=")
            if key.text == "zp":
                zp = self.written() if self.token.kind == "hash" or self.at("[") else self.integer()
            elif key.text in ("axis", "group"):
                options[key.text] = self.integer()
            else:
                self.fail(f"expected zp, axis, group or binary, found {key}", key.span)
        self.expect(">")
        return scale, zp, options

    def encoded(
        self, kind: ScalarType, shape: Shape, scale: float | Written, zp: int | Written, options: dict[str, Any]
    ) -> TensorType:
        """The type of these parts. Vectors that stand as a hash get the shape that the type calls for."""
        axis, group = options.get("axis"), options.get("group")
        wanted: Shape = ()
        if axis is not None and 0 <= axis < len(shape) and (group is None or group > 0):
            wanted = Encoding(1.0, axis=axis, group=group).vector_shape(shape)
        static = tuple(d for d in wanted if isinstance(d, int))
        encoding = Encoding(
            self.data(scale, F32, static, exact=False) if isinstance(scale, Written) else scale,
            self.data(zp, I32, static, exact=False) if isinstance(zp, Written) else zp,
            **options,
        )
        return TensorType(Element(kind, encoding), shape)

    def result_types(self) -> tuple[TensorType, ...]:
        if self.at("("):
            return tuple(self.list_of("(", self.tensor_type, ")"))
        return (self.tensor_type(),)

    # -- constant data

    def written(self) -> Written:
        """`#hash`, a value, or nested lists of values."""
        start = self.token.span
        if self.at("["):
            return Written(start, items=tuple(self.list_of("[", self.written, "]")))
        negative = self.accept("-")
        token = self.take()
        if token.kind not in ("hash", "number", "integer", "word"):
            self.fail(f"expected constant values, found {token}", token.span)
        return Written(start, token, negative)

    def data(self, written: Written, kind: ScalarType, shape: tuple[int, ...], *, exact: bool = True) -> Data:
        """The data of scalar type `kind`; the values have that shape if `exact`, else any."""
        if written.token is not None and written.token.kind == "hash":
            known = self.weights.get(written.token.text[1:])
            return self.hashed(written.token, kind, shape if exact or known is None else known.shape)
        values = [self.value_of(token, negative, kind) for token, negative in written.leaves()]
        found = self.shape_of(written)
        if math.prod(found) == math.prod(shape) == 0:
            found = shape  # `[]` has lost its other dimensions
        if exact and found != shape:
            self.fail(f"the values have shape {list(found)}, the type says {list(shape)}", written.span)
        with self.errors_at(written.span), np.errstate(over="ignore"):
            array = np.array(values, np.int64 if kind.is_integer else np.bool_ if kind == BOOL else np.float64)
            return Data.of(array.reshape(found), kind)

    def shape_of(self, written: Written) -> tuple[int, ...]:
        if written.token is not None:
            return ()
        shapes = [self.shape_of(item) for item in written.items]
        if len(set(shapes)) > 1:
            self.fail("lists of unequal length", written.span)
        return (len(shapes), *(shapes[0] if shapes else ()))

    def value_of(self, token: Token, negative: bool, kind: ScalarType) -> float:
        if kind != BOOL:
            return (self.integer_of if kind.is_integer else self.number_of)(token, negative)
        if negative:
            self.fail("true and false have no sign", token.span)
        return self.boolean_of(token)

    def hashed(self, token: Token, kind: ScalarType, shape: tuple[int, ...]) -> Data:
        """The data of a content hash, without its values if no weights are given for it."""
        digest = token.text[1:]
        if len(digest) != 16:
            self.fail("a content hash has 16 hex digits", token.span)
        key = digest, kind, shape
        if key not in self.loaded:
            data = Data.unresolved(kind, shape, digest)
            if digest in self.weights:
                with self.errors_at(token.span):
                    data.attach(self.weights[digest])
            self.loaded[key] = data
        return self.loaded[key]

    # -- attributes

    def attribute(self, annotation: Any) -> Attr:
        """A value of the annotated kind."""
        origin = get_origin(annotation)
        if origin is Literal:
            token = self.take()
            if token.text not in get_args(annotation):
                self.fail(f"expected one of {', '.join(get_args(annotation))}, found {token}", token.span)
            return token.text
        if origin in (Union, pytypes.UnionType):
            return self.one_of(get_args(annotation))
        if origin is tuple:
            item = get_args(annotation)[0]
            return tuple(self.list_of("[", lambda: self.attribute(item), "]"))
        readers: dict[Any, Any] = {
            bool: self.boolean,
            int: self.integer,
            float: self.number,
            str: lambda: self.string("a string"),
            ScalarType: self.scalar_type,
            TensorType: self.tensor_type,
            FuncRef: lambda: FuncRef(self.expect_kind("func", "a function name").text[1:]),
            Mask: self.mask,
        }
        if annotation not in readers:
            self.fail(f"values of {annotation_text(annotation)} have no text")
        return readers[annotation]()

    def one_of(self, options: tuple[Any, ...]) -> Attr:
        """A value of a union: `none`, a dimension, a list or the one other kind."""
        if type(None) in options and self.accept("none"):
            return None
        if Expr in options:
            return self.dim()
        listed = self.at("[")
        fitting = [o for o in options if o is not type(None) and (get_origin(o) is tuple) == listed]
        if len(fitting) != 1:
            self.fail(f"expected {' or '.join(map(annotation_text, options))}, found {self.token}")
        return self.attribute(fitting[0])

    def mask(self) -> Mask:
        """`nm<2x4, #hash>`: a kind, its parameters if it has any, and the bits."""
        kind = self.expect_kind("word", "a mask kind").text
        self.expect("<")
        params: tuple[int, ...] = ()
        if self.token.kind in ("word", "integer") and self.following.text == ",":
            token = self.take()
            parts = token.text.split("x")
            if not all(p.isdigit() and len(p) < 10 for p in parts):
                self.fail(f"expected mask parameters such as 4x16, found {token}", token.span)
            params = tuple(int(p) for p in parts)
            self.expect(",")
        bits = self.data(self.written(), BOOL, (), exact=False)
        self.expect(">")
        return Mask(kind, params, bits)

    # -- locations

    def location(self) -> Loc:
        """`at "path" (Class) file.py:88, ... via pass, ...`, both parts optional."""
        sources = self.many(self.source) if self.accept("at") else []
        passes = self.many(self.pass_name) if self.accept("via") else []
        return Loc(tuple(sources), tuple(passes)) if sources or passes else UNKNOWN

    def pass_name(self) -> str:
        out = self.name("a pass name")
        while self.at("-") and self.following.kind == "word":
            self.take()
            out += "-" + self.take().text
        return out

    def source(self) -> Source:
        path = self.string("a module path in quotes")
        cls = file = ""
        line = 0
        if self.accept("("):
            cls = self.name("a class name")
            self.expect(")")
        if self.token.kind in ("word", "string") and self.following.text == ":":
            file = self.name("a file name")
            self.expect(":")
            line = self.integer()
        return Source(path, cls, file, line)
