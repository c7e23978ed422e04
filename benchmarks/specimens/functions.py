"""Functions between two linears, and models with special inputs, weights and modes."""

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.specimens.catalogue import specimen


class Fn(nn.Module):
    """a linear in front and behind of a function on [1, 4, 8]"""

    def __init__(self, f, out=8):
        super().__init__()
        self.a, self.b, self.f = nn.Linear(8, 8), nn.Linear(out, 3), f

    def forward(self, x):
        return self.b(self.f(self.a(x)))


def fn(name, f, out=8):
    specimen("f32[1, 4, 8]", name=name)(lambda: Fn(f, out))


def inplace(x):
    x = x.clone()
    x.relu_()
    x += 1
    x.mul_(2)
    x[:, 0] = 0
    x[:, 1:3, ::2] = x[:, 1:3, 1::2]
    return x


fn("f_inplace", inplace)
fn("f_chunk_split", lambda x: torch.cat([*reversed(x.chunk(2, -1))], -1) + torch.cat(x.split([3, 5], -1), -1))
fn("f_unbind_stack", lambda x: torch.stack([t * (i + 1) for i, t in enumerate(x.unbind(1))], 1))
fn("f_where", lambda x: torch.where(x > 0.5, x, -0.1 * x))
fn("f_where_zero", lambda x: torch.where(x > 0, x, torch.zeros_like(x)))
fn("f_masked_fill", lambda x: x.masked_fill(x < -1, 0.0))
fn("f_mask_mul", lambda x: x * (x > 0).float())
fn("f_clamp", lambda x: x.clamp(-1, 1) + torch.clamp(x, min=-0.5) + x.clamp_max(0.3))
fn("f_standardize", lambda x: (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, unbiased=False) + 1e-5).sqrt())
fn("f_std", lambda x: (x - x.mean(-1, keepdim=True)) / (x.std(-1, keepdim=True) + 1e-5))
fn("f_norm", lambda x: x / x.norm(dim=-1, keepdim=True))
fn("f_normalize", lambda x: F.normalize(x, p=2, dim=-1))
fn("f_cumsum", lambda x: x.cumsum(1))
fn("f_flip", lambda x: x.flip(1) + torch.flip(x, (2,)))
fn("f_roll", lambda x: x.roll(1, 1))
fn(
    "f_pads",
    lambda x: (
        F.pad(x, (1, 1), mode="reflect")[..., 1:-1]
        + F.pad(x, (2, 0), mode="circular")[..., :8]
        + F.pad(x, (0, 2), mode="replicate")[..., 2:]
        + F.pad(x, (1, 1), value=0.5)[..., 2:]
    ),
)
fn("f_minmax", lambda x: torch.maximum(x, x.flip(1)) - torch.minimum(x, torch.zeros(8)))
fn("f_max_pair", lambda x: torch.max(*x.chunk(2, -1)), 4)
fn("f_glu", lambda x: F.glu(x, -1), 4)
fn("f_exp_log", lambda x: torch.log(1 + torch.exp(x)))
fn("f_div", lambda x: x / (1 + x.abs()))
fn("f_div_tensors", lambda x: x / (x.sigmoid() + 1))
fn("f_square_sqrt", lambda x: torch.sqrt(x**2 + 1e-3))
fn("f_cubed", lambda x: x**3)
fn("f_sin", lambda x: torch.sin(x) + torch.cos(2 * x))
fn("f_abs_neg", lambda x: -x.abs())
fn("f_rsub", lambda x: 1 - x)
fn("f_neg_scale", lambda x: x * -0.5)
fn("f_gate", lambda x: x * torch.sigmoid(x.mean(1, keepdim=True)))
fn("f_sum", lambda x: x.sum(1, keepdim=True) * x)
fn("f_amax_amin", lambda x: x - x.amax(-1, keepdim=True) + x.amin(1, keepdim=True))
fn("f_swish_manual", lambda x: x * torch.sigmoid(1.702 * x))
fn("f_gelu_manual", lambda x: x * 0.5 * (1.0 + torch.erf(x / 2**0.5)))
fn("f_hswish_manual", lambda x: x * F.relu6(x + 3) / 6)
fn("f_relu_squared", lambda x: F.relu(x).square())
fn("f_softmax_dim1", lambda x: torch.softmax(x, dim=1))
fn("f_log_softmax", lambda x: F.log_softmax(x, -1))
fn("f_index_select", lambda x: x[:, [2, 0, 3, 1]] + torch.index_select(x, 1, torch.tensor([0, 0, 1, 1])))
fn("f_tile", lambda x: x.repeat(1, 2, 1)[:, 2:6] + x.repeat_interleave(2, 1)[:, ::2])
fn("f_quadratic", lambda x: x * x.flip(1) + x)
fn("f_sub_both", lambda x: x - x.sigmoid())
fn("f_tanh_gate", lambda x: torch.tanh(x) * x + x)
fn("f_addcmul", lambda x: torch.addcmul(x, x, x, value=0.5) + torch.lerp(x, x.flip(1), 0.3))
fn("f_softmin_attn", lambda x: F.softmin(x, -1) @ x.transpose(1, 2), 4)
fn("f_outer", lambda x: torch.matmul(x.transpose(1, 2), x))
fn("f_scalar_chain", lambda x: (x * 2 + 1) / 3 - 0.5)
fn("f_channel_scale", lambda x: x * torch.arange(1, 9).float() / 8)
fn("f_channel_signed", lambda x: x * torch.linspace(-1, 1, 8) + torch.linspace(1, -1, 8))
fn("f_round", lambda x: torch.round(x * 4) / 4 + x.floor() + x.sign())
fn("f_logical", lambda x: torch.where((x > 0) & (x < 1), x, x * 0.25))
fn("f_topk_like", lambda x: x * (x >= x.amax(-1, keepdim=True)))
fn("f_movedim", lambda x: x.movedim(1, 2).swapaxes(1, 2).contiguous().view(1, 2, 2, 8).flatten(1, 2))
fn("f_unfold", lambda x: x.unfold(1, 2, 1).mean(-1))
fn("f_expand", lambda x: x[:, :1].expand(-1, 4, -1) + x)
fn("f_mean_var", lambda x: torch.var_mean(x, -1, keepdim=True)[0] * x)
fn("f_dropout", lambda x: F.dropout(x, 0.5, training=False))
fn("f_logsumexp", lambda x: x - x.logsumexp(-1, keepdim=True))
fn("f_bilinear_form", lambda x: torch.baddbmm(torch.zeros(1, 4, 4), x, x.transpose(1, 2)), 4)


@specimen("f32[1, 3, 8, 8]")
class Resizes(nn.Module):
    def __init__(self):
        super().__init__()
        self.c, self.o = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 2, 1)

    def forward(self, x):
        x = F.relu(self.c(x))
        a = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        b = F.interpolate(x, size=(16, 16), mode="nearest")
        return self.o(a + b), F.adaptive_avg_pool2d(x, (3, 5)), F.adaptive_max_pool2d(x, 4), F.pixel_unshuffle(x, 2)


@specimen("f32[1, 3, 8, 8]")
class Buffers(nn.Module):
    def __init__(self):
        super().__init__()
        self.c = nn.Conv2d(3, 4, 3, padding=1)
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1))

    def forward(self, x):
        return self.c((x - self.mean) / self.std).flatten(1)


@specimen("u8[1, 8, 8, 3]", high=256)
class UintImage(nn.Module):
    def __init__(self):
        super().__init__()
        self.c, self.f = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 2)

    def forward(self, x):
        x = x.permute(0, 3, 1, 2).float() / 255.0
        return self.f(F.relu(self.c(x)).mean((-2, -1)))


@specimen("f32[1, 6]")
class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.randn(8, 6) * 0.3)

    def forward(self, x):
        return F.linear(torch.relu(F.linear(x, self.w)), self.w.t())


@specimen("f32[1, 6]")
def Spectral():
    sn = torch.nn.utils.parametrizations.spectral_norm
    return nn.Sequential(
        sn(nn.Linear(6, 8)), nn.ReLU(), torch.nn.utils.parametrizations.orthogonal(nn.Linear(8, 8)), nn.Linear(8, 2)
    )


@specimen("f32[1, 6]")
def TrainMode():
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 2)).train()


@specimen("f16[1, 6]")
def Half():
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2)).half()


@specimen("bf16[1, 6]")
def Bf16():
    return nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 2)).bfloat16()


@specimen("f64[1, 6]")
def Double():
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2)).double()


@specimen("f32[6]")
def NoBatch():
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))


@specimen("f32[1, 6]")
def FxTraced():
    return torch.fx.symbolic_trace(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2)))


@specimen("f32[4, 3, 8, 8]")
def FixedBatch():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))


@specimen("f32[2, 3, 8, 8]", dynamic="b")
def DynamicBatch():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 2)
    )


@specimen("f32[2, 12, 16]", dynamic="b")
def DynamicEncoder():
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 1)


@specimen("f32[1, 8]")
def OnlyLinear():
    return nn.Linear(8, 3)


@specimen("f32[1, 8]")
class UnusedInput(nn.Module):
    def __init__(self):
        super().__init__()
        self.l = nn.Linear(8, 3)

    def forward(self, x, scale: float = 2.0, flag: bool = True, extra=None):
        return self.l(x) * scale if flag else x


@specimen("f32[1, 8]")
class ReturnsInput(nn.Module):
    def __init__(self):
        super().__init__()
        self.l = nn.Linear(8, 3)

    def forward(self, x):
        return self.l(x), x, self.l(x)


@specimen("f32[1, 1, 8, 8]")
class FixedFilter(nn.Module):
    def __init__(self):
        super().__init__()
        self.f = nn.Linear(36, 4)

    def forward(self, x):
        k = torch.tensor([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]])[None, None]
        return self.f(F.conv2d(x, k).flatten(1))
