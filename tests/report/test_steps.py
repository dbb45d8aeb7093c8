"""Figures and words of steps: what is drawn lies where the numbers are."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from mbrepro.report import steps

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


def test_words_say_what_the_steps_add_and_which_most():
    table = pd.DataFrame({"step": ["as published", "up & up", "down", "no"], "F1 gain": [np.nan, 0.3, -0.1, 0.0]})
    said = steps.in_words(table).data
    assert (
        "add +0.200 to" in said
        and "1 of the 3 steps takes from it" in said
        and "+0.300, is that of: up &amp; up." in said
    )
    assert "largest" not in steps.in_words(table.iloc[[0, 2, 3]]).data


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
