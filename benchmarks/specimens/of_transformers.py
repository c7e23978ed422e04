"""Models of the package transformers with small configurations and random weights."""

import transformers as hf
from torch import nn

from benchmarks.specimens.catalogue import specimen


class First(nn.Module):
    """A model with one input, of which only some outputs are wanted."""

    def __init__(self, model, argument, *outputs, **fixed):
        super().__init__()
        self.model, self.argument, self.outputs, self.fixed = model, argument, outputs, fixed

    def forward(self, x):
        result = self.model(**{self.argument: x}, **self.fixed)
        return tuple(result[name] for name in self.outputs)


class Pair(nn.Module):
    """The same with two inputs."""

    def __init__(self, model, arguments, *outputs, **fixed):
        super().__init__()
        self.model, self.arguments, self.outputs, self.fixed = model, arguments, outputs, fixed

    def forward(self, x, y):
        result = self.model(**dict(zip(self.arguments, (x, y), strict=True)), **self.fixed)
        return tuple(result[name] for name in self.outputs)


def small(config, **changes):
    """A configuration of a transformer: 2 layers of width 64 with 4 heads, 100 words."""
    shape = {
        "vocab_size": 100,
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 128,
        "max_position_embeddings": 64,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    return config(**{**shape, **changes})


TEXT, MASK = "i64[1, 16]", "i64[1, 16]"
NOTE = "2 layers of width 64, 16 tokens"
IMAGE = "f32[1, 3, 64, 64]"
VISION = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "image_size": 64,
    "patch_size": 16,
}


# -- encoders of text


def encoder(name, config, model, **changes):
    def build():
        return Pair(model(small(config, **changes)), ("input_ids", "attention_mask"), "last_hidden_state")

    specimen(TEXT, MASK, name=f"hf/{name}", high=(100, 2), note=NOTE)(build)


encoder("bert", hf.BertConfig, hf.BertModel)
encoder("minilm-L6", hf.BertConfig, hf.BertModel, num_hidden_layers=6, hidden_size=96, num_attention_heads=12)
encoder("roberta", hf.RobertaConfig, hf.RobertaModel)
encoder("albert", hf.AlbertConfig, hf.AlbertModel, embedding_size=32)
encoder("electra", hf.ElectraConfig, hf.ElectraModel, embedding_size=32)
encoder("distilbert", hf.DistilBertConfig, hf.DistilBertModel, dim=64, hidden_dim=128, n_layers=2, n_heads=4)
encoder("modernbert", hf.ModernBertConfig, hf.ModernBertModel, global_attn_every_n_layers=2, local_attention=8)
encoder("deberta-v2", hf.DebertaV2Config, hf.DebertaV2Model, relative_attention=True, pos_att_type=["p2c", "c2p"])
encoder("mpnet", hf.MPNetConfig, hf.MPNetModel)
encoder("mobilebert", hf.MobileBertConfig, hf.MobileBertModel, embedding_size=32, intra_bottleneck_size=32)
encoder("xlm-roberta", hf.XLMRobertaConfig, hf.XLMRobertaModel)
encoder("squeezebert", hf.SqueezeBertConfig, hf.SqueezeBertModel, embedding_size=64)
encoder("ernie", hf.ErnieConfig, hf.ErnieModel)


# -- decoders


def decoder(name, config, model, **changes):
    def build():
        options = {"use_cache": False, "attn_implementation": "sdpa", **changes}
        return First(model(small(config, **options)), "input_ids", "logits")

    specimen(TEXT, name=f"hf/{name}", high=100, note=NOTE)(build)


GROUPED = {"num_key_value_heads": 2, "head_dim": 16}
EXPERTS = {"experts_implementation": "batched_mm", **GROUPED}
decoder("llama", hf.LlamaConfig, hf.LlamaForCausalLM, **GROUPED)
decoder("mistral", hf.MistralConfig, hf.MistralForCausalLM, sliding_window=8, **GROUPED)
decoder("qwen2", hf.Qwen2Config, hf.Qwen2ForCausalLM, num_key_value_heads=2)
decoder("qwen3", hf.Qwen3Config, hf.Qwen3ForCausalLM, **GROUPED)
decoder("gemma2", hf.Gemma2Config, hf.Gemma2ForCausalLM, attn_implementation="eager", **GROUPED)
decoder("gemma3", hf.Gemma3TextConfig, hf.Gemma3ForCausalLM, **GROUPED)
decoder("phi", hf.PhiConfig, hf.PhiForCausalLM)
decoder("phi3", hf.Phi3Config, hf.Phi3ForCausalLM, num_key_value_heads=2)
decoder("olmo2", hf.Olmo2Config, hf.Olmo2ForCausalLM, num_key_value_heads=2)
decoder("starcoder2", hf.Starcoder2Config, hf.Starcoder2ForCausalLM, num_key_value_heads=2)
decoder("gpt2", hf.GPT2Config, hf.GPT2LMHeadModel, n_positions=64)
decoder(
    "gpt-neo",
    hf.GPTNeoConfig,
    hf.GPTNeoForCausalLM,
    num_layers=2,
    num_heads=4,
    attention_types=[[["global", "local"], 1]],
    attn_implementation="eager",
)
decoder("gpt-neox", hf.GPTNeoXConfig, hf.GPTNeoXForCausalLM)
decoder(
    "gptj",
    hf.GPTJConfig,
    hf.GPTJForCausalLM,
    n_positions=64,
    n_embd=64,
    n_layer=2,
    n_head=4,
    rotary_dim=8,
    attn_implementation="eager",
)
decoder("opt", hf.OPTConfig, hf.OPTForCausalLM, ffn_dim=128, word_embed_proj_dim=64)
decoder("bloom", hf.BloomConfig, hf.BloomForCausalLM, n_layer=2, n_head=4, attn_implementation="eager")
decoder("falcon", hf.FalconConfig, hf.FalconForCausalLM, new_decoder_architecture=True, num_kv_heads=2, alibi=False)
decoder("stablelm", hf.StableLmConfig, hf.StableLmForCausalLM, num_key_value_heads=2)
decoder("mixtral", hf.MixtralConfig, hf.MixtralForCausalLM, num_local_experts=4, **EXPERTS)
decoder(
    "qwen3-moe",
    hf.Qwen3MoeConfig,
    hf.Qwen3MoeForCausalLM,
    num_experts=4,
    num_experts_per_tok=2,
    moe_intermediate_size=32,
    **EXPERTS,
)
decoder("mamba", hf.MambaConfig, hf.MambaForCausalLM, state_size=8, attn_implementation="eager")


# -- encoder and decoder


@specimen(TEXT, MASK, name="hf/t5-encoder", high=(100, 2), note=NOTE)
def t5_encoder():
    config = hf.T5Config(vocab_size=100, d_model=64, d_kv=16, d_ff=128, num_layers=2, num_heads=4)
    return Pair(hf.T5EncoderModel(config), ("input_ids", "attention_mask"), "last_hidden_state")


@specimen(TEXT, TEXT, name="hf/byt5-shape t5", high=100, note=NOTE)
def t5():
    config = hf.T5Config(
        vocab_size=100, d_model=64, d_kv=16, d_ff=128, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu"
    )
    model = hf.T5ForConditionalGeneration(config)
    return Pair(model, ("input_ids", "decoder_input_ids"), "logits", use_cache=False)


@specimen(TEXT, TEXT, name="hf/bart", high=100, note=NOTE)
def bart():
    config = small(
        hf.BartConfig,
        d_model=64,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=128,
        decoder_ffn_dim=128,
    )
    model = hf.BartForConditionalGeneration(config)
    return Pair(model, ("input_ids", "decoder_input_ids"), "logits", use_cache=False)


@specimen("f32[1, 20, 60]", TEXT, name="hf/whisper-2L", high=100, note=f"{NOTE}, 60 frames of 20 bands")
def whisper():
    config = small(
        hf.WhisperConfig,
        d_model=64,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=128,
        decoder_ffn_dim=128,
        num_mel_bins=20,
        max_source_positions=30,
        max_target_positions=32,
        decoder_start_token_id=1,
    )
    model = hf.WhisperForConditionalGeneration(config)
    return Pair(model, ("input_features", "decoder_input_ids"), "logits", use_cache=False)


# -- sound


SOUND = {
    "conv_dim": (32, 32, 32),
    "conv_stride": (5, 2, 2),
    "conv_kernel": (10, 3, 3),
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}


@specimen("f32[1, 800]", name="hf/wav2vec2", note=NOTE)
def wav2vec2():
    return First(hf.Wav2Vec2Model(small(hf.Wav2Vec2Config, **SOUND)), "input_values", "last_hidden_state")


@specimen("f32[1, 800]", name="hf/hubert", note=NOTE)
def hubert():
    return First(hf.HubertModel(small(hf.HubertConfig, **SOUND)), "input_values", "last_hidden_state")


@specimen("f32[1, 64, 32]", name="hf/ast", note=NOTE)
def spectrogram_transformer():
    changes = {**VISION, "max_length": 64, "num_mel_bins": 32}
    return First(hf.ASTModel(hf.ASTConfig(**changes)), "input_values", "last_hidden_state")


# -- images


def vision(name, build, *outputs, note="2 layers of width 64, 64x64", **facts):
    specimen(IMAGE, name=f"hf/{name}", note=note, **facts)(lambda: First(build(), "pixel_values", *outputs))


STATES = "last_hidden_state"
vision("vit", lambda: hf.ViTModel(hf.ViTConfig(**VISION)), STATES)
vision("deit", lambda: hf.DeiTModel(hf.DeiTConfig(**VISION)), STATES)
vision("beit", lambda: hf.BeitModel(hf.BeitConfig(**VISION, use_relative_position_bias=True)), STATES)
vision("clip-vision", lambda: hf.CLIPVisionModel(hf.CLIPVisionConfig(**VISION)), STATES, "pooler_output")
vision("siglip-vision", lambda: hf.SiglipVisionModel(hf.SiglipVisionConfig(**VISION)), STATES, "pooler_output")
vision("dinov2", lambda: hf.Dinov2Model(hf.Dinov2Config(**VISION)), STATES)
vision("dinov3", lambda: hf.DINOv3ViTModel(hf.DINOv3ViTConfig(**VISION)), STATES)
vision("ijepa", lambda: hf.IJepaModel(hf.IJepaConfig(**VISION)), STATES)

STAGES = {"depths": [1, 1, 1, 1], "hidden_sizes": [16, 32, 48, 64]}
vision("resnet", lambda: hf.ResNetModel(hf.ResNetConfig(**STAGES, embedding_size=16)), STATES, note="4 blocks, 64x64")
vision("convnext", lambda: hf.ConvNextModel(hf.ConvNextConfig(**STAGES)), STATES, note="4 blocks, 64x64")
vision("convnextv2", lambda: hf.ConvNextV2Model(hf.ConvNextV2Config(**STAGES)), STATES, note="4 blocks, 64x64")
vision(
    "regnet",
    lambda: hf.RegNetModel(hf.RegNetConfig(**STAGES, groups_width=16, embedding_size=16)),
    STATES,
    note="4 blocks",
)
vision("poolformer", lambda: hf.PoolFormerModel(hf.PoolFormerConfig(**STAGES)), STATES, note="4 blocks, 64x64")
vision(
    "swin",
    lambda: hf.SwinModel(hf.SwinConfig(image_size=64, embed_dim=24, depths=[2, 2], num_heads=[2, 4], window_size=4)),
    STATES,
    note="4 blocks of width 24, 64x64",
)
vision(
    "swinv2",
    lambda: hf.Swinv2Model(
        hf.Swinv2Config(image_size=64, embed_dim=24, depths=[2, 2], num_heads=[2, 4], window_size=4)
    ),
    STATES,
    note="4 blocks of width 24, 64x64",
)
vision(
    "swin2sr",
    lambda: hf.Swin2SRForImageSuperResolution(
        hf.Swin2SRConfig(image_size=32, embed_dim=24, depths=[2], num_heads=[2], window_size=8, upscale=2)
    ),
    "reconstruction",
    note="2 blocks of width 24, 64x64",
)
vision(
    "segformer-b0",
    lambda: hf.SegformerForSemanticSegmentation(
        hf.SegformerConfig(
            depths=[1, 1, 1, 1], hidden_sizes=[16, 32, 40, 64], decoder_hidden_size=32, num_attention_heads=[1, 2, 4, 4]
        )
    ),
    "logits",
    note="4 blocks, 64x64",
)
vision(
    "mobilevit",
    lambda: hf.MobileViTModel(
        hf.MobileViTConfig(image_size=64, hidden_sizes=[48, 56, 64], neck_hidden_sizes=[8, 8, 16, 24, 32, 40, 64])
    ),
    STATES,
    note="narrow, 64x64",
)
vision(
    "mobilenet_v1", lambda: hf.MobileNetV1Model(hf.MobileNetV1Config(depth_multiplier=0.25)), STATES, note="width 0.25"
)
vision(
    "levit",
    lambda: hf.LevitModel(hf.LevitConfig(image_size=64, hidden_sizes=[32, 48, 64], depths=[1, 1, 1])),
    STATES,
    note="3 blocks",
)
vision(
    "pvt-v2",
    lambda: hf.PvtV2Model(hf.PvtV2Config(image_size=64, hidden_sizes=[16, 32, 40, 64], depths=[1, 1, 1, 1])),
    STATES,
    note="4 blocks, 64x64",
)
vision(
    "dpt",
    lambda: hf.DPTForDepthEstimation(
        hf.DPTConfig(
            **{**VISION, "num_hidden_layers": 4},
            backbone_out_indices=[0, 1, 2, 3],
            neck_hidden_sizes=[16, 16, 32, 32],
            fusion_hidden_size=16,
            is_hybrid=False,
        )
    ),
    "predicted_depth",
    note="4 layers of width 64, 64x64",
)
vision(
    "depth-anything-s",
    lambda: hf.DepthAnythingForDepthEstimation(
        hf.DepthAnythingConfig(
            backbone_config=hf.Dinov2Config(
                **{**VISION, "num_hidden_layers": 4, "patch_size": 16},
                out_indices=[1, 2, 3, 4],
                reshape_hidden_states=False,
                apply_layernorm=True,
            ),
            reassemble_hidden_size=64,
            patch_size=16,
            neck_hidden_sizes=[16, 16, 32, 32],
            fusion_hidden_size=16,
            head_hidden_size=16,
        )
    ),
    "predicted_depth",
    note="4 layers of width 64, 64x64",
)
vision(
    "sam-encoder",
    lambda: hf.SamVisionModel(
        hf.SamVisionConfig(**{**VISION, "mlp_dim": 128}, output_channels=32, window_size=2, global_attn_indexes=[1])
    ),
    STATES,
)
vision(
    "yolos",
    lambda: hf.YolosForObjectDetection(hf.YolosConfig(**{**VISION, "image_size": [64, 64]}, num_detection_tokens=10)),
    "logits",
    "pred_boxes",
)


# -- detectors with queries


BACKBONE = {
    "backbone_config": hf.ResNetConfig(
        depths=[1, 1, 1, 1],
        hidden_sizes=[16, 32, 48, 64],
        embedding_size=16,
        layer_type="basic",
        out_features=["stage4"],
    )
}
DETECTOR = {
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "num_queries": 10,
}
QUERIES = "1 encoder and 2 decoder layers of width 32, 10 queries, 64x64"


def detr():
    return hf.DetrForObjectDetection(
        hf.DetrConfig(use_timm_backbone=False, use_pretrained_backbone=False, backbone=None, **BACKBONE, **DETECTOR)
    )


def conditional_detr():
    return hf.ConditionalDetrForObjectDetection(
        hf.ConditionalDetrConfig(
            use_timm_backbone=False, use_pretrained_backbone=False, backbone=None, **BACKBONE, **DETECTOR
        )
    )


vision("detr-r18", detr, "logits", "pred_boxes", note=QUERIES)
vision("conditional-detr", conditional_detr, "logits", "pred_boxes", note=QUERIES)

HYBRID = {
    "encoder_hidden_dim": 32,
    "encoder_in_channels": [32, 48, 64],
    "d_model": 32,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "decoder_in_channels": [32, 32, 32],
    "num_queries": 10,
    "num_labels": 5,
    "anchor_image_size": None,
    "num_denoising": 0,
}


def pyramid(config):
    return config(
        depths=[1, 1, 1, 1],
        hidden_sizes=[16, 32, 48, 64],
        embedding_size=16,
        layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )


def rtdetr():
    return hf.RTDetrForObjectDetection(hf.RTDetrConfig(backbone_config=pyramid(hf.RTDetrResNetConfig), **HYBRID))


def rtdetr_v2():
    return hf.RTDetrV2ForObjectDetection(hf.RTDetrV2Config(backbone_config=pyramid(hf.RTDetrResNetConfig), **HYBRID))


vision("rtdetr-r18", rtdetr, "logits", "pred_boxes", note=QUERIES, queries=True)
vision("rtdetr-v2", rtdetr_v2, "logits", "pred_boxes", note=QUERIES, queries=True)
vision(
    "dfine",
    lambda: hf.DFineForObjectDetection(hf.DFineConfig(backbone_config=pyramid(hf.RTDetrResNetConfig), **HYBRID)),
    "logits",
    "pred_boxes",
    note=QUERIES,
    queries=True,
)


# -- several kinds of data


@specimen(TEXT, IMAGE, name="hf/clip", high=100, note="2 layers of width 64")
def clip():
    config = hf.CLIPConfig(
        text_config={**small(hf.CLIPTextConfig).to_dict(), "projection_dim": 32},
        vision_config={**VISION, "projection_dim": 32},
        projection_dim=32,
    )
    return Pair(hf.CLIPModel(config), ("input_ids", "pixel_values"), "logits_per_image", "text_embeds", "image_embeds")


@specimen("f32[1, 24, 3]", name="hf/patchtst", note="2 layers of width 64")
def patchtst():
    config = hf.PatchTSTConfig(
        num_input_channels=3,
        context_length=24,
        patch_length=4,
        patch_stride=4,
        num_hidden_layers=2,
        d_model=64,
        num_attention_heads=4,
        ffn_dim=128,
        prediction_length=6,
    )
    return First(hf.PatchTSTForPrediction(config), "past_values", "prediction_outputs")
