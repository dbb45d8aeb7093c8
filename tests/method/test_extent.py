"""Distances by hand, bins that hold what they say, and clips that lie in their recording."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbrepro.method.extent import COUNT, EDGES, MIDDLES, bins, clip_bounds, distances, expected
from mbrepro.method.proposals import Proposal

CLASSES = ("attack", "mount", "other")


def test_distances_are_to_the_bouts_own_ends():
    found = distances(np.array([2, 0, 0, 0, 1, 1, -1, 2, 1]), CLASSES, 10.0)
    nan = [np.nan, np.nan]
    expect = [nan, [0, 0.3], [0.1, 0.2], [0.2, 0.1], [0, 0.2], [0.1, 0.1], nan, nan, [0, 0.1]]
    np.testing.assert_allclose(found, expect, atol=1e-12)


def test_bins_widen_and_hold_what_lies_between_their_edges():
    np.testing.assert_array_equal(bins(np.array([0, 0.05, 0.1, 0.149, 0.151, 1e6, np.nan])), [0, 0, 1, 1, 2, 15, -1])
    assert len(EDGES) == COUNT - 1 and EDGES[-1] == pytest.approx(29.2, abs=0.1)
    np.testing.assert_array_equal(bins(MIDDLES), np.arange(COUNT))


def test_expected_distance_of_a_sure_frame_is_its_bins_middle():
    assert expected(np.eye(COUNT)) == pytest.approx(MIDDLES)
    even = np.zeros((2, COUNT))
    even[:, [3, 5]] = 0.5
    assert expected(even) == pytest.approx([MIDDLES[4]] * 2)


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(1, 10)), max_size=5), st.floats(0, 400), st.floats(0, 400))
def test_clips_reach_from_the_middle_and_lie_in_the_recording(spans, back, on):
    proposals = [Proposal(start, start + length, 1.0) for start, length in spans]
    found = clip_bounds(proposals, np.tile([back / 10, on / 10], (100, 1)), 10.0)
    assert found.shape == (len(proposals), 2)
    for (start, stop), proposal in zip(found, proposals, strict=True):
        middle = (proposal.start + proposal.stop - 1) // 2
        assert start == max(0, middle - round(back))
        assert stop == min(100, max(middle + round(on), start + 1)) and start < stop
