"""Sums, means and quantiles over videos of which each counts as often as it was drawn; what is undefined is NaN."""

from collections.abc import Sequence

import numpy as np

from mbrepro.errors import InputError


def weight_rows(weights: np.ndarray | None, videos: int) -> np.ndarray:
    """Video weights (R, videos) as floats; None is one row of ones."""
    return np.ones((1, videos)) if weights is None else np.asarray(weights, np.float64)


def frame_rates(fps: float | Sequence[float], videos: int) -> np.ndarray:
    """(videos,) frames per second, given for all or for each. Raises InputError for any other number of them, or 0."""
    rates = np.asarray(fps, np.float64)
    if rates.shape not in ((), (videos,)) or not (np.isfinite(rates) & (rates > 0)).all():
        raise InputError(f"metrics need one positive fps, or one for each of {videos} videos, not {fps}")
    return np.broadcast_to(rates, videos)


def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """above / below, NaN where below is 0."""
    above, below = np.broadcast_arrays(np.asarray(above, np.float64), np.asarray(below, np.float64))
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)


def weighted_sum(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(R, ...) sums over videos of values (V, ...) under weights (R, V)."""
    return np.tensordot(weights, np.asarray(values, np.float64), 1)


def weighted_mean(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(R, ...) means of values (V, ...) over the videos that have one, NaN where none has."""
    return ratio(weighted_sum(weights, np.nan_to_num(values)), weighted_sum(weights, ~np.isnan(values)))


def weighted_quantiles(weights: np.ndarray, values: Sequence[np.ndarray], at: Sequence[float]) -> np.ndarray:
    """(len(at), R) quantiles of the values (n,) of all videos together, as numpy's of values repeated; NaN of none.

    weights: (R, V) whole numbers.
    """
    levels, place = np.unique(np.concatenate(values), return_inverse=True)
    if not len(levels):
        return np.full((len(at), len(weights)), np.nan)
    video = np.repeat(np.arange(len(values)), [len(v) for v in values])
    counts = np.bincount(video * len(levels) + place, minlength=len(values) * len(levels)).reshape(len(values), -1)
    upto = (weights @ counts).cumsum(1)  # (R, levels)
    last, found = upto[:, -1] - 1, []
    for share in at:
        rank = last * share
        low, high = (levels[(upto > whole[:, None]).argmax(1)] for whole in (np.floor(rank), np.ceil(rank)))
        found.append(np.where(last >= 0, low + (rank - np.floor(rank)) * (high - low), np.nan))
    return np.array(found)


def by_behaviour(name: str, values: np.ndarray, whole: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Values (R, behaviours) as NAME_<behaviour>, and as NAME their mean over the behaviours that have a value.

    Which those are is decided where every video counts once, in whole (behaviours,), and is the same in every row: a
    row that lacks one of them is NaN, not a mean of fewer.
    """
    kept = ~np.isnan(whole)
    mean = values[:, kept].mean(1) if kept.any() else np.full(len(values), np.nan)
    return {name: mean} | {f"{name}_{label}": values[:, k] for k, label in enumerate(names)}
