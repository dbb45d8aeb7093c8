import json
import threading
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open

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
    """An embedder whose answer can be worked out by hand: mean grey value of the first and of the last frame."""

    takes, views = "pixels", ("grey", "last")

    def __init__(self, batch_size: int = 2, name: str = "brightness"):
        self.settings = SimpleNamespace(batch_size=batch_size, model=name)
        self.identity, self.calls = {"name": name, "batch_size": batch_size}, []

    def embed(self, clips, fps):
        self.calls.append((len(clips), fps))
        grey = np.array([[clip[0].mean(), clip[-1].mean()] for clip in clips], np.float32).reshape(-1, 2)
        return {"grey": grey[:, :1], "last": grey[:, 1:]}


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
    assert embedder.calls == [(5, 8.0)]
    again = embed_recording(recording, starts, CLIPS, embedder, tmp_path)
    assert len(embedder.calls) == 1 and np.array_equal(first, again)


def test_a_subset_embeds_nothing_and_a_superset_only_what_is_new(recording, tmp_path):
    embedder = Brightness()
    whole = embed_recording(recording, [0, 10, 20, 30], CLIPS, embedder, tmp_path)
    part = embed_recording(recording, [30, 10], CLIPS, embedder, tmp_path)
    assert embedder.calls == [(4, 8.0)] and np.array_equal(part, whole[[3, 1]])
    more = embed_recording(recording, [44, 0, 30, 5], CLIPS, embedder, tmp_path)
    assert embedder.calls[1:] == [(2, 8.0)]  # 5 and 44
    assert np.array_equal(more[[1, 2]], whole[[0, 3]])
    np.testing.assert_allclose(more[[0, 3], 0], [178, 22], atol=1.5)
    assert len(list(tmp_path.iterdir())) == 1


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.integers(0, 50), max_size=6), min_size=1, max_size=4))
def test_neither_order_nor_company_leaves_a_trace(recording, tmp_path_factory, asked):
    """Whatever was asked for before and in whatever order, a clip has its own values and the file the same bytes."""
    by_turns, at_once = tmp_path_factory.mktemp("by_turns"), tmp_path_factory.mktemp("at_once")
    for starts in asked:
        made = embed_recording(recording, starts, CLIPS, Brightness(), by_turns)
        np.testing.assert_allclose(made[:, 0], [2 + 4 * start for start in starts], atol=1.5)
    embed_recording(recording, sorted({s for starts in asked for s in starts}), CLIPS, Brightness(), at_once)
    assert files(by_turns) == files(at_once)


def test_a_model_gives_a_clip_the_same_vector_in_any_company(recording, tmp_path):
    """The stand-in, clip by clip and in batches: equal to rounding, whatever they are batched with."""
    embedder = load_embedder(EmbedderSettings(max_pixels=56 * 84, batch_size=3))
    alone = [store.embed_recording(recording, [s], CLIPS, embedder, tmp_path / "alone") for s in (0, 7, 14, 21)]
    together = store.embed_recording(recording, [21, 0, 14, 7], CLIPS, embedder, tmp_path / "together")
    for view in embedder.views:
        rows = np.concatenate([one[view] for one in alone])[[3, 0, 2, 1]]
        np.testing.assert_allclose(together[view], rows, rtol=1e-4, atol=1e-5)


def test_only_the_views_asked_for_are_given_and_all_are_kept(recording, tmp_path):
    embedder = Brightness()
    assert list(store.embed_recording(recording, [0], CLIPS, embedder, tmp_path, ["last"])) == ["last"]
    both = store.embed_recording(recording, [0], CLIPS, embedder, tmp_path)
    assert list(both) == ["grey", "last"] and len(embedder.calls) == 1


def test_the_file_says_what_made_it(recording, tmp_path):
    embed_recording(recording, [10, 0], CLIPS, Brightness(), tmp_path)
    (path,) = tmp_path.iterdir()
    assert path.name.startswith("task1_train_mouse001_task1_annotator1-") and path.suffix == ".safetensors"
    with safe_open(path, "numpy") as file:
        described = json.loads(file.metadata()["made_from"])
        assert file.get_tensor("starts").tolist() == [0, 10]
    assert described["recording"] == recording.name and described["clips"]["seconds"] == 0.5
    assert described["embedder"] == {"name": "brightness", "batch_size": 2}


def test_files_are_the_same_bytes_when_made_again(recording, tmp_path):
    for folder in ("a", "b"):
        embed_recording(recording, [0, 10, 20], CLIPS, Brightness(), tmp_path / folder)
    for a, b in zip(sorted((tmp_path / "a").iterdir()), sorted((tmp_path / "b").iterdir()), strict=True):
        assert a.name == b.name and a.read_bytes() == b.read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        {"settings": replace(CLIPS, seconds=0.6)},
        {"settings": replace(CLIPS, crop="mice")},
        {"embedder": Brightness(batch_size=3)},
        {"embedder": Brightness(name="other")},
    ],
)
def test_key_covers_what_changes_the_embeddings(recording, tmp_path, change):
    embed_recording(recording, [0, 10], CLIPS, Brightness(), tmp_path)
    asked = {"settings": CLIPS, "embedder": Brightness()} | change
    embed_recording(recording, [0, 10], asked["settings"], asked["embedder"], tmp_path)
    assert len(asked["embedder"].calls) == 1
    assert len(list(tmp_path.glob("*.safetensors"))) == 2


def test_key_covers_the_videos_bytes_and_the_poses_of_a_crop(recording, tmp_path):
    cropped, embedder = replace(CLIPS, crop="mice"), Brightness()
    moved = replace(recording, keypoints=recording.keypoints + 1)
    for how, expected in ((CLIPS, 1), (cropped, 3)):
        embed_recording(recording, [0], how, embedder, tmp_path)
        embed_recording(moved, [0], how, embedder, tmp_path)
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


def test_blocks_hold_whole_batches(recording, tmp_path):
    """Many clips are cut a few at a time, in the order of their first frames."""
    embedder = Brightness(batch_size=3)
    starts = list(range(3 * BLOCK_BATCHES + 4))
    embedded = embed_recording(recording, starts[::-1], CLIPS, embedder, tmp_path)
    assert [count for count, _ in embedder.calls] == [3 * BLOCK_BATCHES, 4]
    np.testing.assert_allclose(embedded[:, 0], [2 + 4 * start for start in starts[::-1]], atol=1.5)


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
    assert nothing.shape == (0, 1) and nothing.dtype == np.float32
    with pytest.raises(InputError, match="video"):
        embed_recording(replace(recording, video=None), [0], CLIPS, Brightness(), tmp_path)


def test_equals_the_model_on_the_clips(recording, tmp_path):
    model = str(write_checkpoint(tmp_path / "model"))
    embedder = load_embedder(EmbedderSettings(model=model, max_pixels=10_000, batch_size=2))
    starts = [0, 15, 30]
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


@pytest.mark.parametrize("at", [0, 1, 2])
def test_stopped_work_is_taken_up_where_it_was_and_gives_the_same_bytes(recording, tmp_path, at):
    starts = list(range(2 * 2 * BLOCK_BATCHES + 3))  # three blocks
    embed_recording(recording, starts, CLIPS, Brightness(), tmp_path / "straight")
    with pytest.raises(KeyboardInterrupt):
        embed_recording(recording, starts, CLIPS, Dies(at), tmp_path / "killed")
    assert len(files(tmp_path / "killed")) == (at > 0)
    survivor = Brightness()
    embed_recording(recording, starts, CLIPS, survivor, tmp_path / "killed")
    assert len(survivor.calls) == 3 - at
    assert files(tmp_path / "killed") == files(tmp_path / "straight")


def count_and_embed(recording, starts, folder, at_once) -> int:
    embedder = Brightness()
    at_once.wait()
    embed_recording(recording, starts, CLIPS, embedder, folder)
    return sum(count for count, _ in embedder.calls)


def test_two_processes_at_one_recording_both_end_well(recording, tmp_path):
    with get_context("spawn").Manager() as manager, ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        at_once, wanted = manager.Barrier(2), [list(range(0, 40)), list(range(20, 50))]
        jobs = [pool.submit(count_and_embed, recording, starts, tmp_path, at_once) for starts in wanted]
        assert sum(job.result() for job in jobs) == 50  # each clip once
    embedder = Brightness()
    embed_recording(recording, range(50), CLIPS, embedder, tmp_path)
    assert embedder.calls == [] and len(files(tmp_path)) == 1


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
    assert {view: rows.shape[:-1] for view, rows in made.items()} == dict.fromkeys(encoder.views, (3,))


@pytest.mark.parametrize("write", [write_checkpoint, partial(write_encoder, kind="dinov3_vit")])
def test_processes_that_cut_leave_no_trace(recording, tmp_path, write, monkeypatch):
    """More clips than a block, batches that are not whole, clips that share frames: the stored bytes are the same."""
    monkeypatch.setattr(store, "BLOCK_CLIPS", 6)
    model, starts = str(write(tmp_path / "model")), list(range(0, 42, 3))
    embedder = load_embedder(EmbedderSettings(model, max_pixels=10_000, batch_size=3))
    for folder, count in (("alone", 1), ("together", 2)):
        store.embed_recording(recording, starts, CLIPS, embedder, tmp_path / folder, workers=count)
    (one,), (other,) = (list((tmp_path / folder).glob("*.safetensors")) for folder in ("alone", "together"))
    assert one.name == other.name and one.read_bytes() == other.read_bytes()


def test_a_block_holds_a_batch_or_so_many_that_its_frames_fit_into_memory(recording, tmp_path):
    starts = list(range(44))
    for batch, calls in ((2, [16, 16, 12]), (40, [40, 4])):
        embedder = Brightness(batch, f"of {batch}")
        embed_recording(recording, starts, CLIPS, embedder, tmp_path)
        assert [count for count, _ in embedder.calls] == calls


def test_a_gpu_is_given_clips_by_as_many_processes_as_torch_has_threads_and_a_cpu_by_one():
    there, here = SimpleNamespace(device="cuda"), SimpleNamespace(device="cpu")
    assert [store.cutters(e) for e in (there, here, Brightness())] == [torch.get_num_threads(), 1, 1]
