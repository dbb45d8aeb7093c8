from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import f1_score

from mbrepro.demo import judges
from mbrepro.demo.simulated import DemoSettings, demo_names, plan_of, simulate_recording
from mbrepro.demo.simulated.annotators import FIRST, write
from mbrepro.method.boosting import BoostingSettings, fit_boosting
from mbrepro.method.localizer import BASELINE, PoseCNN
from mbrepro.study import ladder

FEW = DemoSettings(4, 2, seconds=40, test_seconds=40)


@pytest.fixture(scope="module")
def judged():
    return judges.judged_on_test(FEW, PoseCNN(BASELINE).eval())


def test_boosting_learns_from_train_recordings_and_is_judged_on_the_test_ones(judged):
    names = demo_names("task1", FEW)
    learned, held_out = ([simulate_recording("task1", n, FEW)[0] for n in some] for some in (names[:4], names[4:]))
    model = fit_boosting(learned, [r.labels for r in learned], 4, BoostingSettings(), 0)
    named = np.concatenate([model.scores(r).argmax(1) for r in held_out])
    true = np.concatenate([r.labels for r in held_out])
    each = f1_score(true, named, labels=range(4), average=None, zero_division=0)
    np.testing.assert_allclose(judged.loc[judges.RAW, ["f1_attack", "f1_mount", "f1_other"]], each[[0, 2, 3]])
    acting = np.concatenate([model.scores(r)[:, 3] < 0.5 for r in held_out])
    assert judged.loc[judges.RAW, judges.ACTION] == pytest.approx(f1_score(true != 3, acting))


def test_the_second_annotator_is_held_against_the_first(judged):
    plans = [plan_of("task1", name, FEW) for name in demo_names("task1", FEW)[4:]]
    first, second = (np.concatenate([getattr(p, which) for p in plans]) for which in ("labels", "second"))
    assert judged.loc[judges.PEOPLE, "f1_other"] == pytest.approx(f1_score(first == 3, second == 3))
    assert judged.loc[judges.PEOPLE, judges.ACTION] == pytest.approx(f1_score(first != 3, second != 3))


def test_smoothing_is_each_class_s_moving_average():
    scores = np.eye(4)[[3, 3, 0, 3, 3, 3, 0, 0]]
    smoothed = judges.smoothed(scores, [3, 1, 1, 1])
    np.testing.assert_allclose(smoothed[1:7, 0], [1 / 3] * 3 + [0, 1 / 3, 2 / 3])
    np.testing.assert_array_equal(smoothed[:, 1:], scores[:, 1:])


def test_judges_become_lines_of_the_ladder_beside_what_is_published(monkeypatch, judged):
    monkeypatch.setattr(judges, "judged_on_test", lambda *_: judged)
    lines = ladder.judged(FEW, None).set_index(["network", "metric"])
    assert lines.loc[(judges.OFFICIAL, "f1_mount"), "published"] == 0.9
    assert lines.loc[(judges.TRUE, "f1"), "mean"] == judged.loc[judges.TRUE, "f1"]
    assert ladder.beside_published(lines.reset_index())["simulated"].str.fullmatch(r"\d\.\d{3}").all()


# --- single changes of the simulator --------------------------------------------------------------------------------


def test_a_recording_without_tracking_errors_is_the_true_poses_and_labels_without_error_are_the_acts():
    name = demo_names("task1", FEW)[0]
    as_is, true = judges._changed(name, FEW, judges.CHANGES[judges.AS_IS])
    np.testing.assert_array_equal(as_is.keypoints, simulate_recording("task1", name, FEW)[0].keypoints)
    known, same = judges._changed(name, FEW, judges.CHANGES["no tracking errors"])
    np.testing.assert_array_equal(known.keypoints, true)
    np.testing.assert_array_equal(same, true)
    exact, _ = judges._changed(name, FEW, judges.CHANGES["labels without error"])
    np.testing.assert_array_equal(exact.keypoints, as_is.keypoints)
    assert (exact.labels != as_is.labels).any()
    np.testing.assert_array_equal(exact.labels, plan_of("task1", name, FEW).acts)


def test_the_acts_of_a_schedule_are_its_bouts_and_what_an_annotator_without_habits_writes():
    plan = plan_of("task1", demo_names("task1", FEW)[1], FEW)
    assert len(plan.acts) == len(plan.labels)
    named = {"attack": 0, "investigate": 1, "mount": 2, "wander": 3}
    assert all((plan.acts[start:stop] == named[activity]).all() for start, stop, activity in plan.bouts)
    none = replace(FIRST, lag=(0, 0), jitter=0.0, through=(1e-9,) * 3, past=(1e-9,) * 3, exchanged=(0.0, 0.0))
    np.testing.assert_array_equal(write(plan.acts, none, np.random.default_rng(0)), plan.acts)


def test_changes_are_of_one_kind_each_and_scale_what_they_say():
    as_is = judges.CHANGES[judges.AS_IS]
    for name, change in judges.CHANGES.items():
        parts = ("acts", "errors", "seed", "exact")
        assert sum(getattr(change, part) != getattr(as_is, part) for part in parts) == (name != judges.AS_IS), name
    half, more = (judges.CHANGES[name].errors for name in ("half the tracking errors", "1.5 times the tracking errors"))
    assert (half.drift, half.jitter, half.held) == ((2.15, 1.9), 0.25, 0.275) and half.off == more.off
    assert more.astray_touching == pytest.approx((1.2, 2.7))
    touching = judges.CHANGES["errors in contact twice as often"].errors
    assert (touching.exchanged, touching.held, touching.drift) == (0.04, 1.1, as_is.errors.drift)


def test_fits_are_made_once_and_only_for_what_has_changed(monkeypatch):
    """Without tracking errors the trees learn from true poses, which they did before; half of them is something new."""
    few = DemoSettings(4, 2, seconds=20, test_seconds=20)
    monkeypatch.setattr(judges, "LEARNED", 2)
    monkeypatch.setattr(judges, "HELD_OUT", 2)
    fits, counts, lengths, network = {}, [], [], PoseCNN(BASELINE).eval()
    for name in (judges.AS_IS, "no tracking errors", "half the tracking errors"):
        found = judges.tried(judges.CHANGES[name], network, few, fits)
        counts.append(len(fits))
        assert all(0 <= value <= 1 for judge, value in found.items() if judge not in ("nose", "lengths"))
        lengths.append(found["lengths"])
        assert name != "no tracking errors" or found["raw"] == found["true poses"]
    assert counts == [2, 2, 3]
    as_is, none, half = lengths
    assert none < half < as_is  # lengths that a body keeps change by less where a tracker errs less
