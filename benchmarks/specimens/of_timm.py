"""Models of the package timm with random weights, some with fewer blocks, all but a few at 64x64."""

import timm

from benchmarks.specimens.catalogue import specimen


def image(name, size=64, note="", **options):
    """`hardware` goes to the specimen, other options to timm."""
    facts = {k: options.pop(k) for k in ("hardware",) if k in options}
    changes = ", ".join(f"{k}={v}" for k, v in options.items() if k != "img_size")
    told = "; ".join(text for text in (f"{size}x{size}", changes, note) if text)

    def build():
        return timm.create_model(name, pretrained=False, num_classes=10, **options)

    specimen(f"f32[1, 3, {size}, {size}]", name=f"timm/{name}", note=told, **facts)(build)


def smaller(name, build, note, size=64):
    """A model whose shape timm fixes by its name, built from its class."""
    specimen(f"f32[1, 3, {size}, {size}]", name=f"timm/{name}", note=f"{size}x{size}, {note}")(build)


# -- convolutional networks

image("resnet18")
image("resnet50", layers=(1, 1, 1, 1))
image("resnetv2_50", layers=(1, 1, 1, 1))
image("seresnet18")
image("densenet121", block_config=(2, 2, 2, 2))
image("inception_v3", size=96)
image("convnext_tiny", depths=(1, 1, 2, 1))
image("convnextv2_atto")
image("regnety_002")
image("repvgg_a0")
image("hgnetv2_b0")
image("dla34")
image("xception41", size=96)

# -- for phones

image("mobilenetv2_100", hardware=True)
image("mobilenetv3_small_100")
image("mobilenetv4_conv_small")
image("efficientnet_lite0")
image("efficientnet_b0")
image("ghostnet_100")
image("mobileone_s0")
image("tinynet_e")
image("lcnet_050")
image("starnet_s1")
image("mnasnet_small")
image("repvit_m0_9")
image("fbnetc_100")
image("mixnet_s")
image("rexnet_100")
image("hardcorenas_a")
image("semnasnet_075")

# -- transformers and hybrids

image("vit_tiny_patch16_224", img_size=64, depth=4)
image("deit_tiny_distilled_patch16_224", img_size=64, depth=4)
image(
    "swin_tiny_patch4_window7_224", size=56, img_size=56, window_size=7, embed_dim=48, depths=(2, 2), num_heads=(2, 4)
)
image("swinv2_tiny_window8_256", img_size=64, window_size=8, embed_dim=48, depths=(2, 2), num_heads=(2, 4))
image("efficientformer_l1", size=224, depths=(1, 1, 1, 2), hardware=True)
image("efficientformerv2_s0", size=224, depths=(1, 1, 2, 2))
image("levit_128s", size=224)
image("mobilevit_xxs", size=64)
image("mobilevitv2_050", size=64)
image("edgenext_xx_small", size=64)
image("fastvit_t8", size=64)
image("tiny_vit_5m_224")
image("pvt_v2_b0", size=64)
image("eva02_tiny_patch14_224", size=56, img_size=56, depth=3)
image("vit_small_patch14_dinov2", size=56, img_size=56, depth=2)
image("maxvit_rmlp_pico_rw_256", size=64, img_size=64)
image("coat_lite_tiny", img_size=64)
image("cait_xxs24_224", img_size=64, depth=3)
image("xcit_nano_12_p16_224", img_size=64, depth=3)
image("beit_base_patch16_224", img_size=64, depth=2, embed_dim=96, num_heads=4)
image("mambaout_femto", depths=(1, 1, 1, 1))
image("convit_tiny", img_size=64, depth=4, local_up_to_layer=3)
image("twins_pcpvt_small", img_size=64, depths=(1, 1, 1, 1))
image("inception_next_atto")
image("ghostnetv2_100")
image("shvit_s1")
image("swiftformer_xs")


# -- made smaller

MIXER = {"num_classes": 10, "img_size": 64, "patch_size": 16, "num_blocks": 3, "embed_dim": 96}
mixers = timm.models.mlp_mixer
smaller("mixer_s32_224", lambda: mixers.MlpMixer(**MIXER), "3 blocks of width 96")
smaller(
    "resmlp_12_224",
    lambda: mixers.MlpMixer(**MIXER, block_layer=mixers.ResBlock, norm_layer=mixers.Affine, mlp_ratio=4),
    "3 blocks of width 96",
)
smaller(
    "gmlp_ti16_224",
    lambda: mixers.MlpMixer(
        **MIXER, block_layer=mixers.SpatialGatingBlock, mlp_layer=timm.layers.GatedMlp, mlp_ratio=6
    ),
    "3 blocks of width 96",
)
smaller(
    "volo_d1_224",
    lambda: timm.models.volo.VOLO(
        layers=[1, 1, 1, 1], img_size=64, num_classes=10, embed_dims=[48, 96, 96, 96], num_heads=[2, 4, 4, 4]
    ),
    "4 blocks",
)
smaller(
    "focalnet_tiny_srf",
    lambda: timm.models.focalnet.FocalNet(depths=(1, 1, 1, 1), embed_dim=24, num_classes=10),
    "4 blocks",
)
smaller(
    "poolformer_s12",
    lambda: timm.models.metaformer.MetaFormer(
        depths=(1, 1, 1, 1),
        dims=(32, 48, 64, 96),
        num_classes=10,
        downsample_norm=None,
    ),
    "4 blocks",
)
