"""Intraclass correlations: published values, and an analysis of variance written as sums over cells."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import f

from mbrepro.metrics.reliability import intraclass

SHROUT_FLEISS = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])


def test_the_example_of_shrout_and_fleiss():
    """Their paper: ICC(2,1) .29, ICC(3,1) .71; the interval as R's psych prints it, .019 to .761."""
    found = intraclass(SHROUT_FLEISS)
    assert (found.agreement, found.consistency) == (pytest.approx(0.29, abs=5e-3), pytest.approx(0.71, abs=6e-3))
    assert (found.low, found.high) == (pytest.approx(0.019, abs=1e-3), pytest.approx(0.761, abs=1e-3))


@given(hnp.arrays(np.float64, st.tuples(st.integers(2, 6), st.just(2)), elements=st.integers(0, 9)))
def test_two_raters_by_sums_of_squares(ratings):
    n, found = len(ratings), intraclass(ratings)
    total = sum((value - ratings.mean()) ** 2 for value in ratings.ravel())
    subjects = 2 * sum((row.mean() - ratings.mean()) ** 2 for row in ratings)
    raters = n * sum((column.mean() - ratings.mean()) ** 2 for column in ratings.T)
    between, judges, error = subjects / (n - 1), raters, (total - subjects - raters) / (n - 1)
    below = between + error + 2 * (judges - error) / n
    if below > 1e-9:
        assert found.agreement == pytest.approx((between - error) / below)
    if between + error > 1e-9:
        assert found.consistency == pytest.approx((between - error) / (between + error))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # an agreement of -1 may leave no degree of freedom
@given(hnp.arrays(np.float64, st.tuples(st.integers(3, 7), st.integers(2, 4)), elements=st.integers(0, 9)))
def test_the_interval_is_mcgraw_and_wongs(ratings):
    """Their table 7, case 2A: by the two mean squares' weights a and b, where the code follows Shrout and Fleiss."""
    (n, k), found = ratings.shape, intraclass(ratings)
    rows, columns = ratings.mean(1, keepdims=True), ratings.mean(0, keepdims=True)
    subjects = k * np.var(rows) * n / (n - 1)
    judges = n * np.var(columns) * k / (k - 1)
    error = ((ratings - rows - columns + ratings.mean()) ** 2).sum() / (n - 1) / (k - 1)
    if error < 1e-9 or abs(found.agreement - 1) < 1e-9:
        return
    odds = k * found.agreement / n / (1 - found.agreement)
    a, b = odds * judges, (1 + odds * (n - 1)) * error
    freedom = (a + b) ** 2 / (a**2 / (k - 1) + b**2 / (n - 1) / (k - 1))
    upper, lower = 1 / f.isf(0.975, freedom, n - 1), f.isf(0.025, freedom, n - 1)
    whole = k * judges + (k * n - k - n) * error
    low = n * (subjects - upper * error) / (upper * whole + n * subjects)
    high = n * (lower * subjects - error) / (whole + n * lower * subjects)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-6, abs=1e-9, nan_ok=True)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_what_no_recording_tells():
    same = np.repeat([[1.0], [4], [2]], 2, axis=1)
    assert intraclass(same) == pytest.approx((1, np.nan, np.nan, 1), nan_ok=True)
    shifted = intraclass(np.add(same, [0, 1]))
    assert shifted.agreement < shifted.consistency == 1
    assert np.isnan(intraclass(np.full((5, 2), 3.0))).all()
    assert np.isnan(intraclass(np.array([[3.0, 4.0]]))).all()  # one recording
