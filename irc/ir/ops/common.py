"""What op families share: broadcasting, encodings of results, exact integer sums of products."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from irc.ir.constants import Data
from irc.ir.dims import Dim, Shape, bounds, equal, product
from irc.ir.graph import Value
from irc.ir.op import Op
from irc.ir.scalars import I32, I64, Array, ScalarType
from irc.ir.types import Encoding

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1


def broadcast(op: Op, *shapes: Shape) -> Shape:
    """The NumPy broadcast of shapes. Fails at `op` if they do not fit or a symbolic pair cannot be decided."""
    rank = max(len(s) for s in shapes)
    out: list[Dim] = []
    for position in range(rank):
        dim: Dim = 1
        for shape in shapes:
            offset = position - (rank - len(shape))
            other = shape[offset] if offset >= 0 else 1
            if equal(dim, 1) is True:
                dim = other
            elif equal(other, 1) is not True and equal(dim, other) is not True:
                op.fail(
                    f"shapes {' and '.join(str(list(map(str, s))).replace(chr(39), '') for s in shapes)} do not broadcast"
                )
        out.append(dim)
    return tuple(out)


def axis_of(op: Op, axis: int, rank: int) -> int:
    """A non-negative axis. Fails at `op` if it is out of range."""
    if not -rank <= axis < rank:
        op.fail(f"axis {axis} of a tensor with {rank} dimensions")
    return axis % rank


def elements(op: Op, shape: Shape) -> int:
    """The number of elements at the upper bound of every symbol."""
    symbols = op.graph.function.symbols if op.graph is not None else {}
    return bounds(product(shape), symbols)[1]


def require_float(op: Op, *values: Value | None) -> None:
    """Fail at `op` unless all operands are floats of one type."""
    present = [v for v in values if v is not None]
    for value in present:
        if not value.type.scalar.is_float:
            op.fail(f"operand is {value.type}, expected a float tensor")
        if value.type.scalar != present[0].type.scalar:
            op.fail(f"operands are {present[0].type.scalar} and {value.type.scalar}")


def wide(scalar: ScalarType) -> ScalarType:
    """The type of exact integer sums: i64 stays, everything narrower is i32."""
    return I64 if scalar.bits > 32 else I32


def product_encoding(a: Encoding | None, b: Encoding | None, axis: int | None) -> Encoding | None:
    """The encoding of `a * b` products, zero point 0; scales along `axis` of the result if `b` has one a channel.

    None if either is unknown. The f64 product of the f32 scales is rounded to f32.
    """
    if a is None or b is None or not a.per_tensor or b.group is not None:
        return None
    scales = (a.scales.astype(np.float64) * b.scales.astype(np.float64)).astype(np.float32)
    if b.per_tensor:
        return Encoding(float(scales))
    return Encoding(Data.of(scales), 0, axis)


def check_zp(op: Op, value: Value, zp: int | tuple[int, ...], name: str) -> None:
    """Fail at `op` if an explicit zero point differs from the one of a known encoding."""
    encoding = value.type.encoding
    if encoding is None:
        return
    stated = np.asarray(zp)
    if not np.array_equal(
        np.broadcast_to(stated, np.broadcast_shapes(stated.shape, encoding.zps.shape)), encoding.zps + 0 * stated
    ):
        op.fail(f"{name} is {zp}, the operand is {value.type}")


def check_bias(op: Op, bias: Value | None, acc: Encoding | None) -> None:
    """Fail at `op` if the bias of an integer sum is not an i32 of the same meaning."""
    if bias is None:
        return
    if bias.type.scalar != I32:
        op.fail(f"the bias of an integer sum is i32, got {bias.type}")
    known = bias.type.encoding
    if known is not None and acc is not None and not same_scales(known, acc):
        op.fail("the bias has another scale than the products it is added to")


def same_scales(a: Encoding, b: Encoding) -> bool:
    """Whether two encodings have equal scales (along whatever axis of their own tensors) and zero points."""
    return bool(np.array_equal(a.scales, b.scales) and np.all(a.zps == 0) and np.all(b.zps == 0))


def fit_i32(op: Op, acc: Array) -> Array:
    """The sums as i32. Raises IrcError if one does not fit, which range analysis rules out for compiled graphs."""
    if acc.size and (acc.min() < INT32_MIN or acc.max() > INT32_MAX):
        op.fail("an integer sum does not fit 32 bits", hint="fewer bits, or split the sum")
    return acc.astype(np.int32)


def exact_matmul(a: Array, b: Array) -> Array:
    """`a @ b` of integer arrays, exactly, as i64.

    Floating-point BLAS is exact while every partial sum is an integer below 2^24 (f32) or 2^53 (f64), and far faster than
    NumPy's integer loops.
    """
    if a.size == 0 or b.size == 0:
        return (a.astype(np.int64) @ b.astype(np.int64)).astype(np.int64)
    worst = a.shape[-1] * int(np.abs(a.astype(np.int64)).max()) * int(np.abs(b.astype(np.int64)).max())
    if worst < 2**24:
        return np.rint(a.astype(np.float32) @ b.astype(np.float32)).astype(np.int64)
    if worst < 2**53:
        return np.rint(a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64)
    return a.astype(np.int64) @ b.astype(np.int64)


def along(axis: int | None, vector: Array, rank: int) -> Array:
    """A vector shaped to broadcast along `axis` of a tensor of `rank`; scalars pass."""
    if axis is None or vector.ndim == 0:
        return vector
    shape = [1] * rank
    shape[axis] = -1
    return vector.reshape(shape)


def static(op: Op, dims: Sequence[Dim], what: str) -> tuple[int, ...]:
    """Dimensions as numbers. Fails at `op` if one is symbolic."""
    out = tuple(d for d in dims if isinstance(d, int))
    if len(out) != len(dims):
        op.fail(f"{what} must be static, got [{', '.join(map(str, dims))}]")
    return out


def scale_ratio(source: Encoding, target: Encoding) -> Array:
    """`source.scale / target.scale` in f64."""
    return source.scales.astype(np.float64) / np.float64(target.scales)
