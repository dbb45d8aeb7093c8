"""Poses at other frames, another rate and another scale."""

import numpy as np
import pytest

from mbrepro.data.alignment import back_to_frames, body_length, fit_to_video, resample, to_training_scale
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


@pytest.mark.parametrize(("frames", "added"), [(60, 0), (59, 1), (63, -3), (30, 30), (90, -30)])
def test_poses_are_fitted_to_the_videos_frames(info, frames, added):
    recording = moving(frames, scores=np.arange(frames)[:, None, None] * np.ones((2, 7)))
    fitted, number = fit_to_video(recording, info)
    assert (len(fitted), number, fitted.video) == (60, added, info.path)
    expected = np.minimum(np.arange(60), frames - 1)
    np.testing.assert_array_equal(fitted.keypoints, recording.keypoints[expected])
    np.testing.assert_array_equal(fitted.scores[:, 0, 0], expected)


@pytest.mark.parametrize("frames", [29, 91])
def test_poses_of_another_video_are_refused_with_both_counts(info, frames):
    with pytest.raises(InputError, match=rf"own: {frames} poses do not belong to the 60 frames of .*own\.mp4"):
        fit_to_video(moving(frames), info)
    assert len(fit_to_video(moving(frames), info, tolerance_s=2.0)[0]) == 60


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
