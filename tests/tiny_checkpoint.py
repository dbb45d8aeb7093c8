"""Tiny Qwen2-VL and Qwen2.5-VL checkpoints with random weights, in the folder layout of the released ones."""

from pathlib import Path

import numpy as np
import torch
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
)

from mbrepro import poster
from mbrepro.embedding.standin.model import save_checkpoint, special_ids, text_config, train_tokenizer, vision_config

KINDS = ("qwen2_5_vl", "qwen2_vl")


def write_checkpoint(folder: Path, kind: str = "qwen2_5_vl", hidden: int = 32, seed: int = 0, layers: int = 2) -> Path:
    """Write a checkpoint of two vision layers and some language layers, `hidden` wide, and return its folder."""
    tokenizer = train_tokenizer([poster.PROMPT, "You are a helpful assistant.\nsystem\nuser\nassistant\n"], 300)
    text = text_config(tokenizer, hidden=hidden, layers=layers, heads=2)
    torch.manual_seed(seed)
    if kind == "qwen2_5_vl":
        vision = vision_config(hidden=32, out=hidden, depth=2, heads=2)
        config = Qwen2_5_VLConfig(text_config=text, vision_config=vision, **special_ids(tokenizer))
        model = Qwen2_5_VLForConditionalGeneration(config)
    else:
        vision = {"depth": 2, "embed_dim": 32, "hidden_size": hidden, "num_heads": 2, "mlp_ratio": 2}
        config = Qwen2VLConfig(text_config=text, vision_config=vision, **special_ids(tokenizer))
        model = Qwen2VLForConditionalGeneration(config)
    for weight in model.parameters():  # the library's 0.02 leaves so little signal that mistakes hide in rounding
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.2)
    save_checkpoint(model, tokenizer, folder)
    return folder


def noise_clip(seed: int, frames: int = 4, height: int = 56, width: int = 84) -> np.ndarray:
    """A clip of (frames, height, width, 3) uint8 noise."""
    return np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)
