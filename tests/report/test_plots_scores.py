"""Curves and histograms whose numbers are those of the table beside them."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from mbrepro.data.recordings import TASK1_CLASSES, Dataset, Prediction, Recording
from mbrepro.metrics.bouts import bout_metrics
from mbrepro.report import plots_scores
from mbrepro.study import results
from mbrepro.study.beyond import Scores
from mbrepro.study.results import Run


@pytest.fixture(scope="module")
def by_title() -> dict[str, list[Run]]:
    """Two titles of two seeds on three recordings, worse for the second."""
    rng = np.random.default_rng(0)
    true = [np.repeat(rng.integers(0, 4, 30), rng.integers(5, 30, 30)) for _ in range(3)]

    def run(seed, noise):
        videos = []
        for k, labels in enumerate(true):
            scores = np.roll(np.eye(4)[labels], 2, axis=0) + rng.random((len(labels), 4)) * noise
            videos.append(Prediction(f"mouse{k}", labels, scores.argmax(1), scores, 30.0))
        return Run(seed, "task1", TASK1_CLASSES, tuple(videos))

    return {name: [run(seed, noise) for seed in range(2)] for name, noise in (("good", 0.9), ("bad", 2.0))}


def test_curves_hold_the_tables_map_and_the_area_under_them_is_their_average_precision(by_title):
    figure = plots_scores.precision_recall(by_title)
    tables = {t: results.score("baseline", "corrected", r, 10).set_index("metric")["mean"] for t, r in by_title.items()}
    keys = [text.get_text() for text in figure.legends[0].get_texts()]
    assert keys == [f"{title}: MAP {table['map']:.3f}" for title, table in tables.items()]
    for axis, name in zip(figure.axes, TASK1_CLASSES, strict=False):
        shown = [text.get_text() for text in axis.get_legend().get_texts()]
        lines = [line for line in axis.lines if len(line.get_xdata())]
        assert axis.get_title() == name and len(lines) == 4
        areas = [-np.sum(np.diff(line.get_xdata()) * line.get_ydata()[:-1]) for line in lines]
        assert shown == [f"AP {np.mean(areas[:2]):.3f}", f"AP {np.mean(areas[2:]):.3f}"]
    plt.close(figure)


def test_histograms_of_ends_have_the_medians_of_the_bout_metrics(by_title):
    figure = plots_scores.ends_off({title: runs[:1] for title, runs in by_title.items()})
    for axis, end in zip(figure.axes, ("onset", "offset"), strict=True):
        shown = [text.get_text() for text in axis.get_legend().get_texts()]
        for (title, runs), text in zip(by_title.items(), shown, strict=False):
            pair = ([getattr(v, name) for v in runs[0].videos] for name in ("true", "labels"))
            assert text == f"{title}: median {bout_metrics(*pair, TASK1_CLASSES, 30.0)[f'{end}_abs'][0]:.2f} s"
        assert shown[-1].startswith("two people, real mice: median 0.")
        for stairs in axis.patches:
            assert stairs.get_data().values.sum() == pytest.approx(1)
    plt.close(figure)


def test_reliability_is_the_share_of_each_tenth_of_scores_that_is_right():
    rng = np.random.default_rng(0)
    labels = np.append(rng.integers(0, 4, 500), -1)  # the last unlabelled
    raw, good = (rng.dirichlet(np.ones(4), 501) for _ in range(2))
    recording = Recording("mouse1_x", rng.random((501, 2, 7, 2)), labels=labels, partly_labelled=True)
    data = Dataset("task1", TASK1_CLASSES, (), (recording,), "made")
    figure = plots_scores.reliability(data, {"boosting": Scores([], [[good]], [raw])})
    _, *drawn = figure.axes[0].lines  # the first is the diagonal
    for line, scores in zip(drawn, (raw[:500], good[:500]), strict=True):
        is_so, told, bins = np.eye(4)[labels[:500]], [], np.minimum((scores * 10).astype(int), 9)
        for k in np.unique(bins):
            told.append((scores[bins == k].mean(), is_so[bins == k].mean()))
        np.testing.assert_allclose(np.transpose(line.get_data()), told)
    assert [line.get_label() for line in drawn] == ["as they are", "calibrated"]
    plt.close(figure)
