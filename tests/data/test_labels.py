import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbrepro.data import labels as level
from mbrepro.data.calms21.release import Fetched, data_folder, record
from mbrepro.data.labels import LabelSet, LabelTrack, read_labels, real_labels
from mbrepro.data.recordings import TASK1_CLASSES, Recording
from mbrepro.errors import InputError
from mbrepro.metrics import resampling
from mbrepro.metrics.frames import evaluate
from tests.fixtures.tracks import track

NPZ = "calms21_labels/task1_labels.npz"


def test_bouts_gaps_and_transitions_by_hand():
    tracks = [track("..aaim..i."), track("mm.m", fps=2.0)]
    assert [s.tolist() for s in level.bout_seconds(tracks)] == [[2, 1, 1, 1], [1, 0.5]]
    assert [s.tolist() for s in level.bout_seconds(tracks, "mount")] == [[1], [1, 0.5]]
    assert level.gap_seconds(tracks).tolist() == [2, 0.5]
    assert level.gap_seconds([track("..a.."), track("aa"), track("...")]).tolist() == []
    expected = np.zeros((4, 4))
    for a, b in [(3, 0), (0, 1), (1, 2), (2, 3), (3, 1), (1, 3), (2, 3), (3, 2)]:
        expected[a, b] += 1
    np.testing.assert_array_equal(level.transitions(tracks, TASK1_CLASSES), expected)
    assert level.class_frames(tracks, TASK1_CLASSES).tolist() == [2, 2, 4, 6]


def test_unlabelled_frames_are_no_bouts_frames_or_transitions_of_any_class():
    """They are no class, though Python's -1 is the last one, here a behaviour; they keep what they part apart."""
    labels = np.array([1, 1, -1, 1, 0, -1, -1, 0, 1])
    recording = Recording("v", np.ones((9, 2, 7, 2)), ("other", "groom"), labels, fps=1.0, partly_labelled=True)
    assert [level.bout_seconds([recording], name)[0].tolist() for name in ("groom", None)] == [[2, 1, 1], [2, 1, 1]]
    assert level.class_frames([recording], recording.classes).tolist() == [2, 4]
    assert level.transitions([recording], recording.classes).tolist() == [[0, 1], [1, 0]]


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 20)), min_size=1, max_size=6))
def test_share_is_the_pooled_one_and_lies_in_its_interval_of_equal_videos(pairs):
    part, whole = [min(a, b) for a, b in pairs], [b for _, b in pairs]
    share = resampling.share(part, whole, resamples=200)
    assert share["value"] == pytest.approx(sum(part) / sum(whole))
    if len(part) < resampling.LEAST_VIDEOS:
        assert np.isnan([share["low"], share["high"]]).all()
    else:
        assert 0 <= share["low"] <= share["high"] <= 1
    same = resampling.share([3] * 8, [4] * 8, resamples=50)
    assert same == {"value": 0.75, "low": 0.75, "high": 0.75}


def test_share_draws_the_videos_that_the_metrics_draw():
    """Accuracy is a share of frames, so both bootstraps must give one interval."""
    rng = np.random.default_rng(0)
    true = [rng.integers(0, 4, n) for n in (5, 30, 11, 60, 8, 9, 20, 7)]
    said = [rng.integers(0, 4, len(t)) for t in true]
    by_metric = resampling.f1(true, said, TASK1_CLASSES, "accuracy")
    by_share = resampling.share([(a == b).sum() for a, b in zip(true, said, strict=True)], [len(t) for t in true])
    assert by_metric == pytest.approx(by_share)
    assert resampling.f1(true, said, TASK1_CLASSES)["value"] == evaluate(true, said, None, TASK1_CLASSES)["f1"]


def test_share_of_nothing_is_not_a_number():
    assert all(np.isnan(value) for value in resampling.share([0, 0], [0, 0]).values())


@pytest.mark.parametrize("labels", [np.zeros((2, 2), int), np.zeros(3), np.array([], int), np.array([0, 4]), [-1]])
def test_labels_that_are_no_track_are_refused(labels):
    with pytest.raises(InputError, match="film: labels must be"):
        LabelTrack("film", np.asarray(labels))


def test_hash_tells_labels_names_and_splits_apart_but_not_order():
    def hashed(train, test):
        return level.sha256(LabelSet(TASK1_CLASSES, tuple(train), tuple(test), "CalMS21"))

    a, b = track("ai", "a"), track("m.", "b")
    assert hashed([a, b], []) == hashed([b, a], [])
    others = [hashed([a], [b]), hashed([a, track("mm", "b")], []), hashed([track("ai", "c"), b], []), hashed([], [])]
    assert len({hashed([a, b], []), *others}) == 5


def write_npz(path, **arrays):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return path


def test_file_that_is_not_all_of_calms21_is_refused(tmp_path):
    path = write_npz(tmp_path / "few.npz", **{"train/a": np.zeros(4, np.uint8), "test/b": np.ones(3, np.uint8)})
    with pytest.raises(InputError, match=r"few\.npz: the train split has 1 videos .* CalMS21 has 70"):
        read_labels(path)
    path = write_npz(tmp_path / "odd.npz", **{"train/a": np.full(4, 9, np.uint8)})
    with pytest.raises(InputError, match=r"odd\.npz: a: labels must be from 0 to 3"):
        read_labels(path)
    (tmp_path / "text.npz").write_text("no zip")
    with pytest.raises(InputError, match=r"text\.npz: cannot be read"):
        read_labels(tmp_path / "text.npz")
    pickled = write_npz(tmp_path / "objects.npz", **{"train/a": np.array([{}], object)})
    with pytest.raises(InputError, match=r"objects\.npz: cannot be read"):
        read_labels(pickled)


def fetched_release(monkeypatch, folder, simulated: bool):
    """A data folder as `mbrepro fetch` leaves it, with two short videos of labels."""
    monkeypatch.delenv("MBREPRO_REAL_DATA", raising=False)
    monkeypatch.delenv("MBREPRO_CALMS21", raising=False)
    monkeypatch.setenv("MBREPRO_DATA", str(folder))
    sequence = {
        "keypoints": np.ones((3, 2, 2, 7)).tolist(), "scores": np.ones((3, 2, 7)).tolist(), "annotations": [0, 1, 3],
        "metadata": {"annotator-id": 0, "vocab": {name: k for k, name in enumerate(TASK1_CLASSES)}},
    }  # fmt: skip
    place = data_folder() / "task1_classic_classification"
    place.mkdir(parents=True)
    for split in ("train", "test"):
        group = {"annotator-id_0": {f"task1/{split}/{split}_1": sequence}}
        (place / f"calms21_task1_{split}.json").write_text(json.dumps(group))
    release = {"title": "t", "doi": "d", "notice": "n", "simulated": simulated}
    record(data_folder(), Fetched("", release, "2026-01-01", {}, {}, {"held": [], "of": 2}))


def test_labels_are_those_fetched_unless_simulated(monkeypatch, tmp_path):
    monkeypatch.delenv("MBREPRO_REAL_DATA", raising=False)
    monkeypatch.setenv("MBREPRO_DATA", str(tmp_path / "none"))
    assert real_labels() is None
    fetched_release(monkeypatch, tmp_path / "simulated", simulated=True)
    assert real_labels() is None
    fetched_release(monkeypatch, tmp_path / "real", simulated=False)
    with pytest.raises(InputError, match=r"the train split has 1 videos with \(1, 1, 0, 1\) frames"):
        real_labels()


def test_fetched_labels_are_read_in_order_of_their_names(monkeypatch, tmp_path):
    fetched_release(monkeypatch, tmp_path, simulated=False)
    monkeypatch.setattr(level, "PUBLISHED_FRAMES", {"train": (1, 1, 0, 1), "test": (1, 1, 0, 1)})
    monkeypatch.setattr(level, "PUBLISHED_VIDEOS", {"train": 1, "test": 1})
    found = real_labels()
    assert [t.name for t in found.train + found.test] == ["train_1", "test_1"]
    assert found.test[0].labels.tolist() == [0, 1, 3]


def test_real_labels_give_the_published_bout_statistics(real_data, monkeypatch):
    monkeypatch.setenv("MBREPRO_REAL_DATA", str(real_data))
    data = real_labels()
    stated = json.loads((real_data / "calms21_labels" / "task1_bout_statistics.json").read_text())
    for split in level.SPLITS:
        tracks, told = getattr(data, split), stated[split]
        for name in ("attack", "investigation", "mount"):
            seconds = np.concatenate(level.bout_seconds(tracks, name))
            expected = told["per_class"][name]
            assert len(seconds) == expected["n_bouts"]
            assert sum((t.labels == TASK1_CLASSES.index(name)).any() for t in tracks) == expected["n_videos_with"]
            for percent in level.PERCENTILES:
                value = expected["duration_s"][f"p{percent:02d}"]
                assert np.percentile(seconds, percent) == pytest.approx(value, abs=6e-4)
        gaps = level.gap_seconds(tracks)
        assert len(gaps) == told["gaps"]["n_gaps_gt0"]
        assert np.mean(gaps) == pytest.approx(told["gaps"]["gap_s"]["mean"], abs=6e-4)
        counts = level.transitions(tracks, TASK1_CLASSES)
        others = np.array(told["segment_transitions"]["counts"])
        # There a video whose length was not known is thought to go on with other; here some end within a bout.
        np.testing.assert_array_equal(counts[:, :3], others[:, :3])
        ending = [t.labels[-1] for t in tracks if t.action[-1] and not stated["videos"][t.name]["frames_exact"]]
        np.testing.assert_array_equal(counts[:3, 3] + np.bincount(ending, minlength=3)[:3], others[:3, 3])
