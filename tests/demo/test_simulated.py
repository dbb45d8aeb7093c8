import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import ndtri

from mbrepro.data.recordings import TASK3_BEHAVIOURS, runs
from mbrepro.data.video import decode_frames, probe
from mbrepro.demo import simulated
from mbrepro.demo.simulated import DemoSettings, demo_dataset, extra_recordings, schedule, simulate_recording
from mbrepro.demo.simulated.annotators import FIRST
from mbrepro.demo.simulated.cage import draw_cage, draw_look
from mbrepro.demo.simulated.frames import render
from mbrepro.demo.simulated.motion import ARENA
from mbrepro.demo.simulated.poses import true_poses
from mbrepro.demo.simulated.tracker import track
from mbrepro.errors import InputError

SMALL = DemoSettings(2, 1, seconds=10, test_seconds=10, task3_seconds=10, rare_seconds=10, video_size=(256, 144))


@pytest.fixture(scope="module")
def task1() -> list:
    """Nine recordings of 60 s, with the truth behind the tracking."""
    settings = DemoSettings(seconds=60)
    return [simulate_recording("task1", f"mouse{n:03d}_task1_annotator1", settings) for n in range(1, 10)]


# --- schedule -------------------------------------------------------------------------------------------------------


def _labels(seconds: float, count: int, split: str = "train") -> list[np.ndarray]:
    rngs = [np.random.default_rng(n) for n in range(1, count + 1)]
    return [schedule.make_schedule("task1", n, seconds, rng, split).labels for n, rng in enumerate(rngs, 1)]


@pytest.mark.parametrize(
    ("split", "shares"), [("train", [0.028, 0.289, 0.056, 0.627]), ("test", [0.048, 0.234, 0.122, 0.597])]
)
def test_task1_class_shares_are_near_those_of_the_split(split, shares):
    counts = sum(np.bincount(labels, minlength=4) for labels in _labels(300, 285, split))
    np.testing.assert_allclose(counts / counts.sum(), shares, atol=0.03)  # Sun et al. 2021


def test_durations_differ_between_recordings_but_not_overall():
    score = ndtri(np.linspace(0.001, 0.999, 999))
    shares = schedule._BETWEEN
    assert 0 < shares < 0.2
    mixed = np.sqrt(shares) * score[:, None] + np.sqrt(1 - shares) * score[None]
    assert np.std(mixed) == pytest.approx(1, abs=0.02)  # quantiles of the mixture stay those that were recorded


def test_transitions_follow_the_table():
    follows = np.zeros((4, 4))
    for n in [n for n in range(1, 130) if schedule._KINDS["train"][(n - 1) % 14] == "attack"]:
        for before, after in zip(*(lambda r: (r[:-1], r[1:]))(runs(_one(n, 900))), strict=True):
            follows[before[2], after[2]] += 1
    shares = follows / np.maximum(follows.sum(axis=1, keepdims=True), 1)
    np.testing.assert_allclose(shares[1], [0.3425, 0, 0, 0.6575], atol=0.06)  # CalMS21 train, attack only
    np.testing.assert_allclose(shares[3], [0.13, 0.87, 0, 0], atol=0.06)


def _one(number: int, seconds: float) -> np.ndarray:
    return schedule.make_schedule("task1", number, seconds, np.random.default_rng(number)).labels


def test_default_demo_has_every_behaviour_on_both_sides_and_on_film():
    settings = DemoSettings()
    count = settings.train_recordings + settings.test_recordings
    has = np.array([np.bincount(_demo_labels(n, settings), minlength=4) > 0 for n in range(1, count + 1)])
    train, test = has[: settings.train_recordings], has[settings.train_recordings :]
    assert train[: settings.filmed, 0].sum() >= 2 and test[:, 0].sum() >= 4  # attack
    assert train[: settings.filmed].any(axis=0).all() and test.any(axis=0).all()
    assert has[:, 0].mean() < 0.35 and not has[:, 2].all()  # attack is held by few recordings


def _demo_labels(number: int, settings: DemoSettings) -> np.ndarray:
    return simulate_recording("task1", f"mouse{number:03d}_task1_annotator1", settings)[0].labels


@pytest.mark.parametrize("behaviour", TASK3_BEHAVIOURS)
def test_task3_rates(behaviour):
    made = [schedule.make_schedule(f"task3/{behaviour}", n, 300, np.random.default_rng(n)) for n in range(30)]
    share = np.mean([s.labels.mean() for s in made])
    assert share == pytest.approx(schedule.TASK3_RATES[behaviour], rel=0.25)
    assert all(s.classes == ("other", behaviour) and len(runs(s.labels)) >= 3 for s in made)


def test_rare_behaviours_are_recorded_long_enough_for_their_base_rate():
    settings = DemoSettings()
    for behaviour in TASK3_BEHAVIOURS:
        names = [f"mouse{number:03d}_task3_annotator1" for number in range(1, 41)]
        made = [simulate_recording(f"task3/{behaviour}", name, settings)[0] for name in names]
        seconds = 90 if behaviour in ("disengaged", "mount_attempt") else 30
        assert {len(r) for r in made} == {seconds * 30}
        share = np.mean([r.labels.mean() for r in made])
        assert share == pytest.approx(schedule.TASK3_RATES[behaviour], rel=0.5)


def test_acts_follow_each_other_and_are_written_late():
    names = {"attack": 0, "investigate": 1, "mount": 2, "wander": 3}
    agreed = np.zeros(15)
    for n in range(1, 30):
        plan = schedule.make_schedule("task1", n, 120, np.random.default_rng(n))
        assert all(a.stop == b.start for a, b in zip(plan.bouts, plan.bouts[1:], strict=False))
        acts = np.concatenate([np.full(bout.stop - bout.start, names[bout.activity]) for bout in plan.bouts])
        assert len(acts) == len(plan.labels)
        agreed += [(acts[: len(acts) - late] == plan.labels[late:]).mean() for late in range(15)]
    assert agreed.argmax() == pytest.approx(FIRST.lag[0], abs=1)
    assert agreed[0] / 29 > 0.85


def test_unknown_task_is_refused():
    with pytest.raises(InputError, match="task3/dancing"):
        schedule.make_schedule("task3/dancing", 1, 60, np.random.default_rng(0))


# --- poses ----------------------------------------------------------------------------------------------------------


def test_bodies_have_the_size_of_real_ones(task1):
    poses = np.concatenate([recording.keypoints for recording, _ in task1])

    def median(a: int, b: int) -> np.ndarray:
        return np.median(np.linalg.norm(poses[:, :, a] - poses[:, :, b], axis=-1), axis=0)

    # medians of CalMS21 poses, resident and intruder, px
    np.testing.assert_allclose(median(0, 6), [187, 171], rtol=0.1)  # nose to tail base
    np.testing.assert_allclose(median(1, 2), [58, 60], rtol=0.06)  # ears
    np.testing.assert_allclose(median(4, 5), [79, 76], rtol=0.06)  # hips
    np.testing.assert_allclose(median(0, 3), [66, 70], rtol=0.06)  # nose to neck


def test_mice_are_as_far_apart_as_real_ones(task1):
    labels = np.concatenate([recording.labels for recording, _ in task1])
    centers = np.concatenate([recording.keypoints for recording, _ in task1]).mean(axis=2)
    gap = np.linalg.norm(centers[:, 0] - centers[:, 1], axis=-1)
    other, investigation, mount = (np.median(gap[labels == k]) for k in (3, 1, 2))
    # medians of CalMS21's pose windows, px
    assert other == pytest.approx(343, rel=0.25)
    assert investigation == pytest.approx(125, rel=0.2)
    assert mount == pytest.approx(62, rel=0.2)


def test_investigation_is_nose_first_and_mount_is_aligned(task1):
    labels = np.concatenate([recording.labels for recording, _ in task1])
    poses = np.concatenate([true for _, true in task1])
    nearest = np.linalg.norm(poses[:, 0, :1] - poses[:, 1], axis=-1).min(axis=1)
    assert np.median(nearest[labels == 1]) < 40 < np.median(nearest[labels == 3])
    heading = poses[:, :, 3] - poses[:, :, 6]
    heading /= np.linalg.norm(heading, axis=-1, keepdims=True)
    aligned = (heading[:, 0] * heading[:, 1]).sum(axis=-1)
    assert np.median(aligned[labels == 2]) > 0.8 > np.median(aligned[labels == 1])


def test_attack_is_the_fastest(task1):
    labels = np.concatenate([recording.labels[1:] for recording, _ in task1])
    step = np.concatenate([np.linalg.norm(np.diff(true.mean(axis=2), axis=0), axis=-1) for _, true in task1])
    fast = [np.percentile(step[labels == k], 90) for k in range(4)]
    assert fast[0] > 1.3 * max(fast[1:])


def test_nobody_leaves_the_arena_or_teleports(task1):
    for recording, true in task1:
        assert (true >= ARENA[:2]).all() and (true <= ARENA[2:]).all()
        assert np.linalg.norm(np.diff(true, axis=0), axis=-1).max() < 90  # px a frame: about 1.1 m/s
        assert np.linalg.norm(np.diff(true.mean(axis=2), axis=0), axis=-1).max() < 50
        assert (recording.scores > 0).all() and (recording.scores <= 1).all()


def test_spines_bend(task1):
    poses = task1[0][1]
    front, back = poses[:, :, 0] - poses[:, :, 3], poses[:, :, 3] - poses[:, :, 6]
    cross = front[..., 0] * back[..., 1] - front[..., 1] * back[..., 0]
    bend = np.degrees(np.arctan2(cross, (front * back).sum(axis=-1)))
    assert 10 < bend[:, 0].std() < 45


def test_foreshortened_when_rearing():
    plan = schedule.Schedule(("x",), (schedule.Bout(0, 90, "wander"), schedule.Bout(90, 180, "rear")), np.zeros(180))
    poses = true_poses(plan, np.random.default_rng(0))
    trunk = np.linalg.norm(poses[:, 1, 3] - poses[:, 1, 6], axis=-1)
    assert np.median(trunk[120:]) < 0.65 * np.median(trunk[:60])
    to_wall = np.minimum(poses[-1, 1, 0] - ARENA[:2], ARENA[2:] - poses[-1, 1, 0]).min()
    assert to_wall < 40


def test_tracking_error_is_small_apart_and_larger_beside_the_other():
    apart = np.tile(np.array([[[300.0, 300]] * 7, [[700.0, 300]] * 7]), (3000, 1, 1, 1))
    beside = apart - np.array([[[0.0, 0]], [[300, 0]]])
    errors = []
    for poses in (apart, beside):
        tracked, scores = track(poses, np.random.default_rng(0))
        errors.append(np.median(np.abs(tracked - poses)))
        assert scores.shape == (3000, 2, 7)
    assert 2 < errors[0] < 6 and errors[1] > 1.5 * errors[0]


def test_lost_parts_have_low_confidence(task1):
    recording, true = task1[0]
    error = np.linalg.norm(recording.keypoints - true, axis=-1)
    # a mouse that slides as a whole is reported with confidence, so not all that is off is doubted
    assert error[recording.scores < 0.6].mean() > 2 * error[recording.scores > 0.8].mean()


# --- frames ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_mice_are_drawn_where_they_truly_are(seed):
    plan = schedule.Schedule(("x",), (schedule.Bout(0, 90, "wander"),), np.zeros(90))
    poses = true_poses(plan, np.random.default_rng(seed))
    look = replace(draw_look(np.random.default_rng(seed)), implant=False, nest=False)
    frames = np.stack(list(render(poses, look, (512, 286))))
    assert frames.shape == (90, 286, 512, 3) and frames.dtype == np.uint8
    floor = np.median(frames, axis=0)[60:-40, 60:-70].mean()
    for frame in range(0, 90, 10):
        middle = 0.5 * (poses[frame, :, 3] + poses[frame, :, 6]) * (512 / 1024, 286 / 570)
        (rx, ry), (ix, iy) = middle.round().astype(int)
        assert frames[frame, ry, rx, 0] < 0.5 * floor
        if np.linalg.norm(middle[0] - middle[1]) > 60:
            assert frames[frame, iy, ix, 0] > 1.12 * floor


def test_recordings_do_not_look_alike():
    looks = [draw_look(np.random.default_rng(n)) for n in range(8)]
    still = np.array([[[300.0, 300]] * 7, [[700.0, 300]] * 7])[None]
    levels = [next(iter(render(still, look, (256, 144)))).mean() for look in looks]
    assert np.std(levels) > 5


def test_cages_are_lit_as_the_real_ones():
    """Six frames of MARS's documentation: bedding of median 111 to 202, walls .39 to .86 as bright."""
    for seed in range(8):
        look = draw_look(np.random.default_rng(seed))
        cage = look.gain * draw_cage(look, (512, 286), np.random.default_rng(seed)).astype(float)
        floor = cage[60:226, 60:430]
        assert 100 < np.median(floor) < 212 and 15 < floor.std() < 45
        for wall in (cage[4:30, 150:350], cage[80:200, 4:26]):
            assert 0.35 < wall.mean() / np.median(floor) < 0.9
            assert wall.std() < 0.4 * floor.std()


@pytest.mark.parametrize("size", [(512, 286), (1024, 570)])
def test_bodies_are_round_and_their_fur_is_no_plain_colour(size):
    still = np.array([_lying(300, 300), _lying(700, 300)])[None]
    look = replace(draw_look(np.random.default_rng(1)), implant=False, noise=0.0)
    frame = next(iter(render(still, look, size)))[..., 0].astype(float)
    scale = size[0] / 1024
    shades = {}
    for x in (300, 700):
        column, row = round((x - 25) * scale), round(300 * scale)
        across = frame[row - round(60 * scale) : row + round(60 * scale), column - 3 : column + 4].mean(axis=1)
        shades[x] = across[len(across) // 2], *across[[len(across) // 6 + 2, -len(across) // 6 - 2]]
        assert x == 700 or frame[row - 6 : row + 6, column - 12 : column + 12].std() > 0.8
    white, *edges = shades[700]
    assert white > max(edges) + 10 and max(shades[300]) < 0.5 * min(shades[700])


def test_a_mouse_that_jumps_is_drawn_at_any_size():
    jump = np.array([[_lying(120, 300), _lying(700, 150)], [_lying(900, 300), _lying(300, 450)]])
    frames = list(render(jump, draw_look(np.random.default_rng(0)), (1024, 570)))
    assert len(frames) == 2 and frames[1][300, 860, 0] < 0.6 * np.median(frames[1][120:500, 120:860, 0])


def _lying(x: float, y: float) -> list[tuple[float, float]]:
    """Seven true points of a mouse that lies along x with its nose to the right."""
    return [(x + dx, y + dy) for dx, dy in ((95, 0), (60, -28), (60, 28), (40, 0), (-50, -38), (-50, 38), (-95, 0))]


# --- dataset --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    return folder, demo_dataset("task1", SMALL, folder)


def _bytes(dataset) -> list[bytes]:
    return [recording.video.read_bytes() for recording in dataset.recordings]


def test_dataset_is_named_and_split_as_the_release(small):
    _, dataset = small
    assert [r.name for r in dataset.train] == ["mouse001_task1_annotator1", "mouse002_task1_annotator1"]
    assert [r.name for r in dataset.test] == ["mouse003_task1_annotator1"]
    assert dataset.source == "simulated" and dataset.test[0].animal == "mouse003"
    info = probe(dataset.test[0].video)
    assert (info.frames, info.fps, info.width, info.height) == (300, 30, 256, 144)


def test_rerun_makes_nothing_and_a_fresh_run_gives_the_same_bytes(small, tmp_path):
    folder, dataset = small
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    demo_dataset("task1", SMALL, folder)
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    again = demo_dataset("task1", SMALL, tmp_path)
    assert _bytes(again) == _bytes(dataset)
    for a, b in zip(again.recordings, dataset.recordings, strict=True):
        assert a.keypoints.tobytes() == b.keypoints.tobytes() and a.labels.tobytes() == b.labels.tobytes()


def test_more_recordings_leave_the_old_ones_alone(small):
    folder, dataset = small
    times = [r.video.stat().st_mtime_ns for r in dataset.recordings]
    more = demo_dataset("task1", replace(SMALL, test_recordings=2), folder, videos=False)
    assert [r.video.stat().st_mtime_ns for r in dataset.recordings] == times
    assert more.recordings[2].keypoints.tobytes() == dataset.recordings[2].keypoints.tobytes()
    assert more.recordings[0].video is None


def test_seed_changes_everything(small):
    _, dataset = small
    name = dataset.train[0].name
    other, _ = simulate_recording("task1", name, replace(SMALL, seed=1))
    assert not np.array_equal(other.keypoints, dataset.train[0].keypoints)


def test_video_shows_the_recording(small):
    _, dataset = small
    recording = dataset.train[0]
    middle = 0.5 * (recording.keypoints[:, 0, 3] + recording.keypoints[:, 0, 6]) * (256 / 1024, 144 / 570)
    frames = decode_frames(recording.video, range(0, 300, 30))
    x, y = middle[::30].round().astype(int).T
    assert np.median(frames[np.arange(10), y, x, 0]) < 75 < frames[:, 40:-40, 40:-40].mean()


def test_task3_datasets_are_binary():
    settings = replace(SMALL, task3_seconds=20)
    name = "mouse001_task3_annotator1"
    groom, _ = simulate_recording("task3/groom", name, settings)
    rearing, _ = simulate_recording("task3/whiterearing", name, settings)
    assert groom.classes == ("other", "groom") and set(groom.labels) == {0, 1}
    assert not np.array_equal(groom.keypoints, rearing.keypoints)


def test_extra_animals_are_in_neither_split(tmp_path):
    extra = extra_recordings("task1", 3, SMALL, tmp_path, videos=False)
    assert [r.animal for r in extra] == ["mouse501", "mouse502", "mouse503"]
    many = replace(SMALL, train_recordings=499, test_recordings=3)
    assert [simulated._animal(count) for count in (1, 500, 501, 502)] == [1, 500, 1001, 1002]
    places = [simulated._place("task1", number, many) for number in (499, 500, 1001, 1002, 501)]
    assert places == [("train", 499), ("test", 1), ("test", 2), ("test", 3), ("train", 1)]


def test_only_some_train_recordings_are_filmed(tmp_path):
    data = demo_dataset("task1", replace(SMALL, filmed=1), tmp_path)
    assert [r.video is not None for r in data.recordings] == [True, False, True]
    assert data.pose_only == {"mouse002_task1_annotator1"} and data.partial == ""
    assert [r.name for r in data.filmed().train] == ["mouse001_task1_annotator1"]


def test_full_is_the_size_of_the_release():
    full = DemoSettings().scaled("full")
    assert (full.train_recordings, full.test_recordings, full.task1_frames) == (70, 19, 769_845)
    few = replace(full, train_recordings=2, test_recordings=1, task1_frames=1000)
    assert [len(simulate_recording("task1", f"mouse00{n}_task1", few)[0]) for n in (1, 2, 3)] == [334, 333, 333]
    assert DemoSettings().scaled(10).train_recordings == 10 * DemoSettings().train_recordings


def test_unusable_settings_and_names_are_refused():
    with pytest.raises(InputError, match="at least 10 s"):
        DemoSettings(seconds=5)
    with pytest.raises(InputError, match="named like"):
        simulate_recording("task1", "rat", SMALL)
    assert DemoSettings().scaled(0.01).train_recordings == 1


def test_killed_while_filming_leaves_no_half_video(small, tmp_path):
    script = (
        "from pathlib import Path; from mbrepro.demo.simulated import *\n"
        "import sys; settings = eval(sys.argv[1])\n"
        "demo_dataset('task1', settings, Path(sys.argv[2]))"
    )
    process = subprocess.Popen([sys.executable, "-c", script, repr(SMALL), str(tmp_path)], start_new_session=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.rglob(".*.partial.mp4")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    _, dataset = small
    finished = {path.name: path.read_bytes() for path in tmp_path.rglob("mouse*.mp4")}
    assert len(finished) < 3
    assert all(finished[r.video.name] == r.video.read_bytes() for r in dataset.recordings if r.video.name in finished)
    assert _bytes(demo_dataset("task1", SMALL, tmp_path)) == _bytes(dataset)
