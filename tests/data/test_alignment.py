"""Poses at other frames, another rate and another scale."""

from dataclasses import replace

import numpy as np
import pytest

from mbrepro.data.alignment import absent, back_to_frames, body_length, fit_to_video, resample, to_training_scale
from mbrepro.data.recordings import KEYPOINTS, Recording, Skeleton
from mbrepro.data.video import probe, write_video
from mbrepro.errors import InputError


def moving(frames=60, fps=30.0, length=40.0, labels=None, **changes):
    """Two mice of one body length that walk to the right at 3 px a frame."""
    keypoints = np.zeros((frames, 2, 7, 2))
    keypoints[..., 0] = np.arange(frames)[:, None, None] * 3 + np.linspace(length, 0, 7)
    keypoints[:, 1, :, 1] += 50
    return Recording("own", keypoints, labels=labels, fps=fps, frame_size=(512, 512), **changes)


@pytest.fixture(scope="module")
def info(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "own.mp4"
    write_video(path, [np.zeros((16, 16, 3), np.uint8)] * 60, 30, 16, 16)
    return probe(path)


@pytest.mark.parametrize(
    ("frames", "align", "added"),
    [
        (60, None, 0),
        (58, None, 2),
        (62, None, -2),
        (30, "start", 30),
        (90, "start", -30),
        (30, "end", 30),
        (90, "end", -30),
    ],
)
def test_poses_are_fitted_to_the_videos_frames(info, frames, align, added):
    seen = np.ones((frames, 2, 7), bool)
    seen[5, 0, 3] = False
    recording = moving(frames, scores=np.arange(frames)[:, None, None] * np.ones((2, 7)), seen=seen)
    fitted, number = fit_to_video(recording, info, align)
    assert (len(fitted), number, fitted.video) == (60, added, info.path)
    pose = np.arange(60) - (added if align == "end" else 0)  # which one belongs to each frame
    kept = np.clip(pose, 0, frames - 1)
    np.testing.assert_array_equal(fitted.keypoints, recording.keypoints[kept])
    np.testing.assert_array_equal(fitted.scores[:, 0, 0], kept)
    np.testing.assert_array_equal(fitted.times, info.times)
    np.testing.assert_array_equal(fitted.seen[:, 1, 0], (pose >= 0) & (pose < frames))  # what is held was not seen
    np.testing.assert_array_equal(fitted.seen[:, 0, 3], (pose >= 0) & (pose < frames) & (pose != 5))


@pytest.mark.parametrize("frames", [57, 63])
def test_poses_of_another_cut_are_refused_with_both_counts(info, frames):
    words = rf"own\.mp4: {frames} poses \(own\) do not belong to its 60 frames; .* --align start or end"
    with pytest.raises(InputError, match=words):
        fit_to_video(moving(frames), info)
    with pytest.raises(InputError, match="align must be start or end, not 'middle'"):
        fit_to_video(moving(60), info, "middle")


def test_animal_is_absent_where_it_is_long_unseen_and_sooner_at_an_end():
    """At 10 frames a second: 5 s within, 1 s at an end."""
    seen = np.ones((200, 2, 7), bool)
    seen[:10, 1] = False  # 1 s at the start
    seen[20:69, 0] = False  # 4.9 s within
    seen[80:130, 0] = False  # 5 s within
    seen[140:190, 1, :6] = False  # one point of seven is still seen
    seen[191:, 0] = False  # .9 s at the end
    expected = np.zeros(200, bool)
    expected[:10] = expected[80:130] = True
    np.testing.assert_array_equal(absent(moving(200, fps=10.0, seen=seen)), expected)
    assert not absent(moving(200)).any()
    slow = moving(200, fps=10.0, seen=seen, times=np.arange(200) / 10 + (np.arange(200) >= 60) * 0.2)
    expected[20:69] = True  # the clock stands still for .2 s, so this gap lasts 5.1 s
    np.testing.assert_array_equal(absent(slow), expected)


def uneven(frames=90, **changes):
    """Two mice that walk 60 px a second, filmed at 30, then 10 frames a second."""
    times = np.r_[np.arange(60) / 30, 2 + np.arange(frames - 60) / 10]
    recording = moving(frames, fps=(frames - 1) / times[-1], times=times, **changes)
    points = (
        recording.keypoints - recording.keypoints[:, :1, :1] + np.array([1, 0])[None] * times[:, None, None, None] * 60
    )
    return replace(recording, keypoints=points)


def test_motion_of_an_uneven_clock_is_resampled_by_it():
    recording = uneven(labels=np.repeat([0, 3], [60, 30]))
    even = resample(recording, 30.0)
    assert (len(even), even.fps, even.times, even.clock) == (round(90 / recording.fps * 30), 30.0, None, 30.0)
    within = np.arange(len(even)) / 30 <= recording.times[-1]
    expected = np.arange(within.sum()) * 2  # 60 px a second
    np.testing.assert_allclose(even.keypoints[within, 0, 0, 0], expected, atol=1e-3)
    assert np.flatnonzero(np.diff(even.labels)).tolist() == [59]  # frame 60 is shown at 2 s
    back = back_to_frames(np.arange(len(even)) / 30, 30.0, recording)
    np.testing.assert_allclose(back, recording.times, atol=1e-9)


def test_poses_are_scaled_to_the_training_body_length_and_centred():
    recording = moving(101, length=40.0)
    assert body_length([recording]) == pytest.approx(40.0)
    assert body_length([moving(10, length=10.0), moving(30, length=40.0)]) == pytest.approx(40.0)
    scaled = to_training_scale(recording, 200.0)
    assert (scaled.frame_size, scaled.video, len(scaled)) == ((1024, 570), None, 101)
    assert body_length([scaled]) == pytest.approx(200.0)
    steps = np.diff(scaled.keypoints[:, 0, KEYPOINTS.index("neck"), 0])
    np.testing.assert_allclose(steps, 15.0, rtol=1e-4)  # 3 px a frame, five times as large
    np.testing.assert_allclose(np.percentile(scaled.keypoints[..., 1], [1, 99]).mean(), 285, rtol=1e-4)
    np.testing.assert_allclose(np.percentile(scaled.keypoints[..., 0], [1, 99]).mean(), 512, rtol=1e-4)
    with pytest.raises(InputError, match="own: nose and tail_base lie on one spot"):
        to_training_scale(moving(length=0.0), 200.0)


def test_body_length_counts_what_was_seen_from_front_to_rear_of_any_skeleton():
    """Frames 0 to 2: front to rear 10, 20 and 90 px for both animals, the last only filled in."""
    points = np.zeros((3, 2, 3, 2))
    points[:, :, 2, 0] = np.array([10, 20, 90])[:, None]
    rat = {"skeleton": Skeleton(("front", "middle", "rear"), "front", "rear"), "seen": np.ones((3, 2, 3), bool)}
    rat["seen"][2, :, 0] = False
    assert body_length([Recording("rat", points, **rat)]) == 15.0
    assert body_length([Recording("rat", points, **rat | {"seen": None})]) == 20.0
    resampled = resample(Recording("rat", points, fps=10, **rat), 20)
    assert resampled.seen[:, 0, 0].tolist() == [True, True, True, False, False, False]  # rounds half to even
    rat["seen"][..., 2] = False
    with pytest.raises(InputError, match="rat: front and rear are never seen together"):
        body_length([Recording("rat", points, **rat)])


def test_resampled_motion_keeps_its_speed_in_seconds():
    labels = np.repeat([0, 3], 30)
    recording = moving(60, fps=60.0, labels=labels)
    slower = resample(recording, 30.0)
    assert (len(slower), slower.fps, slower.video) == (30, 30.0, None)
    np.testing.assert_array_equal(slower.keypoints, recording.keypoints[::2])
    np.testing.assert_array_equal(slower.labels, labels[::2])
    faster = resample(moving(60, fps=20.0), 30.0)
    assert len(faster) == 90
    np.testing.assert_allclose(np.diff(faster.keypoints[:88, 0, 0, 0]), 2.0, rtol=1e-4)  # 60 px/s either way
    assert resample(recording, 60.0) is recording


@pytest.mark.parametrize(("fps", "new"), [(60.0, 30.0), (25.0, 30.0), (29.97, 30.0), (30.0, 7.0)])
def test_results_come_back_to_the_recordings_own_frames(fps, new):
    recording = moving(100, fps=fps)
    times = np.arange(len(resample(recording, new))) / new
    back = back_to_frames(np.stack([times, 5 - times], 1).astype(np.float32), new, recording)
    assert back.shape == (100, 2) and back.dtype == np.float32
    expected = np.minimum(np.arange(100) / fps, times[-1])
    np.testing.assert_allclose(back[:, 0], expected, atol=1e-5)
    np.testing.assert_allclose(back_to_frames(times, new, recording), expected, atol=1e-9)
