"""All metrics of two labellings together: videos drawn twice are scored as if they were there twice."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mbrepro.errors import InputError
from mbrepro.metrics.agreement import agreement_metrics
from mbrepro.metrics.banos import banos_metrics
from mbrepro.metrics.bouts import boundary_errors, bout_metrics, found_bouts
from mbrepro.metrics.frames import evaluate
from mbrepro.metrics.labels import label_metrics
from mbrepro.metrics.resampling import draw, estimates, interval
from tests.fixtures.labellings import CLASSES, feral_test, human_pairs, pairs

MEANS = ("bout_f1", "bout_precision", "bout_recall", "f1_within")  # a row without one of the behaviours has none


@settings(max_examples=40, deadline=None)
@given(pairs(), st.data())
def test_videos_drawn_twice_are_scored_as_if_there_twice(made, data):
    drawn = data.draw(st.lists(st.integers(0, 3), min_size=len(made[0]), max_size=len(made[0])))
    if not sum(drawn):
        return
    rates = np.linspace(10, 30, len(drawn))
    found = label_metrics(*made, CLASSES, rates, np.array([np.ones(len(drawn)), drawn]))
    repeated = [[video for video, times in zip(part, drawn, strict=True) for _ in range(times)] for part in made]
    again = label_metrics(*repeated, CLASSES, np.repeat(rates, drawn))
    assert found.keys() == again.keys()
    once = label_metrics(*made, CLASSES, rates)
    for name, (whole, weighted) in found.items():
        assert whole == pytest.approx(once[name][0], nan_ok=True), name
        if np.isnan(weighted) and name.startswith(MEANS):
            continue
        assert weighted == pytest.approx(again[name][0], nan_ok=True), name


def test_estimates_are_the_metrics_with_intervals_over_draws():
    rng = np.random.default_rng(0)
    true = [np.repeat(rng.integers(0, 4, 30), 10) for _ in range(9)]
    predicted = [np.where(rng.random(300) < 0.1, rng.integers(0, 4, 300), labels) for labels in true]
    found = estimates(true, predicted, CLASSES, 30.0, 50, seed=3)
    frames, drawn = evaluate(true, predicted, None, CLASSES), draw(9, 50, 3)
    assert frames == {name: found[name]["value"] for name in frames}
    for name in ("bout_f1_50", "kappa", "onset_abs", "da"):
        between = interval(label_metrics(true, predicted, CLASSES, 30.0, drawn)[name])
        assert found[name]["low"] < found[name]["value"] < found[name]["high"] or name == "onset_abs"
        assert (found[name]["low"], found[name]["high"], found[name]["undefined"]) == (between.low, between.high, 0)


@pytest.mark.parametrize(
    "measure", [agreement_metrics, banos_metrics, bout_metrics, boundary_errors, found_bouts, label_metrics]
)
def test_labels_that_do_not_fit_are_refused_by_each_measure(measure):
    for true, predicted, told in (([[0, 1]], [[0]], r"\(1,\), not \(2,\)"), ([[0]], [[4]], "must be from 0 to 3")):
        with pytest.raises(InputError, match=f"video 0: predictions .*{told}"):
            measure(true, predicted, CLASSES, 30.0)


def test_two_people_and_feral_have_the_known_frame_metrics(real_data):
    known = {"f1": 0.826, "f1_attack": 0.740, "f1_investigation": 0.812, "f1_mount": 0.925, "f1_other": 0.937}
    known |= {"macro_f1": 0.853, "accuracy": 0.898, "kappa": 0.806}
    people = estimates(*human_pairs(real_data), CLASSES, 30.0)
    assert {name: people[name]["value"] for name in known} == pytest.approx(known, abs=5e-4)
    assert people["f1"]["low"] < people["f1"]["value"] < people["f1"]["high"]
    known = {"f1": 0.893, "f1_attack": 0.847, "f1_investigation": 0.883, "f1_mount": 0.947, "f1_other": 0.961}
    feral = label_metrics(*feral_test(real_data), CLASSES, 30.0)
    assert {name: feral[name][0] for name in known} == pytest.approx(known, abs=6e-4)


def test_action_against_other_is_as_known(real_data):
    for both, known in ((human_pairs(real_data), 0.879), (feral_test(real_data), 0.943)):
        action = [[np.where(labels == 3, 1, 0) for labels in part] for part in both]
        assert label_metrics(*action, ("action", "other"), 30.0)["f1"][0] == pytest.approx(known, abs=5e-4)
