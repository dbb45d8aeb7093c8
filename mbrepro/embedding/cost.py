"""What stage 2 costs before it starts: tokens and operations of a clip, and the speed of the device at hand."""

import time
from pathlib import Path

import numpy as np
import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForImageTextToText

from mbrepro.data.clips import ClipSettings, frame_count
from mbrepro.embedding import encoders
from mbrepro.embedding.embedder import EmbedderSettings
from mbrepro.embedding.kinds import find_kind
from mbrepro.embedding.packing import resized_shape
from mbrepro.embedding.pictures import read_preparation
from mbrepro.embedding.pose import POSES
from mbrepro.embedding.qwen import patch_layout

PROMPT_TOKENS = 30  # the poster's question in the chat template
SIDE = 2048  # of the square matrices multiplied to measure a device
LEAST_S = 0.5


def clip_cost(settings: EmbedderSettings, clips: ClipSettings, frame: tuple[int, int]) -> tuple[int, float]:
    """Tokens of one clip, and 10^12 operations of a forward pass over it, from the model's configuration alone.

    frame: (height, width) of the video, px. The poses' embedder has neither. Raises InputError as `find_kind` does.
    """
    if settings.model == POSES:
        return 0, 0.0
    folder, config = find_kind(settings.model)
    if config.model_type in encoders.SUPPORTED:
        return encoder_cost(folder, config, clips, frame)
    tokens = clip_tokens(config, settings, clips, frame)
    return tokens, clip_tflop(config, tokens)


def encoder_cost(
    folder: Path, config: transformers.PretrainedConfig, clips: ClipSettings, frame: tuple[int, int]
) -> tuple[int, float]:
    """As `clip_cost` for an encoder: counted in a pass that computes shapes and no values; encoders are not told text.

    Tokens are all that the encoder carries, class and register tokens and SigLIP 2's empty places among them.
    """
    kind, vision = config.model_type, getattr(config, "vision_config", config)
    shape = frame if clips.crop == "frame" else (clips.crop_pixels, clips.crop_pixels)
    shown = len(encoders.frames_shown(kind, vision, frame_count(clips)))
    passes, black = (1, shown) if kind in encoders.VIDEO else (shown, 1)  # pictures are looked at one by one
    clip = np.zeros((black, *shape, 3), np.uint8)
    inputs = encoders.model_inputs([clip], kind, vision, read_preparation(folder, kind))
    with torch.device("meta"):
        model = encoders.without_weights(config).eval()
    pixels = model.main_input_name
    inputs[pixels] = inputs[pixels].to("meta")
    if "pixel_attention_mask" in inputs:
        inputs["pixel_attention_mask"] = None  # whose values decide how; empty places cost as much as others
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        tokens = model(**inputs, **encoders.EXTRA.get(kind, {})).last_hidden_state.shape[1]
    return passes * tokens, passes * counter.get_total_flops() / 1e12


def clip_tokens(
    config: transformers.PretrainedConfig, settings: EmbedderSettings, clips: ClipSettings, frame: tuple[int, int]
) -> int:
    """Video tokens of one clip from pictures of (height, width) px, of which there are `crop_pixels` with a crop."""
    layout = patch_layout(config)
    shape = frame if clips.crop == "frame" else (clips.crop_pixels, clips.crop_pixels)
    height, width = resized_shape(*shape, settings.max_pixels, layout)
    pairs = -(-frame_count(clips) // layout.frames)
    return pairs * height * width // (layout.patch * layout.merge) ** 2


def clip_tflop(config: transformers.PretrainedConfig, tokens: int) -> float:
    """10^12 operations of one forward pass over a clip of this many video tokens.

    Counted are two for every weight and place it is used at (patches in the vision tower, tokens from its merger on,
    without the embedding table) and the language model's attention; windowed attention among patches is left out.
    """
    with torch.device("meta"):  # shapes without memory
        base = AutoModelForImageTextToText.from_config(config).model
    text = config.get_text_config()
    merger = _weights(base.visual.merger)
    patches = tokens * config.vision_config.spatial_merge_size**2
    places = tokens + PROMPT_TOKENS
    products = (_weights(base.visual) - merger) * patches + merger * tokens
    products += (_weights(base.language_model) - _weights(base.language_model.embed_tokens)) * places
    products += 2 * text.num_hidden_layers * text.hidden_size * places**2
    return 2 * products / 1e12


def _weights(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def measured_tflops(device: str, dtype: torch.dtype, side: int = SIDE) -> float:
    """10^12 operations a second of large matrix products on a device: what a forward pass reaches at best."""
    one, other = (torch.randn(side, side).to(device, dtype) for _ in range(2))
    _finished(one @ other)
    start, products = time.perf_counter(), 0
    while (seconds := time.perf_counter() - start) < LEAST_S:
        _finished(one @ other)
        products += 1
    return products * 2 * side**3 / seconds / 1e12


def _finished(product: torch.Tensor) -> None:
    if product.is_cuda:
        torch.cuda.synchronize()
