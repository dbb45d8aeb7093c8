"""Cost estimates against counted operations, and against published figures for the real checkpoints' shapes."""

import json

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers import Dinov2Config, DINOv3ViTConfig, Qwen2_5_VLConfig, SiglipConfig, VideoMAEConfig, VJEPA2Config

from mbrepro.data.clips import ClipSettings, frame_count
from mbrepro.embedding import EmbedderSettings, cost, embedder_class, load_embedder, qwen
from tests.fixtures.tiny_checkpoint import KINDS, noise_clip, write_checkpoint
from tests.fixtures.tiny_encoders import write_encoder

BASE = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
SMALL = {"hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 12, "num_attention_heads": 6}

RELEASED_3B = Qwen2_5_VLConfig(  # huggingface.co/Qwen/Qwen2.5-VL-3B-Instruct, config.json
    text_config={
        "hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16,
        "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": True,
    },
    vision_config={
        "depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": 2048,
        "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2,
    },
)  # fmt: skip


@pytest.mark.parametrize(("tokens", "tflop"), [(720, 8.0), (1280, 14.2)])
def test_the_3b_model_costs_what_is_known_of_it(tokens, tflop):
    assert qwen.clip_tflop(RELEASED_3B, tokens) == pytest.approx(tflop, rel=0.02)


@pytest.mark.parametrize(
    ("clips", "pixels", "frame", "tokens"),
    [
        (ClipSettings(5, 2.0), 448 * 252, (252, 448), 720),  # 5 pairs of 16 x 9 cells
        (ClipSettings(5, 2.0), 448 * 252, (570, 1024), 640),  # CalMS21's frame is wider: 16 x 8 cells are within bounds
        (ClipSettings(5, 8.0, crop="mice", crop_pixels=224), 224 * 224, (570, 1024), 1280),  # 20 pairs of 8 x 8 cells
    ],
)
def test_tokens_of_the_real_model_by_hand(tmp_path, clips, pixels, frame, tokens):
    RELEASED_3B.save_pretrained(tmp_path)
    settings = EmbedderSettings(str(tmp_path), max_pixels=pixels)
    found, tflop = embedder_class(settings.model).cost(settings, clips, frame)
    assert found == tokens and tflop == qwen.clip_tflop(RELEASED_3B, tokens)


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_and_operations_are_those_of_a_forward_pass(tmp_path, kind):
    embedder = load_embedder(EmbedderSettings(model=str(write_checkpoint(tmp_path, kind, hidden=64))))
    clips = ClipSettings(seconds=2.0, sampled_fps=4.0)
    clip = noise_clip(0, frame_count(clips), 112, 196)
    inputs = embedder.prepare([clip], 4.0)
    tokens, tflop = embedder.cost(embedder.settings, clips, clip.shape[1:3])
    assert tokens == (inputs["mm_token_type_ids"] == 2).sum()
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        embedder.model.model(**inputs, use_cache=False)
    counted = counter.get_flop_counts()["Global"]
    products = sum(count for operation, count in counted.items() if "attention" not in str(operation))
    config = embedder.config.get_text_config()
    places = tokens + qwen.PROMPT_TOKENS
    attention = 4 * config.num_hidden_layers * config.hidden_size * places**2
    assert tflop * 1e12 - attention == pytest.approx(products, rel=0.05)


def test_the_speed_measured_is_a_speed():
    assert 1e-4 < cost.measured_tflops("cpu", torch.float32) < 1e3


DINO = {name: value for name, value in SMALL.items() if name != "intermediate_size"}
ENCODERS = {  # sizes of the released checkpoints, their preprocessing, a clip's frames, its 10^12 operations
    "vjepa2": (VJEPA2Config(), {"crop_size": 256}, 16, 1.66),  # ViT-L
    "videomae": (VideoMAEConfig(), {}, 16, 0.36),  # ViT-B
    "siglip": (SiglipConfig(vision_config={**BASE, "image_size": 224}), {}, 10, 0.35),  # ViT-B/16
    "dinov2": (Dinov2Config(**DINO, image_size=518), {}, 10, 0.122),  # ViT-S/14 at 224 px: 257 tokens
    "dinov3_vit": (DINOv3ViTConfig(**SMALL, num_register_tokens=4, image_size=224, patch_size=16), {}, 10, 0.09),
}


@pytest.mark.parametrize("kind", ENCODERS)
def test_encoders_cost_what_is_known_of_them(tmp_path, kind):
    config, preparation, frames, tflop = ENCODERS[kind]
    config.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(preparation))
    clips = ClipSettings(seconds=5.0, sampled_fps=frames / 5)
    _, found = embedder_class(str(tmp_path)).cost(EmbedderSettings(str(tmp_path)), clips, (570, 1024))
    assert found == pytest.approx(tflop, rel=0.05)


@pytest.mark.parametrize("kind", ["vjepa2", "videomae", "siglip", "siglip2", "dinov2", "dinov3_vit"])
def test_operations_of_an_encoder_are_those_of_its_pass(tmp_path, kind):
    embedder = load_embedder(EmbedderSettings(str(write_encoder(tmp_path, kind)), batch_size=1))
    clips = ClipSettings(seconds=2.0, sampled_fps=4.0)
    clip = noise_clip(0, frame_count(clips), 48, 64)
    _, found = embedder.cost(embedder.settings, clips, clip.shape[1:3])
    # Of the fast kernels for a CPU the counter knows nothing.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        embedder.embed([clip], 4.0)
    assert found * 1e12 == pytest.approx(counter.get_total_flops(), rel=0.05)
