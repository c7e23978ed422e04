"""Values of an ONNX file as data of the IR, from the file itself or from one beside it in the model's folder."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from irc.frontend.onnx.proto import Tensor, element_name
from irc.ir.constants import Data
from irc.ir.diagnostics import Diagnostic, IrcError, UnsafeInputError
from irc.ir.scalars import BF16, BOOL, F16, F32, F64, I8, I16, I32, I64, U8, Array, ScalarType, scalar

SCALARS: dict[int, ScalarType] = {
    1: F32,
    2: U8,
    3: I8,
    4: scalar("u16"),
    5: I16,
    6: I32,
    7: I64,
    9: BOOL,
    10: F16,
    11: F64,
    12: scalar("u32"),
    16: BF16,
    21: scalar("u4"),
    22: scalar("i4"),
    25: scalar("u2"),
    26: scalar("i2"),
}
"""Scalar types by the number of an element type (TensorProto.DataType)."""
ELEMENTS = {kind: number for number, kind in SCALARS.items()}
MOST_BYTES = 2**36  # of one tensor
MOST_AXES = 32  # as NumPy's iterators


def scalar_type(element: int) -> ScalarType:
    """The scalar type of an element type. Raises IrcError if the IR has none."""
    if element not in SCALARS:
        raise IrcError(f"tensors of {element_name(element)} are not supported", hint="convert to float")
    return SCALARS[element]


@dataclass
class Tensors:
    """Reads tensors of a model that lies in `folder` (None: in memory, so that no other file belongs to it)."""

    folder: Path | None = None
    _read: dict[Tensor, Data] = field(default_factory=dict[Tensor, Data])

    def data(self, tensor: Tensor) -> Data:
        """The values. Raises IrcError if they are damaged, UnsafeInputError for a path that leaves the folder."""
        if tensor not in self._read:
            self._read[tensor] = self._data(tensor)
        return self._read[tensor]

    def _data(self, tensor: Tensor) -> Data:
        kind = scalar_type(tensor.element)
        if any(d < 0 for d in tensor.dims) or len(tensor.dims) > MOST_AXES:
            raise IrcError(f"tensor '{tensor.name}' has the shape {list(tensor.dims)}")
        bits = 16 if kind == BF16 else 8 if kind == BOOL else kind.bits
        count = math.prod(tensor.dims)
        size = -(-count * bits // 8)
        raw = self._outside(tensor, size) if tensor.outside else tensor.raw
        if not raw and tensor.typed:
            values = _typed(tensor, kind)
        elif len(raw) == size:
            values = _unpacked(raw, kind, count)
        else:
            raise _damaged(tensor, f"{len(raw)} bytes, expected {size}")
        if values.size != count:
            raise _damaged(tensor, f"{values.size} values, expected {count}")
        try:
            return Data.of(values.reshape(tensor.dims), kind)
        except ValueError as error:  # no elements, and a size beyond what NumPy counts to
            raise _damaged(tensor, str(error)) from error

    # -- other files

    def _outside(self, tensor: Tensor, size: int) -> bytes:
        path = self._path(tensor)
        offset, length = _number(tensor, "offset", 0), _number(tensor, "length", size)
        try:
            have = path.stat().st_size
            if length != size or offset + length > have or size > MOST_BYTES:
                where = f"bytes {offset} .. {offset + length} of {path.name}, which has {have}"
                raise _damaged(tensor, f"{where}; expected {size} bytes")
            with path.open("rb") as file:
                file.seek(offset)
                return file.read(length)
        except OSError as error:
            raise IrcError(
                f"the values of tensor '{tensor.name}' are in '{path.name}', which cannot be read: {error.strerror}",
                hint="keep the files of a model together",
            ) from error

    def _path(self, tensor: Tensor) -> Path:
        """The file with the values. Raises UnsafeInputError unless it is inside the model's folder, links resolved."""
        location = tensor.outside["location"]
        if self.folder is None:
            raise IrcError(
                f"the values of tensor '{tensor.name}' are in another file", hint="give the path of the model"
            )
        folder = self.folder.resolve()
        try:
            path = (folder / location).resolve()
            inside = bool(location) and not Path(location).is_absolute() and path.is_relative_to(folder)
            if inside and (path.is_file() or not path.exists()):
                return path
        except (OSError, ValueError, RuntimeError):
            pass  # no path at all
        raise UnsafeInputError(
            Diagnostic(
                f"the values of tensor '{tensor.name}' are said to be in {location!r}, outside of the model's folder",
                hint="weights of a model lie in its folder; the file may be made to read others",
            )
        )


def _number(tensor: Tensor, key: str, default: int) -> int:
    text = tensor.outside.get(key, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise _damaged(tensor, f"the {key} {text!r}")
    return int(text)


def _damaged(tensor: Tensor, what: str) -> IrcError:
    return IrcError(f"tensor '{tensor.name}' {list(tensor.dims)} is damaged: {what}")


# -- bytes and numbers


def _unpacked(raw: bytes, kind: ScalarType, count: int) -> Array:
    """Little-endian elements; several to a byte from its low end, for fewer than 8 bits."""
    if kind == BF16:
        return _widened(np.frombuffer(raw, "<u2"))
    if kind.bits >= 8:
        return np.frombuffer(raw, kind.dtype.newbyteorder("<"))
    if kind == BOOL:
        return np.frombuffer(raw, np.uint8) != 0
    each = 8 // kind.bits
    parts = np.frombuffer(raw, np.uint8)[:, None] >> (kind.bits * np.arange(each, dtype=np.uint8))
    return _signed(parts.reshape(-1)[:count] & ((1 << kind.bits) - 1), kind)


def _signed(codes: Array, kind: ScalarType) -> Array:
    wide = codes.astype(np.int16)
    return np.where(wide > kind.max, wide - (1 << kind.bits), wide).astype(kind.dtype)


def _widened(bits: Array) -> Array:
    return (bits.astype(np.uint32) << 16).view(np.float32)


_BITS: dict[ScalarType, Callable[[Array], Array]] = {
    BF16: _widened,
    F16: lambda bits: bits.astype("<u2").view("<f2"),
}


def _typed(tensor: Tensor, kind: ScalarType) -> Array:
    """The values of the typed fields; halves are there as bits, and 4-bit integers two to a byte."""
    if kind in _BITS:
        return _BITS[kind](np.array(tensor.typed, np.int64).astype(np.uint16))
    if kind.is_integer and kind.bits < 8:
        codes = np.array(tensor.typed, np.int64).astype(np.uint8)
        return _unpacked(codes.tobytes(), kind, math.prod(tensor.dims))
    if kind.is_float or kind == BOOL:
        return np.array(tensor.typed, kind.dtype)
    return np.array(tensor.typed, np.int64)
