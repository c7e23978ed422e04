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
    root: str
    records: dict[str, zipfile.ZipInfo] = field(repr=False)

    @property
    def size(self) -> int:
        """Bytes of all records; not more than the file has."""
        return sum(info.file_size for info in self.records.values())

    def read(self, name: str) -> bytes:
        """The bytes of a record. Raises IrcError if it is missing or damaged."""
        if name not in self.records:
            raise IrcError(Diagnostic(f"the archive has no '{name}'", place=self.place, hint="save the model again"))
        try:
            return self.file.read(self.records[name])
        except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as error:
            raise damaged(self.place, f"record '{name}': {error}") from error

    def under(self, folder: str) -> list[str]:
        """The names of the records in a folder."""
        return [name for name in self.records if name.startswith(folder)]


def damaged(place: str, what: object) -> IrcError:
    return IrcError(Diagnostic(f"the file is damaged or truncated ({what})", place=place, hint="save the model again"))


def open_archive(source: Path | BinaryIO, place: str) -> Archive:
    """Open an archive. Raises IrcError if it is not a sound zip file, UnsafeInputError if it is built to harm."""
    try:
        file = zipfile.ZipFile(source)
        total = _length(source)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
        raise damaged(place, error) from error
    infos = [info for info in file.infolist() if not info.is_dir()]
    if not infos:
        raise damaged(place, "no records")
    _check(infos, total, place)
    root = infos[0].filename.partition("/")[0]
    records = {info.filename.removeprefix(f"{root}/"): info for info in infos}
    return Archive(place, file, root, records)


def _length(source: Path | BinaryIO) -> int:
    if isinstance(source, Path):
        return source.stat().st_size
    source.seek(0, 2)
    return source.tell()


def _check(infos: list[zipfile.ZipInfo], total: int, place: str) -> None:
    def refuse(why: str) -> UnsafeInputError:
        return UnsafeInputError(Diagnostic(f"refused: {why}", place=place, hint="torch does not write such archives"))

    names = [info.filename for info in infos]
    if len(names) > MOST_RECORDS:
        raise refuse(f"{len(names)} records")
    if len(set(names)) != len(names):
        raise refuse("two records have one name")
    root = names[0].partition("/")[0]
    for info in infos:
        parts = info.filename.split("/")
        if parts[0] != root or ".." in parts or "" in parts[1:] or "\\" in info.filename or ":" in parts[0]:
            raise refuse(f"the record {info.filename!r} is outside the folder of the archive")
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise refuse(f"the record {info.filename!r} is compressed or encrypted")
    if sum(info.file_size for info in infos) > total:
        raise refuse("its records claim more bytes than the file has")
