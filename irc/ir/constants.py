"""Constant data by content: a hash in the text, the values in `weights.safetensors` beside it."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from irc.ir.diagnostics import IrcError, UsageError
from irc.ir.scalars import BF16, Array, ScalarType, round_to_bf16, scalar_of
from irc.ir.storage import packed, unpacked

INLINE_ELEMENTS = 8  # constants up to this size print their values


class Data:
    """An immutable array known by its content hash; values may be absent until a weights file is attached.

    Two are equal when scalar type, shape and values are equal, which is what the hash covers: the first 16 hex digits
    of SHA-256 over "scalar[shape]" and the little-endian C-order values (sub-byte integers one value a byte). Every NaN
    is the same NaN.
    """

    __slots__ = ("_array", "_hash", "scalar", "shape")

    def __init__(self, scalar: ScalarType, shape: tuple[int, ...], array: Array | None, digest: str = "") -> None:
        self.scalar = scalar
        self.shape = shape
        self._array = array
        self._hash = digest

    @staticmethod
    def of(array: Array | float | int, scalar: ScalarType | None = None) -> Data:
        """Data of an array, as `scalar` (default: the array's own type). Raises IrcError if a value does not fit."""
        source = np.asarray(array)
        kind = scalar or scalar_of(source)
        if kind.is_integer and source.size:
            _check_codes(source, kind)
        with np.errstate(over="ignore"):  # a float beyond the range of its type is infinite
            values = np.array(round_to_bf16(source) if kind == BF16 else source, dtype=kind.dtype, order="C")
        if kind.is_float:
            values[np.isnan(values)] = np.nan
        values.setflags(write=False)
        return Data(kind, values.shape, values)

    @staticmethod
    def unresolved(scalar: ScalarType, shape: tuple[int, ...], digest: str) -> Data:
        """Data whose values are elsewhere."""
        return Data(scalar, shape, None, digest)

    @property
    def hash(self) -> str:
        if not self._hash:
            self._hash = self._digest(self.array)
        return self._hash

    def _digest(self, array: Array) -> str:
        digest = hashlib.sha256(f"{self.scalar}[{','.join(map(str, self.shape))}]".encode())
        digest.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).view(np.uint8).data)
        return digest.hexdigest()[:16]

    @property
    def array(self) -> Array:
        """The values, read-only. Raises IrcError if they are not here."""
        if self._array is None:
            raise IrcError(
                f"the values of constant #{self._hash} ({self.scalar}{list(self.shape)}) are not loaded",
                hint="pass the weights file that was written beside the text: --weights=weights.safetensors",
            )
        return self._array

    @property
    def loaded(self) -> bool:
        return self._array is not None

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def inline(self) -> bool:
        """Whether the values print in the text."""
        return self.loaded and self.size <= INLINE_ELEMENTS

    def attach(self, array: Array) -> None:
        """Give unresolved data its values. Raises IrcError if they are not the ones the hash names."""
        if array.shape != self.shape or array.dtype != self.scalar.dtype:
            raise IrcError(
                f"the weights of #{self._hash} are {array.dtype}{list(array.shape)}, "
                f"the text says {self.scalar}{list(self.shape)}"
            )
        values = np.array(array, order="C")
        if (digest := self._digest(values)) != self._hash:
            raise IrcError(f"the weights of #{self._hash} have hash #{digest}: the file is damaged or edited")
        if self.scalar.is_integer and values.size:
            _check_codes(values, self.scalar)
        values.setflags(write=False)
        self._array = values

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Data):
            return NotImplemented
        if self is other:
            return True
        return self.scalar == other.scalar and self.shape == other.shape and self.hash == other.hash

    def __hash__(self) -> int:
        return hash(self.hash)

    def __repr__(self) -> str:
        return f"Data({self.scalar}{list(self.shape)}, #{self.hash})"


def _check_codes(values: Array, kind: ScalarType) -> None:
    """Raise IrcError unless all values are integers in the range of the type."""
    if values.dtype.kind == "f" and not np.all(values == np.rint(values)):
        raise IrcError(f"values that are no integers cannot be {kind}")
    low, high = int(np.min(values)), int(np.max(values))
    if low < kind.min or high > kind.max:
        raise IrcError(f"values {low} .. {high} do not fit {kind} ({kind.min} .. {kind.max})")


def float_text(value: float, kind: ScalarType) -> str:
    """The shortest decimal that reads back as the same value of that float type."""
    return str(kind.dtype.type(value))


def data_text(data: Data) -> str:
    """Small data as nested lists, larger data as `#hash`."""

    def nested(array: Array) -> str:
        if array.ndim:
            return f"[{', '.join(nested(row) for row in array)}]"
        if data.scalar.kind == "bool":
            return "true" if array else "false"
        return str(int(array)) if data.scalar.is_integer else float_text(float(array), data.scalar)

    return nested(data.array) if data.inline else f"#{data.hash}"


def save_weights(data: Iterable[Data], path: Path) -> None:
    """Write every array that does not print in the text, keyed by hash, in a fixed order (same data, same bytes)."""
    save_arrays({d.hash: d.array for d in data if not d.inline}, path)


def save_arrays(arrays: Mapping[str, Array], path: Path) -> None:
    """Write arrays by content hash, in a fixed order, those that are mostly 0 without their zeros (`storage.py`)."""
    parts = (packed(digest, array) for digest, array in sorted(arrays.items()))
    tensors = {name: np.array(part) for found in parts for name, part in found.items()}
    path.write_bytes(safetensors.numpy.save(tensors, metadata={"format": "irc-weights-1"}))


def load_weights(path: str | os.PathLike[str]) -> Mapping[str, Array]:
    """All arrays of a weights file by hash. Raises UsageError if there is none, IrcError if it cannot be read."""
    if not os.path.exists(path):
        raise UsageError(f"{path}: there is no such file")
    try:
        return unpacked(safetensors.numpy.load(Path(path).read_bytes()))
    except (OSError, safetensors.SafetensorError, KeyError, ValueError) as error:
        raise IrcError(f"{path}: not a readable weights file ({error})") from error
