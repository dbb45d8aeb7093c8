import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from mbrepro.embedding import EmbedderSettings, load_embedder
from mbrepro.embedding.qwen import VIEWS, QwenVLEmbedder, check_video_tokens, layer_at, video_prompt
from mbrepro.errors import InputError
from tests.fixtures.tiny_checkpoint import KINDS, noise_clip, write_checkpoint

FPS = 2.0


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {kind: write_checkpoint(tmp_path_factory.mktemp(kind), kind) for kind in KINDS}


def load(folder, **settings) -> QwenVLEmbedder:
    return load_embedder(EmbedderSettings(model=str(folder), **{"max_pixels": 10_000, "batch_size": 2} | settings))


@pytest.fixture(scope="module")
def embedders(folders):
    return {kind: load(folder) for kind, folder in folders.items()}


@pytest.fixture(params=KINDS)
def embedder(request, embedders):
    return embedders[request.param]


def clips(*frames):
    return [noise_clip(seed, count) for seed, count in enumerate(frames)]


def differs(a, b) -> float:
    return float(np.abs(np.asarray(a) - np.asarray(b)).max())


def test_both_kinds_embed_and_answer(embedder):
    embedded = embedder.embed(clips(4, 4, 4), FPS)
    assert tuple(embedded) == embedder.views == VIEWS
    for view, rows in embedded.items():
        assert rows.shape == (3, 32) and rows.dtype == np.float32 and np.isfinite(rows).all(), view
        assert differs(rows[0], rows[1]) > 0.01
    answers = embedder.caption(clips(4, 4, 4), FPS, max_new_tokens=4)
    assert len(answers) == 3 and all(isinstance(answer, str) for answer in answers)
    assert embedder.embed([], FPS)["last_100"].shape == (0, 32)
    with pytest.raises(InputError, match="as long as each other"):
        embedder.embed(clips(4, 2), FPS)


@pytest.mark.parametrize("kind", KINDS)
def test_width_is_the_checkpoints(tmp_path, kind):
    embedder = load(write_checkpoint(tmp_path, kind, hidden=48))
    assert embedder.width == 48
    assert {rows.shape[-1] for rows in embedder.embed(clips(2), FPS).values()} == {48}


def test_video_tokens_are_those_the_grid_fills(embedder):
    inputs = embedder.prepare(clips(4, 2), FPS)
    found = (inputs["input_ids"] == embedder.config.video_token_id).sum(1)
    assert found.tolist() == [2 * 2 * 3, 1 * 2 * 3]  # 56 x 84 px: 2 by 3 tokens for every two frames
    assert found.tolist() == (inputs["video_grid_thw"].prod(1) // 4).tolist()


@pytest.mark.parametrize(("found", "expected"), [([0], [0]), ([0], [6]), ([6, 5], [6, 6])])
def test_missing_video_tokens_are_refused(found, expected):
    with pytest.raises(InputError, match="video tokens"):
        check_video_tokens(torch.tensor(found), torch.tensor(expected))


def test_template_without_a_place_for_the_video_is_refused(embedder, folders, tmp_path):
    folder = shutil.copytree(folders["qwen2_5_vl"], tmp_path / "text_only")
    (folder / "chat_template.jinja").write_text("{{ messages[0]['content'][1]['text'] }}")
    with pytest.raises(InputError, match="0 places for the video"):
        load(folder).embed(clips(2), FPS)
    with pytest.raises(InputError, match="2 places for the video"):
        video_prompt(embedder.tokenizer, embedder.config, "what is <|video_pad|>", 4)


def test_prompt_is_put_by_the_checkpoints_own_template(embedder, folders, tmp_path):
    folder = shutil.copytree(folders["qwen2_vl"], tmp_path / "terse")
    place = "<|vision_start|><|video_pad|><|vision_end|>"
    (folder / "chat_template.jinja").write_text(place + "{{ messages[0]['content'][1]['text'] }}!")
    terse = load(folder)
    text = video_prompt(terse.tokenizer, terse.config, "who", 2)
    assert text == "<|vision_start|><|video_pad|><|video_pad|><|vision_end|>who!"
    ours = video_prompt(embedder.tokenizer, embedder.config, "who", 1)
    assert ours == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        f"<|im_start|>user\n{place}who<|im_end|>\n<|im_start|>assistant\n"
    )


def positions(embedder, inputs) -> torch.Tensor:
    names = ("input_ids", "mm_token_type_ids", "video_grid_thw", "second_per_grid_ts", "attention_mask")
    return embedder.model.model.get_rope_index(**{k: inputs[k] for k in names if k in inputs})[0]


def test_video_tokens_get_three_dimensional_positions(embedder):
    """Time, row and column by hand: 2 frame pairs of 2 x 3 tokens; a text token has one position in all three."""
    inputs = embedder.prepare(clips(4), FPS)
    time, row, column = positions(embedder, inputs)[:, 0]
    video = inputs["mm_token_type_ids"][0] == 2
    assert video.sum() == 12
    first = int(video.int().argmax())
    step = 2 if embedder.config.model_type == "qwen2_5_vl" else 1  # two positions a second, a pair each second
    assert (time[video] - first).tolist() == [0] * 6 + [step] * 6
    assert (row[video] - first).tolist() == [0, 0, 0, 1, 1, 1] * 2
    assert (column[video] - first).tolist() == [0, 1, 2] * 4
    assert torch.equal(time[~video], row[~video])


def test_pairs_of_frames_share_a_time_position_above_four_frames_a_second(embedders):
    """Two positions a second, cut off to whole ones: at 8 fps every two pairs collide, as in the released processor."""
    embedder = embedders["qwen2_5_vl"]
    for fps, expected in ((4.0, [0, 1, 2, 3]), (8.0, [0, 0, 1, 1])):
        inputs = embedder.prepare(clips(8), fps)
        time = positions(embedder, inputs)[0, 0][inputs["mm_token_type_ids"][0] == 2]
        assert (time - time[0])[::6].tolist() == expected


def test_without_token_types_the_positions_would_be_lost(embedders):
    """Qwen2.5-VL takes such input without a word and gives other numbers, so the types must be passed."""
    embedder = embedders["qwen2_5_vl"]
    inputs = embedder.prepare(clips(4), FPS)
    with torch.inference_mode():
        right = embedder.model.model(**inputs).last_hidden_state
        embedder.model.model.rope_deltas = None
        del inputs["mm_token_type_ids"]
        wrong = embedder.model.model(**inputs).last_hidden_state
    assert np.array_equal(embedder.embed(clips(4), FPS)["last_100"][0], right[0, -1].numpy())
    assert differs(right, wrong) > 0.01


@pytest.mark.parametrize("fps", [0.5, 2.0, 3.2])
def test_seconds_per_pair_of_frames(embedders, fps):
    seconds = embedders["qwen2_5_vl"].prepare(clips(4, 4), fps)["second_per_grid_ts"]
    assert seconds.tolist() == pytest.approx([2 / fps] * 2)
    assert "second_per_grid_ts" not in embedders["qwen2_vl"].prepare(clips(4), fps)


def test_frame_rate_matters_to_qwen2_5_alone(embedders):
    slow, fast = (embedders["qwen2_5_vl"].embed(clips(4), fps)["last_100"] for fps in (0.5, 2.0))
    assert differs(slow, fast) > 1e-3
    slow, fast = (embedders["qwen2_vl"].embed(clips(4), fps)["last_100"] for fps in (0.5, 2.0))
    assert np.array_equal(slow, fast)


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_frame_rates_are_refused(embedders, fps):
    with pytest.raises(InputError, match="frame rate"):
        embedders["qwen2_5_vl"].embed(clips(2), fps)


def test_padded_batch_equals_single_clips(embedder):
    """Pictures of 6, 2 and 4 tokens: the smaller ones are padded, on the left."""
    embedder = shallow(embedder, batch_size=3)
    shown = [noise_clip(k, 4, height, width) for k, (height, width) in enumerate([(56, 84), (56, 56), (56, 56)])]
    mask = embedder.prepare(shown, FPS)["attention_mask"]
    assert mask[:, -1].tolist() == [1, 1, 1] and mask[:, 0].tolist() == [1, 0, 0]
    together = embedder.embed(shown, FPS)
    alone = [embedder.embed([clip], FPS) for clip in shown]
    for view in VIEWS:
        assert differs(together[view], np.concatenate([one[view] for one in alone])) < 1e-4
        assert differs(alone[0][view], alone[1][view]) > 1e-3


def shallow(embedder: QwenVLEmbedder, **settings) -> QwenVLEmbedder:
    """The same loaded model with other settings."""
    other = object.__new__(QwenVLEmbedder)
    vars(other).update(vars(embedder), settings=replace(embedder.settings, **settings))
    return other


def test_batches_are_consecutive_clips(embedder, monkeypatch):
    seen = []
    original = QwenVLEmbedder.prepare
    monkeypatch.setattr(QwenVLEmbedder, "prepare", lambda self, c, *of: seen.append(len(c)) or original(self, c, *of))
    embedder.embed(clips(2, 2, 2, 2, 2), FPS)
    assert seen == [2, 2, 1]


def test_many_batches_in_two_spaces_are_as_each_batch_alone(embedder):
    """Larger and smaller pictures by turns, so that spaces grow and are filled in part."""
    sizes = [(56, 56), (56, 84), (84, 84), (56, 56), (84, 56), (112, 56), (56, 56)]
    shown = [noise_clip(k, 4, height, width) for k, (height, width) in enumerate(sizes)]
    one_by_one = shallow(embedder, batch_size=1)
    together = one_by_one.embed(shown, FPS)
    for view in VIEWS:
        alone = [one_by_one.forward(one_by_one.prepare([clip], FPS))[view] for clip in shown]
        assert np.array_equal(together[view], np.concatenate(alone))


def test_answers_do_not_depend_on_padding(embedder):
    together = shallow(embedder, batch_size=3).caption(clips(6, 2, 4), FPS, max_new_tokens=5)
    alone = [embedder.caption([clip], FPS, max_new_tokens=5)[0] for clip in clips(6, 2, 4)]
    assert together == alone


def test_captions_are_the_most_probable_tokens(embedder):
    """Greedy choice by hand: without a cache, one full pass for every token."""
    inputs = embedder.prepare(clips(4), FPS)
    ids, chosen = inputs["input_ids"], []
    with torch.inference_mode():
        for _ in range(4):
            inputs |= {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
            inputs["mm_token_type_ids"] = (ids == embedder.config.video_token_id).int() * 2
            chosen.append(int(embedder.model(**inputs, use_cache=False).logits[0, -1].argmax()))
            ids = torch.cat([ids, torch.tensor([[chosen[-1]]])], 1)
    expected = embedder.tokenizer.decode(chosen, skip_special_tokens=True).strip()
    assert embedder.caption(clips(4), FPS, max_new_tokens=4) == [expected]


def states(embedder, inputs) -> tuple[torch.Tensor, ...]:
    """The library's own list of hidden states: the input's first, each layer's, the last after the norm."""
    with torch.inference_mode():
        return embedder.model.model(**inputs, output_hidden_states=True, use_cache=False).hidden_states


def test_last_layer_is_after_the_norm(embedder):
    base, inputs = embedder.model.model, embedder.prepare(clips(4), FPS)
    before = []
    hook = base.language_model.norm.register_forward_hook(lambda _, given, __: before.append(given[0]))
    kept = states(embedder, inputs)
    hook.remove()
    with torch.inference_mode():
        normed = base.language_model.norm(before[0])
    assert torch.equal(kept[-1], normed) and differs(normed, before[0]) > 0.01
    assert np.array_equal(embedder.forward(inputs)["last_100"][0], normed[0, -1].numpy())


def test_layers_are_at_a_share_of_the_depth():
    assert [layer_at(percent, 36) for percent in (25, 50, 75)] == [9, 18, 27]  # Qwen2.5-VL-3B
    assert [layer_at(percent, 28) for percent in (25, 50, 75)] == [7, 14, 21]  # Qwen2-VL-2B
    assert [layer_at(percent, 2) for percent in (25, 50, 75)] == [1, 1, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_every_language_view_is_the_librarys_hidden_state(tmp_path, kind):
    """Four layers: the states after the first, second and third, and the last after the norm, from one pass."""
    embedder = load(write_checkpoint(tmp_path, kind, layers=4))
    inputs = embedder.prepare(clips(4, 4), FPS)
    passes = []
    hook = embedder.model.model.register_forward_hook(lambda *_: passes.append(1))
    made = embedder.forward(inputs)
    hook.remove()
    assert len(passes) == 1
    kept, video = states(embedder, inputs), inputs["mm_token_type_ids"] == 2
    for place, percent in enumerate((25, 50, 75, 100), 1):
        assert np.array_equal(made[f"last_{percent}"], kept[place][:, -1].numpy())
        by_hand = torch.stack([kept[place][k][video[k]].mean(0) for k in range(2)])
        assert differs(made[f"video_{percent}"], by_hand) < 1e-5
    assert differs(made["last_75"], made["last_100"]) > 0.01
    assert not embedder.model.model.visual._forward_hooks


def test_vision_view_averages_merged_tokens_in_picture_order(embedders):
    """A frame wider than the attention window: the tower's own states are permuted, its pooled output is not."""
    embedder = shallow(embedders["qwen2_5_vl"], max_pixels=60_000)
    clip = noise_clip(9, 2, 112, 280)
    inputs = embedder.prepare([clip], FPS)
    base = embedder.model.model
    with torch.inference_mode():
        tower = base.visual(inputs["pixel_values_videos"], grid_thw=inputs["video_grid_thw"])
        permuted = base.visual.merger(tower.last_hidden_state)
    assert differs(permuted, tower.pooler_output) > 0.01
    order = [int((permuted - row).abs().sum(1).argmin()) for row in tower.pooler_output]
    assert order != list(range(40)) and sorted(order) == list(range(40))
    assert order[:5] == [0, 1, 2, 3, 16]  # windows of 4 x 4 tokens: the fifth column begins the second window
    embedded = embedder.embed([clip], FPS)["vision"]
    assert differs(embedded[0], tower.pooler_output.mean(0)) < 1e-5
    assert differs(embedded[0], tower.last_hidden_state.mean(0)[: embedder.width]) > 0.01


def test_pixel_bound_reaches_the_model(embedder):
    few, many = (shallow(embedder, max_pixels=pixels) for pixels in (8_000, 40_000))
    clip = noise_clip(0, 2, 140, 196)
    assert few.prepare([clip], FPS)["video_grid_thw"].tolist() == [[1, 4, 6]]
    assert many.prepare([clip], FPS)["video_grid_thw"].tolist() == [[1, 10, 14]]


def test_weights_are_in_memory_once(embedder):
    shared = {id(weight) for weight in embedder.model.model.parameters()}
    assert shared < {id(weight) for weight in embedder.model.parameters()}
