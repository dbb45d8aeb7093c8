"""A labelled video: which picture it shows when, and what is drawn on it and under it."""

from dataclasses import replace

import numpy as np
import pytest

from mbrepro.data.recordings import UNLABELLED, Recording, Skeleton
from mbrepro.data.video import decode_frames, probe, write_video
from mbrepro.report import labelled_video, plots
from mbrepro.report.labelled_video import ROW, write_labelled_video

CLASSES = ("attack", "other")
SIZE = (330, 200)  # px of the video; poses are in a frame twice as large
FRAMES = 20


@pytest.fixture
def recording(tmp_path):
    """Frame f is grey 8 f; two animals of three points stand still, one at the left and one at the right."""
    write_video(tmp_path / "a.mp4", [np.full((200, 330, 3), 8 * f, np.uint8) for f in range(FRAMES)], 25, *SIZE, crf=0)
    points = np.array([[[100, 200], [160, 200], [220, 200]], [[400, 100], [460, 100], [520, 100]]], float)
    keypoints, seen = np.repeat(points[None], FRAMES, 0), np.ones((FRAMES, 2, 3), bool)
    seen[:, 1, 2] = False
    how = {"skeleton": Skeleton(("head", "back", "tail"), "head", "tail"), "classes": CLASSES, "seen": seen}
    return Recording("a", keypoints, fps=25.0, frame_size=(660, 400), video=tmp_path / "a.mp4", **how)


def write(path, recording):
    labels = np.repeat([0, 1, UNLABELLED], [8, 8, 4])
    scores = np.repeat([[0.75, 0.25], [0.1, 0.9], [np.nan, np.nan]], [8, 8, 4], axis=0)
    write_labelled_video(path, recording, CLASSES, labels, scores)
    return decode_frames(path, range(probe(path).frames)).astype(int)


def test_every_frame_is_shown_with_its_label_and_scores(recording, tmp_path):
    shown = write(tmp_path / "out.mp4", recording)
    info = probe(tmp_path / "out.mp4")
    assert shown.shape == (FRAMES, 200 + 3 * ROW, 330, 3) and info.fps == 25
    np.testing.assert_allclose(shown[:, :20].mean((1, 2, 3)), 8 * np.arange(FRAMES), atol=3)
    label, attack, other = (shown[:, 200 + ROW * k + 2 : 200 + ROW * k + 6] for k in range(3))  # above the words
    red = np.array([round(255 * v) for v in plots.matplotlib.colors.to_rgb(plots.colour_of("attack"))])
    assert np.abs(label[:8].mean((0, 1, 2)) - red).max() < 12 and label[16:].mean() < 45
    middle = (labelled_video.GROUND + labelled_video.BAR) / 2
    share = [(row.mean((1, 3)) > middle).mean(1) for row in (attack, other)]
    np.testing.assert_allclose(share[0], np.repeat([0.75, 0.1, 0], [8, 8, 4]), atol=0.02)
    np.testing.assert_allclose(share[1], np.repeat([0.25, 0.9, 0], [8, 8, 4]), atol=0.02)


def test_poses_lie_where_they_were_tracked_with_a_line_from_front_to_rear(recording, tmp_path):
    picture = write(tmp_path / "out.mp4", recording)[0]
    left, right = picture[100, 70:90], picture[50, 215:255]  # on the lines, in the video's px
    assert (left[:, 0] - left[:, 2]).min() > 60 and (right[:, 2] - right[:, 0]).min() > 60  # orange, and blue
    assert picture[150:190].max() < 25  # black where nobody is


def test_a_clock_that_varies_is_followed(recording, tmp_path):
    """The first half of the frames is shown for twice as long as the second."""
    times = np.cumsum([0, *[0.08] * 10, *[0.04] * 9])
    uneven = replace(recording, times=times, fps=(FRAMES - 1) / times[-1])
    shown = write(tmp_path / "out.mp4", uneven)
    rate = probe(tmp_path / "out.mp4").fps
    middles = (np.arange(len(shown)) + 0.5) / rate
    expected = np.searchsorted(uneven.times, middles, "right") - 1
    np.testing.assert_allclose(shown[:, :20].mean((1, 2, 3)), 8 * expected, atol=3)
    assert len(shown) / rate == pytest.approx(uneven.edges[-1], abs=0.05) and len(set(expected)) < FRAMES
