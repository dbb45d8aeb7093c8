"""Heads: clip embeddings → class scores. All three are scikit-learn's."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from mbrepro.errors import InputError


@dataclass(frozen=True)
class HeadSettings:
    """Which head, and its size, checked when it is made.

    kind: one of `HEADS`: "linear" (logistic regression), "mlp" (one hidden layer) or "knn" (share of the nearest
    neighbours' votes).
    neighbours: of knn; 1 is the poster's few-shot head (Douglas 2025, github.com/audreyadouglas/mouse_action_rec).
    hidden: width of the mlp. regularisation: L2 penalty of linear (1 / C in scikit-learn) and mlp (alpha).
    standardise: give each embedding dimension mean 0 and variance 1 over the training clips first.

    Raises InputError naming the setting that is wrong.
    """

    kind: str = "linear"
    neighbours: int = 1
    hidden: int = 128
    regularisation: float = 1.0
    standardise: bool = True

    def __post_init__(self):
        if self.kind not in HEADS:
            raise InputError(f"there is no head {self.kind!r}; take {', '.join(HEADS)}")
        for name in ("neighbours", "hidden"):
            if getattr(self, name) < 1:
                raise InputError(f"head setting {name} must be at least 1, not {getattr(self, name)}")
        if not 0 < self.regularisation < math.inf:
            raise InputError(f"head setting regularisation must be a positive number, not {self.regularisation}")


# What makes a head's estimator, by its kind, from its settings and a seed.
HEADS: dict[str, Callable[[HeadSettings, int], ClassifierMixin]] = {
    "linear": lambda chosen, _: LogisticRegression(C=1 / chosen.regularisation, max_iter=5000),
    "mlp": lambda chosen, seed: MLPClassifier(
        (chosen.hidden,), alpha=chosen.regularisation, max_iter=2000, random_state=seed
    ),
    "knn": lambda chosen, _: KNeighborsClassifier(chosen.neighbours),
}


@dataclass(frozen=True, eq=False)
class Head:
    """A fitted head. `known` are the classes seen in training; the others score 0."""

    classes: int
    width: int
    known: np.ndarray
    model: Pipeline | None  # None where training held one class only

    def scores(self, embeddings: np.ndarray) -> np.ndarray:
        """Scores (N, classes) of embeddings (N, D), rows sum to 1; InputError for another D or values not finite."""
        embeddings = _checked(embeddings)
        if embeddings.shape[1] != self.width:
            raise InputError(f"embeddings have {embeddings.shape[1]} values; this head was fitted on {self.width}")
        scores = np.zeros((len(embeddings), self.classes))
        if self.model is None:
            scores[:, self.known] = 1.0
        elif len(embeddings):
            scores[:, self.known] = self.model.predict_proba(embeddings)
        return scores


def fit_head(embeddings: np.ndarray, labels: np.ndarray, classes: int, settings: HeadSettings, seed: int) -> Head:
    """Fit a head on embeddings (N, D) with labels (N,) from 0 to classes - 1.

    Only the mlp uses the seed. Training clips of one class make a head that always gives that class.
    Raises InputError for no clips, values that are not finite, labels that do not fit, or more neighbours than clips.
    """
    embeddings, labels = _checked(embeddings), np.asarray(labels)
    if len(embeddings) == 0:
        raise InputError("a head needs at least one training clip")
    if labels.shape != (len(embeddings),):
        raise InputError(f"head labels have shape {labels.shape}, but there are {len(embeddings)} embeddings")
    if not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0 or labels.max() >= classes:
        raise InputError(f"head labels must be whole numbers from 0 to {classes - 1}")
    if settings.kind == "knn" and settings.neighbours > len(labels):
        raise InputError(f"neighbours must be from 1 to the {len(labels)} training clips, not {settings.neighbours}")
    known = np.unique(labels)
    scaler = [StandardScaler()] if settings.standardise else []
    model = make_pipeline(*scaler, HEADS[settings.kind](settings, seed))
    return Head(classes, embeddings.shape[1], known, model.fit(embeddings, labels) if len(known) > 1 else None)


def _checked(embeddings: np.ndarray) -> np.ndarray:
    embeddings = np.asarray(embeddings, np.float64)
    if embeddings.ndim != 2:
        raise InputError(f"embeddings must have shape (clips, values), not {embeddings.shape}")
    if not np.isfinite(embeddings).all():
        clip = int(np.argwhere(~np.isfinite(embeddings))[0][0])
        raise InputError(f"the embedding of clip {clip} holds a value that is not finite; embed it again")
    return embeddings
