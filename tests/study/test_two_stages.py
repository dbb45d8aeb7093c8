"""The trivial answer to both stages' rows, and the view that "auto" stands for."""

from types import SimpleNamespace

import numpy as np
import pytest

from mbrepro.data.recordings import TASK1_CLASSES, UNLABELLED, Prediction
from mbrepro.embedding.embedder import EmbedderSettings
from mbrepro.method import pipeline, protocols
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


def test_auto_takes_the_best_view_the_first_of_equals_and_a_named_one_is_left(monkeypatch, tmp_path):
    data = SimpleNamespace(filmed=lambda: None)
    monkeypatch.setattr(two_stages, "train_localizers", lambda *_: [None])
    monkeypatch.setattr(pipeline, "view_scores", lambda *_: {"noise": 0.2, "pose": 0.7, "last": 0.7})
    for view, taken in (("auto", "pose"), ("noise", "noise")):
        protocol = protocols.corrected(EmbedderSettings(), view=view)
        assert two_stages.with_view(data, protocol, None, tmp_path).view == taken
