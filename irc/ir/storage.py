"""How an array lies in a weights file: as it is, or, where that is much smaller, without its zeros.

`<hash>` is the array itself. Without zeros there are three: `<hash>.where` has one bit an element, eight to a byte from
the lowest on, `<hash>.values` the elements whose bit is set (of bools there are none: the bits say it all), and
`<hash>.shape` the shape.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from irc.ir.scalars import Array

WHERE, VALUES, SHAPE = ".where", ".values", ".shape"
WORTH = 0.75  # of the bytes as they are; what saves less stays readable for other tools
SMALLEST = 1024  # bytes; below, names of parts outweigh what is saved


def packed(digest: str, array: Array) -> dict[str, Array]:
    """The tensors that a file holds for an array, by name."""
    flat = np.ascontiguousarray(array).reshape(-1)
    used = flat.view(f"u{flat.itemsize}") != 0  # by bits: -0.0 is no zero here
    parts = {WHERE: np.packbits(used, bitorder="little"), SHAPE: np.array(array.shape, np.int64)}
    if flat.dtype != np.bool_:
        parts[VALUES] = flat[used]
    if flat.nbytes < SMALLEST or sum(part.nbytes for part in parts.values()) > WORTH * flat.nbytes:
        return {digest: array}
    return {digest + suffix: part for suffix, part in parts.items()}


def unpacked(tensors: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays of a file by hash. Raises ValueError if parts do not belong together, KeyError if one is missing."""
    found = {name: array for name, array in tensors.items() if not name.endswith((WHERE, VALUES, SHAPE))}
    for name, bits in tensors.items():
        if name.endswith(WHERE):
            digest = name.removesuffix(WHERE)
            found[digest] = _joined(bits, tensors.get(digest + VALUES), tensors[digest + SHAPE])
    return found


def _joined(bits: Array, values: Array | None, sizes: Array) -> Array:
    shape = tuple(map(int, sizes))
    count = math.prod(shape)
    if min(shape, default=0) < 0 or bits.dtype != np.uint8 or bits.size != -(-count // 8):
        raise ValueError(f"{bits.size} bytes of bits do not fit {list(shape)}")
    used = np.unpackbits(bits, count=count, bitorder="little").astype(bool)
    if values is None:
        return used.reshape(shape)
    if values.size != np.count_nonzero(used):
        raise ValueError(f"{values.size} values for {np.count_nonzero(used)} places")
    array = np.zeros(count, values.dtype)
    array[used] = values
    return array.reshape(shape)
