"""Boosted pose features: they learn what near means, unlabelled frames teach nothing, and a seed is a result."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import f1_score
from threadpoolctl import threadpool_limits

from mbrepro.data.recordings import UNLABELLED, Skeleton
from mbrepro.errors import InputError
from mbrepro.method.boosting import BoostingSettings, fit_boosting
from tests.fixtures.near_and_far import made_recording

QUICK = BoostingSettings(windows_s=(0.5,), iterations=8, leaves=7)


@pytest.fixture(scope="module")
def made():
    return [made_recording(f"mouse{k:03}_x", 400, k) for k in range(4)]


def test_boosting_learns_a_pattern_and_gives_probabilities_of_all_classes(made):
    model = fit_boosting(made[:3], [r.labels for r in made[:3]], 4, QUICK, 0)
    scores = model.scores(made[3])
    assert scores.shape == (400, 4) and scores.dtype == np.float32
    assert scores.sum(1) == pytest.approx(np.ones(400), abs=1e-6)
    assert (scores[:, [0, 2]] == 0).all()  # attack and mount were never seen
    assert f1_score(made[3].labels == 1, scores.argmax(1) == 1) > 0.95


def test_unlabelled_frames_teach_nothing_and_every_fourth_of_the_others_does(made):
    labels = [np.where(np.arange(400) < 200, UNLABELLED, r.labels) for r in made[:2]]
    wrong = [np.where(np.arange(400) % 4 == 0, r.labels, 0) for r in made[:2]]  # frames that are never read
    scores = fit_boosting(made[:2], labels, 4, QUICK, 0).scores(made[3])
    assert f1_score(made[3].labels == 1, scores.argmax(1) == 1) > 0.9
    right = [np.where(np.arange(400) % 4 == 0, r.labels, UNLABELLED) for r in made[:2]]
    one = fit_boosting(made[:2], wrong, 4, QUICK, 0).scores(made[3])
    np.testing.assert_array_equal(one, fit_boosting(made[:2], right, 4, replace(QUICK, every=1), 0).scores(made[3]))
    with pytest.raises(InputError, match="no labelled frame"):
        fit_boosting(made[:1], [np.full(400, UNLABELLED)], 4, QUICK, 0)


def test_recordings_that_show_one_class_alone_give_it_everywhere(made):
    scores = fit_boosting(made[:1], [np.full(400, 2)], 4, QUICK, 0).scores(made[3])
    np.testing.assert_array_equal(scores, np.eye(4)[[2] * 400])


def test_scores_do_not_depend_on_the_number_of_cores(made):
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            found.append(fit_boosting(made[:2], [r.labels for r in made[:2]], 4, QUICK, 0).scores(made[3]))
    np.testing.assert_array_equal(*found)


def test_settings_out_of_range_and_mixed_skeletons_are_refused(made):
    for wrong in ({"every": 0}, {"iterations": 0}, {"leaves": 1}, {"learning_rate": 0}, {"windows_s": (1.0, 0.0)}):
        with pytest.raises(InputError, match=f"boosting setting.*{next(iter(wrong))}"):
            BoostingSettings(**wrong)
    other = replace(made[1], skeleton=Skeleton(made[1].parts, "neck", "tail_base"))
    with pytest.raises(InputError, match="must have the same parts"):
        fit_boosting([made[0], other], [r.labels for r in made[:2]], 4, QUICK, 0)
