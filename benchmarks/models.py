"""The shapes of well-known models with random weights: for speed, size and numerics, never for accuracy.

Own code with the module names that torchvision (ResNet, MobileNetV2), timm (DeiT) and transformers (BERT) use, so
that reports read as their users expect. Weights depend on the seed only. Batch norms get statistics that are not
trivial, so that folding them wrongly shows.

    module = MODELS["resnet18"].build()
    inputs = MODELS["resnet18"].inputs          # {"x": "f32[1, 3, 224, 224]"}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLASSES = 1000


def _seeded(module: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Build a module with weights that depend on `seed` alone; batch norms get random statistics."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = module()
        for m in built.modules():
            if isinstance(m, nn.BatchNorm2d):
                nn.init.normal_(m.running_mean, std=0.1)
                nn.init.uniform_(m.running_var, 0.5, 1.5)
                nn.init.uniform_(m.weight, 0.5, 1.5)
                nn.init.normal_(m.bias, std=0.1)
            elif isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
    return built.eval()


# -- ResNet (He et al., 2015; stride in the 3x3 convolution as in torchvision)


def _conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)


def _conv1x1(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 1, stride, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = _conv3x3(inputs, width, stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = _conv3x3(width, width)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1 = _conv1x1(inputs, width)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3x3(width, width, stride)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = _conv1x1(width, width * self.expansion)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class ResNet(nn.Module):
    """f32[b, 3, H, W] -> f32[b, classes]"""

    def __init__(self, block: type[BasicBlock | Bottleneck], depths: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self._channels = 64
        self.layer1 = self._layer(block, 64, depths[0], 1)
        self.layer2 = self._layer(block, 128, depths[1], 2)
        self.layer3 = self._layer(block, 256, depths[2], 2)
        self.layer4 = self._layer(block, 512, depths[3], 2)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(self._channels, classes)

    def _layer(self, block: type[BasicBlock | Bottleneck], width: int, depth: int, stride: int) -> nn.Sequential:
        outputs = width * block.expansion
        blocks: list[nn.Module] = []
        for i in range(depth):
            step = stride if i == 0 else 1
            downsample = None
            if step != 1 or self._channels != outputs:
                downsample = nn.Sequential(_conv1x1(self._channels, outputs, step), nn.BatchNorm2d(outputs))
            blocks.append(block(self._channels, width, step, downsample))
            self._channels = outputs
        return nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


def resnet18(classes: int = CLASSES, seed: int = 0) -> nn.Module:
    """11.7 M parameters."""
    return _seeded(lambda: ResNet(BasicBlock, (2, 2, 2, 2), classes), seed)


def resnet50(classes: int = CLASSES, seed: int = 0) -> nn.Module:
    """25.6 M parameters."""
    return _seeded(lambda: ResNet(Bottleneck, (3, 4, 6, 3), classes), seed)


# -- MobileNetV2 (Sandler et al., 2018)


class Conv2dNormActivation(nn.Sequential):
    """Convolution, batch norm, ReLU6."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU6(inplace=True),
        )


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, linear projection; a shortcut where the shape stays."""

    def __init__(self, inputs: int, outputs: int, stride: int, expand: int) -> None:
        super().__init__()
        hidden = inputs * expand
        self.shortcut = stride == 1 and inputs == outputs
        layers: list[nn.Module] = [Conv2dNormActivation(inputs, hidden, kernel=1)] if expand != 1 else []
        layers += [
            Conv2dNormActivation(hidden, hidden, stride=stride, groups=hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.shortcut else self.conv(x)


class MobileNetV2(nn.Module):
    """f32[b, 3, H, W] -> f32[b, classes]"""

    #             expand, channels, repeats, stride
    settings = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )

    def __init__(self, classes: int) -> None:
        super().__init__()
        channels = 32
        features: list[nn.Module] = [Conv2dNormActivation(3, channels, stride=2)]
        for expand, outputs, repeats, stride in self.settings:
            for i in range(repeats):
                features.append(InvertedResidual(channels, outputs, stride if i == 0 else 1, expand))
                channels = outputs
        features.append(Conv2dNormActivation(channels, 1280, kernel=1))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, classes))

    def forward(self, x: Tensor) -> Tensor:
        x = F.adaptive_avg_pool2d(self.features(x), (1, 1))
        return self.classifier(torch.flatten(x, 1))


def mobilenet_v2(classes: int = CLASSES, seed: int = 0) -> nn.Module:
    """3.5 M parameters."""
    return _seeded(lambda: MobileNetV2(classes), seed)


# -- DeiT (Touvron et al., 2020): a ViT with a class token


class PatchEmbed(nn.Module):
    """Image to patch tokens."""

    def __init__(self, patch: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, stride=patch)

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x).flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """Multi-head self-attention with one projection for queries, keys and values."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.num_heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        qkv = self.qkv(x).reshape(batch, tokens, 3, self.num_heads, width // self.num_heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        x = F.scaled_dot_product_attention(q, k, v)
        return self.proj(x.transpose(1, 2).reshape(batch, tokens, width))


class Mlp(nn.Module):
    """Two linear layers with GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


class Block(nn.Module):
    """A pre-norm encoder block."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width, 4 * width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    """f32[b, 3, image, image] -> f32[b, classes]"""

    def __init__(self, width: int, heads: int, depth: int, classes: int, image: int, patch: int) -> None:
        super().__init__()
        self.patch_embed = PatchEmbed(patch, width)
        self.cls_token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.pos_embed = nn.Parameter(torch.randn(1, (image // patch) ** 2 + 1, width) * 0.02)
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x)
        x = torch.cat((self.cls_token.expand(x.shape[0], -1, -1), x), dim=1) + self.pos_embed
        x = self.norm(self.blocks(x))
        return self.head(x[:, 0])


def deit_tiny(classes: int = CLASSES, seed: int = 0, depth: int = 12) -> nn.Module:
    """DeiT-T/16 at 224: 5.7 M parameters, 197 tokens of width 192."""
    return _seeded(lambda: VisionTransformer(192, 3, depth, classes, 224, 16), seed)


def deit_small(classes: int = CLASSES, seed: int = 0, depth: int = 12) -> nn.Module:
    """DeiT-S/16 at 224: 22 M parameters, 197 tokens of width 384."""
    return _seeded(lambda: VisionTransformer(384, 6, depth, classes, 224, 16), seed)


# -- BERT (Devlin et al., 2018): token ids and a padding mask in, hidden states and the pooled first token out


class BertEmbeddings(nn.Module):
    """Word, position and segment embeddings."""

    def __init__(self, vocabulary: int, positions: int, width: int) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(vocabulary, width)
        self.position_embeddings = nn.Embedding(positions, width)
        self.token_type_embeddings = nn.Embedding(2, width)
        self.LayerNorm = nn.LayerNorm(width, eps=1e-12)

    def forward(self, input_ids: Tensor) -> Tensor:
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)
        segments = torch.zeros_like(input_ids)
        x = self.word_embeddings(input_ids) + self.token_type_embeddings(segments)
        return self.LayerNorm(x + self.position_embeddings(positions))


class BertSelfAttention(nn.Module):
    """Attention with a padding mask."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)

    def _split(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = (self._split(layer(x)) for layer in (self.query, self.key, self.value))
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return out.transpose(1, 2).reshape(x.shape)


class BertOutput(nn.Module):
    """A linear layer, the residual sum, layer norm."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, width)
        self.LayerNorm = nn.LayerNorm(width, eps=1e-12)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        return self.LayerNorm(self.dense(x) + residual)


class BertAttention(nn.Module):
    """Attention and its output layer."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.self = BertSelfAttention(width, heads)
        self.output = BertOutput(width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.output(self.self(x, mask), x)


class BertIntermediate(nn.Module):
    """The widening half of the feed-forward part."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, hidden)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.dense(x))


class BertLayer(nn.Module):
    """A post-norm encoder layer."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.attention = BertAttention(width, heads)
        self.intermediate = BertIntermediate(width, hidden)
        self.output = BertOutput(hidden, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.attention(x, mask)
        return self.output(self.intermediate(x), x)


class BertEncoder(nn.Module):
    """The layers."""

    def __init__(self, depth: int, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.layer = nn.ModuleList(BertLayer(width, heads, hidden) for _ in range(depth))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        for layer in self.layer:
            x = layer(x, mask)
        return x


class BertPooler(nn.Module):
    """The first token, transformed."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.dense(x[:, 0]))


class Bert(nn.Module):
    """i64[b, n], i64[b, n] -> f32[b, n, width], f32[b, width]"""

    def __init__(self, vocabulary: int, positions: int, depth: int, width: int, heads: int) -> None:
        super().__init__()
        self.embeddings = BertEmbeddings(vocabulary, positions, width)
        self.encoder = BertEncoder(depth, width, heads, 4 * width)
        self.pooler = BertPooler(width)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        mask = (attention_mask != 0)[:, None, None, :]
        hidden = self.encoder(self.embeddings(input_ids), mask)
        return hidden, self.pooler(hidden)


def bert_base(seed: int = 0) -> nn.Module:
    """110 M parameters."""
    return _seeded(lambda: Bert(30522, 512, 12, 768, 12), seed)


def minilm(seed: int = 0) -> nn.Module:
    """The shape of all-MiniLM-L6-v2: 6 layers of width 384, 22 M parameters."""
    return _seeded(lambda: Bert(30522, 512, 6, 384, 12), seed)


def bert_mini(seed: int = 0) -> nn.Module:
    """4 layers of width 256, 11 M parameters."""
    return _seeded(lambda: Bert(30522, 512, 4, 256, 4), seed)


@dataclass(frozen=True)
class Entry:
    """A builder and the types of the inputs of a model."""

    build: Callable[[], nn.Module]
    inputs: Mapping[str, str]


_IMAGE = {"x": "f32[1, 3, 224, 224]"}
_TEXT = {"input_ids": "i64[1, 128]", "attention_mask": "i64[1, 128]"}
MODELS: dict[str, Entry] = {
    "resnet18": Entry(resnet18, _IMAGE),
    "resnet50": Entry(resnet50, _IMAGE),
    "mobilenet_v2": Entry(mobilenet_v2, _IMAGE),
    "deit_tiny": Entry(deit_tiny, _IMAGE),
    "deit_small": Entry(deit_small, _IMAGE),
    "minilm": Entry(minilm, _TEXT),
    "bert_mini": Entry(bert_mini, _TEXT),
    "bert_base": Entry(bert_base, _TEXT),
}
