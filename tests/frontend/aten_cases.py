"""One small function for each entry of the ATen table. The names say which entries a case must go through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_support import Function

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
    "sigmoid.default silu.default hardsigmoid.default hardswish.default tanh.default exp.default "
    "sin.default cos.default "
    "neg.default abs.default erf.default relu.default relu6.default gelu.default elu.default selu.default celu.default "
    "mish.default log_sigmoid_forward.default softplus.default leaky_relu.default hardtanh.default "
    "threshold.default reciprocal.default floor.default ceil.default trunc.default sign.default "
    "sgn.default square.default tan.default atan.default expm1.default exp2.default isnan.default isinf.default"
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
        torch.atan(x * 3),
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
        F.logsigmoid(x * 100),
        F.softplus(x, 2.0, 3.0),
        F.leaky_relu(x, 0.2),
        F.hardtanh(x, -0.5, 0.7),
        F.softshrink(x, 0.3),
        F.hardshrink(x, 0.3),
        F.threshold(x, 0.1, -2.0),
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


def conv(n: int, **options: Any) -> nn.Module:
    kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[n - 1]
    return seeded(lambda: kind(4, 6, 3, **options))


def core(function: Callable[..., Any]) -> Callable[..., Any]:
    """Only says that a case calls ATen itself, as programs do that were decomposed before."""
    return function


CASES: list[Case] = [
    # -- math: one element
    case(UNARY, unary, floats(3, 5)),
    case(
        "log.default sqrt.default rsqrt.default log1p.default log2.default log10.default special_erf.default",
        lambda x: (x.log(), x.sqrt(), x.rsqrt(), x.log1p(), x.log2(), x.log10(), torch.special.erf(x)),
        positive(3, 5),
    ),
    case("asin.default acos.default", lambda x: (x.asin(), x.acos()), torch.linspace(-1, 1, 21)),
    case(
        "sinh.default cosh.default",
        lambda x, i: (x.sinh(), x.cosh(), (x / 50).sinh(), (x / 1e6).sinh() * 1e6, i.sinh(), x[:5].half().sinh()),
        torch.tensor([0.0, 1.0, -1.5, 7.0, -9.0, 60.0, -89.2, 95.0, -torch.inf, torch.nan]),
        whole(-5, 5, 4),
    ),
    case(
        "atan2.default",
        lambda x, i: (torch.atan2(x[:, None], x), torch.atan2(x[2:4, None].bfloat16(), x), torch.atan2(i, x[2])),
        torch.tensor([0.0, -0.0, 1.0, -1.5, 1e-30, -3e38, torch.inf, -torch.inf, torch.nan]),
        whole(-5, 5, 4),
    ),
    case(
        "exp.default floor.default ceil.default relu.default abs.default neg.default",
        lambda x: (x.exp(), x.floor(), x.ceil(), x.relu(), x.abs(), -x),
        whole(-5, 5, 4),
    ),
    case(
        "softmax.int log_softmax.int logsumexp.default cumsum.default argmax.default max.dim min.dim prelu.default",
        lambda x, w: (
            x.softmax(0),
            x.log_softmax(0),
            x.logsumexp(0),
            x.cumsum(0),
            x.argmax(0),
            x.max(0),
            x.min(0, keepdim=True),
            F.prelu(x, w),
        ),
        torch.tensor(-1.5),
        torch.tensor([0.25]),
    ),
    case("prelu.default", seeded(lambda: nn.PReLU(3, 0.2)), floats(2, 3, 4)),
    case(
        "prelu.default _prelu_kernel.default",
        lambda x, w: (F.prelu(x, w[:1]), aten._prelu_kernel.default(x, w.reshape(3, 1))),
        floats(2, 3, 4),
        floats(3),
    ),
    case(
        "round.default",
        lambda x, i: (torch.round(x), torch.round(i)),
        torch.tensor([0.5, 1.5, -0.5, 2.51]),
        whole(-3, 3, 4),
    ),
    # -- math: arithmetic and promotion
    case(
        "add.Tensor sub.Tensor mul.Tensor div.Tensor rsub.Scalar",
        lambda x, y: (
            x + y,
            x - y,
            x * y,
            x / y,
            2 - x,
            x + 1,
            torch.add(x, y, alpha=2),
            torch.sub(x, y, alpha=0.5),
            torch.rsub(x, 3, alpha=2),
        ),
        floats(2, 3),
        floats(3),
    ),
    case(
        "add.Tensor mul.Tensor div.Tensor sub.Tensor",
        lambda x, i, h, d, s: (x + i, i + 1.5, i / 2, i * i, h + 1, h * h, d + x, x + s, i + s, i * 3, h - i),
        floats(3),
        whole(1, 9, 3),
        whole(-100, 100, 3).to(torch.int8),
        floats(3).double(),
        torch.tensor(2.5),
    ),
    case("add.Tensor mul.Tensor", lambda a, b, x: (a + b, a * b, a * x, a + 1), bools(6), bools(6), floats(6)),
    case(
        "add.Scalar sub.Scalar mul.Scalar div.Scalar rsub.Tensor true_divide.Tensor",
        core(
            lambda x, y: (
                aten.add.Scalar(x, 2, 3),
                aten.sub.Scalar(x, 1, 2),
                aten.mul.Scalar(x, 3),
                aten.div.Scalar(x, 4),
                aten.rsub.Tensor(x, y),
                aten.true_divide.Tensor(x, y),
            )
        ),
        floats(2, 3),
        positive(3),
    ),
    case(
        "div.Tensor_mode div.Scalar_mode floor_divide.default remainder.Tensor remainder.Scalar "
        "fmod.Tensor fmod.Scalar",
        lambda x, y: (
            torch.div(x, y, rounding_mode="floor"),
            torch.div(x, y, rounding_mode="trunc"),
            torch.div(x, y, rounding_mode=None),
            aten.div.Scalar_mode(x, 3, rounding_mode="floor"),
            x // y,
            x % y,
            aten.remainder.Scalar(x, 3),
            torch.fmod(x, y),
            torch.fmod(x, 3),
        ),
        whole(-20, 20, 12),
        torch.tensor([1, -2, 3, -4, 5, 7, -1, 2, -3, 4, -5, 6]),
    ),
    case(
        "floor_divide.Scalar remainder.Scalar fmod.Scalar",
        lambda x: (aten.floor_divide.Scalar(x, 2), torch.remainder(x, -1.5), torch.fmod(x, -1.5)),
        floats(8),
    ),
    case(
        "pow.Tensor_Scalar pow.Scalar",
        lambda x, i: (x**2, x**3, x**0.5, x**-0.5, x**-1.0, 2.0**x, i**2),
        positive(5),
        whole(-4, 4, 5),
    ),
    case(
        "maximum.default minimum.default max.other min.other fmax.default fmin.default",
        lambda x, y, b: (
            torch.maximum(x, y),
            torch.minimum(x, y),
            torch.max(x, y),
            torch.min(x, y),
            torch.fmax(x, y),
            torch.fmin(x, y),
            torch.maximum(b, ~b),
            torch.minimum(b, b),
        ),
        floats(3, 1),
        floats(4),
        bools(3),
    ),
    case(
        "clamp.default clamp_min.default clamp_max.default clamp.Tensor clamp_min.Tensor clamp_max.Tensor",
        lambda x, y, i: (
            x.clamp(-1, 1),
            x.clamp(min=0.2),
            x.clamp(max=0.3),
            x.clamp(y - 1, y),
            x.clamp(max=y),
            x.clamp_min(0.1),
            x.clamp_max(0.1),
            torch.clamp_min(x, y),
            torch.clamp_max(x, y),
            i.clamp(1, 3),
        ),
        floats(4),
        floats(4),
        whole(0, 9, 4),
    ),
    case(
        "addcmul.default addcdiv.default lerp.Scalar lerp.Tensor",
        lambda x, y, z: (
            torch.addcmul(x, y, z, value=0.5),
            torch.addcdiv(x, y, z),
            torch.lerp(x, y, 0.3),
            torch.lerp(x, y, z),
        ),
        floats(4),
        floats(4),
        positive(4),
    ),
    # -- math: comparisons, logic, selection
    case(
        " ".join(f"{how}.{kind}" for how in ("eq", "ne", "lt", "le", "gt", "ge") for kind in ("Tensor", "Scalar")),
        lambda x, y: (x == y, x != y, x < y, x <= y, x > y, x >= y, x == 2, x != 2, x < 2, x <= 2, x > 2.5, x >= 2),
        whole(0, 4, 8),
        whole(0, 4, 8),
    ),
    case(
        "lt.Tensor eq.Tensor gt.Scalar",
        lambda x, y, b: (x < y, x == y, b < ~b, b == b, b > 0),
        floats(4),
        whole(-1, 2, 4),
        bools(4),
    ),
    case(
        "logical_and.default logical_or.default logical_xor.default logical_not.default "
        "bitwise_and.Tensor bitwise_or.Tensor "
        "bitwise_xor.Tensor bitwise_not.default bitwise_and.Scalar bitwise_or.Scalar bitwise_xor.Scalar",
        lambda a, b, x: (
            torch.logical_and(a, x),
            torch.logical_or(x, b),
            torch.logical_xor(a, b),
            torch.logical_not(x),
            aten.bitwise_not.default(x.long()),
            aten.bitwise_not.default(x.byte()),
            aten.bitwise_and.Tensor(a, b),
            aten.bitwise_or.Tensor(a, b),
            aten.bitwise_xor.Tensor(a, b),
            ~a,
            aten.bitwise_and.Scalar(a, True),
            aten.bitwise_or.Scalar(a, False),
            aten.bitwise_xor.Scalar(a, True),
        ),
        bools(6),
        bools(6),
        whole(0, 2, 6),
    ),
    case(
        " ".join(
            f"bitwise_{op}.{kind}" for op in ("and", "or", "xor") for kind in ("Tensor", "Scalar", "Scalar_Tensor")
        ),
        lambda x, y, b: [
            out
            for op in (aten.bitwise_and, aten.bitwise_or, aten.bitwise_xor)
            for out in (
                op.Tensor(x, y[:, None]),
                op.Tensor(x.byte(), y.char()),
                op.Tensor(b, x),
                op.Scalar(x.char(), 240),
                op.Scalar(b, 3),
                op.Scalar_Tensor(11, x.int()),
            )
        ],
        whole(-128, 128, 6),
        whole(-128, 128, 6),
        bools(6),
    ),
    case(
        "__and__.Tensor __or__.Tensor __xor__.Tensor __and__.Scalar __or__.Scalar __xor__.Scalar",
        lambda x, b: (x & b, x | x.char(), x.byte() ^ x, b & True, x | 12, x.char() ^ -1),
        whole(-128, 128, 6),
        bools(6),
    ),
    case(
        "bitwise_left_shift.Tensor bitwise_left_shift.Tensor_Scalar bitwise_left_shift.Scalar_Tensor "
        "bitwise_right_shift.Tensor bitwise_right_shift.Tensor_Scalar bitwise_right_shift.Scalar_Tensor",
        lambda x, by: [
            out
            for v in (x, x.int(), x.char(), x.byte())
            for op in (aten.bitwise_left_shift, aten.bitwise_right_shift)
            for out in (op.Tensor(v[:, None], by.to(v.dtype)), op.Tensor_Scalar(v, 3), op.Scalar_Tensor(-77, v))
        ],
        whole(-128, 128, 6),
        torch.tensor([0, 1, 7, 8, 31, 32, 63, 64, 100, -1, -9]),
    ),
    case(
        "__lshift__.Tensor __lshift__.Scalar __rshift__.Tensor __rshift__.Scalar",
        lambda x: (x << x, x.char() << x, x.char() << 260, x >> x, x.byte() >> x, x.short() >> 9),
        whole(-9, 12, 16),
    ),
    case(
        "__and__.Tensor __and__.Scalar __or__.Tensor __or__.Scalar __xor__.Tensor __xor__.Scalar",
        core(
            lambda a, b: (
                aten.__and__.Tensor(a, b),
                aten.__and__.Scalar(a, True),
                aten.__or__.Tensor(a, b),
                aten.__or__.Scalar(a, False),
                aten.__xor__.Tensor(a, b),
                aten.__xor__.Scalar(a, True),
            )
        ),
        bools(6),
        bools(6),
    ),
    case(
        "where.self where.ScalarSelf where.ScalarOther where.Scalar masked_fill.Scalar masked_fill.Tensor",
        lambda m, x, i: (
            torch.where(m, x, i),
            aten.where.ScalarSelf(m, 1.5, x),
            aten.where.ScalarOther(m, x, 0),
            aten.where.Scalar(m, 1.0, 2.0),
            x.masked_fill(m, -torch.inf),
            x.masked_fill(m, torch.tensor(3.0)),
            i.masked_fill(m, 7),
        ),
        bools(4),
        floats(3, 4),
        whole(0, 9, 4),
    ),
    # -- math: reductions
    case(
        "sum.dim_IntList sum.default mean.dim mean.default amax.default amin.default max.default "
        "min.default max.dim min.dim",
        lambda x, i, b: (
            x.sum(1),
            x.sum((0, 2), keepdim=True),
            x.sum(),
            i.sum(0),
            b.sum(-1),
            x.mean(-1),
            x.mean(),
            x.mean((1, 2), keepdim=True),
            x.amax(1),
            x.amin((0, 1)),
            x.max(),
            x.min(),
            x.max(1, keepdim=True),
            x.min(-1),
            x.max(0).values,
        ),
        floats(2, 3, 4),
        whole(-5, 5, 3, 2),
        bools(2, 5),
    ),
    case(
        "argmax.default argmin.default any.dim any.dims any.default all.dim all.dims all.default",
        lambda x, b: (
            x.argmax(1),
            x.argmax(),
            x.argmin(-1, keepdim=True),
            b.any(0),
            aten.any.dims(b, [0, 1]),
            b.any(),
            b.all(1),
            aten.all.dims(b, [0, 1], True),
            b.all(),
            x.any(),
        ),
        floats(3, 4),
        bools(3, 4),
    ),
    case(
        "var.correction std.correction var_mean.correction",
        lambda x: (x.var(1), x.std(dim=(0, 1), unbiased=False, keepdim=True), x.var(), torch.var_mean(x, 1)),
        floats(3, 4, 2),
    ),
    case(
        "cumsum.default",
        lambda x, i, b: (x.cumsum(1), i.cumsum(0), b.cumsum(-1), b.cumsum(0, dtype=torch.float32)),
        floats(3, 4),
        whole(0, 5, 6),
        bools(2, 6),
    ),
    case(
        "prod.default prod.dim_int cumprod.default",
        lambda x, i, b: (
            *(x.prod(), x.prod(1), x.prod(-1, keepdim=True), i.prod(), i.prod(1), b.prod(1), x[:, :0].prod(1)),
            *(x.sum().prod(), x.sum().prod(0), x.prod(0, dtype=torch.float16)),
            *(x.cumprod(1), i.cumprod(-1), b.cumprod(0), x.sum().cumprod(0), x[:, :1].cumprod(1)),
        ),
        floats(3, 13),
        whole(-3, 4, 2, 7),
        bools(2, 6),
    ),
    case(
        "_cdist_forward.default",
        lambda x, y: (
            *(torch.cdist(x, y, p) for p in (0.0, 1.0, 2.0, 3.0, 1.5, torch.inf)),
            torch.cdist(x[:, :1], y),
            torch.cdist(x[0], y),
        ),
        floats(2, 4, 5),
        floats(2, 3, 5),
    ),
    # -- linear
    case("linear.default", seeded(lambda: nn.Linear(5, 3)), floats(2, 4, 5)),
    case("linear.default", seeded(lambda: nn.Linear(5, 3, bias=False)), floats(5)),
    case("linear.default", lambda x, w: nn.functional.linear(x, w), floats(2, 5), floats(5)),
    case("linear.default", lambda x, w, b: nn.functional.linear(x, w, b), floats(2, 3, 5), floats(5), floats()),
    case("_is_all_true.default _is_any_true.default", lambda x: (aten._is_all_true(x), aten._is_any_true(x)), bools(5)),
    case(
        "matmul.default",
        lambda x, y, v, w: (x @ y, torch.matmul(x, v), w @ y, v @ v, x[0] @ y[0], (9 * x).long() @ (9 * y).long()),
        floats(2, 3, 4),
        floats(2, 4, 5),
        floats(4),
        floats(4),
    ),
    case(
        "mm.default bmm.default mv.default dot.default addmm.default baddbmm.default addmv.default outer.default",
        core(
            lambda x, y, v, b: (
                aten.mm.default(x[0], y[0]),
                aten.bmm.default(x, y),
                aten.mv.default(x[0], v),
                aten.dot.default(v, v),
                aten.addmm.default(b, x[0], y[0]),
                aten.addmm.default(b, x[0], y[0], beta=0.5, alpha=2),
                aten.baddbmm.default(b, x, y, beta=0),
                aten.addmv.default(b[0], x[0], v),
                aten.outer.default(v, b[0]),
            )
        ),
        floats(2, 3, 4),
        floats(2, 4, 3),
        floats(4),
        floats(1, 3),
    ),
    case(
        "einsum.default",
        lambda x, y, z: (
            torch.einsum("bij,bjk->bik", x, y),
            torch.einsum("bij,bjk", x, y),
            torch.einsum("bij->bji", x),
            torch.einsum("bij->i", x),
            torch.einsum("bij,kj->kbi", x, z),
            torch.einsum("bij,bij->b", x, x),
            torch.einsum("bij,kl->ib", x, z),
            torch.einsum("bij , bjk -> ikb", x, y),
        ),
        floats(2, 3, 4),
        floats(2, 4, 5),
        floats(6, 4),
    ),
    case("conv1d.default", conv(1, stride=2, padding=1, bias=False), floats(2, 4, 9)),
    case("conv2d.default", conv(2, stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2), floats(2, 4, 9, 10)),
    case("conv2d.default", seeded(lambda: nn.Conv2d(4, 8, 3, groups=4)), floats(1, 4, 5, 5)),
    case("conv2d.default", conv(2), floats(4, 6, 6)),
    case(
        "linear.default conv2d.default outer.default square.default trunc.default scatter_add.default",
        lambda x, w, b, t, at: (
            F.linear(x, w, b),
            F.conv2d(x[None, None], w[:2, None, None, :3], b[:2]),
            t.outer(t),
            t.square(),
            x.trunc(),
            t.scatter_add(0, at, ~t),
        ),
        whole(-9, 9, 3, 5),
        whole(-9, 9, 4, 5),
        whole(-9, 9, 4),
        bools(4),
        whole(0, 4, 4),
    ),
    case("conv3d.default", conv(3, padding=1), floats(1, 4, 4, 5, 3)),
    case("conv1d.padding", conv(1, padding="same", dilation=2), floats(2, 4, 7)),
    case("conv2d.padding", seeded(lambda: nn.Conv2d(4, 6, (4, 3), padding="same")), floats(2, 4, 6, 7)),
    case("conv3d.padding", conv(3, padding="valid"), floats(1, 4, 4, 5, 3)),
    case(
        "convolution.default",
        core(lambda x, w, b: aten.convolution.default(x, w, b, [2, 2], [1, 1], [1, 1], False, [0, 0], 1)),
        floats(2, 4, 6, 6),
        floats(5, 4, 3, 3),
        floats(5),
    ),
    case(
        "conv_transpose2d.input",
        seeded(lambda: nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2)),
        floats(2, 4, 5, 6),
    ),
    case(
        "conv_transpose1d.default",
        seeded(lambda: nn.ConvTranspose1d(4, 3, 4, stride=3, dilation=2, bias=False)),
        floats(4, 7),
    ),
    case("conv_transpose3d.input", seeded(lambda: nn.ConvTranspose3d(2, 3, 2, stride=2)), floats(1, 2, 3, 2, 4)),
    case(
        "convolution.default",
        ModuleOf(
            seeded(lambda: nn.ConvTranspose2d(4, 6, 3)),
            lambda m, x: aten.convolution.default(x, m.weight, m.bias, [1, 1], [0, 0], [1, 1], True, [0, 0], 1),
        ),
        floats(2, 4, 5, 6),
    ),
    # -- attention
    case(
        "scaled_dot_product_attention.default",
        lambda q, k, v, keep: (
            F.scaled_dot_product_attention(q, k, v),
            F.scaled_dot_product_attention(q, k, v, scale=0.3),
            F.scaled_dot_product_attention(q, k, v, attn_mask=keep),
            F.scaled_dot_product_attention(q, k, v, attn_mask=torch.where(keep, 0.0, -1.5)),
            F.scaled_dot_product_attention(q, k, v, is_causal=True),
        ),
        floats(2, 3, 4, 8),
        floats(2, 3, 6, 8),
        floats(2, 3, 6, 5),
        bools(2, 1, 4, 6),
    ),
    case(
        "scaled_dot_product_attention.default",
        lambda q, k: F.scaled_dot_product_attention(q, k, k, enable_gqa=True),
        floats(2, 6, 4, 8),
        floats(2, 2, 5, 8),
    ),
    case(
        "_scaled_dot_product_flash_attention_for_cpu.default",
        core(
            lambda q, k, m: (
                aten._scaled_dot_product_flash_attention_for_cpu.default(q, k, k, attn_mask=m)[0],
                aten._scaled_dot_product_flash_attention_for_cpu.default(q, k, k, 0.0, True, scale=0.5)[0],
            )
        ),
        floats(2, 3, 4, 8),
        floats(2, 3, 4, 8),
        floats(4, 4),
    ),
    # -- norm
    case(
        "softmax.int log_softmax.int logsumexp.default",
        lambda x, i: (
            x.softmax(-1),
            F.softmax(x, 1),
            F.softmax(i, 0, dtype=torch.float32),
            x.log_softmax(1),
            x.logsumexp(1),
            x.logsumexp((0, 2), keepdim=True),
        ),
        floats(2, 3, 4),
        whole(0, 5, 4),
    ),
    case(
        "_softmax.default _log_softmax.default _safe_softmax.default",
        core(
            lambda x: (
                aten._softmax.default(x, -1, False),
                aten._log_softmax.default(x, 1, False),
                aten._safe_softmax.default(x, -1),
                aten._safe_softmax.default(x.masked_fill(x > -9, -torch.inf), -1),
            )
        ),
        floats(2, 3, 4),
    ),
    case("layer_norm.default", seeded(lambda: nn.LayerNorm((3, 4), eps=1e-3)), floats(2, 3, 4)),
    case("layer_norm.default", lambda x: F.layer_norm(x, (4,)), floats(2, 3, 4)),
    case(
        "native_layer_norm.default",
        core(
            lambda x, g: (
                aten.native_layer_norm.default(x, [4], g, None, 1e-5)[0],
                *aten.native_layer_norm.default(x, [3, 4], None, None, 1e-3)[1:],
            )
        ),
        floats(2, 3, 4),
        floats(4),
    ),
    case(
        "rms_norm.default",
        lambda x, g: (F.rms_norm(x, (4,), g, 1e-3), F.rms_norm(x, (4,)), F.rms_norm(x, (3, 4), x[0])),
        floats(2, 3, 4),
        floats(4),
    ),
    case("group_norm.default", seeded(lambda: nn.GroupNorm(2, 6)), floats(2, 6, 3, 5)),
    case(
        "native_group_norm.default",
        core(lambda x, g: aten.native_group_norm.default(x, g, None, 2, 6, 5, 3, 1e-5)),
        floats(2, 6, 5),
        floats(6),
    ),
    case("instance_norm.default", seeded(lambda: nn.InstanceNorm2d(4, affine=True)), floats(2, 4, 5, 6)),
    case("instance_norm.default", seeded(lambda: nn.InstanceNorm1d(4, track_running_stats=True)), floats(2, 4, 5)),
    case("_native_batch_norm_legit_no_training.default", seeded(lambda: nn.BatchNorm2d(4)), floats(2, 4, 5, 6)),
    case("_native_batch_norm_legit_no_training.default", seeded(lambda: nn.BatchNorm1d(4, affine=False)), floats(3, 4)),
    case(
        "linalg_vector_norm.default",
        lambda x: (
            F.normalize(x, dim=1),
            torch.linalg.vector_norm(x, 1, dim=0),
            torch.linalg.vector_norm(x, torch.inf),
            torch.linalg.vector_norm(x, 3),
            x.norm(dim=-1, keepdim=True),
        ),
        floats(3, 4),
    ),
    # -- pool
    case("max_pool2d.default", nn.MaxPool2d(3, 2, 1), floats(2, 3, 8, 9)),
    case(
        "max_pool2d.default max_pool1d.default",
        lambda x: (F.max_pool2d(x, 2, ceil_mode=True), F.max_pool2d(x, (3, 2), dilation=(1, 2)), F.max_pool1d(x[0], 3)),
        floats(2, 3, 7, 9),
    ),
    case("max_pool3d.default", nn.MaxPool3d(2), floats(1, 2, 4, 5, 6)),
    case(
        "max_pool2d_with_indices.default",
        lambda x, y: (
            F.max_pool2d(x, 2, return_indices=True)[0],
            *F.max_pool2d(x[0], (3, 2), (2, 3), 1, (1, 2), True, return_indices=True),
            *F.max_pool2d(y, 3, 2, 1, return_indices=True),
        ),
        floats(2, 3, 6, 7),
        floats(1, 2, 5, 5).round(),
    ),
    case("max_pool1d_with_indices.default", lambda x: F.max_pool1d(x, 3, 1, 1, return_indices=True), floats(2, 3, 6)),
    case("max_pool3d_with_indices.default", lambda x: F.max_pool3d(x, 2, return_indices=True), floats(1, 2, 4, 4, 4)),
    case(
        "avg_pool1d.default avg_pool2d.default avg_pool3d.default",
        lambda x, y: (
            F.avg_pool1d(x[0], 3, 2, 1),
            F.avg_pool2d(x, 3, 2, 1),
            F.avg_pool2d(x, 2, 2, 1, count_include_pad=False),
            F.avg_pool2d(x, 2, 2, ceil_mode=True),
            F.avg_pool3d(y, 2),
            F.avg_pool2d(x, 2, padding=1, count_include_pad=False, divisor_override=3),
            F.avg_pool2d(x, 3, (2, 3), padding=1, ceil_mode=True, divisor_override=2),
            F.avg_pool2d((9 * x).long(), 3, 2, 1),
            F.avg_pool2d((9 * x).long(), 3, 2, 1, ceil_mode=True, divisor_override=7),
        ),
        floats(2, 3, 7, 9),
        floats(1, 2, 4, 4, 6),
    ),
    case(
        "adaptive_avg_pool1d.default adaptive_avg_pool2d.default adaptive_avg_pool3d.default",
        lambda x, y, z: (
            F.adaptive_avg_pool1d(x, 1),
            F.adaptive_avg_pool1d(x, 3),
            F.adaptive_avg_pool2d(y, 1),
            F.adaptive_avg_pool2d(y, (4, 3)),
            F.adaptive_avg_pool2d(y, (3, 5)),
            F.adaptive_avg_pool2d(y, (None, 2)),
            F.adaptive_avg_pool3d(z, 2),
        ),
        floats(2, 3, 6),
        floats(2, 3, 8, 9),
        floats(1, 2, 4, 6, 2),
    ),
    case(
        "_adaptive_avg_pool2d.default _adaptive_avg_pool3d.default",
        core(
            lambda x, y: (aten._adaptive_avg_pool2d.default(x, [2, 2]), aten._adaptive_avg_pool3d.default(y, [1, 1, 1]))
        ),
        floats(2, 3, 4, 4),
        floats(1, 2, 4, 4, 4),
    ),
    case(
        "adaptive_max_pool1d.default adaptive_max_pool2d.default adaptive_max_pool3d.default",
        lambda x, y, z: (
            F.adaptive_max_pool1d(x, 3),
            F.adaptive_max_pool2d(y, 1),
            F.adaptive_max_pool2d(y, (4, 3)),
            F.adaptive_max_pool3d(z, 1),
            *F.adaptive_max_pool2d(y, (3, 5), return_indices=True),
        ),
        floats(2, 3, 6),
        floats(2, 3, 8, 9),
        floats(1, 2, 4, 4, 4),
    ),
    # -- structure
    case(
        "clone.default _to_copy.default",
        lambda x, b: (
            x.clone() + 1,
            x.contiguous() + 1,
            x.to(torch.int32),
            x.double(),
            b.float(),
            x.bool(),
            x.half(),
            x.bfloat16(),
            x.type_as(b),
            x.to("cpu") + 1,
            F.dropout(x, training=False) + 1,
        ),
        floats(3),
        bools(3),
    ),
    case(
        "alias.default detach.default copy.default",
        core(
            lambda x, y: (
                aten.alias.default(x) + 1,
                aten.detach.default(x) + 1,
                aten.lift_fresh_copy.default(x),
                aten.copy.default(x, y),
            )
        ),
        floats(2, 3),
        whole(0, 5, 3),
    ),
    case(
        "full.default full_like.default new_full.default zeros.default zeros_like.default "
        "new_zeros.default ones.default "
        "ones_like.default new_ones.default scalar_tensor.default eye.default eye.m",
        lambda x: (
            torch.full((2, 3), 1.5),
            torch.full_like(x, -torch.inf),
            x.new_full((4,), 7),
            torch.zeros(3, dtype=torch.int64),
            torch.zeros_like(x),
            x.new_zeros(2, 2),
            torch.ones(2),
            torch.ones_like(x, dtype=torch.bool),
            x.new_ones(3),
            torch.scalar_tensor(2),
            torch.eye(3),
            torch.eye(2, 4, dtype=torch.int64),
            x,
        ),
        floats(2, 2),
    ),
    case(
        "empty.memory_format empty_like.default fill.Scalar fill.Tensor",
        lambda x: (
            torch.empty(2, 3).fill_(2) + 1,
            torch.empty_like(x).fill_(3.0),
            aten.fill.Tensor(x, torch.tensor(2)),
            aten.fill.Scalar(x, 4),
        ),
        floats(2),
    ),
    case(
        "arange.default arange.start arange.start_step linspace.default",
        lambda x: (
            torch.arange(5),
            aten.arange.default(4),
            torch.arange(2, 6),
            torch.arange(1, 9, 3),
            torch.arange(0, 1, 0.25),
            torch.arange(4, dtype=torch.float32),
            torch.arange(9, 1, -2),
            torch.linspace(0, 1, 5),
            x,
        ),
        floats(1),
    ),
    case(
        "tril.default triu.default",
        lambda x, b: (x.tril(), x.triu(1), b.tril(-1), torch.ones(4, 4).triu(2)),
        floats(2, 3, 4),
        bools(3, 3),
    ),
    case("one_hot.default", lambda x: F.one_hot(x, 5), whole(0, 5, 2, 3)),
    # -- tensor: shapes
    case(
        "view.default squeeze.dim squeeze.dims squeeze.default unsqueeze.default expand.default "
        "permute.default transpose.int t.default",
        lambda x, y: (
            x.view(6, 4) + 1,
            x.reshape(-1) + 1,
            x.flatten(1) + 1,
            x.unflatten(2, (2, 2)) + 1,
            y.squeeze(0) + 1,
            y.squeeze((0, 2)) + 1,
            y.squeeze() + 1,
            y.unsqueeze(-1) + 1,
            y.expand(2, 3, 4) + 1,
            y.expand(5, -1, -1, 4) + 1,
            y.broadcast_to(2, 3, 1) + 1,
            x.permute(2, 0, 1) + 1,
            x.transpose(0, -1) + 1,
            x[0].t() + 1,
            x.mT + 1,
            x.movedim(0, 2) + 1,
            x.swapaxes(0, 1) + 1,
        ),
        floats(2, 3, 4),
        floats(1, 3, 1),
    ),
    case("_unsafe_view.default", core(lambda x: aten._unsafe_view.default(x, [6])), floats(2, 3)),
    case(
        "repeat.default tile.default repeat_interleave.self_int",
        lambda x: (
            x.repeat(2, 3),
            x.repeat(2, 1, 2),
            torch.tile(x, (2,)),
            x.repeat_interleave(2, dim=0),
            x.repeat_interleave(3, dim=1),
            x.repeat_interleave(2),
        ),
        floats(2, 3),
    ),
    case(
        "pixel_shuffle.default pixel_unshuffle.default channel_shuffle.default native_channel_shuffle.default",
        lambda x: (
            F.pixel_shuffle(x, 2),
            F.pixel_unshuffle(x, 3),
            F.channel_shuffle(x, 4),
            aten.channel_shuffle.default(x, 2),
            aten.native_channel_shuffle.default(x, 2),
        ),
        floats(2, 8, 3, 6),
    ),
    # -- tensor: slices
    case(
        "slice.Tensor select.int",
        lambda x: (x[1:], x[:, -2:], x[..., ::2], x[:, 1:-1], x[5:9], x[0], x[:, -1], x[..., 2], x[1, :, 3]),
        floats(3, 4, 5),
    ),
    case(
        "split.Tensor split_with_sizes.default unbind.int",
        lambda x: (*x.split(2), *x.split([1, 3], dim=1), *x.chunk(3, dim=2), *x.unbind(1), *x.tensor_split(2, dim=2)),
        floats(3, 4, 5),
    ),
    case(
        "split_with_sizes_copy.default", core(lambda x: aten.split_with_sizes_copy.default(x, [1, 2], 0)), floats(3, 4)
    ),
    case(
        "diagonal.default",
        lambda x: (
            *(x.diagonal(), x.diagonal(1, 0, 2), x.diagonal(-2, 2, 1), x.diagonal(4, 1, 2), x.diagonal(-1, -1, 0)),
            *(x[0].trace(), x[0].diag(1)),
        ),
        floats(3, 4, 5),
    ),
    case(
        "flip.default roll.default",
        lambda x: (x.flip(0), x.flip(1, 2), x.roll(1, 0), x.roll((1, -2), (1, 2)), x.roll(3, 0)),
        floats(3, 4, 5),
    ),
    # -- tensor: joins
    case(
        "cat.default stack.default",
        lambda x, y, i: (
            torch.cat((x, y), 1),
            torch.cat((x, i[:, None]), -1),
            torch.stack((x, x), 0),
            torch.stack((i, i), -1),
            torch.cat((torch.zeros(0), x)),
            torch.cat((x,)),
        ),
        floats(2, 3),
        floats(2, 4),
        whole(0, 5, 2),
    ),
    case(
        "concat.default concatenate.default hstack.default vstack.default",
        core(
            lambda x, v: (
                aten.concat.default([x, x]),
                aten.concatenate.default([x, x], 1),
                torch.hstack((x, x)),
                torch.hstack((v, v)),
                torch.vstack((v, v)),
            )
        ),
        floats(2, 3),
        floats(4),
    ),
    case(
        "meshgrid.indexing meshgrid.default",
        lambda x, y: (
            *torch.meshgrid(x, y, indexing="ij"),
            *torch.meshgrid(x, y, indexing="xy"),
            *aten.meshgrid.default([x, y]),
        ),
        floats(2),
        floats(3),
    ),
    case(
        "slice_scatter.default select_scatter.default",
        lambda x, y: (
            torch.slice_scatter(x, y[:2], 0, 1, 3),
            torch.select_scatter(x, y[0], 0, -1),
            torch.slice_scatter(x, y[:1], 0, -1),
            torch.slice_scatter(x, y[:2], 0, 0, 4, 2),
        ),
        floats(4, 3),
        floats(4, 3),
    ),
    case("unfold.default", lambda x: (x.unfold(0, 2, 1), x.unfold(1, 3, 2)), floats(4, 7)),
    # -- tensor: padding
    case(
        "constant_pad_nd.default pad.default",
        lambda x, i: (
            F.pad(x, (1, 2)),
            F.pad(x, (1, 0, 2, 1), value=3.5),
            F.pad(x, (-1, 2)),
            F.pad(i, (1, 1), value=9),
            F.pad(x, (1, 2), mode="replicate"),
            F.pad(x, (2, 1), mode="circular"),
            aten.constant_pad_nd.default(x, [0, 1]),
        ),
        floats(2, 3, 4),
        whole(0, 5, 3),
    ),
    case(
        " ".join(f"{kind}_pad{n}d.default" for kind in ("reflection", "replication") for n in (1, 2, 3)),
        core(
            lambda x: (
                aten.reflection_pad1d.default(x[0, 0], [2, 1]),
                aten.reflection_pad2d.default(x[0], [1, 2, 0, 1]),
                aten.reflection_pad3d.default(x, [1, 1, 1, 1, 1, 1]),
                aten.replication_pad1d.default(x[0, 0], [2, 1]),
                aten.replication_pad2d.default(x[0], [1, 2, 0, 1]),
                aten.replication_pad3d.default(x, [1, 1, 1, 1, 1, 1]),
            )
        ),
        floats(1, 2, 3, 4, 5),
    ),
    # -- tensor: lookups
    case("embedding.default", seeded(lambda: nn.Embedding(9, 4, padding_idx=0)), whole(0, 9, 2, 3)),
    case(
        "pow.Tensor_Tensor",
        lambda x, y: (x**y, x.abs() ** (y + 0.5), x ** torch.tensor([2.0, 3.0, -2.0, 0.0])),
        floats(3, 4),
        whole(-3, 4, 3, 4),
    ),
    case(
        "topk.default sort.default sort.stable argsort.default",
        lambda x, w: (
            torch.topk(x, 3),
            torch.topk(x, 2, dim=1, largest=False),
            torch.sort(x, dim=1, descending=True),
            torch.sort(w, stable=True, dim=0),
            torch.argsort(x, -1),
            torch.sort(x[0, 0, 0]),
        ),
        floats(2, 3, 7),
        whole(0, 3, 9),
    ),
    case(
        "kthvalue.default median.default median.dim",
        lambda x, y, i: (
            *(x.kthvalue(3, 1), x.kthvalue(1, -1, keepdim=True), x[0, 0, 0].kthvalue(1), i.kthvalue(2, 0).values),
            *(
                x.median(),
                x.median(1),
                y.median(1, keepdim=True),
                y.median(),
                i.median(0).values,
                y.kthvalue(4, 1).values,
            ),
            *(x[0, 0, 0].median(0),),
        ),
        floats(2, 6, 7),
        torch.tensor([[1.0, torch.nan, 0.5, 2.0, torch.nan], [4.0, -torch.inf, 0.0, torch.inf, 1.0]]),
        whole(0, 3, 9),
    ),
    case(
        "bucketize.Tensor searchsorted.Tensor",
        lambda x, b, s: (
            *(torch.bucketize(x, b), torch.bucketize(x, b, out_int32=True, right=True), torch.bucketize(x[0].int(), b)),
            torch.searchsorted(-s, x, sorter=torch.argsort(-s, -1)),
            *(torch.searchsorted(s, x), torch.searchsorted(s, x, side="right"), torch.searchsorted(b, x, side="left")),
        ),
        torch.tensor([[-3.0, -1.0, 0.5], [2.0, torch.nan, torch.inf]]),
        torch.tensor([-1.0, 0.0, 0.5, 0.5, 2.0]),
        floats(2, 6).sort(-1).values,
    ),
    case(
        "scatter.src scatter.value scatter_add.default",
        lambda x, i, y: (
            x.scatter(2, i, y),
            x.scatter(-1, i, 1.5),
            x.scatter_add(2, i, y),
            x.scatter_add(1, i[:1, :, :2] % 3, y),
            x.mT.scatter(1, i.mT, y.mT),
            x.scatter(0, i[:, :2, :2] % 2, y),
        ),
        floats(2, 3, 7),
        torch.stack([torch.randperm(7, generator=G)[:4] for _ in range(6)]).reshape(2, 3, 4),
        floats(2, 3, 4),
    ),
    case(
        "grid_sampler.default",
        lambda x, g: (
            F.grid_sample(x, g, align_corners=False),
            F.grid_sample(x, g, align_corners=True),
            F.grid_sample(x, g, padding_mode="border", align_corners=False),
            F.grid_sample(x, g, mode="nearest", align_corners=True),
            F.grid_sample(x, 2 * g, mode="nearest", padding_mode="reflection", align_corners=False),
            F.grid_sample(x, 2 * g, mode="bicubic", padding_mode="reflection", align_corners=True),
            F.grid_sample(x, g, mode="bicubic", padding_mode="border", align_corners=False),
        ),
        floats(2, 3, 6, 5),
        floats(2, 4, 7, 2),
    ),
    case(
        "upsample_bicubic2d.vec",
        lambda x: (
            F.interpolate(x, size=(9, 4), mode="bicubic"),
            F.interpolate(x, scale_factor=2, mode="bicubic", align_corners=True),
        ),
        floats(2, 3, 6, 5),
    ),
    case(
        "grid_sampler_2d.default",
        core(lambda x, g: aten.grid_sampler_2d.default(x, g, 0, 0, False)),
        floats(2, 3, 6, 5),
        floats(2, 4, 7, 2),
    ),
    case(
        "grid_sampler_3d.default",
        core(lambda x, g: aten.grid_sampler_3d.default(x, g, 0, 1, True)),
        floats(2, 3, 4, 6, 5),
        floats(2, 2, 4, 3, 3),
    ),
    case(
        "im2col.default col2im.default",
        lambda x: (
            F.unfold(x, (3, 2), dilation=(1, 2), padding=1, stride=2),
            F.unfold(x[0], 2),
            F.fold(F.unfold(x, (3, 2), dilation=(1, 2), padding=1, stride=2), (6, 5), (3, 2), (1, 2), 1, 2),
            F.fold(F.unfold(x[0], 2), (6, 5), 2),
        ),
        floats(2, 3, 6, 5),
    ),
    case(
        "index_select.default gather.default",
        lambda x, i, j: (x.index_select(1, i), x.gather(1, j), x.gather(0, j[:1]), x[:, :2].gather(1, j[:1, :1])),
        floats(3, 4),
        whole(0, 4, 5),
        whole(0, 2, 2, 3),
    ),
    case(
        "index_put.default _unsafe_index_put.default index_copy.default",
        lambda x, i, j, u, m: (
            x.index_put((i,), u[:, :1, :1]),
            x.index_put((i, j), u[:, 0]),
            aten.index_put.default(x, [None, j], u[0, :3, :1]),
            aten._unsafe_index_put.default(x, [i], u[:, :1]),
            x.index_put((i + 0 * i,), u, accumulate=True),
            x.index_put((i * 0, j), u[:, 0], accumulate=True),
            x.index_put((m,), torch.tensor(-1.0)),
            x.index_put((m,), u[0, 0]),
            x.index_copy(1, j, u.transpose(0, 1)[:3, :3]),
        ),
        floats(3, 4, 5),
        torch.tensor([2, 0, -1]),
        torch.tensor([3, 0, 1]),
        floats(3, 4, 5),
        bools(3, 4),
    ),
    case(
        "index_put.default",
        lambda x, m, u: (x.index_put((m,), u), x.index_put((m[:, 0],), u[:2, None], accumulate=True)),
        floats(3, 4, 5),
        torch.tensor([[True, False, True, True], [False] * 4, [True, False, False, True]]),
        floats(5, 5),
    ),
    case(
        "scatter.src scatter.value",
        lambda x, i, u: (x.scatter(1, i, u), x.scatter(0, i[:, :2] % 3, u), x.scatter(1, i, -2.0)),
        floats(3, 4),
        torch.tensor([[0, 3, 1], [2, 1, 0]]),
        floats(3, 4),
    ),
    case(
        "index.Tensor",
        lambda x, i: (
            x[i],
            x[:, i],
            x[i, i],
            x[torch.arange(3), i],
            x[torch.arange(3)[:, None], torch.arange(4)],
            x[..., i],
            x[i - 3],
            x[i - 3, i],
        ),
        floats(3, 4, 5),
        whole(0, 3, 3),
    ),
    case(
        "_unsafe_index.Tensor", core(lambda x, i: aten._unsafe_index.Tensor(x, [None, i])), floats(3, 4), whole(0, 4, 2)
    ),
    # -- tensor: resizing
    case(
        "upsample_nearest1d.vec upsample_nearest2d.vec upsample_nearest3d.vec",
        lambda x, y, z: (
            F.interpolate(x, scale_factor=2),
            F.interpolate(y, (7, 9)),
            F.interpolate(y, scale_factor=1.5),
            F.interpolate(z, scale_factor=2),
        ),
        floats(1, 2, 5),
        floats(1, 2, 4, 6),
        floats(1, 2, 2, 3, 2),
    ),
    case(
        "upsample_linear1d.vec upsample_bilinear2d.vec upsample_trilinear3d.vec",
        lambda x, y, z: (
            F.interpolate(x, scale_factor=2, mode="linear"),
            F.interpolate(y, (7, 3), mode="bilinear"),
            F.interpolate(y, (8, 9), mode="bilinear", align_corners=True),
            F.interpolate(z, scale_factor=2, mode="trilinear"),
        ),
        floats(1, 2, 5),
        floats(1, 2, 4, 6),
        floats(1, 2, 2, 3, 2),
    ),
    case(
        " ".join(
            f"upsample_{kind}.default" for kind in ("nearest1d", "nearest2d", "nearest3d", "linear1d", "trilinear3d")
        ),
        core(
            lambda x, y, z: (
                aten.upsample_nearest1d.default(x, [7]),
                aten.upsample_nearest2d.default(y, [8, 9], 2.0, 1.5),
                aten.upsample_nearest3d.default(z, [4, 6, 3]),
                aten.upsample_linear1d.default(x, [8], True),
                aten.upsample_trilinear3d.default(z, [4, 3, 2], False),
            )
        ),
        floats(1, 2, 5),
        floats(1, 2, 4, 6),
        floats(1, 2, 2, 3, 2),
    ),
]

EXPORTED = [
    case(
        "reshape.default flatten.using_ints unflatten.int chunk.default contiguous.default",
        lambda x: (
            x.reshape(-1),
            x.flatten(1) + 1,
            x.unflatten(2, (2, -1)),
            x.chunk(3, 1)[1].transpose(1, 2).contiguous(),
        ),
        floats(2, 4, 6),
    ),
    case(
        "to.dtype dropout.default",
        lambda x, b: (x.to(torch.int32), x.bool(), x.float() + 1, b.half(), F.dropout(x, 0.5, False)),
        floats(3, 4),
        bools(3),
    ),
    case(
        "lift_fresh_copy.default",
        core(lambda x: aten.lift_fresh_copy.default(x) * 2),
        floats(3, 4),
    ),
    case("batch_norm.default", seeded(lambda: nn.BatchNorm2d(4)), floats(2, 4, 5, 6)),
    case("batch_norm.default", seeded(lambda: nn.BatchNorm1d(4, affine=False)), floats(3, 4)),
]
"""Functions whose programs are imported as torch exports them: all they do has an entry, and nothing is written."""
