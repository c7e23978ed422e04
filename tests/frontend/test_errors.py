"""What stands in the way of a model is told at once, with the place and the way out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from support import Function, check
from torch import Tensor, nn

from irc.frontend import capture
from irc.frontend.aten import nearest
from irc.ir.diagnostics import IrcError


class Block(nn.Module):
    """Uses two ops that have no equivalent."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        values, _ = torch.sort(self.fc(x))
        return values + torch.atan2(x, values)


class Blocks(nn.Module):
    """Equal blocks, and one more problem."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(Block() for _ in range(9)))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cumprod(self.blocks(x), 0)


def line_of(code: str) -> int:
    lines = Path(__file__).read_text().splitlines()
    return next(i for i, line in enumerate(lines, start=1) if code in line)


def test_all_unsupported_ops_at_once() -> None:
    with pytest.raises(IrcError) as caught:
        capture(Blocks(), (2, 4))
    assert caught.value.exit_code == 1
    assert len(caught.value.diagnostics) == 3
    text = str(caught.value)
    first, second, last = (line_of(code) for code in ("= torch.sort(", "+ torch.atan2(", "torch.cumprod(self"))
    assert f'"blocks.0" (Block) test_errors.py:{first}: aten.sort.default is not supported' in text
    assert f'"blocks.0" (Block) test_errors.py:{second}: aten.atan2.default is not supported' in text
    assert f'"" (Blocks) test_errors.py:{last}: aten.cumprod.default is not supported' in text
    assert f'note: and 8 more: "blocks.1" (Block) test_errors.py:{first}, "blocks.2"' in text
    assert ", ..." in text
    assert "hint: replace the layer, or write it with supported ops" in text


def test_the_nearest_op_is_named() -> None:
    assert nearest("aten.atanh.default").startswith("the nearest supported op is aten.tanh.default; replace")
    assert nearest("aten.max_pool2d_indices.default").startswith("the nearest supported op is aten.max_pool2d_with")
    assert nearest("mylib.magic.default") == "replace the layer, or write it with supported ops"


UNSUPPORTED: list[tuple[Callable[..., Any], list[Any], str]] = [
    (lambda x, i: x[i > 0] * 1, [(3,), "i64[3]"], "size u0 depends on the data|a bool mask as index"),
    (lambda x: F.avg_pool2d(x, 2, divisor_override=3), [(1, 1, 4, 4)], "divisor_override"),
    (lambda x: torch.einsum("ii->i", x), [(3, 3)], "equation 'ii->i'"),
    (lambda x: x.long() @ x.long(), [(3, 3)], "product of i64 matrices"),
    (lambda x: x.long() & 3, [(3,)], "bitwise operation on i64"),
    (lambda x: x.long() ** 3, [(3,)], "power 3 of i64"),
    (lambda x: torch.roll(x, 1), [(3, 3)], "roll over the flattened tensor"),
    (lambda x: (-2.0) ** x, [(3,)], "-2.0 to a power"),
    (lambda x: F.rms_norm(x, (3, 4)), [(2, 3, 4)], "normalised over 2 axes"),
    (lambda x: torch.linalg.vector_norm(x, 3), [(3,)], "norm of order 3"),
    (lambda x: F.adaptive_max_pool2d(x, 3), [(1, 1, 4, 4)], r"sizes \[4, 4\] are no multiples of \[3, 3\]"),
    (lambda x: F.conv_transpose2d(x, x), [(1, 1, 3, 3)], "transposed convolution with computed weights"),
    (lambda x: torch.slice_scatter(x, x[::2], 0, 0, 4, 2), [(4,)], "assignment to every 2th element"),
    (
        lambda x: x[torch.zeros(2, dtype=torch.int64), :, torch.zeros(2, dtype=torch.int64)],
        [(2, 3, 4)],
        "not neighbours",
    ),
    (lambda x: torch.complex(x, x).real, [(3,)], "complex64 are not supported"),
    (lambda x: x.shape[0], [(3,)], "the model returns the number 3"),
    (lambda x: None, [(3,)], "the model returns no tensor"),
    (lambda x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.5), [(1, 2, 4)], "dropout inside attention"),
    (lambda x: F.dropout(x, training=True), [(3,)], "random numbers, as dropout makes"),
    (lambda x: F.batch_norm(x, None, None, training=True), [(3, 2)], "batch statistics"),
    (lambda x: F.instance_norm(x), [(1, 2, 4)], ""),
]


@pytest.mark.parametrize(("function", "inputs", "message"), UNSUPPORTED, ids=[u[2] for u in UNSUPPORTED])
def test_uses_that_are_not_supported(function: Callable[..., Any], inputs: list[Any], message: str) -> None:
    if not message:
        check(Function(function), *(torch.randn(s) for s in inputs))
        return
    with pytest.raises(IrcError, match=message):
        capture(Function(function), inputs)


def test_symbolic_sizes_that_are_not_supported() -> None:
    class Resize(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, ...]:
            return F.interpolate(x, scale_factor=2.0), F.pad(x, (1, 1), mode="reflect"), x.var(2)

    with pytest.raises(IrcError) as caught:
        capture(Resize(), (1, 1, 8), dynamic={"x": {2: ("n", 4, 64)}})
    text = str(caught.value)
    assert "resizing a symbolic size" in text
    assert "padding of a symbolic axis" in text or "reflect" in text
    assert "capture with a fixed" in text


def test_data_dependent_control_flow() -> None:
    class Branch(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            if x.sum() > 0:
                return x
            return -x

    with pytest.raises(IrcError) as caught:
        capture(Branch(), (3,))
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.message == "Branch: the control flow of forward depends on the data"
    assert str(diagnostic.loc).endswith(f"test_errors.py:{Branch.forward.__code__.co_firstlineno + 1}")
    assert "torch.where" in diagnostic.hint


def test_model_that_fails() -> None:
    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x @ torch.ones(5, 5)

    with pytest.raises(IrcError, match=r"test_errors.py:\d+: Broken cannot be captured: RuntimeError: "):
        capture(Broken(), (3, 4))


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_damaged_weights(value: float) -> None:
    model = Blocks()
    model.blocks = nn.Sequential(nn.Linear(4, 4))
    model.blocks[0].weight.data[1, 2] = value
    what = "NaN" if value != value else "infinite values"
    with pytest.raises(IrcError) as caught:
        capture(model, (2, 4))
    assert f"\"blocks.0\": parameter 'blocks.0.weight' has {what} (1 of 16)" in str(caught.value)
    assert "aten.cumprod.default is not supported" in str(caught.value)
    assert caught.value.exit_code == 1


class Masked(nn.Module):
    """A buffer that is not finite."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.register_buffer("mask", torch.full((3,), value))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mask


def test_buffers_may_be_infinite_but_not_nan() -> None:
    check(Masked(-torch.inf), torch.ones(3))
    with pytest.raises(IrcError, match=r"buffer 'mask' has NaN \(3 of 3\)"):
        capture(Masked(torch.nan), (3,))


def test_model_with_state() -> None:
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", torch.zeros(3))

        def forward(self, x: Tensor) -> Tensor:
            self.count += 1
            return x + self.count

    with pytest.raises(IrcError, match="the model updates 'count' while it runs"):
        capture(Counter(), (3,))


def test_program_exported_in_training_mode() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5)).train()
    program = torch.export.export(model, (torch.ones(2, 3),))
    with pytest.raises(IrcError, match=r"call eval\(\) on the model before exporting it"):
        capture(program)
