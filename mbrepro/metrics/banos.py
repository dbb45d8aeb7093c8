"""BANOS' four measures of a recording's bouts (Bellone lab, github.com/BelloneLab/BANOS), as its package computes them.

The package scores a behaviour that a recording has in neither labelling 1, in the prediction alone 0, and leaves out
(NaN) one that no predicted bout overlaps, but for continuity, which is 1 where nothing is predicted. So its means rise
with rare behaviours and forgive whole misses; the shares of such cells stand beside them, and the means without them.

Names; a cell is one behaviour in one recording:

da, so, tp, ic
    Means over cells of detection accuracy (bout F1, any overlap), segment overlap (mean tIoU of overlapping bouts),
    temporal precision (mean 1 / (1 + frames off at both ends)) and intra-bout continuity (1 - changes of the prediction
    inside a true bout, a frame). Also with _<behaviour>, and with _occurring: over the cells that hold the behaviour in
    either labelling.
banos_absent, banos_missed
    Shares of cells that hold the behaviour in neither labelling, and of those whose DA is undefined.
f1_by_recording_banos
    Frame F1 with BANOS' conventions, mean over behaviours, then over recordings.
"""

from collections.abc import Sequence

import numpy as np

from mbrepro.metrics.bouts import bouts, matched, tiou
from mbrepro.metrics.frames import Arrays, behaviours, check_arrays
from mbrepro.metrics.weighting import ratio, weight_rows, weighted_mean, weighted_sum

MEASURES = ("da", "so", "tp", "ic")


def banos_metrics(
    true: Arrays, predicted: Arrays, classes: Sequence[str], fps: float | Sequence[float] = 1.0,
    weights: np.ndarray | None = None,
) -> dict[str, np.ndarray]:  # fmt: skip
    """BANOS' measures (R,), by the names above, for each row of video weights (R, V).

    true, predicted: a (T,) integer array for each video. fps: not needed, as in the other label metrics. weights: how
    often each video counts; None is one row of ones. Raises InputError if the arrays do not fit each other or the
    classes.
    """
    check_arrays(true, predicted, None, classes)
    names = behaviours(classes)
    weights, labels = weight_rows(weights, len(true)), [classes.index(name) for name in names]
    pairs = [[(np.asarray(t) == k, np.asarray(p) == k) for k in labels] for t, p in zip(true, predicted, strict=True)]
    cells = np.array([[_cell(*pair) for pair in video] for video in pairs])  # (V, behaviours, 4)
    absent = np.array([[not (t.any() or p.any()) for t, p in video] for video in pairs])
    frame_f1 = np.array([[_frame_f1(*pair) for pair in video] for video in pairs])
    recordings = ratio(np.nansum(frame_f1, 1), (~np.isnan(frame_f1)).sum(1))
    occurring = np.where(absent[..., None], np.nan, cells)
    metrics = {}
    for k, name in enumerate(MEASURES):
        metrics[name] = _mean_of_cells(weights, cells[..., k])
        metrics |= {f"{name}_{label}": weighted_mean(weights, cells[:, j, k]) for j, label in enumerate(names)}
        metrics[f"{name}_occurring"] = _mean_of_cells(weights, occurring[..., k])
    return metrics | {
        "banos_absent": weighted_mean(weights, absent.mean(1)),
        "banos_missed": weighted_mean(weights, np.isnan(cells[..., 0]).mean(1)),
        "f1_by_recording_banos": weighted_mean(weights, recordings),
    }


def _mean_of_cells(weights: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """(R,) mean over all cells (V, behaviours) that have a value."""
    return ratio(*(weighted_sum(weights, part).sum(1) for part in (np.nan_to_num(cells), ~np.isnan(cells))))


def _cell(true: np.ndarray, predicted: np.ndarray) -> tuple[float, ...]:
    """`MEASURES` of one behaviour in one recording, from its true and predicted frames (T,) bool."""
    ours, theirs = bouts(true, 1), bouts(predicted, 1)
    if not len(ours):
        return (float(not len(theirs)),) * len(MEASURES)
    overlap = tiou(ours, theirs)
    hits, (rows, columns) = len(matched(overlap > 0)[0]), np.nonzero(overlap)
    off = np.abs(ours[rows] - theirs[columns]).sum(1)
    detected = 2 * hits / (len(ours) + len(theirs)) if hits else np.nan
    return detected, _mean(overlap[rows, columns]), _mean(1 / (1 + off)), _continuity(ours, predicted)


def _continuity(ours: np.ndarray, predicted: np.ndarray) -> float:
    """Mean over true bouts of two frames and more of 1 - changes of the prediction / steps inside the bout."""
    changes = np.append(0, np.cumsum(np.diff(predicted.astype(np.int8)) != 0))
    starts, lasts = ours[:, 0], ours[:, 1] - 1
    kept = lasts > starts
    return _mean(1 - (changes[lasts] - changes[starts])[kept] / (lasts - starts)[kept])


def _frame_f1(true: np.ndarray, predicted: np.ndarray) -> float:
    if not true.any():
        return float(not predicted.any())
    hits = (true & predicted).sum()
    return 2 * hits / (true.sum() + predicted.sum()) if hits else np.nan


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else np.nan
