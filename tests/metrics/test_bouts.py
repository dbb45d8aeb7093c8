"""Bouts: matched as mir_eval's maximum matching does, errors, fragments and orders by hand and by search."""

from functools import cache
from itertools import groupby

import mir_eval
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mbrepro.metrics.bouts import THRESHOLDS, boundary_errors, bout_metrics, bouts, edit_score, matched, segments, tiou
from tests.fixtures.labellings import CLASSES, feral_test, human_pairs, pairs


def first(metrics):
    return {name: float(values[0]) for name, values in metrics.items()}


def frames_of_bouts(labels, label) -> list[set[int]]:
    """Each bout as the set of its frames: a second way to cut runs."""
    groups = [list(group) for _, group in groupby(enumerate(labels.tolist()), key=lambda pair: pair[1])]
    return [{frame for frame, _ in group} for group in groups if group[0][1] == label]


def overlaps(true, predicted) -> np.ndarray:
    found = np.zeros((len(true), len(predicted)))
    for i, one in enumerate(true):
        for j, other in enumerate(predicted):
            found[i, j] = len(one & other) / len(one | other)
    return found


@settings(max_examples=100, deadline=None)
@given(pairs())
def test_bout_f1_is_that_of_a_maximum_matching_of_pooled_bouts(made):
    found = first(bout_metrics(*made, CLASSES, 30.0))
    for threshold in THRESHOLDS:
        means = []
        for label, name in enumerate(CLASSES[:3]):
            hits = true = predicted = 0
            for pair in zip(*made, strict=True):
                ours, theirs = (frames_of_bouts(labels, label) for labels in pair)
                overlap, places = overlaps(ours, theirs), [np.arange(len(part)) for part in (ours, theirs)]
                hits += len(mir_eval.util.match_events(*places, -threshold, lambda *_, o=overlap: -o))
                true, predicted = true + len(ours), predicted + len(theirs)
            f1 = 2 * hits / (true + predicted) if true + predicted else np.nan
            assert found[f"bout_f1_{threshold * 100:.0f}_{name}"] == pytest.approx(f1, nan_ok=True)
            recall = hits / true if true else np.nan
            assert found[f"bout_recall_{threshold * 100:.0f}_{name}"] == pytest.approx(recall, nan_ok=True)
            means += [f1] if true + predicted else []
        mean = np.mean(means) if means else np.nan
        assert found[f"bout_f1_{threshold * 100:.0f}"] == pytest.approx(mean, nan_ok=True)


@given(st.integers(1, 30).flatmap(lambda n: hnp.arrays(np.int64, n, elements=st.integers(0, 2))))
def test_segments_put_together_are_the_labels(labels):
    assert np.array_equal(np.concatenate([[k] * (b - a) for a, b, k in segments(labels)]), labels)
    assert (np.diff(segments(labels)[:, 2]) != 0).all()
    assert len(segments(labels[:0])) == 0


@settings(deadline=None)
@given(hnp.arrays(np.float64, st.tuples(st.integers(0, 4), st.integers(0, 5)), elements=st.sampled_from([0, 0.3, 0.5])))
def test_matching_has_the_greatest_total_gain(gain):
    def best(row, taken) -> float:
        if row == len(gain):
            return 0.0
        free = [j for j in range(gain.shape[1]) if j not in taken]
        return max([best(row + 1, taken), *(gain[row, j] + best(row + 1, {*taken, j}) for j in free)])

    rows, columns = matched(gain)
    assert gain[rows, columns].sum() == pytest.approx(best(0, set()))
    assert (gain[rows, columns] > 0).all() and len(set(rows)) == len(set(columns)) == len(rows)


def test_bouts_by_hand():
    #       0         1         2         3
    #       0123456789012345678901234567890
    true = "oooaaaaaaooooiiiiiiiioooaaaaooo"
    pred = "ooaaaaaoooooooiiioiiiiooooooomm"
    true, pred = (np.array(["aimo".index(c) for c in text]) for text in (true, pred))
    assert bouts(true, 0).tolist() == [[3, 9], [24, 28]]
    assert tiou(bouts(true, 0), bouts(pred, 0)) == pytest.approx(np.array([[4 / 7], [0]]))
    assert tiou(bouts(true, 1), bouts(pred, 1)) == pytest.approx(np.array([[3 / 8, 3 / 9]]))
    found = first(bout_metrics([true], [pred], CLASSES, 10.0))
    assert found["bout_f1_50_attack"] == pytest.approx(2 / 3)  # precision 1, recall 1/2
    assert (found["bout_precision_50_attack"], found["bout_recall_50_attack"]) == (1, 0.5)
    assert found["bout_f1_50_investigation"] == 0
    assert found["bout_f1_25_investigation"] == pytest.approx(2 / 3)
    assert found["bout_f1_50_mount"] == 0  # predicted once, never there
    assert found["bout_f1_50"] == pytest.approx(2 / 9)
    assert (found["onset_attack"], found["offset_attack"]) == (-0.1, -0.2)
    assert (found["onset_investigation"], found["offset_investigation"]) == (0.1, -0.4)
    assert (found["onset"], found["onset_abs"]) == pytest.approx((0, 0.1))
    assert (found["offset"], found["offset_abs"]) == pytest.approx((-0.3, 0.3))
    assert found["offset_abs_90"] == pytest.approx(0.2 + 0.9 * 0.2)
    assert np.isnan(found["onset_mount"])
    assert (found["true_bouts"], found["predicted_bouts"], found["predicted_bouts_mount"]) == (3, 4, 1)
    assert (found["fragmented"], found["fragmented_investigation"], found["merged"]) == (1, 1, 0)
    back = first(bout_metrics([pred], [true], CLASSES, 10.0))
    assert (back["fragmented"], back["merged"], back["onset"]) == (0, 1, 0)
    # o a o i o a o  and  o a o i o i o m
    assert found["edit"] == pytest.approx(100 * (1 - 2 / 8))


def test_a_bout_of_which_a_tenth_is_shared_is_found_at_10_and_not_at_25():
    true, pred = np.repeat([3, 0, 3, 1, 3], [5, 10, 5, 11, 5]), np.repeat([3, 0, 3, 1, 3], [14, 1, 5, 1, 15])
    found = first(bout_metrics([true], [pred], CLASSES, 10.0))
    assert [found[f"bout_f1_{k}_attack"] for k in (10, 25, 50)] == [1, 0, 0]
    assert found["bout_f1_10_investigation"] == 0  # a frame of 11


def test_errors_are_of_the_bout_that_overlaps_most():
    true, pred = np.repeat([3, 0, 3], [2, 10, 2]), np.repeat([3, 0, 3, 0, 3], [1, 2, 1, 7, 3])
    found = first(bout_metrics([true], [pred], CLASSES, 10.0))
    assert (found["onset"], found["offset"]) == (0.2, -0.1)  # frames 4 to 10 of 2 to 11, not 1 and 2


def test_each_video_has_its_own_frame_rate():
    true, pred = np.array([3, 3, 0, 0, 0, 3]), np.array([3, 0, 0, 0, 0, 3])
    found = first(bout_metrics([true, true], [pred, pred], CLASSES, [10.0, 20.0]))
    assert found["onset"] == pytest.approx(-(0.1 + 0.05) / 2)


def test_a_behaviour_in_neither_is_not_defined_and_left_out_of_the_mean():
    true, pred = [np.array([0, 0, 3, 1, 1])], [np.array([0, 0, 3, 3, 3])]
    found = first(bout_metrics(true, pred, CLASSES, 30.0))
    assert np.isnan(found["bout_f1_50_mount"]) and found["bout_f1_50"] == 0.5
    assert np.isnan(found["bout_precision_50_investigation"]) and found["bout_precision_50"] == 1
    nothing = first(bout_metrics([np.full(4, 3)], [np.full(4, 3)], CLASSES, 30.0))
    assert np.isnan([nothing["bout_f1_50"], nothing["onset"], nothing["offset_abs_90"]]).all()
    assert (nothing["true_bouts"], nothing["edit"]) == (0, 100)


def test_a_resample_without_one_of_the_behaviours_has_no_mean():
    true = [np.array([0, 0, 3, 3]), np.array([1, 1, 3, 3])]
    found = bout_metrics(true, true, CLASSES, 30.0, np.array([[1, 1], [2, 0], [0, 2]]))
    assert np.array_equal(found["bout_f1_50"], [1, np.nan, np.nan], equal_nan=True)
    assert np.array_equal(found["bout_f1_50_attack"], [1, 1, np.nan], equal_nan=True)
    assert found["true_bouts_attack"].tolist() == [1, 2, 0]


@settings(max_examples=60, deadline=None)
@given(pairs())
def test_edit_score_is_levenshteins_by_its_definition(made):
    for true, predicted in zip(*made, strict=True):
        ours, theirs = ([label for label, _ in groupby(labels.tolist())] for labels in (true, predicted))

        @cache
        def distance(i, j, ours=ours, theirs=theirs):
            if not i or not j:
                return i + j
            kept = distance(i - 1, j - 1) + (ours[i - 1] != theirs[j - 1])
            return min(kept, distance(i - 1, j) + 1, distance(i, j - 1) + 1)

        expected = 100 * (1 - distance(len(ours), len(theirs)) / max(len(ours), len(theirs)))
        assert edit_score(true, predicted) == pytest.approx(expected)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_edit_score_by_hand():
    first_goes_last_comes = np.array([0, 1, 2, 3]), np.array([1, 2, 3, 0])
    assert edit_score(*first_goes_last_comes) == edit_score(*first_goes_last_comes[::-1]) == 50
    assert edit_score(np.zeros(0), np.zeros(0)) == 100


def test_two_peoples_bouts(real_data):
    found = first(bout_metrics(*human_pairs(real_data), CLASSES, 30.0))
    f1 = [found[f"bout_f1_50_{name}"] for name in CLASSES[:3]]
    assert f1 == pytest.approx([0.25, 0.53, 0.68], abs=5e-3)
    assert found["edit"] == pytest.approx(66.8, abs=0.05)
    onset, offset = ([found[f"{edge}_abs_{name}"] for name in CLASSES[:3]] for edge in ("onset", "offset"))
    assert (min(onset), max(onset)) == pytest.approx((0.37, 0.45), abs=5e-3)
    assert (min(offset), max(offset)) == pytest.approx((0.50, 0.55), abs=5e-3)
    assert found["fragmented"] == 1 and found["merged"] == 64
    back = first(bout_metrics(*human_pairs(real_data)[::-1], CLASSES, 30.0))
    assert back["bout_f1_50"] == found["bout_f1_50"] and back["onset"] == -found["onset"]


def test_bouts_of_the_test_videos_are_as_many_as_published(real_data):
    found = first(bout_metrics(*feral_test(real_data), CLASSES, 30.0))
    assert [found[f"true_bouts_{name}"] for name in CLASSES[:3]] == [258, 1068, 195]
    assert found["bout_f1_50"] == pytest.approx(0.699, abs=5e-4)


def test_boundary_errors_are_of_every_matched_bout_in_seconds_of_its_video():
    true, predicted = (
        [np.repeat(labels, (10, 10, 10, 10)) for labels in ((2, 0, 2, 1), (2, 1, 2, 2))],
        [np.repeat([2, 0, 2], (12, 5, 23)), np.repeat([2, 1, 2], (5, 20, 15))],
    )
    found = boundary_errors(true, predicted, ("a", "b", "other"), [10.0, 5.0])
    np.testing.assert_allclose(found, [[0.2, -0.3], [-1.0, 1.0]])
