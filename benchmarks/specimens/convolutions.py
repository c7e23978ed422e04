"""Convolutional networks: images, sound, segmentation."""

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.specimens.catalogue import specimen


def cbr(i, o, k=3, s=1, g=1, act=nn.ReLU, p=None):
    return nn.Sequential(
        nn.Conv2d(i, o, k, s, k // 2 if p is None else p, groups=g, bias=False), nn.BatchNorm2d(o), act()
    )


@specimen("f32[1, 1, 28, 28]")
class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1, self.c2 = nn.Conv2d(1, 6, 5), nn.Conv2d(6, 16, 5)
        self.f1, self.f2, self.f3 = nn.Linear(256, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(torch.tanh(self.c1(x)), 2)
        x = F.avg_pool2d(torch.sigmoid(self.c2(x)), 2)
        x = torch.flatten(x, 1)
        return self.f3(F.relu(self.f2(F.relu(self.f1(x)))))


@specimen("f32[1, 3, 16, 16]")
def Vgg():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(True),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.ReLU(True),
        nn.MaxPool2d(2, 2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(True),
        nn.MaxPool2d(2, 2),
        nn.AdaptiveAvgPool2d((2, 2)),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(64, 32),
        nn.ReLU(True),
        nn.Dropout(),
        nn.Linear(32, 10),
    )


class Res(nn.Module):
    def __init__(self, i, o, s, shortcut):
        super().__init__()
        self.a, self.b = cbr(i, o, 3, s), nn.Sequential(nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o))
        self.i, self.o, self.s, self.kind = i, o, s, shortcut
        self.d = nn.Sequential(nn.Conv2d(i, o, 1, s, bias=False), nn.BatchNorm2d(o)) if shortcut == "conv" else None

    def forward(self, x):
        y = self.b(self.a(x))
        if self.d is not None:
            x = self.d(x)
        elif self.kind == "pad":
            x = F.pad(x[:, :, :: self.s, :: self.s], (0, 0, 0, 0, (self.o - self.i) // 2, (self.o - self.i) // 2))
        elif self.kind == "pool":
            x = torch.cat(
                [
                    F.avg_pool2d(x, self.s, ceil_mode=True, count_include_pad=False),
                    torch.zeros_like(F.avg_pool2d(x, self.s)),
                ],
                1,
            )
        y += x
        return F.relu(y)


@specimen("f32[1, 3, 16, 16]")
def ResNetConv():
    return nn.Sequential(
        cbr(3, 8), Res(8, 8, 1, "id"), Res(8, 16, 2, "conv"), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)
    )


@specimen("f32[1, 3, 16, 16]")
def ResNetPad():
    return nn.Sequential(
        cbr(3, 8), Res(8, 8, 1, "id"), Res(8, 16, 2, "pad"), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)
    )


@specimen("f32[1, 3, 16, 16]")
def ResNetPool():
    return nn.Sequential(cbr(3, 8), Res(8, 16, 2, "pool"), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))


@specimen("f32[1, 3, 16, 16]")
class PreActResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.bn1, self.c1, self.bn2, self.c2 = (
            nn.BatchNorm2d(8),
            nn.Conv2d(8, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.Conv2d(8, 8, 3, padding=1),
        )
        self.bn3, self.fc = nn.BatchNorm2d(8), nn.Linear(8, 10)

    def forward(self, x):
        x = self.stem(x)
        x = x + self.c2(F.relu(self.bn2(self.c1(F.relu(self.bn1(x))))))
        return self.fc(F.relu(self.bn3(x)).mean((2, 3)))


class InvRes(nn.Module):
    def __init__(self, i, o, s, e, act=nn.ReLU6, se=None, k=3):
        super().__init__()
        h = i * e
        self.use = s == 1 and i == o
        layers = [cbr(i, h, 1, act=act)] if e != 1 else []
        layers.append(cbr(h, h, k, s, h, act))
        if se:
            layers.append(se(h))
        layers += [nn.Conv2d(h, o, 1, bias=False), nn.BatchNorm2d(o)]
        self.conv = nn.Sequential(*layers)

    def forward(self, x):
        return x + self.conv(x) if self.use else self.conv(x)


@specimen("f32[1, 3, 16, 16]")
def MobileNetV1():
    def dw(i, o, s):
        return nn.Sequential(cbr(i, i, 3, s, i), cbr(i, o, 1))

    return nn.Sequential(cbr(3, 8, 3, 2), dw(8, 16, 1), dw(16, 16, 2), nn.AvgPool2d(4), nn.Flatten(), nn.Linear(16, 10))


@specimen("f32[1, 3, 16, 16]")
def MobileNetV2():
    return nn.Sequential(
        cbr(3, 8, 3, 2, act=nn.ReLU6),
        InvRes(8, 8, 1, 1),
        InvRes(8, 12, 2, 4),
        InvRes(12, 12, 1, 4),
        cbr(12, 32, 1, act=nn.ReLU6),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(32, 10),
    )


class SE(nn.Module):
    def __init__(self, c, r=4, gate=nn.Hardsigmoid, act=nn.ReLU):
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc1, self.fc2, self.act, self.gate = nn.Conv2d(c, c // r, 1), nn.Conv2d(c // r, c, 1), act(), gate()

    def forward(self, x):
        return x * self.gate(self.fc2(self.act(self.fc1(self.pool(x)))))


class SELinear(nn.Module):
    def __init__(self, c, r=4):
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(c, c // r), nn.ReLU(True), nn.Linear(c // r, c), nn.Sigmoid())

    def forward(self, x):
        b, c, _, _ = x.size()
        y = F.adaptive_avg_pool2d(x, 1).view(b, c)
        return x * self.fc(y).view(b, c, 1, 1).expand_as(x)


@specimen("f32[1, 3, 16, 16]")
def MobileNetV3():
    return nn.Sequential(
        cbr(3, 8, 3, 2, act=nn.Hardswish),
        InvRes(8, 8, 1, 2, nn.ReLU, SE),
        InvRes(8, 12, 2, 4, nn.Hardswish, SE, 5),
        InvRes(12, 12, 1, 4, nn.Hardswish, SE, 5),
        cbr(12, 32, 1, act=nn.Hardswish),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 32),
        nn.Hardswish(),
        nn.Dropout(0.2),
        nn.Linear(32, 10),
    )


@specimen("f32[1, 3, 16, 16]")
def EfficientNet():
    def se(c):
        return SE(c, 4, nn.Sigmoid, nn.SiLU)

    return nn.Sequential(
        cbr(3, 8, 3, 2, act=nn.SiLU),
        InvRes(8, 8, 1, 1, nn.SiLU, se),
        InvRes(8, 12, 2, 4, nn.SiLU, se),
        InvRes(12, 12, 1, 4, nn.SiLU, se, 5),
        cbr(12, 32, 1, act=nn.SiLU),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


@specimen("f32[1, 3, 12, 12]")
def SENet():
    return nn.Sequential(cbr(3, 16), SELinear(16), cbr(16, 16), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(16, 5))


@specimen("f32[1, 3, 16, 16]")
class DenseNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.bn = nn.ModuleList(nn.BatchNorm2d(8 + 4 * i) for i in range(3))
        self.conv = nn.ModuleList(nn.Conv2d(8 + 4 * i, 4, 3, padding=1, bias=False) for i in range(3))
        self.tbn, self.tconv, self.tpool = nn.BatchNorm2d(20), nn.Conv2d(20, 10, 1), nn.AvgPool2d(2)
        self.nbn, self.fc = nn.BatchNorm2d(10), nn.Linear(10, 10)

    def forward(self, x):
        features = [self.stem(x)]
        for bn, conv in zip(self.bn, self.conv, strict=True):
            features.append(conv(F.relu(bn(torch.cat(features, 1)))))
        x = self.tpool(self.tconv(F.relu(self.tbn(torch.cat(features, 1)))))
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(F.relu(self.nbn(x), inplace=True), (1, 1)), 1))


@specimen("f32[1, 3, 16, 16]")
class Inception(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = cbr(3, 8)
        self.b1, self.b2, self.b3 = (
            cbr(8, 4, 1),
            nn.Sequential(cbr(8, 4, 1), cbr(4, 8, 3)),
            nn.Sequential(cbr(8, 4, 1), cbr(4, 4, 5)),
        )
        self.b4 = nn.Sequential(nn.MaxPool2d(3, 1, 1), cbr(8, 4, 1))
        self.b5 = nn.Sequential(
            nn.AvgPool2d(3, 1, 1), nn.Conv2d(8, 4, (1, 3), padding=(0, 1)), nn.Conv2d(4, 4, (3, 1), padding=(1, 0))
        )
        self.fc = nn.Linear(24, 10)

    def forward(self, x):
        x = self.stem(x)
        x = torch.cat([self.b1(x), self.b2(x), self.b3(x), self.b4(x), self.b5(x)], dim=1)
        return self.fc(x.mean([2, 3]))


class ShuffleUnit(nn.Module):
    def __init__(self, c):
        super().__init__()
        h = c // 2
        self.b = nn.Sequential(
            cbr(h, h, 1), nn.Conv2d(h, h, 3, 1, 1, groups=h, bias=False), nn.BatchNorm2d(h), cbr(h, h, 1)
        )

    def forward(self, x):
        x1, x2 = x.chunk(2, dim=1)
        out = torch.cat((x1, self.b(x2)), dim=1)
        b, c, h, w = out.shape
        return out.view(b, 2, c // 2, h, w).transpose(1, 2).contiguous().view(b, -1, h, w)


@specimen("f32[1, 3, 16, 16]")
def ShuffleNet():
    return nn.Sequential(
        cbr(3, 8, 3, 2),
        ShuffleUnit(8),
        ShuffleUnit(8),
        cbr(8, 16, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 10),
    )


@specimen("f32[1, 3, 16, 16]")
def GroupShuffleNet():
    return nn.Sequential(
        cbr(3, 8, 3, 2),
        nn.Conv2d(8, 16, 1, groups=4),
        nn.ChannelShuffle(4),
        nn.Conv2d(16, 16, 3, padding=1, groups=4),
        nn.ReLU(),
        nn.AvgPool2d(8),
        nn.Flatten(),
        nn.Linear(16, 10),
    )


class Fire(nn.Module):
    def __init__(self, i, s, e):
        super().__init__()
        self.s, self.e1, self.e3 = nn.Conv2d(i, s, 1), nn.Conv2d(s, e, 1), nn.Conv2d(s, e, 3, padding=1)

    def forward(self, x):
        x = F.relu(self.s(x))
        return torch.cat([F.relu(self.e1(x)), F.relu(self.e3(x))], 1)


@specimen("f32[1, 3, 17, 17]")
def SqueezeNet():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2),
        nn.ReLU(True),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        Fire(8, 4, 8),
        Fire(16, 4, 8),
        nn.Dropout(0.5),
        nn.Conv2d(16, 10, 1),
        nn.ReLU(True),
        nn.AdaptiveAvgPool2d((1, 1)),
        nn.Flatten(),
    )


class UNet(nn.Module):
    def __init__(self, up):
        super().__init__()
        self.d1, self.d2 = cbr(1, 6), cbr(6, 12)
        self.up = (
            nn.ConvTranspose2d(12, 6, 2, 2)
            if up == "transposed"
            else nn.Sequential(
                nn.Upsample(scale_factor=2, mode=up, **({"align_corners": True} if up == "bilinear" else {})),
                nn.Conv2d(12, 6, 1),
            )
        )
        self.u1, self.out = cbr(12, 6), nn.Conv2d(6, 2, 1)

    def forward(self, x):
        a = self.d1(x)
        b = self.d2(F.max_pool2d(a, 2))
        return self.out(self.u1(torch.cat([self.up(b), a], 1)))


for _up in ("transposed", "nearest", "bilinear"):
    specimen("f32[1, 1, 12, 12]", name=f"UNet_{_up}")(lambda up=_up: UNet(up))


class LayerNormFirst(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.weight, self.bias, self.eps = nn.Parameter(torch.ones(c)), nn.Parameter(torch.zeros(c)), 1e-6

    def forward(self, x):
        u = x.mean(1, keepdim=True)
        s = (x - u).pow(2).mean(1, keepdim=True)
        x = (x - u) / torch.sqrt(s + self.eps)
        return self.weight[:, None, None] * x + self.bias[:, None, None]


class CNBlock(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.dw, self.norm, self.p1, self.act, self.p2 = (
            nn.Conv2d(c, c, 7, padding=3, groups=c),
            nn.LayerNorm(c, eps=1e-6),
            nn.Linear(c, 4 * c),
            nn.GELU(),
            nn.Linear(4 * c, c),
        )
        self.gamma = nn.Parameter(0.1 * torch.ones(c))

    def forward(self, x):
        y = self.dw(x).permute(0, 2, 3, 1)
        y = self.gamma * self.p2(self.act(self.p1(self.norm(y))))
        return x + y.permute(0, 3, 1, 2)


@specimen("f32[1, 3, 16, 16]")
def ConvNeXt():
    return nn.Sequential(
        nn.Conv2d(3, 8, 4, 4),
        LayerNormFirst(8),
        CNBlock(8),
        LayerNormFirst(8),
        nn.Conv2d(8, 16, 2, 2),
        CNBlock(16),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(1),
        nn.LayerNorm(16),
        nn.Linear(16, 10),
    )


class Permute(nn.Module):
    def __init__(self, *d):
        super().__init__()
        self.d = d

    def forward(self, x):
        return torch.permute(x, self.d)


@specimen("f32[1, 3, 16, 16]")
def ConvNeXtTv():
    return nn.Sequential(
        nn.Conv2d(3, 8, 4, 4),
        Permute(0, 2, 3, 1),
        nn.LayerNorm(8),
        Permute(0, 3, 1, 2),
        CNBlock(8),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(1),
        nn.LayerNorm(8),
        nn.Linear(8, 10),
    )


@specimen("f32[1, 1, 400]")
def Kws1d():
    return nn.Sequential(
        nn.Conv1d(1, 8, 16, 4),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.MaxPool1d(4),
        nn.Conv1d(8, 16, 3),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.MaxPool1d(4),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(16, 12),
        nn.LogSoftmax(dim=1),
    )


@specimen("f32[1, 1, 49, 10]")
def DsCnn():
    def ds():
        return nn.Sequential(cbr(16, 16, 3, 1, 16), cbr(16, 16, 1))

    return nn.Sequential(
        nn.Conv2d(1, 16, (10, 4), (2, 2), (5, 1)),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Dropout(0.2),
        ds(),
        ds(),
        nn.AdaptiveAvgPool2d((1, 1)),
        nn.Flatten(),
        nn.Linear(16, 12),
    )


class Temporal(nn.Module):
    def __init__(self, i, o, d):
        super().__init__()
        wn = torch.nn.utils.parametrizations.weight_norm
        self.c1, self.c2, self.d = (
            wn(nn.Conv1d(i, o, 3, padding=2 * d, dilation=d)),
            wn(nn.Conv1d(o, o, 3, padding=2 * d, dilation=d)),
            d,
        )
        self.down = nn.Conv1d(i, o, 1) if i != o else None

    def forward(self, x):
        y = F.relu(self.c1(x)[:, :, : -2 * self.d].contiguous())
        y = F.dropout(F.relu(self.c2(y)[:, :, : -2 * self.d]), 0.1, self.training)
        return F.relu(y + (x if self.down is None else self.down(x)))


@specimen("f32[1, 4, 32]")
class Tcn(nn.Module):
    def __init__(self):
        super().__init__()
        self.net, self.fc = nn.Sequential(Temporal(4, 8, 1), Temporal(8, 8, 2), Temporal(8, 8, 4)), nn.Linear(8, 5)

    def forward(self, x):
        return self.fc(self.net(x)[:, :, -1])


@specimen("f32[1, 4, 32]")
class WaveNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.front = nn.Conv1d(4, 8, 1)
        self.f = nn.ModuleList(nn.Conv1d(8, 8, 2, dilation=2**i) for i in range(3))
        self.g = nn.ModuleList(nn.Conv1d(8, 8, 2, dilation=2**i) for i in range(3))
        self.r = nn.ModuleList(nn.Conv1d(8, 8, 1) for i in range(3))
        self.out = nn.Conv1d(8, 6, 1)

    def forward(self, x):
        x = self.front(x)
        skip = 0
        for i, (f, g, r) in enumerate(zip(self.f, self.g, self.r, strict=True)):
            p = F.pad(x, (2**i, 0))
            z = torch.tanh(f(p)) * torch.sigmoid(g(p))
            s = r(z)
            skip = skip + s
            x = x + s
        return self.out(F.relu(skip))


@specimen("f32[1, 1, 16, 16]")
class ConvAutoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.enc = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 4, 3, 2, 1), nn.ReLU())
        self.dec = nn.Sequential(
            nn.ConvTranspose2d(4, 8, 3, 2, 1, output_padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(8, 1, 4, 2, 1),
            nn.Sigmoid(),
        )

    def forward(self, x):
        return self.dec(self.enc(x))


@specimen("f32[1, 3, 8, 8]")
def SuperRes():
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.PReLU(16), nn.Conv2d(16, 12, 3, padding=1), nn.PixelShuffle(2)
    )


@specimen("f32[1, 3, 16, 16]")
class YoloLike(nn.Module):
    def __init__(self):
        super().__init__()
        self.b1, self.b2 = (
            cbr(3, 8, 3, 2, act=lambda: nn.LeakyReLU(0.1)),
            cbr(8, 16, 3, 2, act=lambda: nn.LeakyReLU(0.1)),
        )
        self.lat, self.h1, self.h2 = nn.Conv2d(16, 8, 1), nn.Conv2d(8, 6, 1), nn.Conv2d(16, 6, 1)

    def forward(self, x):
        a = self.b1(x)
        b = self.b2(a)
        p = self.b1[2](a + F.interpolate(self.lat(b), size=a.shape[-2:], mode="nearest"))
        return {"small": self.h2(b), "large": self.h1(p)}


@specimen("f32[1, 3, 16, 16]")
class Aspp(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = cbr(3, 8)
        self.b = nn.ModuleList(
            [cbr(8, 4, 1)]
            + [
                nn.Sequential(nn.Conv2d(8, 4, 3, padding=d, dilation=d, bias=False), nn.BatchNorm2d(4), nn.ReLU())
                for d in (2, 4)
            ]
        )
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 4, 1), nn.ReLU())
        self.proj = nn.Conv2d(16, 3, 1)

    def forward(self, x):
        x = self.stem(x)
        size = x.shape[-2:]
        ys = [b(x) for b in self.b] + [F.interpolate(self.pool(x), size=size, mode="bilinear", align_corners=False)]
        return self.proj(torch.cat(ys, 1)).argmax(1)


@specimen("f32[1, 3, 12, 12]")
class NormZoo(nn.Module):
    def __init__(self):
        super().__init__()
        self.c1, self.gn, self.c2, self.inn = (
            nn.Conv2d(3, 8, 3, padding=1),
            nn.GroupNorm(2, 8),
            nn.Conv2d(8, 8, 3, padding=1, padding_mode="reflect"),
            nn.InstanceNorm2d(8, affine=True),
        )
        self.c3 = nn.Conv2d(8, 4, 3, padding="same", padding_mode="replicate")

    def forward(self, x):
        x = F.mish(self.gn(self.c1(x)))
        x = F.softplus(self.inn(self.c2(x)))
        return self.c3(x).amax((2, 3))


@specimen("f32[1, 3, 12, 12]")
def GroupNormNet():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.GroupNorm(4, 8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, 2, 1),
        nn.GroupNorm(1, 8),
        nn.ELU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 3),
    )


@specimen("f32[1, 1, 8, 12, 12]")
def Conv3d():
    return nn.Sequential(
        nn.Conv3d(1, 4, 3, padding=1),
        nn.BatchNorm3d(4),
        nn.ReLU(),
        nn.MaxPool3d(2),
        nn.AdaptiveAvgPool3d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    )


@specimen("f32[1, 3, 16, 16]")
class Csp(nn.Module):
    def __init__(self):
        super().__init__()
        self.cv1, self.cv2, self.m = (
            cbr(3, 8, 1, act=nn.SiLU),
            cbr(16, 8, 1, act=nn.SiLU),
            nn.ModuleList(cbr(4, 4, 3, act=nn.SiLU) for _ in range(2)),
        )
        self.sppf = nn.MaxPool2d(5, 1, 2)
        self.h = cbr(32, 8, 1, act=nn.SiLU)

    def forward(self, x):
        y = list(self.cv1(x).split((4, 4), 1))
        y.extend(m(y[-1]) for m in self.m)
        x = self.cv2(torch.cat(y, 1))
        z = [x]
        z.extend(self.sppf(z[-1]) for _ in range(3))
        return self.h(torch.cat(z, 1))
