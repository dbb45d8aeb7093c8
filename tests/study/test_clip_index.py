"""Which clips of a dataset are looked at, captioned, and laid into the spaces that are compared."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mbrepro.data.clips import ClipSettings, clip_frames
from mbrepro.data.recordings import Recording
from mbrepro.data.video import write_video
from mbrepro.embedding import POSES, EmbedderSettings, load_embedder
from mbrepro.embedding.store import embed_recording
from mbrepro.embedding.twin import untrained_twin
from mbrepro.method import protocols
from mbrepro.method.proposals import Proposal
from mbrepro.study.clip_index import (
    FoundClips,
    captions_at_the_end,
    captions_by_length,
    clip_frame,
    embeddings_of,
    moved,
    spaces,
    spread,
)
from tests.fixtures.tiny_checkpoint import write_checkpoint

CLIPS = ClipSettings(seconds=0.5, sampled_fps=8.0)


class Counter:
    """Says how many different pictures a clip has."""

    settings, identity = SimpleNamespace(batch_size=4, model="counter"), {"name": "counter"}
    takes = "pixels"

    def caption(self, clips, fps, max_new_tokens=80):
        return [f"It shows {len({picture.tobytes() for picture in clip})} pictures." for clip in clips]


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """60 frames, each of one grey value."""
    video = tmp_path_factory.mktemp("video") / "grey.mp4"
    write_video(video, (np.full((64, 96, 3), 2 + 4 * i, np.uint8) for i in range(60)), 30.0, 96, 64, crf=0)
    points = np.random.default_rng(0).uniform(200, 400, (60, 2, 7, 2))
    return Recording("task1/mouse001", points, labels=np.repeat([3, 1], 30), video=video)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = write_checkpoint(tmp_path_factory.mktemp("tiny"))
    return EmbedderSettings(model=str(folder), max_pixels=56 * 56)


def found(recording, starts, labels, proposals=(), split="test"):
    return FoundClips(recording, split, np.array(starts, int), np.array(labels, int), proposals)


def test_spread_takes_the_same_share_of_each_class(recording):
    labels = np.r_[np.zeros(10), np.ones(60), np.full(30, 2)].astype(int)
    parts = [found(recording, range(50), labels[:50]), found(recording, range(50), labels[50:])]
    taken = spread(parts, 20)
    counts = np.bincount(np.concatenate([f.labels for f in taken]), minlength=3)
    assert counts.tolist() == [2, 12, 6]
    assert all(set(f.starts) <= set(range(50)) for f in taken)
    assert spread(parts, 0)[0] is parts[0] and spread(parts, 100)[1] is parts[1]


def test_clips_of_another_length_lie_round_the_same_middle(recording):
    protocol = protocols.corrected(EmbedderSettings())
    long = replace(recording, keypoints=np.zeros((400, 2, 7, 2)), labels=np.zeros(400, int))
    (f,) = moved([found(long, [0], [1], (Proposal(100, 160, 1.0),))], protocol, 1.0)
    assert f.starts.tolist() == [115]
    (f,) = moved([found(long, [0], [1], (Proposal(100, 160, 1.0),))], protocol, 5.0)
    assert f.starts.tolist() == [55]


def test_a_line_a_clip(recording):
    frame = clip_frame([found(recording, [30, 45], [1, 0], split="train")])
    assert frame["class"].tolist() == ["investigation", "attack"]
    assert frame["minute"].tolist() == pytest.approx([1 / 60, 1.5 / 60])
    assert set(frame["split"]) == {"train"} and set(frame["animal"]) == {recording.animal}
    assert list(clip_frame([]).columns) == list(frame.columns)


def test_a_clip_cut_short_by_the_end_repeats_what_is_left(recording, tmp_path):
    longest = ClipSettings(seconds=1.0, sampled_fps=8.0)
    said = captions_at_the_end([recording], [1.0, 0.2, 0.03], longest, Counter(), tmp_path)
    assert said["start"].tolist() == [30, 54, 59]
    assert said["caption"].tolist() == [f"It shows {count} pictures." for count in (8, 6, 1)]
    assert [len(set(clip_frames(start, recording, longest))) for start in said["start"]] == [8, 6, 1]
    assert said["class"].tolist() == ["investigation"] * 3


def test_captions_by_length_cover_both_splits_and_bound_their_number(recording, tmp_path):
    proposals = tuple(Proposal(a, a + 20, 1.0) for a in (0, 20, 40))
    both = [found(recording, [0] * 3, [0, 1, 1], proposals, split) for split in ("train", "test")]
    protocol = replace(protocols.corrected(EmbedderSettings()), clips=CLIPS)
    frame = captions_by_length(both, protocol, [0.5, 1.0], Counter(), tmp_path, most=2)
    assert frame.groupby(["seconds", "split"]).size().to_dict() == {
        (s, p): 2 for s in (0.5, 1.0) for p in ("train", "test")
    }
    assert set(frame["category"]) == {"nondescript"} and frame["names"].tolist() == [()] * 8
    assert set(frame["agreement"]) == {"names none"}


def test_twin_has_the_same_shape_and_other_weights_and_is_made_once(tiny, recording, tmp_path):
    twin = untrained_twin(tiny.model, tmp_path, 0)
    assert untrained_twin(tiny.model, tmp_path, 0) == twin and untrained_twin(tiny.model, tmp_path, 1) != twin
    assert not list(tmp_path.glob(".twin-*"))
    clips = [found(recording, [0, 10], [1, 1])]
    protocol = replace(protocols.corrected(tiny), clips=CLIPS)
    both = [
        embeddings_of(clips, protocol, load_embedder(replace(tiny, model=str(model))), tmp_path / "store")
        for model in (tiny.model, twin)
    ]
    assert both[0].shape == both[1].shape and np.abs(both[0] - both[1]).max() > 0.01
    same = embed_recording(recording, [0, 10], CLIPS, load_embedder(tiny), tmp_path / "store")[protocol.view]
    np.testing.assert_array_equal(both[0], same)


def test_poses_lie_in_the_space_of_the_control_embedder(tiny, recording, tmp_path):
    clips = [found(recording, [0, 30], [1, 1])]
    protocol = replace(protocols.corrected(tiny), clips=CLIPS)
    made = spaces(clips, protocol, tmp_path, twin_seed=None)
    control = load_embedder(replace(tiny, model=POSES))
    frames = [clip_frames(start, recording, CLIPS) for start in (0, 30)]
    np.testing.assert_array_equal(made["poses"], control.embed_poses(recording, frames)["pose"])
    assert list(made) == [Path(tiny.model).name, "poses"] and made["poses"].shape == (2, control.width)
