"""Pose features: by hand on rats that walk and turn, by a slow second implementation, by what must not matter."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mbrepro.data.recordings import MOUSE, Recording, Skeleton
from mbrepro.method.features import dyad_features, feature_names, frame_features, posture_features

RAT = Skeleton(("top", "middle", "rear"), front="top", rear="rear")
FPS = 20.0


def walking(frames=60) -> Recording:
    """The first rat, 40 px long and heading right, walks right at 4 px a frame to the second, which stands 400 px off.

    The second heads down (+y) and turns to the left (-x) by 9° a frame from frame 30 to frame 40.
    """
    place = np.arange(frames)
    points = np.zeros((frames, 2, 3, 2))
    points[:, 0, :, 0] = 4 * place[:, None] + [40, 20, 0]
    angle = np.radians(90 + 9 * np.clip(place - 30, 0, 10))
    heading = np.stack([np.cos(angle), np.sin(angle)], 1)
    points[:, 1] = [420, 0] + np.array([20, 0, -20])[:, None] * heading[:, None]
    return Recording("rats", points, fps=FPS, frame_size=(800, 600), skeleton=RAT)


def named(recording: Recording, features: np.ndarray, *windows) -> dict[str, np.ndarray]:
    return dict(zip(feature_names(recording.skeleton, *windows), features.T, strict=True))


def test_features_of_walking_and_turning_by_hand():
    recording = walking()
    told = named(recording, dyad_features(recording))
    np.testing.assert_allclose(told["first top to first rear"], 1.0)  # the unit is 40 px
    np.testing.assert_allclose(told["first middle to second middle"], (400 - 4 * np.arange(60)) / 40, rtol=1e-6)
    np.testing.assert_allclose(told["first centre speed"], 4 * FPS / 40, rtol=1e-5)
    np.testing.assert_allclose(told["first approach"], 2.0, rtol=1e-5)
    np.testing.assert_allclose(told["second approach"], 0.0, atol=1e-6)
    np.testing.assert_allclose(told["first facing"], 0.0, atol=1e-3)
    np.testing.assert_allclose(told["second facing"][:30], np.pi / 2, atol=1e-3)  # it looks past the first
    np.testing.assert_allclose(told["second facing"][41:], 0.0, atol=1e-3)  # and at it
    np.testing.assert_allclose(told["angle between headings"][[0, 35, 59]], np.radians([90, 135, 180]), atol=1e-3)
    assert told["second turning"][35] == pytest.approx(np.radians(9 * FPS), rel=1e-5)
    assert told["second turning"][20] == told["first turning"][35] == 0
    assert told["first top seen"].tolist() == [1] * 60
    mean = told["first middle to second middle, mean of 0.5 s"]  # 11 frames, 6 at the ends
    assert mean[30] == pytest.approx((400 - 4 * 30) / 40) and mean[0] == pytest.approx((400 - 4 * 2.5) / 40)
    assert told["first middle to second middle, deviation of 0.5 s"][30] == pytest.approx(np.arange(11).std() / 10)


def test_names_are_as_many_as_features_for_any_skeleton():
    points = np.random.default_rng(0).normal(size=(9, 2, 7, 2))
    for recording in (walking(9), Recording("mice", points)):
        for windows in ((1.0,), (0.5, 2, 6)):
            names = feature_names(recording.skeleton, windows)
            assert len(set(names)) == len(names) == dyad_features(recording, windows).shape[1]
    assert len([name for name in feature_names(MOUSE, ()) if " to " in name]) == 14 * 13 / 2


def slow_statistics(values, seen, frame, reach):
    kept = [values[t] for t in range(max(0, frame - reach), min(len(values), frame + reach + 1)) if seen[t]]
    return (np.mean(kept), np.std(kept)) if kept else (np.nan, np.nan)


@given(seed=st.integers(0, 99), share=st.floats(0.05, 1.0), frames=st.integers(2, 40))
@settings(max_examples=25, deadline=None)
def test_windows_count_only_what_was_seen(seed, share, frames):
    rng = np.random.default_rng(seed)
    seen = rng.random((frames, 2, 3)) < share
    seen[0] = True
    points = rng.normal(500, 60, (frames, 2, 3, 2))
    recording = Recording("rats", points, fps=FPS, frame_size=(999, 999), skeleton=RAT, seen=seen)
    told = named(recording, dyad_features(recording, (0.5,)), (0.5,))
    values, known = frame_features(recording)
    assert known[:, 0].tolist() == (seen[:, 0, 0] & seen[:, 0, 1]).tolist()
    for column in rng.choice(values.shape[1], 6, replace=False):
        name = feature_names(RAT, ())[column]
        expected = np.array([slow_statistics(values[:, column], known[:, column], t, 5) for t in range(frames)])
        np.testing.assert_allclose(told[f"{name}, mean of 0.5 s"], expected[:, 0], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(told[f"{name}, deviation of 0.5 s"], expected[:, 1], rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(np.isnan(told[name]), ~known[:, column])
    flags = [slow_statistics(seen[:, 1, 2].astype(float), np.ones(frames, bool), t, 5)[0] for t in range(frames)]
    np.testing.assert_allclose(told["second rear seen, share of 0.5 s"], flags, rtol=1e-6)
    np.testing.assert_array_equal(told["second rear seen"], seen[:, 1, 2])
    few = rng.permutation(frames)[: frames // 2]
    of_few = dyad_features(recording, (0.5,), few)
    assert of_few.tobytes() == dyad_features(recording, (0.5,))[few].tobytes()


def test_where_how_large_and_which_way_round_do_not_matter():
    rng = np.random.default_rng(0)
    recording = Recording("rats", rng.normal(500, 60, (50, 2, 3, 2)), fps=FPS, frame_size=(999, 999), skeleton=RAT)
    turned = recording.keypoints @ np.array([[0.6, 0.8], [-0.8, 0.6]]) * 3 + [50, -900]
    moved = replace(recording, keypoints=turned)
    np.testing.assert_allclose(dyad_features(moved), dyad_features(recording), rtol=1e-3, atol=1e-3)


def test_speed_and_windows_are_of_seconds_not_frames():
    recording = walking()
    faster = replace(recording, keypoints=np.repeat(recording.keypoints, 2, 0), fps=2 * FPS)
    one, two = (named(r, dyad_features(r)) for r in (recording, faster))
    for name in ("first approach", "first front speed", "first middle to second middle, mean of 2 s"):
        np.testing.assert_allclose(two[name][20:100:2], one[name][10:50], rtol=0.05)


def test_posture_of_walking_and_turning_by_hand():
    """Of each rat: six points in its own frame, velocity along and across, bend, pursuit."""
    recording = walking()
    values, known = posture_features(recording)
    assert values.shape == known.shape == (60, 2 * (12 + 4)) and known.all()
    own, other = [[0.5, 0, 0, 0, -0.5, 0]] * 60, (400 - 4 * np.arange(60)) / 40
    np.testing.assert_allclose(values[:, :6], own, atol=1e-6)  # its points ahead of its centre and behind
    np.testing.assert_allclose(values[:, 8], other, rtol=1e-5)  # the other's centre, straight ahead
    np.testing.assert_allclose(values[:30, 24:26], np.stack([0 * other, other], 1)[:30], atol=1e-5)  # and at its side
    np.testing.assert_allclose(values[41:, 24], other[41:], rtol=1e-4)  # until it has turned towards the first
    np.testing.assert_allclose(values[:, 12:16], [[2, 0, 0, 0]] * 60, atol=1e-3)  # who stands is not pursued
    fleeing, bent = recording.keypoints.copy(), recording.keypoints.copy()
    fleeing[:, 1, :, 0] += 3 * np.arange(60)[:, None]
    bent[:, 0, 0, 1] += 20
    values, _ = posture_features(replace(recording, keypoints=fleeing))
    np.testing.assert_allclose(values[:, 15], 1.5, rtol=1e-3)  # 3 of 40 px a frame, the slower of both
    np.testing.assert_allclose(values[:, 31], 0)  # who flees pursues nobody
    angle = np.arctan2(40 / 3, 20) - np.arctan2(20 / 3, 20)
    np.testing.assert_allclose(posture_features(replace(recording, keypoints=bent))[0][:, 14], angle, rtol=1e-4)


def test_posture_is_the_same_wherever_and_however_large_and_turned():
    rng = np.random.default_rng(0)
    recording = Recording("rats", rng.normal(500, 60, (50, 2, 3, 2)), fps=FPS, frame_size=(999, 999), skeleton=RAT)
    turned = recording.keypoints @ np.array([[0.6, 0.8], [-0.8, 0.6]]) * 3 + [50, -900]
    found = posture_features(replace(recording, keypoints=turned))[0]
    np.testing.assert_allclose(found, posture_features(recording)[0], rtol=1e-3, atol=1e-3)
