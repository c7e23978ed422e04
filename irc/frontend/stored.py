"""Tensors of archives: raw records of saved programs, and torch.save files that hold nothing but tensors."""

from __future__ import annotations

import json
import math
import pickle
import re
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO, cast

import torch
from torch._export.serde import serialize

from irc.frontend.archive import Archive, damaged, open_archive
from irc.ir.diagnostics import Diagnostic, UnsafeInputError

SPARE_BYTES = 2**28  # what tensors may have beyond the bytes of their records (expanded ones)
DTYPES: Mapping[Any, torch.dtype] = cast(Any, serialize)._SERIALIZE_TO_TORCH_DTYPE  # by the numbers in files


def unsafe(place: str, what: str, *, trustable: bool = False) -> UnsafeInputError:
    """A refusal that says the safe way; `trustable` if the user may overrule it."""
    overrule = "; --trust-pickle loads it all the same" if trustable else ""
    return UnsafeInputError(
        Diagnostic(
            f"refused: {what}",
            place=place,
            hint="it could run code of whoever made it. The safe form is torch.export.save(torch.export.export(model, "
            f"inputs), 'model.pt2') with plain tensors as weights and sample inputs{overrule}",
        )
    )


def load_plain(source: BinaryIO, place: str, *, trustable: bool = False) -> Any:
    """What a torch.save file holds, if that is tensors in plain containers.

    Raises UnsafeInputError if the pickle asks for anything else, IrcError if the file is damaged.
    """
    open_archive(source, place).require_stored()
    source.seek(0)
    try:
        found = torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        blocked = f"it holds pickled objects, not only tensors ({_blocked(error)})"
        raise unsafe(place, blocked, trustable=trustable) from error
    except Exception as error:  # whatever torch stumbles over: no object was made
        raise damaged(place, last_line(error)) from error
    return found


def last_line(error: Exception) -> str:
    """What an exception of torch says in the end."""
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else ""


def read_json(archive: Archive, name: str) -> Any:
    """A record as JSON. Raises IrcError if it is missing or is none."""
    try:
        return json.loads(archive.read(name))
    except (ValueError, RecursionError) as error:
        raise damaged(archive.place, f"record '{name}' is not JSON: {error}") from error


def _blocked(error: Exception) -> str:
    """The name of what a pickle asked for."""
    found = re.search(r"(?:GLOBAL|global|class|function) ([\w.]+)", str(error))
    return found[1] if found else "an object"


class Tensors:
    """Reads tensors from raw records: sizes are checked first, tensors of one record share memory."""

    def __init__(self, archive: Archive) -> None:
        self.archive = archive
        self.spare = SPARE_BYTES
        self.storages: dict[tuple[str, torch.dtype], torch.Tensor] = {}

    def read(self, folder: str, config: str) -> dict[str, torch.Tensor]:
        entries = read_json(self.archive, folder + config)
        try:
            return {str(name): self._tensor(folder, str(name), meta) for name, meta in entries["config"].items()}
        except (KeyError, TypeError, AttributeError, ValueError, RuntimeError, OverflowError) as error:
            raise damaged(self.archive.place, f"'{folder}{config}': {error!r}") from error

    def _tensor(self, folder: str, name: str, meta: Mapping[str, Any]) -> torch.Tensor:
        if meta["use_pickle"]:
            raise unsafe(self.archive.place, f"the tensor '{name}' is pickled")
        if "/" in meta["path_name"] or (info := self.archive.records.get(folder + meta["path_name"])) is None:
            raise damaged(self.archive.place, f"the record of tensor '{name}' is missing")
        layout = meta["tensor_meta"]
        dtype = DTYPES[layout["dtype"]]
        sizes, strides = ([_integer(x) for x in layout[key]] for key in ("sizes", "strides"))
        offset = _integer(layout["storage_offset"])
        self._check_size(name, info.file_size, dtype.itemsize, sizes, strides, offset)
        tensor = self._storage(folder + meta["path_name"], dtype).as_strided(sizes, strides, offset)
        return torch.nn.Parameter(tensor, requires_grad=False) if meta["is_param"] else tensor

    def _check_size(
        self, name: str, length: int, item: int, sizes: Sequence[int], strides: Sequence[int], offset: int
    ) -> None:
        if len(sizes) != len(strides) or min((*sizes, *strides, offset), default=0) < 0:
            raise damaged(self.archive.place, f"the shape of tensor '{name}'")
        count = math.prod(sizes)
        reach = offset + sum((s - 1) * t for s, t in zip(sizes, strides, strict=True)) + 1 if count else 0
        self.spare -= max(0, count * item - length)
        if reach * item > length or self.spare < 0:
            claim = f"tensor '{name}' claims {count} elements of {item} bytes, its record has {length} bytes"
            raise damaged(self.archive.place, claim)

    def _storage(self, name: str, dtype: torch.dtype) -> torch.Tensor:
        """All elements of a record."""
        if (name, dtype) not in self.storages:
            data = bytearray(self.archive.read(name))
            count = len(data) // dtype.itemsize
            whole = torch.frombuffer(data, dtype=dtype, count=count) if count else torch.empty(0, dtype=dtype)
            self.storages[name, dtype] = whole
        return self.storages[name, dtype]


def _integer(size: Mapping[str, Any]) -> int:
    value = size["as_int"]
    if type(value) is not int:
        raise ValueError(f"size {value!r}")
    return value
