"""torch dtypes and tensors as scalar types and arrays of the IR."""

from __future__ import annotations

import numpy as np
import torch

from irc.frontend.untyped import from_numpy
from irc.ir.diagnostics import IrcError
from irc.ir.scalars import BF16, BOOL, F16, F32, F64, I8, I16, I32, I64, U8, Array, ScalarType

SCALARS: dict[torch.dtype, ScalarType] = {
    torch.float32: F32,
    torch.float64: F64,
    torch.float16: F16,
    torch.bfloat16: BF16,
    torch.int64: I64,
    torch.int32: I32,
    torch.int16: I16,
    torch.int8: I8,
    torch.uint8: U8,
    torch.bool: BOOL,
}
DTYPES = {scalar: dtype for dtype, scalar in SCALARS.items()}


def scalar_type(dtype: torch.dtype) -> ScalarType:
    """The scalar type of a dtype. Raises IrcError if the IR has none."""
    if dtype not in SCALARS:
        raise IrcError(f"tensors of {str(dtype).removeprefix('torch.')} are not supported", hint="convert to float32")
    return SCALARS[dtype]


def to_array(tensor: torch.Tensor) -> Array:
    """The values as a NumPy array (bfloat16 held as float32)."""
    dense = tensor.detach().cpu()
    if dense.dtype == torch.bfloat16:
        dense = dense.float()
    return np.asarray(dense.numpy(), order="C")


def to_tensor(value: object, dtype: torch.dtype) -> torch.Tensor:
    """An array, tensor or number as a tensor of that type."""
    if isinstance(value, torch.Tensor):
        return value.to(dtype)
    return from_numpy(np.array(value)).to(dtype)
