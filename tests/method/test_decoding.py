"""Bouts counted by hand, and decoding against every labelling there is."""

from itertools import pairwise, product

import numpy as np
import pytest
from scipy.special import softmax

from mbrepro.data.recordings import runs
from mbrepro.errors import InputError
from mbrepro.method.decoding import BIN, SPARE, BoutModel, count_bouts, decode, smooth, tidied


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_bouts_are_counted_by_class_length_and_order():
    model = count_bouts([np.array([2, 2, 2, 0, 2, 1, 1, -1, 1, 2]), np.array([0, 0, 0, 0, 0, 2])], 3, longest=4)
    assert (BIN, SPARE) == (1.5, 0.5)  # so the bins are of 1, of 2, and of 3, 4 and more frames
    counted = np.array([[1, 1, 3], [0, 1, 0], [1, 0, 1]]) + SPARE
    lasts = (counted / counted.sum(0) / [[1], [1], [2]])[[0, 1, 2, 2]]
    np.testing.assert_allclose(np.exp(model.lasts), lasts)
    np.testing.assert_allclose(np.exp(model.outlasts), lasts[::-1].cumsum(0)[::-1])
    after = np.array([[0, 0, 2], [0, 0, 1], [1, 1, 0]]) + SPARE * (1 - np.eye(3))
    np.testing.assert_allclose(np.exp(model.follows), after / after.sum(1, keepdims=True))
    share = np.array([6, 3, 6]) + SPARE
    np.testing.assert_allclose(np.exp(model.share), share / share.sum())


def test_wide_bins_are_shared_out_among_their_frames():
    model = count_bouts([np.zeros(90, int)], 2, longest=200)
    lasts = np.exp(model.lasts)
    assert lasts.shape == (200, 2)
    np.testing.assert_allclose(lasts.sum(0), 1)
    assert lasts[86 - 1, 0] == pytest.approx(lasts[120 - 1, 0]) and lasts[90 - 1, 0] > 1.9 * lasts[60 - 1, 0]


def test_without_labels_nothing_is_counted():
    with pytest.raises(InputError, match="no labelled frame"):
        count_bouts([np.full(9, -1)], 3, 5)


def probability(labels: tuple[int, ...], scores: np.ndarray, model: BoutModel, weight: float) -> float:
    """Log-probability of one labelling, written out; a run beyond the longest bout is cut from its start on."""
    longest, evidence = len(model.lasts), weight * (np.log(scores) - model.share)
    spans = runs(np.array(labels))
    found = model.share[labels[0]] + sum(evidence[t, label] for t, label in enumerate(labels))
    found += sum(model.follows[a[2], b[2]] for a, b in pairwise(spans))
    for start, stop, label in spans:
        whole = 0.0
        while stop - start > longest:  # what goes on has outlasted the longest
            whole, start = whole + model.outlasts[-1, label], start + longest
        cut = start == 0 or stop == len(labels)
        found += whole + (model.outlasts if cut else model.lasts)[stop - start - 1, label]
    return found


@pytest.mark.parametrize("seed", range(12))
def test_no_other_labelling_is_more_probable(seed):
    rng = np.random.default_rng(seed)
    classes, longest, weight = 2 + seed % 2, 3 + seed % 3, (0.3, 1.0)[seed % 2]
    model = count_bouts([rng.integers(classes, size=60).repeat(rng.integers(1, 4, 60))], classes, longest)
    scores = softmax(rng.normal(size=(8, classes)) * 2, axis=1)
    best = max(probability(labels, scores, model, weight) for labels in product(range(classes), repeat=8))
    found = decode(scores, model) if weight == 1 else decode(scores, model, weight)
    assert probability(tuple(found), scores, model, weight) == pytest.approx(best)


def test_a_waver_is_no_bout_and_a_long_bout_is_one():
    labels = [np.repeat([1, 0, 1, 0], [90, 60, 120, 30])] * 5
    model = count_bouts(labels, 2, longest=100)
    scores = np.full((400, 2), 0.5)
    scores[:, 0], scores[:, 1] = 0.2, 0.8
    scores[200, ::-1] = scores[200]
    scores[300:] = scores[300:, ::-1]
    np.testing.assert_array_equal(decode(scores, model), np.repeat([1, 0], [300, 100]))  # three times the longest, one


def test_smoothing_is_the_mean_around_a_frame():
    scores = np.array([[0.0], [3.0], [6.0], [0.0]])
    np.testing.assert_allclose(smooth(scores, 3)[:, 0], [1, 3, 3, 2])
    np.testing.assert_allclose(smooth(scores, 5)[:, 0], 1.8)  # 0, 0 before the first


def test_short_gaps_are_filled_before_short_bouts_are_dropped():
    """3 is other: the gap of 2 goes with the bout beside it, so that nothing is left to drop there."""
    labels = np.array([0, 3, 3, 0, 3, 3, 3, 1, 3, 0, 3, 0, -1, 3, 0, 0, 3, 1, 1, 1])
    expected = [0, 0, 0, 0, 3, 3, 3, 3, 3, 0, 0, 0, -1, 3, 3, 3, 3, 1, 1, 1]
    assert tidied(labels, 3, gap=2, shortest=3).tolist() == expected
    assert labels[1] == 3  # the stored prediction stays
    assert np.array_equal(tidied(labels, 3, gap=0, shortest=0), labels)
    assert tidied(labels, 3, gap=99, shortest=99).tolist() == [-1 if label == -1 else 3 for label in labels]


def test_tidied_labels_have_neither_short_gaps_nor_short_bouts_and_stay_as_they_are():
    rng = np.random.default_rng(0)
    for _ in range(200):
        labels = np.repeat(rng.integers(0, 3, 30), rng.integers(1, 6, 30))
        found = tidied(labels, 2, gap=3, shortest=4)
        spans = runs(found)
        assert all(stop - start >= 4 for start, stop, value in spans if value != 2)
        filled = tidied(labels, 2, gap=3, shortest=0)
        for (_, _, before), (start, stop, value), (_, _, after) in zip(
            *(runs(filled)[k:] for k in range(3)), strict=False
        ):
            assert value != 2 or before != after or stop - start > 3
        assert (filled[labels != 2] == labels[labels != 2]).all()  # only other is filled
