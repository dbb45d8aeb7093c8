"""Stage 1 by boosted trees on pose features: the plain method that a network on poses has to beat."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from mbrepro.data.recordings import UNLABELLED, Recording
from mbrepro.errors import InputError
from mbrepro.method.features import WINDOWS_S, dyad_features

VERSION = 2  # raise it when the same recordings give other scores


@dataclass(frozen=True)
class BoostingSettings:
    """Features and trees, scikit-learn's but for `every`: neighbouring frames teach little more than one.

    windows_s: of the features. every: each so-manieth labelled frame is learned from. iterations, learning_rate,
    leaves, bins, smallest, penalty, share: of HistGradientBoostingClassifier, which grows one tree a class in each
    iteration; frames of the smallest leaf, L2 penalty of a leaf's value, share of the features tried at a split.
    Nothing is held out to stop early, as frames drawn from the recordings learned from would say nothing about others.
    Raises InputError if a number is out of range.
    """

    windows_s: tuple[float, ...] = WINDOWS_S
    every: int = 4
    iterations: int = 100
    learning_rate: float = 0.1
    leaves: int = 31
    bins: int = 255
    smallest: int = 20
    penalty: float = 0.0
    share: float = 1.0

    def __post_init__(self) -> None:
        for name, least in (("every", 1), ("iterations", 1), ("leaves", 2), ("bins", 2), ("smallest", 1)):
            if getattr(self, name) < least:
                raise InputError(f"boosting setting {name} must be at least {least}, not {getattr(self, name)}")
        if self.bins > 255 or not 0 < self.share <= 1 or not self.penalty >= 0:
            raise InputError(
                "boosting settings: bins are at most 255, share is above 0 and at most 1, penalty at least 0"
            )
        if not self.learning_rate > 0 or not all(seconds > 0 for seconds in self.windows_s):
            raise InputError("boosting settings learning_rate and windows_s must be above 0")


@dataclass(frozen=True, eq=False)
class Boosted:
    """Trained trees, the classes (C) they tell apart and the settings that they were trained with."""

    trees: HistGradientBoostingClassifier
    classes: int
    settings: BoostingSettings

    def scores(self, recording: Recording) -> np.ndarray:
        """(T, C) float32 probabilities of every frame; 0 for a class that was never seen in training."""
        return class_scores(self.trees, dyad_features(recording, self.settings.windows_s), self.classes)


def fit_boosting(
    recordings: Sequence[Recording], targets: Sequence[np.ndarray], classes: int, settings: BoostingSettings, seed: int
) -> Boosted:
    """Boosted trees of the features of every `every`-th labelled frame of recordings of one skeleton.

    targets: (T,) int64 class index or `UNLABELLED` for each recording. The trees do not depend on the number of cores.
    Raises InputError if no frame is labelled, or the recordings' parts differ.
    """
    if len({recording.skeleton for recording in recordings}) > 1:
        raise InputError("recordings learned from together must have the same parts, front and rear")
    learned = (examples(*of, settings) for of in zip(recordings, targets, strict=True))
    return Boosted(grow(learned, settings, seed), classes, settings)


def examples(
    recording: Recording, target: np.ndarray, settings: BoostingSettings
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Features (N, F) and classes (N,) of every `every`-th labelled frame of a recording."""
    chosen = np.flatnonzero(target != UNLABELLED)[:: settings.every]
    return dyad_features(recording, settings.windows_s, chosen), target[chosen]


def grow(
    learned: Iterable[tuple[np.ndarray, np.ndarray]], settings: BoostingSettings, seed: int
) -> HistGradientBoostingClassifier:
    """Trees of recordings' (N, F) features and (N,) class indices; raises InputError if these are none."""
    features, labels = map(np.concatenate, zip(*learned, strict=True))
    if not len(labels):
        raise InputError("there is no labelled frame to learn from")
    trees = HistGradientBoostingClassifier(
        max_iter=settings.iterations, learning_rate=settings.learning_rate, max_leaf_nodes=settings.leaves,
        max_bins=settings.bins, min_samples_leaf=settings.smallest, l2_regularization=settings.penalty,
        max_features=settings.share, early_stopping=False, random_state=seed,
    )  # fmt: skip
    return trees.fit(features, labels)


def class_scores(trees: HistGradientBoostingClassifier, features: np.ndarray, classes: int) -> np.ndarray:
    """(N, C) float32 probabilities of (N, F) features; 0 for a class that was never seen in training."""
    scores = np.zeros((len(features), classes), np.float32)
    found = trees.predict_proba(features)
    scores[:, trees.classes_] = found if len(trees.classes_) > 1 else 1  # of one class it tells two
    return scores
