"""The C++ parser: libclang, which is imported here only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import clang.cindex  # pyright: ignore[reportMissingTypeStubs]

from irc.backends.fpga_hls.lint.tree import Node, Note, Place, Program

FLAGS = ["-x", "c++", "-std=c++14", "-Wunknown-pragmas", "-ferror-limit=0"]
ERROR = 3  # severity
UNKNOWN_PRAGMA = "-Wunknown-pragmas"

_cindex: Any = clang.cindex


def parse(source: Path, folder: Path, flags: Sequence[str]) -> Program:
    """The program that starts with a source file. Of the files it includes, those in `folder` belong to it."""
    unit: Any = _cindex.Index.create().parse(str(source), args=[*FLAGS, *flags])
    return _Reader(folder).program(unit)


class _Reader:
    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._names: dict[str, str | None] = {}
        self._files: dict[str, str] = {}

    def program(self, unit: Any) -> Program:
        roots = [self._node(c) for c in unit.cursor.get_children() if self._name(c.location.file)]
        notes = [note for d in unit.diagnostics if (note := self._note(d))]
        return Program(roots, self._files, notes)

    def _name(self, file: Any) -> str | None:
        """The path of a file in the project; None for others."""
        if file is None:
            return None
        if file.name not in self._names:
            path = Path(file.name).resolve()
            inside = path.is_relative_to(self._folder)
            self._names[file.name] = str(path.relative_to(self._folder)) if inside else None
            if inside:
                self._files[str(path.relative_to(self._folder))] = path.read_text(encoding="latin-1")
        return self._names[file.name]

    def _note(self, diagnostic: Any) -> Note | None:
        is_pragma = diagnostic.option == UNKNOWN_PRAGMA
        if not is_pragma and diagnostic.severity < ERROR:
            return None
        place = diagnostic.location
        name = self._name(place.file)
        if is_pragma and name is None:
            return None
        return Note(name or str(place.file or ""), place.line, diagnostic.spelling, is_pragma)

    def _node(self, cursor: Any) -> Node:
        begin, end = cursor.extent.start, cursor.extent.end
        name = self._name(begin.file) or ""
        location = cursor.location
        node = Node(
            kind=cursor.kind.name,
            name=cursor.spelling,
            type=cursor.type.spelling,
            file=name,
            line=location.line,
            place=(self._name(location.file) or "", location.offset),
            begin=begin.offset,
            end=end.offset,
            refers=self._refers(cursor),
            source=self._files.get(name, ""),
        )
        if not _is_table(cursor):
            node.children = [self._node(child) for child in cursor.get_children()]
        return node

    def _refers(self, cursor: Any) -> tuple[Place, ...]:
        kind = cursor.kind
        if not (kind.is_reference() or kind.is_expression()):
            return ()
        if kind == _cindex.CursorKind.OVERLOADED_DECL_REF:
            lib = _cindex.conf.lib
            count = lib.clang_getNumOverloadedDecls(cursor)
            targets = [lib.clang_getOverloadedDecl(cursor, i) for i in range(count)]
        else:
            targets = [cursor.referenced]
        whole = [t.get_definition() or t for t in targets if t is not None]
        places = [(self._name(t.location.file), t.location.offset) for t in whole]
        return tuple((name, offset) for name, offset in places if name is not None)


def _is_table(cursor: Any) -> bool:
    """Whether this is a constant array of the program, whose many numbers say nothing."""
    if cursor.kind != _cindex.CursorKind.VAR_DECL:
        return False
    outside = cursor.semantic_parent.kind in (_cindex.CursorKind.NAMESPACE, _cindex.CursorKind.TRANSLATION_UNIT)
    return outside and cursor.type.kind == _cindex.TypeKind.CONSTANTARRAY
