"""Frame metrics: CalMS21's, and the poster's readings of them.

CalMS21's metric (Sun et al. 2021, arXiv:2104.02710, and the official baseline's code): F1 and average precision (AP) of
each behaviour, over the frames of all videos pooled, then their mean over the behaviours, "other" left out. The poster
(Douglas 2025) averages over all classes, "other" included, and calls precision "MAP".

Zero divisions follow scikit-learn's zero_division=0: a class that is never predicted has precision 0, one that never
occurs recall 0, and F1 is 0 where both are. AP of a class that never occurs is not defined: it is NaN, and so is MAP.
"""

from collections.abc import Sequence

import numpy as np

from mbrepro.errors import InputError

Arrays = Sequence[np.ndarray]  # one of each video
OTHER = "other"  # the class that is none of the behaviours; CalMS21 leaves it out of its means
_CHUNK_VALUES = 2_000_000  # bounds the memory of resampled average precision


def evaluate(true: Arrays, predicted: Arrays | None, scores: Arrays | None, classes: Sequence[str]) -> dict[str, float]:
    """Every metric of one set of predictions, by name.

    true, predicted: a (T,) integer array for each video; scores: a (T, classes) array for each video, larger is more
    likely. Without predicted the class with the largest score is taken; without scores the AP metrics are left out.

    Names: accuracy; f1, precision, recall, map: CalMS21's means over the behaviours; macro_f1, macro_precision,
    macro_recall: means over all classes (for Task 1 the poster's F1 and, in the place of MAP, precision); f1_present:
    mean F1 over the classes that occur in true or predicted; f1_<class>, precision_<class>, recall_<class>, ap_<class>.
    With classes ("action", "other") the behaviour is action, so f1, precision, recall and map are the binary ones.

    Raises InputError if the arrays do not fit each other or the classes, or hold a value that is not finite.
    """
    predicted = check_arrays(true, predicted, scores, classes)
    return {name: float(values[0]) for name, values in weighted_metrics(true, predicted, scores, classes, None).items()}


def confusion(true: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Frame counts (classes, classes) int64: row true, column predicted."""
    index = np.asarray(true, np.int64) * classes + np.asarray(predicted, np.int64)
    return np.bincount(index, minlength=classes**2).reshape(classes, classes)


def row_normalised(counts: np.ndarray) -> np.ndarray:
    """Counts as shares of their row; a row without frames stays 0."""
    return _divide(counts, counts.sum(-1, keepdims=True))


def count_metrics(
    counts: np.ndarray, classes: Sequence[str], occurring: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """The metrics of `evaluate` that need no scores, from counts (..., classes, classes) as of `confusion`.

    occurring: (..., classes) frames of each class where they are known better than as the sum of a row, as for a
    published matrix of rounded shares.
    """
    counts = np.asarray(counts, np.float64)
    hits, claimed = np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(-2)
    occurring = counts.sum(-1) if occurring is None else np.asarray(occurring, np.float64)
    by_class = {
        "f1": _divide(2 * hits, occurring + claimed),
        "precision": _divide(hits, claimed),
        "recall": _divide(hits, occurring),
    }
    kept = [classes.index(name) for name in behaviours(classes)]
    metrics = {"accuracy": _divide(hits.sum(-1), occurring.sum(-1))}
    for name, values in by_class.items():
        metrics[name] = values[..., kept].mean(-1)
        metrics[f"macro_{name}"] = values.mean(-1)
        metrics |= {f"{name}_{label}": values[..., k] for k, label in enumerate(classes)}
    present = (occurring + claimed > 0).sum(-1)
    metrics["f1_present"] = _divide(by_class["f1"].sum(-1), present)
    return metrics


def average_precision(positive: Arrays, score: Arrays, weights: np.ndarray | None = None) -> np.ndarray:
    """Average precision (R,) over the frames of all videos pooled, for each row of video weights (R, videos).

    positive, score: a (T,) array for each video. Without weights each video counts once (R = 1). AP is
    sum over thresholds of (recall gained) x precision, equal scores being one threshold, as in scikit-learn; rows
    without a positive frame are NaN.
    """
    videos = len(score)
    weights = np.ones((1, videos)) if weights is None else np.asarray(weights, np.float64)
    thresholds, place = np.unique(-np.concatenate(score), return_inverse=True)  # the highest score first
    video = np.repeat(np.arange(videos), [len(s) for s in score])
    cell, size = video * len(thresholds) + place, videos * len(thresholds)
    above = np.bincount(cell, minlength=size).reshape(videos, -1).cumsum(1)
    right = np.bincount(cell, np.concatenate(positive), size).reshape(videos, -1)
    gaining = right.any(0)  # recall, and so the area, grows only at thresholds with a positive frame
    right, above = right.cumsum(1)[:, gaining], above[:, gaining]
    rows = max(1, _CHUNK_VALUES // max(1, right.shape[1]))
    parts = [_weighted_ap(weights[k : k + rows], right, above) for k in range(0, len(weights), rows)]
    return np.concatenate(parts)


def _weighted_ap(weights: np.ndarray, right: np.ndarray, above: np.ndarray) -> np.ndarray:
    """AP for weights (R, V) from frames at or above each threshold (V, U): positive ones and all."""
    right, above = weights @ right, weights @ above  # (R, U)
    positives = right[:, -1] if right.shape[1] else np.zeros(len(weights))
    area = (np.diff(right, axis=1, prepend=0.0) * _divide(right, above)).sum(1)
    return np.where(positives > 0, _divide(area, positives), np.nan)


def weighted_metrics(
    true: Arrays, predicted: Arrays, scores: Arrays | None, classes: Sequence[str], weights: np.ndarray | None
) -> dict[str, np.ndarray]:
    """Every metric (R,) for each row of video weights (R, V); None is one row of ones."""
    counts = np.stack([confusion(t, p, len(classes)) for t, p in zip(true, predicted, strict=True)])
    pooled = counts.sum(0)[None] if weights is None else np.tensordot(weights, counts, 1)
    metrics = count_metrics(pooled, classes)
    if scores is not None:
        for k, name in enumerate(classes):
            metrics[f"ap_{name}"] = average_precision([t == k for t in true], [s[:, k] for s in scores], weights)
        metrics["map"] = np.mean([metrics[f"ap_{name}"] for name in behaviours(classes)], axis=0)
    return metrics


def behaviours(classes: Sequence[str]) -> list[str]:
    """The classes but "other"."""
    return [name for name in classes if name != OTHER]


def _divide(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    above, below = np.broadcast_arrays(np.asarray(above, np.float64), np.asarray(below, np.float64))
    return np.divide(above, below, out=np.zeros(above.shape), where=below > 0)


def check_arrays(true: Arrays, predicted: Arrays | None, scores: Arrays | None, classes: Sequence[str]) -> Arrays:
    """The predictions, once all arrays have been found to fit."""
    if predicted is None and scores is None:
        raise InputError("metrics need predictions or scores")
    if not len(true) or not all(len(part) == len(true) for part in (predicted, scores) if part is not None):
        raise InputError("metrics need the same videos, at least one, for labels, predictions and scores")
    for video, frames in enumerate(map(len, true)):
        if scores is not None and np.shape(scores[video]) != (frames, len(classes)):
            raise InputError(f"video {video}: scores have shape {np.shape(scores[video])}, not {frames, len(classes)}")
        if scores is not None and not np.isfinite(scores[video]).all():
            raise InputError(f"video {video}: scores hold a value that is not finite")
    if predicted is None:
        predicted = [np.argmax(s, axis=1) for s in scores]
    for kind, arrays in (("labels", true), ("predictions", predicted)):
        for video, values in enumerate(map(np.asarray, arrays)):
            if values.shape != (len(true[video]),):
                raise InputError(f"video {video}: {kind} have shape {values.shape}, not ({len(true[video])},)")
            if values.size and (values.min() < 0 or values.max() >= len(classes)):
                raise InputError(f"video {video}: {kind} must be from 0 to {len(classes) - 1}")
    return predicted
