"""The element types of ONNX, by the names that onnxruntime gives them, and which of them holds a value of ours."""

from __future__ import annotations

from typing import Literal

import numpy as np

from irc.ir.graph import Value
from irc.ir.ops.quant import Dequantize, Quantize
from irc.ir.ops.structure import Const
from irc.ir.scalars import Array, ScalarType

Kind = Literal[
    "bfloat16",
    "float16",
    "float",
    "double",
    "bool",
    "int4",
    "uint4",
    "int8",
    "uint8",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
]

FLOATS: dict[int, Kind] = {16: "float16", 32: "float", 64: "double"}
SIGNED: tuple[Kind, ...] = ("int8", "int16", "int32", "int64")
UNSIGNED: tuple[Kind, ...] = ("uint8", "uint16", "uint32")


def kind_of(scalar: ScalarType) -> Kind:
    """The narrowest type that every operator moves and that holds all values; f32 for bf16, which NumPy lacks."""
    if scalar.kind == "bool":
        return "bool"
    if scalar.is_float:
        return FLOATS[scalar.bits] if scalar.kind == "f" else "float"
    return next(kind for kind in (SIGNED if scalar.signed else UNSIGNED) if scalar.bits <= width(kind))


def width(kind: Kind) -> int:
    """The bits of an integer type."""
    return int(kind.removeprefix("u").removeprefix("int"))


def limits(kind: Kind) -> tuple[int, int]:
    """The lowest and the highest value of an integer type."""
    bits = width(kind)
    return (0, (1 << bits) - 1) if kind.startswith("u") else (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def storage(value: Value) -> Kind:
    """The type that holds a value: 4 bits where only a dequantization reads it, which few other operators could."""
    scalar = value.type.scalar
    if scalar.is_integer and scalar.bits <= 4 and _passes_by(value):
        return "int4" if scalar.signed else "uint4"
    return kind_of(scalar)


def _passes_by(value: Value) -> bool:
    """Whether a constant, or the result of a quantization to just 4 bits, is read by dequantizations alone."""
    made = isinstance(value.node, Const) or (isinstance(value.node, Quantize) and value.type.scalar.bits == 4)
    return made and bool(value.uses) and all(isinstance(u.node, Dequantize) and u.index == 0 for u in value.uses)


def packed(array: Array, kind: Kind) -> bytes:
    """The elements as ONNX stores them: little-endian in C order, two 4-bit codes a byte, the first in the low half."""
    if width_is_4(kind):
        codes = np.ravel(array).astype(np.uint8) & 0xF
        codes = np.append(codes, np.zeros(codes.size % 2, np.uint8))
        return (codes[0::2] | (codes[1::2] << 4)).tobytes()
    held = np.ascontiguousarray(array)
    return held.astype(held.dtype.newbyteorder("<")).tobytes()


def width_is_4(kind: Kind) -> bool:
    return kind in ("int4", "uint4")


def dtype_of(kind: Kind) -> np.dtype[np.generic]:
    """The NumPy type that holds one element; a byte for 4 bits."""
    names = {"float": "float32", "double": "float64", "int4": "int8", "uint4": "uint8"}
    return np.dtype(names.get(kind, kind))
