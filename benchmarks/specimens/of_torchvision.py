"""Models of the package torchvision with random weights."""

import torchvision
from torch import nn

from benchmarks.specimens.catalogue import specimen


class Output(nn.Module):
    """A segmentation network without its auxiliary output."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x)["out"]


def model(name, size=64, kind="f32[1, 3, {0}, {0}]", note="", **options):
    build = getattr(torchvision.models, name, None) or getattr(torchvision.models.video, name)
    told = f"{size}x{size}{f'; {note}' if note else ''}"
    specimen(kind.format(size), name=f"tv/{name}", note=told)(lambda: build(weights=None, num_classes=10, **options))


def segmentation(name, **options):
    build = getattr(torchvision.models.segmentation, name)

    def whole():
        return Output(build(weights=None, weights_backbone=None, num_classes=5, **options))

    specimen("f32[1, 3, 64, 64]", name=f"tv/{name}", note="64x64")(whole)


model("googlenet", init_weights=False, aux_logits=False)
model("shufflenet_v2_x0_5")
model("squeezenet1_1")
model("mobilenet_v3_large")
model("mnasnet0_5")
model("regnet_x_400mf")
segmentation("lraspp_mobilenet_v3_large")
segmentation("deeplabv3_mobilenet_v3_large")


@specimen("f32[1, 3, 64, 64]", name="tv/fcn_resnet50", note="64x64, one block a stage")
def fcn_resnet50():
    kept = torchvision.models.ResNet(
        torchvision.models.resnet.Bottleneck, [1, 1, 1, 1], replace_stride_with_dilation=[False, True, True]
    )
    features = torchvision.models._utils.IntermediateLayerGetter(kept, {"layer4": "out"})
    return Output(torchvision.models.segmentation.FCN(features, torchvision.models.segmentation.fcn.FCNHead(2048, 5)))


@specimen("f32[1, 3, 8, 32, 32]", name="tv/r3d_18", note="8 frames of 32x32, one block a stage")
def r3d_18():
    video = torchvision.models.video.resnet
    return video.VideoResNet(video.BasicBlock, [video.Conv3DSimple] * 4, [1, 1, 1, 1], video.BasicStem, num_classes=10)


@specimen("f32[1, 3, 8, 32, 32]", name="tv/r2plus1d_18", note="8 frames of 32x32, one block a stage")
def r2plus1d_18():
    video = torchvision.models.video.resnet
    return video.VideoResNet(
        video.BasicBlock, [video.Conv2Plus1D] * 4, [1, 1, 1, 1], video.R2Plus1dStem, num_classes=10
    )


@specimen("f32[1, 3, 8, 64, 64]", name="tv/mvit_v2_s", note="8 frames of 64x64, 4 blocks")
def mvit_v2_s():
    mvit = torchvision.models.video.mvit
    blocks = [
        mvit.MSBlockConfig(heads, inputs, outputs, [3, 3, 3], [3, 3, 3], [1, s, s], [1, k, k])
        for heads, inputs, outputs, s, k in ((1, 32, 32, 1, 4), (2, 32, 64, 2, 2), (2, 64, 64, 1, 2), (4, 64, 96, 2, 1))
    ]
    return mvit.MViT(
        (64, 64),
        8,
        blocks,
        residual_pool=True,
        residual_with_cls_embed=False,
        rel_pos_embed=True,
        proj_after_attn=True,
        num_classes=10,
    )


@specimen("f32[1, 3, 128, 128]", "f32[1, 3, 128, 128]", name="tv/raft_small", note="128x128, 2 iterations")
class Raft(nn.Module):
    def __init__(self):
        super().__init__()
        self.model = torchvision.models.optical_flow.raft_small(weights=None)

    def forward(self, first, second):
        return self.model(first, second, num_flow_updates=2)[-1]


class Heads(nn.Module):
    """A detector up to what its heads say of every anchor; behind that, overlapping boxes are suppressed."""

    def __init__(self, build):
        super().__init__()
        model = build(weights=None, weights_backbone=None, num_classes=5)
        self.backbone, self.head = model.backbone, model.head

    def forward(self, x):
        return tuple(self.head(list(self.backbone(x).values())).values())


detection = torchvision.models.detection
WITHOUT = "64x64, without suppression of overlapping boxes"
specimen("f32[1, 3, 64, 64]", name="tv/ssdlite320_mobilenet_v3_large", note=WITHOUT)(
    lambda: Heads(detection.ssdlite320_mobilenet_v3_large)
)


@specimen("f32[1, 3, 64, 64]", name="tv/retinanet", note=f"{WITHOUT}, one block a stage of a ResNet-18")
def retinanet():
    resnet = torchvision.models.ResNet(torchvision.models.resnet.BasicBlock, [1, 1, 1, 1])
    backbone = detection.backbone_utils.BackboneWithFPN(
        resnet, {"layer2": "0", "layer3": "1", "layer4": "2"}, [128, 256, 512], 32
    )
    return Heads(lambda **options: detection.RetinaNet(backbone, options["num_classes"]))
