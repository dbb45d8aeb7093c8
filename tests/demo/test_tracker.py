"""What the simulated tracker reports, beside what the real pose windows show of theirs."""

import numpy as np
import pytest

from mbrepro.demo.simulated import DemoSettings, simulate_recording
from mbrepro.demo.simulated.tracker import Tracker, track
from mbrepro.demo.windows import contact_unsteadiness, pose_windows, read_real_windows

NOTHING = Tracker(
    drift=(0, 0), together=0, jitter=0, astray=0, astray_touching=(0, 0), held=0, held_speed=0, exchanged=0
)
APART = np.tile(np.array([[[300.0, 300]] * 7, [[700.0, 300]] * 7]), (3000, 1, 1, 1))
TOUCHING = APART - np.array([[[0.0, 0]], [[360, 0]]])


def error(poses: np.ndarray, tracker: Tracker) -> np.ndarray:
    return np.linalg.norm(track(poses, np.random.default_rng(0), tracker)[0] - poses, axis=-1)


def test_a_tracker_without_errors_reports_what_is_there():
    np.testing.assert_allclose(error(TOUCHING, NOTHING), 0, atol=1e-4)


@pytest.mark.parametrize("field, value", [("together", 9.0), ("astray_touching", (3.0, 3.0)), ("exchanged", 1.0)])
def test_errors_of_contact_are_none_apart(field, value):
    tracker = Tracker(**{**vars(NOTHING), field: value})
    assert error(APART, tracker).max() < 1e-3 < error(TOUCHING, tracker).max()


def test_a_lost_mouse_is_drawn_straight_and_said_to_be_uncertain():
    frames = np.arange(3000)
    there = TOUCHING + np.stack([30 * np.sin(frames), 0 * frames], -1)[:, None, None]
    tracked, scores = track(there, np.random.default_rng(0), Tracker(**{**vars(NOTHING), "held": 2.0}))
    held = scores[:, 0].max(axis=1) < 0.72
    assert 0.3 < held.mean() < 0.95
    np.testing.assert_allclose(tracked[~held, 0], there[~held, 0], atol=1e-3)
    assert (
        np.abs(np.diff(tracked[:, 0, 0, 0], 2)[held[1:-1]]).mean() < 0.5 * np.abs(np.diff(there[:, 0, 0, 0], 2)).mean()
    )


def test_the_same_seed_gives_the_same_tracks():
    a, b = (track(TOUCHING, np.random.default_rng(4)) for _ in range(2))
    assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_lengths_change_as_in_the_real_windows(real_data):
    """Median and 90th percentile of how much widths of ears and hips change, in contact and apart: within 35 %."""
    settings = DemoSettings(seconds=60)
    made = [simulate_recording("task1", f"mouse{n:03d}_task1_annotator1", settings)[0] for n in range(1, 29)]
    simulated = contact_unsteadiness(pose_windows(made, 1000)[0])
    real = contact_unsteadiness(read_real_windows(real_data)[0])
    assert len(real) == 12
    for what, values in real.items():
        mine, theirs = (np.percentile(v, [50, 90]) for v in (simulated[what], values))
        np.testing.assert_allclose(mine, theirs, rtol=0.35, err_msg=what)
