from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mbrepro.data.calms21.pairing import Pair, pair_with_videos
from mbrepro.data.clips import ClipSettings, cut_clips
from mbrepro.data.recordings import TASK1_CLASSES, Dataset, Recording
from mbrepro.data.video import write_video
from tests.fixtures.coded_video import HEIGHT, WIDTH, coded_frames, read_codes

GROOM = ("other", "groom")


def walk(frames, seed):
    """Poses that move by about 3 px a frame, as tracked mice do."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(100, 500, (1, 2, 7, 2)) + np.cumsum(rng.normal(0, 3, (frames, 2, 1, 2)), 0)
    return (points + rng.normal(0, 0.5, (frames, 2, 7, 2))).astype(np.float32)


def task1(poses, tests=1, video=None):
    """A Task 1 dataset with recordings mouse001, mouse002, …, the last `tests` of them its test split."""
    made = [
        Recording(f"mouse{k:03d}_task1_annotator1", keypoints, labels=np.zeros(len(keypoints), int), video=video)
        for k, keypoints in enumerate(poses, 1)
    ]
    return Dataset("task1", TASK1_CLASSES, tuple(made[:-tests]), tuple(made[-tests:]), "simulated")


def task3(train=(), test=()):
    def made(poses, number):
        return tuple(
            Recording(f"mouse{k:03d}_task3_annotator1", p, GROOM, np.arange(len(p)) % 2, np.ones((len(p), 2, 7)))
            for k, p in enumerate(poses, number)
        )

    return Dataset("task3/groom", GROOM, made(train, 1), made(test, 501), "simulated")


VIDEOS = [walk(frames, seed) for seed, frames in enumerate((600, 600, 900))]


def found(keypoints, videos=VIDEOS, **options):
    """The one pair of one sequence."""
    return pair_with_videos(task3([keypoints]), task1(videos), **options)[1][0]


def test_whole_video_pairs_at_offset_0():
    pair = found(VIDEOS[1])
    assert pair == Pair(
        "mouse001_task3_annotator1", "train", 600, 1, "mouse002_task1_annotator1", "mouse002", "train", 0, 600
    )


@pytest.mark.parametrize(("start", "stop"), [(1, 600), (37, 400), (250, 251 + 60), (0, 599)])
def test_part_of_a_video_pairs_at_its_first_frame(start, stop):
    pair = found(VIDEOS[0][start:stop])
    assert (pair.video_of, pair.offset, pair.frames) == ("mouse001_task1_annotator1", start, stop - start)


def test_sequence_that_begins_before_or_ends_after_the_video_pairs_if_nine_tenths_are_inside():
    before = np.concatenate([walk(60, 9), VIDEOS[0][:540]])
    pair = found(before)
    assert (pair.video_of, pair.offset, pair.frames, pair.of) == ("mouse001_task1_annotator1", -60, 540, 600)
    assert found(np.concatenate([walk(61, 9), VIDEOS[0][:539]])).places == 0
    after = np.concatenate([VIDEOS[0][300:], walk(30, 9)])
    assert (found(after).offset, found(after).frames) == (300, 300)
    assert found(np.concatenate([VIDEOS[0][300:], walk(34, 9)])).places == 0


def test_equal_length_says_nothing_and_one_frame_that_differs_is_enough():
    assert found(walk(600, 77)) == Pair("mouse001_task3_annotator1", "train", 600, 0)
    changed = VIDEOS[0][50:500].copy()
    changed[300, 1, 4, 0] += 0.5
    assert found(changed).video_of == ""
    # one part of one mouse a frame early
    shifted = VIDEOS[0][50:500].copy()
    shifted[:, 0, 6] = VIDEOS[0][49:499, 0, 6]
    assert found(shifted).video_of == ""


def test_rounding_of_coordinates_is_tolerated_up_to_the_tolerance():
    noise = np.random.default_rng(1).uniform(-0.009, 0.009, VIDEOS[2].shape).astype(np.float32)
    assert found((VIDEOS[2] + noise)[100:]).offset == 100
    assert found(np.round(VIDEOS[2], 2)).video_of == "mouse003_task1_annotator1"
    assert found(np.round(VIDEOS[2], 1)).video_of == ""
    assert found(np.round(VIDEOS[2], 1)[5:], tolerance_px=0.06).offset == 5
    beyond = VIDEOS[2].copy()
    beyond[700, 0, 0, 0] += 0.02
    assert found(beyond).video_of == ""


def test_mice_at_rest_and_zero_padding_do_not_hide_the_place():
    still = np.repeat(VIDEOS[0], 4, axis=0)  # each pose four frames long
    still[800:1400] = still[800]  # 20 s at rest
    still[300:420] = still[2000:2100:5].repeat(6, axis=0)[:120]
    still[[5, 700, 1500, 1501, 2200]] = 0  # the tracker lost both
    for start in (0, 3, 290, 801, 1399):
        pair = found(still[start : start + 900], [VIDEOS[1], still, VIDEOS[2]])
        assert (pair.video_of, pair.offset, pair.places) == ("mouse002_task1_annotator1", start, 1)


def test_place_that_cannot_be_told_is_not_paired():
    still = VIDEOS[0].copy()
    still[100:500] = still[100]
    assert found(still[150:450], [still, VIDEOS[1]]) == Pair(
        "mouse001_task3_annotator1", "train", 300, 2
    )  # frames 100 on, and 101 on
    twice = found(VIDEOS[0][10:400], [VIDEOS[0], VIDEOS[1], VIDEOS[0]])
    assert (twice.places, twice.video_of) == (2, "")
    zeros = np.zeros((300, 2, 7, 2))
    assert found(zeros, [zeros, VIDEOS[1]]).video_of == ""


@given(video=st.integers(0, 2), start=st.integers(-60, 560), frames=st.integers(40, 900), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_every_cut_of_a_video_is_found_where_it_was_cut(video, start, frames, seed):
    strange = walk(2000, 1000 + seed)
    whole = np.concatenate([strange[:60], VIDEOS[video], strange[60:]])
    pair = found(whole[60 + start : 60 + start + frames])
    inside = min(start + frames, len(VIDEOS[video])) - max(start, 0)
    if inside >= 0.9 * frames:
        assert (pair.video_of, pair.offset, pair.frames) == (f"mouse{video + 1:03d}_task1_annotator1", start, inside)
    else:
        assert pair.video_of == ""


def test_paired_recording_gets_the_video_and_only_the_frames_in_it(tmp_path):
    path = tmp_path / "mouse001.mp4"
    write_video(path, coded_frames(650), 30, WIDTH, HEIGHT)
    filmed = task1([VIDEOS[0], VIDEOS[1]], video=path)
    early = np.concatenate([walk(20, 9), VIDEOS[0][:400]])
    data = task3([VIDEOS[0][200:500], early], [walk(600, 8)])
    paired, pairs = pair_with_videos(data, filmed)
    inner, cut, alone = paired.recordings
    assert (inner.video, inner.video_start, len(inner)) == (path, 200, 300)
    assert read_codes(cut_clips(inner, [10], ClipSettings(seconds=1, sampled_fps=4))[0]) == [210, 220, 229, 239]
    assert (cut.video, cut.video_start, len(cut)) == (path, 0, 400)
    np.testing.assert_array_equal(cut.keypoints, VIDEOS[0][:400])
    np.testing.assert_array_equal(cut.labels, np.arange(20, 420) % 2)
    assert cut.scores.shape == (400, 2, 7)
    assert alone is data.test[0]
    assert [(p.offset, p.frames, p.of) for p in pairs] == [(200, 300, 300), (-20, 400, 420), (0, 0, 600)]
    within = replace(filmed, train=tuple(replace(r, video_start=50) for r in filmed.train))
    assert pair_with_videos(data, within)[0].train[0].video_start == 250


def test_recording_whose_video_is_not_here_stays_whole():
    early = np.concatenate([walk(20, 9), VIDEOS[0][:400]])
    data = task3([early])
    paired, (pair,) = pair_with_videos(data, task1(VIDEOS))
    assert paired.train[0] is data.train[0]
    assert (pair.video_of, pair.frames, pair.leak) == ("mouse001_task1_annotator1", 400, "")


def test_a_test_sequence_has_no_video_of_an_animal_that_training_sees(tmp_path):
    poses = [walk(600, seed) for seed in range(6)]
    names = ["mouse001", "mouse002", "mouse003_morning", "mouse003_evening", "mouse004", "mouse005"]
    made = [
        Recording(f"{name}_task1", p, labels=np.zeros(600, int), video=tmp_path / "a.mp4")
        for name, p in zip(names, poses, strict=True)
    ]
    filmed = Dataset("task1", TASK1_CLASSES, tuple(made[:2]), tuple(made[2:]), "simulated")
    train = [poses[0][:300], poses[2][:250], poses[4][:250], walk(300, 9)]  # of Task 1's train, twice its test, nowhere
    test = [poses[1][20:500], poses[2][300:], poses[3][:500], poses[4][310:], poses[5][100:], walk(300, 10)]
    data = task3(train, test)
    paired, pairs = pair_with_videos(data, filmed)
    assert [r.video is not None for r in paired.train] == [True, True, True, False]
    assert [r.video is not None for r in paired.test] == [False, False, False, False, True, False]
    assert paired.test[4].video_start == 100
    for place in (0, 1, 2, 3, 5):
        assert paired.test[place] is data.test[place]  # whole, as it was without the video
    assert [pair.leak for pair in pairs] == [
        "", "", "", "",
        "Task 1 trains on mouse002",
        "train sequence mouse002_task3_annotator1 shows mouse003 too",  # another part of the same video
        "train sequence mouse002_task3_annotator1 shows mouse003 too",  # another video of the same animal
        "train sequence mouse003_task3_annotator1 shows mouse004 too",
        "", "",
    ]  # fmt: skip


def test_a_train_sequence_without_video_here_leaks_too(tmp_path):
    filmed = task1(VIDEOS)  # their videos are not here yet
    _, pairs = pair_with_videos(task3([VIDEOS[2][:400]], [VIDEOS[2][400:]]), filmed)
    assert pairs[1].leak == "train sequence mouse001_task3_annotator1 shows mouse003 too"
