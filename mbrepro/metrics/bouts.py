"""Bout metrics: a bout is an unbroken run of one behaviour, and is found where a predicted one overlaps it enough.

tIoU is the frames two bouts share over the frames of either. Bout F1 counts a maximum matching of bouts whose tIoU
reaches a threshold, of each video and behaviour by itself; counts are pooled over videos, and the mean is over
behaviours, "other" left out. Boundary errors are of the one-to-one matching of greatest total tIoU among all bouts that
overlap, predicted minus true: an onset error of +.2 s starts late.

A behaviour that is in neither has no bout F1 (NaN) and is left out of the mean; in resampled videos it is the same
behaviours that are averaged, and a resample that lacks one of them has no value.

Names, all but edit also with _<behaviour>:

bout_f1_T, bout_precision_T, bout_recall_T
    T is 10, 25, 50, the threshold in hundredths of tIoU.
onset, offset, onset_abs, offset_abs, onset_abs_90, offset_abs_90
    Median error (s) of matched bouts, signed; median and 90th percentile of its absolute value. Without a behaviour's
    name: of all behaviours' bouts together.
true_bouts, predicted_bouts, fragmented, merged
    Counts. A true bout is fragmented where two or more predicted ones of its behaviour overlap it, a predicted one is
    merged where it overlaps two or more true ones.
edit
    Mean of the videos' `edit_score`, 0 to 100.
"""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from mbrepro.metrics.frames import Arrays, behaviours, check_arrays
from mbrepro.metrics.weighting import (
    by_behaviour,
    frame_rates,
    ratio,
    weight_rows,
    weighted_mean,
    weighted_quantiles,
    weighted_sum,
)

THRESHOLDS = (0.1, 0.25, 0.5)
LATE = 0.9  # the quantile of absolute boundary errors that stands beside their median
COUNTS = ("true_bouts", "predicted_bouts", "fragmented", "merged")


def bout_metrics(
    true: Arrays, predicted: Arrays, classes: Sequence[str], fps: float | Sequence[float],
    weights: np.ndarray | None = None,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Every bout metric (R,) of two labellings, by the names above, for each row of video weights (R, V).

    true, predicted: a (T,) integer array for each video. fps: frames per second, of all videos or of each. weights: how
    often each video counts, whole numbers; None is one row of ones. Raises InputError if the arrays do not fit each
    other or the classes.
    """
    check_arrays(true, predicted, None, classes)
    names = behaviours(classes)
    weights, rates = weight_rows(weights, len(true)), frame_rates(fps, len(true))
    compared = _compared(true, predicted, [classes.index(name) for name in names])
    counts = np.array([[_counts(overlap) for *_, overlap in video] for video in compared])  # (V, behaviours, 4)
    hits = np.array([[_hits(overlap) for *_, overlap in video] for video in compared])  # (V, behaviours, thresholds)
    errors = _late(compared, rates)
    edit = np.array([edit_score(t, p) for t, p in zip(true, predicted, strict=True)])
    return {
        **_found(weights, hits, counts, names),
        **_boundaries(weights, errors, names),
        **_counted(weights, counts, names),
        "edit": weighted_mean(weights, edit),
    }


def boundary_errors(true: Arrays, predicted: Arrays, classes: Sequence[str], fps: Sequence[float]) -> np.ndarray:
    """(N, 2) s by which the matched bouts of all videos and behaviours start and stop late; `bout_metrics` has them.

    Raises InputError as `bout_metrics` does.
    """
    check_arrays(true, predicted, None, classes)
    compared = _compared(true, predicted, [classes.index(name) for name in behaviours(classes)])
    return np.concatenate([each for video in _late(compared, frame_rates(fps, len(true))) for each in video])


def _late(compared: Sequence[Sequence[tuple]], rates: np.ndarray) -> list[list[np.ndarray]]:
    return [[_errors(*each) / rate for each in video] for video, rate in zip(compared, rates, strict=True)]


def found_bouts(
    true: Arrays, predicted: Arrays, classes: Sequence[str], fps: float = 1.0, weights: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Of `bout_metrics` those of F1, precision and recall alone, which is quicker; fps is not needed."""
    check_arrays(true, predicted, None, classes)
    names = behaviours(classes)
    compared = _compared(true, predicted, [classes.index(name) for name in names])
    counts = np.array([[overlap.shape for *_, overlap in video] for video in compared])
    hits = np.array([[_hits(overlap) for *_, overlap in video] for video in compared])
    return _found(weight_rows(weights, len(true)), hits, counts, names)


def _compared(true: Arrays, predicted: Arrays, labels: Sequence[int]) -> list[list[tuple[np.ndarray, ...]]]:
    """Of each video and behaviour: true bouts, predicted bouts, and their tIoU."""
    pairs = [[(bouts(t, label), bouts(p, label)) for label in labels] for t, p in zip(true, predicted, strict=True)]
    return [[(*pair, tiou(*pair)) for pair in video] for video in pairs]


def segments(labels: np.ndarray) -> np.ndarray:
    """(N, 3) start, stop (excluded) and label of each unbroken run of a (T,) array."""
    labels = np.asarray(labels, np.int64)
    edges = np.flatnonzero(np.diff(labels)) + 1
    starts, stops = np.append(0, edges)[: len(labels)], np.append(edges, len(labels))[: len(labels)]
    return np.stack([starts, stops, labels[starts]], 1)


def bouts(labels: np.ndarray, label: int) -> np.ndarray:
    """(N, 2) start and stop (excluded) of each bout of one label in a (T,) array."""
    runs = segments(labels)
    return runs[runs[:, 2] == label, :2]


def tiou(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(N, M) shared frames over the frames of either, of bouts (N, 2) and (M, 2)."""
    (start, stop), (start_, stop_) = true.T[..., None], predicted.T[:, None]
    shared = np.maximum(np.minimum(stop, stop_) - np.maximum(start, start_), 0)
    return shared / ((stop - start) + (stop_ - start_) - shared)


def matched(gain: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the one-to-one matching of greatest total gain (N, M), pairs of no gain left out."""
    rows, columns = linear_sum_assignment(gain, maximize=True)
    kept = gain[rows, columns] > 0
    return rows[kept], columns[kept]


def edit_score(true: np.ndarray, predicted: np.ndarray) -> float:
    """Segmental edit score of one video (Lea et al. 2016, arXiv:1611.05267): 100 x (1 - distance / longer).

    distance: Levenshtein's between the two orders of segments, "other" being a segment too, whatever their lengths.
    100 for two videos without a frame.
    """
    short, long = sorted((segments(true)[:, 2], segments(predicted)[:, 2]), key=len)
    distance = steps = np.arange(len(long) + 1)
    for row, label in enumerate(short, 1):
        kept = np.minimum(distance[:-1] + (long != label), distance[1:] + 1)
        # Inserting costs 1 a segment: the least of what stands to the left, plus the way from there.
        distance = np.minimum.accumulate(np.append(row, kept) - steps) + steps
    return 100.0 * (1 - distance[-1] / max(len(long), 1))


def _counts(overlap: np.ndarray) -> tuple[int, int, int, int]:
    """`COUNTS` of one behaviour in one video."""
    met = overlap > 0
    return *overlap.shape, int((met.sum(1) > 1).sum()), int((met.sum(0) > 1).sum())


def _hits(overlap: np.ndarray) -> list[int]:
    return [len(matched(overlap >= threshold)[0]) for threshold in THRESHOLDS]


def _errors(true: np.ndarray, predicted: np.ndarray, overlap: np.ndarray) -> np.ndarray:
    """(N, 2) frames by which matched bouts start and stop late."""
    rows, columns = matched(overlap)
    return predicted[columns] - true[rows]


def _found(weights: np.ndarray, hits: np.ndarray, counts: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
    drawn, whole = (_rates(rows, hits, counts) for rows in (weights, weight_rows(None, len(hits))))
    metrics: dict[str, np.ndarray] = {}
    for measure, values in drawn.items():
        for k, threshold in enumerate(THRESHOLDS):
            name = f"bout_{measure}_{100 * threshold:.0f}"
            metrics |= by_behaviour(name, values[..., k], whole[measure][0, :, k], names)
    return metrics


def _rates(weights: np.ndarray, hits: np.ndarray, counts: np.ndarray) -> dict[str, np.ndarray]:
    """F1, precision and recall (R, behaviours, thresholds)."""
    right = weighted_sum(weights, hits)
    occurring, claimed = (weighted_sum(weights, counts[..., k, None]) for k in (0, 1))
    rates = {"f1": (2 * right, occurring + claimed), "precision": (right, claimed), "recall": (right, occurring)}
    return {measure: ratio(*parts) for measure, parts in rates.items()}


def _boundaries(
    weights: np.ndarray, errors: Sequence[Sequence[np.ndarray]], names: Sequence[str]
) -> dict[str, np.ndarray]:
    """Quantiles of boundary errors (n, 2), s, given for each video and behaviour."""
    by_name = {"": [np.concatenate(video) for video in errors]}
    by_name |= {f"_{name}": [video[k] for video in errors] for k, name in enumerate(names)}
    metrics: dict[str, np.ndarray] = {}
    for label, values in by_name.items():
        for column, edge in enumerate(("onset", "offset")):
            late = [each[:, column] for each in values]
            (metrics[f"{edge}{label}"],) = weighted_quantiles(weights, late, [0.5])
            absolute = weighted_quantiles(weights, [np.abs(each) for each in late], [0.5, LATE])
            metrics[f"{edge}_abs{label}"], metrics[f"{edge}_abs_{100 * LATE:.0f}{label}"] = absolute
    return metrics


def _counted(weights: np.ndarray, counts: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
    metrics: dict[str, np.ndarray] = {}
    for k, name in enumerate(COUNTS):
        values = weighted_sum(weights, counts[..., k])
        metrics |= {name: values.sum(1)} | {f"{name}_{label}": values[:, j] for j, label in enumerate(names)}
    return metrics
