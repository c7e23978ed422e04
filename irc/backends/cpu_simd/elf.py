"""Reading and filling in relocatable 64-bit little-endian ELF objects, as LLVM emits them for Linux targets.

Layouts are those of the System V ABI, chapter 4 (object files).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

MAGIC = b"\x7fELF\x02\x01"
SECTION = struct.Struct("<IIQQQQIIQQ")
SYMBOL = struct.Struct("<IBBHQQ")
SYMBOL_TABLE, NO_BITS = 2, 8
ALLOCATED, EXECUTABLE = 2, 4
LOCAL, UNDEFINED = 0, 0


Pieces = tuple[bytes, ...]
"""A file as what is written one after the other, so that many weights are not copied. The first of an object has all
that `sections` and `symbols` read."""


@dataclass(frozen=True)
class Section:
    """A section: where its bytes, and its entry in the table of sections, lie in the file."""

    name: str
    kind: int
    flags: int
    offset: int
    size: int
    link: int
    entry: int


@dataclass(frozen=True)
class Symbol:
    """An entry of the symbol table; `section` is 0 for what another object must define."""

    name: str
    is_global: bool
    section: int


def sections(code: bytes) -> list[Section]:
    """All sections by index. Raises ValueError for bytes that are no such object."""
    if code[: len(MAGIC)] != MAGIC:
        raise ValueError("no 64-bit little-endian ELF object")
    (table,) = struct.unpack_from("<Q", code, 40)
    size, count, names = struct.unpack_from("<HHH", code, 58)
    entries = [table + size * i for i in range(count)]
    headers = [SECTION.unpack_from(code, entry) for entry in entries]
    texts = headers[names][4]
    return [
        Section(_text(code, texts + name), kind, flags, offset, length, link, entry)
        for entry, (name, kind, flags, _, offset, length, link, *_) in zip(entries, headers, strict=True)
    ]


def symbols(code: bytes) -> Iterator[Symbol]:
    """The symbols that have a name."""
    found = sections(code)
    for section in found:
        if section.kind != SYMBOL_TABLE:
            continue
        texts = found[section.link].offset
        for place in range(section.offset, section.offset + section.size, SYMBOL.size):
            name, info, _, index, _, _ = SYMBOL.unpack_from(code, place)
            if name:
                yield Symbol(_text(code, texts + name), info >> 4 != LOCAL, index)


def undefined(code: bytes) -> list[str]:
    """Names that another object would have to define."""
    return sorted(s.name for s in symbols(code) if s.section == UNDEFINED)


def exported(code: bytes) -> list[str]:
    """Names that other objects can use."""
    return sorted(s.name for s in symbols(code) if s.is_global and s.section != UNDEFINED)


def code_bytes(code: bytes) -> int:
    """The size of all machine code."""
    return sum(s.size for s in sections(code) if s.flags & EXECUTABLE)


def with_content(code: bytes, name: str, content: bytes) -> Pieces:
    """The object with other bytes in a section, at the end of the file. Raises ValueError if there can be none.

    LLVM takes its time for a section of many zeros; so it makes a small one, to which the bytes come here.
    """
    (section,) = [s for s in sections(code) if s.name == name]
    if section.kind == NO_BITS or section.flags & EXECUTABLE:
        raise ValueError(f"section {name} cannot hold {len(content)} bytes")
    *before, _, _, link, info, align, each = SECTION.unpack_from(code, section.entry)
    gap = -len(code) % align
    header = SECTION.pack(*before, len(code) + gap, len(content), link, info, align, each)
    head = b"".join((code[: section.entry], header, code[section.entry + SECTION.size :], bytes(gap)))
    return head, content


def _text(code: bytes, place: int) -> str:
    return code[place : code.index(b"\0", place)].decode("utf-8")
