"""The second layer: windows before, around and after counted by hand, folds that keep animals apart, any frame rate."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import f1_score

from mbrepro.data.alignment import resample
from mbrepro.data.recordings import UNLABELLED, Recording
from mbrepro.errors import InputError
from mbrepro.method import context
from mbrepro.method.context import context_features, fit_layered, folds_by_animal
from tests.fixtures.near_and_far import FIRST, SECOND, made_recording


@pytest.fixture(scope="module")
def made():
    return [made_recording(f"mouse{k:03}_x", 400, k) for k in range(5)]


def test_features_are_means_of_scores_around_before_and_after(monkeypatch):
    """One window of 2 s at 2 frames a second: two frames to either side, five in all."""
    monkeypatch.setattr(context, "WINDOWS_S", (2.0,))
    scores = np.array([[0.0], [0.2], [0.4], [0.6], [0.8], [1.0], [0.0], [0.5]], np.float32)
    found = context_features(scores, 2.0)
    assert found.shape == (8, 5) and found.dtype == np.float32
    assert found[:, 0] == pytest.approx(np.log(np.maximum(scores[:, 0], 1e-4)), abs=1e-6)
    for column, (before, after) in {1: (2, 2), 2: (4, 0), 3: (0, 4)}.items():  # around a frame, up to it, from it on
        expected = [scores[max(t - before, 0) : t + after + 1, 0].mean() for t in range(8)]
        assert found[:, column] == pytest.approx(expected, abs=1e-6), column
    assert found[:, 4] == pytest.approx(np.full(8, scores.mean()), abs=1e-6)


def test_folds_hold_out_every_animal_once_neighbours_together(made):
    recordings = [replace(r, animal=animal) for r, animal in zip(made, "aabcd", strict=True)]
    folds = list(folds_by_animal(recordings, 2))
    assert [[r.name for r in held] for _, held in folds] == [[r.name for r in made[:3]], [r.name for r in made[3:]]]
    for others, held in folds:
        assert not {r.animal for r in others} & {r.animal for r in held} and len(others) + len(held) == 5
    assert len(list(folds_by_animal(recordings, 9))) == 4
    with pytest.raises(InputError, match=r"holds animals out .* recordings of 1$"):
        list(folds_by_animal(recordings[:2], 2))


def test_layers_learn_and_read_any_frame_rate(made):
    model = fit_layered(made[:4], False, 0, FIRST, SECOND)
    scores = model.scores(made[4])
    assert scores.shape == (400, 4) and scores.dtype == np.float32
    assert scores.sum(1) == pytest.approx(np.ones(400), abs=1e-5)
    assert f1_score(made[4].labels == 1, scores.argmax(1) == 1) > 0.9
    fast = resample(made[4], 60.0)
    found = model.scores(fast)
    assert found.shape == (800, 4)
    assert np.mean(found.argmax(1) == np.repeat(scores.argmax(1), 2)) > 0.95
    np.testing.assert_array_equal(scores, fit_layered(made[:4], False, 0, FIRST, SECOND).scores(made[4]))


def stretched(seed, who):
    """Two animals that stay apart; while one of them is stretched, its frames are labelled."""
    rng = np.random.default_rng(seed)
    long = np.repeat(rng.random(16) < 0.5, 25)
    points = rng.normal(0, 5, (400, 2, 7, 2)) + np.arange(7)[:, None] * [30, 0] + np.array([[[0, 0]], [[0, 900]]])
    points[:, who, :, 0] *= np.where(long, 2, 1)[:, None]
    return Recording(f"m{seed}{who}_x", points, labels=np.where(long, 1, 3))


def test_alike_animals_are_learned_from_in_both_orders():
    """Only first animals ever did it in training, and here the second does."""
    train, other = [stretched(seed, 0) for seed in range(4)], stretched(9, 1)
    found = {}
    for alike in (True, False):
        scores = fit_layered(train, alike, 0, FIRST, SECOND).scores(other)
        found[alike] = f1_score(other.labels == 1, scores.argmax(1) == 1)
    assert found[True] > 0.9 and found[False] < 0.7


def test_second_layer_learns_from_scores_of_others_alone(made):
    """Where the first trees know their own recordings by heart and nothing else, the second must not trust them."""
    rng = np.random.default_rng(0)
    noise = [replace(r, labels=rng.integers(0, 2, 400) * 2 + 1) for r in made]  # 1 or 3, by lot
    model = fit_layered(noise, False, 0, replace(FIRST, every=1, iterations=60, leaves=31), SECOND)
    first = model.first.scores(noise[0])
    assert np.mean(first.argmax(1) == noise[0].labels) > 0.9
    scores = model.scores(noise[0])
    assert np.mean(scores.argmax(1) == noise[0].labels) < 0.75
    unlabelled = [replace(r, labels=np.full(400, UNLABELLED), partly_labelled=True) for r in made]
    with pytest.raises(InputError, match="no labelled frame"):
        fit_layered(unlabelled, False, 0, FIRST, SECOND)
