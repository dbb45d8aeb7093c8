import dataclasses
import math
from fractions import Fraction

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mbrepro.data import clips
from mbrepro.data.clips import (
    ClipSettings,
    clip_frames,
    crop_square,
    cut_clips,
    frame_count,
    mice_square,
    sampled_rate,
)
from mbrepro.data.recordings import Recording
from mbrepro.data.video import iter_frames, probe, write_video
from mbrepro.errors import InputError
from tests.fixtures.coded_video import HEIGHT, WIDTH, coded_frames, encode, read_codes

PUBLISHED = ClipSettings(sampled_fps=0.1, assumed_fps=60.0)


def recording_of(frames, video=None, fps=30.0, keypoints=None, frame_size=(1024, 570)):
    keypoints = np.full((frames, 2, 7, 2), 100.0) if keypoints is None else keypoints
    return Recording("mouse001_x", keypoints, fps=fps, frame_size=frame_size, video=video)


@pytest.fixture(scope="module")
def coded(tmp_path_factory):
    """A video of 600 frames whose pixels carry their index, and its recording."""
    path = tmp_path_factory.mktemp("clips") / "coded.mp4"
    write_video(path, coded_frames(600), 30, WIDTH, HEIGHT, gop=30)
    return recording_of(600, path)


def test_published_clip_starts_at_half_the_real_time():
    # frame 300 taken for 300 / 60 = 5 s, which is real frame 150; 5 s hold frames 150 to 299; 4 of them: 149 / 3 apart
    assert clip_frames(300, recording_of(600), PUBLISHED).tolist() == [150, 200, 249, 299]
    # an odd start: 301 / 60 s = 5.017 s, while frame 150 is on the screen
    assert clip_frames(301, recording_of(600), PUBLISHED).tolist() == [150, 200, 249, 299]
    assert clip_frames(302, recording_of(600), PUBLISHED).tolist() == [151, 201, 250, 300]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])  # Matroska rounds times to milliseconds
def test_rounding_of_a_files_clock_never_shifts_a_clip(tmp_path, name):
    recording = recording_of(400, encode(tmp_path / name, 400))
    for start in range(200):
        assert clip_frames(start, recording, PUBLISHED)[[0, -1]].tolist() == [start // 2, start // 2 + 149]
        assert clip_frames(start, recording, ClipSettings())[[0, -1]].tolist() == [start, start + 149]


def test_corrected_clip_starts_at_its_frame():
    # 5 s of 30 fps are frames 300 to 449, 10 of them 149 / 9 = 16.556 apart
    expected = [300, 317, 333, 350, 366, 383, 399, 416, 432, 449]
    assert clip_frames(300, recording_of(600), ClipSettings()).tolist() == expected


def test_clip_at_the_end_is_cut_short_and_keeps_its_number_of_frames():
    # 5 s from frame 550 of 600: 50 frames are left, 49 / 3 = 16.33 apart
    fast = ClipSettings(sampled_fps=0.1, assumed_fps=30.0)
    assert clip_frames(550, recording_of(600), fast).tolist() == [550, 566, 583, 599]
    assert clip_frames(598, recording_of(600), fast).tolist() == [598, 598, 599, 599]
    assert clip_frames(599, recording_of(600), ClipSettings()).tolist() == [599] * 10


def test_recording_ends_the_clip_even_where_its_video_goes_on(coded):
    shorter = recording_of(500, coded.video)
    assert clip_frames(450, shorter, ClipSettings(seconds=5, sampled_fps=1)).tolist() == [450, 466, 483, 499]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])  # Matroska rounds times to milliseconds
def test_recording_that_begins_within_its_video_shows_its_own_part(tmp_path, suffix):
    path = encode(tmp_path / f"a.{suffix}", 400)
    later = dataclasses.replace(recording_of(280, path), video_start=101)
    # frames are the recording's: 10 from frame 30 on, 149 / 9 apart; its last frame ends the clip, not the video's
    assert clip_frames(30, later, ClipSettings()).tolist() == [30, 47, 63, 80, 96, 113, 129, 146, 162, 179]
    assert clip_frames(270, later, ClipSettings())[[0, -1]].tolist() == [270, 279]
    # the published cut takes the recording's frame 200 for 200 / 60 s after the recording's own start: frame 100
    assert clip_frames(200, later, PUBLISHED).tolist() == [100, 150, 199, 249]
    for start in range(280):
        assert clip_frames(start, later, PUBLISHED)[0] == start // 2
        assert clip_frames(start, later, ClipSettings())[0] == start
    # the pictures carry the video's numbers, 101 further on
    for start, chosen in ((30, ClipSettings()), (200, PUBLISHED), (279, ClipSettings())):
        (clip,) = cut_clips(later, [start], chosen)
        assert read_codes(clip) == (clip_frames(start, later, chosen) + 101).tolist()
    assert read_codes(cut_clips(later, [200], PUBLISHED)[0]) == [201, 251, 300, 350]


def test_video_that_ends_before_a_recording_within_it_is_refused(coded):
    later = dataclasses.replace(recording_of(400, coded.video), video_start=200)
    assert read_codes(cut_clips(later, [399], ClipSettings())[0]) == [599] * 10
    with pytest.raises(InputError, match="600 frames, but mouse001_x has 400 frames from its frame 201 on"):
        cut_clips(dataclasses.replace(later, video_start=201), [0], ClipSettings())


@pytest.mark.parametrize("fps", [24.0, 25.0, 30.0, 30000 / 1001, 60.0])
def test_every_clip_has_the_window_that_integer_arithmetic_gives(fps):
    recording = recording_of(700, fps=fps)
    for start in range(0, 700, 7):
        frames = clip_frames(start, recording, ClipSettings(seconds=2.0))
        assert frames[0] == start
        assert frames[-1] == min(start + math.ceil(Fraction(2) * Fraction(fps).limit_denominator(1001)), 700) - 1
        if fps == 30.0:
            assert clip_frames(start, recording, PUBLISHED)[0] == start // 2
            assert clip_frames(start, recording, PUBLISHED)[-1] == min(start // 2 + 149, 699)


@pytest.mark.parametrize("start", [-1, 600])
def test_clip_outside_the_recording_is_refused(start):
    with pytest.raises(InputError, match=rf"mouse001_x: a clip cannot start at frame {start}, .* 0 to 599"):
        clip_frames(start, recording_of(600), ClipSettings())


def test_published_clip_past_the_end_is_refused():
    with pytest.raises(
        InputError, match=r"at the assumed 20 fps the clip of frame 400 starts at 20\.00 s, past the end"
    ):
        clip_frames(400, recording_of(600), ClipSettings(assumed_fps=20.0))
    assert clip_frames(399, recording_of(600), ClipSettings(assumed_fps=20.0))[0] == 598


@given(
    seconds=st.floats(0.1, 20),
    sampled_fps=st.floats(0.05, 15),
    min_frames=st.integers(1, 12),
    start=st.integers(0, 399),
)
@settings(max_examples=150, deadline=None)
def test_frames_are_even_in_number_ordered_and_inside(seconds, sampled_fps, min_frames, start):
    chosen = ClipSettings(seconds=seconds, sampled_fps=sampled_fps, min_frames=min_frames)
    frames = clip_frames(start, recording_of(400), chosen)
    assert len(frames) == frame_count(chosen) and len(frames) % 2 == 0
    assert len(frames) >= min_frames
    assert len(frames) <= max(seconds * sampled_fps + 1e-6, min_frames + 1)
    assert (np.diff(frames) >= 0).all() and frames[0] == start and frames[-1] < 400
    assert frames[-1] - start <= seconds * 30 + 1


def test_sampled_rate_is_frames_over_the_window():
    assert frame_count(ClipSettings()) == 10 and sampled_rate(ClipSettings(), 10) == 2.0
    assert frame_count(PUBLISHED) == 4 and sampled_rate(PUBLISHED, 4) == pytest.approx(0.8)


def test_times_follow_the_videos_own_clock(tmp_path):
    ticks = np.cumsum(np.r_[0, np.tile([3, 3, 9, 1, 2], 24)[:-1]])  # 90ths of a second, 18 for 5 frames
    path = encode(tmp_path / "vfr.mp4", 120, clock=90, pts=lambda index: int(ticks[index]))
    recording = recording_of(120, path, fps=probe(path).fps)
    # from frame 10 at 36/90 s, a second ends at 126/90 s, when frame 35 comes on: 10 to 34, 24 / 3 = 8 apart
    chosen = ClipSettings(seconds=1.0, sampled_fps=4.0)
    assert clip_frames(10, recording, chosen).tolist() == [10, 18, 26, 34]


def test_cut_clips_show_the_frames_they_say(coded):
    starts = [300, 17, 301, 590]
    for chosen in (PUBLISHED, ClipSettings()):
        cut = cut_clips(coded, starts, chosen)
        assert [clip.shape for clip in cut] == [(frame_count(chosen), HEIGHT, WIDTH, 3)] * 4
        assert [read_codes(clip) for clip in cut] == [clip_frames(s, coded, chosen).tolist() for s in starts]
    assert read_codes(cut_clips(coded, [300], PUBLISHED)[0]) == [150, 200, 249, 299]


def test_overlapping_clips_decode_no_frame_twice(coded, monkeypatch):
    asked = []

    def counting(path, indices, threads):
        for index, frame in iter_frames(path, indices, threads):
            asked.append(index)
            yield index, frame

    monkeypatch.setattr(clips, "iter_frames", counting)
    cut = cut_clips(coded, [100, 100, 133, 100], ClipSettings())
    assert len(asked) == len(set(asked)) < 40
    np.testing.assert_array_equal(cut[0], cut[3])


def test_no_starts_give_no_clips(coded):
    assert cut_clips(coded, [], ClipSettings()) == []


def test_missing_and_short_videos_are_refused(coded, tmp_path):
    with pytest.raises(InputError, match="the recording has no video"):
        cut_clips(recording_of(60), [0], ClipSettings())
    with pytest.raises(InputError, match=r"none\.mp4: no such video"):
        cut_clips(recording_of(60, tmp_path / "none.mp4"), [0], ClipSettings())
    with pytest.raises(InputError, match="600 frames, but mouse001_x has 601"):
        cut_clips(recording_of(601, coded.video), [0], ClipSettings())


def test_square_holds_both_mice_of_the_clips_frames_in_the_videos_pixels():
    info = probe_like(512, 285)
    keypoints = np.full((100, 2, 7, 2), 400.0)
    keypoints[20, 0, 3] = (200, 300)  # frame px, half as large in the video: x 100 to 300, y 150 to 225
    keypoints[40, 1, 6] = (600, 450)
    keypoints[41, 1, 6] = (1000, 100)  # after the clip
    square = mice_square(recording_of(100, keypoints=keypoints), np.array([20, 30, 40]), info, padding=0.1)
    assert square == (80, 68, 240)  # side 200 * 1.2; centre (200, 187.5); rounding half to even


def probe_like(width, height):
    return type("Info", (), {"width": width, "height": height})


@given(st.lists(st.tuples(st.floats(-900, 2000), st.floats(-900, 2000)), min_size=14, max_size=14), st.floats(0, 0.5))
@settings(max_examples=100, deadline=None)
def test_square_holds_every_keypoint_within_the_picture(points, padding):
    keypoints = np.array(points).reshape(1, 2, 7, 2)
    left, top, side = mice_square(recording_of(1, keypoints=keypoints), np.array([0]), probe_like(1024, 570), padding)
    shown = np.clip(keypoints.reshape(-1, 2), 0, [1023, 569])
    assert (shown >= np.array([left, top]) - 0.51).all() and (shown <= np.array([left, top]) + side + 0.51).all()
    assert clips.LEAST_SIDE <= side <= 1024 * (1 + 2 * padding) + 1


def test_square_reaching_over_the_edge_repeats_the_edge():
    picture = np.arange(6 * 8, dtype=np.uint8).reshape(6, 8, 1).repeat(3, 2)
    rows, columns = np.clip(np.arange(-2, 9), 0, 5), np.clip(np.arange(-1, 10), 0, 7)
    np.testing.assert_array_equal(crop_square(picture, (-1, -2, 11), 11), picture[rows][:, columns])
    # halving by area is the mean of each 2x2 block
    means = picture[:4, :4].reshape(2, 2, 2, 2, 3).mean((1, 3))
    assert np.abs(crop_square(picture, (0, 0, 4), 2) - means).max() <= 0.5


def test_mice_crop_cuts_the_right_place_of_a_smaller_video(tmp_path):
    size = (128, 72)  # the video; the poses are in a frame four times as large
    spots = {0: (40, 30), 29: (60, 50)}
    frames = []
    for index in range(30):
        frame = np.zeros((size[1], size[0], 3), np.uint8)
        x, y = spots[0] if index < 15 else spots[29]
        cv2.circle(frame, (x, y), 4, (255, 255, 255), -1)
        frames.append(frame)
    write_video(tmp_path / "spots.mp4", frames, 30, *size, crf=5)
    keypoints = np.array([spots[0 if index < 15 else 29] for index in range(30)], float) * 4
    keypoints = np.broadcast_to(keypoints[:, None, None], (30, 2, 7, 2))
    recording = recording_of(30, tmp_path / "spots.mp4", keypoints=keypoints, frame_size=(512, 288))
    chosen = ClipSettings(seconds=1.0, sampled_fps=2.0, crop="mice", crop_pixels=56, crop_padding=0.2)
    (clip,) = cut_clips(recording, [0], chosen)
    assert clip.shape == (4, 56, 56, 3)
    # the square: x 40 to 60, y 30 to 50, side 20 * 1.4 = 28 from (36, 26), shown twice as large
    for picture, (x, y) in zip(clip, [(8, 8), (8, 8), (48, 48), (48, 48)], strict=True):
        rows, columns = np.nonzero(picture[:, :, 0] > 128)
        assert abs(columns.mean() - x) < 2 and abs(rows.mean() - y) < 2


@pytest.mark.parametrize(
    ("setting", "value"),
    [("seconds", 0), ("sampled_fps", -1), ("min_frames", 0), ("assumed_fps", 0.0), ("seconds", float("nan")),
     ("crop_pixels", 0), ("crop_padding", -0.1), ("crop", "circle"), ("crop", "follow")],
)  # fmt: skip
def test_senseless_settings_are_refused_by_name(setting, value):
    with pytest.raises(InputError, match=f"clip setting {setting}"):
        ClipSettings(**{setting: value})
