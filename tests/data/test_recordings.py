from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbrepro.data.recordings import (
    TASK1_CLASSES,
    UNLABELLED,
    Dataset,
    Prediction,
    Recording,
    Skeleton,
    behaviours,
    mean_rate,
    other_index,
    partial,
    runs,
    split_by_animal,
)
from mbrepro.errors import InputError


def made(name: str = "mouse001_task1_annotator1", frames: int = 4, **fields) -> Recording:
    return Recording(name, **{"keypoints": np.ones((frames, 2, 7, 2)), "labels": np.arange(frames) % 4, **fields})


def test_recording_holds_float32_poses_and_int64_labels():
    recording = made(labels=np.array([0, 1, 2, 3], np.uint8), scores=np.ones((4, 2, 7)))
    assert recording.keypoints.dtype == recording.scores.dtype == np.float32
    assert recording.labels.dtype == np.int64
    assert len(recording) == 4
    assert recording.seconds == pytest.approx(4 / 30)
    assert recording.animal == "mouse001"
    assert recording.action.tolist() == [True, True, True, False]
    assert made(classes=("other", "groom"), labels=np.array([0, 1, 1, 0])).action.tolist() == [False, True, True, False]


def not_finite() -> np.ndarray:
    keypoints = np.ones((4, 2, 7, 2))
    keypoints[2, 1, 3, 0] = np.inf
    return keypoints


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"keypoints": np.ones((4, 2, 2, 7))}, r"keypoints have shape \(4, 2, 2, 7\), not \(4, 2, 7, 2\)"),
        ({"keypoints": not_finite()}, "keypoints hold a value that is not finite, first at frame 2"),
        ({"scores": np.ones((3, 2, 7))}, r"scores have shape \(3, 2, 7\)"),
        ({"labels": np.zeros(5, int)}, r"labels have shape \(5,\), but there are 4 frames"),
        ({"labels": np.zeros(4)}, "whole numbers"),
        ({"labels": np.array([0, 1, 4, -1])}, "label 4 at frame 2 is none of the 4 classes"),
        ({"labels": np.array([0, -1, 0, 0])}, "label -1 at frame 1"),
        ({"fps": 0.0}, "fps must be a positive number"),
        ({"fps": float("nan")}, "fps must be a positive number"),
        ({"frame_size": (1024, 0)}, "frame size must be positive"),
        ({"video_start": -1}, "video_start must be a frame of the video, not -1"),
        ({"keypoints": np.ones((0, 2, 7, 2)), "labels": None}, "no frames"),
        ({"keypoints": np.float32(3)}, r"keypoints have shape \(\)"),
        ({"seen": np.ones((4, 2, 5), bool)}, r"seen must be bool of shape \(4, 2, 7\)"),
        ({"seen": np.ones((4, 2, 7))}, "seen must be bool"),
        ({"times": np.arange(5) / 30}, "times must be 4 ascending numbers"),
        ({"times": np.array([0, 1, 1, 2])}, "times must be 4 ascending numbers"),
        ({"skeleton": Skeleton(("a", "b"), "a", "b")}, r"keypoints have shape \(4, 2, 7, 2\), not \(4, 2, 2, 2\)"),
        ({"partly_labelled": True, "labels": np.array([0, -1, -2, 0])}, "label -2 at frame 2"),
    ],
)
def test_a_wrong_recording_is_refused_by_name(fields, message):
    with pytest.raises(InputError, match=f"mouse001_task1_annotator1: .*{message}"):
        made(**fields)


def test_clock_is_the_rate_unless_frames_come_unevenly():
    even = made(times=np.arange(4) / 30 + np.array([0, 5e-4, -5e-4, 0]))  # a clock that ticks in milliseconds
    assert (even.clock, made().clock) == (30.0, 30.0)
    np.testing.assert_allclose(made().edges, np.arange(5) / 30)
    uneven = made(times=np.array([0, 1 / 30, 1, 1.5]), fps=2.0)
    np.testing.assert_array_equal(uneven.clock, uneven.times)
    np.testing.assert_allclose(uneven.edges, [0, 1 / 30, 1, 1.5, 2])
    np.testing.assert_array_equal(uneven.at(slice(1, 3)).times, [1 / 30, 1])
    assert (mean_rate(30), mean_rate(uneven.times)) == (30, 2)


def test_two_animals_may_have_any_points_with_a_front_and_a_rear():
    rat = Skeleton(("top", "body", "tail"), front="top", rear="tail")
    recording = made(keypoints=np.ones((4, 2, 3, 2)), skeleton=rat, seen=np.arange(24).reshape(4, 2, 3) > 5)
    assert (recording.parts, rat.ends) == (("top", "body", "tail"), (0, 2))
    part = recording.at(slice(1, 3), name="part")
    assert part.seen.shape == (2, 2, 3) and part.seen.all() and part.name == "part"
    for parts, front, rear, words in (
        (("a", "b"), "a", "c", "front and rear must be two of the parts a, b, not 'a' and 'c'"),
        (("a", "b"), "a", "a", "front and rear must be two"),
        (("a", "b", "a"), "a", "b", "a part is named twice: a, b, a"),
    ):
        with pytest.raises(InputError, match=words):
            Skeleton(parts, front, rear)


def test_a_recording_without_labels_has_no_action_to_tell():
    with pytest.raises(InputError, match="a_1: has no labels"):
        _ = made("a_1", labels=None).action


def test_unlabelled_frames_are_no_action_and_no_part_of_a_prediction_to_score():
    recording = made(labels=np.array([0, UNLABELLED, 3, 1]), partly_labelled=True)
    assert recording.action.tolist() == [True, False, False, True]
    scores = np.arange(16).reshape(4, 4)
    scored = Prediction("a", recording.labels, np.array([0, 1, 2, 3]), scores).labelled()
    assert (scored.true.tolist(), scored.labels.tolist()) == ([0, 3, 1], [0, 2, 3])
    np.testing.assert_array_equal(scored.scores, scores[[0, 2, 3]])


def test_a_replaced_field_is_checked_again():
    with pytest.raises(InputError, match="fps"):
        replace(made(), fps=-1)


def dataset(train, test) -> Dataset:
    return Dataset("task1", TASK1_CLASSES, tuple(train), tuple(test), "simulated")


def test_dataset_keeps_split_and_order():
    train, test = [made("b_1"), made("a_1")], [made("c_1")]
    assert [r.name for r in dataset(train, test).recordings] == ["b_1", "a_1", "c_1"]
    assert dataset(train, test).behaviours == ("attack", "investigation", "mount")


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ([made("a_1")], [made("a_2")], "animal a is in both"),
        ([made("a_1"), made("a_1")], [], "a_1: the name occurs twice"),
        ([made("a_1", labels=None)], [], "a_1: it has no labels"),
        ([made("a_1", classes=("x", "y", "z", "other"))], [], "a_1: its classes"),
        ([made("a_1")], [made("b_1", skeleton=Skeleton(front="neck"))], "b_1: its parts are not those of a_1"),
    ],
)
def test_a_wrong_dataset_is_refused(train, test, message):
    with pytest.raises(InputError, match=message):
        dataset(train, test)


def filmed(name: str) -> Recording:
    return made(name, labels=np.zeros(4, int), video=Path("somewhere.mp4"))


def test_stage_2_gets_the_recordings_with_video_and_the_rest_is_counted():
    unfilmed = [made(name, labels=np.zeros(4, int)) for name in ("m3_a", "m4_a")]
    part = dataset([filmed("m1_a"), unfilmed[0]], [unfilmed[1], filmed("m2_a")])
    assert [r.name for r in part.filmed().recordings] == ["m1_a", "m2_a"]
    assert part.partial == "video of 1 of 2 train and 1 of 2 test recordings"
    assert partial([part, part.filmed()]) == "video of 2 of 3 train and 2 of 3 test recordings"
    whole = part.filmed()
    assert whole.partial == "" and whole.filmed().recordings == whole.recordings


def test_a_split_without_video_is_said():
    with pytest.raises(
        InputError, match=r"stage 2 needs video of train and test .* video of 1 of 1 train and 0 of 1 test"
    ):
        dataset([filmed("m1_a")], [made("m2_a", labels=np.zeros(4, int))]).filmed()


def test_behaviours_are_the_classes_but_other_wherever_it_stands():
    assert behaviours(("other", "groom")) == ("groom",)
    assert other_index(("other", "groom")) == 0
    assert other_index(TASK1_CLASSES) == 3


@given(st.lists(st.integers(0, 2)))
def test_runs_code_the_array_without_neighbours_of_one_value(values):
    coded = runs(np.array(values, int))
    assert [value for start, stop, value in coded for _ in range(stop - start)] == values
    assert [start for start, _, _ in coded] == [0, *(stop for _, stop, _ in coded)][:-1] if coded else not values
    assert all(a[2] != b[2] for a, b in pairwise(coded))


def test_runs_of_booleans():
    assert runs(np.array([True, True, False])) == [(0, 2, 1), (2, 3, 0)]


@given(st.lists(st.integers(0, 9), min_size=1, max_size=20), st.floats(0, 1), st.integers(0, 50))
def test_split_by_animal_keeps_every_recording_and_parts_animals(animals, fraction, seed):
    recordings = [made(f"mouse{animal}_{k}") for k, animal in enumerate(animals)]
    count = len(set(animals))
    if count < 2:
        with pytest.raises(InputError, match="at least 2 animals"):
            split_by_animal(recordings, fraction, seed)
        return
    fit, held_out = split_by_animal(recordings, fraction, seed)
    assert sorted([*fit, *held_out], key=lambda r: r.name) == sorted(recordings, key=lambda r: r.name)
    assert not {r.animal for r in fit} & {r.animal for r in held_out}
    assert len({r.animal for r in held_out}) == min(max(1, round(fraction * count)), count - 1)
    assert split_by_animal(recordings[::-1], fraction, seed)[0][::-1] == fit


def test_another_seed_holds_out_other_animals():
    recordings = [made(f"mouse{k}_1") for k in range(10)]
    held_out = {tuple(r.name for r in split_by_animal(recordings, 0.2, seed)[1]) for seed in range(8)}
    assert len(held_out) > 2
