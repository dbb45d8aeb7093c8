"""The trivial answer to both stages' rows."""

import numpy as np
import pytest

from mbrepro.data.recordings import TASK1_CLASSES, UNLABELLED, Prediction
from mbrepro.study import results, two_stages
from mbrepro.study.results import Run


def test_the_trivial_answer_is_the_most_frequent_behaviour_of_what_is_labelled():
    true = [np.array([0, 1, 1, 3, 3, 3]), np.array([UNLABELLED, 1, 3, 3, 2, UNLABELLED])]
    videos = tuple(
        Prediction(f"v{k}", t, np.zeros(6, int), np.eye(4)[np.zeros(6, int)], 30.0) for k, t in enumerate(true)
    )
    (said,) = two_stages.always([Run(0, "task1", TASK1_CLASSES, videos)])
    assert all((video.labels == TASK1_CLASSES.index("investigation")).all() for video in said.videos)
    rows = results.score("pose_vlm", "corrected", [said], 10).set_index("metric")["mean"]
    assert rows["f1"] == pytest.approx(2 * 3 / (10 + 3) / 3)  # of 10 labelled frames 3 are investigation
    assert rows["map"] == pytest.approx(np.mean([1, 3, 1]) / 10)  # what is ranked by nothing has its prevalence
