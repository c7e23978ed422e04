"""Reading tokens one after the other: what every recursive-descent method is made of. Every error has a span."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import NoReturn, TypeVar

from irc.ir.diagnostics import Diagnostic, IrcError, Span
from irc.ir.lexer import Token, tokenize, unquote

MAX_DEPTH = 64  # of nested brackets, dimensions and regions, so that no text exhausts the stack
INT64 = range(-(2**63), 2**63)

T = TypeVar("T")


class Cursor:
    """A position in the tokens of a text: the current token and the one behind it."""

    def __init__(self, text: str, source: str) -> None:
        self._rest = tokenize(text, source)
        self.token = next(self._rest)
        self.following = next(self._rest, self.token)
        self.depth = 0

    def fail(self, message: str, span: Span | None = None, *, hint: str = "") -> NoReturn:
        """Raise an IrcError at a span, by default the current token."""
        raise IrcError(Diagnostic(message, span=span or self.token.span, hint=hint))

    @contextmanager
    def errors_at(self, span: Span) -> Generator[None]:
        """Give diagnostics that have no place in the text this one."""
        try:
            yield
        except IrcError as error:
            raise IrcError([d if d.span else replace(d, span=span) for d in error.diagnostics]) from error

    @contextmanager
    def deeper(self) -> Generator[None]:
        """One level of nesting. Fails beyond MAX_DEPTH."""
        if self.depth == MAX_DEPTH:
            self.fail(f"nested deeper than {MAX_DEPTH}")
        self.depth += 1
        yield
        self.depth -= 1

    def take(self) -> Token:
        token = self.token
        self.token, self.following = self.following, next(self._rest, self.following)
        return token

    def at(self, text: str) -> bool:
        return self.token.text == text

    def accept(self, text: str) -> bool:
        """Step over the token if it is this one."""
        if self.at(text):
            self.take()
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

    def many(self, item: Callable[[], T]) -> list[T]:
        """`item, item, ...`, at least one."""
        items = [item()]
        while self.accept(","):
            items.append(item())
        return items

    def list_of(self, opening: str, item: Callable[[], T], closing: str) -> list[T]:
        """`opening item, item, ... closing`; a comma may stand behind the last item."""
        self.expect(opening)
        items: list[T] = []
        with self.deeper():
            while not self.at(closing):
                items.append(item())
                if not self.accept(","):
                    break
        self.expect(closing)
        return items

    def name(self, what: str) -> str:
        """A word, or any characters in quotes."""
        if self.token.kind == "string":
            return self.string(what)
        return self.expect_kind("word", what).text

    def string(self, what: str) -> str:
        return unquote(self.expect_kind("string", what))

    def boolean(self) -> bool:
        return self.boolean_of(self.take())

    def integer(self) -> int:
        negative = self.accept("-")
        return self.integer_of(self.take(), negative)

    def number(self) -> float:
        negative = self.accept("-")
        return self.number_of(self.take(), negative)

    def boolean_of(self, token: Token) -> bool:
        if token.text not in ("true", "false"):
            self.fail(f"expected true or false, found {token}", token.span)
        return token.text == "true"

    def integer_of(self, token: Token, negative: bool) -> int:
        if token.kind != "integer":
            self.fail(f"expected an integer, found {token}", token.span)
        value = int(token.text) if len(token.text) < 20 else 2**64  # a long one is out of range, whatever it is
        if (value := -value if negative else value) not in INT64:
            self.fail("integer out of range", token.span)
        return value

    def number_of(self, token: Token, negative: bool) -> float:
        if token.kind not in ("number", "integer") and token.text not in ("inf", "nan"):
            self.fail(f"expected a number, found {token}", token.span)
        return -float(token.text) if negative else float(token.text)
