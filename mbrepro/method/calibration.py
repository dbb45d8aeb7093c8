"""Scores made probabilities, and labels taken from them: both fitted on scores out of fold, never on their own.

Calibration is multinomial logistic regression on the logarithms of a localizer's scores (Dirichlet calibration: Kull et
al. 2019, NeurIPS): temperature scaling is its case of one number for all classes, and a network trained with class
weights needs more than that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from sklearn.linear_model import LogisticRegression

from mbrepro.data.recordings import OTHER, UNLABELLED
from mbrepro.errors import InputError
from mbrepro.metrics.frames import confusion, count_metrics

EVERY = 5  # frames learned from are so many apart: neighbours have nearly the same scores
LEAST = 1e-6  # of a score whose logarithm is taken
FACTORS = 2.0 ** np.linspace(-2, 2, 17)  # tried for a class's score
SWEEPS = 2  # over the classes


@dataclass(frozen=True, eq=False)
class Calibration:
    """Fitted on the scores of C classes; those never seen get 0."""

    regression: LogisticRegression

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """(T, C) float32 of scores (T, C)."""
        found = np.zeros(scores.shape, np.float32)
        found[:, self.regression.classes_] = self.regression.predict_proba(_logarithms(scores))
        return found


def fit_calibration(scores: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> Calibration:
    """From scores (T, C) and labels (T,) of recordings that the scoring model never saw.

    Raises InputError unless frames of two classes are labelled.
    """
    kept, known = _labelled(scores, labels)
    if len(np.unique(known)) < 2:
        raise InputError("a calibration needs labelled frames of two classes at least")
    return Calibration(LogisticRegression(max_iter=1000).fit(_logarithms(kept), known))


def fit_factors(scores: Sequence[np.ndarray], labels: Sequence[np.ndarray], classes: Sequence[str]) -> np.ndarray:
    """(C,) factors of class scores with which the largest product gives the highest F1 of the behaviours.

    This sets their thresholds: the most probable class makes fewest errors, which says little of a rare one. One class
    at a time is tried at `FACTORS`, those nearest 1 first among equals, "other" being kept at 1.
    """
    kept, known = _labelled(scores, labels)
    factors, order = np.ones(len(classes)), FACTORS[np.argsort(abs(np.log(FACTORS)), kind="stable")]

    def f1(k: int, factor: float) -> float:
        tried = np.where(np.arange(len(classes)) == k, factor, factors)
        counts = confusion(known, (kept * tried).argmax(1), len(classes))
        return float(count_metrics(counts, classes)["f1"])

    for _ in range(SWEEPS):
        for k, name in enumerate(classes):
            if name != OTHER:
                factors[k] = max(order, key=partial(f1, k))
    return factors


def _labelled(scores: Sequence[np.ndarray], labels: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(N, C) and (N,) of every `EVERY`-th labelled frame of all recordings."""
    kept = [np.flatnonzero(part != UNLABELLED)[::EVERY] for part in labels]
    return tuple(np.concatenate([a[k] for a, k in zip(part, kept, strict=True)]) for part in (scores, labels))


def _logarithms(scores: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(scores.astype(np.float64), LEAST))
