"""Tables of results: a cell says what its row does, and no more."""

import numpy as np
import pandas as pd

from mbrepro.report.tables import by_protocol, gate_table, laws_table
from mbrepro.study.results import COLUMNS


def test_protocols_stand_below_each_other_with_spread_and_interval():
    lines = [
        ("baseline", "corrected", "f1", 0.8, 0.013, 0.7, 0.9, 5, 19, 0, 0.79, ""),
        ("baseline", "corrected", "accuracy", 0.9, 0.0, 0.8, 0.95, 5, 19, 0, np.nan, ""),
        ("baseline", "corrected", "map", np.nan, np.nan, np.nan, np.nan, 5, 19, 0, 0.85, ""),
        ("baseline", "boosting_raw", "f1", 0.91, 0.0, np.nan, np.nan, 1, 2, 0, 0.79, ""),
        ("baseline", "boosting_raw", "map", 0.95, 0.0, 0.9, 0.97, 1, 19, 0, 0.85, ""),
    ]
    found = by_protocol(pd.DataFrame(lines, columns=COLUMNS), {"f1": "F1", "map": "MAP"})
    assert found.to_dict("index") == {
        "corrected": {"F1": "0.800 ± 0.013 [0.70, 0.90]", "MAP": "not defined"},
        "boosting, raw": {"F1": "0.910", "MAP": "0.950 [0.90, 0.97]"},
    }


def test_a_power_law_is_a_line_a_score_with_its_trial_where_there_is_one():
    rows = [
        ("f1", "minutes", 0, 24.04, 0.61, 0.55, 0.7, 0.65),
        ("f1", "minutes", 1, 24.04, 0.64, 0.6, 0.7, 0.65),
        ("f1", "minutes", 4, 96.16, 0.7, 0.62, 0.8, np.nan),
        ("ap_near", "bouts_near", 1, 12, 0.5, 0.4, 0.6, 0.52),
        ("bout_f1_50_near", "bouts_near", 1, 1120, 0.5, 0.4, 0.6, 0.52),
    ]
    columns = ["score", "by", "times", "amount", "value", "low", "high", "measured"]
    found = laws_table(pd.DataFrame(rows, columns=columns))
    assert found.loc["F1"].to_dict() == {
        "labelled": "24 minutes", "measured": "0.650", "the trial": "0.610 [0.550, 0.700]",
        "its fit now": "0.640 [0.600, 0.700]", "four times as much": "0.700 [0.620, 0.800]",
    }  # fmt: skip
    assert found.loc["average precision near", ["labelled", "measured", "the trial"]].tolist() == [
        "12 bouts",
        "0.520",
        "",
    ]
    assert found.loc["bout F1 near", "labelled"] == "1,120 bouts"


def test_of_the_gates_the_difference_and_the_ends_are_shown_in_words():
    rows = [
        ("poses alone", "none", 0.0),
        ("gated", "difference", 0.125),
        ("gated", "random", 0.2),
        ("dense", "none", 0.5),
    ]
    curves = pd.DataFrame(rows, columns=["variant", "gate", "share_of_video"])
    curves = curves.assign(passes=1.0, tflop_per_hour=2.0, f1=0.8444, low=0.7, high=0.9, map=0.9, bout_f1=0.6)
    shown = gate_table(curves)
    assert shown["shown to stage 2"].tolist() == ["poses alone", "what the gate chooses", "dense"]
    assert shown["of the video"].tolist() == ["0%", "12%", "50%"] and shown["F1"].iloc[0] == "0.844 [0.70, 0.90]"
