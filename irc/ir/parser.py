"""Text to graph: recursive descent over functions and statements, driven by the fields that ops declare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from irc.ir.constants import Data
from irc.ir.diagnostics import Span, did_you_mean
from irc.ir.dims import Symbol
from irc.ir.fields import MISSING, Field
from irc.ir.graph import Graph, Module, Value
from irc.ir.lexer import Token
from irc.ir.op import Op
from irc.ir.registry import op_class
from irc.ir.scalars import Array
from irc.ir.terms import Terms, Written
from irc.ir.types import Element, TensorType
from irc.ir.verify import verify

Scope = dict[str, Value]


def parse(
    text: str, *, weights: Mapping[str, Array] | None = None, source: str = "<text>", check: bool = True
) -> Module:
    """The module of a text. `weights` gives the values of constants that print as hashes.

    Raises IrcError with a span for any mistake; with `check`, the module is verified too.
    """
    parser = _Parser(text, source, weights or {})
    module = parser.module()
    if check:
        verify(module, parser.spans)
    return module


@dataclass
class _Statement:
    """What was read of `%r = op head operands {attributes} : types`."""

    op: type[Op]
    span: Span  # of the name of the op
    given: dict[str, Any] = field(default_factory=dict[str, Any])  # attributes by name; data still as written
    operands: list[Value | None] = field(default_factory=list[Value | None])
    body: Graph | None = None
    types: tuple[TensorType, ...] = ()
    types_span: Span | None = None


class _Parser(Terms):
    def __init__(self, text: str, source: str, weights: Mapping[str, Array]) -> None:
        super().__init__(text, source, weights)
        self.symbols: dict[str, Symbol] = {}
        self.spans: dict[object, Span] = {}  # of nodes, values and functions, for the verifier

    # -- modules and functions

    def module(self) -> Module:
        module = Module()
        while self.token.kind != "end":
            self.expect("func")
            name = self.expect_kind("func", "a function name")
            if name.text[1:] in module.functions:
                self.fail(f"function {name.text} exists already", name.span)
            module.add(self.function(name))
        if not module.functions:
            self.fail("no function here", hint="a module starts with 'func @main(...) -> ... {'")
        return module

    def function(self, name: Token) -> Graph:
        self.symbols, self.symbols_read = {}, []
        arguments = self.list_of("(", self.argument, ")")
        self.expect("->")
        stated_span = self.token.span
        stated = self.result_types()
        if self.accept("where"):
            self.many(self.symbol_declaration)
        self.check_symbols()
        graph = Graph([t for _, t in arguments], name=name.text[1:], symbols=self.symbols.values())
        self.spans[graph] = name.span
        scope: Scope = {}
        for (token, _), value in zip(arguments, graph.inputs, strict=True):
            self.define(scope, token, value)
        self.body(graph, scope, "return")
        self.check_types(tuple(v.type for v in graph.outputs), stated, f"{name.text} returns", stated_span)
        return graph

    def argument(self) -> tuple[Token, TensorType]:
        token = self.expect_kind("value", "an argument such as %x: f32[1, 64]")
        self.expect(":")
        return token, self.tensor_type()

    def symbol_declaration(self) -> None:
        """`n in [1, 64]`, or `n <= 64` for a count."""
        token = self.expect_kind("word", "a symbol")
        counted = self.accept("<=")
        if counted:
            lo, hi = 0, self.integer()
        else:
            self.expect("in")
            self.expect("[")
            lo = self.integer()
            self.expect(",")
            hi = self.integer()
            self.expect("]")
        if not 0 <= lo <= hi:
            self.fail(f"the range of {token.text} is empty or negative", token.span)
        if token.text in self.symbols:
            self.fail(f"symbol {token.text} is declared twice", token.span)
        self.symbols[token.text] = Symbol(token.text, lo, hi, counted)

    def check_symbols(self) -> None:
        """Fail at a symbol that was read and is not declared."""
        for token in self.symbols_read:
            if token.text not in self.symbols:
                hint = did_you_mean(token.text, self.symbols)
                self.fail(f"symbol {token.text} is not declared in 'where'", token.span, hint=hint)
        self.symbols_read = []

    def check_types(
        self, found: tuple[TensorType, ...], stated: tuple[TensorType, ...], what: str, span: Span | None
    ) -> None:
        if len(found) != len(stated) or not all(a.matches(b) for a, b in zip(found, stated, strict=True)):
            texts = [", ".join(map(str, types)) or "nothing" for types in (found, stated)]
            self.fail(f"{what} {texts[0]}, the text says {texts[1]}", span)

    def define(self, scope: Scope, token: Token, value: Value) -> None:
        name = token.text[1:]
        if name in scope:
            self.fail(f"{token.text} is defined twice", token.span)
        scope[name] = value
        value.name = "" if name.isdigit() else name
        self.spans[value] = token.span

    def body(self, graph: Graph, scope: Scope, terminator: str) -> None:
        self.expect("{")
        with self.deeper():
            while not self.at("}") and self.token.kind != "end":
                if graph.terminator is not None:
                    self.fail(f"nothing may follow '{terminator}'")
                self.statement(graph, scope, terminator)
            if graph.terminator is None:
                self.fail(f"'{terminator}' is missing")
        self.expect("}")

    # -- statements

    def statement(self, graph: Graph, scope: Scope, terminator: str) -> None:
        names = self.many(lambda: self.expect_kind("value", "a result")) if self.token.kind == "value" else []
        if names:
            self.expect("=")
        s = self.operation(scope, terminator)
        node = self.node(s)
        node.loc = self.location()
        self.check_symbols()
        with self.errors_at(s.span):
            node.set_result_types()
        graph.append(node)
        self.spans[node] = s.span
        self.check_types(tuple(v.type for v in node.results), s.types, f"{s.op.opname} gives", s.types_span)
        if len(names) != len(node.results):
            self.fail(f"{len(names)} names for {len(node.results)} results of {s.op.opname}", s.span)
        for token, value in zip(names, node.results, strict=True):
            self.define(scope, token, value)

    def operation(self, scope: Scope, terminator: str) -> _Statement:
        """`op head operands {attributes} : types`; an op with a region has `-> types { body }` instead."""
        word = self.expect_kind("word", "an op name")
        s = _Statement(op=self.known_op(word, terminator), span=word.span)
        for f in s.op.fields:
            if f.up_front:
                s.given[f.name] = self.written() if f.annotation is Data else self.attribute(f.annotation)
        if any(f.kind == "region" for f in s.op.fields):
            s.operands, s.body, inner = self.bindings(scope)
            self.attributes(s)
            self.expect("->")
            self.types(s)
            self.body(s.body, inner, "yield")
            return s
        if self.token.kind == "value" or self.at("_"):
            s.operands = self.many(lambda: self.operand(scope))
        self.attributes(s)
        if not s.op.terminator:
            if not self.accept(":"):
                self.fail(f"expected ':' and the type of the result, found {self.token}")
            self.types(s)
        return s

    def known_op(self, word: Token, terminator: str) -> type[Op]:
        with self.errors_at(word.span):
            op = op_class(word.text)
        if op.terminator and word.text != terminator:
            self.fail(f"'{word.text}' cannot stand here, expected '{terminator}'", word.span)
        return op

    def operand(self, scope: Scope) -> Value | None:
        """A value, or `_` for a missing optional one."""
        return None if self.accept("_") else self.lookup(scope)

    def lookup(self, scope: Scope) -> Value:
        token = self.expect_kind("value", "a value such as %x")
        value = scope.get(token.text[1:])
        if value is None:
            hint = did_you_mean(token.text, (f"%{name}" for name in scope))
            self.fail(f"{token.text} is not defined here", token.span, hint=hint)
        return value

    def bindings(self, scope: Scope) -> tuple[list[Value | None], Graph, Scope]:
        """`(%inner = %outer, ...)`: the operands, the body with its inputs, and what is visible in it."""
        pairs = self.list_of("(", lambda: self.binding(scope), ")")
        body = Graph([outer.type for _, outer in pairs])
        inner: Scope = {}
        for (token, _), value in zip(pairs, body.inputs, strict=True):
            self.define(inner, token, value)
        return [outer for _, outer in pairs], body, inner

    def binding(self, scope: Scope) -> tuple[Token, Value]:
        inner = self.expect_kind("value", "a region input such as %a = %x")
        self.expect("=")
        return inner, self.lookup(scope)

    def attributes(self, s: _Statement) -> None:
        """`{name = value, ...}`, if there is any."""
        fields = {f.name: f for f in s.op.fields if f.kind == "attribute" and not f.up_front}

        def pair() -> None:
            key = self.expect_kind("word", "an attribute name")
            if key.text not in fields:
                hint = did_you_mean(key.text, fields)
                self.fail(f"{s.op.opname} has no attribute '{key.text}'", key.span, hint=hint)
            if key.text in s.given:
                self.fail(f"attribute '{key.text}' is given twice", key.span)
            self.expect("=")
            s.given[key.text] = self.attribute(fields[key.text].annotation)

        if self.at("{"):
            self.list_of("{", pair, "}")

    def types(self, s: _Statement) -> None:
        s.types_span = self.token.span
        s.types = self.result_types()

    # -- nodes

    def node(self, s: _Statement) -> Op:
        """The node of a statement: what was read, assigned to the fields of the op."""
        rest = list(s.operands)
        arguments = {f.name: self.argument_of(f, s, rest) for f in s.op.fields}
        if rest:
            self.fail(f"{s.op.opname}: too many operands", s.span)
        return s.op(**{name: value for name, value in arguments.items() if value is not MISSING})

    def argument_of(self, f: Field, s: _Statement, rest: list[Value | None]) -> Any:
        """The value of one field; operands are taken from `rest`."""
        if f.kind == "operand":
            if not rest or rest[0] is None:
                self.fail(f"{s.op.opname}: operand '{f.name}' is missing", s.span)
            return rest.pop(0)
        if f.kind == "optional":
            return rest.pop(0) if rest else None
        if f.kind == "variadic":
            taken = [rest.pop(0) for _ in range(len(rest))]
            if None in taken:
                self.fail(f"{s.op.opname}: '_' cannot stand in a list of operands", s.span)
            return taken
        if f.kind == "region":
            return s.body
        if f.kind == "of_result":
            return self.of_result(f, s)
        if f.default is MISSING and f.name not in s.given:
            self.fail(f"{s.op.opname}: attribute '{f.name}' is missing", s.span)
        value = s.given.get(f.name, MISSING)
        return self.constant(value, s) if isinstance(value, Written) else value

    def of_result(self, f: Field, s: _Statement) -> Any:
        if f.annotation == tuple[TensorType, ...]:
            return s.types
        return self.only_type(s).element if f.annotation is Element else self.only_type(s).shape

    def constant(self, written: Written, s: _Statement) -> Data:
        """Data that is written without a type and has the one of the result."""
        t = self.only_type(s)
        if t.static_shape is None:
            self.fail("a constant has a static shape", s.types_span)
        return self.data(written, t.scalar, t.static_shape)

    def only_type(self, s: _Statement) -> TensorType:
        if len(s.types) != 1:
            self.fail(f"{s.op.opname} has one result", s.types_span)
        return s.types[0]
