"""Example inputs in every form, and the sizes that may vary."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from irc.frontend.capture import capture
from irc.ir.diagnostics import IrcError, UsageError


class Add(nn.Module):
    """x + y"""

    def forward(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        return x + 1 if y is None else x + y


@pytest.mark.parametrize(
    "inputs",
    [
        torch.ones(2, 3),
        np.ones((2, 3), np.float32),
        (2, 3),
        "f32[2, 3]",
        [(2, 3)],
        {"x": "f32[2,3]"},
        {"x": (2, 3)},
        (torch.ones(2, 3), None),
        [np.ones((2, 3), np.float32), "f32[3]"],
        {"y": (2, 3), "x": torch.ones(2, 3)},
    ],
    ids=repr,
)
def test_forms(inputs: Any) -> None:
    captured = capture(Add(), inputs)
    assert captured.sample_inputs["x"].shape == (2, 3)
    assert captured.sample_inputs["x"].dtype == np.float32
    assert captured.random_samples == ("2, 3)" in repr(inputs).replace("ones", "") or "f32[" in str(inputs))


def test_made_up_values() -> None:
    class Three(nn.Module):
        def forward(self, i: Tensor, b: Tensor, h: Tensor) -> Tensor:
            return i * b * h

    captured = capture(Three(), ("i64[50]", "bool[50]", "bf16[50]"))
    assert captured.random_samples
    assert {k: str(v.dtype) for k, v in captured.sample_inputs.items()} == {"i": "int64", "b": "bool", "h": "float32"}
    assert set(captured.sample_inputs["i"]) == {0, 1}
    again = capture(Three(), ("i64[50]", "bool[50]", "bf16[50]"))
    for name, array in captured.sample_inputs.items():
        np.testing.assert_array_equal(again.sample_inputs[name], array)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (None, "example inputs are needed to capture a module"),
        ("f32 2 3", "'f32 2 3' is no input type"),
        ("q7[2]", "'q7\\[2\\]' is no input type"),
        ("f32[99999, 99999]", "an example input of 9999800001 elements is too large"),
        (object(), "an example input is object, expected a tensor, an array, a shape or a type"),
        ({"z": (2, 3)}, r"the example inputs do not fit forward\(x, y\): missing a required argument: 'x'"),
        ([(2, 3), (2, 3), (2, 3)], r"do not fit forward\(x, y\): too many positional arguments"),
    ],
)
def test_misfits(inputs: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        capture(Add(), inputs)
    assert caught.value.exit_code == 2


def test_inputs_of_a_program() -> None:
    program = torch.export.export(Add(), (torch.ones(2, 3), torch.ones(3)))
    other = capture(program, {"x": np.zeros((2, 3)), "y": np.zeros(3)})
    assert other.sample_inputs["x"].dtype == np.float32
    assert not other.sample_inputs["x"].any()
    with pytest.raises(UsageError, match=r"the model has 2 inputs \(x, y\), 1 given"):
        capture(program, [torch.zeros(2, 3)])
    with pytest.raises(UsageError, match=r"input 'x' is f32\[2, 3\], got the shape \[2, 4\]") as error:
        capture(program, {"x": "f32[2, 4]", "y": (3,)})
    assert "an exported program has decided its sizes, and comes with inputs" in str(error.value)
    with pytest.raises(UsageError, match=r"input 'y' is f32\[3\], got an array of float32\[1, 3\]"):
        capture(program, {"x": (2, 3), "y": (1, 3)})
    with pytest.raises(UsageError, match="model has no input 'z'") as error:
        capture(program, {"x": (2, 3), "z": "f32[3]"})
    assert "its inputs are x, y" in str(error.value)


def test_inputs_of_a_program_with_a_range() -> None:
    program = torch.export.export(Add(), (torch.ones(2, 3), torch.ones(3)), dynamic_shapes=({0: Dim("b", max=8)}, None))
    assert capture(program, {"x": (5, 3), "y": (3,)}).sample_inputs["x"].shape == (5, 3)
    with pytest.raises(UsageError, match=r"the inputs of @main have b = 9, expected b in \[.*, 8\]"):
        capture(program, {"x": (9, 3), "y": (3,)})


@pytest.mark.parametrize(
    ("dynamic", "message"),
    [
        ({"z": {0: "b"}}, "there is no input 'z' whose size could vary"),
        ({"x": {2: "b"}}, "input 'x' has 2 axes, there is no axis 2"),
        ({"x": {0: "not a name"}}, r"input 'x': 'not a name' in \[1, 4096\] is no size"),
        ({"x": {0: ("b", 5, 3)}}, r"'b' in \[5, 3\] is no size"),
        ({"x": {0: ("b", 1, 3), 1: ("b", 1, 4)}}, "the size 'b' has two ranges"),
    ],
)
def test_bad_axes(dynamic: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        capture(Add(), (2, 3), dynamic=dynamic)


def test_program_with_fixed_sizes() -> None:
    program = torch.export.export(Add(), (torch.ones(2, 3),))
    with pytest.raises(UsageError, match="is an exported program, whose sizes are decided already"):
        capture(program, dynamic="b")


def test_axis_that_cannot_vary() -> None:
    class Fixed(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.reshape(2, 3) * 2

    with pytest.raises(IrcError, match="a size that should vary cannot"):
        capture(Fixed(), (2, 3), dynamic={"x": {0: "b"}})


def test_negative_axis_and_doubled_sample() -> None:
    captured = capture(Add(), (1, 1), dynamic={"x": {-1: ("n", 1, 9)}})
    assert str(captured.module.main.inputs[0].type) == "f32[1, n]"
    assert captured.sample_inputs["x"].shape == (1, 1)
