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


@dataclass(frozen=True)
class Section:
    """A section: where its bytes lie in the file."""

    name: str
    kind: int
    flags: int
    offset: int
    size: int
    link: int


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
    headers = [SECTION.unpack_from(code, table + size * i) for i in range(count)]
    texts = headers[names][4]
    return [
        Section(_text(code, texts + name), kind, flags, offset, length, link)
        for name, kind, flags, _, offset, length, link, *_ in headers
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


def with_content(code: bytes, name: str, content: bytes) -> bytes:
    """The object with other bytes in a section, at the end of the file. Raises ValueError if there can be none.

    LLVM takes its time for a section of many zeros; so it makes a small one, to which the bytes come here.
    """
    (index,) = [i for i, s in enumerate(sections(code)) if s.name == name]
    table, size = *struct.unpack_from("<Q", code, 40), *struct.unpack_from("<H", code, 58)
    place = table + size * index
    text, kind, flags, address, _, _, link, info, align, entry = SECTION.unpack_from(code, place)
    if kind == NO_BITS or flags & EXECUTABLE:
        raise ValueError(f"section {name} cannot hold {len(content)} bytes")
    gap = -len(code) % align
    header = SECTION.pack(text, kind, flags, address, len(code) + gap, len(content), link, info, align, entry)
    return b"".join((code[:place], header, code[place + SECTION.size :], bytes(gap), content))


def _text(code: bytes, place: int) -> str:
    return code[place : code.index(b"\0", place)].decode("utf-8")
