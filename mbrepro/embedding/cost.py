"""What stage 2 costs before it starts: tokens and operations of a clip, and the speed of the device at hand."""

import time

import torch
import transformers
from transformers import AutoModelForImageTextToText

from mbrepro.clips import ClipSettings, frame_count
from mbrepro.embedding.embedder import EmbedderSettings
from mbrepro.embedding.packing import resized_shape
from mbrepro.embedding.qwen import patch_layout

PROMPT_TOKENS = 30  # the poster's question in the chat template
SIDE = 2048  # of the square matrices multiplied to measure a device
LEAST_S = 0.5


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
