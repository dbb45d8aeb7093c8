"""Intervals by resampling videos: frames of a video are not independent, so whole videos are drawn."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from mbrepro.metrics.bouts import found_bouts
from mbrepro.metrics.frames import Arrays, check_arrays, weighted_metrics
from mbrepro.metrics.labels import label_metrics

RESAMPLES = 1000
BY_VIDEO = f"95 % percentile bootstrap over videos, {RESAMPLES} resamples, seed 0"  # what intervals are, in words
TAILS = [(1 - 0.95) / 2, (1 + 0.95) / 2]
LEAST_VIDEOS = 8  # resampling fewer says little: of two videos there are three different resamples


class Interval(NamedTuple):
    """A percentile interval, NaN if no resample had a value; `undefined` had none (no positive frame, for AP)."""

    low: float
    high: float
    undefined: int


def draw(videos: int, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """(resamples, videos) how often each video is drawn when as many as there are are drawn with replacement.

    One seed draws the same videos. Resampling frames, which are not independent, would give intervals far too narrow.
    """
    return np.random.default_rng(seed).multinomial(videos, np.full(videos, 1 / videos), size=resamples)


def whole_and_drawn(videos: int, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """(1 + resamples, videos) weights: every video once, then as in `draw`."""
    return np.vstack([np.ones(videos), draw(videos, resamples, seed)])


def interval(sample: np.ndarray, videos: int | None = None) -> Interval:
    """The 95 % percentile interval of resampled values, undefined ones left out.

    Of a mean over videos this is how well these videos tell that mean; where single videos would lie it does not say.
    videos: how many there are, under `LEAST_VIDEOS` of which there is none; None for enough.
    """
    defined = sample[~np.isnan(sample)]
    told = len(defined) and (videos is None or videos >= LEAST_VIDEOS)
    low, high = np.quantile(defined, TAILS) if told else (np.nan, np.nan)
    return Interval(float(low), float(high), len(sample) - len(defined))


def estimates(
    true: Arrays, predicted: Arrays, classes: Sequence[str], fps: float | Sequence[float], resamples: int = RESAMPLES,
    seed: int = 0, measure: Callable[..., dict[str, np.ndarray]] = label_metrics,
) -> dict[str, dict[str, float]]:  # fmt: skip
    """Every metric of two labellings as value, low and high, its 95 % interval over `draw`n videos.

    measure: `label_metrics`, or a part of it (`bout_metrics`, `banos_metrics`, `agreement_metrics`). undefined:
    resamples without a value, which the interval leaves out. Raises InputError if the arrays do not fit each other or
    the classes.
    """
    weights, found = whole_and_drawn(len(true), resamples, seed), {}
    for name, values in measure(true, predicted, classes, fps, weights).items():
        found[name] = {"value": float(values[0]), **interval(values[1:], len(true))._asdict()}
    return found


def share(part: Sequence[float], whole: Sequence[float], resamples: int = RESAMPLES) -> dict[str, float]:
    """Sum of part over sum of whole (N,), NaN where that is 0, with a 95 % interval over `draw`n videos.

    low and high are NaN under `LEAST_VIDEOS` videos, here and in `f1`.
    """
    parts, wholes = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    weights = draw(len(parts), resamples)
    with np.errstate(invalid="ignore"):  # a resample without any
        low, high, _ = interval((weights @ parts) / (weights @ wholes), len(parts))
        return {"value": float(parts.sum() / wholes.sum()), "low": low, "high": high}


def f1(
    true: Arrays, predicted: Arrays, classes: Sequence[str], metric: str = "f1", resamples: int = RESAMPLES
) -> dict[str, float]:
    """A metric of `metrics.evaluate`, CalMS21's macro-F1 unless named, with a 95 % interval by resampling videos."""
    check_arrays(true, predicted, None, classes)
    values = weighted_metrics(true, predicted, None, classes, whole_and_drawn(len(true), resamples))[metric]
    low, high, _ = interval(values[1:], len(true))
    return {"value": float(values[0]), "low": low, "high": high}


def bout_f1(true: Arrays, predicted: Arrays, classes: Sequence[str]) -> dict[str, float]:
    """Macro bout F1 at a tIoU of .5 (`bouts.found_bouts`), with a 95 % interval by resampling videos."""
    found = estimates(true, predicted, classes, 1.0, measure=found_bouts)["bout_f1_50"]
    return {name: found[name] for name in ("value", "low", "high")}
