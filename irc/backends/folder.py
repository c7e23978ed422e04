"""Folders and files that appear complete or not at all, with the same bytes for the same content."""

from __future__ import annotations

import errno
import io
import json
import secrets
import shutil
import zipfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from irc.ir.diagnostics import Diagnostic, UsageError
from irc.ir.files import make_parent, unwritable
from irc.ir.scalars import Array

MANIFEST = "manifest.json"


def claim(path: Path, force: bool) -> None:
    """Raise UsageError if an artifact may not be written there. With `force`, only an artifact may be replaced."""
    if not path.exists() and not path.is_symlink():
        return
    if not force:
        raise UsageError(Diagnostic("exists already", place=str(path), hint="--force replaces it, -o names another"))
    if not (path / MANIFEST).is_file() and not (path.is_dir() and not any(path.iterdir())):
        raise UsageError(Diagnostic("is no irc artifact, so --force does not replace it", place=str(path)))


@contextmanager
def under_construction(path: Path, force: bool) -> Generator[Path]:
    """A new folder beside `path` that takes its place if the block ends well and vanishes if it does not.

    Raises UsageError if it cannot be made, or if `path` exists and `force` is not given.
    """
    claim(path, force)
    path = path.resolve() if path.is_symlink() else path
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    try:
        make_parent(path)
        partial.mkdir()
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        yield partial
        _put_in_place(partial, path, force)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _put_in_place(partial: Path, path: Path, force: bool) -> None:
    """Others may do the same at the same time: without `force` the first wins, with it the last."""
    old = partial.with_suffix(".old")
    while True:
        claim(path, force)
        try:
            _exchange(partial, path, old if force else None)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise unwritable(path, error) from error
        else:
            return
        finally:
            shutil.rmtree(old, ignore_errors=True)


def _exchange(partial: Path, path: Path, old: Path | None) -> None:
    """Rename; what is there goes to `old`, or is in the way."""
    if old is not None:
        with suppress(FileNotFoundError):
            path.rename(old)
    try:
        partial.rename(path)
    except BaseException:
        if old is not None and old.exists() and not path.exists():
            old.rename(path)
        raise


def write_json(path: Path, value: Any) -> None:
    """Indented JSON, keys in the order given."""
    path.write_text(json.dumps(value, indent=1, ensure_ascii=True) + "\n", encoding="ascii", newline="\n")


def write_npz(path: Path, arrays: Mapping[str, Array]) -> None:
    """An `.npz` without dates: equal arrays give equal bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), content.getvalue())
