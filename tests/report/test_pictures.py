"""Which frames and clips pages show."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mbrepro.data.recordings import Dataset, Recording
from mbrepro.data.video import write_video
from mbrepro.errors import InputError
from mbrepro.report import pictures as examples
from mbrepro.report.plots import colour_of

SIZE = (192, 120)
CLASSES = ("attack", "mount", "other")


def recording(folder, name: str, text: str, start: int = 0) -> Recording:
    """A recording labelled a, m or . a letter a frame, whose video shows frame f as grey 2 f on top of black."""
    labels = np.array(["am.".index(letter) for letter in text])
    grey = [np.full((SIZE[1], SIZE[0], 3), 2 * max(0, k - start), np.uint8) for k in range(len(text) + start)]
    path = folder / f"{name}.mp4"
    write_video(path, grey, 30.0, *SIZE, crf=4)
    keypoints = np.random.default_rng(0).uniform((400, 200), (600, 300), (len(text), 2, 7, 2))
    return Recording(f"{name}_task1", keypoints, CLASSES, labels, video=path, video_start=start)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    folder = tmp_path_factory.mktemp("videos")
    train = (recording(folder, "mouse001", "a" * 20 + "." * 60 + "a" * 16), recording(folder, "mouse002", "." * 31))
    test = (recording(folder, "mouse003", "." * 50 + "a" * 10 + "." * 50, start=7),)
    return Dataset("task1", CLASSES, train, test, "simulated")


def shades(pictures: np.ndarray) -> np.ndarray:
    """Which frames pictures show, by their grey value away from the words."""
    return np.round(pictures[..., :60, :, :].mean(axis=(-3, -2, -1)) / 2)


def test_the_longest_run_of_a_label(dataset):
    found, start, stop = examples.longest_bout(dataset.recordings, 0)
    assert (found.animal, start, stop) == ("mouse001", 0, 20)
    assert examples.longest_bout(dataset.recordings, 1) is None


def test_sample_frames_are_the_middles_of_different_recordings(dataset):
    shown = examples.sample_frames(dataset, 6)
    assert [s.title for s in shown] == [
        "simulated: mouse001, frame 48", "simulated: mouse002, frame 15", "simulated: mouse003, frame 55",
    ]  # fmt: skip
    assert np.abs(shades(np.stack([s.pixels for s in shown])) - (48, 15, 55)).max() <= 1
    assert [s.title[11:19] for s in examples.sample_frames(dataset, 2)] == ["mouse001", "mouse003"]


def test_sample_frames_say_where_they_come_from_in_the_picture(dataset):
    (shown, *_), (other, *_) = examples.sample_frames(dataset), examples.sample_frames(replace(dataset, source="else"))
    below = shown.pixels[-24:, :100].astype(int)
    assert below.max() > 200 and below.min() < 30 and np.abs(below - other.pixels[-24:, :100]).max() > 100


def test_clips_are_two_seconds_about_the_longest_bout_at_half_rate(dataset):
    clips = examples.behaviour_clips(dataset, CLASSES)
    assert list(clips) == ["attack", "other"]
    for clip in clips.values():
        assert clip.pixels.shape == (30, 200 + examples.BAR, 320, 3)
    # attack: the middle is frame 10, so the clip is moved into the recording: 0, 2, … 58; other: 50 - 30 = 20, 22, …
    assert np.abs(shades(clips["attack"].pixels) - np.arange(0, 60, 2)).max() <= 1
    assert np.abs(shades(clips["other"].pixels) - np.arange(20, 80, 2)).max() <= 1
    assert clips["attack"].title == "attack (simulated: mouse001, frames 0 to 58)"


def test_the_bar_is_coloured_while_the_label_is_on(dataset):
    clip = examples.behaviour_clips(dataset, ["attack"])["attack"].pixels
    colour = np.array([int(colour_of("attack")[k : k + 2], 16) for k in (1, 3, 5)])
    on = (clip[:, -examples.BAR :] == colour).all(axis=(1, 2, 3))
    assert on.tolist() == [True] * 10 + [False] * 20  # the bout is frames 0 to 19


def test_clips_begin_where_the_recording_does_in_its_video(dataset):
    late = replace(dataset, train=dataset.test, test=())
    clip = examples.behaviour_clips(late, ["attack"])["attack"]
    assert clip.title.endswith("frames 25 to 83)")
    assert np.abs(shades(clip.pixels) - np.arange(25, 85, 2)).max() <= 1


def test_a_recording_without_video_gives_no_clip(dataset):
    unseen = replace(dataset, train=(replace(dataset.train[0], video=None),), test=())
    assert examples.behaviour_clips(unseen, CLASSES) == {}


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1024), st.integers(0, 570)), min_size=14, max_size=14),
    st.sampled_from([(512, 286), (1024, 570), (300, 400)]),
)
def test_a_clips_box_holds_both_mice_and_lies_in_the_frame(points, size):
    one = Recording("mouse001", np.array(points, float).reshape(1, 2, 7, 2), CLASSES, np.array([2]))
    left, top, right, bottom = examples.mice_box(one, np.array([0]), size)
    assert 0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]
    assert (right - left) / (bottom - top) == pytest.approx(1.6, rel=0.03)
    scaled = np.array(points) * np.array(size) / (1024, 570)
    if np.ptp(scaled[:, 0]) < 0.4 * size[0] and np.ptp(scaled[:, 1]) < 0.2 * size[1]:
        low, high = scaled.min(axis=0), scaled.max(axis=0)
        assert left - 1 <= low[0] and top - 1 <= low[1] and high[0] <= right + 1 and high[1] <= bottom + 1


def grid() -> np.ndarray:
    """Two rows of two pictures between white lines, the last with a white line of its own that ends in grey."""
    picture = np.full((140, 220, 3), 255, np.uint8)
    for k, (top, left) in enumerate(((4, 6), (4, 116), (74, 6), (74, 116))):
        picture[top : top + 60, left : left + 100] = 40 * (k + 1)
    picture[100, 116:200] = 255
    picture[0:3, 50:60] = 0  # a mark outside them
    return picture


def test_pictures_are_found_between_white_lines():
    cells = examples.grid_cells(grid())
    assert [cell.shape[:2] for cell in cells] == [(58, 98)] * 4
    assert [int(np.median(cell)) for cell in cells] == [40, 80, 120, 160]


def test_the_real_grid_holds_six_frames_of_one_size(real_data, monkeypatch):
    monkeypatch.setenv("MBREPRO_REAL_DATA", str(real_data))
    shapes = np.array([s.pixels.shape for s in examples.real_frames()])
    assert shapes.shape == (6, 3) and np.ptp(shapes, axis=0).max() <= 6
    assert (np.abs(shapes[:, 1] / shapes[:, 0] - 1024 / 610) < 0.1).all()


def test_real_frames_come_from_the_folder_that_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("MBREPRO_REAL_DATA", str(tmp_path))
    assert examples.real_frames() == []
    path = tmp_path / examples.REAL_FRAMES
    path.parent.mkdir()
    cv2.imwrite(str(path), grid())
    assert [s.title for s in examples.real_frames()] == [f"real: MARS, sample frame {k}" for k in (1, 2, 3, 4)]
    path.write_text("no picture")
    with pytest.raises(InputError, match=r"sample_arenas\.png: not a picture"):
        examples.real_frames()
