"""The references of integer ops against docs/numerics.md, written once more with Python's unbounded integers.

f32 arithmetic is written with exact fractions and one rounding, so that nothing here shares NumPy's ways.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irc.ir.builder import Builder
from irc.ir.diagnostics import IrcError
from irc.ir.graph import Graph, Module
from irc.ir.interpret import interpret
from irc.ir.op import Op
from irc.ir.ops.bits import And, Not, Or, ShiftLeft, ShiftRight, Xor
from irc.ir.ops.linear import Conv, Linear, Matmul
from irc.ir.ops.math import Abs, Add, Amax, Cast, Clamp, Cumsum, Maximum, Minimum, Mul, Neg, Sub, Sum
from irc.ir.ops.pool import MaxPool, SumPool
from irc.ir.ops.quant import (
    Dequantize,
    IntNorm,
    IntSoftmax,
    Lut,
    Quantize,
    Requantize,
    Rescale,
    bit_length,
    bit_length_product,
    exp_table,
    isqrt,
    norm_eps,
)
from irc.ir.ops.structure import Return
from irc.ir.scalars import BOOL, F32, I8, I16, I32, I64, U8, Array, ScalarType, integer, scalar
from irc.ir.types import Element, TensorType

I4, U2, U16, U32 = (scalar(name) for name in ("i4", "u2", "u16", "u32"))


def run(make: Callable[..., Op], *operands: tuple[Array, ScalarType]) -> Array:
    graph = Graph([TensorType(Element(kind), np.shape(array)) for array, kind in operands], name="main")
    b = Builder.at_end(graph)
    b.add(Return([b(make(*graph.inputs))]))
    node = next(iter(graph.nodes))
    node.check()
    return interpret(Module([graph]), [array for array, _ in operands])[0]


# -- the contract in unbounded integers


def clamp(value: int, kind: ScalarType) -> int:
    return max(kind.min, min(kind.max, value))


def round_shift(value: int, shift: int) -> int:
    return (value + (1 << (shift - 1))) >> shift if shift else value


def f32(value: Fraction) -> Fraction:
    """The nearest f32, half to even, without overflow: a fraction with 24 significant bits, at least 2^-149 apart."""
    if value == 0:
        return Fraction(0)
    exponent = max(math.floor(math.log2(abs(value))) - 30, -200)
    while abs(value) >= Fraction(2) ** (exponent + 1):
        exponent += 1
    unit = Fraction(2) ** max(exponent - 23, -149)
    return round(value / unit) * unit  # Python rounds half to even


def exact(value: float) -> Fraction:
    return Fraction(float(np.float32(value)))


def quantized(x: float, r: float, zp: int, kind: ScalarType) -> int:
    if math.isnan(x):
        return clamp(zp, kind)
    if math.isinf(x):
        return clamp((2**31 - 1 if x > 0 else -(2**31)) + zp, kind)
    code = round(f32(exact(x) * exact(r)))
    return clamp(max(-(2**31), min(2**31 - 1, code)) + zp, kind)


def requantized(x: int, m: float, shift: int, mode: str, x_zp: int, zp: int, kind: ScalarType) -> int:
    if mode == "fixed":
        return clamp(round_shift((x - x_zp) * int(m), shift) + zp, kind)
    code = round(f32(f32(Fraction(x - x_zp)) * exact(m)))
    return clamp(max(-(2**31), min(2**31 - 1, code)) + zp, kind)


def softmax_row(
    row: Sequence[int], table: Sequence[int], kept: Sequence[bool], frac: int, kind: ScalarType
) -> list[int]:
    if not any(kept):
        return [0] * len(row)
    top = max(x for x, keep in zip(row, kept, strict=True) if keep)
    e = [table[min(top - x, len(table) - 1)] if keep else 0 for x, keep in zip(row, kept, strict=True)]
    total = sum(e)
    t = max(0, total.bit_length() - 16)
    r = 2**31 // (total >> t)
    assert 2**15 <= r <= 2**16
    assert all(v * r < 2**32 and ((v * r) >> t) + (1 << (30 - frac)) < 2**32 for v in e), "unsigned 32-bit lanes"
    return [clamp(round_shift((v * r) >> t, 31 - frac), kind) for v in e]


def norm_row(
    row: Sequence[int],
    g: Sequence[int],
    b: Sequence[int],
    eps: int,
    shift: int,
    center: bool,
    x_zp: int,
    zp: int,
    kind: ScalarType,
) -> list[int]:
    c = len(row)
    x = [v - x_zp for v in row]
    s1, s2 = sum(x), sum(v * v for v in x)
    n = c * s2 - s1 * s1 + eps if center else c * s2 + eps
    assert 0 < n < 2**63, "row quantities are 64 bits"
    e = (n.bit_length() - 31) // 2
    q = math.isqrt(n >> (2 * e) if e >= 0 else n << (-2 * e))
    assert 2**15 <= q < 2**16
    r = 2**31 // q
    assert 2**15 <= r <= 2**16
    p = max(0, ((c * n).bit_length() + 1) // 2 - 14)
    out = []
    for v, gain, offset in zip(x, g, b, strict=True):
        d = c * v - s1 if center else c * v
        assert d * d <= c * n
        scaled = (d >> p) * r
        assert abs(scaled) < 2**31
        z = max(-(2**15), min(2**15 - 1, round_shift(scaled, 21 + e - p)))
        assert abs(z * gain + offset) + (1 << shift) < 2**31
        out.append(clamp(round_shift(z * gain + offset, shift) + zp, kind))
    return out


# -- entering and leaving integers

KINDS = [I8, U8, I4, U2, I16, I32, U16, integer(1, signed=True), integer(23, signed=False)]
floats = st.floats(width=32) | st.sampled_from(
    [0.5, 1.5, 2.5, -0.5, -1.5, 3.4e38, 1e-45, 127.5, 128.49999, 2.0**31, -(2.0**31)]
)
positive = st.floats(2.0**-20, 2.0**20, width=32)


@given(st.lists(floats, min_size=1, max_size=9), positive, st.integers(-300, 300), st.sampled_from(KINDS))
def test_quantize(xs: list[float], r: float, zp: int, kind: ScalarType) -> None:
    out = run(
        lambda x, r, z: Quantize(x, r, z, to=Element(kind)),
        (np.array(xs, np.float32), F32),
        (np.float32(r), F32),
        (np.int32(zp), I32),
    )
    assert out.tolist() == [quantized(x, r, zp, kind) for x in xs]


def test_quantize_rounds_half_to_even_and_saturates() -> None:
    x = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 1e9, -1e9, np.inf, -np.inf, np.nan], np.float32)
    out = run(lambda x, r: Quantize(x, r, to=Element(I8)), (x, F32), (np.float32(1), F32))
    assert out.tolist() == [0, 2, 2, 0, -2, 127, -128, 127, -128, 0]


def test_quantize_along_axes_and_groups() -> None:
    x = np.arange(12, dtype=np.float32).reshape(2, 6) - 5
    by_row = run(
        lambda x, r, z: Quantize(x, r, z, axis=0, to=Element(I8)),
        (x, F32),
        (np.array([1, 0.5], np.float32), F32),
        (np.array([3, -1]), I32),
    )
    assert by_row.tolist() == [
        [quantized(v, r, z, I8) for v in row] for row, r, z in zip(x, (1, 0.5), (3, -1), strict=True)
    ]
    r, zp = np.array([[1, 2], [0.5, 0.25]], np.float32), np.array([[0, 1], [2, 3]])
    grouped = run(lambda x, r, z: Quantize(x, r, z, axis=-1, group=3, to=Element(I8)), (x, F32), (r, F32), (zp, I32))
    expected = [[quantized(x[i, j], r[i, j // 3], int(zp[i, j // 3]), I8) for j in range(6)] for i in range(2)]
    assert grouped.tolist() == expected


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=9), positive, st.integers(-(2**31), 2**31 - 1))
def test_dequantize(codes: list[int], scale: float, zp: int) -> None:
    out = run(
        lambda x, s, z: Dequantize(x, s, z, to=Element(F32)),
        (np.array(codes), I32),
        (np.float32(scale), F32),
        (np.int32(zp), I32),
    )
    assert [Fraction(float(v)) for v in out] == [f32(f32(Fraction(c - zp)) * exact(scale)) for c in codes]


def test_dequantize_groups() -> None:
    scales, zps = np.array([[0.5, 2], [1, 4]], np.float32), np.array([[1, 0], [0, 2]])
    codes = np.arange(8).reshape(2, 4)
    out = run(
        lambda x, s, z: Dequantize(x, s, z, axis=1, group=2, to=Element(F32)), (codes, I8), (scales, F32), (zps, I32)
    )
    assert out.tolist() == [[-0.5, 0, 4, 6], [4, 5, 16, 20]]


accumulators = st.integers(-(2**31), 2**31 - 1) | st.sampled_from([2**31 - 1, -(2**31), 0, 1, -1, 2**30])


@given(
    st.lists(accumulators, min_size=1, max_size=9),
    st.integers(1, 2**31 - 1) | st.sampled_from([1, 2**31 - 1, 2**30]),
    st.integers(1, 62),
    st.integers(-(2**31), 2**31 - 1),
    st.sampled_from(KINDS),
)
def test_requantize_fixed(xs: list[int], m: int, shift: int, zp: int, kind: ScalarType) -> None:
    out = run(
        lambda x, m: Requantize(x, m, shift=shift, zp=zp, to=Element(kind)), (np.array(xs), I32), (np.array(m), I32)
    )
    assert out.tolist() == [requantized(x, m, shift, "fixed", 0, zp, kind) for x in xs]


@given(
    st.lists(accumulators, min_size=1, max_size=9),
    st.floats(2.0**-30, 2.0**10, width=32),
    st.integers(-200, 200),
    st.sampled_from(KINDS),
)
def test_requantize_float(xs: list[int], m: float, zp: int, kind: ScalarType) -> None:
    out = run(
        lambda x, m: Requantize(x, m, mode="float", zp=zp, to=Element(kind)), (np.array(xs), I32), (np.float32(m), F32)
    )
    assert out.tolist() == [requantized(x, m, 0, "float", 0, zp, kind) for x in xs]


@pytest.mark.parametrize("mode", ["fixed", "float"])
@pytest.mark.parametrize(("kind", "x_zp"), [(I8, -128), (I8, 127), (U8, 255), (I16, 2**30), (I32, 0)])
def test_requantize_from_a_zero_point(kind: ScalarType, x_zp: int, mode: str) -> None:
    x = np.array([kind.min, kind.max, (kind.min + kind.max) // 2, kind.max // 3])
    m, m_kind = (np.array([3, 1, 2**31 - 1, 77]), I32) if mode == "fixed" else (np.array([0.5, 1, 2, 1e-9]), F32)
    out = run(
        lambda x, m: Requantize(x, m, mode=mode, shift=31, axis=0, x_zp=x_zp, zp=5, to=Element(I16)),
        (x, kind),
        (m, m_kind),
    )
    assert out.tolist() == [requantized(int(a), b, 31, mode, x_zp, 5, I16) for a, b in zip(x, m, strict=True)]


def test_rescale_keeps_codes() -> None:
    x = np.array([-8, 7])
    assert run(lambda v: Rescale(v, 0.25), (x, I4)).tolist() == [-8, 7]


# -- sums of products


def dot(x: Iterable[int], w: Iterable[int]) -> int:
    return sum(int(a) * int(b) for a, b in zip(x, w, strict=True))


def codes(rng: random.Random, kind: ScalarType, *shape: int) -> Array:
    values = [rng.choice([kind.min, kind.max, rng.randint(kind.min, kind.max)]) for _ in range(math.prod(shape))]
    return np.array(values, np.int64).reshape(shape)


@pytest.mark.parametrize("seed", range(12))
def test_linear(seed: int) -> None:
    rng = random.Random(seed)
    kind, w_kind = rng.choice([I8, U8, I4, I16]), rng.choice([I8, I4, U2])
    k, n = rng.choice([0, 1, 7, 64, 300]), rng.randint(1, 5)
    x, w, b = codes(rng, kind, 3, k), codes(rng, w_kind, n, k), codes(rng, integer(20, signed=True), n)
    x_zp, w_zp = rng.randint(-9, 9), tuple(rng.randint(-3, 3) for _ in range(n))
    out = run(lambda x, w, b: Linear(x, w, b, x_zp=x_zp, w_zp=w_zp), (x, kind), (w, w_kind), (b, I32))
    assert out.tolist() == [[dot(r - x_zp, o - z) + int(c) for o, c, z in zip(w, b, w_zp, strict=True)] for r in x]
    assert out.dtype == np.int32


@pytest.mark.parametrize("seed", range(6))
def test_matmul(seed: int) -> None:
    rng = random.Random(seed)
    x, y = codes(rng, U8, 2, 3, 17), codes(rng, I8, 17, 4)
    x_zp, y_zp = rng.randint(0, 255), rng.randint(-128, 127)
    out = run(lambda x, y: Matmul(x, y, x_zp=x_zp, y_zp=y_zp), (x, U8), (y, I8))
    assert out.tolist() == [[[dot(r - x_zp, c - y_zp) for c in y.T] for r in m] for m in x]


def test_sums_at_the_edge_of_32_bits() -> None:
    big = np.array([[2**31 - 1]])
    assert run(Linear, (big, I32), (np.array([[1]]), I32)).tolist() == [[2**31 - 1]]
    assert run(Linear, (big, I32), (np.array([[-1]]), I32), (np.array([-1]), I32)).tolist() == [[-(2**31)]]
    for w, b in ((np.array([[1]]), np.array([1])), (np.array([[2]]), np.array([0]))):
        with pytest.raises(IrcError, match="linear: an integer result does not fit 32 bits"):
            run(Linear, (big, I32), (w, I32), (b, I32))


def test_sums_beyond_64_bits_are_noticed() -> None:
    """2^62 + 2^62 + 2^62 + 2^62 wraps to 0 in 64 bits."""
    four = np.full((1, 4), -(2**31))
    with pytest.raises(IrcError, match="does not fit 32 bits"):
        run(Matmul, (four, I32), (four.T, I32))
    zeros = run(Matmul, (np.array([[2**31 - 1, -(2**31 - 1)]]), I32), (np.array([[2**31 - 1], [2**31 - 1]]), I32))
    assert zeros.tolist() == [[0]]


@pytest.mark.parametrize("seed", range(10))
def test_conv(seed: int) -> None:
    rng = random.Random(seed)
    groups, per_group = rng.choice([(1, 3), (2, 2), (3, 1)])
    channels, outputs = groups * per_group, groups * rng.randint(1, 2)
    kernel, stride, dilation = ([rng.randint(1, 2) for _ in range(2)] for _ in range(3))
    padding = [rng.randint(0, 2) for _ in range(4)]
    x, w = codes(rng, I8, 2, channels, 5, 6), codes(rng, I8, outputs, per_group, *kernel)
    b, x_zp = codes(rng, I16, outputs), rng.randint(-128, 127)
    w_zp = tuple(rng.randint(-5, 5) for _ in range(outputs))
    out = run(
        lambda x, w, b: Conv(
            x,
            w,
            b,
            stride=tuple(stride),
            padding=tuple(padding),
            dilation=tuple(dilation),
            groups=groups,
            x_zp=x_zp,
            w_zp=w_zp,
        ),
        *((x, I8), (w, I8), (b, I32)),
    )

    def at(image: int, channel: int, i: int, j: int) -> int:
        inside = 0 <= i < 5 and 0 <= j < 6
        return int(x[image, channel, i, j]) - x_zp if inside else 0

    for image, o, i, j in np.ndindex(*out.shape):
        total = int(b[o])
        for c, ki, kj in np.ndindex(*w.shape[1:]):
            row = i * stride[0] + ki * dilation[0] - padding[0]
            column = j * stride[1] + kj * dilation[1] - padding[1]
            total += at(image, o // (outputs // groups) * per_group + c, row, column) * (int(w[o, c, ki, kj]) - w_zp[o])
        assert out[image, o, i, j] == total


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=2, max_size=8), st.sampled_from([Add, Sub, Mul]))
def test_arithmetic_is_exact_or_an_error(values: list[int], cls: type[Op]) -> None:
    plain = {Add: int.__add__, Sub: int.__sub__, Mul: int.__mul__}[cls]
    x, y = np.array(values[:-1]), np.array(values[1:])
    expected = [plain(int(a), int(b)) for a, b in zip(x, y, strict=True)]
    for kind in (I32, I64):
        if all(kind.min <= v <= kind.max for v in expected):
            assert run(cls, (x, kind), (y, kind)).tolist() == expected
        else:
            with pytest.raises(IrcError, match=f"{cls.opname}: an integer result does not fit {kind.bits} bits"):
                run(cls, (x, kind), (y, kind))


@pytest.mark.parametrize("cls", [Add, Sub, Mul])
def test_arithmetic_beyond_64_bits(cls: type[Op]) -> None:
    low, two = np.array([-(2**63)]), np.array([2])
    with pytest.raises(IrcError, match="does not fit 64 bits"):
        run(cls, (low, I64), (low if cls is Add else two, I64))
    assert run(Add, (low, I64), (two, I64)).tolist() == [2 - 2**63]


def test_mixed_widths_give_32_bits() -> None:
    out = run(Add, (np.array([-8]), I4), (np.array([300]), I16))
    assert (out.tolist(), out.dtype) == ([292], np.int32)
    assert run(Mul, (np.array([3]), U8), (np.array([2**40]), I64)).tolist() == [3 * 2**40]


@pytest.mark.parametrize("kind", [I8, U8, I4, I64])
def test_signs(kind: ScalarType) -> None:
    x = np.array([kind.min + 1, kind.max, 0])
    assert run(Abs, (x, kind)).tolist() == [abs(int(v)) for v in x]
    if kind.signed:
        assert run(Neg, (x, kind)).tolist() == [-int(v) for v in x]
        for cls in (Neg, Abs):
            with pytest.raises(IrcError, match=f"does not fit {kind.bits} bits"):
                run(cls, (np.array([kind.min]), kind))


@pytest.mark.parametrize("seed", range(6))
def test_sums(seed: int) -> None:
    rng = random.Random(seed)
    kind, x_zp = rng.choice([(I8, 7), (U8, 128), (I16, -5), (I4, 0)])
    x = codes(rng, kind, 3, 4, 5)
    for axes in ((0,), (1, 2), (-1,), (0, 1, 2)):
        out = run(lambda v, axes=axes: Sum(v, axes, True, x_zp), (x, kind))
        expected = np.zeros(out.shape, object)
        for index in np.ndindex(*x.shape):
            place = tuple(0 if i in {a % 3 for a in axes} else index[i] for i in range(3))
            expected[place] += int(x[index]) - x_zp
        assert out.tolist() == expected.tolist()
    largest = run(lambda v: Amax(v, (1,)), (x, kind))
    assert largest.tolist() == [[max(int(x[i, j, k]) for j in range(4)) for k in range(5)] for i in range(3)]
    running = run(lambda v: Cumsum(v, 1), (x, kind))
    assert running.tolist() == np.array(list(itertools.accumulate(np.moveaxis(x, 1, 0)))).swapaxes(0, 1).tolist()


def test_sums_that_do_not_fit() -> None:
    with pytest.raises(IrcError, match="sum: an integer result does not fit 32 bits"):
        run(lambda v: Sum(v, (0,)), (np.array([2**31 - 1, 1]), I32))
    with pytest.raises(IrcError, match="sum: an integer result does not fit 64 bits"):
        run(lambda v: Sum(v, (0,)), (np.array([2**63 - 1, 1]), I64))
    with pytest.raises(IrcError, match="cumsum: an integer result does not fit 64 bits"):
        run(lambda v: Cumsum(v, 0), (np.array([2**63 - 1, 1]), I64))
    assert run(lambda v: Sum(v, (0,)), (np.array([2**63 - 1, 1, -2]), I64)).tolist() == 2**63 - 2


@pytest.mark.parametrize("ceil", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_pools(seed: int, ceil: bool) -> None:
    rng = random.Random(seed)
    x = codes(rng, I8, 1, 2, 6, 7)
    kernel, stride, padding, x_zp = (rng.randint(2, 3), 2), (rng.randint(1, 3), 2), (1, 0, 1, 1), rng.randint(-9, 9)
    total = run(lambda v: SumPool(v, kernel, stride, padding, ceil, x_zp), (x, I8))
    largest = run(lambda v: MaxPool(v, kernel, stride, padding, (1, 1), ceil), (x, I8))
    for index in np.ndindex(*total.shape):
        _, channel, i, j = index
        window = [
            int(x[0, channel, a, b])
            for a in range(i * stride[0] - 1, i * stride[0] - 1 + kernel[0])
            for b in range(j * stride[1], j * stride[1] + kernel[1])
            if 0 <= a < 6 and 0 <= b < 7
        ]
        assert window, "no window lies in the padding"
        assert total[index] == sum(v - x_zp for v in window)
        assert largest[index] == max(window)


# -- bits


def bits_of(value: int, kind: ScalarType) -> list[bool]:
    """The bits of a code, lowest first."""
    return [bool(value >> i & 1) for i in range(kind.bits)]


def code_of(bits: Sequence[bool], kind: ScalarType) -> int:
    weights = [1 << i for i in range(kind.bits)]
    if kind.signed:
        weights[-1] = -weights[-1]
    return sum(w for w, bit in zip(weights, bits, strict=True) if bit)


def moved(value: int, by: int, kind: ScalarType) -> int:
    """Bit i from bit i - by, beyond the lowest 0, beyond the highest its like (0 without a sign)."""
    bits, sign = bits_of(value, kind), kind.signed and value < 0
    places = [i - by for i in range(kind.bits)]
    return code_of([False if p < 0 else sign if p >= kind.bits else bits[p] for p in places], kind)


@pytest.mark.parametrize("kind", [integer(1, signed=True), I4, U2, I8, U8, I16, I32, U32, I64], ids=str)
def test_bits(kind: ScalarType) -> None:
    rng = random.Random(kind.bits)
    codes = [kind.min, kind.max, 0, *(rng.randint(kind.min, kind.max) for _ in range(9))]
    pairs = list(itertools.product(codes, codes))
    x, y = (np.array(column, kind.dtype) for column in zip(*pairs, strict=True))
    for op, bit in ((And, lambda a, b: a and b), (Or, lambda a, b: a or b), (Xor, lambda a, b: a != b)):
        wanted = [code_of(list(map(bit, bits_of(a, kind), bits_of(b, kind))), kind) for a, b in pairs]
        assert run(op, (x, kind), (y, kind)).tolist() == wanted
    assert run(Not, (x, kind)).tolist() == [code_of([not bit for bit in bits_of(a, kind)], kind) for a, _ in pairs]


@pytest.mark.parametrize("kind", [integer(1, signed=True), I4, U2, I8, U8, I16, I32, U32, I64], ids=str)
def test_shifts(kind: ScalarType) -> None:
    rng = random.Random(kind.bits)
    distances = [n for n in (*range(70), 127, -1, -8, kind.min, kind.max) if kind.min <= n <= kind.max]
    codes = [kind.min, kind.max, 0, *(rng.randint(kind.min, kind.max) for _ in range(5))]
    pairs = list(itertools.product(codes, distances))
    x, by = (np.array(column, kind.dtype) for column in zip(*pairs, strict=True))
    far = [n if 0 <= n < kind.bits else kind.bits for _, n in pairs]
    left = [moved(a, n, kind) for (a, _), n in zip(pairs, far, strict=True)]
    right = [moved(a, -n, kind) for (a, _), n in zip(pairs, far, strict=True)]
    assert run(ShiftLeft, (x, kind), (by, kind)).tolist() == left
    assert run(ShiftRight, (x, kind), (by, kind)).tolist() == right


# -- selection, casts, tables


def test_selection_compares_codes() -> None:
    x, y = np.array([-8, 7, 3]), np.array([1, 1, 3])
    assert run(Maximum, (x, I4), (y, I4)).tolist() == [1, 7, 3]
    assert run(Minimum, (x, I4), (y, I4)).tolist() == [-8, 1, 3]


@pytest.mark.parametrize(
    ("kind", "lo", "hi"),
    [(I8, -3.0, 100.0), (I4, -8.0, 7.0), (U8, 0.0, 255.0), (I64, -math.inf, 5.0), (I8, 0.0, math.inf)],
)
def test_clamp(kind: ScalarType, lo: float, hi: float) -> None:
    x = np.array([kind.min, kind.max, 0, 1, kind.max // 2])
    low, high = (kind.min if math.isinf(lo) else int(lo)), (kind.max if math.isinf(hi) else int(hi))
    assert run(lambda v: Clamp(v, lo, hi), (x, kind)).tolist() == [max(low, min(high, int(v))) for v in x]


@given(st.integers(-(2**63), 2**63 - 1), st.sampled_from([*KINDS, I64, U32, integer(5, signed=True)]))
def test_integer_casts_wrap(value: int, kind: ScalarType) -> None:
    wrapped = value % 2**kind.bits
    expected = wrapped - 2**kind.bits if kind.signed and wrapped > kind.max else wrapped
    assert run(lambda v: Cast(v, Element(kind)), (np.array([value]), I64)).tolist() == [expected]


@given(floats, st.sampled_from([*KINDS, I64, U32]))
def test_float_casts_saturate(value: float, kind: ScalarType) -> None:
    value = float(np.float32(value))
    expected = (
        0
        if math.isnan(value)
        else (kind.max if value > 0 else kind.min)
        if math.isinf(value)
        else clamp(int(value), kind)
    )
    assert run(lambda v: Cast(v, Element(kind)), (np.array([value], np.float32), F32)).tolist() == [expected]


def test_casts_of_bool() -> None:
    assert run(lambda v: Cast(v, Element(I8)), (np.array([True, False]), BOOL)).tolist() == [1, 0]
    assert run(lambda v: Cast(v, Element(BOOL)), (np.array([0, 2, -1]), I8)).tolist() == [False, True, True]
    assert run(lambda v: Cast(v, Element(F32)), (np.array([2**24 + 1]), I32)).tolist() == [2.0**24]


@pytest.mark.parametrize("kind", [I8, U8, I4, U2, integer(1, signed=True)])
def test_lut(kind: ScalarType) -> None:
    rng = random.Random(kind.bits)
    table = codes(rng, I16, 1 << kind.bits)
    x = np.arange(kind.min, kind.max + 1)
    assert run(lambda x, t: Lut(x, t, Element(I16)), (x, kind), (table, I16)).tolist() == table.tolist()
    assert run(lambda x, t: Lut(x, t, Element(I16)), (x[::-1], kind), (table, I16)).tolist() == table[::-1].tolist()


# -- softmax


@st.composite
def softmax_cases(draw: st.DrawFn) -> tuple[Array, ScalarType, list[int], Array, int, ScalarType]:
    kind = draw(st.sampled_from([I8, U8, I4, I16, U16]))
    length = draw(st.integers(1, 12))
    code = st.integers(kind.min, kind.max) | st.sampled_from([kind.min, kind.max])
    rows = draw(st.lists(st.lists(code, min_size=length, max_size=length), min_size=1, max_size=3))
    rest = draw(st.lists(st.integers(0, 2**15), max_size=20))
    mask = draw(
        st.lists(st.lists(st.booleans(), min_size=length, max_size=length), min_size=len(rows), max_size=len(rows))
    )
    return (
        np.array(rows),
        kind,
        [2**15, *rest],
        np.array(mask),
        draw(st.integers(1, 16)),
        draw(st.sampled_from([U8, I8, U16, U2, I16])),
    )


@given(softmax_cases())
@settings(max_examples=200)
def test_softmax(case: tuple[Array, ScalarType, list[int], Array, int, ScalarType]) -> None:
    x, kind, table, mask, frac, to = case
    t = np.array(table)

    def make(*values: object) -> Op:
        return IntSoftmax(*values, frac=frac, to=Element(to))

    out = run(make, (x, kind), (t, I32), (mask, BOOL))
    rows = zip(x.tolist(), mask.tolist(), strict=True)
    assert out.tolist() == [softmax_row(row, table, kept, frac, to) for row, kept in rows]
    out = run(make, (x, kind), (t, I32))
    assert out.tolist() == [softmax_row(row, table, [True] * len(row), frac, to) for row in x.tolist()]


@pytest.mark.parametrize("length", [1, 2, 255, 65535])
def test_softmax_of_long_rows(length: int) -> None:
    table = exp_table(0.05, 200).array.tolist()
    for row in ([7] * length, [i % 256 - 128 for i in range(length)], [127, *[-128] * (length - 1)]):
        out = run(
            lambda x, t: IntSoftmax(x, t, frac=16, to=Element(U16)), (np.array([row]), I8), (np.array(table), I32)
        )
        assert out[0].tolist() == softmax_row(row, table, [True] * length, 16, U16)


def test_softmax_along_another_axis_with_a_broadcast_mask() -> None:
    rng = random.Random(3)
    x, table = codes(rng, I8, 2, 4, 3), exp_table(0.1, 64).array
    mask = np.array([[True], [False], [True], [True]])
    out = run(lambda x, t, m: IntSoftmax(x, t, m, axis=1, to=Element(U8)), (x, I8), (table, I32), (mask, BOOL))
    for i, k in itertools.product(range(2), range(3)):
        assert out[i, :, k].tolist() == softmax_row(x[i, :, k].tolist(), table.tolist(), mask[:, 0].tolist(), 8, U8)


def test_softmax_is_near_the_real_one() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(-128, 128, (50, 65))
    out = run(lambda x, t: IntSoftmax(x, t, to=Element(U8)), (x, I8), (exp_table(0.06, 256).array, I32))
    real = np.exp(0.06 * (x - x.max(-1, keepdims=True)))
    real /= real.sum(-1, keepdims=True)
    assert np.abs(out / 256 - real).max() < 0.6 / 256


def test_softmax_of_nothing_is_zero() -> None:
    empty = np.zeros((2, 0), np.int64)
    assert run(lambda x, t: IntSoftmax(x, t, to=Element(U8)), (empty, I8), (np.array([2**15]), I32)).shape == (2, 0)
    x, mask = np.array([[1, 2]]), np.array([[False, False]])
    assert run(
        lambda x, t, m: IntSoftmax(x, t, m, to=Element(U8)), (x, I8), (np.array([2**15]), I32), (mask, BOOL)
    ).tolist() == [[0, 0]]


# -- norms


def normed(
    rows: Array,
    kind: ScalarType,
    g: Array,
    b: Array,
    eps: int,
    shift: int,
    center: bool,
    x_zp: int,
    zp: int,
    to: ScalarType,
) -> Array:
    return run(
        lambda x, g, b: IntNorm(x, g, b, eps=eps, shift=shift, center=center, x_zp=x_zp, zp=zp, to=Element(to)),
        *((rows, kind), (g, I32), (b, I32)),
    )


@st.composite
def norm_cases(draw: st.DrawFn) -> tuple[Array, ScalarType, Array, Array, int, int, bool, int, int, ScalarType]:
    kind = draw(st.sampled_from([I8, U8, I4, I16, U16]))
    c = draw(st.integers(1, 20))
    code = st.integers(kind.min, kind.max) | st.sampled_from([kind.min, kind.max])
    rows = draw(st.lists(st.lists(code, min_size=c, max_size=c), min_size=1, max_size=3))
    g = draw(st.lists(st.integers(-32767, 32767) | st.sampled_from([32767, -32767]), min_size=c, max_size=c))
    b = draw(st.lists(st.integers(-(2**29), 2**29) | st.sampled_from([2**29, -(2**29)]), min_size=c, max_size=c))
    eps = draw(st.integers(1, 1000) | st.sampled_from([1, 2**40, 2**61 - 1]))
    return (
        *(np.array(rows), kind, np.array(g), np.array(b), eps, draw(st.integers(1, 24)), draw(st.booleans())),
        *(draw(st.integers(kind.min, kind.max)), draw(st.integers(-300, 300)), draw(st.sampled_from([I8, U8, I16]))),
    )


@given(norm_cases())
@settings(max_examples=300)
def test_norm(case: tuple[Array, ScalarType, Array, Array, int, int, bool, int, int, ScalarType]) -> None:
    rows, _, g, b, *rest = case
    assert normed(*case).tolist() == [norm_row(row, g.tolist(), b.tolist(), *rest) for row in rows.tolist()]


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("c", [1, 2, 64, 768, 65535])
def test_norm_of_extreme_rows(c: int, center: bool) -> None:
    """n reaches 2^62 + 2^61 for the longest rows of the largest codes."""
    g, b = [32767 - 13 * i % 65535 for i in range(c)], [(-1) ** i * 2**29 for i in range(c)]
    halves = [-32768] * (c // 2) + [32767] * (c - c // 2)
    for row in ([-32768] * c, [0] * c, halves, [32767, *[-32768] * (c - 1)], [i % 65536 - 32768 for i in range(c)]):
        for eps in (1, 2**61 - 1):
            args = (eps, 20, center, 0, 3, I8)
            out = normed(np.array([row]), I16, np.array(g), np.array(b), *args)
            assert out[0].tolist() == norm_row(row, g, b, *args)


def test_norm_is_near_the_real_one() -> None:
    rng = np.random.default_rng(1)
    c, scale, out_scale, shift = 192, 0.02, 0.03, 16
    x = rng.integers(-128, 128, (40, c))
    gamma, beta = rng.normal(1, 0.2, c), rng.normal(0, 0.5, c)
    g, b = np.rint(gamma * 2 ** (shift - 10) / out_scale), np.rint(beta * 2**shift / out_scale)
    eps = norm_eps(1e-5, c, scale)
    out = normed(x, I8, g.astype(np.int64), b.astype(np.int64), eps, shift, True, 0, 0, I8)
    real = scale * x
    real = (real - real.mean(-1, keepdims=True)) / np.sqrt(real.var(-1, keepdims=True) + 1e-5) * gamma + beta
    assert np.abs(out - np.clip(real / out_scale, -128, 127)).max() < 0.75


def test_norm_epsilon_of_any_scale() -> None:
    assert norm_eps(1e-5, 192, 0.02) == round(1e-5 * 192**2 / 0.02**2)
    assert norm_eps(1e-12, 4, 1.0) == 1
    assert norm_eps(1.0, 65535, 1e-9) == 2**61 - 1


# -- helpers with exact answers


@given(
    st.integers(0, 2**62 + 2**61) | st.integers(0, 62).map(lambda b: 2**b) | st.integers(0, 62).map(lambda b: 2**b - 1)
)
def test_bit_length(n: int) -> None:
    assert bit_length(np.array([n])).tolist() == [n.bit_length()]


@given(st.integers(1, 65535), st.lists(st.integers(0, 2**62), min_size=1, max_size=3))
def test_bit_length_of_products(c: int, n: list[int]) -> None:
    assert bit_length_product(c, np.array([n])).tolist() == [[(c * v).bit_length() for v in n]]


@given(
    st.integers(0, 2**52 - 1)
    | st.integers(0, 2**26 - 1).map(lambda r: r * r)
    | st.integers(1, 2**26 - 1).map(lambda r: r * r - 1)
)
def test_isqrt(n: int) -> None:
    assert isqrt(np.array([n])).tolist() == [math.isqrt(n)]
