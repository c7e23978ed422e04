"""Networks of vectors and sequences: perceptrons, transformers, recurrent cells, graphs."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.specimens.catalogue import specimen


@specimen("f32[1, 20]")
def Mlp():
    return nn.Sequential(
        nn.Linear(20, 32),
        nn.BatchNorm1d(32),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(32, 32),
        nn.Tanh(),
        nn.Linear(32, 4),
        nn.Softmax(dim=-1),
    )


@specimen("f32[1, 20]")
def JetTagger():
    return nn.Sequential(
        nn.Linear(20, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 5)
    )


@specimen("f32[1, 20]")
class ActZoo(nn.Module):
    def __init__(self):
        super().__init__()
        self.l = nn.ModuleList(nn.Linear(20, 20) for _ in range(10))
        self.a = nn.ModuleList(
            [
                nn.ELU(),
                nn.SELU(),
                nn.CELU(0.5),
                nn.Softsign(),
                nn.Hardtanh(),
                nn.LeakyReLU(0.2),
                nn.Mish(),
                nn.LogSigmoid(),
                nn.GELU(approximate="tanh"),
                nn.Hardsigmoid(),
            ]
        )

    def forward(self, x):
        for linear, a in zip(self.l, self.a, strict=True):
            x = a(linear(x))
        return x


class MixerBlock(nn.Module):
    def __init__(self, n, d):
        super().__init__()
        self.n1, self.n2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.t, self.c = (
            nn.Sequential(nn.Linear(n, 2 * n), nn.GELU(), nn.Linear(2 * n, n)),
            nn.Sequential(nn.Linear(d, 2 * d), nn.GELU(), nn.Linear(2 * d, d)),
        )

    def forward(self, x):
        x = x + self.t(self.n1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.c(self.n2(x))


@specimen("f32[1, 3, 16, 16]")
class MlpMixer(nn.Module):
    def __init__(self):
        super().__init__()
        self.p, self.b, self.n, self.h = (
            nn.Conv2d(3, 16, 4, 4),
            nn.Sequential(MixerBlock(16, 16), MixerBlock(16, 16)),
            nn.LayerNorm(16),
            nn.Linear(16, 10),
        )

    def forward(self, x):
        x = self.p(x).flatten(2).transpose(1, 2)
        return self.h(self.n(self.b(x)).mean(dim=1))


@specimen("f32[1, 64]")
class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.e, self.mu, self.lv, self.d = (
            nn.Sequential(nn.Linear(64, 32), nn.ReLU()),
            nn.Linear(32, 4),
            nn.Linear(32, 4),
            nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 64), nn.Sigmoid()),
        )

    def forward(self, x):
        h = self.e(x)
        mu, lv = self.mu(h), self.lv(h)
        return self.d(mu), mu, lv


@specimen("f32[1, 12, 16]")
def EncoderPost():
    return nn.Sequential(
        nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 2), nn.Linear(16, 4)
    )


@specimen("f32[1, 12, 16]")
def EncoderPre():
    return nn.TransformerEncoder(
        nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, norm_first=True, activation="gelu"),
        2,
        norm=nn.LayerNorm(16),
        enable_nested_tensor=False,
    )


@specimen("f32[12, 1, 16]")
def EncoderSeqFirst():
    return nn.TransformerEncoder(
        nn.TransformerEncoderLayer(16, 4, 32, activation="gelu"), 1, enable_nested_tensor=False
    )


@specimen("f32[1, 12, 16]")
class MhaWeights(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.n = nn.MultiheadAttention(16, 2, batch_first=True), nn.LayerNorm(16)

    def forward(self, x):
        y, w = self.a(x, x, x)
        return self.n(x + y), w


@specimen("f32[1, 6, 16]", "f32[1, 10, 16]")
class CrossAttention(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.n, self.f = nn.MultiheadAttention(16, 2, batch_first=True), nn.LayerNorm(16), nn.Linear(16, 16)

    def forward(self, q, kv):
        return self.f(self.n(q + self.a(q, kv, kv, need_weights=False)[0]))


@specimen("f32[1, 6, 16]", "f32[1, 8, 16]")
class EncDec(nn.Module):
    def __init__(self):
        super().__init__()
        self.t, self.o = nn.Transformer(16, 2, 1, 1, 32, batch_first=True), nn.Linear(16, 5)

    def forward(self, src, tgt):
        return self.o(self.t(src, tgt, tgt_mask=nn.Transformer.generate_square_subsequent_mask(8)))


class Attn(nn.Module):
    def __init__(self, d, h, bias=True):
        super().__init__()
        self.h, self.qkv, self.proj = h, nn.Linear(d, 3 * d, bias=bias), nn.Linear(d, d)
        self.scale = (d // h) ** -0.5

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.h, c // self.h).permute(2, 0, 3, 1, 4).unbind(0)
        a = ((q * self.scale) @ k.transpose(-2, -1)).softmax(dim=-1)
        return self.proj((a @ v).transpose(1, 2).reshape(b, n, c))


class Block(nn.Module):
    def __init__(self, d, h):
        super().__init__()
        self.n1, self.a, self.n2, self.m = (
            nn.LayerNorm(d),
            Attn(d, h),
            nn.LayerNorm(d),
            nn.Sequential(nn.Linear(d, 2 * d), nn.GELU(), nn.Linear(2 * d, d)),
        )
        self.g1 = nn.Parameter(0.5 * torch.ones(d))

    def forward(self, x):
        x = x + self.g1 * self.a(self.n1(x))
        return x + self.m(self.n2(x))


@specimen("f32[1, 3, 16, 16]")
class DeiTDistilled(nn.Module):
    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, 16, 4, 4)
        self.cls, self.dist = nn.Parameter(torch.randn(1, 1, 16) * 0.02), nn.Parameter(torch.randn(1, 1, 16) * 0.02)
        self.pos = nn.Parameter(torch.randn(1, 18, 16) * 0.02)
        self.blocks, self.norm, self.head, self.head_dist = (
            nn.Sequential(Block(16, 2), Block(16, 2)),
            nn.LayerNorm(16),
            nn.Linear(16, 10),
            nn.Linear(16, 10),
        )

    def forward(self, x):
        b = x.shape[0]
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.cls.expand(b, -1, -1), self.dist.expand(b, -1, -1), x), dim=1) + self.pos
        x = self.norm(self.blocks(x))
        return (self.head(x[:, 0]) + self.head_dist(x[:, 1])) / 2


@specimen("f32[1, 3, 16, 16]")
class VitTorch(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv_proj = nn.Conv2d(3, 16, 4, 4)
        self.class_token, self.pos = (
            nn.Parameter(torch.zeros(1, 1, 16)),
            nn.Parameter(torch.empty(1, 17, 16).normal_(std=0.02)),
        )
        self.encoder, self.heads = (
            nn.TransformerEncoder(
                nn.TransformerEncoderLayer(16, 2, 32, 0.1, "gelu", batch_first=True, norm_first=True),
                2,
                enable_nested_tensor=False,
            ),
            nn.Linear(16, 10),
        )

    def forward(self, x):
        n, _c, h, w = x.shape
        x = self.conv_proj(x).reshape(n, 16, (h // 4) * (w // 4)).permute(0, 2, 1)
        x = torch.cat([self.class_token.repeat(n, 1, 1), x], dim=1)
        return self.heads(self.encoder(x + self.pos)[:, 0])


class WindowAttn(nn.Module):
    def __init__(self, d, h, w):
        super().__init__()
        self.h, self.w = h, w
        self.qkv, self.proj = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.table = nn.Parameter(torch.randn((2 * w - 1) ** 2, h) * 0.1)
        c = torch.stack(torch.meshgrid(torch.arange(w), torch.arange(w), indexing="ij")).flatten(1)
        r = (c[:, :, None] - c[:, None, :]).permute(1, 2, 0).contiguous() + (w - 1)
        self.register_buffer("index", r[..., 0] * (2 * w - 1) + r[..., 1])

    def forward(self, x, mask=None):
        B, N, C = x.shape
        qkv = self.qkv(x).reshape(B, N, 3, self.h, C // self.h).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        a = (q * (C // self.h) ** -0.5) @ k.transpose(-2, -1)
        a = a + self.table[self.index.view(-1)].view(N, N, -1).permute(2, 0, 1).contiguous().unsqueeze(0)
        if mask is not None:
            nW = mask.shape[0]
            a = a.view(B // nW, nW, self.h, N, N) + mask.unsqueeze(1).unsqueeze(0)
            a = a.view(-1, self.h, N, N)
        return self.proj((a.softmax(-1) @ v).transpose(1, 2).reshape(B, N, C))


class SwinBlock(nn.Module):
    def __init__(self, d, h, res, w, shift):
        super().__init__()
        self.n1, self.attn, self.n2, self.mlp = (
            nn.LayerNorm(d),
            WindowAttn(d, h, w),
            nn.LayerNorm(d),
            nn.Sequential(nn.Linear(d, 2 * d), nn.GELU(), nn.Linear(2 * d, d)),
        )
        self.res, self.w, self.shift = res, w, shift
        mask = None
        if shift:
            img = torch.zeros(1, res, res, 1)
            cnt = 0
            for hs in (slice(0, -w), slice(-w, -shift), slice(-shift, None)):
                for ws in (slice(0, -w), slice(-w, -shift), slice(-shift, None)):
                    img[:, hs, ws] = cnt
                    cnt += 1
            m = self.part(img).view(-1, w * w)
            d_ = m.unsqueeze(1) - m.unsqueeze(2)
            mask = d_.masked_fill(d_ != 0, -100.0).masked_fill(d_ == 0, 0.0)
        self.register_buffer("mask", mask)

    def part(self, x):
        B, H, W, C = x.shape
        w = self.w
        return x.view(B, H // w, w, W // w, w, C).permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, w, w, C)

    def forward(self, x):
        H = W = self.res
        B, L, C = x.shape
        y = self.n1(x).view(B, H, W, C)
        if self.shift:
            y = torch.roll(y, shifts=(-self.shift, -self.shift), dims=(1, 2))
        y = self.attn(self.part(y).view(-1, self.w * self.w, C), self.mask)
        w = self.w
        y = y.view(B, H // w, W // w, w, w, C).permute(0, 1, 3, 2, 4, 5).contiguous().view(B, H, W, C)
        if self.shift:
            y = torch.roll(y, shifts=(self.shift, self.shift), dims=(1, 2))
        x = x + y.view(B, L, C)
        return x + self.mlp(self.n2(x))


class PatchMerge(nn.Module):
    def __init__(self, d, res):
        super().__init__()
        self.res, self.norm, self.red = res, nn.LayerNorm(4 * d), nn.Linear(4 * d, 2 * d, bias=False)

    def forward(self, x):
        B, _L, C = x.shape
        x = x.view(B, self.res, self.res, C)
        x = torch.cat([x[:, 0::2, 0::2, :], x[:, 1::2, 0::2, :], x[:, 0::2, 1::2, :], x[:, 1::2, 1::2, :]], -1).view(
            B, -1, 4 * C
        )
        return self.red(self.norm(x))


@specimen("f32[1, 3, 16, 16]")
class Swin(nn.Module):
    def __init__(self):
        super().__init__()
        self.pe = nn.Conv2d(3, 8, 2, 2)
        self.body = nn.Sequential(SwinBlock(8, 2, 8, 4, 0), SwinBlock(8, 2, 8, 4, 2), PatchMerge(8, 8))
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 10)

    def forward(self, x):
        x = self.pe(x).flatten(2).transpose(1, 2)
        x = self.norm(self.body(x))
        return self.head(torch.flatten(nn.functional.adaptive_avg_pool1d(x.transpose(1, 2), 1), 1))


@specimen("i64[1, 12]", "i64[1, 12]", high=2)
class Bert(nn.Module):
    def __init__(self):
        super().__init__()
        self.word, self.pos, self.typ = nn.Embedding(50, 16, padding_idx=0), nn.Embedding(32, 16), nn.Embedding(2, 16)
        self.norm = nn.LayerNorm(16)
        self.q, self.k, self.v, self.o = (nn.Linear(16, 16) for _ in range(4))
        self.n1, self.f1, self.f2, self.n2 = nn.LayerNorm(16), nn.Linear(16, 32), nn.Linear(32, 16), nn.LayerNorm(16)
        self.pool, self.cls = nn.Linear(16, 16), nn.Linear(16, 2)
        self.register_buffer("position_ids", torch.arange(32).expand((1, -1)))

    def heads(self, x):
        return x.view(*x.size()[:-1], 2, 8).permute(0, 2, 1, 3)

    def forward(self, input_ids, attention_mask):
        n = input_ids.size(1)
        x = self.norm(self.word(input_ids) + self.pos(self.position_ids[:, :n]) + self.typ(torch.zeros_like(input_ids)))
        m = (1.0 - attention_mask[:, None, None, :].to(x.dtype)) * torch.finfo(x.dtype).min
        s = torch.matmul(self.heads(self.q(x)), self.heads(self.k(x)).transpose(-1, -2)) / math.sqrt(8) + m
        y = torch.matmul(nn.functional.softmax(s, dim=-1), self.heads(self.v(x))).permute(0, 2, 1, 3).contiguous()
        x = self.n1(self.o(y.view(1, n, 16)) + x)
        x = self.n2(self.f2(F.gelu(self.f1(x))) + x)
        return self.cls(torch.tanh(self.pool(x[:, 0])))


@specimen("f32[1, 12, 16]", "bool[1, 12]")
class PaddingMask(nn.Module):
    def __init__(self):
        super().__init__()
        self.e, self.o = (
            nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 1),
            nn.Linear(16, 3),
        )

    def forward(self, x, pad):
        pad = torch.cat([torch.zeros_like(pad[:, :1]), pad[:, 1:]], 1)
        return self.o(self.e(x, src_key_padding_mask=pad)[:, 0])


@specimen("i64[1, 12]")
class Gpt(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte, self.wpe, self.ln1, self.attn, self.proj = (
            nn.Embedding(40, 16),
            nn.Embedding(32, 16),
            nn.LayerNorm(16),
            nn.Linear(16, 48),
            nn.Linear(16, 16),
        )
        self.ln2, self.fc, self.out, self.lnf = nn.LayerNorm(16), nn.Linear(16, 64), nn.Linear(64, 16), nn.LayerNorm(16)
        self.lm = nn.Linear(16, 40, bias=False)
        self.lm.weight = self.wte.weight
        self.register_buffer("bias", torch.tril(torch.ones(32, 32)).view(1, 1, 32, 32))

    def forward(self, idx):
        B, T = idx.size()
        x = self.wte(idx) + self.wpe(torch.arange(0, T, dtype=torch.long, device=idx.device))
        q, k, v = self.attn(self.ln1(x)).split(16, dim=2)
        q, k, v = (t.view(B, T, 2, 8).transpose(1, 2) for t in (q, k, v))
        a = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
        a = a.masked_fill(self.bias[:, :, :T, :T] == 0, float("-inf"))
        y = (F.softmax(a, dim=-1) @ v).transpose(1, 2).contiguous().view(B, T, 16)
        x = x + self.proj(y)
        h = self.fc(self.ln2(x))
        h = 0.5 * h * (1.0 + torch.tanh(math.sqrt(2.0 / math.pi) * (h + 0.044715 * torch.pow(h, 3.0))))
        return self.lm(self.lnf(x + self.out(h)))


class RMSNorm(nn.Module):
    def __init__(self, d, eps=1e-6):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(d)), eps

    def forward(self, x):
        dt = x.dtype
        x = x.float()
        x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * x.to(dt)


def rotate_half(x):
    a, b = x[..., : x.shape[-1] // 2], x[..., x.shape[-1] // 2 :]
    return torch.cat((-b, a), dim=-1)


@specimen("i64[1, 12]")
class Llama(nn.Module):
    def __init__(self, hf=True):
        super().__init__()
        self.emb, self.n1, self.n2, self.nf = nn.Embedding(40, 16), RMSNorm(16), RMSNorm(16), RMSNorm(16)
        self.q, self.k, self.v, self.o = (
            nn.Linear(16, 16, bias=False),
            nn.Linear(16, 8, bias=False),
            nn.Linear(16, 8, bias=False),
            nn.Linear(16, 16, bias=False),
        )
        self.gate, self.up, self.down, self.lm = (
            nn.Linear(16, 40, bias=False),
            nn.Linear(16, 40, bias=False),
            nn.Linear(40, 16, bias=False),
            nn.Linear(16, 40, bias=False),
        )
        self.register_buffer("inv", 1.0 / (10000 ** (torch.arange(0, 8, 2).float() / 8)), persistent=False)

    def forward(self, ids):
        B, T = ids.shape
        x = self.emb(ids)
        h = self.n1(x)
        q, k, v = (
            self.q(h).view(B, T, 2, 8).transpose(1, 2),
            self.k(h).view(B, T, 1, 8).transpose(1, 2),
            self.v(h).view(B, T, 1, 8).transpose(1, 2),
        )
        f = torch.outer(torch.arange(T).float(), self.inv)
        e = torch.cat((f, f), -1)
        cos, sin = e.cos()[None, None], e.sin()[None, None]
        q, k = q * cos + rotate_half(q) * sin, k * cos + rotate_half(k) * sin
        k, v = k.repeat_interleave(2, dim=1), v.repeat_interleave(2, dim=1)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.o(y.transpose(1, 2).reshape(B, T, 16))
        h = self.n2(x)
        x = x + self.down(F.silu(self.gate(h)) * self.up(h))
        return self.lm(self.nf(x))


@specimen("f32[1, 10, 16]")
class LlamaBlock(nn.Module):
    """as Llama, on embeddings, with nn.RMSNorm"""

    def __init__(self):
        super().__init__()
        self.n, self.w1, self.w2, self.w3 = (
            nn.RMSNorm(16),
            nn.Linear(16, 32, bias=False),
            nn.Linear(32, 16, bias=False),
            nn.Linear(16, 32, bias=False),
        )

    def forward(self, x):
        h = self.n(x)
        return x + self.w2(F.silu(self.w1(h)) * self.w3(h))


@specimen("i64[1, 10]")
class T5(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb, self.n1, self.n2 = nn.Embedding(40, 16), RMSNorm(16), RMSNorm(16)
        self.q, self.k, self.v, self.o = (nn.Linear(16, 16, bias=False) for _ in range(4))
        self.rel, self.wi, self.wo = nn.Embedding(8, 2), nn.Linear(16, 32, bias=False), nn.Linear(32, 16, bias=False)

    def bias(self, n):
        rel = torch.arange(n)[None, :] - torch.arange(n)[:, None]
        bucket = (rel > 0).to(torch.long) * 4
        a = rel.abs()
        large = 2 + (torch.log(a.float() / 2) / math.log(16 / 2) * 2).to(torch.long)
        bucket = bucket + torch.where(a < 2, a, torch.min(large, torch.full_like(large, 3)))
        return self.rel(bucket).permute([2, 0, 1]).unsqueeze(0)

    def forward(self, ids):
        x = self.emb(ids)
        B, T, C = x.shape
        h = self.n1(x)
        q, k, v = (f(h).view(B, -1, 2, 8).transpose(1, 2) for f in (self.q, self.k, self.v))
        s = torch.matmul(q, k.transpose(3, 2))
        s += self.bias(T)
        p = F.softmax(s.float(), dim=-1).type_as(s)
        x = x + self.o(torch.matmul(p, v).transpose(1, 2).contiguous().view(B, -1, C))
        return x + self.wo(F.relu(self.wi(self.n2(x))))


@specimen("f32[1, 8, 6]")
class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.r, self.f = nn.LSTM(6, 8, batch_first=True), nn.Linear(8, 3)

    def forward(self, x):
        y, (_h, _c) = self.r(x)
        return self.f(y[:, -1])


@specimen("f32[1, 8, 6]")
class Gru(nn.Module):
    def __init__(self):
        super().__init__()
        self.r, self.f = nn.GRU(6, 8, 2, batch_first=True, bidirectional=True), nn.Linear(16, 3)

    def forward(self, x):
        _y, h = self.r(x)
        return self.f(torch.cat([h[-2], h[-1]], -1))


@specimen("f32[1, 8, 6]")
class LstmCellLoop(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.f = nn.LSTMCell(6, 8), nn.Linear(8, 3)

    def forward(self, x):
        h = c = x.new_zeros(x.shape[0], 8)
        for t in range(x.shape[1]):
            h, c = self.cell(x[:, t], (h, c))
        return self.f(h)


@specimen("f32[1, 6]", "f32[1, 8]")
class GruStep(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.f = nn.GRUCell(6, 8), nn.Linear(8, 3)

    def forward(self, x, h):
        h = self.cell(x, h)
        return self.f(h), h


@specimen("f32[1, 5, 6]")
class Rnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.r, self.f = nn.RNN(6, 8, nonlinearity="tanh", batch_first=True), nn.Linear(8, 3)

    def forward(self, x):
        return self.f(self.r(x)[0])


@specimen("f32[1, 1, 12, 12]", "f32[1, 1, 12, 12]")
class Siamese(nn.Module):
    def __init__(self):
        super().__init__()
        self.e = nn.Sequential(nn.Conv2d(1, 4, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(100, 8))

    def forward(self, a, b):
        a, b = self.e(a), self.e(b)
        return F.cosine_similarity(a, b), torch.abs(a - b).sum(1), F.pairwise_distance(a, b), F.normalize(a, dim=1)


@specimen("f32[1, 1, 12, 12]", "f32[1, 5]")
class Multimodal(nn.Module):
    def __init__(self):
        super().__init__()
        self.e, self.t, self.h, self.r = (
            nn.Sequential(nn.Conv2d(1, 4, 3, 2), nn.ReLU(), nn.Flatten()),
            nn.Linear(5, 8),
            nn.Linear(108, 4),
            nn.Linear(108, 1),
        )

    def forward(self, image, table):
        z = torch.hstack([self.e(image), F.relu(self.t(table))])
        return self.h(z), self.r(z).squeeze(-1)


@specimen("f32[1, 10, 16]")
class EinsumAttn(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(16, 16) for _ in range(4))

    def forward(self, x):
        b, n, _ = x.shape
        q, k, v = (f(x).view(b, n, 2, 8) for f in (self.q, self.k, self.v))
        a = torch.einsum("bnhd,bmhd->bhnm", q, k) / 8**0.5
        return self.o(torch.einsum("bhnm,bmhd->bnhd", a.softmax(-1), v).reshape(b, n, 16))


@specimen("f32[1, 64, 3]")
class PointNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1, self.b1, self.c2, self.f = nn.Conv1d(3, 8, 1), nn.BatchNorm1d(8), nn.Conv1d(8, 16, 1), nn.Linear(16, 4)

    def forward(self, x):
        x = x.transpose(2, 1)
        x = self.c2(F.relu(self.b1(self.c1(x))))
        x = torch.max(x, 2, keepdim=True)[0].view(-1, 16)
        return F.log_softmax(self.f(x), dim=1)


@specimen("f32[1, 6, 8]", "f32[1, 6, 6]")
class Gcn(nn.Module):
    def __init__(self):
        super().__init__()
        self.w1, self.w2 = nn.Linear(8, 16), nn.Linear(16, 4)

    def forward(self, x, adj):
        x = F.relu(torch.bmm(adj, self.w1(x)))
        return torch.bmm(adj, self.w2(x)).mean(1)


@specimen("i64[1, 8]", "f32[1, 4]")
class Dlrm(nn.Module):
    def __init__(self):
        super().__init__()
        self.e = nn.ModuleList(nn.Embedding(16, 8) for _ in range(8))
        self.b, self.t = nn.Linear(4, 8), nn.Linear(8 + 36, 1)

    def forward(self, ids, dense):
        z = F.relu(self.b(dense))
        t = torch.stack([z] + [e(ids[:, i]) for i, e in enumerate(self.e)], dim=1)
        p = torch.bmm(t, t.transpose(1, 2))
        i, j = torch.tril_indices(9, 9, -1)
        return torch.sigmoid(self.t(torch.cat([z, p[:, i, j]], 1)))
