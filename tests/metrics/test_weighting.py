import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbrepro.errors import InputError
from mbrepro.metrics.weighting import by_behaviour, frame_rates, ratio, weight_rows, weighted_mean, weighted_quantiles

VALUES = st.lists(st.lists(st.sampled_from([-0.5, 0, 0.1, 0.2, 3]), max_size=4).map(np.array), min_size=1, max_size=4)


@given(VALUES, st.data())
def test_quantiles_are_numpys_of_values_repeated(values, data):
    counts = st.lists(st.integers(0, 3), min_size=len(values), max_size=len(values))
    weights = np.array(data.draw(st.lists(counts, min_size=1, max_size=3)), float)
    found = weighted_quantiles(weights, values, [0.5, 0.9])
    for row, drawn in enumerate(weights):
        repeated = np.concatenate([np.tile(v, int(times)) for v, times in zip(values, drawn, strict=True)])
        expected = np.quantile(repeated, [0.5, 0.9]) if len(repeated) else [np.nan, np.nan]
        assert found[:, row] == pytest.approx(expected, nan_ok=True)


def test_a_frame_rate_is_for_all_videos_or_for_each():
    assert frame_rates(0.5, 2).tolist() == [0.5, 0.5] and frame_rates([10, 20], 2).tolist() == [10, 20]
    for wrong in ([10, 20, 30], 0, [10, np.nan]):
        with pytest.raises(InputError, match="metrics need one positive fps, or one for each of 2 videos"):
            frame_rates(wrong, 2)


def test_means_leave_out_what_is_undefined():
    values = np.array([[1.0, np.nan], [4.0, np.nan], [np.nan, 2.0]])
    means = weighted_mean(np.array([[1.0, 2, 5], [0, 0, 1]]), values)
    assert np.array_equal(means, [[3, 2], [np.nan, 2]], equal_nan=True)
    assert np.array_equal(ratio([1, 0, 3], [2, 0, 0]), [0.5, np.nan, np.nan], equal_nan=True)


def test_without_weights_each_video_counts_once():
    assert weight_rows(None, 3).tolist() == [[1, 1, 1]]
    assert weight_rows(np.array([[0, 2]]), 2).tolist() == [[0, 2]]


def test_the_mean_over_behaviours_is_over_the_same_ones_in_every_row():
    values = np.array([[0.2, np.nan, 0.4], [np.nan, np.nan, 0.4], [0.4, 1.0, 0.8]])
    found = by_behaviour("f1", values, np.array([0.5, np.nan, 0.5]), ["a", "b", "c"])
    assert found["f1"] == pytest.approx([0.3, np.nan, 0.6], nan_ok=True)
    assert found["f1_b"] == pytest.approx([np.nan, np.nan, 1.0], nan_ok=True)
    assert np.isnan(by_behaviour("f1", values, np.full(3, np.nan), ["a", "b", "c"])["f1"]).all()
