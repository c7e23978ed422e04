"""Static libraries: `ar` archives with a symbol index, in the layout of System V and GNU, without times or owners."""

from __future__ import annotations

import struct

from irc.backends.cpu_simd.elf import Pieces, exported

MAGIC = b"!<arch>\n"
LONGEST = 15
"""Characters of a member name that need no table of long names."""


def archive(name: str, code: Pieces) -> Pieces:
    """An archive of one object file. Raises ValueError for a name longer than 15 characters."""
    if len(name) > LONGEST:
        raise ValueError(f"the member name {name} is longer than {LONGEST} characters")
    names = exported(code[0])
    texts = b"".join(n.encode() + b"\0" for n in names)
    size = 4 + 4 * len(names) + len(texts)
    first = len(MAGIC) + 60 + size + size % 2
    index = struct.pack(f">I{len(names)}I", len(names), *[first] * len(names)) + texts
    return MAGIC, *_member("", (index,)), *_member(name, code)


def _member(name: str, content: Pieces) -> Pieces:
    """Header, content, and what makes it even."""
    size = sum(map(len, content))
    header = f"{name + '/':<16}{0:<12}{0:<6}{0:<6}{644 if name else 0:<8}{size:<10}`\n"
    return header.encode("ascii"), *content, b"\n" * (size % 2)
