"""One small function for each entry of the ATen table. The names say which entries a case must go through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from support import Function
from torch import Tensor, nn

aten: Any = torch.ops.aten
G = torch.Generator().manual_seed(7)


def floats(*shape: int) -> Tensor:
    return torch.randn(shape, generator=G)


def positive(*shape: int) -> Tensor:
    return torch.rand(shape, generator=G) + 0.1


def whole(low: int, high: int, *shape: int) -> Tensor:
    return torch.randint(low, high, shape, generator=G)


def bools(*shape: int) -> Tensor:
    return torch.rand(shape, generator=G) > 0.5


@dataclass(frozen=True)
class Case:
    """`targets` are the entries, `aten.` left out."""

    targets: str
    module: nn.Module
    inputs: tuple[Any, ...]

    @property
    def names(self) -> list[str]:
        return [f"aten.{t}" for t in self.targets.split()]


def case(targets: str, function: Callable[..., Any], *inputs: Any) -> Case:
    module = function if isinstance(function, nn.Module) else Function(function)
    return Case(targets, module, inputs)


def seeded(build: Callable[[], nn.Module]) -> nn.Module:
    """A module with weights, and statistics of norms, that are random but fixed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        module = build()
        for name, buffer in module.named_buffers():
            if buffer.is_floating_point():
                nn.init.uniform_(buffer, 0.5, 1.5) if "var" in name else nn.init.normal_(buffer)
    return module.eval()


class ModuleOf(nn.Module):
    """A function of a module's parameters and inputs."""

    def __init__(self, inner: nn.Module, function: Callable[..., Any]) -> None:
        super().__init__()
        self.inner = inner
        self.function = function

    def forward(self, *args: Any) -> Any:
        return self.function(self.inner, *args)


UNARY = (
    "sigmoid.default silu.default hardsigmoid.default hardswish.default tanh.default exp.default sin.default cos.default "
    "neg.default abs.default erf.default relu.default relu6.default gelu.default elu.default selu.default celu.default "
    "mish.default log_sigmoid_forward.default softplus.default leaky_relu.default hardtanh.default softshrink.default "
    "hardshrink.default threshold.default reciprocal.default floor.default ceil.default trunc.default sign.default "
    "sgn.default square.default tan.default expm1.default exp2.default isnan.default isinf.default"
)


def unary(x: Tensor) -> tuple[Tensor, ...]:
    return (
        torch.sigmoid(x),
        F.silu(x),
        F.hardsigmoid(x * 3),
        F.hardswish(x * 3),
        torch.tanh(x),
        torch.exp(x),
        torch.sin(x),
        torch.cos(x),
        -x,
        torch.abs(x),
        torch.erf(x),
        F.relu(x),
        F.relu6(x * 5),
        F.gelu(x),
        F.gelu(x, approximate="tanh"),
        F.elu(x, 0.7),
        F.selu(x),
        F.celu(x),
        F.celu(x, 0.5),
        F.mish(x),
        F.logsigmoid(x),
        F.softplus(x, 2.0, 3.0),
        F.leaky_relu(x, 0.2),
        F.hardtanh(x, -0.5, 0.7),
        F.softshrink(x, 0.3),
        F.hardshrink(x, 0.3),
        F.threshold(x, 0.1, -2.0),
        F.softsign(x),
        F.tanhshrink(x),
        1 / x,
        torch.floor(x),
        torch.ceil(x),
        torch.trunc(x * 3),
        torch.sign(x),
        torch.sgn(x),
        torch.square(x),
        torch.tan(x),
        torch.expm1(x),
        torch.exp2(x),
        torch.isnan(x),
        torch.isinf(x / 0),
    )


CASES: list[Case] = [
    case(UNARY, unary, floats(3, 5)),
]
