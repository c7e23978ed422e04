"""Random graphs with inputs: chains of the layers real models have, with the redundancy that exporters leave behind.

    sample = float_graph(seed)      # f32, a symbolic batch, convolutions, attention, norms, residual sums, concats
    sample = integer_graph(seed)    # codes with encodings: integer sums, requantize, tables, integer softmax and norm
    interpret(sample.module, sample.inputs)

The same seed gives the same graph and the same inputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from irc.ir.builder import Builder
from irc.ir.constants import Data
from irc.ir.dims import Dim, mul, symbol
from irc.ir.dims import Symbol as DimSymbol
from irc.ir.graph import Graph, Module, Value
from irc.ir.location import at
from irc.ir.op import Op
from irc.ir.ops.attention import Sdpa
from irc.ir.ops.linear import Conv, Linear, Matmul
from irc.ir.ops.math import Add, Cast, Clamp, Div, Gelu, Maximum, Mean, Minimum, Mul, Relu, Silu, Sub, Sum, Tanh, Where
from irc.ir.ops.norm import BatchNorm, GroupNorm, LayerNorm, RmsNorm, Softmax
from irc.ir.ops.pool import AvgPool, MaxPool, SumPool
from irc.ir.ops.quant import (
    EXP_ONE,
    Dequantize,
    IntNorm,
    IntSoftmax,
    Lut,
    Quantize,
    Requantize,
    Rescale,
    exp_table,
    norm_eps,
)
from irc.ir.ops.structure import Return
from irc.ir.ops.tensor import Concat, Expand, Pad, Permute, Reshape, Slice
from irc.ir.scalars import BOOL, F32, I32, Array, scalar
from irc.ir.types import Element, Encoding, TensorType, f32_tensor, per_axis, per_tensor, tensor
from irc.ir.verify import verify

BATCH = 3


@dataclass(frozen=True)
class Sample:
    """A verified module and inputs for its `main`."""

    module: Module
    inputs: list[Array]


class _Generator:
    """State of one graph under construction: the values so far; steps take the last one and append another."""

    def __init__(self, seed: int, inputs: Sequence[TensorType]) -> None:
        self.rng = np.random.default_rng(seed)
        self.graph = Graph(
            inputs,
            names=[f"x{i}" for i in range(len(inputs))],
            name="main",
            symbols=[DimSymbol("n", 1, 4)],
        )
        self.b = Builder.at_end(self.graph)
        self.values: list[Value] = []
        self.layer = 0

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def pick(self, *choices: int) -> int:
        return int(self.rng.choice(choices))

    def add(self, op: Op) -> Value:
        """Insert a node, with a layer name of its own now and then."""
        if self.chance(0.7):
            self.layer += 1
            self.b.loc = at(f"layers.{self.layer}")
        return self.b(op)

    def normal(self, *shape: int, scale: float = 1.0) -> Value:
        return self.b.const((self.rng.standard_normal(shape) * scale).astype(np.float32))

    def finish(self, inputs: list[Array], extra: float) -> Sample:
        """Return the last value and, with probability `extra`, an inner one too."""
        results = [self.values[-1]]
        if len(self.values) > 2 and self.chance(extra):
            results.append(self.values[self.pick(*range(1, len(self.values) - 1))])
        self.b.add(Return(tuple(results)))
        module = Module([self.graph])
        verify(module)
        return Sample(module, inputs)


def _static(dim: Dim) -> int:
    assert isinstance(dim, int)
    return dim


# -- floats


def float_graph(seed: int, steps: int = 10) -> Sample:
    """A random f32 graph that begins with images f32[n, C, H, W]; about `steps` layers."""
    rng = np.random.default_rng(seed)
    channels, size = int(rng.choice([2, 4])), int(rng.choice([6, 8]))
    g = _FloatGenerator(seed, [f32_tensor(symbol("n"), channels, size, size)])
    g.values.append(g.graph.inputs[0])
    for _ in range(steps):
        g.step()
    x = rng.standard_normal((BATCH, channels, size, size)).astype(np.float32)
    return g.finish([x], extra=0.3)


class _FloatGenerator(_Generator):
    def step(self) -> None:
        x = self.values[-1]
        table = {4: self.image_steps, 3: self.token_steps, 2: self.flat_steps}[x.type.rank]
        steps = [*table(), *self.any_steps()]
        self.values.append(steps[int(self.rng.integers(len(steps)))](x))

    # -- on anything

    def any_steps(self) -> list[Callable[[Value], Value]]:
        return [self.activation, self.redundant, self.affine_scalar, self.residual]

    def activation(self, x: Value) -> Value:
        b, zero, six = self.add, self.b.const(0.0, F32), self.b.const(6.0, F32)
        choices: list[Callable[[], Value]] = [
            lambda: b(Relu(x)),
            lambda: b(Gelu(x)),
            lambda: b(Silu(x)),
            lambda: b(Tanh(x)),
            lambda: b(Clamp(x, lo=-1.0, hi=1.0)),
            lambda: b(Minimum(b(Relu(x)), six)),
            lambda: b(Maximum(zero, x)),
            lambda: b(Clamp(b(Clamp(x, lo=-2.0)), lo=-0.5, hi=3.0)),
        ]
        return choices[int(self.rng.integers(len(choices)))]()

    def redundant(self, x: Value) -> Value:
        """What exporters leave behind: movements there and back, neutral elements, casts."""
        b, shape, rank = self.add, x.type.shape, x.type.rank
        order = tuple(int(i) for i in self.rng.permutation(rank))
        back = tuple(int(i) for i in np.argsort(order))
        flat: Dim = 1
        for dim in shape:
            flat = mul(flat, dim)
        choices: list[Callable[[], Value]] = [
            lambda: b(Permute(b(Permute(x, order)), back)),
            lambda: b(Reshape(b(Reshape(x, shape=(flat,))), shape=shape)),
            lambda: b(Mul(x, self.b.const(1.0, F32))),
            lambda: b(Sub(x, self.b.const(0.0, F32))),
            lambda: b(Cast(b(Cast(x, to=Element(scalar("f64")))), to=Element(F32))),
            lambda: b(Concat((x,), axis=0)),
            lambda: b(Slice(x, axis=0, start=0, stop=shape[0])),
            lambda: b(Add(x, b(Expand(self.normal(_static(shape[-1])), shape=shape)))),
        ]
        return choices[int(self.rng.integers(len(choices)))]()

    def affine_scalar(self, x: Value) -> Value:
        c = self.b.const(float(self.rng.uniform(0.5, 2.0)), F32)
        op = (Mul, Add, Sub, Div)[int(self.rng.integers(4))]
        if op in (Mul, Add) and self.chance(0.5):
            return self.add(op(c, x))
        return self.add(op(x, c))

    def residual(self, x: Value) -> Value:
        same = [v for v in self.values if v.type.matches(x.type)]
        other = same[int(self.rng.integers(len(same)))]
        return self.add(Add(x, other))

    # -- images

    def image_steps(self) -> list[Callable[[Value], Value]]:
        return [
            self.conv,
            self.conv,
            self.conv_norm,
            self.conv_norm,
            self.norm,
            self.per_channel,
            self.pool,
            self.join,
            self.to_tokens,
            self.to_flat,
        ]

    def conv(self, x: Value) -> Value:
        channels, size = _static(x.type.shape[1]), _static(x.type.shape[2])
        groups = self.pick(1, channels) if self.chance(0.5) else 1
        outputs = channels if groups > 1 or self.chance(0.5) else self.pick(2, 4, 6)
        kernel = self.pick(1, 3) if size >= 3 else 1
        stride = self.pick(1, 2) if size >= 6 else 1
        w = self.normal(outputs, channels // groups, kernel, kernel, scale=1 / math.sqrt(channels // groups * kernel))
        bias = self.normal(outputs) if self.chance(0.5) else None
        pad = (kernel // 2,) * 4
        return self.add(Conv(x, w, bias, stride=(stride, stride), padding=pad, dilation=(1, 1), groups=groups))

    def batch_norm(self, x: Value) -> Value:
        channels = _static(x.type.shape[1])
        variance = self.b.const(self.rng.uniform(0.5, 2.0, channels).astype(np.float32))
        affine = (self.normal(channels), self.normal(channels)) if self.chance(0.7) else (None, None)
        return self.add(BatchNorm(x, self.normal(channels), variance, *affine))

    def conv_norm(self, x: Value) -> Value:
        y = self.batch_norm(self.conv(x))
        return self.activation(y) if self.chance(0.5) else y

    def norm(self, x: Value) -> Value:
        if self.chance(0.5):
            return self.batch_norm(x)
        channels = _static(x.type.shape[1])
        return self.add(GroupNorm(x, self.normal(channels), self.normal(channels), groups=self.pick(1, channels)))

    def per_channel(self, x: Value) -> Value:
        c = self.normal(_static(x.type.shape[1]), 1, 1)
        return self.add(Mul(x, c) if self.chance(0.5) else Add(c, x))

    def pool(self, x: Value) -> Value:
        size = _static(x.type.shape[2])
        kernel = size if size < 4 or self.chance(0.2) else 2
        options = {"kernel": (kernel, kernel), "stride": (kernel, kernel), "padding": (0, 0, 0, 0)}
        return self.add(MaxPool(x, dilation=(1, 1), **options) if self.chance(0.5) else AvgPool(x, **options))

    def join(self, x: Value) -> Value:
        if _static(x.type.shape[1]) > 8:
            return self.conv(x)
        same = [v for v in self.values if v.type.rank == 4 and v.type.shape[2:] == x.type.shape[2:]]
        return self.add(Concat((same[int(self.rng.integers(len(same)))], x), axis=1))

    def to_tokens(self, x: Value) -> Value:
        n, c, h, w = x.type.shape
        return self.add(Permute(self.add(Reshape(x, shape=(n, c, _static(h) * _static(w)))), (0, 2, 1)))

    def to_flat(self, x: Value) -> Value:
        mean = self.add(Mean(x, axes=(2, 3), keepdims=True))
        return self.add(Reshape(mean, shape=x.type.shape[:2]))

    # -- tokens [n, T, C] and rows [n, C]

    def token_steps(self) -> list[Callable[[Value], Value]]:
        return [self.linear, self.linear, self.layer_norm, self.attention, self.attention, self.first_token]

    def flat_steps(self) -> list[Callable[[Value], Value]]:
        return [self.linear, self.linear_norm, self.layer_norm, self.softmax]

    def linear(self, x: Value, outputs: int = 0) -> Value:
        inputs = _static(x.type.shape[-1])
        outputs = outputs or self.pick(inputs, 4, 8)
        w = self.normal(outputs, inputs, scale=1 / math.sqrt(inputs))
        if self.chance(0.2):
            return self.add(Matmul(x, self.normal(inputs, outputs, scale=1 / math.sqrt(inputs))))
        y = self.add(Linear(x, w, self.normal(outputs) if self.chance(0.7) else None))
        return self.add(Mul(y, self.normal(outputs))) if self.chance(0.3) else y

    def linear_norm(self, x: Value) -> Value:
        return self.batch_norm(self.linear(x))

    def layer_norm(self, x: Value) -> Value:
        channels = _static(x.type.shape[-1])
        if self.chance(0.3):
            return self.add(RmsNorm(x, self.normal(channels), eps=1e-2))
        return self.add(LayerNorm(x, self.normal(channels), self.normal(channels), eps=1e-2))

    def softmax(self, x: Value) -> Value:
        return self.add(Softmax(x, axis=self.pick(-1, x.type.rank - 1)))

    def mask(self, tokens: int) -> Value:
        """A bool[T, T] that keeps something in each row."""
        keep = self.rng.random((tokens, tokens)) < 0.6
        np.fill_diagonal(keep, True)
        return self.b.const(keep, BOOL)

    def additive(self, keep: Value) -> Value:
        """The mask as something to add, in one of the ways models write it."""
        fill = self.b.const(float(self.rng.choice([-1e9, -np.inf, np.finfo(np.float32).min])), F32)
        if self.chance(0.5):
            return self.add(Where(keep, self.b.const(0.0, F32), fill))
        one, finite = self.b.const(1.0, F32), self.b.const(-1e9, F32)
        return self.add(Mul(self.add(Sub(one, self.add(Cast(keep, to=Element(F32))))), finite))

    def attention(self, x: Value) -> Value:
        tokens, channels = _static(x.type.shape[1]), _static(x.type.shape[2])
        q, k, v = (self.linear(x, channels) for _ in range(3))
        keep = self.mask(tokens) if self.chance(0.7) else None
        additive = keep is not None and self.chance(0.6)
        mask = self.additive(keep) if keep is not None and additive else keep
        scale = 1 / math.sqrt(channels)
        if self.chance(0.5):
            return self.add(Sdpa(q, k, v, mask, scale=scale))
        scores = self.add(Matmul(q, self.add(Permute(k, (0, 2, 1)))))
        scores = self.add(Div(scores, self.b.const(1 / scale, F32)))
        if mask is not None and additive:
            scores = self.add(Add(scores, mask) if self.chance(0.5) else Add(mask, scores))
        elif mask is not None:
            scores = self.add(Where(mask, scores, self.b.const(-1e9, F32)))
        return self.add(Matmul(self.add(Softmax(scores)), v))

    def first_token(self, x: Value) -> Value:
        n, _, c = x.type.shape
        return self.add(Reshape(self.add(Slice(x, axis=1, start=0, stop=1)), shape=(n, c)))


# -- integers


def integer_graph(seed: int, steps: int = 10) -> Sample:
    """A random graph on encoded codes that begins with images i8<..>[n, C, H, W]; about `steps` layers."""
    rng = np.random.default_rng(seed)
    channels, size = int(rng.choice([2, 4])), int(rng.choice([4, 6]))
    zp = int(rng.choice([0, 5]))
    g = _IntegerGenerator(seed, [tensor(scalar("i8"), (symbol("n"), channels, size, size), per_tensor(0.05, zp))])
    g.values.append(g.graph.inputs[0])
    for _ in range(steps):
        g.step()
    x = rng.integers(-128, 128, (BATCH, channels, size, size)).astype(np.int8)
    return g.finish([x], extra=0.3)


class _IntegerGenerator(_Generator):
    """Every step takes codes of at most 8 bits with one scale and gives such codes."""

    def step(self) -> None:
        x = self.values[-1]
        shared = [self.table, self.redundant, self.requantized, self.clamped, self.residual]
        images = [self.conv, self.conv, self.pool, self.sum_pool, self.join, self.to_tokens, self.padded]
        tokens = [self.linear, self.linear, self.norm, self.attention, self.mean]
        steps = [*shared, *(images if x.type.rank == 4 else tokens if x.type.rank == 3 else [self.linear, self.norm])]
        self.values.append(steps[int(self.rng.integers(len(steps)))](x))

    def encoding(self, x: Value) -> Encoding:
        assert x.type.encoding is not None
        return x.type.encoding

    def zp(self, x: Value) -> int:
        return int(self.encoding(x).zps)

    def element(self, scale: float) -> Element:
        """A random narrow type: signed or unsigned, 4 to 8 bits, with a zero point or without."""
        kind = scalar(str(self.rng.choice(["i8", "i8", "u8", "u8", "i4", "u4", "i6"])))
        zp = int(self.rng.choice([0, 0, 3, kind.min]))
        return Element(kind, per_tensor(scale, zp))

    def requantize(self, x: Value, to: Element) -> Value:
        """Codes in another encoding, in fixed or float arithmetic."""
        source, target = self.encoding(x), to.encoding
        assert target is not None
        ratio = source.scales.astype(np.float64) / np.float64(target.scales)
        common = {"axis": source.axis, "x_zp": int(source.zps), "zp": int(target.zps), "to": to}
        if self.chance(0.3):
            return self.add(Requantize(x, self.b.const(ratio.astype(np.float32), F32), mode="float", **common))
        shift = int(np.clip(20 - math.frexp(float(np.max(ratio)))[1], 1, 62))
        m = np.maximum(np.rint(ratio * 2.0**shift), 1)
        if not np.array_equal(m, np.rint(ratio * 2.0**shift)) or m.max() >= 2**31:
            shift, m = 1, np.rint(ratio * 2.0)
        return self.add(Requantize(x, self.b.const(m.astype(np.int64), I32), mode="fixed", shift=shift, **common))

    def weights(self, *shape: int) -> Value:
        kind = scalar(str(self.rng.choice(["i8", "i4"])))
        codes = self.rng.integers(kind.min, kind.max + 1, shape)
        if self.chance(0.5):
            encoding = per_axis(self.rng.uniform(0.01, 0.03, shape[0]).astype(np.float32), 0)
        else:
            encoding = per_tensor(0.02)
        return self.b.const(codes, kind, encoding)

    def bias(self, outputs: int) -> Value | None:
        return self.b.const(self.rng.integers(-500, 500, outputs), I32) if self.chance(0.5) else None

    def epilogue(self, acc: Value) -> Value:
        """From sums to codes: perhaps a relu before or after, perhaps by way of 16 bits."""
        scale = float(np.max(self.encoding(acc).scales)) * self.pick(40, 100, 300)
        if self.chance(0.4):
            acc = self.add(Clamp(acc, lo=0.0, hi=float(self.rng.choice([np.inf, 20000.0]))))
        if self.chance(0.2):
            wide = self.requantize(acc, Element(scalar("i16"), per_tensor(scale)))
            byte = Element(scalar("i8"), wide.type.encoding)
            return self.add(Cast(self.add(Clamp(wide, lo=-128.0, hi=127.0)), to=byte))
        return self.requantize(acc, self.element(scale))

    # -- steps on anything

    def table(self, x: Value) -> Value:
        kind = x.type.scalar
        to = self.element(float(self.rng.uniform(0.02, 0.2)))
        codes = self.rng.integers(to.scalar.min, to.scalar.max + 1, 1 << kind.bits)
        y = self.add(Lut(x, self.b.const(codes, to.scalar), to=to))
        return self.table(y) if self.chance(0.3) else y

    def clamped(self, x: Value) -> Value:
        kind = x.type.scalar
        lo, hi = sorted(float(v) for v in self.rng.integers(kind.min, kind.max + 1, 2))
        return self.add(Clamp(x, lo=lo, hi=hi) if self.chance(0.7) else Clamp(x, lo=lo))

    def requantized(self, x: Value) -> Value:
        return self.requantize(
            x, self.element(float(self.encoding(x).scales) * float(self.rng.choice([0.7, 1.0, 3.0])))
        )

    def redundant(self, x: Value) -> Value:
        b, shape, rank, kind = self.add, x.type.shape, x.type.rank, x.type.scalar
        order = tuple(int(i) for i in self.rng.permutation(rank))
        back = tuple(int(i) for i in np.argsort(order))
        one = self.b.const(2**8, I32)
        scales, zps = self.encoding(x).scales, self.encoding(x).zps
        s, r, z = self.b.const(scales, F32), self.b.const(np.float32(1) / scales, F32), self.b.const(zps, I32)
        choices: list[Callable[[], Value]] = [
            lambda: b(Permute(b(Permute(x, order)), back)),
            lambda: b(Rescale(b(Rescale(x, by=0.3)), by=1.7)),
            lambda: b(Rescale(x, by=1.0)),
            lambda: b(Clamp(x, lo=float(kind.min), hi=math.inf)),
            lambda: b(Requantize(x, one, shift=8, x_zp=int(zps), zp=int(zps), to=x.type.element)),
            lambda: b(Quantize(b(Dequantize(x, s, z, to=Element(F32))), r, z, to=x.type.element)),
            lambda: b(Concat((x,), axis=0)),
            lambda: b(Slice(b(Slice(x, axis=rank - 1, start=0, stop=shape[-1])), axis=-1, start=0, stop=shape[-1])),
        ]
        return choices[int(self.rng.integers(len(choices)))]()

    def residual(self, x: Value) -> Value:
        same = [v for v in self.values if v.type.plain().with_element(x.type.element).matches(x.type)]
        other = same[int(self.rng.integers(len(same)))]
        scale = float(self.encoding(x).scales)
        term = Element(scalar("i16"), per_tensor(scale / 8))
        total = self.add(Add(self.requantize(other, term), self.requantize(x, term)))
        return self.requantize(total, self.element(scale * 1.5))

    # -- images

    def conv(self, x: Value) -> Value:
        channels, size = _static(x.type.shape[1]), _static(x.type.shape[2])
        groups = channels if self.chance(0.3) else 1
        outputs = channels if groups > 1 else self.pick(2, 4)
        kernel = self.pick(1, 3) if size >= 3 else 1
        w = self.weights(outputs, channels // groups, kernel, kernel)
        stride = self.pick(1, 2) if size >= 4 else 1
        options = {"stride": (stride, stride), "padding": (kernel // 2,) * 4, "dilation": (1, 1), "groups": groups}
        return self.epilogue(self.add(Conv(x, w, self.bias(outputs), x_zp=self.zp(x), **options)))

    def pool(self, x: Value) -> Value:
        kernel = min(2, _static(x.type.shape[2]))
        options = {"kernel": (kernel, kernel), "stride": (1, 1), "padding": (0, 0, 0, 0), "dilation": (1, 1)}
        return self.add(MaxPool(x, **options))

    def sum_pool(self, x: Value) -> Value:
        size = _static(x.type.shape[2])
        kernel = self.pick(min(2, size), size)
        options = {"kernel": (kernel, kernel), "stride": (kernel, kernel), "padding": (0, 0, 0, 0)}
        total = self.add(SumPool(x, x_zp=self.zp(x), **options))
        return self.requantized(self.add(Rescale(total, by=1 / kernel**2)))

    def join(self, x: Value) -> Value:
        if _static(x.type.shape[1]) > 8:
            return self.conv(x)
        same = [v for v in self.values if v.type.rank == 4 and v.type.shape[2:] == x.type.shape[2:]]
        other = self.requantize(same[int(self.rng.integers(len(same)))], x.type.element)
        return self.add(Concat((other, x), axis=1))

    def padded(self, x: Value) -> Value:
        if _static(x.type.shape[2]) > 8:
            return self.pool(x)
        zp = float(self.zp(x))
        first = self.add(Pad(x, before=(0, 0, 1, 0), after=(0, 0, 0, 0), value=zp))
        return self.add(Pad(first, before=(0, 0, 0, 0), after=(0, 0, 0, 1), value=zp))

    def to_tokens(self, x: Value) -> Value:
        n, c, h, w = x.type.shape
        return self.add(Permute(self.add(Reshape(x, shape=(n, c, _static(h) * _static(w)))), (0, 2, 1)))

    # -- tokens and rows

    def linear(self, x: Value, outputs: int = 0) -> Value:
        outputs = outputs or self.pick(2, 4, 8)
        w = self.weights(outputs, _static(x.type.shape[-1]))
        return self.epilogue(self.add(Linear(x, w, self.bias(outputs), x_zp=self.zp(x))))

    def norm(self, x: Value) -> Value:
        channels, to, shift = _static(x.type.shape[-1]), self.element(0.03), 14
        g = self.b.const(self.rng.integers(100, 600, channels), I32)
        b = self.b.const(self.rng.integers(-50000, 50000, channels), I32)
        center = self.chance(0.6)
        assert to.encoding is not None
        eps = norm_eps(1e-3, channels, float(self.encoding(x).scales))
        zps = {"x_zp": 0 if center else self.zp(x), "zp": int(to.encoding.zps)}
        return self.add(IntNorm(x, g, b, eps=eps, shift=shift, center=center, to=to, **zps))

    def attention(self, x: Value) -> Value:
        channels, tokens = _static(x.type.shape[-1]), _static(x.type.shape[-2])
        q, k, v = (self.linear(x, channels) for _ in range(3))
        kt = self.add(Permute(k, (0, 2, 1)))
        acc = self.add(Matmul(q, kt, x_zp=self.zp(q), y_zp=self.zp(kt)))
        acc = self.add(Rescale(acc, by=1 / math.sqrt(channels)))
        scores = self.requantize(acc, Element(scalar("i8"), per_tensor(float(self.encoding(acc).scales) * 30)))
        mask = None
        if self.chance(0.5):
            mask = self.b.const(self.rng.random((tokens, tokens)) < 0.7, BOOL)
        table = exp_table(float(self.encoding(scores).scales), 256)
        assert table.array[0] == EXP_ONE
        to = Element(scalar("u8"), per_tensor(2.0**-8))
        p = self.add(IntSoftmax(scores, self.b.const(table.array, I32), mask, frac=8, to=to))
        return self.requantized_sum(self.add(Matmul(p, v, y_zp=self.zp(v))))

    def requantized_sum(self, acc: Value) -> Value:
        return self.requantize(acc, self.element(float(self.encoding(acc).scales) * 200))

    def mean(self, x: Value) -> Value:
        total = self.add(Sum(x, axes=(1,), x_zp=self.zp(x)))
        return self.requantized(self.add(Rescale(total, by=1 / _static(x.type.shape[1]))))


def weights_of(module: Module) -> dict[str, Array]:
    """The values of all constants by hash, as `parse` wants them."""
    return {
        data.hash: data.array
        for node in module.walk()
        for attribute in node.attributes.values()
        for data in _data_in(attribute)
    }


def _data_in(attribute: object) -> list[Data]:
    if isinstance(attribute, Data):
        return [attribute]
    if isinstance(attribute, Element) and attribute.encoding is not None:
        return list(attribute.encoding.data)
    return []
