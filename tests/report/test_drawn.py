"""The data of a figure are what it draws."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import seaborn as sns

from mbrepro.report.drawn import MOST, drawn


@pytest.fixture
def figure():
    figure, (left, middle, right) = plt.subplots(1, 3)
    left.plot([1, 2], [0.5, 0.25], label="F1")
    left.fill_between([1, 2], [0.4, 0.2], [0.6, 0.3])
    left.scatter([3, 4, 5], [0.1, 0.2, 0.3], label="dots")
    left.set_title("scores")
    sns.heatmap(pd.DataFrame([[1.0, 2.0], [3.0, np.nan]], ["a", "b"], ["c", "d"]), ax=middle, cbar=False)
    middle.set_title("cells", loc="left")
    right.bar([0, 1], [0.7, -0.2], width=0.5, label="gain")
    right.imshow(np.zeros((2, 2)))
    yield figure
    plt.close(figure)


def test_every_kind_of_mark_is_told_by_its_numbers(figure):
    table = drawn(figure)
    marks = table[["panel", "series", "mark", "x", "y"]].to_numpy().tolist()
    assert marks[:2] == [["scores", "F1", "line", 1, 0.5], ["scores", "F1", "line", 2, 0.25]]
    band = table[table["mark"] == "edge"]
    assert {(1, 0.4), (1, 0.6), (2, 0.2), (2, 0.3)} <= set(zip(band["x"], band["y"], strict=True))
    points = table[table["mark"] == "point"]
    assert points[["x", "y"]].to_numpy().tolist() == [[3, 0.1], [4, 0.2], [5, 0.3]]
    assert set(points["series"]) == {"dots"}
    cells = table[table["mark"] == "cell"].set_index("series")["y"]
    assert cells.dropna().to_dict() == {"a → c": 1, "a → d": 2, "b → c": 3} and cells.index[-1] == "b → d"
    assert set(table.loc[table["mark"] == "cell", "panel"]) == {"cells"}
    bars = table[table["mark"] == "bar"]
    assert bars[["panel", "series", "x", "width", "height"]].to_numpy().tolist() == [
        ["3", "gain", -0.25, 0.5, 0.7], ["3", "gain", 0.75, 0.5, -0.2],
    ]  # fmt: skip


def test_pictures_alone_have_no_data():
    figure, axis = plt.subplots()
    axis.imshow(np.zeros((2, 2)))
    assert drawn(figure).empty
    plt.close(figure)


def test_panels_that_share_an_axis_share_its_names():
    figure, axes = plt.subplots(1, 2, sharey=True)
    for axis, value in zip(axes, (1.0, 2.0), strict=True):
        sns.heatmap(pd.DataFrame([[value], [0.0]], ["a", "b"], ["c"]), ax=axis, cbar=False)
    assert drawn(figure)["series"].tolist() == ["a → c", "b → c"] * 2
    plt.close(figure)


def test_a_long_line_is_thinned_and_keeps_its_ends():
    figure, axis = plt.subplots()
    axis.plot(np.arange(10 * MOST), np.arange(10 * MOST) / 7)
    table = drawn(figure)
    assert len(table) == MOST and table["x"].iloc[[0, -1]].tolist() == [0, 10 * MOST - 1]
    assert table["y"].to_numpy() == pytest.approx(table["x"] / 7, abs=1e-5) and table["x"].diff().max() <= 11
    plt.close(figure)
