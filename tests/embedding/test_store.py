import json
import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from mbrepro.data.clips import ClipSettings, cut_clips
from mbrepro.data.recordings import Recording
from mbrepro.data.video import write_video
from mbrepro.embedding import EmbedderSettings, load_embedder, store
from mbrepro.embedding.store import BLOCK_BATCHES
from mbrepro.errors import InputError
from tests.fixtures.tiny_checkpoint import write_checkpoint
from tests.fixtures.tiny_encoders import write_encoder

CLIPS = ClipSettings(seconds=0.5, sampled_fps=8.0)


def embed_recording(*given) -> np.ndarray:
    return store.embed_recording(*given)["grey"]


class Brightness:
    """An embedder whose answer can be worked out by hand: mean grey value of the first frame, and the batch's size."""

    takes, views = "pixels", ("grey", "grey_steps")

    def __init__(self, batch_size: int = 2, name: str = "brightness"):
        self.settings = SimpleNamespace(batch_size=batch_size, model=name)
        self.identity, self.calls = {"name": name, "batch_size": batch_size}, []

    def embed(self, clips, fps):
        self.calls.append((len(clips), fps))
        rows = []
        for start in range(0, len(clips), self.settings.batch_size):
            batch = clips[start : start + self.settings.batch_size]
            rows += [(clip[0].mean(), len(batch)) for clip in batch]
        rows = np.array(rows, np.float32).reshape(-1, 2)
        return {"grey": rows, "grey_steps": np.repeat(rows[:, None], 3, 1)}


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
    assert described["embedder"] == {"name": "brightness", "batch_size": 2}
    assert described["shapes"] == {
        "grey": [2, 2],
        "grey_steps": [2, 3, 2],
    }


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
    starts = [k % 40 for k in range(3 * BLOCK_BATCHES + 4)]
    embedded = embed_recording(recording, starts, CLIPS, embedder, tmp_path)
    assert [count for count, _ in embedder.calls] == [3 * BLOCK_BATCHES, 4]
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
    stored = store.embed_recording(recording, starts, CLIPS, embedder, tmp_path / "store")
    wanted = embedder.embed(cut_clips(recording, starts, CLIPS), 8.0)
    assert list(stored) == list(wanted)
    assert all(np.array_equal(stored[view], wanted[view]) for view in wanted)
    again = store.embed_recording(recording, starts, CLIPS, embedder, tmp_path / "store")
    assert list(again) == list(wanted) and np.array_equal(again["vision"], wanted["vision"])


class Dies(Brightness):
    """Fails at its n-th block, as a killed process would."""

    def __init__(self, at: int):
        super().__init__()
        self.at = at

    def embed(self, clips, fps):
        if len(self.calls) == self.at:
            raise KeyboardInterrupt
        return super().embed(clips, fps)


def files(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("at", [0, 1, 3])
def test_stopped_work_is_taken_up_where_it_was_and_gives_the_same_bytes(recording, tmp_path, at):
    starts = [k % 45 for k in range(3 * 2 * BLOCK_BATCHES + 3)]  # four blocks
    embed_recording(recording, starts, CLIPS, Brightness(), tmp_path / "straight")
    with pytest.raises(KeyboardInterrupt):
        embed_recording(recording, starts, CLIPS, Dies(at), tmp_path / "killed")
    left = files(tmp_path / "killed") if at else {}
    assert len(left) == at and all(".parts/" in name for name in left)
    survivor = Brightness()
    embed_recording(recording, starts, CLIPS, survivor, tmp_path / "killed")
    assert len(survivor.calls) == 4 - at
    assert files(tmp_path / "killed") == files(tmp_path / "straight")
    assert not list((tmp_path / "killed").glob("*.parts"))


def test_damaged_block_is_made_again(recording, tmp_path):
    starts = list(range(2 * BLOCK_BATCHES + 1))
    with pytest.raises(KeyboardInterrupt):
        embed_recording(recording, starts, CLIPS, Dies(1), tmp_path)
    (block,) = tmp_path.rglob("*.safetensors")
    block.write_bytes(block.read_bytes()[:-3])
    survivor = Brightness()
    embed_recording(recording, starts, CLIPS, survivor, tmp_path)
    assert len(survivor.calls) == 2


def test_leftovers_of_a_kill_after_the_last_block_are_removed(recording, tmp_path):
    wanted = embed_recording(recording, [0, 10], CLIPS, Brightness(), tmp_path)
    before = files(tmp_path)
    (stored,) = tmp_path.glob("*.safetensors")
    stored.with_suffix(".parts").mkdir()
    (stored.with_suffix(".parts") / "000000.safetensors").write_bytes(b"old")
    embedder = Brightness()
    assert np.array_equal(embed_recording(recording, [0, 10], CLIPS, embedder, tmp_path), wanted)
    assert files(tmp_path) == before and embedder.calls == []


def test_frames_are_cut_while_the_model_works(recording, tmp_path, monkeypatch):
    """The second block's frames are asked for before the first block has been embedded."""
    asked, original = [], store.cut_clips
    cut = threading.Event()

    def cut_clips(recording, starts, settings):
        asked.append(starts[0])
        if len(asked) == 2:
            cut.set()
        return original(recording, starts, settings)

    class Waits(Brightness):
        def embed(self, clips, fps):
            assert cut.wait(30)
            return super().embed(clips, fps)

    monkeypatch.setattr(store, "cut_clips", cut_clips)
    embed_recording(recording, list(range(2 * BLOCK_BATCHES + 1)), CLIPS, Waits(), tmp_path)
    assert asked == [0, 2 * BLOCK_BATCHES]


def test_embedder_of_poses_is_given_frames_and_needs_no_video(recording, tmp_path):
    class Middles:
        takes, views = "poses", ("pose",)
        settings, identity = SimpleNamespace(batch_size=2, model="poses"), {"name": "middles"}

        def embed_poses(self, recording, clips):
            return {"pose": np.array([recording.keypoints[f].mean() for f in clips], np.float32).reshape(-1, 1)}

    blind = replace(recording, video=None)
    found = store.embed_recording(blind, [0, 30], CLIPS, Middles(), tmp_path)["pose"]
    wanted = [recording.keypoints[[s, s + 5, s + 9, s + 14]].mean() for s in (0, 30)]
    np.testing.assert_allclose(found[:, 0], wanted, rtol=1e-5)
    moved = replace(blind, keypoints=recording.keypoints + 50)
    assert store.embed_recording(moved, [0, 30], CLIPS, Middles(), tmp_path)["pose"][0] > found[0] + 49


def test_every_kind_of_embedder_goes_through_the_store(recording, tmp_path):
    """The poses of a recording without video, and an encoder of pictures from a local folder."""
    poses = load_embedder(EmbedderSettings(model="poses"))
    made = store.embed_recording(replace(recording, video=None), [0, 20], CLIPS, poses, tmp_path)
    assert list(made) == list(poses.views) and len(made["pose"]) == 2
    encoder = load_embedder(EmbedderSettings(model=str(write_encoder(tmp_path / "model", "dinov3_vit")), batch_size=2))
    made = store.embed_recording(recording, [0, 20, 40], CLIPS, encoder, tmp_path)
    assert {view: rows.shape[:-1] for view, rows in made.items()} == {"mean": (3,), "cls": (3,)}
