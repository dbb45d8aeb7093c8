import json

import numpy as np
import pytest
from scipy.stats import ks_2samp

from mbrepro.data.recordings import Dataset, Recording
from mbrepro.demo import likeness
from mbrepro.demo import windows as windows_of
from mbrepro.demo.simulated import DemoSettings, schedule, simulate_recording
from mbrepro.errors import InputError

A, I, M, O = range(4)


def _labels(*segments: tuple[int, int]) -> np.ndarray:
    return np.repeat([value for value, _ in segments], [frames for _, frames in segments])


LABELS = [
    _labels((O, 10), (I, 30), (O, 20), (A, 6), (I, 4), (O, 50)),
    _labels((I, 5), (M, 15), (O, 30), (M, 7), (O, 3), (I, 40)),
]


def test_durations_of_bouts_and_gaps():
    found = {name: frames.tolist() for name, frames in likeness.durations(LABELS).items()}
    assert found == {
        "attack": [6], "investigation": [30, 4, 5, 40], "mount": [15, 7], "gap": [20, 30, 3],
        "gap after attack": [], "gap after investigation": [20], "gap after mount": [30, 3],
    }  # fmt: skip


def test_label_statistics_by_hand():
    found = {what: value for what, (value, _) in likeness.label_statistics(LABELS).items()}
    assert found["share of frames, investigation"] == pytest.approx(79 / 220)
    assert found["recordings with attack"] == 0.5 and found["recordings with investigation"] == 1
    assert found["attack in the fifth of the recordings with most of it"] == 1
    assert found["bouts a minute in a recording, p50"] == pytest.approx((3 / (120 / 1800) + 4 / (100 / 1800)) / 2)
    assert found["next after investigation is other"] == pytest.approx(2 / 3)
    assert found["next after investigation is mount"] == pytest.approx(1 / 3)
    assert found["next after other is attack"] == pytest.approx(1 / 4)


def test_quantiles_stand_for_a_distribution():
    values = np.random.default_rng(0).exponential(60, 1000)
    other = np.random.default_rng(1).exponential(90, 500)
    exact = ks_2samp(other, values).statistic
    assert ks_2samp(other, likeness.quantiles(values, 99)).statistic == pytest.approx(exact, abs=0.015)
    assert likeness.quantiles(np.arange(5.0), 5) == pytest.approx([0.4, 1.2, 2.0, 2.8, 3.6])


def _still(resident: tuple[float, float], intruder: tuple[float, float], angle: float) -> np.ndarray:
    """A window of two mice at rest, 150 px long along x and along `angle`: (1, 13, 2, 7, 2)."""
    part = np.array([[60, 0], [15, 30], [15, -30], [0, 0], [-45, 40], [-45, -40], [-90, 0]], float)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    pose = np.stack([part + resident, part @ turn + intruder])
    return np.tile(pose, (1, 13, 1, 1, 1))


def test_pose_statistics_of_a_known_pose():
    window = _still((200, 300), (500, 300), np.pi / 2)
    window[:, :, 0, :, 0] += 8 * np.arange(13)[:, None]  # 1 px a frame
    statistics = windows_of.pose_statistics(window, np.array([1]))
    found = {what: float(np.median(values)) for what, (values, _) in statistics.items() if values.size}
    assert found["body length, resident"] == pytest.approx(150) and found["ear width, intruder"] == pytest.approx(60)
    assert found["nose to neck, resident"] == pytest.approx(60)
    assert found["unsteadiness of hip width, resident"] == pytest.approx(0, abs=1e-9)
    assert found["relative heading, investigation"] == pytest.approx(90)
    assert found["speed, resident, investigation"] == pytest.approx(1)
    assert found["speed, intruder, investigation"] == pytest.approx(0, abs=1e-9)
    mean = (60 + 15 + 15 - 45 - 45 - 90) / 7
    apart = np.hypot(300 - mean - 48, mean)
    assert found["centroid distance, investigation"] == pytest.approx(apart)
    assert "centroid distance, mount" not in found


def test_windows_are_cut_at_the_step_and_labelled_by_their_majority():
    frames = 97 + 30
    keypoints = np.zeros((frames, 2, 7, 2)) + np.arange(frames)[:, None, None, None]
    recording = Recording("mouse001", keypoints, labels=_labels((I, 90), (O, frames - 90)))
    windows, classes = windows_of.pose_windows([recording], 50)
    assert windows.shape == (50, 13, 2, 7, 2) and (np.diff(windows[:, :, 0, 0, 0]) == 8).all()
    investigated = (windows[:, :, 0, 0, 0] < 90).mean(axis=1) > 0.5
    np.testing.assert_array_equal(classes == 1, investigated)
    with pytest.raises(InputError, match="97 frames"):
        windows_of.pose_windows([Recording("mouse002", keypoints[:50], labels=np.full(50, 3))], 1)


def test_exchanged_mice_are_counted():
    window = np.tile(_still((200, 300), (700, 300), 0.0), (4, 1, 1, 1, 1))
    assert windows_of.exchanged_share(window) == 0
    window[0, 6:] = window[0, 6:, ::-1]
    assert windows_of.exchanged_share(window) == pytest.approx(1 / 48)


def test_classifier_tells_noise_from_none_and_not_like_from_like():
    rng = np.random.default_rng(0)
    still = np.concatenate([_still(*rng.uniform(100, 500, (2, 2)), rng.uniform(0, 6)) for _ in range(240)])
    assert likeness.told_apart(still[:120], still[120:] + rng.normal(0, 5, still[120:].shape)) > 0.95
    assert 0.3 < likeness.told_apart(still[:120], still[120:]) < 0.7


@pytest.fixture(scope="module")
def table():
    few = DemoSettings(10, 4)
    made = [simulate_recording("task1", f"mouse{n:03d}_task1_annotator1", few)[0] for n in range(1, 15)]
    return likeness.likeness(Dataset("task1", made[0].classes, tuple(made[:10]), tuple(made[10:]), "simulated"))


def test_table_compares_everything(table):
    assert table.columns.tolist() == ["what", "simulated", "real", "unit", "source"]
    assert table["what"].is_unique and np.isfinite(table["real"]).all() and (table["source"] != "").all()
    real = table.set_index("what")["real"]
    # Sun et al. 2021; FACTS of the released labels
    assert real["train: share of frames, attack"] == pytest.approx(14_039 / 507_738, abs=1e-4)
    assert real["test: share of frames, mount"] == pytest.approx(31_848 / 262_107, abs=1e-4)
    assert real["train: duration of mount, p50"] == pytest.approx(2.03, abs=0.05)


@pytest.mark.parametrize("split", ["train", "test"])
def test_durations_of_many_simulated_recordings_are_those_of_the_real_ones(split):
    rngs = [np.random.default_rng([1, n]) for n in range(1, 561)]
    made = [schedule.make_schedule("task1", n, 150, rng, split).labels for n, rng in enumerate(rngs, 1)]
    real = likeness.real_statistics()["labels"][split]["frames"]
    for name, frames in likeness.durations(made).items():
        assert ks_2samp(frames, real[name]).statistic <= 0.1, name


def test_medians_and_distances_are_taken_out_of_the_table(table):
    whole = table.set_index("what")
    medians = likeness.pose_medians(table).set_index("what")
    row = whole.loc["body length, resident, p50"]
    assert medians.loc["body length, resident", "ratio"] == pytest.approx(row["simulated"] / row["real"])
    assert len(medians) == sum(what.endswith(", p50") and ":" not in what for what in table["what"])
    distances = likeness.label_distances(table)
    assert list(distances.index)[:4] == ["attack", "investigation", "mount", "gap"]
    told = whole.loc["train: KS distance of durations of mount from real train", "simulated"]
    assert distances.loc["mount", "simulated train"] == told
    real = likeness.real_statistics()["labels"]
    exact = ks_2samp(real["train"]["frames"]["mount"], real["test"]["frames"]["mount"]).statistic
    assert distances.loc["mount", "real test"] == pytest.approx(exact)


@pytest.fixture(scope="module")
def own_train():
    return [simulate_recording("task1", f"mouse{n:03d}_task1_annotator1", DemoSettings())[0] for n in range(1, 71)]


def test_the_demos_own_train_labels_are_near_the_real_ones(own_train):
    made = [recording.labels for recording in own_train]
    real = likeness.real_statistics()["labels"]["train"]
    for name, frames in likeness.durations(made).items():
        assert ks_2samp(frames, real["frames"][name]).statistic <= 0.1, name
    for what, (share, _) in likeness.label_statistics(made).items():
        if what.startswith("share of frames"):
            assert share == pytest.approx(real["shares"][what], abs=0.02), what


def test_poses_are_off_where_page_00_says_so(own_train):
    """Medians over real ones beyond a tenth: what the page says in words of the statistics it lists."""
    found = windows_of.pose_statistics(*windows_of.pose_windows(own_train, 2000))
    real = likeness.real_statistics()["poses"]["percentiles"]
    ratio = {what: np.median(values) / real[what]["p50"] for what, (values, _) in found.items()}
    more = [f"{what}, {who}" for what in ("bend of the neck", "turn") for who in ("resident", "intruder")]
    more += [f"speed, {who}, investigation" for who in ("resident", "intruder")]
    more += ["resident's nose to the intruder, investigation", "speed, intruder, mount"]
    assert min(ratio[what] for what in more) > 1.1
    assert ratio["resident's bearing of the intruder, mount"] < 0.9


# --- against the real data ------------------------------------------------------------------------------------------


def test_recorded_statistics_are_those_of_the_real_data(real_data):
    assert json.loads(json.dumps(likeness.measure_real(real_data))) == likeness.real_statistics()


def test_durations_against_every_real_bout(real_data):
    stored = np.load(real_data / "calms21_labels" / "task1_labels.npz")
    real = likeness.durations([stored[name] for name in stored.files if name.startswith("train")])
    published = json.loads((real_data / "calms21_labels" / "task1_bout_statistics.json").read_text())["train"]
    assert {n: len(real[n]) for n in ("attack", "investigation", "mount")} == {
        name: published["per_class"][name]["n_bouts"] for name in ("attack", "investigation", "mount")
    }
    assert len(real["gap"]) == published["gaps"]["n_gaps_gt0"]
    seconds = DemoSettings().seconds
    made = [schedule.make_schedule("task1", n, seconds, np.random.default_rng([1, n])).labels for n in range(1, 561)]
    for name, frames in likeness.durations(made).items():
        assert ks_2samp(frames, real[name]).statistic <= 0.1, name


def test_what_drifts_keeps_its_change_and_what_jitters_does_not():
    """Autocorrelation of 13 deviations from their own mean: -1/13 for noise, near that of the process for drift."""
    rng = np.random.default_rng(0)
    apart = np.zeros((4000, 13, 2, 7, 2))
    apart[:, :, 1] += 300
    noise = apart + rng.normal(size=apart.shape)
    drift = apart + np.cumsum(rng.normal(size=apart.shape), axis=1)
    jitters, drifts = (windows_of.contact_persistence(w) for w in (noise, drift))
    assert all(np.isnan(value) for what, value in drifts.items() if what.endswith("contact"))  # never in contact
    for what in (name for name in drifts if name.endswith("apart")):
        assert jitters[what] == pytest.approx(-1 / 13, abs=0.02)
        assert drifts[what] > 0.5


def test_zero_padded_windows_are_left_out(real_data):
    windows, classes = windows_of.read_real_windows(real_data)
    assert windows.shape == (996, 13, 2, 7, 2) and not (windows == 0).all(axis=(3, 4)).any()
    assert np.bincount(classes).tolist() == [0, 271, 31, 694]
