"""Text IR on disk: a `.irc` file and the weights beside it, and copies of a module by way of its text."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import cast

from irc.ir.attrs import Attr, Mask
from irc.ir.constants import Data, load_weights, save_arrays
from irc.ir.diagnostics import Diagnostic, UsageError
from irc.ir.graph import Module
from irc.ir.parser import parse
from irc.ir.scalars import Array
from irc.ir.types import Element, TensorType

WEIGHTS = "weights.safetensors"


def data_of(module: Module) -> dict[str, Data]:
    """Every constant that prints as a hash, by that hash: values, masks, scales, those of types included."""
    found: dict[str, Data] = {}
    for function in module.functions.values():
        for data in _of_types(value.type for value in function.inputs):
            found[data.hash] = data
    for node in module.walk():
        for region in node.regions:
            for data in _of_types(value.type for value in region.inputs):
                found[data.hash] = data
        for data in _of_types(value.type for value in node.results):
            found[data.hash] = data
        for attribute in node.attributes.values():
            for data in _of_attribute(attribute):
                found[data.hash] = data
    return {digest: data for digest, data in found.items() if not data.inline}


def _of_types(types: Iterable[TensorType]) -> Iterator[Data]:
    for t in types:
        if t.encoding is not None:
            yield from t.encoding.data


def _of_attribute(attribute: Attr) -> Iterator[Data]:
    if isinstance(attribute, Data):
        yield attribute
    elif isinstance(attribute, Mask):
        yield attribute.bits
    elif isinstance(attribute, Element):
        yield from attribute.encoding.data if attribute.encoding is not None else ()
    elif isinstance(attribute, TensorType):
        yield from _of_types([attribute])
    elif isinstance(attribute, tuple):
        for item in cast("tuple[Attr, ...]", attribute):
            yield from _of_attribute(item)


def read_module(path: Path, weights: Path | None = None) -> Module:
    """The module of a `.irc` file, its constants from `weights`, else from `weights.safetensors` beside the text.

    Raises UsageError if a file cannot be read, IrcError with a span for a mistake in the text.
    """
    return parse(read_text(path), weights=weights_for(path, weights), source=path.name)


def read_text(path: Path) -> str:
    """The characters of a file. Raises UsageError if it cannot be read or is no text."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(Diagnostic(reason_of(error), place=str(path))) from error
    return decoded(content, str(path))


def decoded(content: bytes, place: str) -> str:
    """The characters of a text. Raises UsageError if it is none."""
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise UsageError(Diagnostic("it is not a text file", place=place)) from error


def weights_for(text: Path | None, weights: Path | None) -> Mapping[str, Array]:
    """The arrays of the given weights file, else of the one beside the text, else none."""
    beside = text.parent / WEIGHTS if text is not None else None
    if weights is None and (beside is None or not beside.exists()):
        return {}
    return load_weights(weights or cast(Path, beside))


def reason_of(error: OSError) -> str:
    """Why a file could not be read or written, in words."""
    return (error.strerror or str(error)).lower()


def write_module(module: Module, path: Path) -> None:
    """Write the text, and its constants into `weights.safetensors` beside it, joined with what that file already holds.

    Each file appears complete or not at all. Raises UsageError if one cannot be written.
    """
    beside = path.parent / WEIGHTS
    arrays = {digest: data.array for digest, data in data_of(module).items() if data.loaded}
    if arrays and not is_device(path):
        known = weights_for(path, None)
        replace_file(beside, lambda partial: save_arrays({**known, **arrays}, partial))
    replace_file(path, lambda partial: partial.write_text(str(module), encoding="utf-8", newline="\n"))


def make_parent(path: Path) -> None:
    """Make the folder a file goes to. Raises NotADirectoryError if there is a file of its name, OSError otherwise."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, f"{path.parent.name} is not a folder") from error


def unwritable(path: Path, error: OSError) -> UsageError:
    """What to tell a user who wants a file where none can be written."""
    return UsageError(Diagnostic(f"cannot write: {reason_of(error)}", place=str(path)))


def is_device(path: Path) -> bool:
    """Whether something is there that is written to but not replaced: `/dev/stdout`, a pipe."""
    return path.exists() and not path.is_file() and not path.is_dir()


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file that takes the place of `path`, or of what that links to, when it is complete.

    A device gets the content. Raises UsageError if that cannot be.
    """
    try:
        if is_device(path):
            _feed(path, write)
        else:
            _replace(path.resolve() if path.is_symlink() else path, write)
    except OSError as error:
        raise unwritable(path, error) from error


def _feed(device: Path, write: Callable[[Path], object]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        complete = Path(folder) / "content"
        write(complete)
        device.write_bytes(complete.read_bytes())


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    make_parent(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        write(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
