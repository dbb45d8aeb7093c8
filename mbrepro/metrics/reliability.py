"""How far raters agree on numbers of whole recordings, such as how often and how long a behaviour was seen."""

from typing import NamedTuple

import numpy as np
from scipy.stats import f

from mbrepro.metrics.weighting import ratio


class Reliability(NamedTuple):
    """Intraclass correlations of single ratings: of their values, with its 95 % interval, and of their order alone.

    NaN where they are not defined, as where no recording differs from another.
    """

    agreement: float
    low: float
    high: float
    consistency: float


def intraclass(ratings: np.ndarray) -> Reliability:
    """Agreement ICC(A,1) and consistency ICC(C,1) of ratings (recordings, raters), two-way (McGraw & Wong 1996).

    They are ICC(2,1) and ICC(3,1) of Shrout & Fleiss (1979), whose interval this is.
    """
    ratings = np.asarray(ratings, np.float64)
    n, k = ratings.shape
    if n < 2:
        return Reliability(np.nan, np.nan, np.nan, np.nan)
    rows, columns, mean = ratings.mean(1), ratings.mean(0), ratings.mean()
    between = k * ((rows - mean) ** 2).sum() / (n - 1)
    raters = n * ((columns - mean) ** 2).sum() / (k - 1)
    rest = ratings - rows[:, None] - columns + mean
    error = (rest**2).sum() / ((n - 1) * (k - 1))
    agreement = float(ratio(between - error, between + (k - 1) * error + k * (raters - error) / n))
    consistency = float(ratio(between - error, between + (k - 1) * error))
    return Reliability(agreement, *_interval(agreement, between, raters, error, n, k), consistency)


def _interval(agreement: float, between: float, raters: float, error: float, n: int, k: int) -> tuple[float, float]:
    if not error > 0 or np.isnan(agreement):
        return np.nan, np.nan
    spread = n * (1 + (k - 1) * agreement) - k * agreement
    ratings = raters / error
    freedom = (k - 1) * (n - 1) * (k * agreement * ratings + spread) ** 2
    freedom /= (n - 1) * (k * agreement * ratings) ** 2 + spread**2
    upper, lower = f.ppf(0.975, n - 1, freedom), f.ppf(0.975, freedom, n - 1)
    whole = k * raters + (n * k - n - k) * error
    low = ratio(n * (between - upper * error), upper * whole + n * between)
    return float(low), float(ratio(n * (lower * between - error), whole + n * lower * between))
