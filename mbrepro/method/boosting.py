"""Stage 1 by boosted trees on pose features: the plain method that a network on poses has to beat."""

from collections.abc import Sequence
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
    leaves, bins: of HistGradientBoostingClassifier, which grows one tree a class in each iteration. Nothing is held out
    to stop early, as frames drawn from the recordings learned from would say nothing about others.
    Raises InputError if a number is out of range.
    """

    windows_s: tuple[float, ...] = WINDOWS_S
    every: int = 4
    iterations: int = 100
    learning_rate: float = 0.1
    leaves: int = 31
    bins: int = 255

    def __post_init__(self):
        for name, least in (("every", 1), ("iterations", 1), ("leaves", 2), ("bins", 2)):
            if getattr(self, name) < least:
                raise InputError(f"boosting setting {name} must be at least {least}, not {getattr(self, name)}")
        if self.bins > 255:
            raise InputError(f"boosting setting bins must be at most 255, not {self.bins}")
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
        found = self.trees.predict_proba(dyad_features(recording, self.settings.windows_s))
        scores = np.zeros((len(recording), self.classes), np.float32)
        scores[:, self.trees.classes_] = found if len(self.trees.classes_) > 1 else 1  # of one class it tells two
        return scores


def fit_boosting(
    recordings: Sequence[Recording], targets: Sequence[np.ndarray], classes: int, settings: BoostingSettings, seed: int
) -> Boosted:
    """Boosted trees of the features of every `every`-th labelled frame of recordings of one skeleton.

    targets: (T,) int64 class index or `UNLABELLED` for each recording. The trees do not depend on the number of cores.
    Raises InputError if no frame is labelled, or the recordings' parts differ.
    """
    if len({recording.skeleton for recording in recordings}) > 1:
        raise InputError("recordings learned from together must have the same parts, front and rear")
    features, labels = [], []
    for recording, target in zip(recordings, targets, strict=True):
        chosen = np.flatnonzero(target != UNLABELLED)[:: settings.every]
        features.append(dyad_features(recording, settings.windows_s)[chosen])
        labels.append(target[chosen])
    if not sum(map(len, labels)):
        raise InputError("there is no labelled frame to learn from")
    trees = HistGradientBoostingClassifier(
        max_iter=settings.iterations, learning_rate=settings.learning_rate, max_leaf_nodes=settings.leaves,
        max_bins=settings.bins, early_stopping=False, random_state=seed,
    )  # fmt: skip
    return Boosted(trees.fit(np.concatenate(features), np.concatenate(labels)), classes, settings)
