"""Tiny encoders, and a tiny Qwen3-VL, with random weights, in the folder layout of the released ones."""

import json
from pathlib import Path

import torch
from transformers import (
    DINOv3ViTConfig,
    DINOv3ViTModel,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    Siglip2Config,
    Siglip2Model,
    SiglipConfig,
    SiglipModel,
    VideoMAEConfig,
    VideoMAEForPreTraining,
    VJEPA2Config,
    VJEPA2Model,
)

from mbrepro import poster
from mbrepro.embedding.pictures import HALF, IMAGENET
from mbrepro.embedding.standin.model import save_checkpoint, special_ids, text_config, train_tokenizer

KINDS = ("vjepa2", "videomae", "siglip", "siglip2", "dinov3_vit")
WIDTH = 24  # divides into 2 heads of 12: V-JEPA 2 turns a head's values in three groups of pairs
SIZES = {"hidden_size": WIDTH, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
TEXT = SIZES | {"vocab_size": 64, "max_position_embeddings": 8, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
SQUARE = {"height": 32, "width": 32}
# As the released files: some keys of the many that the library's processors know.
PREPROCESSING = {
    "vjepa2": {"crop_size": SQUARE, "do_center_crop": True, "resample": 2, "size": {"shortest_edge": 36}, **IMAGENET},
    "videomae": {"crop_size": SQUARE, "do_center_crop": True, "size": {"shortest_edge": 32}, **IMAGENET},
    "siglip": {"size": SQUARE, "resample": 2, "rescale_factor": 1 / 255, **HALF},
    "siglip2": {"patch_size": 16, "max_num_patches": 12, "resample": 2, **HALF},
    "dinov3_vit": {"size": SQUARE, "resample": 2, **IMAGENET},
}


def make_model(kind: str, **changes) -> torch.nn.Module:
    """The model as it is released: with V-JEPA 2's predictor, VideoMAE's decoder and SigLIP's tower of text."""
    if kind == "vjepa2":
        predictor = {"pred_hidden_size": 24, "pred_num_attention_heads": 2, "pred_num_hidden_layers": 1}
        sizes = {name: value for name, value in SIZES.items() if name != "intermediate_size"}
        return VJEPA2Model(VJEPA2Config(**sizes, crop_size=32, frames_per_clip=8, **predictor, **changes))
    if kind == "videomae":
        decoder = {"decoder_hidden_size": 24, "decoder_num_hidden_layers": 1, "decoder_num_attention_heads": 2}
        config = VideoMAEConfig(**SIZES, image_size=32, use_mean_pooling=False, **decoder, **changes)
        return VideoMAEForPreTraining(config)
    if kind == "dinov3_vit":
        return DINOv3ViTModel(DINOv3ViTConfig(**SIZES, image_size=32, num_register_tokens=4, **changes))
    if kind == "siglip":
        return SiglipModel(SiglipConfig(text_config=TEXT, vision_config=SIZES | {"image_size": 32, **changes}))
    return Siglip2Model(Siglip2Config(text_config=TEXT, vision_config=SIZES | {"num_patches": 16, **changes}))


def write_encoder(folder: Path, kind: str, seed: int = 0, **changes) -> Path:
    """Write a checkpoint of two layers for pictures of 32 x 32 px and return its folder."""
    torch.manual_seed(seed)
    model = make_model(kind, **changes)
    for weight in model.parameters():  # the library's 0.02 leaves so little signal that mistakes hide in rounding
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.2)
    model.save_pretrained(folder)
    name = "video_preprocessor_config.json" if kind == "vjepa2" else "preprocessor_config.json"
    (folder / name).write_text(json.dumps(PREPROCESSING[kind]))
    return folder


def write_qwen3(folder: Path, hidden: int = 32, seed: int = 0) -> Path:
    """Write a Qwen3-VL of three vision and three language layers, fed to two of them by deepstack."""
    tokenizer = train_tokenizer([poster.PROMPT, "You are a helpful assistant.\nsystem\nuser\nassistant\n"], 300)
    text = text_config(tokenizer, hidden=hidden, layers=3, heads=2) | {"head_dim": hidden // 2}
    text["rope_parameters"] |= {"mrope_interleaved": True}
    vision = {"hidden_size": 32, "intermediate_size": 64, "depth": 3, "num_heads": 2, "out_hidden_size": hidden}
    vision |= {"deepstack_visual_indexes": [0, 1], "num_position_embeddings": 16}
    torch.manual_seed(seed)
    config = Qwen3VLConfig(text_config=text, vision_config=vision, **special_ids(tokenizer))
    model = Qwen3VLForConditionalGeneration(config)
    for weight in model.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.2)
    save_checkpoint(model, tokenizer, folder)
    return folder
