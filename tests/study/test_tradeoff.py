"""Single changes of the simulator: what is recorded, and what page 00 makes of it."""

import re

import pandas as pd
import pytest

from mbrepro.demo import judges
from mbrepro.report import hardness
from mbrepro.study import tradeoff

COLUMNS = [
    "raw",
    "smoothed",
    "true poses",
    "action",
    "official",
    "official attack",
    "official investigation",
    "nose",
    "lengths",
]


@pytest.fixture
def table() -> pd.DataFrame:
    """Made up: no errors help the network by more than chance and the trees too; holding on harms the trees alone."""
    as_is = [0.84, 0.85, 0.87, 0.85, 0.53, 0.24, 0.54, 38.0, 1.0]
    found = pd.DataFrame([as_is] * len(judges.CHANGES), index=list(judges.CHANGES), columns=COLUMNS)
    found.loc["drawn anew", ["raw", "official", "official attack"]] = 0.82, 0.56, 0.5
    found.loc["drawn anew again", "raw"] = 0.85
    found.loc["no tracking errors", ["raw", "official"]] = 0.90, 0.60
    found.loc["half the tracking errors", ["raw", "official"]] = 0.87, 0.55
    found.loc["1.5 times the tracking errors", ["raw", "official"]] = 0.80, 0.54
    found.loc["attacks without holding on", ["raw", "official", "official attack"]] = 0.83, 0.57, 0.39
    return found


def test_a_target_is_missed_by_the_distance_to_its_bound(table):
    missed = tradeoff.shortfalls(table)
    assert missed.loc[judges.AS_IS].tolist() == pytest.approx([0.01, -0.01, 0.02, 0.053, 0.12, 0.16])
    assert missed.columns[0] == "raw within 0.03 of 0.8" and missed.columns[-1] == "official attack at least 0.4"
    told = tradeoff.nearest(table)
    assert told.loc["official attack at least 0.4"].tolist() == [
        "missed by 0.160", "0.260", "attacks without holding on", "missed by 0.010",
    ]  # fmt: skip
    assert told["nearest after"].tolist()[0] == "1.5 times the tracking errors"
    assert told.loc["smoothed above raw", "as the demo is"] == "met by 0.010"
    assert told["redraws move it by"].tolist() == ["0.020", "0.020", "0.020", "0.000", "0.030", "0.260"]


def test_words_follow_from_the_table(table):
    chance, helps, harms, errors, left = re.findall("<li>(.*?)</li>", hardness.why(table))
    assert "trees by up to 0.020 and the official network&#x27;s by up to 0.030" in chance
    assert "no tracking errors (+0.070; trees +0.060), attacks without holding on (+0.040; trees -0.010)" in helps
    assert "same way after 1 of these 2" in helps and "half" not in helps
    assert "nothing here" in harms
    assert "only raw falls" in errors and "official 0.600 → 0.550 → 0.530 → 0.540" in errors
    assert "As the demo is, 5 of 6 targets are missed, action within 0.02 of 0.923, official at least 0.65 by" in left
    assert "Met by no single change: action within 0.02 of 0.923, official at least 0.65, official attack" in left
    assert left.endswith("after the change 1.5 times the tracking errors: 3.")


def test_a_line_a_judge_and_its_bounds_are_drawn(table):
    boosted, official = hardness.changes(table).axes
    lines = {line.get_label(): line for line in (*boosted.lines, *official.lines)}
    assert lines["raw"].get_xdata().tolist() == table["raw"].tolist()
    assert lines["official attack"].get_xdata().tolist() == table["official attack"].tolist()
    assert [text.get_text() for text in boosted.get_yticklabels()] == list(judges.CHANGES)
    bounds = sorted(line.get_xdata()[0] for line in boosted.lines if line.get_linestyle() == ":")
    assert bounds == pytest.approx([0.77, 0.83, 0.903, 0.943])


# --- what is recorded -----------------------------------------------------------------------------------------------


def test_recorded_changes_were_measured_with_this_simulator_and_these_judges():
    found, provenance = tradeoff.recorded_changes()
    assert provenance["made_from"] == tradeoff.made_from()
    assert found.index.tolist() == list(judges.CHANGES) and sorted(found) == sorted(COLUMNS)
    assert found.drop(columns=["nose", "lengths"]).stack().between(0, 1).all()
    assert found.loc["no tracking errors", "raw"] == found.loc[judges.AS_IS, "true poses"]


def test_who_sniffs_from_farther_off_is_farther_from_mice():
    """What page 00 says of that change, and of tracking errors half as large again."""
    found, real = tradeoff.recorded_changes()[0], tradeoff.real_nose()
    assert abs(found["nose"][judges.AS_IS] - real) < abs(found["nose"]["sniffs from farther off"] - real)
    assert abs(found["lengths"][judges.AS_IS] - 1) < 0.1 < 0.2 < found["lengths"]["1.5 times the tracking errors"] - 1
    missed = tradeoff.shortfalls(found) > 0
    assert missed.sum(axis=1).idxmin() == "1.5 times the tracking errors"
