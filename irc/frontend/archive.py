"""Zip archives of torch, read as data: every record is checked before a byte of it is used.

torch writes its archives stored, never compressed, with all records in one folder. Anything else is refused:
compression that could hide a bomb, records on top of each other, paths that leave the folder.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from irc.ir.diagnostics import Diagnostic, IrcError, UnsafeInputError

MOST_RECORDS = 200_000


@dataclass(frozen=True)
class Archive:
    """The records of one archive, by path inside its folder."""

    place: str
    file: zipfile.ZipFile = field(repr=False)
    length: int
    records: dict[str, zipfile.ZipInfo] = field(repr=False)

    def read(self, name: str) -> bytes:
        """The bytes of a record. Raises IrcError if it is missing or damaged."""
        if name not in self.records:
            raise IrcError(Diagnostic(f"the archive has no '{name}'", place=self.place, hint="save the model again"))
        _require_stored([self.records[name]], self.length, self.place)
        try:
            content = self.file.read(self.records[name])
        except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
            raise damaged(self.place, f"record '{name}': {error}") from error
        if len(content) != self.records[name].file_size:
            raise damaged(self.place, f"record '{name}' has {len(content)} bytes, not those that the archive lists")
        return content

    def under(self, folder: str) -> list[str]:
        """The names of the records in a folder."""
        return [name for name in self.records if name.startswith(folder)]

    def require_stored(self) -> None:
        """Raises UnsafeInputError unless all records are stored as they are, so that no size exceeds the file's."""
        _require_stored(list(self.records.values()), self.length, self.place)


def damaged(place: str, what: object) -> IrcError:
    return IrcError(Diagnostic(f"the file is damaged or truncated ({what})", place=place, hint="save the model again"))


def open_archive(source: Path | BinaryIO, place: str) -> Archive:
    """Open an archive. Raises IrcError if it is not a sound zip file, UnsafeInputError if names in it are not sound."""
    try:
        file = zipfile.ZipFile(source)
        length = _length(source)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
        raise damaged(place, error) from error
    infos = [info for info in file.infolist() if not info.filename.endswith("/")]  # a name may be empty
    if not infos:
        raise damaged(place, "no records")
    root = _checked_folder([info.filename for info in infos], place)
    return Archive(place, file, length, {info.filename.removeprefix(f"{root}/"): info for info in infos})


def _length(source: Path | BinaryIO) -> int:
    if isinstance(source, Path):
        return source.stat().st_size
    return source.seek(0, 2)


def _refused(why: str, place: str) -> UnsafeInputError:
    return UnsafeInputError(Diagnostic(f"refused: {why}", place=place, hint="torch does not write such archives"))


def _checked_folder(names: list[str], place: str) -> str:
    """The one folder all records are in."""
    if len(names) > MOST_RECORDS:
        raise _refused(f"{len(names)} records", place)
    if len(set(names)) != len(names):
        raise _refused("two records have one name", place)
    root = names[0].partition("/")[0]
    for name in names:
        first, *rest = name.split("/")
        if first != root or not rest or "" in rest or ".." in (first, *rest) or "\\" in name or ":" in first:
            raise _refused(f"the record {name!r} is outside the folder of the archive", place)
    return root


def _require_stored(infos: list[zipfile.ZipInfo], length: int, place: str) -> None:
    for info in infos:
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise _refused(f"the record {info.filename!r} is compressed or encrypted", place)
    if sum(info.file_size for info in infos) > length:
        raise _refused("its records claim more bytes than the file has", place)
