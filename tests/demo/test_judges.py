import numpy as np
import pytest
from sklearn.metrics import f1_score

from mbrepro.demo import judges
from mbrepro.demo.simulated import DemoSettings, demo_names, plan_of, simulate_recording
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


def test_the_second_annotator_is_held_against_the_first(judged):
    plans = [plan_of("task1", name, FEW) for name in demo_names("task1", FEW)[4:]]
    first, second = (np.concatenate([getattr(p, which) for p in plans]) for which in ("labels", "second"))
    assert judged.loc[judges.PEOPLE, "f1_other"] == pytest.approx(f1_score(first == 3, second == 3))


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
