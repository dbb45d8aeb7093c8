"""Agreement beyond chance as scikit-learn has it; tolerance, recordings and boundaries by a second way and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.ndimage import maximum_filter1d
from sklearn.metrics import cohen_kappa_score, f1_score, matthews_corrcoef

from mbrepro.metrics.agreement import TOLERANCES, agreement_metrics, kappa, matthews
from tests.fixtures.labellings import CLASSES, human_pairs, pairs


def first(metrics):
    return {name: float(values[0]) for name, values in metrics.items()}


@settings(max_examples=100, deadline=None)
@given(pairs())
def test_kappa_and_matthews_are_scikit_learns(made):
    found, (true, predicted) = first(agreement_metrics(*made, CLASSES, 30.0)), map(np.concatenate, made)
    one_class = [len(np.unique(labels)) == 1 for labels in (true, predicted)]
    if all(one_class) and true[0] == predicted[0]:
        assert np.isnan(found["kappa"])  # chance alone agrees always
    else:
        assert found["kappa"] == pytest.approx(cohen_kappa_score(true, predicted))
    if any(one_class):
        assert np.isnan(found["mcc"])
    else:
        assert found["mcc"] == pytest.approx(matthews_corrcoef(true, predicted))


def test_kappa_and_matthews_by_hand():
    counts = np.array([[20, 5], [10, 15]])
    assert kappa(counts) == pytest.approx((35 / 50 - 0.5) / 0.5)
    assert matthews(counts) == pytest.approx((20 * 15 - 5 * 10) / np.sqrt(25 * 25 * 30 * 20))


@settings(max_examples=60, deadline=None)
@given(pairs())
def test_f1_by_recording_is_the_mean_over_what_each_recording_holds(made):
    means, by_name = [], {name: [] for name in CLASSES[:3]}
    for true, predicted in zip(*made, strict=True):
        here = [k for k in range(3) if k in true or k in predicted]
        scores = f1_score(true, predicted, labels=here, average=None, zero_division=0) if here else []
        means += [np.mean(scores)] if here else []
        for k, score in zip(here, scores, strict=True):
            by_name[CLASSES[k]].append(score)
    found = first(agreement_metrics(*made, CLASSES, 30.0))
    assert found["f1_by_recording"] == pytest.approx(np.mean(means) if means else np.nan, nan_ok=True)
    for name, scores in by_name.items():
        expected = np.mean(scores) if scores else np.nan
        assert found[f"f1_by_recording_{name}"] == pytest.approx(expected, nan_ok=True)


@settings(max_examples=60, deadline=None)
@given(pairs())
def test_a_frame_counts_where_the_other_labelling_has_its_behaviour_near(made):
    found = first(agreement_metrics(*made, CLASSES, 10.0))
    for seconds in TOLERANCES:
        scores = []
        for k in range(3):
            right = claimed = caught = occurring = 0
            for true, predicted in zip(*made, strict=True):
                near_true, near_predicted = (
                    maximum_filter1d((labels == k).astype(int), 2 * int(10 * seconds + 1e-6) + 1, mode="constant") > 0
                    for labels in (true, predicted)
                )
                right, claimed = right + (near_true & (predicted == k)).sum(), claimed + (predicted == k).sum()
                caught, occurring = caught + (near_predicted & (true == k)).sum(), occurring + (true == k).sum()
            if claimed + occurring:
                precision, recall = right / max(claimed, 1), caught / max(occurring, 1)
                scores.append(2 * precision * recall / (precision + recall) if right else 0)
        expected = np.mean(scores) if scores else np.nan
        assert found[f"f1_within_{1000 * seconds:.0f}ms"] == pytest.approx(expected, nan_ok=True)


def test_more_tolerance_never_scores_less_and_none_needed_where_all_is_right():
    rng = np.random.default_rng(0)
    true = [np.repeat(rng.integers(0, 4, 30), 10) for _ in range(3)]
    late = [np.concatenate([np.repeat(labels[0], 4), labels[:-4]]) for labels in true]
    found = first(agreement_metrics(true, late, CLASSES, 20.0))
    scores = [found[f"f1_within_{1000 * seconds:.0f}ms"] for seconds in TOLERANCES]
    assert scores == sorted(scores) and scores[0] < scores[1] == scores[2]  # 4 frames are .2 s
    same = first(agreement_metrics(true, true, CLASSES, 20.0))
    assert same["f1_within_100ms"] == same["kappa"] == same["f1_by_recording"] == 1
    assert np.isnan(same["near_boundary_500ms"])  # no frame differs


def test_frames_near_a_boundary_by_hand():
    """True boundaries at frames 10 and 20; the frames that differ are 7 to 9, 10, 40 and 41. Ten frames a second."""
    true = np.repeat([3, 0, 3], [10, 10, 30])
    predicted = true.copy()
    predicted[7:10], predicted[10], predicted[40:42] = 0, 3, 1
    found = first(agreement_metrics([true], [predicted], CLASSES, 10.0))
    expected = {"100ms": 2 / 6, "250ms": 3 / 6, "500ms": 4 / 6, "1000ms": 4 / 6, "2000ms": 5 / 6}
    assert {name: found[f"near_boundary_{name}"] for name in expected} == pytest.approx(expected)
    without = first(agreement_metrics([np.full(5, 3)], [np.full(5, 0)], CLASSES, 10.0))
    assert without["near_boundary_2000ms"] == 0  # no boundary, so none is near


def test_two_people_agree_as_known(real_data):
    found = first(agreement_metrics(*human_pairs(real_data), CLASSES, 30.0))
    known = {"kappa": 0.806, "f1_within_500ms": 0.911, "f1_by_recording": 0.706}
    assert {name: found[name] for name in known} == pytest.approx(known, abs=5e-4)
    near = found["near_boundary_500ms"], found["near_boundary_1000ms"]
    assert near == pytest.approx((0.64, 0.85), abs=5e-3)
