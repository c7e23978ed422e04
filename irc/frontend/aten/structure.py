"""Creating tensors, changing their type, and ops that mean nothing at inference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from irc.frontend.aten.math import to_scalar
from irc.frontend.aten.table import converts
from irc.frontend.context import Context, Number
from irc.ir.dims import Dim
from irc.ir.graph import Value
from irc.ir.ops.math import Add, Compare, Mul, Where
from irc.ir.ops.tensor import Expand, Iota, Reshape
from irc.ir.scalars import F64, I64

# -- the same values


@converts(
    "clone.default",
    "detach.default",
    "alias.default",
    "contiguous.default",
    "lift_fresh_copy.default",
    "dropout.default",  # at inference: torch rewrites that of training
)
def same(c: Context, x: Value, *rest: Any) -> Value:
    return x


@converts("native_dropout.default", "bernoulli.p")
def dropout(c: Context, *rest: Any) -> Value:
    c.unsupported("random numbers, as dropout makes in training mode", "call eval() on the model before exporting it")


@converts("_to_copy.default", "to.dtype")
def to(c: Context, x: Value, *rest: Any) -> Value:
    """The type of the result says it all."""
    return to_scalar(c, x, c.type.scalar)


@converts("copy.default")
def copy(c: Context, x: Value, source: Value, non_blocking: bool) -> Value:
    return filled(c, to_scalar(c, source, c.type.scalar))


# -- new tensors


def filled(c: Context, x: Value) -> Value:
    """`x` repeated to the shape of the result."""
    return x if x.type.shape == c.type.shape else c.b(Expand(x, c.type.shape))


@converts("full.default", "full_like.default", "new_full.default", "fill.Scalar")
def full(c: Context, _: Any, *rest: Any) -> Value:
    value = rest[1] if c.target == "aten.new_full.default" else rest[0]
    return filled(c, c.const(value, c.type.scalar))


@converts("fill.Tensor")
def fill_tensor(c: Context, x: Value, value: Value) -> Value:
    return filled(c, to_scalar(c, value, c.type.scalar))


@converts("zeros.default", "zeros_like.default", "new_zeros.default", "empty.memory_format", "empty_like.default")
def zeros(c: Context, *rest: Any) -> Value:
    """Tensors without defined content are zero."""
    return filled(c, c.const(0, c.type.scalar))


@converts("ones.default", "ones_like.default", "new_ones.default")
def ones(c: Context, *rest: Any) -> Value:
    return filled(c, c.const(1, c.type.scalar))


@converts("scalar_tensor.default")
def scalar_tensor(c: Context, value: Number, *rest: Any) -> Value:
    return c.const(value, c.type.scalar)


@converts("arange.default")
def arange(c: Context, stop: Number | Dim, *rest: Any) -> Value:
    return arange_step(c, 0, stop, 1)


@converts("arange.start")
def arange_start(c: Context, start: Number | Dim, stop: Number | Dim, *rest: Any) -> Value:
    return arange_step(c, start, stop, 1)


@converts("arange.start_step")
def arange_step(c: Context, start: Number | Dim, stop: Number | Dim, step: Number | Dim, *rest: Any) -> Value:
    out = c.type
    whole = all(not isinstance(v, float) or v.is_integer() for v in (start, step))
    if whole and isinstance(step, int | float):
        first = int(start) if isinstance(start, float) else start
        return c.cast(c.b(Iota(first, int(step), shape=out.shape)), out.scalar)
    return line(c, start, step)


def line(c: Context, start: Number | Dim, step: Number | Dim) -> Value:
    """start, start + step, ... computed in f64, as torch does."""
    first, slope = (c.const(v, F64) for v in (start, step))
    count = c.cast(c.b(Iota(0, 1, shape=c.type.shape)), F64)
    return c.cast(c.b(Add(c.b(Mul(count, slope)), first)), c.type.scalar)


@converts("linspace.default")
def linspace(c: Context, start: Number, stop: Number, steps: int, *rest: Any) -> Value:
    return line(c, start, (stop - start) / max(steps - 1, 1))


@converts("eye.default", "eye.m")
def eye(c: Context, *rest: Any) -> Value:
    row, column = grid(c, c.type.shape)
    return to_scalar(c, c.b(Compare(column, row, "eq")), c.type.scalar)


def grid(c: Context, shape: Sequence[Dim]) -> tuple[Value, Value]:
    """The row numbers [M, 1] and the column numbers [1, N] of the last two axes."""
    rows, columns = shape[-2:]
    row = c.b(Reshape(c.b(Iota(0, 1, shape=(rows,))), (rows, 1)))
    return row, c.b(Reshape(c.b(Iota(0, 1, shape=(columns,))), (1, columns)))


@converts("tril.default")
def tril(c: Context, x: Value, diagonal: int) -> Value:
    return _triangle(c, x, diagonal, "le")


@converts("triu.default")
def triu(c: Context, x: Value, diagonal: int) -> Value:
    return _triangle(c, x, diagonal, "ge")


def _triangle(c: Context, x: Value, diagonal: int, how: Literal["le", "ge"]) -> Value:
    row, column = grid(c, x.type.shape)
    if diagonal:
        row = c.b(Add(row, c.const(diagonal, I64)))
    kept = c.b(Compare(column, row, how))
    zeros_ = c.b(Expand(c.const(0, x.type.scalar), x.type.shape))
    return c.b(Where(kept, x, zeros_))


@converts("one_hot.default")
def one_hot(c: Context, x: Value, classes: int) -> Value:
    wide = c.b(Reshape(x, (*x.type.shape, 1)))
    return c.cast(c.b(Compare(wide, c.b(Iota(0, 1, shape=(c.type.shape[-1],))), "eq")), I64)
