"""Random integer graphs for backends: chains of layers with odd shapes, widths and parameters.

Every node is evaluated on the sample inputs as it is added, so that each requantize spreads its results over its codes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from irc.ir.builder import Builder
from irc.ir.graph import Graph, Module, Value
from irc.ir.interpret import run_node
from irc.ir.location import at
from irc.ir.op import Op
from irc.ir.ops.bits import And, Not, Or, Xor
from irc.ir.ops.linear import Conv, Linear, Matmul
from irc.ir.ops.math import Add, Amax, Cast, Clamp, Compare, Maximum, Minimum, Mul, Sub, Sum, Where
from irc.ir.ops.pool import MaxPool, SumPool
from irc.ir.ops.quant import IntNorm, IntSoftmax, Lut, Requantize, Rescale, exp_table
from irc.ir.ops.structure import Return
from irc.ir.ops.tensor import Concat, Expand, Gather, Pad, Permute, Reshape, Slice
from irc.ir.ops.token import Select
from irc.ir.scalars import BOOL, F32, I32, I64, Array, ScalarType, integer
from irc.ir.types import Element, TensorType

SAMPLES = 3


@dataclass
class RandomGraph:
    """A module with `main` on plain integers, and sample inputs: one list of arrays a sample."""

    module: Module
    samples: list[list[Array]]


def random_graph(seed: int) -> RandomGraph:
    """The graph of a seed."""
    return _Generator(np.random.default_rng(seed)).build()


@dataclass
class _Generator:
    rng: np.random.Generator
    graph: Graph = field(default_factory=lambda: Graph(name="main"))
    values: dict[Value, list[Array]] = field(default_factory=dict[Value, list[Array]])
    layer: int = 0

    def build(self) -> RandomGraph:
        self.module = Module([self.graph])
        self.b = Builder.at_end(self.graph)
        x = self.input(self.code_type(), self.start_shape())
        for _ in range(self.number(1, 6)):
            self.layer += 1
            self.b.loc = at(f"layers.{self.layer}", "Random", "random.py", self.layer)
            x = self.pick(self.moves(x))(x)
        if x.type.scalar == BOOL:
            x = self.add(Cast(x, to=Element(integer(8, signed=True))))
        outputs = [x]
        if self.chance(0.2):
            outputs.append(self.pick(list(self.values)))
        self.b.add(Return(tuple(v for v in outputs if v.type.scalar != BOOL)))
        inputs = [[self.values[v][i] for v in self.graph.inputs] for i in range(SAMPLES)]
        return RandomGraph(self.module, inputs)

    # -- chance

    def number(self, low: int, high: int) -> int:
        return int(self.rng.integers(low, high, endpoint=True))

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def pick(self, items: Sequence[Any]) -> Any:
        return items[self.number(0, len(items) - 1)]

    def code_type(self, low: int = 2, high: int = 8) -> ScalarType:
        return integer(self.number(low, high), signed=self.chance(0.6))

    def codes(self, kind: ScalarType, shape: Sequence[int]) -> Array:
        """Random codes, the extreme ones often."""
        codes = self.rng.integers(kind.min, kind.max, shape, endpoint=True)
        ends = np.where(self.rng.random(shape) < 0.5, kind.min, kind.max)
        return np.where(self.rng.random(shape) < 0.1, ends, codes).astype(kind.dtype)

    def start_shape(self) -> tuple[int, ...]:
        return self.pick(
            [
                (1, self.number(1, 7), self.number(3, 9), self.number(3, 9)),
                (1, self.number(1, 6), self.number(3, 12)),
                (1, self.number(2, 7), self.number(2, 13)),
                (1, self.number(1, 20)),
                (1, self.number(1, 3), self.number(2, 6), self.number(2, 8)),
            ]
        )

    # -- building

    def input(self, kind: ScalarType, shape: tuple[int, ...]) -> Value:
        value = self.graph.add_input(TensorType(Element(kind), shape), f"x{len(self.graph.inputs)}")
        self.values[value] = [self.codes(kind, shape) for _ in range(SAMPLES)]
        return value

    def const(self, array: Array, kind: ScalarType) -> Value:
        value = self.b.const(array, kind)
        self.values[value] = [value.node.value.array] * SAMPLES
        return value

    def add(self, op: Op) -> Value:
        value = self.b(op)
        self.values[value] = [
            run_node(op, [self.values[v][i] for v in op.operands], {}, self.module)[0] for i in range(SAMPLES)
        ]
        return value

    def span(self, value: Value) -> tuple[int, int]:
        arrays = self.values[value]
        return min(int(a.min()) for a in arrays), max(int(a.max()) for a in arrays)

    def requantize(self, x: Value, to: ScalarType | None = None) -> Value:
        """To random codes (or `to`), so that most of their range is used."""
        to = to or self.code_type()
        low, high = self.span(x)
        zp = self.number(to.min, to.max) if self.chance(0.3) else 0
        x_zp = self.number(-3, 3) if 8 <= x.type.scalar.bits <= 24 and x.type.scalar.signed and self.chance(0.2) else 0
        ratio = (to.max - to.min) * float(self.rng.uniform(0.4, 1.3)) / max(1, high - low, abs(low), abs(high))
        channel = x.type.rank > 1 and self.chance(0.5)
        axis = self.pick([x.type.rank - 1, 1, self.number(0, x.type.rank - 1)]) if channel else None
        extent = (x.type.shape[axis],) if axis is not None else ()
        ratios = ratio * self.rng.uniform(0.5, 1.5, extent)
        shared: dict[str, Any] = {"axis": axis, "x_zp": x_zp, "zp": zp, "to": Element(to)}
        if self.chance(0.4):
            return self.add(Requantize(x, self.const(ratios.astype(np.float32), F32), mode="float", **shared))
        bits = self.number(8, 30)
        shift = min(62, max(1, bits - math.frexp(float(np.max(ratios)))[1]))
        m = np.clip(np.rint(ratios * 2.0**shift), 1, 2**31 - 1).astype(np.int64)
        return self.add(Requantize(x, self.const(m, I32), mode="fixed", shift=shift, **shared))

    def narrow(self, x: Value) -> Value:
        """Codes of at most 8 bits."""
        if x.type.scalar == BOOL:
            return self.add(Cast(x, to=Element(integer(2, signed=False))))
        return x if x.type.scalar.bits <= 8 and self.chance(0.8) else self.requantize(x)

    def zero_point(self, x: Value) -> int:
        kind = x.type.scalar
        return self.number(kind.min, kind.max) if self.chance(0.4) else 0

    def settle(self, x: Value) -> Value:
        """What follows a sum: mostly a requantize, sometimes more."""
        if self.chance(0.1):
            return x
        x = self.requantize(x)
        if self.chance(0.4):
            x = self.after(x)
        return x

    def after(self, x: Value) -> Value:
        """One elementwise op that keeps codes."""
        kind = x.type.scalar
        choice = self.number(0, 4)
        if choice == 0:
            low = self.number(kind.min, kind.max)
            return self.add(Clamp(x, lo=float(low), hi=float(self.number(low, kind.max))))
        if choice == 1:
            to = self.code_type()
            table = self.const(self.codes(to, (1 << kind.bits,)), to)
            return self.add(Lut(x, table, to=Element(to)))
        if choice == 2:
            other = self.const(self.codes(kind, self.broadcastable(x)), kind)
            return self.add(self.pick([Maximum, Minimum, And, Or, Xor])(x, other))
        if choice == 3:
            other = self.const(self.codes(kind, self.broadcastable(x)), kind)
            return self.requantize(self.add(self.pick([Add, Sub, Mul])(x, other)))
        return self.add(Cast(x, to=Element(integer(self.number(1, 12), signed=self.chance(0.5)))))

    def broadcastable(self, x: Value) -> tuple[int, ...]:
        shape = tuple(n if self.chance(0.5) else 1 for n in x.type.static_shape or ())
        return shape[self.number(0, len(shape) - 1) :] if self.chance(0.3) else shape

    # -- layers

    def moves(self, x: Value) -> list[Callable[[Value], Value]]:
        """What can be done with a value."""
        shape = x.type.static_shape or ()
        moves: list[Callable[[Value], Value]] = [
            self.linear,
            self.elementwise,
            self.residual,
            self.reshape,
            self.permute,
            self.slice,
            self.pad,
            self.concat,
            self.reduce,
            self.softmax,
            self.norm,
            self.matmul,
            self.gate,
            self.select,
            self.parts,
            self.expand,
        ]
        if len(shape) in (3, 4) and shape[0] == 1:
            moves += [self.conv] * 5 + [self.pool] * 2
        if len(shape) == 3:
            moves += [self.attention] * 4 + [self.tokens]
        if len(shape) <= 2:
            moves += [self.embed]
        return moves

    def weights(self, shape: tuple[int, ...]) -> tuple[Value, int | tuple[int, ...]]:
        kind = self.code_type()
        zp: int | tuple[int, ...] = 0
        if self.chance(0.3):
            zp = self.number(kind.min, kind.max)
        elif self.chance(0.2):
            zp = tuple(self.number(kind.min, kind.max) for _ in range(shape[0]))
        return self.const(self.codes(kind, shape), kind), zp

    def bias(self, channels: int) -> Value | None:
        return self.const(self.rng.integers(-500, 500, channels), I32) if self.chance(0.6) else None

    def linear(self, x: Value) -> Value:
        x = self.narrow(x)
        w, w_zp = self.weights((self.number(1, 12), (x.type.static_shape or ())[-1]))
        b = self.bias((w.type.static_shape or ())[0])
        return self.settle(self.add(Linear(x, w, b, x_zp=self.zero_point(x), w_zp=w_zp)))

    def conv(self, x: Value) -> Value:
        x = self.narrow(x)
        _, channels, *spatial = x.type.static_shape or ()
        groups = self.pick([1, 1, channels, *(g for g in range(1, channels + 1) if channels % g == 0)])
        outputs = groups * self.number(1, 4)
        kernel, stride, dilation, begins, ends = [], [], [], [], []
        for size in spatial:
            k = 1 if self.chance(0.2) else self.number(1, 4)
            d, before, after = self.number(1, 2), self.number(0, 2), self.number(0, 2)
            if k == 1 and self.chance(0.6):
                before = after = 0
            if d * (k - 1) + 1 > size + before + after:
                k, d = 1, 1
            kernel.append(k)
            dilation.append(d)
            stride.append(self.pick([1, 1, 2, 3]))
            begins.append(before)
            ends.append(after)
        w, w_zp = self.weights((outputs, channels // groups, *kernel))
        op = Conv(
            x,
            w,
            self.bias(outputs),
            stride=tuple(stride),
            padding=(*begins, *ends),
            dilation=tuple(dilation),
            groups=groups,
            x_zp=self.zero_point(x),
            w_zp=w_zp,
        )
        return self.settle(self.add(op))

    def pool(self, x: Value) -> Value:
        x = self.narrow(x)
        _, _, *spatial = x.type.static_shape or ()
        n = len(spatial)
        kernel = tuple(self.number(1, min(3, s)) for s in spatial)
        blocks = self.chance(0.4)
        stride = kernel if blocks else tuple(self.number(1, 3) for _ in spatial)
        padding = (0,) * 2 * n if blocks else tuple(self.number(0, kernel[i % n] // 2) for i in range(2 * n))
        ceil = self.chance(0.2)
        if self.chance(0.5):
            dilation = (
                (1,) * n
                if blocks
                else tuple(1 if k * 2 > s else self.number(1, 2) for k, s in zip(kernel, spatial, strict=True))
            )
            return self.add(MaxPool(x, kernel=kernel, stride=stride, padding=padding, dilation=dilation, ceil=ceil))
        pool = SumPool(x, kernel=kernel, stride=stride, padding=padding, ceil=ceil, x_zp=self.zero_point(x))
        return self.settle(self.add(pool))

    def elementwise(self, x: Value) -> Value:
        return self.after(self.narrow(x))

    def residual(self, x: Value) -> Value:
        """Two paths from one value, or two values of one shape, that meet again."""
        x = self.narrow(x)
        same = [v for v in self.values if v.type.shape == x.type.shape and v.type.scalar != BOOL and not _is_const(v)]
        other = self.narrow(self.pick(same))
        if other is x:
            other = self.requantize(self.linear(x), other.type.scalar) if x.type.shape[-1] == 1 else self.after(x)
            if other.type.shape != x.type.shape:
                other = self.requantize(x)
        wide = integer(self.number(9, 24), signed=True)
        terms = [self.requantize(v, wide) if self.chance(0.6) else v for v in (x, other)]
        if self.chance(0.3):
            terms.reverse()
        kind = self.pick([Add, Sub]) if max(t.type.scalar.bits for t in terms) > 12 else self.pick([Add, Sub, Mul])
        return self.settle(self.add(kind(*terms)))

    def summary(self, x: Value) -> Value:
        """Sums over some dimensions, which become 1."""
        rank = x.type.rank
        axes = tuple(sorted(self.rng.choice(rank, self.number(1, rank), replace=False).tolist()))
        return self.requantize(self.add(Sum(x, axes=axes, keepdims=True)))

    def gate(self, x: Value) -> Value:
        """x, or a summary of it, times a summary of it."""
        x = self.narrow(x)
        factors = [x if self.chance(0.8) else self.summary(x), self.summary(x)]
        return self.settle(self.add(Mul(*(factors[i] for i in self.rng.permutation(2)))))

    def select(self, x: Value) -> Value:
        """x or something else, by comparison."""
        x = self.narrow(x)
        limit = self.const(self.codes(x.type.scalar, self.broadcastable(x)), x.type.scalar)
        condition = self.add(Compare(x, limit, how=self.pick(["eq", "ne", "lt", "le", "gt", "ge"])))
        if self.chance(0.3):
            condition = self.add(Not(condition))
        other = self.const(self.codes(x.type.scalar, self.broadcastable(x)), x.type.scalar)
        return self.add(Where(condition, x, other))

    def reshape(self, x: Value) -> Value:
        count = math.prod(x.type.static_shape or ())
        first = self.pick([d for d in range(1, count + 1) if count % d == 0])
        second = self.pick([d for d in range(1, count // first + 1) if (count // first) % d == 0])
        shape = self.pick([(1, count), (1, first, count // first), (1, second, first, count // first // second)])
        return self.add(Reshape(x, shape=shape))

    def permute(self, x: Value) -> Value:
        order = [0, *(1 + self.rng.permutation(x.type.rank - 1)).tolist()]
        return self.add(Permute(x, tuple(order)))

    def slice(self, x: Value) -> Value:
        axis = self.number(0, x.type.rank - 1)
        size = (x.type.static_shape or ())[axis]
        start = self.number(0, size - 1)
        return self.add(Slice(x, axis, start, self.number(start + 1, size), self.number(1, 3)))

    def pad(self, x: Value) -> Value:
        if x.type.scalar == BOOL:
            x = self.narrow(x)
        before, after = (
            (0, *(self.number(0, 2) if self.chance(0.5) else 0 for _ in range(x.type.rank - 1))) for _ in range(2)
        )
        kind = x.type.scalar
        return self.add(
            Pad(x, tuple(before), tuple(after), float(self.number(max(kind.min, -999), min(kind.max, 999))))
        )

    def concat(self, x: Value) -> Value:
        x = self.narrow(x)
        axis = self.number(0 if x.type.rank == 1 else 1, x.type.rank - 1)
        others: list[Value] = [x]
        for _ in range(self.number(1, 2)):
            shape = list(x.type.static_shape or ())
            shape[axis] = self.number(1, 3)
            if self.chance(0.4):
                others.append(self.const(self.codes(x.type.scalar, shape), x.type.scalar))
            elif self.chance(0.5):
                others.append(x)
            else:
                others.append(self.input(x.type.scalar, tuple(shape)))
        order = self.rng.permutation(len(others))
        return self.add(Concat(tuple(others[i] for i in order), axis))

    def parts(self, x: Value) -> Value:
        """Takes x apart along an axis and joins some parts again."""
        axis = self.number(0, x.type.rank - 1)
        size = (x.type.static_shape or ())[axis]
        if size < 2:
            return self.elementwise(x)
        cut = self.number(1, size - 1)
        first, second = self.add(Slice(x, axis, 0, cut)), self.add(Slice(x, axis, cut, size))
        return self.add(Concat((second, first), axis)) if self.chance(0.6) else self.pick([first, second])

    def reduce(self, x: Value) -> Value:
        x = self.narrow(x)
        rank = x.type.rank
        axes = tuple(sorted(self.rng.choice(np.arange(1, rank), self.number(1, rank - 1), replace=False).tolist()))
        keepdims = self.chance(0.5) or len(axes) == rank - 1
        if self.chance(0.3):
            return self.add(Amax(x, axes=axes, keepdims=keepdims))
        return self.settle(self.add(Sum(x, axes=axes, keepdims=keepdims, x_zp=self.zero_point(x))))

    def softmax(self, x: Value) -> Value:
        x = self.narrow(x)
        axis = self.number(1, x.type.rank - 1)
        table = self.const(exp_table(float(self.rng.uniform(0.01, 0.3)), self.number(2, 300)).array, I32)
        mask = None
        if self.chance(0.3):
            shape = self.broadcastable(x)
            mask = self.const(self.rng.random(shape) < 0.7, BOOL)
            if self.chance(0.5):
                limit = self.const(self.codes(x.type.scalar, self.broadcastable(x)), x.type.scalar)
                mask = self.add(Compare(x, limit, how="gt"))
        to = self.code_type(4, 10)
        return self.add(IntSoftmax(x, table, mask, axis=axis, frac=self.number(4, 12), to=Element(to)))

    def norm(self, x: Value) -> Value:
        x = self.narrow(x)
        channels = (x.type.static_shape or ())[-1]
        center, to = self.chance(0.6), self.code_type()
        shift = self.number(6, 20)
        unit = 2.0 ** (shift - 10) * to.max / 3
        g = np.clip(self.rng.normal(unit, unit / 3, channels), -32767, 32767).astype(np.int64)
        b = np.clip(self.rng.normal(0, unit * 300, channels), -(2**29), 2**29).astype(np.int64)
        op = IntNorm(
            x,
            self.const(g, I32),
            self.const(b, I32),
            eps=self.number(1, 1000),
            shift=shift,
            center=center,
            x_zp=0 if center else self.zero_point(x),
            zp=self.number(to.min, to.max) if self.chance(0.3) else 0,
            to=Element(to),
        )
        return self.add(op)

    def matmul(self, x: Value) -> Value:
        """x times a constant, an input, or itself turned around."""
        x = self.narrow(x)
        shape = x.type.static_shape or ()
        rank, depth = len(shape), shape[-1]
        choice = self.number(0, 2)
        if choice == 0 or rank < 2:
            kind = self.code_type()
            y = self.const(self.codes(kind, (depth, self.number(1, 6))), kind)
        elif choice == 1:
            batch = [n if self.chance(0.7) else 1 for n in shape[:-2]]
            y = self.input(self.code_type(), (*batch, depth, self.number(1, 6)))
        else:
            y = self.add(Permute(x, (*range(rank - 2), rank - 1, rank - 2)))
        if rank < 2:
            x = self.add(Reshape(x, shape=(1, *shape)))
        return self.settle(self.add(Matmul(x, y, x_zp=self.zero_point(x), y_zp=self.zero_point(y))))

    def attention(self, x: Value) -> Value:
        """Heads over tokens, as a transformer has them."""
        x = self.narrow(x)
        _, tokens, _ = x.type.static_shape or ()
        heads, depth = self.number(1, 3), self.number(1, 4)
        w, w_zp = self.weights((3 * heads * depth, (x.type.static_shape or ())[-1]))
        qkv = self.requantize(self.add(Linear(x, w, self.bias(3 * heads * depth), x_zp=self.zero_point(x), w_zp=w_zp)))
        split = self.add(Permute(self.add(Reshape(qkv, shape=(1, tokens, 3, heads, depth))), (2, 0, 3, 1, 4)))
        parts = [
            self.add(Reshape(self.add(Slice(split, 0, i, i + 1)), shape=(1, heads, tokens, depth))) for i in range(3)
        ]
        keys = self.add(Permute(parts[1], (0, 1, 3, 2)))
        scores = self.requantize(self.add(Rescale(self.add(Matmul(parts[0], keys)), by=0.5)))
        table = self.const(exp_table(0.05, 64).array, I32)
        mask = self.const(self.rng.random((1, 1, tokens, tokens)) < 0.8, BOOL) if self.chance(0.3) else None
        weights = self.add(IntSoftmax(scores, table, mask, frac=8, to=Element(integer(8, signed=False))))
        mixed = self.requantize(self.add(Matmul(weights, parts[2])))
        return self.add(Reshape(self.add(Permute(mixed, (0, 2, 1, 3))), shape=(1, tokens, heads * depth)))

    def tokens(self, x: Value) -> Value:
        """The rows of the largest sums, or those that an input says; equal scores are the rule."""
        x = self.narrow(x)
        _, rows, columns = x.type.static_shape or ()
        if self.chance(0.5):
            scores = self.add(Sum(x, axes=(2,), keepdims=False))
        else:
            scores = self.input(self.code_type(2, 3), (1, rows))
        kept = self.number(1, rows)
        return self.add(Select(x, scores, pinned=self.number(0, min(2, kept)), shape=(1, kept, columns)))

    def embed(self, x: Value) -> Value:
        """Rows of a table for new indices."""
        rows, columns = self.number(2, 20), self.number(1, 6)
        count = self.number(1, 6)
        index = self.graph.add_input(TensorType(Element(I64), (1, count)), f"x{len(self.graph.inputs)}")
        self.values[index] = [self.rng.integers(-rows, rows, (1, count)) for _ in range(SAMPLES)]
        kind = self.code_type()
        return self.add(Gather(self.const(self.codes(kind, (rows, columns)), kind), index))

    def expand(self, x: Value) -> Value:
        """Repeats what a summary has left."""
        x = self.summary(self.narrow(x))
        shape = tuple(self.number(2, 3) if n == 1 and i else n for i, n in enumerate(x.type.static_shape or ()))
        lead = (1,) if len(shape) < 4 and self.chance(0.3) else ()
        return self.add(Expand(x, shape=(*lead, *shape)))


def _is_const(value: Value) -> bool:
    return isinstance(value.node, Op) and value.node.opname == "const"
