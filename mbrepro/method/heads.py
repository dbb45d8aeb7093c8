"""Heads: clip embeddings → class scores. What classifies is scikit-learn's."""

import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, RidgeClassifierCV
from sklearn.model_selection import GroupKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler, normalize

from mbrepro.errors import InputError

PENALTIES = np.logspace(-1, 5, 13)  # of ridge, the one of least leave-one-out error is taken
SHARPNESS = 10.0  # of prototypes: where Gidaris and Komodakis (2018, CVPR) begin to learn it
METRICS, FUSIONS = ("euclidean", "cosine"), ("none", "early", "late")
FOLDS = 3  # by animal, out of which late fusion calibrates


@dataclass(frozen=True)
class HeadSettings:
    """Which head, and its size, checked when it is made.

    kind: one of `HEADS`: "linear" (logistic regression), "mlp" (one hidden layer), "knn" (share of the nearest
    neighbours' votes), "ridge" (least squares of each class's indicator, its penalty of least leave-one-out error),
    "lda" (Gaussian classes of one covariance, shrunk by Ledoit and Wolf's formula) or "prototypes" (the class's mean
    direction that is nearest).
    neighbours: of knn; 1 is the poster's few-shot head (Douglas 2025, github.com/audreyadouglas/mouse_action_rec).
    metric: of knn, one of `METRICS`.
    hidden: width of the mlp. regularisation: L2 penalty of linear (1 / C in scikit-learn) and mlp (alpha).
    standardise: give each embedding dimension mean 0 and variance 1 over the training clips first.
    fusion: what it has of a clip's poses (`embedding.pose`) besides the embedding: "none"; "early", both side by side;
    or "late", a head of each, calibrated and averaged.

    Raises InputError naming the setting that is wrong.
    """

    kind: str = "linear"
    neighbours: int = 1
    metric: str = "euclidean"
    hidden: int = 128
    regularisation: float = 1.0
    standardise: bool = True
    fusion: str = "none"

    def __post_init__(self) -> None:
        if self.kind not in HEADS:
            raise InputError(f"there is no head {self.kind!r}; take {', '.join(HEADS)}")
        for name, known in {"metric": METRICS, "fusion": FUSIONS}.items():
            if getattr(self, name) not in known:
                raise InputError(f"head setting {name} must be {' or '.join(known)}, not {getattr(self, name)!r}")
        for name in ("neighbours", "hidden"):
            if getattr(self, name) < 1:
                raise InputError(f"head setting {name} must be at least 1, not {getattr(self, name)}")
        if not 0 < self.regularisation < math.inf:
            raise InputError(f"head setting regularisation must be a positive number, not {self.regularisation}")


def head_settings(name: str) -> HeadSettings:
    """The head of a name: a kind of `HEADS`, behind knn a number of neighbours and _cosine, behind all _early or _late.

    "knn5_cosine_late" is one. Raises InputError for any other name.
    """
    kind, _, fusion = name.rpartition("_") if name.endswith(("_early", "_late")) else (name, "", "none")
    if found := re.fullmatch(r"knn([1-9]\d*)?(_cosine)?", kind):
        return HeadSettings("knn", int(found[1] or 1), METRICS[bool(found[2])], fusion=fusion)
    return HeadSettings(kind, fusion=fusion)


class _Ridge(RidgeClassifierCV):
    """Least squares of indicators of -1 and 1 estimates a class's probability as half of 1 + its answer (Hastie,
    Tibshirani and Friedman 2009, 4.2), which may lie outside 0 to 1."""

    def predict_proba(self, embeddings: np.ndarray) -> np.ndarray:
        answers = self.decision_function(embeddings)
        answers = np.stack([-answers, answers], 1) if answers.ndim == 1 else answers
        shares = np.clip((1 + answers) / 2, 1e-6, 1)
        return shares / shares.sum(1, keepdims=True)


class _ShrunkLDA(LinearDiscriminantAnalysis):
    """As scikit-learn has it; of a class of one clip, which adds no spread, it says nothing more."""

    def fit(self, embeddings: np.ndarray, labels: np.ndarray) -> "_ShrunkLDA":
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Only one sample")
            return super().fit(embeddings, labels)


class _Prototypes(ClassifierMixin, BaseEstimator):
    """Softmax of `SHARPNESS` times the cosine between an embedding and each class's mean direction."""

    def fit(self, embeddings: np.ndarray, labels: np.ndarray) -> "_Prototypes":
        self.classes_ = np.unique(labels)
        directions = normalize(embeddings)
        self.prototypes_ = normalize([directions[labels == label].mean(0) for label in self.classes_])
        return self

    def predict_proba(self, embeddings: np.ndarray) -> np.ndarray:
        return softmax(SHARPNESS * normalize(embeddings) @ self.prototypes_.T, axis=1)

    def predict(self, embeddings: np.ndarray) -> np.ndarray:
        return self.classes_[self.predict_proba(embeddings).argmax(1)]


# What makes a head's estimator, by its kind, from its settings and a seed.
HEADS: dict[str, Callable[[HeadSettings, int], ClassifierMixin]] = {
    "linear": lambda chosen, _: LogisticRegression(C=1 / chosen.regularisation, max_iter=5000),
    "mlp": lambda chosen, seed: MLPClassifier(
        (chosen.hidden,), alpha=chosen.regularisation, max_iter=2000, random_state=seed
    ),
    "knn": lambda chosen, _: KNeighborsClassifier(chosen.neighbours, metric=chosen.metric),
    "ridge": lambda *_: _Ridge(PENALTIES),
    "lda": lambda *_: _ShrunkLDA(solver="lsqr", shrinkage="auto"),
    "prototypes": lambda *_: _Prototypes(),
}


@dataclass(frozen=True, eq=False)
class Head:
    """A fitted head. `known` are the classes seen in training; the others score 0."""

    classes: int
    width: int
    known: np.ndarray
    model: "Pipeline | _Average | None"  # None where training held one class only

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


def fit_head(
    embeddings: np.ndarray, labels: np.ndarray, classes: int, settings: HeadSettings, seed: int,
    split: int | None = None, animals: Sequence[str] = (),
) -> Head:  # fmt: skip
    """Fit a head on embeddings (N, D) with labels (N,) from 0 to classes - 1.

    Only the mlp uses the seed. Training clips of one class make a head that always gives that class. split: late fusion
    of the first `split` values and the others, a head for each whose scores are made probabilities (one temperature)
    out of folds by animal, and averaged; animals: (N,) whose clip each is, for those folds.
    Raises InputError for no clips, values that are not finite, labels that do not fit, more neighbours than clips, or
    fewer animals than folds.
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
    if len(known) == 1:
        return Head(classes, embeddings.shape[1], known, None)
    if settings.kind == "lda" and len(labels) <= len(known):
        raise InputError(f"head lda needs more training clips than classes, not {len(labels)} of {len(known)}")
    if split is not None:
        return Head(
            classes, embeddings.shape[1], known, _late(embeddings, labels, classes, settings, seed, split, animals)
        )
    scaler = [StandardScaler()] if settings.standardise else []
    model = make_pipeline(*scaler, HEADS[settings.kind](settings, seed))
    return Head(classes, embeddings.shape[1], known, model.fit(embeddings, labels))


def head_arrays(head: Head) -> dict[str, np.ndarray]:
    """What a fitted linear head is, for a file; raises InputError for one whose training held one class only."""
    if head.model is None:
        raise InputError("the clips to learn from show one class only, so there is nothing to tell apart")
    if isinstance(head.model, _Average):
        raise InputError("a head with fusion late is of two models, and no linear one; choose another fusion")
    scaler, linear = (step for _, step in head.model.steps)
    told = {"mean": scaler.mean_, "scale": scaler.scale_, "coef": linear.coef_, "intercept": linear.intercept_}
    told |= {"known": head.known}
    return {name: np.ascontiguousarray(values) for name, values in told.items()}  # safetensors takes bytes as they lie


def head_of(arrays: Mapping[str, np.ndarray], classes: int) -> Head:
    """The head of `head_arrays`, whose scores are the same."""
    scaler, linear = StandardScaler(), LogisticRegression()
    scaler.mean_, scaler.scale_, width = arrays["mean"], arrays["scale"], len(arrays["mean"])
    linear.coef_, linear.intercept_, linear.classes_ = arrays["coef"], arrays["intercept"], arrays["known"]
    scaler.n_features_in_ = linear.n_features_in_ = width
    return Head(classes, width, arrays["known"], make_pipeline(scaler, linear))


@dataclass(frozen=True, eq=False)
class _Average:
    """Two heads of the same known classes, each with its temperature, of the values before and from `split` on."""

    heads: tuple[Head, Head]
    temperatures: tuple[float, float]
    split: int

    def predict_proba(self, embeddings: np.ndarray) -> np.ndarray:
        parts = np.split(embeddings, [self.split], axis=1)
        tempered = [
            _tempered(head.scores(part)[:, head.known], temperature)
            for head, part, temperature in zip(self.heads, parts, self.temperatures, strict=True)
        ]
        return np.mean(tempered, axis=0)


def _late(
    embeddings: np.ndarray, labels: np.ndarray, classes: int, settings: HeadSettings, seed: int, split: int,
    animals: Sequence[str],
) -> _Average:  # fmt: skip
    if (count := len(set(animals))) < FOLDS:
        raise InputError(f"late fusion calibrates in {FOLDS} folds by animal, and there are {count} animals")
    heads, temperatures = [], []
    for part in np.split(embeddings, [split], axis=1):
        scores = np.zeros((len(labels), classes))
        for fit, held in GroupKFold(FOLDS).split(part, groups=animals):
            scores[held] = fit_head(part[fit], labels[fit], classes, settings, seed).scores(part[held])
        heads.append(fit_head(part, labels, classes, settings, seed))
        temperatures.append(_temperature(scores, labels))
    return _Average(tuple(heads), tuple(temperatures), split)


def _temperature(scores: np.ndarray, labels: np.ndarray) -> float:
    """What scores (N, C) are tempered by for the least log loss (Guo et al. 2017, ICML)."""

    def loss(log: float) -> float:
        return -np.log(_tempered(scores, math.exp(log))[np.arange(len(labels)), labels]).mean()

    return math.exp(minimize_scalar(loss, bounds=(-4, 4), method="bounded").x)


def _tempered(scores: np.ndarray, temperature: float) -> np.ndarray:
    return softmax(np.log(np.maximum(scores, 1e-6)) / temperature, axis=1)


def _checked(embeddings: np.ndarray) -> np.ndarray:
    embeddings = np.asarray(embeddings, np.float64)
    if embeddings.ndim != 2:
        raise InputError(f"embeddings must have shape (clips, values), not {embeddings.shape}")
    if not np.isfinite(embeddings).all():
        clip = int(np.argwhere(~np.isfinite(embeddings))[0][0])
        raise InputError(f"the embedding of clip {clip} holds a value that is not finite; embed it again")
    return embeddings
