import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    confusion_matrix,
    precision_recall_fscore_support,
)

from mbrepro.data.recordings import TASK1_CLASSES
from mbrepro.errors import InputError
from mbrepro.metrics import frames
from mbrepro.metrics.frames import (
    average_precision,
    confusion,
    count_metrics,
    evaluate,
    row_normalised,
    weighted_metrics,
)
from mbrepro.metrics.resampling import draw, interval

BINARY = ("action", "other")


@st.composite
def predictions(draw, classes=4):
    """Labels, predictions and scores with ties of 1 to 4 videos, empty ones among them."""
    lengths = draw(st.lists(st.integers(0, 12), min_size=1, max_size=4))
    label = st.integers(0, draw(st.integers(0, classes - 1)))  # some classes are often absent
    true = [draw(hnp.arrays(np.int64, n, elements=label)) for n in lengths]
    predicted = [draw(hnp.arrays(np.int64, n, elements=label)) for n in lengths]
    scores = [draw(hnp.arrays(np.float64, (n, classes), elements=st.sampled_from([0, 0.25, 0.5, 1]))) for n in lengths]
    return true, predicted, scores


def by_sklearn(true, predicted, scores, weight=None) -> dict[str, float]:
    labels = np.arange(4)
    options = {"labels": labels, "zero_division": 0, "sample_weight": weight}
    precision, recall, f1, _ = precision_recall_fscore_support(true, predicted, **options)
    present = np.union1d(true, predicted)
    expected = {"accuracy": accuracy_score(true, predicted, sample_weight=weight), "f1_present": f1[present].mean()}
    for name, values in (("f1", f1), ("precision", precision), ("recall", recall)):
        expected |= {name: values[:3].mean(), f"macro_{name}": values.mean()}
        expected |= {f"{name}_{label}": values[k] for k, label in enumerate(TASK1_CLASSES)}
    aps = []
    for k, label in enumerate(TASK1_CLASSES):
        ap = average_precision_score(true == k, scores[:, k], sample_weight=weight) if (true == k).any() else np.nan
        expected[f"ap_{label}"] = ap
        aps.append(ap)
    return expected | {"map": np.mean(aps[:3])}


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=150, deadline=None)
@given(predictions())
def test_every_metric_is_scikit_learns_on_pooled_frames(made):
    true, predicted, scores = made
    if not sum(map(len, true)):
        return
    expected = by_sklearn(*map(np.concatenate, made))
    found = evaluate(true, predicted, scores, TASK1_CLASSES)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-12, nan_ok=True), name


def test_metrics_by_hand():
    true = [np.array([0, 0, 1, 3]), np.array([1, 3])]
    predicted = [np.array([0, 1, 1, 3]), np.array([3, 3])]
    found = evaluate(true, predicted, None, TASK1_CLASSES)
    assert found["f1_attack"] == pytest.approx(2 / 3)  # precision 1, recall 1/2
    assert found["f1_investigation"] == pytest.approx(1 / 2)  # precision 1/2, recall 1/2
    assert found["f1_mount"] == 0  # neither occurs nor is predicted
    assert found["f1_other"] == pytest.approx(4 / 5)  # precision 2/3, recall 1
    assert found["f1"] == pytest.approx((2 / 3 + 1 / 2) / 3)
    assert found["macro_f1"] == pytest.approx((2 / 3 + 1 / 2 + 4 / 5) / 4)
    assert found["f1_present"] == pytest.approx((2 / 3 + 1 / 2 + 4 / 5) / 3)
    assert found["precision"] == pytest.approx((1 + 1 / 2) / 3)
    assert found["macro_precision"] == pytest.approx((1 + 1 / 2 + 2 / 3) / 4)
    assert found["accuracy"] == pytest.approx(4 / 6)
    assert "map" not in found


def test_average_precision_by_hand():
    # Down the scores: a positive (precision 1), two tied with one positive (2/3), a negative, a positive (3/5).
    positive = [np.array([1, 1, 0]), np.array([0, 1])]
    score = [np.array([0.9, 0.5, 0.5]), np.array([0.3, 0.1])]
    assert average_precision(positive, score) == pytest.approx([(1 + 2 / 3 + 3 / 5) / 3])
    second_twice = average_precision(positive, score, np.array([[1, 2]]))
    assert second_twice == pytest.approx([(1 / 4) * 1 + (1 / 4) * (2 / 3) + (2 / 4) * (4 / 7)])


def test_average_precision_without_a_positive_frame_is_not_a_number():
    assert np.isnan(average_precision([np.zeros(3)], [np.arange(3.0)])).all()
    found = evaluate([np.array([0, 3])], None, [np.eye(4)[[0, 3]]], TASK1_CLASSES)
    assert np.isnan(found["map"])
    assert found["ap_attack"] == 1


def test_rows_of_weights_are_scored_in_parts_as_together(monkeypatch):
    rng = np.random.default_rng(0)
    positive, score = [rng.random(20) < 0.5 for _ in range(3)], [rng.random(20) for _ in range(3)]
    weights = rng.integers(0, 3, (10, 3))
    together = average_precision(positive, score, weights)
    gaining = sum(map(np.sum, positive))  # thresholds of a row
    for rows in (1, 3, 10):
        monkeypatch.setattr(frames, "_CHUNK_VALUES", rows * gaining)
        assert np.array_equal(average_precision(positive, score, weights), together, equal_nan=True)


def test_without_predictions_the_largest_score_decides():
    scores = [np.array([[0.1, 0.6, 0.3, 0], [0, 0, 0, 1]])]
    found = evaluate([np.array([1, 3])], None, scores, TASK1_CLASSES)
    assert found["accuracy"] == 1


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=60, deadline=None)
@given(predictions(), st.integers(0, 1000))
def test_resampled_videos_are_scored_as_if_repeated(made, seed):
    true, predicted, scores = made
    videos = len(true)
    if not all(map(len, true)):
        return
    drawn = np.random.default_rng(seed).multinomial(videos, np.full(videos, 1 / videos), size=20)
    np.testing.assert_array_equal(draw(videos, 20, seed), drawn)
    resampled = weighted_metrics(true, predicted, scores, TASK1_CLASSES, drawn)
    samples = []
    for weights in drawn:
        order = np.repeat(np.arange(videos), weights)
        samples.append(by_sklearn(*(np.concatenate([part[v] for v in order]) for part in made)))
    for name, values in resampled.items():
        expected = np.array([sample[name] for sample in samples])
        assert values == pytest.approx(expected, abs=1e-9, nan_ok=True), name
        found = interval(values)
        defined = values[~np.isnan(values)]
        assert found.undefined == 20 - len(defined), name
        if len(defined):
            assert (found.low, found.high) == pytest.approx(tuple(np.quantile(defined, [0.025, 0.975]))), name
        else:
            assert np.isnan([found.low, found.high]).all()


def test_interval_is_seeded_wide_over_unlike_videos_and_a_point_for_one():
    rng = np.random.default_rng(0)
    true = [rng.integers(0, 4, 200) for _ in range(6)]
    wrong = [(t + (rng.random(200) < share)) % 4 for t, share in zip(true, np.linspace(0, 1, 6), strict=True)]
    one, again, other = (
        interval(weighted_metrics(true, wrong, None, TASK1_CLASSES, draw(6, seed=s))["f1"]) for s in (0, 0, 1)
    )
    assert one == again != other
    estimate = evaluate(true, wrong, None, TASK1_CLASSES)["f1"]
    assert 0.2 < one.low < estimate < one.high < 0.9
    assert one.high - one.low > 0.2
    single = interval(weighted_metrics(true[1:2], wrong[1:2], None, TASK1_CLASSES, draw(1))["f1"])
    assert single.low == single.high == evaluate(true[1:2], wrong[1:2], None, TASK1_CLASSES)["f1"]


@settings(deadline=None)
@given(predictions())
def test_confusion_matrix_is_scikit_learns(made):
    true, predicted = np.concatenate(made[0]), np.concatenate(made[1])
    counts = confusion(true, predicted, 4)
    if len(true):
        assert np.array_equal(counts, confusion_matrix(true, predicted, labels=np.arange(4)))
        assert np.allclose(
            row_normalised(counts), confusion_matrix(true, predicted, labels=np.arange(4), normalize="true")
        )
    else:
        assert not counts.any()


def test_posters_confusion_matrix_gives_the_posters_row():
    """Douglas (2025): end-to-end confusion matrix, with the frames of each class in CalMS21's Task 1 test split."""
    rows = np.array([[0.18, 0.67, 0.13, 0.017], [0.22, 0.59, 0.14, 0.058], [0.12, 0.46, 0.41, 0.013]])
    rows = np.vstack([rows, [0.015, 0.049, 0.019, 0.92]])
    frames = np.array([12630, 61275, 31848, 156354])
    found = count_metrics(rows * frames[:, None], TASK1_CLASSES, frames)
    assert found["macro_f1"] == pytest.approx(0.523, abs=5e-4)
    assert found["macro_precision"] == pytest.approx(0.528, abs=5e-4)
    assert found["macro_recall"] == pytest.approx(0.525, abs=5e-4)
    assert found["f1"] == pytest.approx(0.382, abs=5e-4)


def test_authors_predictions_give_the_known_answers(real_data):
    folder = real_data / "author_predictions_mouse071"
    true, predicted = np.load(folder / "demo_ground_truth_ifactions.npy"), np.load(folder / "demo_ifaction_pred.npy")
    found = evaluate([true], [predicted], [np.eye(2)[predicted]], BINARY)
    known = {"accuracy": 0.95384, "precision": 0.89294, "recall": 0.97135, "f1": 0.93049, "map": 0.87646}
    assert {name: found[name] for name in known} == pytest.approx(known, abs=1e-5)
    true, predicted = np.load(folder / "demo_ground_truth_actions.npy"), np.load(folder / "demo_action_pred.npy")
    found = evaluate([true], [predicted], None, TASK1_CLASSES)
    assert found["accuracy"] == pytest.approx(0.76497, abs=1e-5)
    assert found["f1_present"] == pytest.approx(0.44056, abs=1e-5)


def test_binary_metrics_take_action_as_positive():
    true, predicted = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 0, 1, 1])
    p_action = np.array([0.9, 0.4, 0.6, 0.2, 0.1])
    found = evaluate([true], [predicted], [np.stack([p_action, 1 - p_action], 1)], BINARY)
    assert (found["precision"], found["recall"], found["f1"]) == (0.5, 0.5, 0.5)
    assert found["map"] == pytest.approx((1 + 2 / 3) / 2)
    assert found["accuracy"] == 0.6


@pytest.mark.parametrize(
    ("true", "predicted", "scores", "message"),
    [
        ([[0]], None, None, "need predictions or scores"),
        ([], [], None, "at least one"),
        ([[0]], [[0], [1]], None, "same videos"),
        ([[0, 1]], [[0]], None, r"video 0: predictions have shape \(1,\), not \(2,\)"),
        ([[0], [4, 0]], [[0], [0, 0]], None, "video 1: labels must be from 0 to 3"),
        ([[0, 0]], [[-1, 0]], None, "video 0: predictions must be from 0 to 3"),
        ([[0]], None, [np.ones((1, 3))], r"video 0: scores have shape \(1, 3\), not \(1, 4\)"),
        ([[0]], [[0]], [np.ones((1, 4))] * 2, "same videos"),
        ([[0]], None, [np.array([[0, 1, np.nan, 0]])], "video 0: scores hold a value that is not finite"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(true, predicted, scores, message):
    with pytest.raises(InputError, match=message):
        evaluate(true, predicted, scores, TASK1_CLASSES)
