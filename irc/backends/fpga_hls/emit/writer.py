"""Lines of C++ with indentation, blocks, pragmas, and comments that no text can leave."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager

from irc.ir.location import ROOT, Loc, Source

WIDTH = 118


class Writer:
    """Collects the lines of one file."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._indent = ""

    def line(self, text: str = "") -> None:
        self._parts.append(f"{self._indent}{text}\n" if text else "\n")

    def lines(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.line(text)

    def comment(self, text: str) -> None:
        """A comment of one line, whatever the text holds."""
        self.line(f"// {harmless(text)}")

    def pragma(self, text: str) -> None:
        """`#pragma HLS ...`, at the left margin as all directives."""
        self._parts.append(f"#pragma HLS {text}\n")

    def directive(self, text: str) -> None:
        self._parts.append(f"{text}\n")

    def raw(self, text: str) -> None:
        """Text that has its own lines, such as large tables."""
        self._parts.append(text)

    @contextmanager
    def block(self, head: str, end: str = "}") -> Generator[None]:
        """`head { ... }`"""
        self.line(f"{head} {{")
        outer, self._indent = self._indent, self._indent + "    "
        yield
        self._indent = outer
        self.line(end)

    @contextmanager
    def namespace(self, name: str) -> Generator[None]:
        """A namespace (unnamed for ''), whose content is not indented."""
        self.line(f"namespace {name} {{".replace("  ", " "))
        self.line()
        yield
        self.line(f"}} // namespace {name}".rstrip())

    @contextmanager
    def guard(self, name: str) -> Generator[None]:
        """An include guard."""
        self.directive(f"#ifndef {name}")
        self.directive(f"#define {name}")
        self.line()
        yield
        self.line()
        self.directive("#endif")

    def text(self) -> str:
        return "".join(self._parts)


def harmless(text: str) -> str:
    """Text for a comment or a script: printable ASCII on one line, without backslashes, trigraphs or comment marks."""
    shown = "".join(ch if " " <= ch <= "~" and ch != "\\" else f"<u+{ord(ch):04x}>" for ch in text)
    for mark, apart in (("??", "? ?"), ("*/", "* /"), ("/*", "/ *")):
        while mark in shown:
            shown = shown.replace(mark, apart)
    return shown.strip()


def source_text(source: Source) -> str:
    """`blocks.3.attn.qkv (Linear) vit.py:88`"""
    parts = [source.path or ROOT]
    if source.cls:
        parts.append(f"({source.cls})")
    if source.file:
        parts.append(f"{source.file}:{source.line}")
    return " ".join(parts)


def loc_lines(loc: Loc) -> list[str]:
    """The sources of a location, the first one with the passes behind it."""
    sources = [source_text(s) for s in loc.sources] or ["(no module path)"]
    if loc.passes:
        sources[0] += f", via {', '.join(loc.passes)}"
    return [sources[0], *(f"with {s}" for s in sources[1:])]


def wrapped(items: Iterable[str], indent: str = "    ") -> str:
    """Items separated by commas in lines of bounded length."""
    out: list[str] = []
    line = indent
    for item in items:
        if len(line) + len(item) + 2 > WIDTH and line != indent:
            out.append(line.rstrip())
            line = indent
        line += f"{item}, "
    return "\n".join([*out, line.rstrip()]) + "\n"


def folded(head: str, items: Sequence[str], end: str, indent: str = "") -> str:
    """A list in parentheses, broken behind commas where it is too long."""
    text = f"{head}{', '.join(items)}{end}"
    if len(indent) + len(text) <= WIDTH:
        return text
    return head + "\n" + ",\n".join(f"{indent}    {item}" for item in items) + end
