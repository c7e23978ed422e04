"""What op families share: broadcasting, encodings of results, exact integer sums of products."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from irc.ir.constants import Data
from irc.ir.dims import Dim, Shape, bounds, equal, product, same_shape
from irc.ir.graph import Value
from irc.ir.op import Op
from irc.ir.scalars import I32, I64, Array, ScalarType
from irc.ir.types import Encoding, TensorType, shape_text


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
                op.fail(f"shapes {' and '.join(map(shape_text, shapes))} do not broadcast")
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
            hint = "dequantize it, or use an integer op such as lut or clamp" if value.type.scalar.is_integer else ""
            op.fail(f"operand is {value.type}, expected a float tensor", hint=hint)
        if value.type.scalar != present[0].type.scalar:
            op.fail(f"operands are {present[0].type.scalar} and {value.type.scalar}", hint="cast one of them")


def single(x: Array) -> Array:
    """Half floats as f32, so that the result is rounded once; everything else as it is."""
    return x.astype(np.float32) if x.dtype == np.float16 else x


def wide(scalar: ScalarType) -> ScalarType:
    """The type of exact integer sums: i64 stays, everything narrower is i32."""
    return I64 if scalar.bits > 32 else I32


def product_encoding(op: Op, x: TensorType, w: TensorType, axis: int | None) -> Encoding | None:
    """The encoding of sums of products of x and w, zero point 0; None if either is unknown.

    x has one scale. w has one, or one an index of its axis 0 if those are `axis` of the result (None: no such axis).
    The f64 product of the f32 scales is rounded to f32. Fails at `op` for other encodings: they give no common scale.
    """
    for operand, channels in ((x, False), (w, axis is not None)):
        encoding = operand.encoding
        if encoding is None:
            continue
        if encoding.binary:
            op.fail(
                f"operand is {operand}; sums of products are not defined on binary codes",
                hint="use i2 codes of -1 and 1",
            )
        if not encoding.per_tensor and not (channels and encoding.axis == 0 and encoding.group is None):
            wanted = "one scale, or one an output channel (axis 0)" if channels else "one scale"
            op.fail(f"operand is {operand}, expected {wanted}")
    if x.encoding is None or w.encoding is None:
        return None
    scales = rounded(x.encoding.scales.astype(np.float64) * w.encoding.scales.astype(np.float64))
    return Encoding(float(scales)) if w.encoding.per_tensor else Encoding(Data.of(scales), 0, axis)


def check_zp(op: Op, value: Value, zp: int | tuple[int, ...], name: str) -> None:
    """Fail at `op` if an explicit zero point leaves 32 bits or differs from the one of a known encoding."""
    stated = np.asarray(zp, np.int64)
    if np.any((stated < I32.min) | (stated > I32.max)):
        op.fail(f"{name} does not fit 32 bits")
    if value.type.encoding is None:
        return
    known = value.type.encoding.zps
    if (stated.ndim and known.ndim and stated.shape != known.shape) or np.any(stated != known):
        op.fail(f"{name} is {list(zp) if isinstance(zp, tuple) else zp}, the operand is {value.type}")


def carried(op: Op, shape: Shape, *values: Value) -> Encoding | None:
    """The encoding of a result of `shape` that holds codes of `values`, broadcast.

    Fails at `op` unless all have one meaning, along the same axis of the result.
    """
    meanings = [_from_the_end(v.type) for v in values]
    first = meanings[0]
    for value, meaning in zip(values, meanings, strict=True):
        if meaning != first:
            if meaning is None or first is None:
                op.fail(f"one operand has an encoding, the other has none ({values[0].type} and {value.type})")
            hint = "requantize one to the other's scale"
            op.fail(f"operands have different scales ({values[0].type} and {value.type})", hint=hint)
        if first is not None and first.group is not None and not same_shape(value.type.shape, shape):
            op.fail(f"operand is {value.type}; a tensor with a scale per group is not broadcast")
    return first if first is None or first.axis is None else first.moved(first.axis + len(shape))


def _from_the_end(t: TensorType) -> Encoding | None:
    """The encoding with its axis counted from the end, where broadcasting aligns dimensions."""
    known = t.encoding
    return known if known is None or known.axis is None else known.moved(known.axis - t.rank)


def check_bias(op: Op, bias: Value | None, acc: Encoding | None) -> None:
    """Fail at `op` if the bias of an integer sum is not an i32 of the same meaning."""
    if bias is None:
        return
    if bias.type.scalar != I32:
        op.fail(f"the bias of an integer sum is i32, got {bias.type}")
    known = bias.type.encoding
    if known is None or acc is None:
        return
    # A bias is a vector: its scales, one or one a channel, must be those of the channels of the sum.
    if not (np.array_equal(known.scales, acc.scales) and not np.any(known.zps)):
        op.fail(f"the bias is {bias.type}, the products it is added to have the encoding <{acc}>")


def mean(x: Array, axes: tuple[int, ...], *, keepdims: bool = True) -> Array:
    """The mean over axes in f64; NaN of nothing."""
    total = np.asarray(np.sum(x, axis=axes, keepdims=keepdims, dtype=np.float64))
    return total / np.float64(math.prod(x.shape[axis] for axis in axes))


def magnitude(codes: Array) -> int:
    """The largest absolute value."""
    return max(-int(codes.min()), int(codes.max())) if codes.size else 0


def exact(codes: Array, worst: int) -> Array:
    """Integers for arithmetic whose results reach `worst`: i64, or Python integers where that could overflow."""
    return codes.astype(np.int64 if worst < 2**62 else object)


def exact_type(worst: int) -> type[Any]:
    """The fastest type that holds every integer up to `worst`: f32 and f64 use BLAS and are exact to 2^24 and 2^53."""
    limits: list[tuple[int, type[Any]]] = [(2**24, np.float32), (2**53, np.float64), (2**62, np.int64)]
    return next((kind for limit, kind in limits if worst < limit), object)


def integers(sums: Array) -> Array:
    """What was computed in an exact type, as i64 (or Python integers)."""
    return sums.astype(np.int64) if sums.dtype.kind == "f" else sums


def fit(op: Op, codes: Array, scalar: ScalarType) -> Array:
    """Exact integers as `scalar`. Raises IrcError if one does not fit, which compiled graphs are proved not to need."""
    if codes.size and (int(codes.min()) < scalar.min or int(codes.max()) > scalar.max):
        op.fail(f"an integer result does not fit {scalar.bits} bits", hint="fewer bits, or split the sum")
    return codes.astype(scalar.dtype)


def wrapped(codes: Array, target: ScalarType) -> Array:
    """The lowest bits of i64 values, as two's complement where the type is signed."""
    unused = 64 - target.bits
    if target.signed:
        return ((codes << unused) >> unused).astype(target.dtype)
    return (codes & ((1 << target.bits) - 1)).astype(target.dtype)


def fit_i32(op: Op, acc: Array) -> Array:
    """Exact sums as i32. Raises IrcError if one does not fit."""
    return fit(op, acc, I32)


def largest_sum(codes: Array, axis: int | tuple[int, ...]) -> int:
    """The largest sum of absolute values along axes; times the other factor's magnitude it bounds every partial sum."""
    return int(np.abs(codes).sum(axis=axis).max(initial=0))


def exact_matmul(a: Array, b: Array) -> Array:
    """`a @ b` of integer arrays, exactly."""
    kind = exact_type(magnitude(a) * largest_sum(b, -2))
    return integers(times(a.astype(kind), b.astype(kind)))


def times(a: Array, b: Array) -> Array:
    """`a @ b`; where b is a matrix, as one product of matrices, which BLAS runs several times faster than many."""
    if a.ndim <= 2 or b.ndim != 2:
        return a @ b
    rows = a.reshape(math.prod(a.shape[:-1]), a.shape[-1])
    return (rows @ b).reshape(*a.shape[:-1], b.shape[-1])


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


def rounded(x: Array) -> Array:
    """f64 as f32; what overflows is infinite, which no scale may be."""
    with np.errstate(over="ignore"):
        return np.asarray(x).astype(np.float32)


def scale_ratio(source: Encoding, target: Encoding) -> Array:
    """`source.scale / target.scale` in f64."""
    return source.scales.astype(np.float64) / np.float64(target.scales)
