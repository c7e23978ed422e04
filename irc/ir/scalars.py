"""Scalar types: `f64 f32 f16 bf16`, `bool`, `i64`, and `iN`/`uN` for 1 to 32 bits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Kind = Literal["f", "bf", "i", "u", "bool"]


@dataclass(frozen=True, slots=True)
class ScalarType:
    """A scalar type. Sub-byte integers are a property of the type; how they are packed is a backend's business."""

    kind: Kind
    bits: int

    def __str__(self) -> str:
        return "bool" if self.kind == "bool" else f"{self.kind}{self.bits}"

    @property
    def is_float(self) -> bool:
        return self.kind in ("f", "bf")

    @property
    def is_integer(self) -> bool:
        return self.kind in ("i", "u")

    @property
    def signed(self) -> bool:
        return self.kind == "i"

    @property
    def min(self) -> int:
        """The lowest code. `i1` is {-1, 0}."""
        return -(1 << (self.bits - 1)) if self.kind == "i" else 0

    @property
    def max(self) -> int:
        """The highest code."""
        return (1 << (self.bits - 1)) - 1 if self.kind == "i" else (1 << self.bits) - 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """The NumPy type that holds one value: the narrowest that fits; `bf16` is held as rounded f32."""
        if self.kind == "bool":
            return np.dtype(np.bool_)
        if self.kind == "bf":
            return np.dtype(np.float32)
        if self.kind == "f":
            return np.dtype(f"f{self.bits // 8}")
        width = next(w for w in (8, 16, 32, 64) if self.bits <= w)
        return np.dtype(f"{self.kind}{width // 8}")

    @property
    def bytes(self) -> float:
        """Bytes of one value when packed densely."""
        return 1.0 if self.kind == "bool" else self.bits / 8


@cache
def scalar(name: str) -> ScalarType:
    """The scalar type of that name. Raises ValueError for anything else."""
    if name == "bool":
        return ScalarType("bool", 1)
    if name == "bf16":
        return ScalarType("bf", 16)
    if name in ("f16", "f32", "f64"):
        return ScalarType("f", int(name[1:]))
    match = re.fullmatch(r"([iu])([1-9][0-9]?)", name, re.ASCII)
    if match and (int(match[2]) <= 32 or name == "i64"):
        return ScalarType("i" if match[1] == "i" else "u", int(match[2]))
    raise ValueError(f"'{name}' is not a scalar type")


def integer(bits: int, *, signed: bool) -> ScalarType:
    """The integer type of that width."""
    return scalar(f"{'i' if signed else 'u'}{bits}")


def scalar_of(array: Array) -> ScalarType:
    """The scalar type of a NumPy array. Raises ValueError if irc has none."""
    kind, size = array.dtype.kind, array.dtype.itemsize * 8
    if kind == "b":
        return BOOL
    if kind in "iuf":
        return scalar(f"{kind}{size}")
    raise ValueError(f"NumPy type {array.dtype} has no scalar type")


F16, F32, F64, BF16 = scalar("f16"), scalar("f32"), scalar("f64"), scalar("bf16")
BOOL, I8, U8, I16, I32, I64 = (scalar(n) for n in ("bool", "i8", "u8", "i16", "i32", "i64"))


def round_to_bf16(x: Array) -> Array:
    """The nearest bf16 values (half to even), held as f32."""
    bits = np.array(x, np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    out = np.where(np.isnan(x), np.uint32(0x7FC00000), rounded).astype(np.uint32)
    return out.view(np.float32)
