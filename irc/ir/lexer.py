"""Text to tokens, each with its span."""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass

from irc.ir.diagnostics import Diagnostic, IrcError, Span

_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r\n]+ | //[^\n]*)
  | (?P<string>"(?:[^"\\\n]|\\.)*")
  | (?P<number>\d+\.\d*(?:[eE][-+]?\d+)? | \d+[eE][-+]?\d+)
  | (?P<integer>\d+(?![A-Za-z_.$]))
  | (?P<value>%[A-Za-z0-9_.$]+)
  | (?P<func>@[A-Za-z0-9_.$]+)
  | (?P<hash>\#[0-9a-f]+)
  | (?P<word>[A-Za-z0-9_.$]+)
  | (?P<punct>-> | <= | [()\[\]{}<>:,=*+\-])
    """,
    re.VERBOSE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Token:
    """`kind` is one of string, number, integer, value, func, hash, word, punct, end."""

    kind: str
    text: str
    span: Span

    def __str__(self) -> str:
        return "the end of the text" if self.kind == "end" else f"'{self.text}'"


def tokenize(text: str, source: str) -> Generator[Token]:
    """The tokens one after the other, as they are asked for, and a final `end` behind the last of them.

    Raises IrcError at a character that starts none.
    """
    position = end = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            span = Span(source, text, position, position + 1)
            what = "unterminated string" if text[position] == '"' else f"unexpected character {text[position]!r}"
            raise IrcError(Diagnostic(what, span=span))
        if match.lastgroup != "space":
            end = match.end()
            yield Token(str(match.lastgroup), match[0], Span(source, text, position, end))
        position = match.end()
    yield Token("end", "", Span(source, text, end, end))


_ESCAPE = re.compile(r"\\(?:u\{([0-9a-fA-F]{1,6})\}|(.))")
_SIMPLE = {"n": "\n", "t": "\t", '"': '"', "\\": "\\"}


def unquote(token: Token) -> str:
    """The characters of a string token. Raises IrcError for an unknown escape."""

    def replace(match: re.Match[str]) -> str:
        if match[1]:
            code = int(match[1], 16)
            if code <= 0x10FFFF:
                return chr(code)
        elif match[2] in _SIMPLE:
            return _SIMPLE[match[2]]
        raise IrcError(Diagnostic(f"unknown escape '{match[0]}'", span=token.span))

    return _ESCAPE.sub(replace, token.text[1:-1])
