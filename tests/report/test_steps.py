"""Figures and words of steps: what is drawn lies where the numbers are."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mbrepro.report import steps
from mbrepro.study import ladder

CURVES = np.array([[0.2, 0.6, 0.5], [0.4, 0.4, 0.7]])  # best after 3 (0.6), each division after 2 and 3


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def test_a_bar_reaches_from_the_line_before_to_its_own():
    table = pd.DataFrame({"step": ["as published", "up", "down"]})
    for metric, levels in (("F1", [0.2, 0.5, 0.4]), ("MAP", [0.3, 0.3, 0.6])):
        table[metric], table[f"{metric} sd"], table[f"{metric} gain"] = levels, 0.01, pd.Series(levels).diff()
    f1, mean_ap = steps.waterfall(table).axes
    bars = [(bar.get_x(), bar.get_width()) for bar in f1.patches]
    np.testing.assert_allclose(bars, [(0.2, 0.3), (0.5, -0.1)])
    np.testing.assert_allclose([bar.get_width() for bar in mean_ap.patches], [0, 0.3])
    assert f1.patches[0].get_facecolor() != f1.patches[1].get_facecolor()
    assert [text.get_text() for text in f1.texts] == ["0.200", "+0.300", "-0.100"]
    assert [label.get_text() for label in f1.get_yticklabels()] == ["as published", "up", "down"]


def test_words_say_where_the_steps_lead_and_which_add_and_take_most():
    table = pd.DataFrame({"step": ["as published", "up & up", "down", "no"], "F1": [0.1, 0.4, 0.3, 0.3]})
    table["F1 gain"] = table["F1"].diff()
    said = steps.in_words(table).data
    assert "goes from 0.100 to 0.300; 1 of the 3 steps takes from it." in said
    assert (
        "largest gain, +0.300, is that of: up &amp; up." in said and "largest loss, -0.100, is that of: down." in said
    )
    assert "largest gain" not in steps.in_words(table.iloc[[0, 2, 3]]).data
    assert "largest loss" not in steps.in_words(table.iloc[[0, 1, 3]]).data


def test_words_say_which_number_of_passes_was_chosen_and_by_what():
    text = steps.epochs_chosen(CURVES[:, :2]).data
    assert "1 to 2 passes, 2 are best" in text and "F1 0.500, the mean of 2 divisions" in text
    assert "alone would have chosen 2, 1" in text


def test_words_say_where_the_best_was_the_last_tried():
    assert "That is the last number tried" in steps.epochs_chosen(CURVES).data
    assert "last number tried" not in steps.epochs_chosen(CURVES[:1]).data
    assert "divisions" not in steps.epochs_chosen(CURVES[:1]).data
    assert "all 4 passes" in steps.epochs_chosen(np.zeros((0, 4))).data


def test_the_ring_is_at_the_passes_chosen():
    (axis,) = steps.epoch_curve(CURVES, "F1").axes
    *_, mean, ring = axis.lines
    np.testing.assert_allclose(mean.get_ydata(), [0.3, 0.5, 0.6])
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (3, pytest.approx(0.6))
    assert not steps.epoch_curve(np.zeros((0, 4)), "F1").axes[0].lines


def test_what_the_baseline_learns_with_more_passes_is_the_recorded_ladder_s():
    """Of the demo alone: how many passes it makes, how many held-out train animals choose, and the F1 they lead to."""
    assert steps.stops_short("CalMS21").data == ""
    said, curve = steps.stops_short("simulated").data, ladder.recorded_curves()["±200 frames"].mean(0)
    best = 1 + int(curve.argmax())
    (line,) = ladder.recorded_ladder()[0].query("network == '±200 frames' and metric == 'f1'").to_dict("records")
    assert "at most 6 passes" in said and best > 6 and max(curve[-5:]) - min(curve[-5:]) < curve[best - 1] - curve[5]
    assert f"is then {curve[5]:.3f}, and {curve[best - 1]:.3f} after {best}, the best of up to 15" in said
    assert f"With these it has an F1 of {line['mean']:.3f} ± {line['sd']:.3f} on the demo's test" in said
