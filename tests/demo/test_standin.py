import csv
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mbrepro.data.clips import ClipSettings, cut_clips
from mbrepro.data.recordings import Recording
from mbrepro.data.video import write_video
from mbrepro.demo.simulated import DemoSettings, demo_dataset, extra_recordings
from mbrepro.demo.standin.evaluate import labelled_starts, score
from mbrepro.demo.standin.examples import SEGMENTS, VIEWS, Example, segment_starts, view_points
from mbrepro.demo.standin.learning import (
    IGNORED,
    PoseReader,
    TrainSettings,
    batches,
    flipped,
    learn,
    losses,
    text_inputs,
    use_linear_patches,
)
from mbrepro.demo.standin.model import stand_in_config, train_tokenizer, untrained
from mbrepro.demo.standin.phrases import REFUSALS, measure
from mbrepro.embedding import EmbedderSettings, load_embedder
from mbrepro.embedding.checkpoint import save_checkpoint
from mbrepro.embedding.embedder import PROMPT
from mbrepro.embedding.packing import pack_clips
from mbrepro.embedding.qwen import video_prompt
from mbrepro.embedding.standin import STAND_IN_PIXELS, STAND_IN_WEIGHTS
from tests.fixtures.behaviour_words import FORBIDDEN

# --- examples ---------------------------------------------------------------------------------------------------------


def test_segments_hold_every_class_in_turn():
    labels = np.full(1350, 3)
    labels[700:720] = 0
    recording = Recording("mouse001", np.zeros((1350, 2, 7, 2)), labels=labels)
    starts = segment_starts(recording, np.random.default_rng(0))
    assert len(starts) == SEGMENTS and min(starts) >= 0 and max(starts) <= 1200
    rare = sum((labels[start : start + 150] == 0).any() for start in starts)
    assert rare >= SEGMENTS // 2


def test_points_lie_where_the_mice_are_in_the_view(tmp_path):
    """Film a white dot at each mouse's keypoints: the pixel under each point of the view is bright."""
    points = np.zeros((60, 2, 7, 2), np.float32)
    points[:, 0], points[:, 1] = (400, 200), (640, 300)
    frames = []
    for _ in range(60):
        frame = np.zeros((286, 512, 3), np.uint8)
        for x, y in ((400, 200), (640, 300)):
            row, column = round(y * 286 / 570), x // 2
            frame[row - 4 : row + 5, column - 4 : column + 5] = 255
        frames.append(frame)
    write_video(tmp_path / "dots.mp4", frames, 30.0, 512, 286)
    recording = Recording("mouse001", points, video=tmp_path / "dots.mp4")
    for view in VIEWS[1:]:
        view = replace(view, seconds=1.0)
        clip, where = cut_clips(recording, [0], view)[0], view_points(recording, 0, view)
        height, width = clip.shape[1:3]
        for frame, places in zip(clip, where, strict=True):
            for x, y in places:
                assert frame[int(y * height), int(x * width)].min() > 200
        assert clip.mean() < 100


def test_training_animals_are_in_no_split(tmp_path):
    chosen = DemoSettings(train_recordings=3, test_recordings=2, seconds=10)
    shown = demo_dataset("task1", chosen, tmp_path, videos=False)
    trained_on = {r.animal for r in extra_recordings("task1", 3, chosen, tmp_path, videos=False)}
    assert not trained_on & {r.animal for r in shown.recordings}
    made = json.loads((STAND_IN_WEIGHTS / "training.json").read_text())
    assert trained_on < set(made["animals"])
    assert not set(made["animals"]) & set(made["held_out_animals"])


# --- learning ---------------------------------------------------------------------------------------------------------


def example(seed: int, frames: int = 4, rate: float = 2.0) -> Example:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (frames, 3, 56, 84), dtype=np.uint8)
    return Example(pixels, rng.random((frames, 14, 2), np.float32), rate, f"Mouse {'fast' if seed % 2 else 'slow'}.")


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([PROMPT, "Mouse fast. Mouse slow."], 300)


@pytest.fixture(scope="module")
def model(tokenizer):
    return untrained(stand_in_config(tokenizer), 0)


def test_stand_in_has_about_two_million_parameters(model):
    assert 1.5e6 < sum(p.numel() for p in model.parameters()) < 2.5e6


def test_linear_patches_give_the_convolutions_values(tokenizer):
    model = untrained(stand_in_config(tokenizer), 1)
    blocks = torch.randn(24, 3 * 2 * 14 * 14)
    by_convolution = model.model.visual.patch_embed(blocks)
    use_linear_patches(model)
    torch.testing.assert_close(model.model.visual.patch_embed(blocks), by_convolution, atol=1e-5, rtol=1e-5)


def test_every_example_comes_once_before_any_again():
    examples = [example(k, 4 if k % 3 else 6) for k in range(11)]
    drawn, seen = batches(examples, 2, np.random.default_rng(0)), []
    while len(seen) < 22:
        batch = next(drawn)
        assert len({e.frames.shape for e in batch}) == 1 and len(batch) <= 2
        seen += [id(e) for e in batch]
    assert sorted(seen[:11]) == sorted(seen[11:]) == sorted(id(e) for e in examples)


def test_points_are_mirrored_with_the_picture():
    """A bright pixel stays under its point however the clip is mirrored, and all four ways occur."""
    frames, points = np.zeros((1, 3, 56, 84), np.uint8), np.full((1, 14, 2), 0.5, np.float32)
    frames[0, :, 10, 70] = 255
    points[0, 0] = 70.5 / 84, 10.5 / 56
    original, rng, seen = Example(frames, points, 2.0, ""), np.random.default_rng(0), set()
    for _ in range(30):
        picture, where = flipped(original, rng)
        x, y = (where[0, 0] * torch.tensor([84, 56])).int().tolist()
        assert picture[0, 0, y, x] == 255
        seen.add((x, y))
    assert len(seen) == 4
    assert frames[0, 0, 10, 70] == 255 and points[0, 0, 0] == np.float32(70.5 / 84)


def test_pose_loss_by_hand():
    """One keypoint set in one cell: a confident right answer costs nothing, a place off by a quarter costs .25."""
    reader = PoseReader(width=6, frames=1)
    torch.nn.init.zeros_(reader.cells.weight), torch.nn.init.zeros_(reader.places.weight)
    with torch.no_grad():
        reader.cells.weight[:, 0] = 1.0
        reader.places.bias[:] = 0.5
    tokens = torch.zeros(1, 1, 2, 3, 6)
    tokens[0, 0, 1, 2, 0] = 50.0  # row 1, column 2
    points = torch.tensor([2.5 / 3, 1.5 / 2]).expand(1, 1, 1, 14, 2)
    assert reader.loss(tokens, points).item() == pytest.approx(0, abs=1e-5)
    points = torch.tensor([2.75 / 3, 1.75 / 2]).expand(1, 1, 1, 14, 2)
    assert reader.loss(tokens, points).item() == pytest.approx(0.25, abs=1e-5)
    tokens.zero_()
    assert reader.loss(tokens, points).item() == pytest.approx(np.log(6) + 0.25, abs=1e-5)


def test_only_the_caption_is_learnt(tokenizer, model):
    """Targets decode to the captions and the end of turn; the prompt before them is the one used for embedding."""
    inputs = text_inputs([example(0), example(1)], tokenizer, model, 12)
    for row, ids, text in zip(inputs["targets"], inputs["input_ids"], ("Mouse slow.", "Mouse fast."), strict=True):
        assert tokenizer.decode(row[row != IGNORED]) == text + "<|im_end|>"
        before = video_prompt(tokenizer, model.config, PROMPT, 12)
        assert tokenizer.decode(ids).startswith(before + text)
    assert (inputs["mm_token_type_ids"] == 2).sum(1).tolist() == [12, 12]


class Unchanged:
    """A random generator that neither mirrors nor relights."""

    def random(self):
        return 1.0

    def normal(self, mean, sd, shape):
        return np.broadcast_to(mean, shape)


def test_caption_loss_equals_the_librarys(tokenizer, model):
    """The same batch through the whole model with labels, which shifts and masks by itself."""
    batch = [example(0), example(1)]
    reader = PoseReader(128)
    said, _ = losses(model, reader, tokenizer, batch, 0.0, Unchanged())
    inputs = text_inputs(batch, tokenizer, model, 12)
    pixels, grids = pack_clips([np.ascontiguousarray(e.frames.transpose(0, 2, 3, 1)) for e in batch], 10_000)
    wanted = model(
        **{name: inputs[name] for name in ("input_ids", "attention_mask", "mm_token_type_ids")},
        labels=inputs["targets"],
        pixel_values_videos=pixels,
        video_grid_thw=grids,
        second_per_grid_ts=torch.tensor([1.0, 1.0]),
    ).loss
    assert said.item() == pytest.approx(wanted.item(), rel=1e-5)


def test_training_learns_and_repeats(tokenizer):
    """Two runs from one seed end in the same weights, lower in loss than they began; another seed ends elsewhere."""
    chosen = TrainSettings(steps=8, batch=4, warmup=2, learning_rate=3e-3)

    def run(seed):
        model = untrained(stand_in_config(tokenizer), seed)
        examples = [example(k, frames=2) for k in range(8)]
        steps = list(learn(model, tokenizer, examples, replace(chosen, seed=seed)))
        return steps, torch.cat([p.detach().flatten() for p in model.parameters()])

    (steps, weights), (_, again), (_, other) = run(0), run(0), run(1)
    assert torch.equal(weights, again) and not torch.equal(weights, other)
    assert [step for step, _, _ in steps] == list(range(1, 9))
    assert steps[-1][1] < 0.7 * steps[0][1]


def test_saved_checkpoint_is_small_and_loads_as_saved(tokenizer, model, tmp_path):
    save_checkpoint(model, tokenizer, tmp_path)
    loaded = load_embedder(EmbedderSettings(model=str(tmp_path), max_pixels=10_000))
    assert (tmp_path / "model.safetensors").stat().st_size < 5e6
    assert loaded.model.dtype == torch.float32
    saved = dict(loaded.model.named_parameters())
    for name, weight in model.named_parameters():
        assert torch.equal(saved[name], weight.half().float()), name


# --- evaluation -------------------------------------------------------------------------------------------------------


def test_labelled_clips_are_centred_on_bouts():
    labels = np.full(600, 3)
    labels[100:160], labels[300:340], labels[590:600] = 1, 1, 0
    recording = Recording("mouse001", np.zeros((600, 2, 7, 2)), labels=labels)
    starts, found = labelled_starts(recording, ClipSettings(seconds=2.0), longest=2)
    assert list(zip(starts, found, strict=True)) == [(540, 0), (100, 1), (290, 1), (435, 3), (200, 3)]


def test_score_is_on_animals_not_seen():
    """Embeddings that name the animal, not the class, score at chance."""
    rng = np.random.default_rng(0)
    animals, labels = np.repeat(np.arange(20), 10), np.tile([0, 1], 100)
    told = np.eye(2)[labels] + rng.normal(0, 0.1, (200, 2))
    assert score(told, labels, animals) == (1.0, 1.0)
    names = np.eye(200)[np.arange(200)]
    assert score(names, labels, animals)[1] < 0.7


# --- the shipped weights ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def strangers(tmp_path_factory):
    """Filmed recordings that neither the demo nor the stand-in's training shows: other seed, other animals."""
    chosen = DemoSettings(train_recordings=1, test_recordings=1, seconds=10, seed=99)
    return extra_recordings("task1", 3, chosen, tmp_path_factory.mktemp("strangers"))


@pytest.fixture(scope="module")
def crops(strangers):
    view = ClipSettings(seconds=2.0, sampled_fps=8.0, crop="mice")
    return [clip for recording in strangers[:2] for clip in cut_clips(recording, range(0, 240, 60), view)]


@pytest.fixture(scope="module")
def stand_in():
    return load_embedder(EmbedderSettings(model="stand-in", max_pixels=STAND_IN_PIXELS))


def test_shipped_stand_in_embeds_the_same_bytes_each_time(stand_in, crops):
    again = load_embedder(EmbedderSettings(model="stand-in", max_pixels=STAND_IN_PIXELS))
    first, second = (embedder.embed(crops, 8.0)["last_100"] for embedder in (stand_in, again))
    assert first.shape == (len(crops), 128) and np.array_equal(first, second)
    assert len(np.unique(first, axis=0)) == len(crops)


def test_shipped_stand_in_speaks_and_names_no_behaviour(stand_in, strangers):
    """Of the clips in which the mice are nearest: where little goes on it says that it sees no video (page 07)."""
    view, clips = ClipSettings(seconds=2.0, sampled_fps=8.0, crop="mice"), []
    for recording in strangers:
        gap = np.linalg.norm(np.diff(recording.keypoints.mean(2), axis=1)[:, 0], axis=1)
        clips += cut_clips(
            recording, sorted(range(0, 240, 20), key=lambda start: gap[start : start + 60].mean())[:3], view
        )
    captions = stand_in.caption(clips, 8.0)
    for text in captions:
        assert re.fullmatch(r"[A-Z][A-Za-z' ,.]+\.", text) and not FORBIDDEN.search(text), text
    said = [text for text in captions if text not in REFUSALS]
    assert len(said) > len(captions) / 2 and len(set(said)) > 1 and all("mice" in text for text in said)


def test_shipped_stand_in_sees_more_than_its_untrained_twin(stand_in, strangers, tmp_path):
    """How far apart the mice are, read by ridge regression from the last token, in a recording it was not fitted on."""
    save_checkpoint(untrained(stand_in.config, 0), stand_in.tokenizer, tmp_path)
    twin = load_embedder(EmbedderSettings(model=str(tmp_path), max_pixels=STAND_IN_PIXELS))
    view, starts = ClipSettings(seconds=1.0, sampled_fps=4.0), range(0, 270, 18)
    clips, apart, whose = [], [], []
    for number, recording in enumerate(strangers):
        clips += cut_clips(recording, starts, view)
        poses = [recording.keypoints[start : start + 30] for start in starts]
        apart += [np.log(measure(pose, recording.fps, recording.frame_size).distance) for pose in poses]
        whose += [number] * len(starts)

    def agreement(embedder):
        reader = make_pipeline(StandardScaler(), RidgeCV(np.logspace(0, 4, 9)))
        read = cross_val_predict(
            reader, embedder.embed(clips, 4.0)["last_100"], apart, groups=whose, cv=LeaveOneGroupOut()
        )
        return spearmanr(read, apart).statistic

    assert agreement(stand_in) > max(0.5, agreement(twin) + 0.2)


def test_shipped_vocabulary_names_no_behaviour(stand_in):
    words = [stand_in.tokenizer.decode([k]) for k in range(len(stand_in.tokenizer))]
    assert not [word for word in words if FORBIDDEN.search(word)]


def test_shipped_log_and_figures_say_what_training_did(stand_in):
    """Losses fell; embeddings of animals not trained on tell classes better than the untrained twin's."""
    with (STAND_IN_WEIGHTS / "training_log.csv").open() as file:
        log = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    assert log[-1]["caption_loss"] < 0.2 * log[0]["caption_loss"]
    assert log[-1]["pose_loss"] < 0.6 * log[0]["pose_loss"]
    made = json.loads((STAND_IN_WEIGHTS / "training.json").read_text())
    assert log[-1]["step"] == made["settings"]["steps"]
    assert made["parameters"] == sum(p.numel() for p in stand_in.model.parameters())
    with (STAND_IN_WEIGHTS / "evaluation.csv").open() as file:
        scores = {(r["model"], r["shown"], r["view"]): float(r["balanced_accuracy"]) for r in csv.DictReader(file)}
    for shown in ("frame", "mice"):
        for view in ("video_100", "vision"):
            assert scores["stand-in", shown, view] > scores["untrained twin", shown, view]


def test_shipped_files_are_a_few_megabytes():
    files = {path.name: path.stat().st_size for path in STAND_IN_WEIGHTS.iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= set(files)
    assert sum(files.values()) < 6e6
