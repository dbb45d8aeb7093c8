"""Calibration undoes what was done to probabilities; factors are those that a search of all of them finds."""

from itertools import product

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import f1_score, log_loss

from mbrepro.errors import InputError
from mbrepro.method.calibration import EVERY, FACTORS, fit_calibration, fit_factors

CLASSES = ("attack", "mount", "other")


def drawn(seed: int, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (T, 3), the first class a rare one, and labels drawn from them."""
    rng = np.random.default_rng(seed)
    true = softmax(rng.normal(size=(frames, 3)) * 1.5 + [-2, 0, 1], axis=1)
    return true, (rng.random((frames, 1)) > true.cumsum(1)).sum(1)


def test_calibration_finds_the_probabilities_behind_sharpened_and_weighted_scores():
    true, labels = drawn(0, 60_000)
    wrong = true**3 * [20, 1, 0.5]
    wrong /= wrong.sum(1, keepdims=True)
    model = fit_calibration([wrong[:30_000], wrong[30_000:]], [labels[:30_000], labels[30_000:]])
    fresh, drawn_labels = drawn(1, 20_000)
    sharpened = fresh**3 * [20, 1, 0.5]
    found = model.probabilities(sharpened / sharpened.sum(1, keepdims=True))
    assert np.abs(found - fresh).mean() < 0.01 and found.dtype == np.float32
    assert log_loss(drawn_labels, found) < log_loss(drawn_labels, fresh) + 0.003


def test_a_class_never_seen_keeps_0_and_unlabelled_frames_teach_nothing():
    true, labels = drawn(0, 20_000)
    labels = np.where(labels == 0, -1, labels)
    found = fit_calibration([true], [labels]).probabilities(true)
    assert (found[:, 0] == 0).all()
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)
    with pytest.raises(InputError, match="two classes"):
        fit_calibration([true], [np.where(labels == 1, 1, -1)])


def test_factors_give_the_highest_f1_of_the_behaviours():
    true, labels = drawn(2, 5_000)
    found = fit_factors([true], [labels], CLASSES)

    def f1(factors):
        return f1_score(labels[::EVERY], (true * factors)[::EVERY].argmax(1), labels=[0, 1], average="macro")

    assert found[2] == 1
    assert f1(found) > f1([1, 1, 1]) + 0.01
    assert f1(found) >= max(f1([a, b, 1]) for a, b in product(FACTORS, FACTORS)) - 0.01


def test_without_an_error_factors_stay_1():
    labels = np.arange(90) % 3
    np.testing.assert_array_equal(fit_factors([np.eye(3)[labels]], [labels], CLASSES), [1, 1, 1])
