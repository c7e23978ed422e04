"""The interface of a library: what its functions return, how it describes tensors, and the file of its weights.

`exports.py` makes the functions, `header.py` tells them to C.
"""

from __future__ import annotations

import hashlib
import struct

from irc.ir.scalars import ScalarType

ABI_VERSION = 1

STATUS: tuple[tuple[str, str], ...] = (
    ("OK", "no error"),
    ("ERROR_INDEX", "an index of a gather is out of range"),
    ("ERROR_NULL", "a pointer is NULL"),
    ("ERROR_DIM", "a dimension is out of its range"),
    (
        "ERROR_ALIGNMENT",
        "the workspace, the team or the weights are not aligned to 64 bytes, or a tensor is not to its elements",
    ),
    ("ERROR_SIZE", "the workspace or the team is smaller than it has to be"),
    ("ERROR_ABI", "the caller was compiled with the header of another ABI version"),
    ("ERROR_WEIGHTS", "these are not the weights of this library"),
    ("ERROR_CPU", "this CPU lacks instructions that the library was compiled for"),
    ("ERROR_UNREADY", "the model was not initialised by this library"),
    ("ERROR_TENSOR", "there is no tensor of this number"),
    ("ERROR_THREADS", "a team has 1 to 64 threads, and workers have the numbers from 1 to one less than these"),
    ("ERROR_TEAM", "this is no team of this library"),
    ("ERROR_BUSY", "the team is running something else, or has a worker of this number"),
)
"""What functions return, by number: the name in C, and what it means."""

CODES = {name.removeprefix("ERROR_"): number for number, (name, _) in enumerate(STATUS)}
"""By name, without `ERROR_`."""

ELEMENTS = ("bool", "i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "f16", "f32", "f64")
"""Types of elements in memory, by number."""

HEADER_BYTES = 64
MAGIC = b"irc weights 1\n\0\0"


def element_of(scalar: ScalarType) -> str:
    """How an element lies in memory."""
    kind = scalar.dtype.kind
    return "bool" if kind == "b" else f"{kind}{scalar.dtype.itemsize * 8}"


def weights_header(weights: bytes) -> bytes:
    """The first 64 bytes of a file of weights: what it is, the size of what follows, and its SHA-256."""
    return MAGIC + struct.pack("<QQ", len(weights), 0) + hashlib.sha256(weights).digest()
