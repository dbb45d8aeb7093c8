"""Intervals by resampling videos: frames of a video are not independent, so whole videos are drawn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mbrepro.metrics.bouts import found_bouts
from mbrepro.metrics.frames import Arrays, check_arrays, evaluate, weighted_metrics
from mbrepro.metrics.labels import label_metrics

RESAMPLES = 1000
BY_VIDEO = f"95 % percentile bootstrap over videos, {RESAMPLES} resamples, seed 0"  # what intervals are, in words
LEAST_VIDEOS = 8  # resampling fewer says little: of two videos there are three different resamples


@dataclass(frozen=True)
class Interval:
    """A percentile interval; `undefined` of its `resamples` had no value (no positive frame, for AP) and are left out.

    low and high are NaN if no resample had a value.
    """

    low: float
    high: float
    resamples: int
    undefined: int


def draw(videos: int, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """(resamples, videos) how often each video is drawn when as many as there are are drawn with replacement."""
    return np.random.default_rng(seed).multinomial(videos, np.full(videos, 1 / videos), size=resamples)


def whole_and_drawn(videos: int, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """(1 + resamples, videos) weights: every video once, then as in `draw`."""
    return np.vstack([np.ones(videos), draw(videos, resamples, seed)])


def resample_videos(
    true: Arrays, predicted: Arrays | None, scores: Arrays | None, classes: Sequence[str], resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Every metric of `evaluate` (resamples,) on whole videos drawn with replacement; one seed draws the same videos.

    Frames of a video are not independent: resampling them would give intervals far too narrow. A resample is an integer
    weight for each video, for which all metrics are exact.
    """
    predicted = check_arrays(true, predicted, scores, classes)
    return weighted_metrics(true, predicted, scores, classes, draw(len(true), resamples, seed))


def interval(sample: np.ndarray, level: float = 0.95) -> Interval:
    """The percentile interval of resampled values, undefined ones left out.

    Of a mean over videos this is how well these videos tell that mean; where single videos would lie it does not say.
    """
    defined = sample[~np.isnan(sample)]
    tails = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(defined, tails) if len(defined) else (np.nan, np.nan)
    return Interval(float(low), float(high), len(sample), len(sample) - len(defined))


def estimates(
    true: Arrays, predicted: Arrays, classes: Sequence[str], fps: float | Sequence[float], resamples: int = RESAMPLES,
    seed: int = 0, measure: Callable[..., dict[str, np.ndarray]] = label_metrics,
) -> dict[str, dict[str, float]]:  # fmt: skip
    """Every metric of two labellings as value, low and high, its 95 % interval over `resample_videos`' draws.

    measure: `label_metrics`, or a part of it (`bout_metrics`, `banos_metrics`, `agreement_metrics`). undefined:
    resamples without a value, which the interval leaves out. Raises InputError if the arrays do not fit each other or
    the classes.
    """
    weights, found = whole_and_drawn(len(true), resamples, seed), {}
    for name, values in measure(true, predicted, classes, fps, weights).items():
        between = interval(values[1:])
        found[name] = _told(float(values[0]), between, len(true)) | {"undefined": between.undefined}
    return found


def share(part: Sequence[float], whole: Sequence[float], resamples: int = RESAMPLES) -> dict[str, float]:
    """Sum of part over sum of whole (N,), NaN where that is 0, with a 95 % interval over `resample_videos`' draws.

    low and high are NaN under `LEAST_VIDEOS` videos, here and in `f1`.
    """
    parts, wholes = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    weights = draw(len(parts), resamples)
    with np.errstate(invalid="ignore"):  # a resample without any
        between, value = interval((weights @ parts) / (weights @ wholes)), parts.sum() / wholes.sum()
    return _told(value, between, len(parts))


def _told(value: float, between: Interval, videos: int) -> dict[str, float]:
    low, high = (between.low, between.high) if videos >= LEAST_VIDEOS else (np.nan, np.nan)
    return {"value": float(value), "low": low, "high": high}


def f1(
    true: Arrays, predicted: Arrays, classes: Sequence[str], metric: str = "f1", resamples: int = RESAMPLES
) -> dict[str, float]:
    """A metric of `metrics.evaluate`, CalMS21's macro-F1 unless named, with a 95 % interval by resampling videos."""
    value = evaluate(true, predicted, None, classes)[metric]
    between = interval(resample_videos(true, predicted, None, classes, resamples)[metric])
    return _told(value, between, len(true))


def bout_f1(true: Arrays, predicted: Arrays, classes: Sequence[str], resamples: int = RESAMPLES) -> dict[str, float]:
    """Macro bout F1 at a tIoU of .5 (`bouts.found_bouts`), with a 95 % interval by resampling videos."""
    found = estimates(true, predicted, classes, 1.0, resamples, measure=found_bouts)["bout_f1_50"]
    return {name: found[name] for name in ("value", "low", "high")}
