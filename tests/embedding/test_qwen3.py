from itertools import groupby

import numpy as np
import pytest
import torch
from transformers.utils import is_torchvision_available

from mbrepro.embedding import EmbedderSettings, load_embedder, qwen3
from mbrepro.embedding.packing import pack_clips
from mbrepro.embedding.qwen import QwenVLEmbedder, layer_at
from tests.fixtures.tiny_checkpoint import noise_clip
from tests.fixtures.tiny_encoders import write_qwen3

FPS = 4.0


@pytest.fixture(scope="module")
def embedder(tmp_path_factory) -> QwenVLEmbedder:
    folder = write_qwen3(tmp_path_factory.mktemp("qwen3"))
    return load_embedder(EmbedderSettings(model=str(folder), max_pixels=10_000, batch_size=2))


def clips(*frames):
    return [noise_clip(seed, count, 64, 96) for seed, count in enumerate(frames)]


def test_times_are_written_before_each_pair_of_frames():
    """Four frames at 4 a second: pairs at 0 and 0.25 s, at 0.5 and 0.75 s, so their middles are at 0.125 and 0.625."""
    text = qwen3.timed("who <|vision_start|>ppppppEND", "p", 2, 0.5)
    assert text == (
        "who <|vision_start|><0.1 seconds><|vision_start|>ppp<|vision_end|>"
        "<0.6 seconds><|vision_start|>ppp<|vision_end|>END"
    )


def test_patches_of_sixteen_pixels_scaled_to_one(embedder):
    inputs = embedder.prepare(clips(4, 2), FPS)
    assert inputs["video_grid_thw"].tolist() == [[2, 4, 6], [1, 4, 6]]  # 2 by 3 tokens of 32 x 32 px
    assert inputs["pixel_values_videos"].shape == (72, 3 * 2 * 16 * 16)
    first = clips(4)[0][0, 0, 0] / 255 * 2 - 1  # red, green and blue of the first pixel
    assert inputs["pixel_values_videos"][0, :: 2 * 16 * 16].tolist() == pytest.approx(first.tolist(), abs=1e-6)
    assert "second_per_grid_ts" not in inputs


def test_video_tokens_get_positions_step_by_step(embedder):
    """Each pair of frames is a picture of its own after its time: 6 tokens, in time one place, then text goes on."""
    inputs = embedder.prepare(clips(4), FPS)
    names = ("input_ids", "mm_token_type_ids", "video_grid_thw", "attention_mask")
    time, row, column = embedder.model.model.get_rope_index(**{k: inputs[k] for k in names})[0][:, 0]
    types = inputs["mm_token_type_ids"][0].tolist()
    runs = [(kind, len(list(group))) for kind, group in groupby(types)]
    assert [count for kind, count in runs if kind == 2] == [6, 6]
    video = inputs["mm_token_type_ids"][0] == 2
    first, second = time[video][0], time[video][6]
    assert time[video].tolist() == [first] * 6 + [second] * 6 and second > first + 3
    assert (row[video][:6] - first).tolist() == [0, 0, 0, 1, 1, 1]
    assert (column[video][6:] - second).tolist() == [0, 1, 2, 0, 1, 2]


def test_embeds_and_answers(embedder):
    assert isinstance(embedder, QwenVLEmbedder)
    embedded = embedder.embed(clips(4, 4, 4), FPS)["last_100"]
    assert embedded.shape == (3, 32) and np.abs(embedded[0] - embedded[1]).max() > 0.01
    inputs = embedder.prepare(clips(4), FPS)
    with torch.inference_mode():
        kept = embedder.model(**inputs, output_hidden_states=True, use_cache=False).hidden_states
    made, video = embedder.forward(inputs), inputs["mm_token_type_ids"][0] == 2
    for percent in (25, 50, 75):
        state = kept[layer_at(percent, len(kept) - 1)][0]
        np.testing.assert_allclose(made[f"last_{percent}"][0], state[-1].numpy(), atol=1e-6)
        np.testing.assert_allclose(made[f"video_{percent}"][0], state[video].mean(0).numpy(), atol=1e-5)
    assert np.array_equal(made["last_100"][0], kept[-1][0, -1].numpy())
    np.testing.assert_allclose(embedded[0], made["last_100"][0], atol=1e-4)
    assert [isinstance(answer, str) for answer in embedder.caption(clips(4, 2, 4), FPS, 3)] == [True] * 3


def test_frame_rate_is_told(embedder):
    slow, fast = (embedder.embed(clips(4), fps)["last_100"] for fps in (1.0, 4.0))
    assert np.abs(slow - fast).max() > 1e-3


def test_deepstack_reaches_the_language_model(embedder):
    inputs = embedder.prepare(clips(4), FPS)
    base = embedder.model.model
    with torch.inference_mode():
        features = base.get_video_features(inputs["pixel_values_videos"], inputs["video_grid_thw"])
        others = {k: v for k, v in inputs.items() if k != "pixel_values_videos"}
        given = base(**others, mm_encoder_outputs={"video": features}, use_cache=False).last_hidden_state
        assert np.array_equal(given[:, -1].numpy(), embedder.forward(inputs)["last_100"])
        features.deepstack_features = [[part * 0 for part in level] for level in features.deepstack_features]
        without = base(**others, mm_encoder_outputs={"video": features}, use_cache=False).last_hidden_state
    assert len(features.deepstack_features) == 2 and (given - without).abs().max() > 0.01


def test_padded_batch_equals_single_clips(embedder):
    shown = [noise_clip(0, 4, 64, 96), noise_clip(1, 4, 64, 64)]
    inputs = embedder.prepare(shown, FPS)
    assert inputs["attention_mask"][:, 0].tolist() == [1, 0]
    together = embedder.embed(shown, FPS)
    for view in embedder.views:
        alone = np.concatenate([embedder.embed([clip], FPS)[view] for clip in shown])
        assert np.abs(together[view] - alone).max() < 1e-4


@pytest.mark.torchvision
@pytest.mark.skipif(not is_torchvision_available(), reason="the real processor needs torchvision, not installed here")
@pytest.mark.parametrize(
    ("frames", "height", "width", "fps"), [(4, 64, 96, 2.0), (6, 97, 131, 8.0), (16, 286, 512, 3.2)]
)
def test_inputs_equal_the_real_processors(embedder, frames, height, width, fps):
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor
    from transformers.models.qwen3_vl.processing_qwen3_vl import Qwen3VLProcessor
    from transformers.models.qwen3_vl.video_processing_qwen3_vl import Qwen3VLVideoProcessor

    clip = noise_clip(7, frames, height, width)
    size = {"shortest_edge": 64 * 64 * frames, "longest_edge": 10_000 * frames}
    video = Qwen3VLVideoProcessor(size=size, cap_pixels_per_frame=False)
    processor = Qwen3VLProcessor(Qwen2VLImageProcessor(), embedder.tokenizer, video)
    content = [{"type": "video"}, {"type": "text", "text": embedder.settings.prompt}]
    text = embedder.tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    metadata = {"fps": fps, "total_num_frames": frames, "frames_indices": list(range(frames))}
    expected = processor(
        text=[text], videos=[clip], video_metadata=[metadata], do_sample_frames=False, return_tensors="pt"
    )
    found = embedder.prepare([clip], fps)
    for name in ("input_ids", "attention_mask", "mm_token_type_ids", "video_grid_thw", "pixel_values_videos"):
        assert torch.equal(found[name].to(expected[name].dtype), expected[name]), name
    assert torch.equal(pack_clips([clip], 10_000, embedder.layout)[0], expected["pixel_values_videos"])
