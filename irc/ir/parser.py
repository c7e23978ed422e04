"""Text to graph: recursive descent, driven by the fields that ops declare. Every error has a span."""

from __future__ import annotations

import types as pytypes
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from typing import Any, Literal, NoReturn, Union, cast, get_args, get_origin

import numpy as np

from irc.ir.attrs import Attr, FuncRef, Mask
from irc.ir.constants import Data
from irc.ir.diagnostics import Diagnostic, IrcError, Span, did_you_mean
from irc.ir.dims import FUNCTIONS, Dim, Expr, Shape, Symbol, add, mul, sub, symbol, symbols_of
from irc.ir.graph import Graph, Module, Value
from irc.ir.lexer import Token, tokenize, unquote
from irc.ir.location import UNKNOWN, Loc, Source
from irc.ir.op import MISSING, Field, Op, annotation_text
from irc.ir.scalars import BOOL, F32, I32, Array, ScalarType, scalar
from irc.ir.types import Element, Encoding, TensorType
from irc.ir.verify import verify
from irc.tables import OPS

MAX_DEPTH = 64  # of nested brackets and dimension terms


def parse(
    text: str, *, weights: Mapping[str, Array] | None = None, source: str = "<text>", check: bool = True
) -> Module:
    """The module of a text. `weights` gives the values of constants that print as hashes.

    Raises IrcError with a span for any mistake; with `check`, the module is verified too.
    """
    module = _Parser(text, source, weights or {}).module()
    if check:
        verify(module)
    return module


class _Parser:
    def __init__(self, text: str, source: str, weights: Mapping[str, Array]) -> None:
        self.tokens = tokenize(text, source)
        self.position = 0
        self.weights = weights
        self.data: dict[str, Data] = {}
        self.depth = 0
        self.symbols: dict[str, Symbol] = {}
        self.undeclared: list[tuple[str, Span]] = []

    # -- tokens

    @property
    def token(self) -> Token:
        return self.tokens[self.position]

    def fail(self, message: str, span: Span | None = None, *, hint: str = "") -> NoReturn:
        raise IrcError(Diagnostic(message, span=span or self.token.span, hint=hint))

    def take(self) -> Token:
        token = self.token
        if token.kind != "end":
            self.position += 1
        return token

    def at(self, text: str) -> bool:
        return self.token.text == text and self.token.kind != "string"

    def accept(self, text: str) -> bool:
        if self.at(text):
            self.position += 1
            return True
        return False

    def expect(self, text: str) -> Token:
        if not self.at(text):
            self.fail(f"expected '{text}', found {self.token}")
        return self.take()

    def expect_kind(self, kind: str, what: str) -> Token:
        if self.token.kind != kind:
            self.fail(f"expected {what}, found {self.token}")
        return self.take()

    def list_of(self, opening: str, item: Callable[[], Any], closing: str) -> list[Any]:
        """`opening item, item, ... closing`"""
        self.expect(opening)
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(f"nested deeper than {MAX_DEPTH}")
        items: list[Any] = []
        while not self.at(closing):
            items.append(item())
            if not self.accept(","):
                break
        self.expect(closing)
        self.depth -= 1
        return items

    def integer(self) -> int:
        start = self.token.span
        negative = self.accept("-")
        token = self.expect_kind("integer", "an integer")
        if len(token.text) > 20:
            self.fail("integer out of range", Span(start.source, start.text, start.start, token.span.end))
        return -int(token.text) if negative else int(token.text)

    def number(self) -> float:
        negative = self.accept("-")
        token = self.take()
        if token.kind not in ("number", "integer") and token.text not in ("inf", "nan"):
            self.fail(f"expected a number, found {token}", token.span)
        return -float(token.text) if negative else float(token.text)

    # -- dims and types

    def dim(self) -> Dim:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.fail(f"nested deeper than {MAX_DEPTH}")
        total = self.dim_term()
        while self.at("+") or self.at("-"):
            sign = self.take().text
            term = self.dim_term()
            total = add(total, term) if sign == "+" else sub(total, term)
        self.depth -= 1
        return total

    def dim_term(self) -> Dim:
        negative = self.accept("-")
        total = self.dim_atom()
        while self.accept("*"):
            total = mul(total, self.dim_atom())
        return mul(-1, total) if negative else total

    def dim_atom(self) -> Dim:
        token = self.take()
        if token.kind == "integer" and len(token.text) <= 18:
            return int(token.text)
        if token.kind == "word" and not token.text[0].isdigit():
            if token.text in FUNCTIONS and self.at("("):
                args = self.list_of("(", self.dim, ")")
                if len(args) != 2:
                    self.fail(f"{token.text} takes two dimensions", token.span)
                if token.text in ("floordiv", "mod") and isinstance(args[1], int) and args[1] < 1:
                    self.fail(f"{token.text} needs a positive divisor", token.span)
                return FUNCTIONS[token.text](args[0], args[1])
            self.undeclared.append((token.text, token.span))
            return symbol(token.text)
        self.fail(f"expected a dimension, found {token}", token.span)

    def scalar_type(self) -> ScalarType:
        token = self.expect_kind("word", "a scalar type")
        try:
            return scalar(token.text)
        except ValueError:
            self.fail(
                f"'{token.text}' is not a scalar type", token.span, hint="f32, f16, bf16, bool, i1 .. i64 or u1 .. u64"
            )

    def element(self) -> Element:
        start = self.token.span
        kind = self.scalar_type()
        if not self.at("<"):
            return Element(kind)
        if not kind.is_integer:
            self.fail(f"only integers have an encoding, not {kind}", start)
        return Element(kind, self.encoding())

    def encoding(self) -> Encoding:
        opening = self.expect("<").span
        scale: float | Data
        if self.token.kind == "hash" or self.at("["):
            scale = self.array_data(F32, None)
        else:
            scale = float(np.float32(self.number()))
        zp: int | Data = 0
        axis: int | None = None
        group: int | None = None
        binary = False
        while self.accept(","):
            key = self.expect_kind("word", "zp, axis, group or binary")
            if key.text == "binary":
                binary = True
                continue
            self.expect("=")
            if key.text == "zp":
                zp = self.array_data(I32, None) if self.token.kind == "hash" or self.at("[") else self.integer()
            elif key.text == "axis":
                axis = self.integer()
            elif key.text == "group":
                group = self.integer()
            else:
                self.fail(f"expected zp, axis, group or binary, found {key}", key.span)
        if isinstance(scale, Data) != (axis is not None):
            self.fail("a vector of scales needs an axis, and an axis a vector", opening)
        self.expect(">")
        return Encoding(scale, zp, axis, group, binary)

    def shape(self) -> Shape:
        return tuple(self.list_of("[", self.dim, "]"))

    def tensor_type(self) -> TensorType:
        element = self.element()
        return TensorType(element, self.shape())

    def result_types(self) -> tuple[TensorType, ...]:
        if self.at("("):
            return tuple(self.list_of("(", self.tensor_type, ")"))
        return (self.tensor_type(),)

    # -- data

    def array_data(self, kind: ScalarType, shape: tuple[int, ...] | None) -> Data:
        """`#hash`, nested lists or a single value of scalar type `kind`; `shape` is known for a constant."""
        token = self.token
        if token.kind == "hash":
            self.take()
            return self.hashed(kind, shape, token)
        nested = self.nested(kind)
        try:
            array = np.array(nested, dtype=object if kind.is_integer else np.float64 if kind.is_float else np.bool_)
            if array.dtype == object and array.size and not all(isinstance(v, int) for v in array.flat):
                raise ValueError("lists of unequal length")
            with np.errstate(over="ignore"):
                data = Data.of(array, kind)
        except IrcError as error:
            self.fail(error.diagnostics[0].message, token.span)
        except (ValueError, OverflowError) as error:
            self.fail(f"not a regular array: {error}", token.span)
        if shape is not None and data.shape != shape:
            self.fail(f"the values have shape {list(data.shape)}, the type says {list(shape)}", token.span)
        return data

    def nested(self, kind: ScalarType) -> Any:
        if self.at("["):
            return self.list_of("[", lambda: self.nested(kind), "]")
        if kind == BOOL:
            return self.boolean()
        return self.integer() if kind.is_integer else self.number()

    def boolean(self) -> bool:
        token = self.take()
        if token.text not in ("true", "false"):
            self.fail(f"expected true or false, found {token}", token.span)
        return token.text == "true"

    def hashed(self, kind: ScalarType, shape: tuple[int, ...] | None, token: Token) -> Data:
        digest = token.text[1:]
        if len(digest) != 16:
            self.fail("a content hash has 16 hex digits", token.span)
        values = self.weights.get(digest)
        if digest in self.data and (values is not None or shape is not None):
            known = self.data[digest]
            if known.scalar == kind and (shape is None or known.shape == shape):
                return known
        if values is None:
            return Data.unresolved(kind, shape or (), digest)
        if shape is not None and tuple(values.shape) != shape:
            self.fail(
                f"the weights file has shape {list(values.shape)} for this constant, the type says {list(shape)}",
                token.span,
            )
        data = Data.unresolved(kind, tuple(values.shape), digest)
        try:
            data.attach(values)
        except IrcError as error:
            self.fail(error.diagnostics[0].message, token.span)
        self.data[digest] = data
        return data

    # -- attributes

    def attribute(self, annotation: Any) -> Attr:
        """A value of the annotated kind."""
        origin = get_origin(annotation)
        start = self.token
        if origin is Literal:
            token = self.take()
            if token.text not in get_args(annotation):
                self.fail(f"expected one of {', '.join(get_args(annotation))}, found {token}", token.span)
            return token.text
        if origin in (Union, pytypes.UnionType):
            options = get_args(annotation)
            if type(None) in options and self.accept("none"):
                return None
            if Expr in options:
                return self.dim()
            listed = self.at("[")
            real = [o for o in options if o is not type(None) and (get_origin(o) is tuple) == listed]
            if len(real) == 1:
                return self.attribute(real[0])
            self.fail(f"cannot read a value of {annotation_text(annotation)}")
        if origin is tuple:
            item = get_args(annotation)[0]
            return tuple(self.list_of("[", lambda: self.attribute(item), "]"))
        if annotation is bool:
            return self.boolean()
        if annotation is int:
            return self.integer()
        if annotation is float:
            return self.number()
        if annotation is str:
            return unquote(self.expect_kind("string", "a string"))
        if annotation is ScalarType:
            return self.scalar_type()
        if annotation is Element:
            return self.element()
        if annotation is TensorType:
            return self.tensor_type()
        if annotation is FuncRef:
            return FuncRef(self.expect_kind("func", "a function name").text[1:])
        if annotation is Mask:
            return self.mask()
        self.fail(f"cannot read a value of {annotation_text(annotation)}", start.span)

    def mask(self) -> Mask:
        kind = self.expect_kind("word", "a mask kind").text
        self.expect("<")
        params: tuple[int, ...] = ()
        if self.token.kind in ("word", "integer"):
            token = self.take()
            parts = token.text.split("x")
            if not all(p.isdigit() and len(p) < 10 for p in parts):
                self.fail(f"expected mask parameters such as 4x16, found {token}", token.span)
            params = tuple(int(p) for p in parts)
            self.expect(",")
        bits = self.array_data(BOOL, None)
        self.expect(">")
        return Mask(kind, params, bits)

    # -- locations

    def location(self) -> Loc:
        sources: list[Source] = []
        passes: list[str] = []
        if self.accept("at"):
            sources.append(self.source())
            while self.accept(","):
                sources.append(self.source())
        if self.accept("via"):
            passes.append(self.expect_kind("word", "a pass name").text + self._dashed())
            while self.accept(","):
                passes.append(self.expect_kind("word", "a pass name").text + self._dashed())
        return Loc(tuple(sources), tuple(passes)) if sources or passes else UNKNOWN

    def _dashed(self) -> str:
        """The rest of a name such as `dead-code`."""
        out = ""
        while self.at("-") and self.tokens[self.position + 1].kind in ("word", "integer"):
            self.take()
            out += "-" + self.take().text
        return out

    def source(self) -> Source:
        path = unquote(self.expect_kind("string", "a module path in quotes"))
        cls = file = ""
        line = 0
        if self.accept("("):
            cls = self.expect_kind("word", "a class name").text
            self.expect(")")
        if self.token.kind == "word" and self.tokens[self.position + 1].text == ":":
            file = self.take().text
            self.expect(":")
            line = self.integer()
        return Source(path, cls, file, line)

    # -- functions and nodes

    def module(self) -> Module:
        module = Module()
        while self.token.kind != "end":
            start = self.expect("func")
            function = self.function()
            if function.name in module.functions:
                self.fail(f"function @{function.name} exists already", start.span)
            module.add(function)
        if not module.functions:
            self.fail("no function here", hint="a module starts with 'func @main(...) -> ... {'")
        return module

    def function(self) -> Graph:
        self.symbols, self.undeclared = {}, []
        name = self.expect_kind("func", "a function name").text[1:]
        arguments: list[tuple[Token, TensorType]] = []

        def argument() -> None:
            token = self.expect_kind("value", "an argument such as %x: f32[1, 64]")
            self.expect(":")
            arguments.append((token, self.tensor_type()))

        self.list_of("(", argument, ")")
        self.expect("->")
        types_span = self.token.span
        stated = self.result_types()
        if self.accept("where"):
            self.declare_symbol()
            while self.accept(","):
                self.declare_symbol()
        graph = Graph(
            [t for _, t in arguments],
            names=[t.text[1:] for t, _ in arguments],
            name=name,
            symbols=self.symbols.values(),
        )
        scope: dict[str, Value] = {}
        for (token, _), value in zip(arguments, graph.inputs, strict=True):
            self.define(scope, token, value)
        self.body(graph, scope, "return")
        for used, span in self.undeclared:
            if used not in self.symbols:
                self.fail(f"symbol {used} is not declared in 'where'", span, hint=did_you_mean(used, self.symbols))
        returned = tuple(v.type for v in graph.outputs)
        if len(returned) != len(stated) or not all(a.matches(b) for a, b in zip(returned, stated, strict=True)):
            self.fail(f"@{name} returns ({', '.join(map(str, returned))})", types_span)
        return graph

    def declare_symbol(self) -> None:
        token = self.expect_kind("word", "a symbol")
        if self.token.kind == "le":
            self.take()
            declared = Symbol(token.text, 0, self.integer(), counted=True)
        else:
            self.expect("in")
            self.expect("[")
            lo = self.integer()
            self.expect(",")
            declared = Symbol(token.text, lo, self.integer())
            self.expect("]")
        if declared.lo > declared.hi or declared.lo < 0:
            self.fail(f"the range of {token.text} is empty or negative", token.span)
        if token.text in self.symbols:
            self.fail(f"symbol {token.text} is declared twice", token.span)
        self.symbols[token.text] = declared

    def define(self, scope: dict[str, Value], token: Token, value: Value) -> None:
        name = token.text[1:]
        if name in scope:
            self.fail(f"{token.text} is defined twice", token.span)
        scope[name] = value
        value.name = "" if name.isdigit() else name

    def body(self, graph: Graph, scope: dict[str, Value], terminator: str) -> None:
        self.expect("{")
        while not self.at("}"):
            if graph.terminator is not None:
                self.fail(f"nothing may follow '{terminator}'")
            self.node(graph, scope, terminator)
        if graph.terminator is None:
            self.fail(f"'{terminator}' is missing")
        self.expect("}")

    def node(self, graph: Graph, scope: dict[str, Value], terminator: str) -> None:
        names: list[Token] = []
        while self.token.kind == "value":
            names.append(self.take())
            if not self.accept(","):
                break
        if names:
            self.expect("=")
        word = self.expect_kind("word", "an op name")
        if word.text not in OPS:
            try:
                OPS.get(word.text)
            except IrcError as error:
                self.fail(error.diagnostics[0].message, word.span, hint=error.diagnostics[0].hint)
        cls = cast("type[Op]", OPS.get(word.text))
        if cls.terminator and word.text != terminator:
            self.fail(f"'{word.text}' cannot stand here, expected '{terminator}'", word.span)
        given: dict[str, Any] = {}
        head = {f.name: self.position for f in cls.fields if f.up_front and f.annotation is Data}
        for field in cls.fields:
            if field.up_front:
                given[field.name] = self.skip_data() if field.annotation is Data else self.attribute(field.annotation)
        body: Graph | None = None
        operands: list[Value | None] = []
        if any(f.kind == "region" for f in cls.fields):
            operands, body = self.region(scope)
        elif self.token.kind == "value" or self.at("_"):
            operands = self.operand_list(scope)
        if self.at("{") and body is None:
            self.attributes(cls, given)
        types: tuple[TensorType, ...] = ()
        types_span = self.token.span
        if body is not None:
            if (
                self.at("{")
                and self.tokens[self.position + 2].text == "="
                and self.tokens[self.position + 1].kind == "word"
            ):
                self.attributes(cls, given)
            self.expect("->")
            types_span = self.token.span
            types = self.result_types()
            inner = {v.name: v for v in body.inputs}
            self.body(body, inner, "yield")
        elif not cls.terminator and self.accept(":"):
            types_span = self.token.span
            types = self.result_types()
        elif not cls.terminator:
            self.fail("expected ':' and the type of the result")
        if head and types:
            given.update({name: self.data_at(position, types[0]) for name, position in head.items()})
        loc = self.location()
        self.insert(graph, cls, word, given, operands, body, types, types_span, loc)
        results = graph.terminator.results if cls.terminator and graph.terminator else self.last.results
        if len(names) != len(results):
            self.fail(f"{cls.opname} has {len(results)} results, {len(names)} names are given", word.span)
        for token, value in zip(names, results, strict=True):
            self.define(scope, token, value)

    def insert(
        self,
        graph: Graph,
        cls: type[Op],
        word: Token,
        given: dict[str, Any],
        operands: list[Value | None],
        body: Graph | None,
        types: tuple[TensorType, ...],
        types_span: Span,
        loc: Loc,
    ) -> None:
        """Assign what was read to the fields of the op and append the node."""
        rest = list(operands)
        for field in cls.fields:
            if field.kind == "operand":
                if not rest or rest[0] is None:
                    self.fail(f"{cls.opname}: operand '{field.name}' is missing", word.span)
                given[field.name] = rest.pop(0)
            elif field.kind == "optional":
                given[field.name] = rest.pop(0) if rest else None
            elif field.kind == "variadic":
                if None in rest:
                    self.fail(f"{cls.opname}: '_' cannot stand in a list of operands", word.span)
                given[field.name] = tuple(rest)
                rest = []
            elif field.kind == "region":
                given[field.name] = body
            elif field.kind == "of_result":
                given[field.name] = self.from_result(field, types, types_span)
            elif field.default is MISSING and field.name not in given:
                self.fail(f"{cls.opname}: attribute '{field.name}' is missing", word.span)
        if rest:
            self.fail(f"{cls.opname}: too many operands", word.span)
        node = cls(**given)
        node.loc = loc
        with self.errors_at(word.span):
            node.set_result_types()
            graph.append(node)
        self.last = node
        inferred = tuple(v.type for v in node.results)
        if len(inferred) != len(types) or not all(a.matches(b) for a, b in zip(inferred, types, strict=True)):
            self.fail(f"{cls.opname} gives {', '.join(map(str, inferred)) or 'no result'}", types_span)

    @contextmanager
    def errors_at(self, span: Span) -> Any:
        """Give diagnostics of ops the place in the text."""
        try:
            yield
        except IrcError as error:
            placed = [Diagnostic(d.message, d.loc, d.span or span, d.place, d.notes, d.hint) for d in error.diagnostics]
            raise type(error)(placed) from None

    def from_result(self, field: Field, types: tuple[TensorType, ...], span: Span) -> Any:
        if field.annotation == tuple[TensorType, ...]:
            return types
        if not types:
            self.fail("the type of the result is missing", span)
        return types[0].element if field.annotation is Element else types[0].shape

    def skip_data(self) -> None:
        """Step over the data of a constant; it is read by `data_at` once its type is known."""
        if self.token.kind == "hash":
            self.take()
        elif self.at("["):
            self.list_of("[", self.skip_data, "]")
        else:
            self.accept("-")
            if self.token.kind not in ("number", "integer", "word"):
                self.fail(f"expected the values of a constant, found {self.token}")
            self.take()

    def data_at(self, position: int, type: TensorType) -> Data:
        back, self.position = self.position, position
        shape = type.static_shape
        if shape is None:
            self.fail("a constant has a static shape")
        data = self.array_data(type.scalar, shape)
        self.position = back
        return data

    def operand_list(self, scope: dict[str, Value]) -> list[Value | None]:
        operands: list[Value | None] = []
        while True:
            if self.accept("_"):
                operands.append(None)
            else:
                operands.append(self.lookup(scope))
            if not self.accept(","):
                return operands

    def lookup(self, scope: dict[str, Value]) -> Value:
        token = self.expect_kind("value", "a value such as %x")
        value = scope.get(token.text[1:])
        if value is None:
            self.fail(
                f"{token.text} is not defined here", token.span, hint=did_you_mean(token.text, (f"%{n}" for n in scope))
            )
        return value

    def region(self, scope: dict[str, Value]) -> tuple[list[Value | None], Graph]:
        """`(%inner = %outer, ...)`"""
        pairs: list[tuple[Token, Value]] = []

        def pair() -> None:
            inner = self.expect_kind("value", "a region input such as %a = %x")
            self.expect("=")
            pairs.append((inner, self.lookup(scope)))

        self.list_of("(", pair, ")")
        body = Graph([v.type for _, v in pairs])
        inner_scope: dict[str, Value] = {}
        for (token, _), value in zip(pairs, body.inputs, strict=True):
            self.define(inner_scope, token, value)
            value.name = token.text[1:]
        return [v for _, v in pairs], body

    def attributes(self, cls: type[Op], given: dict[str, Any]) -> None:
        fields = {f.name: f for f in cls.fields if f.kind == "attribute" and not f.up_front}

        def pair() -> None:
            key = self.expect_kind("word", "an attribute name")
            field = fields.get(key.text)
            if field is None:
                self.fail(f"{cls.opname} has no attribute '{key.text}'", key.span, hint=did_you_mean(key.text, fields))
            if key.text in given:
                self.fail(f"attribute '{key.text}' is given twice", key.span)
            self.expect("=")
            given[key.text] = self.attribute(field.annotation)

        self.list_of("{", pair, "}")


def symbols_used(shape: Shape) -> frozenset[str]:
    """The symbols of a shape."""
    return frozenset().union(*(symbols_of(d) for d in shape))
