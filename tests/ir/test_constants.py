"""Constant data: content hashes, what values are refused, and weights files that are damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from expecting import fails

from irc.ir.constants import Data, data_text, float_text, load_weights, save_weights
from irc.ir.diagnostics import IrcError, UsageError
from irc.ir.parser import parse
from irc.ir.scalars import BF16, BOOL, F16, F32, F64, I8, I32, I64, Array, scalar
from irc.ir.storage import packed

I4, U2 = scalar("i4"), scalar("u2")


def test_hash_is_of_type_shape_and_values() -> None:
    data = Data.of(np.array([1.0, 2.0, 3.0], np.float32))
    assert data.hash == "84ef4e720b6261b3"  # changes only with the format of files
    others = [
        Data.of(np.array([1.0, 2.0, 3.5], np.float32)),
        Data.of(np.array([[1.0, 2.0, 3.0]], np.float32)),
        Data.of(np.array([1.0, 2.0, 3.0])),
        Data.of(np.array([1, 2, 3], np.int32)),
        Data.of(np.array([1, 2, 3], np.int8)),
        Data.of(np.array([1, 2, 3], np.int8), I4),
    ]
    assert len({d.hash for d in [data, *others]}) == 7
    assert data not in others
    assert data == Data.of([1.0, 2.0, 3.0], F32)
    assert data == Data.unresolved(F32, (3,), data.hash)
    assert hash(data) == hash(Data.of([1.0, 2.0, 3.0], F32))
    assert data != "data"


def test_big_endian_and_strided_arrays_are_the_same_data() -> None:
    array = np.arange(6, dtype=np.int32).reshape(2, 3)
    assert Data.of(array) == Data.of(array.astype(">i4"), I32) == Data.of(np.asfortranarray(array))


def test_every_nan_is_the_same() -> None:
    quiet, other = (np.array([bits], np.uint32).view(np.float32) for bits in (0x7FC00000, 0xFFC12345))
    assert Data.of(quiet) == Data.of(other) == Data.of([np.nan], F32)
    assert Data.of([0.0], F32) != Data.of([-0.0], F32)


def test_values_do_not_change() -> None:
    source = np.zeros(2, np.float32)
    data = Data.of(source)
    source[0] = 1
    assert data.array[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        data.array[0] = 1


def test_codes_must_fit() -> None:
    with fails("values -9 .. 7 do not fit i4 (-8 .. 7)"):
        Data.of(np.array([-9, 7]), I4)
    with fails("values 0 .. 4 do not fit u2 (0 .. 3)"):
        Data.of([0, 4], U2)
    with fails("values that are no integers cannot be i8"):
        Data.of(np.array([0.5]), I8)
    with fails("values that are no integers cannot be i8"):
        Data.of(np.array([np.nan]), I8)
    with fails("values 0 .. 9223372036854775808 do not fit i64 (-9223372036854775808 .. 9223372036854775807)"):
        Data.of(np.array([0, 2**63], object), I64)
    assert Data.of(np.array([3.0]), I8).array.dtype == np.int8


def test_floats_are_rounded() -> None:
    assert Data.of([1e300], F32).array[0] == np.inf
    assert Data.of([1 + 2**-8], BF16).array.tolist() == [1.0]
    assert Data.of([1 + 2**-7, 3 * 2.0**-9 + 1], BF16).array.tolist() == [1 + 2**-7, 1 + 2**-7]


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (0.1, F32, "0.1"),
        (0.1, F16, "0.1"),
        (0.1, F64, "0.1"),
        (1e-30, F32, "1e-30"),
        (-np.inf, F32, "-inf"),
        (3, F32, "3.0"),
    ],
)
def test_floats_print_as_briefly_as_they_read_back(value: float, kind: object, text: str) -> None:
    assert float_text(value, kind) == text


def test_small_data_prints_its_values() -> None:
    assert data_text(Data.of([[1, -2], [3, 4]], I8)) == "[[1, -2], [3, 4]]"
    assert data_text(Data.of(True, BOOL)) == "true"
    assert data_text(Data.of(np.zeros((0, 4), np.float32))) == "[]"
    assert data_text(Data.of(np.zeros((2, 0), np.float32))) == "[[], []]"
    large = Data.of(np.zeros(9, np.float32))
    assert data_text(large) == f"#{large.hash}"
    assert repr(large) == f"Data(f32[9], #{large.hash})"


def test_absent_values() -> None:
    data = Data.unresolved(F32, (2, 2), "0123456789abcdef")
    assert not data.loaded
    assert not data.inline
    assert data.size == 4
    hint = "pass the weights file that was written beside the text: --weights=weights.safetensors"
    with fails("the values of constant #0123456789abcdef (f32[2, 2]) are not loaded", hint=hint):
        _ = data.array


def test_sizes_are_not_bounded_by_what_can_be_allocated() -> None:
    module = parse(
        "func @main() -> f32[1000000, 1000000, 1000000, 1000000] {\n"
        "  %c = const #0123456789abcdef : f32[1000000, 1000000, 1000000, 1000000]\n  return %c\n}"
    )
    assert module.main.outputs[0].node.value.size == 10**24


def test_weights_files_come_back(tmp_path: Path) -> None:
    data = [
        Data.of(np.arange(12, dtype=np.float32).reshape(3, 4)),
        Data.of(np.arange(12) % 16 - 8, I4),
        Data.of(np.arange(12) % 2 == 0),
        Data.of(np.arange(12), I64),
        Data.of(np.linspace(0, 1, 12), BF16),
        Data.of(np.linspace(0, 1, 12), F16),
        Data.of([1.0], F32),  # prints in the text
    ]
    path = tmp_path / "weights.safetensors"
    save_weights(data, path)
    again = load_weights(path)
    assert set(again) == {d.hash for d in data[:-1]}
    for d in data[:-1]:
        copy = Data.unresolved(d.scalar, d.shape, d.hash)
        copy.attach(again[d.hash])
        np.testing.assert_array_equal(copy.array, d.array)
    before = path.read_bytes()
    save_weights(reversed(data), path)
    assert path.read_bytes() == before, "the same data give the same bytes"


def mostly_zero(dtype: str) -> Array:
    array = np.zeros((48, 51), dtype)
    array[::4, ::3] = 1
    array[0, 0] = 0
    return array


@pytest.mark.parametrize("dtype", ["f4", "f2", "i1", "i8", "?"])
def test_what_is_mostly_zero_is_stored_without_zeros(tmp_path: Path, dtype: str) -> None:
    data, path = Data.of(mostly_zero(dtype)), tmp_path / "weights.safetensors"
    save_weights([data], path)
    assert path.stat().st_size < 0.5 * data.array.nbytes + 300
    again = load_weights(path)
    assert set(again) == {data.hash}
    copy = Data.unresolved(data.scalar, data.shape, data.hash)
    copy.attach(again[data.hash])
    np.testing.assert_array_equal(copy.array, data.array)


def test_negative_zero_is_a_value(tmp_path: Path) -> None:
    array = mostly_zero("f4")
    array[5, 5] = -0.0
    data, path = Data.of(array), tmp_path / "weights.safetensors"
    save_weights([data], path)
    copy = Data.unresolved(F32, data.shape, data.hash)
    copy.attach(load_weights(path)[data.hash])
    assert np.signbit(copy.array[5, 5])


def test_dense_and_small_arrays_lie_as_they_are() -> None:
    for array in (np.ones((48, 51), np.float32), np.zeros(40, np.float32)):
        assert set(packed("h", array)) == {"h"}


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("h.where", np.zeros(3, np.uint8), "3 bytes of bits do not fit [48, 51]"),
        ("h.shape", np.array([-48, -51]), "306 bytes of bits do not fit [-48, -51]"),
        ("h.values", np.ones(7, np.float32), "7 values for 203 places"),
    ],
)
def test_parts_must_belong_together(tmp_path: Path, part: str, value: Array, message: str) -> None:
    path = tmp_path / "weights.safetensors"
    safetensors.numpy.save_file({**packed("h", mostly_zero("f4")), part: value}, path)
    with fails(f"{path}: not a readable weights file ({message})"):
        load_weights(path)


def test_missing_parts(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    parts = packed("h", mostly_zero("f4"))
    del parts["h.shape"]
    safetensors.numpy.save_file(parts, path)
    with pytest.raises(IrcError, match="not a readable weights file"):
        load_weights(path)


def test_attached_values_are_checked() -> None:
    data = Data.of(np.arange(12, dtype=np.float32))
    copy = Data.unresolved(F32, (12,), data.hash)
    damaged = data.array + np.eye(12, dtype=np.float32)[3]
    digest = Data.of(damaged).hash
    with fails(f"the weights of #{data.hash} have hash #{digest}: the file is damaged or edited"):
        copy.attach(damaged)
    with fails(f"the weights of #{data.hash} are float64[12], the text says f32[12]"):
        copy.attach(data.array.astype(np.float64))
    with fails(f"the weights of #{data.hash} are float32[3, 4], the text says f32[12]"):
        copy.attach(data.array.reshape(3, 4))
    codes = Data.of(np.arange(12, dtype=np.int8))
    narrow = Data.unresolved(I4, (12,), Data(I4, (12,), codes.array).hash)
    with fails("values 0 .. 11 do not fit i4 (-8 .. 7)"):
        narrow.attach(codes.array)


def test_damaged_weights_are_refused_where_the_text_names_them(tmp_path: Path) -> None:
    data = Data.of(np.arange(12, dtype=np.float32))
    text = f"func @main() -> f32[12] {{\n  %c = const #{data.hash} : f32[12]\n  return %c\n}}"
    path = tmp_path / "weights.safetensors"
    save_weights([data], path)
    assert parse(text, weights=load_weights(path)).main.outputs[0].node.value.loaded
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(IrcError) as raised:
        parse(text, weights=load_weights(path), source="model.irc")
    assert str(raised.value).startswith("model.irc:2:14: the weights of #")


@pytest.mark.parametrize("content", [b"", b"no weights", b"\xff" * 40], ids=["empty", "text", "sizes"])
def test_unreadable_weights_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(IrcError) as raised:
        load_weights(path)
    assert str(raised.value).startswith(f"{path}: not a readable weights file (")


def test_weights_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file"):
        load_weights(tmp_path / "weights.safetensors")
