import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from mbrepro.clips import ClipSettings, cut_clips
from mbrepro.embedding import EmbedderSettings, load_embedder
from mbrepro.embedding.store import CHUNK_BATCHES, embed_recording
from mbrepro.errors import InputError
from mbrepro.recordings import Recording
from mbrepro.video import write_video
from tests.tiny_checkpoint import write_checkpoint

CLIPS = ClipSettings(seconds=0.5, sampled_fps=8.0)


class Brightness:
    """An embedder whose answer can be worked out by hand: mean grey value of the first frame, and the batch's size."""

    def __init__(self, batch_size: int = 2, name: str = "brightness"):
        self.settings = SimpleNamespace(batch_size=batch_size, model=name)
        self.width, self.identity, self.calls = 2, {"name": name, "batch_size": batch_size}, []

    def embed(self, clips, fps):
        self.calls.append((len(clips), fps))
        rows = []
        for start in range(0, len(clips), self.settings.batch_size):
            batch = clips[start : start + self.settings.batch_size]
            rows += [(clip[0].mean(), len(batch)) for clip in batch]
        return np.array(rows, np.float32)


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """60 frames, each of one grey value: 2, 6, 10, …"""
    video = tmp_path_factory.mktemp("video") / "grey.mp4"
    write_video(video, (np.full((64, 96, 3), 2 + 4 * i, np.uint8) for i in range(60)), 30.0, 96, 64, crf=0)
    points = np.random.default_rng(0).uniform(200, 400, (60, 2, 7, 2))
    return Recording("task1/train/mouse001_task1_annotator1", points, video=video)


def test_embeds_each_clip_once_and_reads_it_back(recording, tmp_path):
    embedder, starts = Brightness(), [0, 10, 20, 30, 44]
    first = embed_recording(recording, starts, CLIPS, embedder, tmp_path)
    assert first.dtype == np.float32
    np.testing.assert_allclose(first[:, 0], [2, 42, 82, 122, 178], atol=1.5)
    assert first[:, 1].tolist() == [2, 2, 2, 2, 1]
    assert embedder.calls == [(5, 8.0)]
    again = embed_recording(recording, starts, CLIPS, embedder, tmp_path)
    assert len(embedder.calls) == 1 and np.array_equal(first, again)


def test_one_file_and_its_description_per_key(recording, tmp_path):
    embed_recording(recording, [0, 10], CLIPS, Brightness(), tmp_path)
    files = sorted(tmp_path.iterdir())
    assert [path.suffix for path in files] == [".json", ".safetensors"]
    assert files[0].stem == files[1].stem and files[0].stem.startswith("task1_train_mouse001_task1_annotator1-")
    described = json.loads(files[0].read_text())
    assert described["starts"] == [0, 10] and described["clips"]["seconds"] == 0.5
    assert described["embedder"] == {"name": "brightness", "batch_size": 2} and described["shape"] == [2, 2]


def test_files_are_the_same_bytes_when_made_again(recording, tmp_path):
    for folder in ("a", "b"):
        embed_recording(recording, [0, 10, 20], CLIPS, Brightness(), tmp_path / folder)
    for a, b in zip(sorted((tmp_path / "a").iterdir()), sorted((tmp_path / "b").iterdir()), strict=True):
        assert a.name == b.name and a.read_bytes() == b.read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        {"starts": [0, 11]},
        {"settings": replace(CLIPS, seconds=0.6)},
        {"settings": replace(CLIPS, crop="mice")},
        {"embedder": Brightness(batch_size=3)},
        {"embedder": Brightness(name="other")},
    ],
)
def test_key_covers_what_changes_the_embeddings(recording, tmp_path, change):
    embed_recording(recording, [0, 10], CLIPS, Brightness(), tmp_path)
    asked = {"starts": [0, 10], "settings": CLIPS, "embedder": Brightness()} | change
    embed_recording(recording, asked["starts"], asked["settings"], asked["embedder"], tmp_path)
    assert len(asked["embedder"].calls) == 1
    assert len(list(tmp_path.glob("*.safetensors"))) == 2


def test_key_covers_the_videos_bytes_and_the_poses_of_a_crop(recording, tmp_path):
    cropped, embedder = replace(CLIPS, crop="mice"), Brightness()
    moved = replace(recording, keypoints=recording.keypoints + 1)
    for settings, expected in ((CLIPS, 1), (cropped, 3)):
        embed_recording(recording, [0], settings, embedder, tmp_path)
        embed_recording(moved, [0], settings, embedder, tmp_path)
        assert len(embedder.calls) == expected
    video = tmp_path / "other.mp4"
    write_video(video, (np.full((64, 96, 3), 200, np.uint8) for _ in range(60)), 30.0, 96, 64)
    refilmed = embed_recording(replace(recording, video=video), [0], CLIPS, embedder, tmp_path)
    assert len(embedder.calls) == 4 and refilmed[0, 0] == pytest.approx(200, abs=2)


def test_key_covers_where_in_the_video_a_recording_begins(recording, tmp_path):
    part = replace(recording, keypoints=recording.keypoints[:40])
    embedder = Brightness()
    for first, brightness in ((0, 2), (20, 82)):
        embedded = embed_recording(replace(part, video_start=first), [0], CLIPS, embedder, tmp_path)
        assert embedded[0, 0] == pytest.approx(brightness, abs=1.5)
    assert len(embedder.calls) == 2


def test_chunks_hold_whole_batches(recording, tmp_path):
    """Many clips are cut a few at a time, and each is still batched with the neighbours that its index gives it."""
    embedder = Brightness(batch_size=3)
    starts = [k % 40 for k in range(3 * CHUNK_BATCHES + 4)]
    embedded = embed_recording(recording, starts, CLIPS, embedder, tmp_path)
    assert [count for count, _ in embedder.calls] == [3 * CHUNK_BATCHES, 4]
    assert embedded[:, 1].tolist() == [3] * (len(starts) - 1) + [1]


def test_damaged_file_is_made_again(recording, tmp_path):
    embedder = Brightness()
    wanted = embed_recording(recording, [0], CLIPS, embedder, tmp_path)
    stored = next(tmp_path.glob("*.safetensors"))
    stored.write_bytes(stored.read_bytes()[:20])
    assert np.array_equal(embed_recording(recording, [0], CLIPS, embedder, tmp_path), wanted)
    assert len(embedder.calls) == 2


def test_failure_leaves_nothing(recording, tmp_path):
    embedder = Brightness()
    embedder.embed = lambda clips, fps: 1 / 0
    with pytest.raises(ZeroDivisionError):
        embed_recording(recording, [0], CLIPS, embedder, tmp_path)
    with pytest.raises(InputError, match="cannot start at frame 60"):
        embed_recording(recording, [0, 60], CLIPS, Brightness(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_proposals_need_no_video(recording, tmp_path):
    nothing = embed_recording(replace(recording, video=None), [], CLIPS, Brightness(), tmp_path)
    assert nothing.shape == (0, 2) and nothing.dtype == np.float32
    with pytest.raises(InputError, match="video"):
        embed_recording(replace(recording, video=None), [0], CLIPS, Brightness(), tmp_path)


def test_equals_the_model_on_the_clips(recording, tmp_path):
    settings = EmbedderSettings(model=str(write_checkpoint(tmp_path / "model")), max_pixels=10_000, batch_size=2)
    embedder, starts = load_embedder(settings), [0, 15, 30]
    stored = embed_recording(recording, starts, CLIPS, embedder, tmp_path / "store")
    assert np.array_equal(stored, embedder.embed(cut_clips(recording, starts, CLIPS), 8.0))
