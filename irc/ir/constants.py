"""Constant data by content: a hash in the text, the values in `weights.safetensors` beside it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from irc.ir.diagnostics import IrcError
from irc.ir.scalars import BF16, Array, ScalarType, round_to_bf16, scalar_of

INLINE_ELEMENTS = 8  # constants up to this size print their values


class Data:
    """An immutable array known by its content hash; values may be absent until a weights file is attached.

    Two are equal when scalar type, shape and values are equal, which is what the hash covers: the first 16 hex digits of
    SHA-256 over "scalar[shape]" and the little-endian C-order values (sub-byte integers one value a byte).
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
        values = np.array(round_to_bf16(source) if kind == BF16 else source, dtype=kind.dtype, order="C")
        if kind.is_integer and values.size:
            low, high = int(np.min(source)), int(np.max(source))
            if low < kind.min or high > kind.max:
                raise IrcError(f"values {low} .. {high} do not fit {kind} ({kind.min} .. {kind.max})")
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
        header = f"{self.scalar}[{','.join(map(str, self.shape))}]".encode()
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        return hashlib.sha256(header + little.tobytes()).hexdigest()[:16]

    @property
    def array(self) -> Array:
        """The values, read-only. Raises IrcError if they are not here."""
        if self._array is None:
            raise IrcError(
                f"the values of constant #{self._hash} ({self.scalar}{list(self.shape)}) are not loaded",
                hint="pass the weights file that was written beside the text: --weights weights.safetensors",
            )
        return self._array

    @property
    def loaded(self) -> bool:
        return self._array is not None

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def inline(self) -> bool:
        """Whether the values print in the text."""
        return self.loaded and self.size <= INLINE_ELEMENTS

    def attach(self, array: Array) -> None:
        """Give unresolved data its values. Raises IrcError if they are not the ones the hash names."""
        values = np.ascontiguousarray(array, self.scalar.dtype).reshape(self.shape)
        if (digest := self._digest(values)) != self._hash:
            raise IrcError(f"weights for #{self._hash} have hash #{digest}: the file is damaged or edited")
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


def float_text(value: float, kind: ScalarType) -> str:
    """The shortest decimal that reads back as the same value of that float type."""
    return str(np.float32(value)) if kind.bits == 32 else repr(float(value))


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
    tensors = {d.hash: np.array(d.array) for d in data if not d.inline}
    save_file(dict(sorted(tensors.items())), path, metadata={"format": "irc-weights-1"})


def load_weights(path: str | os.PathLike[str]) -> Mapping[str, Array]:
    """All arrays of a weights file by hash. Raises IrcError if it cannot be read."""
    try:
        with safe_open(os.fspath(path), framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise IrcError(f"{path}: not a readable weights file ({error})") from error
