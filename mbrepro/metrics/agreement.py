"""How far two labellings agree: beyond chance, by recording, within a tolerance, and how near boundaries.

Names; M is one of `TOLERANCES` in milliseconds:

kappa, mcc
    See `kappa` and `matthews`.
f1_by_recording, f1_by_recording_<behaviour>
    Means over videos of frame F1; a behaviour that is in neither labelling of a video is left out of that video's mean.
f1_within_Mms, f1_within_Mms_<behaviour>
    Pooled frame F1 with a tolerance: a predicted frame is right where the truth has its behaviour within it, and a true
    frame is found where the prediction has.
near_boundary_Mms
    Of the frames that differ, the share that lies so near to the first frame of a run of the truth.
"""

from collections.abc import Sequence

import numpy as np

from mbrepro.metrics.bouts import segments
from mbrepro.metrics.frames import Arrays, behaviours, check_arrays, confusion
from mbrepro.metrics.weighting import by_behaviour, frame_rates, ratio, weight_rows, weighted_mean, weighted_sum

TOLERANCES = (0.1, 0.25, 0.5, 1.0, 2.0)  # s
_ROUNDING = 1e-9  # of frames turned into seconds


def agreement_metrics(
    true: Arrays, predicted: Arrays, classes: Sequence[str], fps: float | Sequence[float],
    weights: np.ndarray | None = None,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Every metric of agreement (R,) of two labellings, by the names above, for each row of video weights (R, V).

    true, predicted: a (T,) integer array for each video. fps: frames per second, of all videos or of each. weights: how
    often each video counts; None is one row of ones. Raises InputError if the arrays do not fit each other or the
    classes.
    """
    check_arrays(true, predicted, None, classes)
    names = behaviours(classes)
    weights, rates = weight_rows(weights, len(true)), frame_rates(fps, len(true))
    counts = np.stack([confusion(t, p, len(classes)) for t, p in zip(true, predicted, strict=True)])
    pooled = weighted_sum(weights, counts)
    labels = [classes.index(name) for name in names]
    return {
        "kappa": kappa(pooled),
        "mcc": matthews(pooled),
        **_by_recording(weights, counts, labels, names),
        **_tolerant(weights, true, predicted, rates, labels, names),
        **_near(weights, true, predicted, rates),
    }


def kappa(counts: np.ndarray) -> np.ndarray:
    """Cohen's kappa (...) of frame counts (..., classes, classes); NaN where chance alone agrees always."""
    counts = np.asarray(counts, np.float64)
    total = counts.sum((-1, -2))
    chance = ratio((counts.sum(-1) * counts.sum(-2)).sum(-1), total**2)
    return ratio(ratio(np.trace(counts, axis1=-2, axis2=-1), total) - chance, 1 - chance)


def matthews(counts: np.ndarray) -> np.ndarray:
    """Matthews' correlation (...) of frame counts (..., classes, classes), as Gorodkin (2004) has it for many classes.

    NaN where either labelling has only one class.
    """
    counts = np.asarray(counts, np.float64)
    total, true, predicted = counts.sum((-1, -2)), counts.sum(-1), counts.sum(-2)
    covariance = np.trace(counts, axis1=-2, axis2=-1) * total - (true * predicted).sum(-1)
    spread = [total**2 - (part**2).sum(-1) for part in (true, predicted)]
    return ratio(covariance, np.sqrt(spread[0]) * np.sqrt(spread[1]))


def _by_recording(
    weights: np.ndarray, counts: np.ndarray, labels: Sequence[int], names: Sequence[str]
) -> dict[str, np.ndarray]:
    hits = np.diagonal(counts, axis1=1, axis2=2)
    f1 = ratio(2 * hits, counts.sum(1) + counts.sum(2))[:, labels]  # (V, behaviours)
    recordings = ratio(np.nansum(f1, 1), (~np.isnan(f1)).sum(1))
    by_name = {f"f1_by_recording_{name}": weighted_mean(weights, f1[:, k]) for k, name in enumerate(names)}
    return {"f1_by_recording": weighted_mean(weights, recordings)} | by_name


def _tolerant(
    weights: np.ndarray, true: Arrays, predicted: Arrays, rates: Sequence[float], labels: Sequence[int],
    names: Sequence[str],
) -> dict[str, np.ndarray]:  # fmt: skip
    right, found = tolerant_counts(true, predicted, rates, labels)
    drawn, whole = (_tolerant_f1(rows, right, found) for rows in (weights, weight_rows(None, len(true))))
    metrics: dict[str, np.ndarray] = {}
    for k, seconds in enumerate(TOLERANCES):
        metrics |= by_behaviour(f"f1_within_{1000 * seconds:.0f}ms", drawn[..., k], whole[0, :, k], names)
    return metrics


def tolerant_counts(
    true: Arrays, predicted: Arrays, rates: Sequence[float], labels: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Of predicted frames those that are right, of true ones those that are found: (V, labels, tolerances + 1) each.

    Counts within each of `TOLERANCES`, and last of all frames of that label; rates: frames per second of each video.
    """
    places = [
        [[np.flatnonzero(np.asarray(each) == k) for each in (t, p)] for k in labels]
        for t, p in zip(true, predicted, strict=True)
    ]  # of each label's true and predicted frames
    right, found = (
        np.array([[_close(*one[::way], fps) for one in video] for video, fps in zip(places, rates, strict=True)])
        for way in (-1, 1)
    )
    return right, found


def _tolerant_f1(weights: np.ndarray, right: np.ndarray, found: np.ndarray) -> np.ndarray:
    """(R, behaviours, tolerances) F1, 0 where nothing is right, NaN where there is nothing."""
    right, found = weighted_sum(weights, right), weighted_sum(weights, found)
    precision, recall = (np.nan_to_num(ratio(part[..., :-1], part[..., -1:])) for part in (right, found))
    f1 = np.nan_to_num(ratio(2 * precision * recall, precision + recall))
    return np.where(right[..., -1:] + found[..., -1:] > 0, f1, np.nan)


def _near(weights: np.ndarray, true: Arrays, predicted: Arrays, rates: Sequence[float]) -> dict[str, np.ndarray]:
    counts = np.array([
        _close(np.flatnonzero(np.asarray(t) != np.asarray(p)), segments(t)[1:, 0], fps)
        for t, p, fps in zip(true, predicted, rates, strict=True)
    ])  # fmt: skip
    near = weighted_sum(weights, counts)
    shares = ratio(near[:, :-1], near[:, -1:])
    return {f"near_boundary_{1000 * seconds:.0f}ms": shares[:, k] for k, seconds in enumerate(TOLERANCES)}


def _close(frames: np.ndarray, marks: np.ndarray, fps: float) -> np.ndarray:
    """(tolerances + 1,) how many of `frames` lie within each tolerance of one of `marks`, and how many there are."""
    seconds = _distance(frames, marks) / fps
    return np.append((seconds <= np.array(TOLERANCES)[:, None] + _ROUNDING).sum(1), len(frames))


def _distance(frames: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """How many frames each of `frames` lies from the nearest of sorted `marks`; infinity where there are none."""
    if not len(marks):
        return np.full(len(frames), np.inf)
    place = np.searchsorted(marks, frames)
    before, after = marks[place - 1], marks[np.minimum(place, len(marks) - 1)]  # before the first: the last, far off
    return np.minimum(np.abs(frames - before), np.abs(after - frames))
