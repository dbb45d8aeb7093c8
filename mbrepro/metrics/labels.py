"""Every metric that two labellings have, frame by frame, bout by bout and beyond chance."""

from collections.abc import Sequence

import numpy as np

from mbrepro.metrics.agreement import agreement_metrics
from mbrepro.metrics.banos import banos_metrics
from mbrepro.metrics.bouts import bout_metrics
from mbrepro.metrics.frames import Arrays, weighted_metrics


def label_metrics(
    true: Arrays, predicted: Arrays, classes: Sequence[str], fps: float | Sequence[float],
    weights: np.ndarray | None = None,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Metrics (R,) of `frames.evaluate` but AP, of `bouts`, `banos` and `agreement`, for each row of video weights.

    true, predicted: a (T,) integer array for each video. fps: frames per second, of all videos or of each. weights:
    (R, videos) how often each counts, None is one row of ones. Raises InputError if the arrays do not fit each other or
    the classes.
    """
    metrics = weighted_metrics(true, predicted, None, classes, weights)
    for measure in (bout_metrics, banos_metrics, agreement_metrics):
        metrics |= measure(true, predicted, classes, fps, weights)
    return metrics
