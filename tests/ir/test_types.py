"""Scalars, encodings and tensor types by themselves."""

from __future__ import annotations

import numpy as np
import pytest

from irc.ir.constants import Data
from irc.ir.dims import symbol
from irc.ir.scalars import BF16, BOOL, F16, F32, F64, I8, I32, I64, U8, integer, round_to_bf16, scalar, scalar_of
from irc.ir.types import Element, Encoding, TensorType, f32_tensor, per_axis, per_tensor, tensor

N = symbol("n")


@pytest.mark.parametrize(
    ("name", "low", "high", "dtype", "size"),
    [
        ("i8", -128, 127, "int8", 1),
        ("u8", 0, 255, "uint8", 1),
        ("i1", -1, 0, "int8", 0.125),
        ("u1", 0, 1, "uint8", 0.125),
        ("i5", -16, 15, "int8", 0.625),
        ("u9", 0, 511, "uint16", 1.125),
        ("i17", -65536, 65535, "int32", 2.125),
        ("i64", -(2**63), 2**63 - 1, "int64", 8),
        ("bool", 0, 1, "bool", 1),
        ("bf16", 0, 65535, "float32", 2),
        ("f16", 0, 65535, "float16", 2),
    ],
)
def test_scalars(name: str, low: int, high: int, dtype: str, size: float) -> None:
    s = scalar(name)
    assert (str(s), s.dtype, s.bytes) == (name, np.dtype(dtype), size)
    if s.is_integer:
        assert (s.min, s.max, integer(s.bits, signed=s.signed)) == (low, high, s)


@pytest.mark.parametrize("name", ["i0", "u33", "i33", "u64", "i128", "i٣", "f8", "int", "", "i08"])
def test_what_is_no_scalar(name: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}' is not a scalar type"):
        scalar(name)


def test_scalars_of_arrays() -> None:
    kinds = {np.bool_: BOOL, np.int8: I8, np.uint8: U8, np.int64: I64, np.float16: F16, np.float64: F64}
    assert all(scalar_of(np.zeros(1, kind)) == s for kind, s in kinds.items())
    for kind in (np.uint64, np.complex64, object):
        with pytest.raises(ValueError):
            scalar_of(np.zeros(1, kind))


def test_bf16_rounds_half_to_even() -> None:
    ulp = 2.0**-7
    values = np.array([1 + ulp / 2, 1 + 3 * ulp / 2, 1 + ulp / 2 + 1e-6, -1 - ulp / 2, np.inf, 3.4e38, 0.0], np.float32)
    assert round_to_bf16(values).tolist() == [1, 1 + 2 * ulp, 1 + ulp, -1, np.inf, np.inf, 0]
    assert np.isnan(round_to_bf16(np.array([np.nan, -np.nan]))).all()


def test_encodings_decode() -> None:
    codes = np.array([[-2, 0, 3, 5], [1, 1, 1, 1]])
    assert per_tensor(0.5, 3).decode(codes).tolist() == [[-2.5, -1.5, 0, 1], [-1, -1, -1, -1]]
    by_row = per_axis(np.array([0.5, 2]), 0, np.array([0, 1]))
    assert by_row.decode(codes).tolist() == [[-1, 0, 1.5, 2.5], [0, 0, 0, 0]]
    groups = Encoding(Data.of([[0.5, 1], [2, 4]], F32), Data.of([[0, 1], [1, 0]], I32), axis=1, group=2)
    assert groups.decode(codes).tolist() == [[-1, 0, 2, 4], [0, 0, 4, 4]]
    assert Encoding(0.5, binary=True).decode(np.array([-1, 0])).tolist() == [-0.5, 0.5]
    assert Encoding(0.5).decode(np.array([2**24 + 1])).dtype == np.float32


def test_scales_are_f32() -> None:
    assert Encoding(0.1) == Encoding(float(np.float32(0.1))) == per_tensor(np.float64(0.1))
    assert str(Encoding(0.1, np.int64(3))) == "0.1, zp=3"
    assert repr(Encoding(1e300).scale) == "inf"


def test_encodings_move_with_their_tensor() -> None:
    by_row = per_axis(np.array([0.5, 2]), 0, np.array([0, 1]))
    assert str(by_row.moved(2)) == "[0.5, 2.0], zp=[0, 1], axis=2"
    assert str(by_row.with_zp(0)) == "[0.5, 2.0], axis=0"
    assert str(per_axis(np.array([0.5]), 0, np.array([0]))) == "[0.5], axis=0"
    assert str(Encoding(Data.of([[1.0]], F32), axis=0, group=4)) == "[[1.0]], axis=0, group=4"
    assert str(Encoding(1.0, binary=True)) == "1.0, binary"
    assert (by_row.per_tensor, len(list(by_row.data)), list(per_tensor(1).data)) == (False, 2, [])


def test_shapes_of_scales() -> None:
    assert Encoding(1.0).vector_shape((2, N)) == ()
    assert Encoding(1.0, axis=1).vector_shape((2, N)) == (N,)
    assert Encoding(1.0, axis=1, group=4).vector_shape((2, 8, N)) == (2, 2, N)


def test_vectors_of_another_type() -> None:
    scales = Data.of(np.array([0.5, 0.25]))
    assert tensor(I8, (2,), Encoding(scales, axis=0)).problem() == "scales are f64, expected f32"
    zps = Encoding(Data.of([0.5, 0.25], F32), Data.of(np.array([1, 2])), axis=0)
    assert tensor(I8, (2,), zps).problem() == "zero points are i64, expected i32"
    zps = Encoding(Data.of([0.5, 0.25], F32), Data.of([1], I32), axis=0)
    assert tensor(I8, (2,), zps).problem() == "zero points of shape [1] do not fit [2]"
    absent = Encoding(Data.unresolved(F32, (2,), "0123456789abcdef"), axis=0)
    assert tensor(I8, (2,), absent).problem() == ""


def test_tensor_types() -> None:
    t = tensor(I8, (2, N), per_tensor(0.5))
    assert (str(t), t.rank, t.scalar, t.static_shape) == ("i8<0.5>[2, n]", 2, I8, None)
    assert (t.plain(), t.symbols()) == (tensor(I8, (2, N)), {"n"})
    assert t.substitute({"n": 3}).static_shape == (2, 3)
    assert t.with_shape((4,)) == tensor(I8, (4,), per_tensor(0.5))
    assert t.with_element(Element(F32)) == f32_tensor(2, N)
    assert t.matches(tensor(I8, (2, N), per_tensor(0.5)))
    assert not t.matches(tensor(I8, (2, N)))
    assert not t.matches(t.with_shape((2, 3)))
    assert str(f32_tensor()) == "f32[]"
    assert TensorType(Element(BF16), ()).problem() == ""
