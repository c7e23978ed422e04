"""What stands in the way of a model is told at once, with the place and the way out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sympy
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_support import Function, assert_same, check

from irc.frontend.aten import CONVERTERS
from irc.frontend.aten.refusals import remedy
from irc.frontend.capture import capture
from irc.frontend.dims import Symbols, symbols_of
from irc.ir.diagnostics import InternalError, IrcError, UsageError
from irc.ir.interpret import interpret
from irc.ir.ops.math import Sum

aten: Any = torch.ops.aten


class Block(nn.Module):
    """Uses two ops that have no equivalent."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        values, _ = torch.cummax(self.fc(x), 1)
        return values + torch.hypot(x, values)


class Blocks(nn.Module):
    """Equal blocks, and one more problem."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(Block() for _ in range(9)))

    def forward(self, x: Tensor) -> Tensor:
        return torch.logcumsumexp(self.blocks(x), 0)


def line_of(code: str) -> int:
    lines = Path(__file__).read_text().splitlines()
    return next(i for i, line in enumerate(lines, start=1) if code in line)


def test_all_unsupported_ops_at_once() -> None:
    with pytest.raises(IrcError) as caught:
        capture(Blocks(), (2, 4))
    assert caught.value.exit_code == 1
    assert len(caught.value.diagnostics) == 3
    text = str(caught.value)
    first, second, last = (line_of(code) for code in ("= torch.cummax(", "+ torch.hypot(", "torch.logcumsumexp(self"))
    assert f'"blocks.0" (Block) test_import_errors.py:{first}: aten.cummax.default is not supported' in text
    assert f'"blocks.0" (Block) test_import_errors.py:{second}: aten.hypot.default is not supported' in text
    assert f"(Blocks) test_import_errors.py:{last}: aten.logcumsumexp.default is not supported" in text
    assert f'note: and 8 more: "blocks.1" (Block) test_import_errors.py:{first}, "blocks.2"' in text
    assert ", ..." in text
    assert "hint: replace the layer, or write it with supported ops" in text


def test_the_nearest_op_is_named() -> None:
    assert remedy("aten.max_pool2d_indices.default").startswith("the nearest supported op is aten.max_pool2d_with")
    for name in ("cosmic", "median", "sinh", "asinh"):  # short names are alike by chance
        assert remedy(f"aten.{name}.default") == "replace the layer, or write it with supported ops"


def test_checks_and_prints_are_no_part_of_the_function() -> None:
    class Inverse(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.eye(3) * 2)

        def forward(self, x: Tensor) -> Tensor:
            torch.ops.aten._print("here")
            return x @ torch.linalg.inv(self.w)

    check(Inverse(), torch.randn(2, 3))
    with pytest.raises(IrcError) as caught:
        capture(Function(torch.linalg.inv), (3, 3))
    assert [d.message for d in caught.value.diagnostics] == [
        "aten.linalg_inv_ex.default on computed values is not supported"
    ]
    assert caught.value.diagnostics[0].hint == "only on weights and constants"


def test_what_to_do_about_ops_that_are_no_layer() -> None:
    assert remedy("mylib.conv2d.default").startswith("nothing is known of a custom op but its name: export the model")
    for cond in ("cond", "higher_order.cond"):
        assert remedy(cond).startswith(
            "which branch runs depends on the data: compute both and select with torch.where"
        )
    assert remedy("higher_order.while_loop").startswith("how often it runs depends on the data")
    assert remedy("scan") == "it runs a graph of its own: write a loop in Python, which torch.export unrolls"
    assert remedy("torchvision.nms.default").startswith("keep all rows and mask what does not count")


class Experts(nn.Module):
    """Each expert sees its own rows only."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(4, 2)
        self.experts = nn.ModuleList(nn.Linear(4, 4) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        chosen = self.gate(x).argmax(-1)
        y = torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            rows = torch.where(chosen == i)[0]
            y = y.index_add(0, rows, expert(x[rows]))
        return y


def test_rows_of_experts() -> None:
    with pytest.raises(IrcError) as caught:
        capture(Experts(), (6, 4))
    (found,) = caught.value.diagnostics
    assert found.message == "aten.nonzero.default is not supported: the size of its result depends on the data"
    assert str(found.loc).endswith(f"(Experts) test_import_errors.py:{line_of('rows = torch.where(')}")
    assert found.uses == 2
    assert found.hint.endswith("of a mixture of experts, every expert on all rows")


@pytest.mark.parametrize("error", [KeyError("size"), TypeError("no"), AssertionError("what")])
def test_a_converter_that_fails_is_told_at_its_place(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: Any) -> Any:
        raise error

    monkeypatch.setitem(CONVERTERS, "aten.relu.default", fail)
    with pytest.raises(InternalError) as caught:
        capture(nn.Sequential(*[nn.Linear(4, 4) for _ in range(4)], nn.ReLU()), (2, 4))
    (found,) = caught.value.diagnostics
    told = f"importing aten.relu.default failed: {type(error).__name__}: {error} (test_import_errors.py:"
    assert found.message.startswith(told)
    assert found.loc.path == "4"
    assert found.hint.startswith("this is a fault of irc or a plug-in, please report it; the part before it compiles")
    assert found.hint.endswith("--stop-at=4")


UNSUPPORTED: list[tuple[Callable[..., Any], list[Any], str]] = [
    (lambda x, i: x[i > 0] * 1, [(3,), "i64[3]"], "size u0 depends on the data|a bool mask as index"),
    (lambda x: torch.einsum("ii->i", x), [(3, 3)], "equation 'ii->i'"),
    (lambda x: x.long() ** 3, [(3,)], "power 3 of i64"),
    (lambda x: torch.roll(x, 1), [(3, 3)], "roll over the flattened tensor"),
    (lambda x: (-2.0) ** x, [(3,)], "-2.0 to a power"),
    (lambda x: x * x[0].item(), [(3,)], "the number .* varies|control flow of forward depends"),
    (lambda x: x if torch.equal(x, x + 1) else -x, [(3,)], "the control flow of forward depends on the data"),
    (lambda x: torch.linalg.vector_norm(x, -1), [(3,)], "norm of order -1"),
    (lambda x: F.conv_transpose2d(x, x), [(1, 1, 3, 3)], "transposed convolution with computed weights"),
    (nn.ConvTranspose1d(1, 1, 1, padding=1), [(1, 1, 8)], r"padding \[1\] is larger than the kernel"),
    (lambda x: torch.linalg.matrix_exp(x), [(2, 2)], "linalg_matrix_exp.default on computed values is not supported"),
    (
        lambda x: x[torch.zeros(2, dtype=torch.int64), :, torch.zeros(2, dtype=torch.int64)],
        [(2, 3, 4)],
        "not neighbours",
    ),
    (lambda x: x.long() ** x.long(), [(3,)], "powers of i64"),
    (lambda x: torch.complex(x, x).real, [(3,)], "aten.complex.default is not supported"),
    (lambda x: x.shape[0], [(3,)], "the model returns the number 3"),
    (lambda x: None, [(3,)], "the model returns no tensor"),
    (lambda x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.5), [(1, 2, 4)], "dropout inside attention"),
    (lambda x: F.dropout(x, training=True), [(3,)], "random numbers, as dropout makes"),
    (lambda x: F.batch_norm(x, None, None, training=True), [(3, 2)], "batch statistics"),
    (lambda x: torch.special.bessel_j0(x), [(3,)], "is not supported"),
]


@pytest.mark.parametrize(("function", "inputs", "message"), UNSUPPORTED, ids=[u[2] for u in UNSUPPORTED])
def test_uses_that_are_not_supported(function: Callable[..., Any], inputs: list[Any], message: str) -> None:
    with pytest.raises(IrcError, match=message):
        capture(Function(function), inputs)


class Wide(nn.Module):
    """A function of one tensor whose size n varies."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: F.interpolate(x, scale_factor=2.0), "upsample_nearest1d.vec: the size is n, not a number"),
        (lambda x: F.interpolate(x, scale_factor=2.0, mode="linear"), "upsample_linear1d.vec: the size is n"),
        (lambda x: aten.reflection_pad1d.default(x, [1, 1]), "the size in reflect padding is n, not a number"),
        (lambda x: x.var(2), "var.correction: the number of elements is n, not a number"),
        (lambda x: F.instance_norm(x.transpose(1, 2)), "instance_norm.default: the number of channels is n"),
        (lambda x: F.scaled_dot_product_attention(x, x, x), "the width of a head is n, not a number"),
        (lambda x: F.adaptive_avg_pool1d(x, 2), "adaptive_avg_pool1d.default: the size is n, not a number"),
        (lambda x: x.roll(x.shape[2] // 2, 2), r"roll.default: the shift is floordiv\(n, 2\), not a number"),
    ],
)
def test_sizes_that_must_be_numbers(function: Callable[[Tensor], Any], message: str) -> None:
    with pytest.raises(IrcError, match=message) as caught:
        capture(Wide(function), (2, 4, 8), dynamic={"x": {2: ("n", 4, 64)}})
    assert "hint: capture the model with a fixed size there" in str(caught.value)


def test_numbers_computed_from_sizes() -> None:
    captured = capture(
        Wide(lambda x: (torch.arange(x.shape[2], x.shape[2] + 2, 0.5), x.flip(2), x.unbind(1), x.std(1))),
        (2, 4, 8),
        dynamic={"x": {2: ("n", 4, 64)}},
    )
    x = torch.randn(2, 4, 5)
    expected = [torch.arange(5, 7, 0.5), x.flip(2), *x.unbind(1), x.std(1)]
    assert_same(interpret(captured.module, [x.numpy()]), expected)


def test_size_without_equivalent() -> None:
    symbols = Symbols({"s0": "n"}, {"s0": (1, 9)})
    assert str(symbols.dim(sympy.sympify("s0**2 + 3*s0 - Max(s0, 4)"))) == "n*n-max(4, n)+n*3"
    with pytest.raises(IrcError, match=r"size sqrt\(s0\) cannot be expressed"):
        symbols.dim(sympy.sympify("sqrt(s0)"))


def test_axis_that_torch_fixes() -> None:
    with pytest.raises(IrcError, match="input 'x': axis 2 should vary as 'n', but the model only works for size 8"):
        symbols_of(exported_sum(), {"x": {2: "n"}}, {"x": torch.ones(2, 4, 8)})


def exported_sum() -> torch.export.ExportedProgram:
    return torch.export.export(Wide(lambda x: x.sum()), (torch.ones(2, 4, 8),))


def test_results_that_have_no_equivalent() -> None:
    def function(x: Tensor) -> tuple[Tensor, ...]:
        return torch.ops.aten.log_sigmoid_forward.default(x)

    with pytest.raises(IrcError, match=r"result 1 of aten.log_sigmoid_forward.default is not supported"):
        capture(Function(function), ((1, 2, 8),))


def test_weights_without_values() -> None:
    with torch.device("meta"):
        model = nn.Linear(3, 3)
    with pytest.raises(IrcError, match=r"(has no values \(meta\)|cannot be captured)"):
        capture(model, "f32[2, 3]")
    sparse = Masked(0.0)
    sparse.mask = sparse.mask.to_sparse()
    with pytest.raises(IrcError, match=r"('mask' is quantized or sparse|cannot be captured)"):
        capture(sparse, (3,))


def test_input_of_a_foreign_type() -> None:
    with pytest.raises(IrcError, match="input 'args_0': tensors of complex64 are not supported"):
        capture(Function(lambda x: x.abs()), torch.ones(2, dtype=torch.complex64))


def test_inputs_that_are_objects() -> None:
    generator = torch.Generator()
    with pytest.raises(IrcError, match=r"(is a custom_obj, not a tensor|cannot be captured)"):
        capture(Function(lambda x: x + torch.rand(3, generator=generator)), (3,))


def test_converter_with_the_wrong_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CONVERTERS, "aten.relu.default", lambda c, x: c.b(Sum(x, (0,))))
    with pytest.raises(IrcError, match=r"aten.relu.default was imported as f32\[\], torch has f32\[3\]"):
        capture(Function(F.relu), (3,))


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
    assert str(diagnostic.loc).endswith(f"test_import_errors.py:{Branch.forward.__code__.co_firstlineno + 1}")
    assert "torch.where" in diagnostic.hint


class Pair:
    """What torch cannot take apart."""

    def __init__(self, first: Tensor) -> None:
        self.first = first


def test_results_that_are_objects() -> None:
    with pytest.raises(IrcError) as caught:
        capture(Function(lambda x: (x + 1, Pair(x))), (3,))
    (found,) = caught.value.diagnostics
    assert found.message.startswith("Function returns a test_import_errors.Pair, which is no tensor and no tuple, list")
    assert "a model of transformers returns no cache with model.config.use_cache = False" in found.hint
    with pytest.raises(UsageError, match="an example input is Pair, expected a tensor"):
        capture(Function(lambda p: p.first), Pair(torch.ones(3)))


def test_model_that_fails() -> None:
    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x @ torch.ones(5, 5)

    with pytest.raises(IrcError, match=r"test_import_errors.py:\d+: Broken cannot be captured: RuntimeError: "):
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
    assert "aten.logcumsumexp.default is not supported" in str(caught.value)
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
    with pytest.raises(IrcError, match=r"^\(model\): buffer 'mask' has NaN \(3 of 3\)"):
        capture(Masked(torch.nan), (3,))


class Counter(nn.Module):
    """Counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        self.count += 1
        return x + self.count


@pytest.mark.parametrize("path", ["", "0."])
def test_model_with_state(path: str, tmp_path: Path) -> None:
    model = nn.Sequential(Counter()) if path else Counter()
    program = torch.export.export(model, (torch.ones(3),))
    torch.export.save(program, tmp_path / "counter.pt2")
    place = f'"{path}count" test_import_errors.py:{line_of("self.count += 1")}: '
    for given in (program, tmp_path / "counter.pt2"):
        with pytest.raises(IrcError) as caught:
            capture(given)
        assert str(caught.value).startswith(f"{place}the model updates '{path}count' while it runs\n  hint: ")


def test_program_exported_in_training_mode() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5)).train()
    program = torch.export.export(model, (torch.ones(2, 3),))
    with pytest.raises(IrcError, match=r"call eval\(\) on the model before exporting it"):
        capture(program)
