"""Intervals over drawn videos: by hand, and from videos repeated as often as they were drawn."""

import numpy as np
import pytest

from mbrepro.errors import InputError
from mbrepro.metrics.agreement import agreement_metrics
from mbrepro.metrics.frames import evaluate
from mbrepro.metrics.labels import label_metrics
from mbrepro.metrics.resampling import (
    BY_VIDEO,
    Interval,
    bout_f1,
    draw,
    estimates,
    f1,
    interval,
    share,
    whole_and_drawn,
)
from tests.fixtures.labellings import CLASSES

TAILS = [0.025, 0.975]


def two_labellings(videos: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(videos)
    true = [np.repeat(rng.integers(0, 4, 30), rng.integers(1, 20, 30)) for _ in range(videos)]
    return true, [np.where(rng.random(len(t)) < rng.random() / 4, rng.integers(0, 4, len(t)), t) for t in true]


def test_videos_are_drawn_as_numpy_draws_them_with_seed_0_a_thousand_times():
    drawn = np.random.default_rng(0).multinomial(9, [1 / 9] * 9, size=1000)
    np.testing.assert_array_equal(draw(9), drawn)
    np.testing.assert_array_equal(whole_and_drawn(9), [[1] * 9, *drawn])
    np.testing.assert_array_equal(whole_and_drawn(9, 20, 4), [[1] * 9, *draw(9, 20, 4)])
    assert BY_VIDEO == "95 % percentile bootstrap over videos, 1000 resamples, seed 0"


def test_an_interval_by_hand():
    sample = np.r_[np.nan, np.arange(1001.0), np.nan]
    assert interval(sample) == interval(sample, 8) == pytest.approx((25, 975, 2))
    assert interval(sample, 7) == pytest.approx((np.nan, np.nan, 2), nan_ok=True)
    assert interval(np.full(3, np.nan), 8) == pytest.approx((np.nan, np.nan, 3), nan_ok=True)
    assert Interval._fields == ("low", "high", "undefined")


def repeated(arrays, times):
    return [array for array, count in zip(arrays, times, strict=True) for _ in range(count)]


@pytest.mark.parametrize("metric", ["f1", "accuracy"])
def test_f1_is_of_videos_repeated_as_often_as_they_were_drawn(metric):
    true, predicted = two_labellings(9)
    drawn = [evaluate(repeated(true, k), repeated(predicted, k), None, CLASSES)[metric] for k in draw(9, 60)]
    found = f1(true, predicted, CLASSES, metric, 60)
    expected = evaluate(true, predicted, None, CLASSES)[metric], *np.quantile(drawn, TAILS)
    assert list(found) == ["value", "low", "high"] and tuple(found.values()) == pytest.approx(expected)


def test_f1_and_bout_f1_are_those_of_the_estimates():
    labellings = two_labellings(9)
    every = estimates(*labellings, CLASSES, 30.0)
    for found, name in ((f1(*labellings, CLASSES), "f1"), (bout_f1(*labellings, CLASSES), "bout_f1_50")):
        assert list(found) == ["value", "low", "high"] and found == {key: every[name][key] for key in found}
    assert every["f1"] == estimates(*labellings, CLASSES, 30.0, 1000, 0, measure=label_metrics)["f1"]


def test_under_eight_videos_there_is_a_value_and_no_interval():
    few = two_labellings(7)
    kappa = estimates(*few, CLASSES, 30.0, measure=agreement_metrics)["kappa"]
    for found in (f1(*few, CLASSES), bout_f1(*few, CLASSES), share([1] * 7, [2] * 7), kappa):
        assert found["value"] > 0 and np.isnan([found["low"], found["high"]]).all()
    with pytest.raises(InputError, match="video 0: predictions must be from 0 to 3"):
        f1([[0]], [[4]], CLASSES)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_share_is_of_sums():
    part, whole = np.arange(1, 9), np.array([10, 20, 30, 10, 10, 10, 0, 0])
    drawn = np.random.default_rng(0).multinomial(8, [1 / 8] * 8, size=1000)
    sums = [(part[np.repeat(np.arange(8), k)].sum(), whole[np.repeat(np.arange(8), k)].sum()) for k in drawn]
    expected = (36 / 90, *np.quantile([a / b for a, b in sums if b], TAILS))
    assert tuple(share(part, whole).values()) == pytest.approx(expected)
    assert np.isnan(list(share([0] * 8, [0] * 8).values())).all()
