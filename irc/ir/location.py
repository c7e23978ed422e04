"""Where a node came from: PyTorch module path, class, source line, and the passes that derived it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

ROOT = "(model)"
"""What stands for the empty module path, that of the model itself, where a reader would miss it."""

_BARE = re.compile(r"[A-Za-z_$][A-Za-z0-9_.$]*(-[A-Za-z_$][A-Za-z0-9_.$]*)*", re.ASCII)


def quote(text: str) -> str:
    """A string literal of the text format: printable ASCII stays, everything else is escaped."""
    out: list[str] = []
    for ch in text:
        if ch in '"\\':
            out.append("\\" + ch)
        elif ch == "\n":
            out.append("\\n")
        elif ch == "\t":
            out.append("\\t")
        elif " " <= ch <= "~":
            out.append(ch)
        else:
            out.append(f"\\u{{{ord(ch):x}}}")
    return '"' + "".join(out) + '"'


def _bare(name: str, *, dashes: bool = False) -> str:
    """A name as it stands, if the lexer reads it as one word, else in quotes."""
    return name if _BARE.fullmatch(name) and (dashes or "-" not in name) else quote(name)


@dataclass(frozen=True, slots=True)
class Source:
    """One place in the user's model: `"blocks.0.attn.proj" (Linear) vit.py:88`."""

    path: str
    cls: str = ""
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        text = quote(self.path)
        if self.cls:
            text += f" ({_bare(self.cls)})"
        if self.file:
            text += f" {_bare(self.file)}:{self.line}"
        return text


@dataclass(frozen=True, slots=True)
class Loc:
    """The sources of a node, in order, and the passes that derived it, in order."""

    sources: tuple[Source, ...] = ()
    passes: tuple[str, ...] = ()

    def __str__(self) -> str:
        parts: list[str] = []
        if self.sources:
            parts.append("at " + ", ".join(str(s) for s in self.sources))
        if self.passes:
            parts.append("via " + ", ".join(_bare(name, dashes=True) for name in self.passes))
        return " ".join(parts)

    def __bool__(self) -> bool:
        return bool(self.sources or self.passes)

    @property
    def path(self) -> str:
        """The module path of the first source; empty if unknown."""
        return self.sources[0].path if self.sources else ""

    def via(self, name: str) -> Loc:
        """This location, derived by pass `name` (recorded once)."""
        return self if name in self.passes else Loc(self.sources, (*self.passes, name))


UNKNOWN = Loc()


def at(path: str, cls: str = "", file: str = "", line: int = 0) -> Loc:
    """A location with one source."""
    return Loc((Source(path, cls, file, line),))


def fuse(locs: Iterable[Loc]) -> Loc:
    """The location of something that replaces several nodes: all sources and passes, each once, in order."""
    sources: dict[Source, None] = {}
    passes: dict[str, None] = {}
    for loc in locs:
        sources.update(dict.fromkeys(loc.sources))
        passes.update(dict.fromkeys(loc.passes))
    return Loc(tuple(sources), tuple(passes))
