"""Which statistics of the recordings count as near enough."""

import json

import pandas as pd
import pytest

from mbrepro.demo import likeness
from mbrepro.demo.simulated import DemoSettings
from mbrepro.demo.standin.evaluate import SHOWN
from mbrepro.embedding.standin import STAND_IN_WEIGHTS
from mbrepro.study import dataset, ladder, recorded
from mbrepro.study.dataset import near_and_off


def test_medians_within_the_tolerance_are_near_on_either_side_and_the_others_are_listed():
    reach = likeness.POSE_TOLERANCE
    ratios = [1, 1 + 0.99 * reach, 1 - 0.99 * reach, 1 + 1.01 * reach, 1 - 1.01 * reach]
    medians = pd.DataFrame(
        {"what": list("abcde"), "unit": "px", "simulated": 2.0, "real": 1.0, "ratio": ratios, "source": "x"}
    )
    near, off = near_and_off(medians)
    assert near == 3 and off.index.tolist() == ["d, px", "e, px"]
    assert off.columns.tolist() == ["simulated", "real", "ratio"]
    assert off["ratio"].tolist() == pytest.approx(ratios[3:])


def test_tables_of_annotators_and_tracker_become_rows_of_the_comparison():
    """What each says stands beside its real figure; that both agree is test_annotators' and test_tracker's matter."""
    annotators = dataset.annotator_table(DemoSettings(train_recordings=4, test_recordings=2, seconds=60))
    people = recorded.read("human")["figures"]["first"]["metrics"]
    assert annotators.loc["Cohen's kappa", "real"] == people["kappa"]["value"]
    assert 0.3 < annotators.loc["Cohen's kappa", "simulated"] < 1
    tracker = pd.DataFrame(
        {"simulated": [1.0, 2, 3, 4], "real": [5.0, 6, 7, 8]},
        index=["ear, apart, median", "ear, apart, p90", "hip, apart, median", "hip, apart, p90"],
    )
    before = pd.DataFrame([("x", 1.0, 2.0, "px", "y")], columns=["what", "simulated", "real", "unit", "source"])
    measured, _ = ladder.recorded_ladder()
    rows = dataset.every_comparison(before, measured, annotators=annotators, tracker=tracker)
    assert len(rows) == 1 + len(annotators) + 4 + len(measured) and rows["what"].is_unique
    assert rows.set_index("what").loc["tracker: hip, apart, p90", "real"] == 8
    wide = dataset.side_by_side(tracker)
    assert wide.columns.tolist() == ["median, simulated", "median, real", "p90, simulated", "p90, real"]
    assert wide.loc["hip, apart"].tolist() == [3, 7, 4, 8] and wide.index.tolist() == ["ear, apart", "hip, apart"]


def test_how_many_figures_are_near_the_peoples():
    assert dataset.near_people(pd.DataFrame({"simulated": [1.09, 0.89, 2.0], "real": [1.0, 1.0, 2.0]})) == 2


def test_the_stand_in_tells_most_from_squares_and_poses_least_from_whole_frames_as_page_00_says():
    found = dataset.stand_in_scores()
    for measure in ("accuracy", "balanced accuracy"):
        assert found[measure].is_monotonic_increasing and found[measure].is_unique
    assert (found["balanced, untrained twin"] < found["balanced accuracy"]).all()
    assert [shown.split(",")[0] for shown in found.index] == ["whole frame", "square round both mice", "that square"]
    table = pd.read_csv(STAND_IN_WEIGHTS / "evaluation.csv").set_index(["model", "shown", "view"])
    assert set(table["clips"]) == {152} and [SHOWN[shown].sampled_fps for shown in ("frame", "mice")] == [4, 8]
    assert len(json.loads((STAND_IN_WEIGHTS / "training.json").read_text())["held_out_animals"]) == 20
