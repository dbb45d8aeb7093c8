"""Answers scored in one pass against a plain loop that asks about one answer at a time."""

import numpy as np
import pytest
import torch

from mbrepro.embedding import PIXELS, EmbedderSettings, load_embedder
from mbrepro.embedding.asked import GREY, Asked, branching
from mbrepro.embedding.packing import pack_clips
from mbrepro.embedding.qwen import VIDEO, video_prompt
from mbrepro.errors import InputError
from tests.fixtures.tiny_checkpoint import KINDS, noise_clip, write_checkpoint

FPS, QUESTION = 2.0, "what are the two mice doing in this video"
ANSWERS = ("attack", "mount attempt", "mount", "other")


@pytest.fixture(scope="module", params=KINDS)
def model(request, tmp_path_factory):
    folder = write_checkpoint(tmp_path_factory.mktemp(request.param), request.param)
    return load_embedder(EmbedderSettings(model=str(folder), max_pixels=10_000, batch_size=2))


@torch.inference_mode()
def one_at_a_time(model, clip: np.ndarray, shown=()) -> list[float]:
    """The whole conversation with one answer, tokenized and placed by the library, for each answer."""
    pixels, grids = pack_clips([*(video for video, _ in shown), clip], 10_000, model.layout)
    tokens, found = (grids.prod(1) // model.layout.merge**2).tolist(), []
    asked = video_prompt(model.tokenizer, model.config, QUESTION, *tokens, said=[said for _, said in shown])
    for answer in ANSWERS:
        ids = model.tokenizer(asked + answer + model.tokenizer.eos_token, return_tensors="pt")["input_ids"]
        start = len(model.tokenizer(asked)["input_ids"])
        inputs = {"input_ids": ids, "pixel_values_videos": pixels, "video_grid_thw": grids}
        inputs |= model.times(len(tokens), model.layout.frames / FPS)
        inputs["mm_token_type_ids"] = (ids == model.config.video_token_id).int() * VIDEO
        likely = model.model(**inputs).logits[0].log_softmax(-1)
        found.append(sum(float(likely[place - 1, ids[0, place]]) for place in range(start, ids.shape[1])))
    return found


@pytest.mark.parametrize("shots", [0, 2])
def test_one_pass_gives_what_a_loop_over_answers_gives(model, shots):
    """Clips of different lengths, so that one is padded; `mount` begins another answer, the end of its turn decides."""
    shown = [(noise_clip(10 + k, 4), ANSWERS[k]) for k in range(shots)]
    clips = [noise_clip(0, 4), noise_clip(1, 2)]
    found = Asked(model, QUESTION, ANSWERS, shown).log_probabilities(clips, FPS)
    np.testing.assert_allclose(found, [one_at_a_time(model, clip, shown) for clip in clips], atol=2e-4)
    assert np.ptp(found, axis=0).min() > 1e-3


def test_a_clip_without_content_is_taken_off_and_examples_decide_the_key(model):
    clips = [noise_clip(k, 4) for k in range(3)]
    plain = Asked(model, QUESTION, ANSWERS)
    found = plain.embed(clips, FPS)
    nothing = one_at_a_time(model, np.full((4, 56, 84, 3), GREY, np.uint8))
    np.testing.assert_allclose(found["answers"] - found["calibrated"], [nothing] * 3, atol=2e-4)
    grey = plain.embed([np.full((4, 56, 84, 3), GREY, np.uint8)], FPS)["calibrated"]
    np.testing.assert_allclose(grey, np.zeros((1, 4)), atol=1e-6)
    assert {view: rows.shape for view, rows in plain.embed([], FPS).items()} == dict.fromkeys(plain.views, (0, 4))
    asked = [Asked(model, QUESTION, ANSWERS, [(clips[0], said)]) for said in ("attack", "mount")]
    asked += [plain, Asked(model, QUESTION, ANSWERS[:2]), Asked(model, "who", ANSWERS)]
    assert len({str(one.identity) for one in asked}) == len(asked)


def test_answers_see_the_question_and_themselves_and_padding_itself_alone():
    seen = branching(torch.tensor([[0, 1, 1]]), torch.tensor([0, 0, 1]))[0, 0].int().tolist()
    assert seen == [
        [1, 0, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0],
        [0, 1, 1, 1, 0, 0], [0, 1, 1, 1, 1, 0], [0, 1, 1, 0, 0, 1],
    ]  # fmt: skip


def test_who_cannot_be_asked_is_named():
    with pytest.raises(InputError, match="pixels cannot be asked"):
        Asked(load_embedder(EmbedderSettings(model=PIXELS)), QUESTION, ANSWERS)


def test_without_answers_there_is_no_question(model):
    with pytest.raises(InputError, match="answers are missing"):
        Asked(model, QUESTION, ())
