"""Models written from their papers, in the published shape or, where the note says so, with fewer blocks."""

import itertools
import math

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.models import BasicBlock, Bert, MobileNetV2, ResNet, VisionTransformer
from benchmarks.specimens.catalogue import specimen


def unit(i, o, k=3, s=1, g=1, act=nn.ReLU):
    return nn.Sequential(nn.Conv2d(i, o, k, s, k // 2, groups=g, bias=False), nn.BatchNorm2d(o), act())


def separable(i, o, s):
    return nn.Sequential(unit(i, i, s=s, g=i), unit(i, o, 1))


# -- MLPerf Tiny v1 (Banbury et al., 2021), in the published shapes


@specimen("f32[1, 1, 49, 10]", name="mlperf-tiny/kws ds-cnn", hardware=True)
def keyword_spotting():
    stem = nn.Sequential(nn.Conv2d(1, 64, (10, 4), 2, (5, 1), bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.Dropout())
    body = [separable(64, 64, 1) for _ in range(4)]
    return nn.Sequential(stem, *body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 12))


@specimen("f32[1, 640]", name="mlperf-tiny/ad autoencoder", hardware=True)
def anomaly_detection():
    widths = (640, 128, 128, 128, 128, 8, 128, 128, 128, 128)
    layers = [nn.Sequential(nn.Linear(i, o), nn.BatchNorm1d(o), nn.ReLU()) for i, o in itertools.pairwise(widths)]
    return nn.Sequential(*layers, nn.Linear(128, 640))


@specimen("f32[1, 3, 96, 96]", name="mlperf-tiny/vww mobilenetv1-0.25", hardware=True)
def visual_wake_words():
    plan = ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *((128, 1),) * 5, (256, 2), (256, 1))
    layers, width = [unit(3, 8, s=2)], 8
    for outputs, stride in plan:
        layers.append(separable(width, outputs, stride))
        width = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 2))


class Residual(nn.Module):
    def __init__(self, i, o, s):
        super().__init__()
        self.a, self.b = unit(i, o, s=s), nn.Sequential(nn.Conv2d(o, o, 3, 1, 1), nn.BatchNorm2d(o))
        self.down = nn.Identity() if s == 1 else nn.Conv2d(i, o, 1, s)

    def forward(self, x):
        return F.relu(self.b(self.a(x)) + self.down(x))


@specimen("f32[1, 3, 32, 32]", name="mlperf-tiny/ic resnet8", hardware=True)
def image_classification():
    body = (Residual(16, 16, 1), Residual(16, 32, 2), Residual(32, 64, 2))
    return nn.Sequential(unit(3, 16), *body, nn.AvgPool2d(8), nn.Flatten(), nn.Linear(64, 10), nn.Softmax(-1))


@specimen("f32[1, 40, 30]", name="mlperf-tiny/streaming wake word", hardware=True, note="a window of 30 frames")
def wake_word():
    def block(i, o, k, s):
        depthwise = nn.Conv1d(i, i, k, s, groups=i, bias=False)
        return nn.Sequential(depthwise, nn.Conv1d(i, o, 1, bias=False), nn.BatchNorm1d(o), nn.ReLU())

    body = (block(40, 128, 3, 1), block(128, 128, 5, 1), block(128, 128, 10, 1), block(128, 32, 15, 1))
    return nn.Sequential(*body, nn.Flatten(), nn.Linear(32, 3), nn.Softmax(-1))


# -- TC-ResNet8 (Choi et al., 2019): sound as a sequence of frames of 40 coefficients


class TemporalResidual(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.a = nn.Sequential(nn.Conv1d(i, o, 9, 2, 4, bias=False), nn.BatchNorm1d(o), nn.ReLU())
        self.b = nn.Sequential(nn.Conv1d(o, o, 9, 1, 4, bias=False), nn.BatchNorm1d(o))
        self.down = nn.Sequential(nn.Conv1d(i, o, 1, 2, bias=False), nn.BatchNorm1d(o), nn.ReLU())

    def forward(self, x):
        return F.relu(self.b(self.a(x)) + self.down(x))


@specimen("f32[1, 40, 98]", name="tc-resnet8")
def tc_resnet8():
    body = (TemporalResidual(16, 24), TemporalResidual(24, 32), TemporalResidual(32, 48))
    stem = nn.Conv1d(40, 16, 3, padding=1, bias=False)
    return nn.Sequential(stem, *body, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(48, 12))


# -- ESPCN (Shi et al., 2016): super-resolution by pixel shuffle


@specimen("f32[1, 1, 32, 32]", name="espcn-x3")
def espcn():
    widen = (nn.Conv2d(1, 64, 5, padding=2), nn.Tanh(), nn.Conv2d(64, 32, 3, padding=1), nn.Tanh())
    return nn.Sequential(*widen, nn.Conv2d(32, 9, 3, padding=1), nn.PixelShuffle(3))


# -- U-Net (Ronneberger et al., 2015) and 3D U-Net (Çiçek et al., 2016)


class UNet(nn.Module):
    def __init__(self, rank, norm, widths):
        super().__init__()
        conv = nn.Conv2d if rank == 2 else nn.Conv3d
        up = nn.ConvTranspose2d if rank == 2 else nn.ConvTranspose3d
        self.pool = nn.MaxPool2d(2) if rank == 2 else nn.MaxPool3d(2)

        def twice(i, o):
            return nn.Sequential(
                conv(i, o, 3, padding=1), norm(o), nn.ReLU(True), conv(o, o, 3, padding=1), norm(o), nn.ReLU(True)
            )

        pairs = list(itertools.pairwise(widths))
        self.first = twice(1, widths[0])
        self.down = nn.ModuleList(twice(i, o) for i, o in pairs)
        self.up = nn.ModuleList(up(o, i, 2, 2) for i, o in reversed(pairs))
        self.merge = nn.ModuleList(twice(2 * i, i) for i, _ in reversed(pairs))
        self.head = conv(widths[0], 2, 1)

    def forward(self, x):
        kept = [self.first(x)]
        for down in self.down:
            kept.append(down(self.pool(kept[-1])))
        x = kept.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(torch.cat((kept.pop(), up(x)), dim=1))
        return self.head(x)


@specimen("f32[1, 1, 64, 64]", name="unet2d", note="widths 16 to 128")
def unet2d():
    return UNet(2, nn.BatchNorm2d, (16, 32, 64, 128))


@specimen("f32[1, 1, 16, 16, 16]", name="unet3d", note="3 levels, widths 8 to 32")
def unet3d():
    return UNet(3, nn.InstanceNorm3d, (8, 16, 32))


# -- YOLOv8 (Jocher et al., 2023): C2f blocks, SPPF, a two-way feature pyramid, a head of distributions of distances


class C2f(nn.Module):
    def __init__(self, i, o, n, shortcut):
        super().__init__()
        self.c, self.shortcut = o // 2, shortcut
        self.cv1, self.cv2 = unit(i, o, 1, act=nn.SiLU), unit((2 + n) * self.c, o, 1, act=nn.SiLU)
        self.m = nn.ModuleList(
            nn.Sequential(unit(self.c, self.c, act=nn.SiLU), unit(self.c, self.c, act=nn.SiLU)) for _ in range(n)
        )

    def forward(self, x):
        y = list(self.cv1(x).chunk(2, 1))
        for m in self.m:
            y.append(y[-1] + m(y[-1]) if self.shortcut else m(y[-1]))
        return self.cv2(torch.cat(y, 1))


class Sppf(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.cv1, self.cv2, self.pool = (
            unit(c, c // 2, 1, act=nn.SiLU),
            unit(2 * c, c, 1, act=nn.SiLU),
            nn.MaxPool2d(5, 1, 2),
        )

    def forward(self, x):
        y = [self.cv1(x)]
        for _ in range(3):
            y.append(self.pool(y[-1]))
        return self.cv2(torch.cat(y, 1))


class Detect(nn.Module):
    """Boxes in pixels and class probabilities of every cell of every level."""

    bins = 16

    def __init__(self, classes, widths, strides, size):
        super().__init__()
        box, cls = max(widths[0] // 4, 4 * self.bins), max(widths[0], classes)
        self.box = nn.ModuleList(
            nn.Sequential(unit(c, box, act=nn.SiLU), unit(box, box, act=nn.SiLU), nn.Conv2d(box, 4 * self.bins, 1))
            for c in widths
        )
        self.cls = nn.ModuleList(
            nn.Sequential(unit(c, cls, act=nn.SiLU), unit(cls, cls, act=nn.SiLU), nn.Conv2d(cls, classes, 1))
            for c in widths
        )
        self.classes = classes
        self.register_buffer("project", torch.arange(self.bins, dtype=torch.float))
        anchors, scales = [], []
        for s in strides:
            axis = torch.arange(size // s) + 0.5
            y, x = torch.meshgrid(axis, axis, indexing="ij")
            anchors.append(torch.stack((x, y), -1).view(-1, 2))
            scales.append(torch.full((len(anchors[-1]), 1), float(s)))
        self.register_buffer("anchors", torch.cat(anchors).t())
        self.register_buffer("strides", torch.cat(scales).t())

    def forward(self, features):
        joined = [torch.cat((b(x), c(x)), 1).flatten(2) for b, c, x in zip(self.box, self.cls, features, strict=True)]
        box, cls = torch.cat(joined, 2).split((4 * self.bins, self.classes), 1)
        b, _, n = box.shape
        distances = box.view(b, 4, self.bins, n).softmax(2).mul(self.project.view(1, 1, -1, 1)).sum(2)
        near, far = distances.chunk(2, 1)
        low, high = self.anchors - near, self.anchors + far
        return torch.cat((torch.cat(((low + high) / 2, high - low), 1) * self.strides, cls.sigmoid()), 1)


class YoloV8(nn.Module):
    def __init__(self, widths=(16, 32, 64, 128, 256), classes=20, size=64):
        super().__init__()
        a, b, c, d, e = widths
        self.stem = nn.Sequential(unit(3, a, s=2, act=nn.SiLU), unit(a, b, s=2, act=nn.SiLU), C2f(b, b, 1, True))
        self.p3 = nn.Sequential(unit(b, c, s=2, act=nn.SiLU), C2f(c, c, 1, True))
        self.p4 = nn.Sequential(unit(c, d, s=2, act=nn.SiLU), C2f(d, d, 1, True))
        self.p5 = nn.Sequential(unit(d, e, s=2, act=nn.SiLU), C2f(e, e, 1, True), Sppf(e))
        self.n4, self.n3 = C2f(e + d, d, 1, False), C2f(d + c, c, 1, False)
        self.d3, self.m4 = unit(c, c, s=2, act=nn.SiLU), C2f(c + d, d, 1, False)
        self.d4, self.m5 = unit(d, d, s=2, act=nn.SiLU), C2f(d + e, e, 1, False)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.detect = Detect(classes, (c, d, e), (8, 16, 32), size)

    def forward(self, x):
        p3 = self.p3(self.stem(x))
        p4 = self.p4(p3)
        p5 = self.p5(p4)
        n4 = self.n4(torch.cat((self.up(p5), p4), 1))
        n3 = self.n3(torch.cat((self.up(n4), p3), 1))
        m4 = self.m4(torch.cat((self.d3(n3), n4), 1))
        return self.detect((n3, m4, self.m5(torch.cat((self.d4(m4), p5), 1))))


specimen("f32[1, 3, 64, 64]", name="yolov8n", note="64x64, one block a stage, 20 classes")(YoloV8)


# -- DiT (Peebles and Xie, 2023): a diffusion transformer with adaptive layer norm


def modulate(x, shift, scale):
    return x * (1 + scale.unsqueeze(1)) + shift.unsqueeze(1)


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.qkv, self.proj = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, c))


class DitBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(width, elementwise_affine=False, eps=1e-6) for _ in range(2))
        self.attn = Attention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width))
        self.ada = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))

    def forward(self, x, c):
        shift1, scale1, gate1, shift2, scale2, gate2 = self.ada(c).chunk(6, dim=1)
        x = x + gate1.unsqueeze(1) * self.attn(modulate(self.norm1(x), shift1, scale1))
        return x + gate2.unsqueeze(1) * self.mlp(modulate(self.norm2(x), shift2, scale2))


class DiT(nn.Module):
    def __init__(self, width=96, heads=3, depth=4, size=16, patch=2, channels=4, classes=10):
        super().__init__()
        self.patch, self.grid, self.channels = patch, size // patch, channels
        self.embed = nn.Conv2d(channels, width, patch, patch)
        self.pos = nn.Parameter(torch.randn(1, self.grid**2, width) * 0.02, requires_grad=False)
        self.time = nn.Sequential(nn.Linear(64, width), nn.SiLU(), nn.Linear(width, width))
        self.label = nn.Embedding(classes + 1, width)
        self.blocks = nn.ModuleList(DitBlock(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.ada = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))
        self.out = nn.Linear(width, patch * patch * 2 * channels)

    def frequencies(self, t):
        steps = torch.exp(-math.log(10000) * torch.arange(32, dtype=torch.float32) / 32)
        angles = t[:, None].float() * steps[None]
        return torch.cat((torch.cos(angles), torch.sin(angles)), dim=-1)

    def forward(self, x, t, y):
        x = self.embed(x).flatten(2).transpose(1, 2) + self.pos
        c = self.time(self.frequencies(t)) + self.label(y)
        for block in self.blocks:
            x = block(x, c)
        shift, scale = self.ada(c).chunk(2, dim=1)
        x = self.out(modulate(self.norm(x), shift, scale))
        x = x.reshape(x.shape[0], self.grid, self.grid, self.patch, self.patch, 2 * self.channels)
        x = torch.einsum("nhwpqc->nchpwq", x)
        return x.reshape(x.shape[0], 2 * self.channels, self.grid * self.patch, self.grid * self.patch)


specimen("f32[1, 4, 16, 16]", "i64[1]", "i64[1]", name="dit-4L", high=(1, 50, 10), note="4 blocks of width 96")(DiT)


# -- a ViT that drops tokens (as EViT, Liang et al., 2022): those that the class token attends to least are merged


class SelectingBlock(nn.Module):
    def __init__(self, width, heads, keep):
        super().__init__()
        self.heads, self.keep = heads, keep
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = self.qkv(self.norm1(x)).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        a = (q @ k.transpose(-2, -1) * (c // self.heads) ** -0.5).softmax(-1)
        x = x + self.proj((a @ v).transpose(1, 2).reshape(b, n, c))
        if self.keep:
            scores = a[:, :, 0, 1:].mean(1)
            _, best = torch.topk(scores, self.keep, dim=1)
            kept = torch.gather(x[:, 1:], 1, best.unsqueeze(-1).expand(-1, -1, c))
            rest = scores.scatter(1, best, 0.0)
            x = torch.cat((x[:, :1], kept, (x[:, 1:] * rest.unsqueeze(-1)).sum(1, keepdim=True)), 1)
        return x + self.mlp(self.norm2(x))


@specimen(
    "f32[1, 3, 64, 64]", name="token-selector vit", note="4 blocks of width 96, 64 tokens of which 32 and 16 stay"
)
class SelectorVit(nn.Module):
    def __init__(self, width=96, heads=3):
        super().__init__()
        self.patch = nn.Conv2d(3, width, 8, 8)
        self.cls, self.pos = nn.Parameter(torch.randn(1, 1, width)), nn.Parameter(torch.randn(1, 65, width) * 0.1)
        self.blocks = nn.Sequential(*(SelectingBlock(width, heads, keep) for keep in (0, 32, 16, 0)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.cls.expand(x.shape[0], -1, -1), x), 1) + self.pos
        return self.head(self.norm(self.blocks(x))[:, 0])


# -- recurrent networks


class Recurrent(nn.Module):
    def __init__(self, kind, width, **options):
        super().__init__()
        self.rnn = kind(16, width, batch_first=True, **options)
        self.head = nn.Linear(width * (2 if options.get("bidirectional") else 1), 5)

    def forward(self, x):
        return self.head(self.rnn(x)[0])


specimen("f32[1, 20, 16]", name="lstm-2L")(lambda: Recurrent(nn.LSTM, 32, num_layers=2))
specimen("f32[1, 20, 16]", name="bilstm")(lambda: Recurrent(nn.LSTM, 32, bidirectional=True))
specimen("f32[1, 20, 16]", name="gru-2L")(lambda: Recurrent(nn.GRU, 32, num_layers=2))
specimen("f32[1, 20, 16]", name="rnn-relu")(lambda: Recurrent(nn.RNN, 32, nonlinearity="relu"))


# -- DeiT-Tiny and a BERT encoder, as accelerators


@specimen("f32[1, 3, 64, 64]", name="deit-tiny/4", hardware=True, note="4 of 12 blocks, 64x64")
def deit_tiny():
    return VisionTransformer(192, 3, 4, 10, 64, 16)


@specimen("i64[1, 16]", "i64[1, 16]", name="bert-encoder", high=(100, 2), hardware=True, note="2 blocks of width 64")
def bert_encoder():
    return Bert(100, 32, 2, 64, 2)


@specimen("f32[1, 3, 32, 32]", name="resnet18/32", hardware=True, note="32x32")
def resnet18():
    return ResNet(BasicBlock, (2, 2, 2, 2), 10)


@specimen("f32[1, 3, 32, 32]", name="mobilenet_v2/32", hardware=True, note="32x32")
def mobilenet_v2():
    return MobileNetV2(10)
