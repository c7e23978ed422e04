"""Which numbers every value of an integer graph can hold: exact bounds from weights, tables and code ranges.

They prove that accumulators fit 32 bits, and choose the narrowest type for everything between two streams.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np

from irc.backends.fpga_hls.types import Code
from irc.ir.diagnostics import Diagnostic
from irc.ir.dims import Dim, bounds
from irc.ir.graph import Value
from irc.ir.op import Op
from irc.ir.ops.bits import And, Not, Or, Shift, ShiftLeft, ShiftRight, Xor, all_ones
from irc.ir.ops.linear import Conv, Linear, Matmul
from irc.ir.ops.math import Abs, Add, Amax, Cast, Clamp, Maximum, Minimum, Mul, Neg, Sub, Sum, Where
from irc.ir.ops.pool import MaxPool, SumPool
from irc.ir.ops.quant import IntSoftmax, Lut, Requantize, Rescale, constant_of
from irc.ir.ops.tensor import Concat, Expand, Gather, Pad, Permute, Reshape, Slice
from irc.ir.ops.token import Select
from irc.ir.scalars import I32, Array, ScalarType


@dataclass(frozen=True, slots=True)
class Interval:
    """lo .. hi, both inclusive."""

    lo: int
    hi: int

    @property
    def bits(self) -> int:
        """The width of the narrowest signed integer that holds it."""
        return max(self.lo.bit_length() if self.lo >= 0 else (-self.lo - 1).bit_length(), self.hi.bit_length()) + 1

    @property
    def code(self) -> Code:
        return Code(self.bits, signed=True)

    def shifted(self, by: int) -> Interval:
        return Interval(self.lo + by, self.hi + by)

    def with_zero(self) -> Interval:
        return Interval(min(self.lo, 0), max(self.hi, 0))

    def scaled(self, by: int) -> Interval:
        """The sum of `by` >= 0 numbers of the interval."""
        return Interval(self.lo * by, self.hi * by)

    def union(self, other: Interval) -> Interval:
        return Interval(min(self.lo, other.lo), max(self.hi, other.hi))

    def clamped(self, lo: int, hi: int) -> Interval:
        return Interval(min(max(self.lo, lo), hi), min(max(self.hi, lo), hi))

    def times(self, other: Interval) -> Interval:
        corners = [a * b for a in (self.lo, self.hi) for b in (other.lo, other.hi)]
        return Interval(min(corners), max(corners))


def interval_of(scalar: ScalarType) -> Interval:
    return Interval(scalar.min, scalar.max)


class Ranges:
    """Bounds of the values of one function, op by op in order.

    `sums` holds the bounds of every partial sum of a sum of products, without bias; `problems` what does not fit.
    """

    def __init__(self, resolve: Callable[[Value], Value]) -> None:
        self.resolve = resolve
        self.values: dict[Value, Interval] = {}
        self.sums: dict[Op, Interval] = {}
        self.problems: list[Diagnostic] = []

    def of(self, value: Value) -> Interval:
        """The bounds of a value: what is known, at worst the range of its type."""
        value = self.resolve(value)
        if value in self.values:
            return self.values[value]
        array = constant_of(value)
        if array is not None and array.size and array.dtype.kind in "iub":
            return Interval(int(array.min()), int(array.max()))
        return interval_of(value.type.scalar)

    def constant(self, value: Value | None) -> Array | None:
        return None if value is None else constant_of(self.resolve(value))

    def visit(self, op: Op) -> None:
        """Bound the result of an op from its operands."""
        reader = READERS.get(type(op))
        result = op.results[0]
        limits = interval_of(result.type.scalar)
        found = reader(self, op) if reader else limits
        if found.lo < limits.lo or found.hi > limits.hi:
            if type(op) in EXACT:
                message = f"{op.opname}: a result can be {found.lo} .. {found.hi}, which does not fit {limits_text(op)}"
                hint = "fewer bits for weights or activations of this layer, or a smaller layer"
                self.problems.append(Diagnostic(message, op.loc, hint=hint))
            found = found.clamped(limits.lo, limits.hi)
        self.values[result] = found


def limits_text(op: Op) -> str:
    scalar = op.results[0].type.scalar
    return f"{scalar.bits} bits" if scalar == I32 else str(scalar)


Reader = Callable[[Ranges, Any], Interval]
READERS: dict[type[Op], Reader] = {}
F = TypeVar("F", bound=Reader)


def reads(*ops: type[Op]) -> Callable[[F], F]:
    def register(reader: F) -> F:
        READERS.update(dict.fromkeys(ops, reader))
        return reader

    return register


def products(x: Interval, w: Array) -> Interval:
    """The bounds of every partial sum of x_i * w_i, whatever the x_i in x: over all rows of w."""
    rows = w.reshape(len(w), -1)
    biggest = int(np.abs(rows).max(initial=0)) * max(abs(x.lo), abs(x.hi)) * max(1, rows.shape[1])
    wide = rows if biggest < 2**62 else rows.astype(object)
    up, down = np.maximum(wide, 0).sum(axis=1), np.minimum(wide, 0).sum(axis=1)
    low, high = min(x.lo, 0), max(x.hi, 0)
    return Interval(int((up * low + down * high).min(initial=0)), int((up * high + down * low).max(initial=0)))


def centred_weights(op: Linear | Conv, w: Array) -> Array:
    """w - w_zp, as i64."""
    zps = np.asarray(op.w_zp, np.int64)
    return w.astype(np.int64) - (zps.reshape(-1, *[1] * (w.ndim - 1)) if zps.ndim else zps)


@reads(Linear, Conv)
def _weighted(known: Ranges, op: Linear | Conv) -> Interval:
    x = known.of(op.x).shifted(-op.x_zp)
    w = known.constant(op.w)
    if w is not None:
        total = products(x, centred_weights(op, w))
    else:
        depth = math.prod(cast("tuple[int, ...]", op.w.type.shape[1:]))
        total = x.times(known.of(op.w)).with_zero().scaled(depth)
    known.sums[op] = total
    if op.b is None:
        return total
    bias = known.of(op.b)
    return Interval(total.lo + bias.lo, total.hi + bias.hi)


def most_of(op: Op, dim: Dim) -> int:
    """What a dimension is at most; with fewer terms a sum stays within the bounds that zero is added to."""
    symbols = {} if op.graph is None else op.graph.function.symbols
    return bounds(dim, symbols)[1]


@reads(Matmul)
def _matmul(known: Ranges, op: Matmul) -> Interval:
    x, y = known.of(op.x).shifted(-op.x_zp), known.of(op.y).shifted(-op.y_zp)
    total = x.times(y).with_zero().scaled(most_of(op, op.x.type.shape[-1]))
    known.sums[op] = total
    return total


@reads(Sum)
def _sum(known: Ranges, op: Sum) -> Interval:
    terms = math.prod(most_of(op, op.x.type.shape[a]) for a in op.reduced())
    x = known.of(op.x)
    known.sums[op] = x.with_zero().scaled(terms)
    return x.shifted(-op.x_zp).scaled(terms)


@reads(SumPool)
def _sum_pool(known: Ranges, op: SumPool) -> Interval:
    x, taps = known.of(op.x).union(Interval(op.x_zp, op.x_zp)), math.prod(op.kernel)
    known.sums[op] = x.with_zero().scaled(taps)
    return x.shifted(-op.x_zp).scaled(taps)


@reads(Add)
def _add(known: Ranges, op: Add) -> Interval:
    x, y = known.of(op.x), known.of(op.y)
    return Interval(x.lo + y.lo, x.hi + y.hi)


@reads(Sub)
def _sub(known: Ranges, op: Sub) -> Interval:
    x, y = known.of(op.x), known.of(op.y)
    return Interval(x.lo - y.hi, x.hi - y.lo)


@reads(Mul)
def _mul(known: Ranges, op: Mul) -> Interval:
    return known.of(op.x).times(known.of(op.y))


@reads(Maximum)
def _maximum(known: Ranges, op: Maximum) -> Interval:
    x, y = known.of(op.x), known.of(op.y)
    return Interval(max(x.lo, y.lo), max(x.hi, y.hi))


@reads(Minimum)
def _minimum(known: Ranges, op: Minimum) -> Interval:
    x, y = known.of(op.x), known.of(op.y)
    return Interval(min(x.lo, y.lo), min(x.hi, y.hi))


@reads(Clamp)
def _clamp(known: Ranges, op: Clamp) -> Interval:
    lo, hi = code_bounds(op)
    return known.of(op.x).clamped(lo, hi)


def code_bounds(op: Clamp) -> tuple[int, int]:
    """The bounds of a clamp as codes of its operand."""
    scalar = op.x.type.scalar
    lo = int(op.lo) if math.isfinite(op.lo) else scalar.min
    hi = int(op.hi) if math.isfinite(op.hi) else scalar.max
    return lo, hi


@reads(Requantize)
def _requantize(known: Ranges, op: Requantize) -> Interval:
    """The formula grows with x and its multipliers are positive, so the extremes come from the extremes."""
    m, x = known.constant(op.m), known.of(op.x)
    if m is None:
        return interval_of(op.to.scalar)
    ends: list[int] = []
    for value in (x.lo, x.hi):
        for factor in (m.min(), m.max()):
            if op.mode == "fixed":
                ends.append((((value - op.x_zp) * int(factor) + (1 << (op.shift - 1))) >> op.shift) + op.zp)
            else:
                scaled = float(np.rint(np.float32(value - op.x_zp) * np.float32(factor)))
                ends.append(int(min(max(scaled, -(2.0**31)), 2.0**31 - 1)) + op.zp)
    return Interval(min(ends), max(ends)).clamped(op.to.scalar.min, op.to.scalar.max)


@reads(Lut)
def _lut(known: Ranges, op: Lut) -> Interval:
    table, x = known.constant(op.table), known.of(op.x)
    if table is None:
        return interval_of(op.to.scalar)
    reached = table[x.lo - op.x.type.scalar.min : x.hi - op.x.type.scalar.min + 1]
    return Interval(int(reached.min()), int(reached.max()))


@reads(IntSoftmax)
def _softmax(known: Ranges, op: IntSoftmax) -> Interval:
    return Interval(0, min(op.to.scalar.max, 1 << op.frac))


@reads(Neg)
def _neg(known: Ranges, op: Neg) -> Interval:
    x = known.of(op.x)
    return Interval(-x.hi, -x.lo)


@reads(Abs)
def _abs(known: Ranges, op: Abs) -> Interval:
    x = known.of(op.x)
    return Interval(0 if x.lo <= 0 <= x.hi else min(abs(x.lo), abs(x.hi)), max(abs(x.lo), abs(x.hi)))


@reads(And)
def _and(known: Ranges, op: And) -> Interval:
    """At most an operand that is not negative, which hides the sign of the other."""
    operands = known.of(op.x), known.of(op.y)
    most = [operand.hi for operand in operands if operand.lo >= 0]
    return Interval(0, min(most)) if most else _any_bits(*operands)


@reads(Or, Xor)
def _bitwise(known: Ranges, op: Or | Xor) -> Interval:
    return _any_bits(known.of(op.x), known.of(op.y))


def _any_bits(x: Interval, y: Interval) -> Interval:
    """What as many bits as the wider operand has can hold."""
    above = 1 << (max(x.bits, y.bits) - 1)
    return Interval(-above if min(x.lo, y.lo) < 0 else 0, above - 1)


@reads(Not)
def _not(known: Ranges, op: Not) -> Interval:
    x, ones = known.of(op.x), all_ones(op.x.type.scalar)
    return Interval(ones - x.hi, ones - x.lo)


def _distances(known: Ranges, op: Shift) -> Interval:
    """How far a shift can go, its width standing for all that is out of bounds."""
    by, bits = known.of(op.by), op.x.type.scalar.bits
    return by if by.lo >= 0 and by.hi < bits else Interval(0, bits)


@reads(ShiftLeft)
def shifted_left(known: Ranges, op: ShiftLeft) -> Interval:
    """The bounds of x * 2^by before it wraps around."""
    by = _distances(known, op)
    return known.of(op.x).times(Interval(1 << by.lo, 1 << by.hi))


@reads(ShiftRight)
def _shift_right(known: Ranges, op: ShiftRight) -> Interval:
    by, x = _distances(known, op), known.of(op.x)
    ends = [end >> distance for end in (x.lo, x.hi) for distance in (by.lo, by.hi)]
    return Interval(min(ends), max(ends))


@reads(Where)
def _where(known: Ranges, op: Where) -> Interval:
    return known.of(op.x).union(known.of(op.y))


@reads(Cast)
def _cast(known: Ranges, op: Cast) -> Interval:
    limits = interval_of(op.to.scalar)
    x = known.of(op.x)
    return x if limits.lo <= x.lo and x.hi <= limits.hi else limits


@reads(Concat)
def _concat(known: Ranges, op: Concat) -> Interval:
    first, *rest = [known.of(v) for v in op.xs]
    for other in rest:
        first = first.union(other)
    return first


@reads(Pad)
def _pad(known: Ranges, op: Pad) -> Interval:
    return known.of(op.x).union(Interval(int(op.value), int(op.value)))


@reads(Reshape, Permute, Expand, Slice, Rescale, MaxPool, Amax, Gather, Select)
def _moved(known: Ranges, op: Any) -> Interval:
    return known.of(op.x)


EXACT: tuple[type[Op], ...] = (Linear, Conv, Matmul, Sum, SumPool, Add, Sub, Mul, Neg, Abs)
"""Ops whose result must be exact; the others saturate or wrap by definition."""


def bounds_of(nodes: Mapping[Op, None] | list[Op], resolve: Callable[[Value], Value]) -> Ranges:
    """The bounds of the results of some ops, given in order."""
    known = Ranges(resolve)
    for op in nodes:
        if op.results and op.results[0].type.scalar.kind in ("i", "u", "bool"):
            known.visit(op)
    return known
