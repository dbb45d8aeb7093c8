"""The registry: every localizer learns from the same recordings, and nobody is scored by who has seen the animal."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
from sklearn.metrics import f1_score

from mbrepro.data.recordings import UNLABELLED
from mbrepro.errors import InputError
from mbrepro.method import stage1
from mbrepro.method.boosting import BoostingSettings
from mbrepro.method.dilated import DilatedSettings
from mbrepro.method.localizer import LocalizerSettings
from tests.fixtures.near_and_far import made_recording

QUICK = {
    "cnn": LocalizerSettings(
        context_before=8, context_after=8, step=1, channels=(16,), kernel=3, epochs=6, batch_crops=8
    ),
    "boosting": BoostingSettings(windows_s=(0.5,), iterations=8, leaves=7, bins=31),
    "dilated": DilatedSettings(step=2, width=16, layers=2, crop=50, batch=4, epochs=12, dropout=0.0),
}


@pytest.fixture(scope="module")
def made():
    """Six recordings of three animals."""
    return [made_recording(f"mouse{k // 2:03}_{k}", 300, k) for k in range(6)]


@pytest.mark.parametrize("name", stage1.LOCALIZERS)
def test_each_localizer_learns_what_near_means_and_a_seed_is_a_result(name, made):
    model = stage1.fit(name, made[:4], QUICK[name], 0)
    scores = model.scores(made[5])
    assert scores.shape == (300, 4)
    np.testing.assert_allclose(scores.sum(1), 1, atol=1e-5)
    assert f1_score(made[5].labels == 1, scores.argmax(1) == 1) > 0.9
    np.testing.assert_array_equal(stage1.fit(name, made[:4], QUICK[name], 0).scores(made[5]), scores)


@pytest.mark.parametrize("name", stage1.LOCALIZERS)
def test_unlabelled_frames_teach_nothing(name, made):
    """Labels that lie where none are known would turn near into attack."""
    partly = [
        replace(r, partly_labelled=True, labels=np.where(np.arange(300) < 150, UNLABELLED, r.labels)) for r in made
    ]
    scores = stage1.fit(name, partly[:4], QUICK[name], 0).scores(made[5])
    assert f1_score(made[5].labels == 1, scores.argmax(1) == 1) > 0.85


def test_folds_are_whole_animals_and_each_is_held_out_once(made):
    parts = list(stage1.by_animal(made, 3))
    for train, held in parts:
        assert not {r.animal for r in train} & {r.animal for r in held} and len(train) + len(held) == 6
    assert sorted(r.name for _, held in parts for r in held) == sorted(r.name for r in made)
    with pytest.raises(InputError, match="4 folds by animal need as many animals, and there are 3"):
        list(stage1.by_animal(made, 4))


@dataclass
class Knows:
    """Tells which recordings it was shown."""

    shown: frozenset

    def scores(self, recording):
        return np.full((len(recording), 4), recording.animal in self.shown)


def test_out_of_fold_scores_are_of_models_that_never_saw_the_animal(made, tmp_path, monkeypatch):
    monkeypatch.setitem(
        stage1.LOCALIZERS, "knows", stage1.Kind(lambda rs, *_: Knows(frozenset(r.animal for r in rs)), "own")
    )
    monkeypatch.setattr(stage1, "side_by_side", lambda jobs, *_: [f(*a) for f, *a in jobs])  # others lack the entry
    jobs = stage1.fold_jobs("knows", made)
    for job in jobs:
        assert all((s == 1).all() for s in stage1.scored([replace(job, others=job.train)], tmp_path)[0])
    found = stage1.joined(jobs, stage1.scored(jobs, tmp_path), made)
    assert [s.shape for s in found] == [(300, 4)] * 6 and not np.any(found)


def test_scores_are_kept_under_what_made_them(made, tmp_path):
    job = stage1.Job("boosting", QUICK["boosting"], 0, tuple(made[:4]), tuple(made[4:]))
    (first,) = stage1.scored([job], tmp_path)
    (stored,) = (tmp_path / "stage1").iterdir()
    again = stored.stat().st_mtime_ns
    np.testing.assert_array_equal(stage1.scored([job], tmp_path)[0], first)
    assert stored.stat().st_mtime_ns == again
    turned = replace(made[0], labels=(made[0].labels + 1) % 4)
    stage1.scored([replace(job, train=(turned, *made[1:4]))], tmp_path)
    assert len(list((tmp_path / "stage1").iterdir())) == 2


def test_an_unknown_name_is_refused(made):
    with pytest.raises(InputError, match="no localizer 'lstm'; take cnn, boosting"):
        stage1.fit("lstm", made, None, 0)
