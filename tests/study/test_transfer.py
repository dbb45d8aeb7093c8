"""LogME against the marginal likelihood written out and maximised by brute force, and the table beside measured F1."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from mbrepro.data.recordings import Recording
from mbrepro.embedding.embedder import EmbedderSettings
from mbrepro.method import protocols
from mbrepro.study import transfer as study
from mbrepro.study.clip_index import FoundClips
from mbrepro.study.transfer import choices, logme, verdict
from tests.fixtures.telling import Telling

RNG = np.random.default_rng(0)


def marginal(points: np.ndarray, labels: np.ndarray) -> float:
    """Mean over labels of the largest log N(y; 0, I / noise + X X' / weights), of centred X and y, a point."""
    points, found = points - points.mean(0), []
    for label in np.unique(labels):
        y = (labels == label) - (labels == label).mean()

        def loss(logs, y=y):
            weights, noise = np.exp(logs)
            covariance = np.eye(len(y)) / noise + points @ points.T / weights
            return -multivariate_normal.logpdf(y, np.zeros(len(y)), covariance)

        starts = [minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-8}).fun
                  for start in ([0, 0], [3, 2])]  # fmt: skip
        found.append(-min(starts) / len(y))
    return float(np.mean(found))


@pytest.mark.parametrize(("dimensions", "signal"), [(2, 2.0), (5, 0.7), (40, 1.0)])
def test_logme_is_the_largest_marginal_likelihood(dimensions, signal):
    labels = RNG.integers(0, 3, 36)
    points = RNG.normal(size=(36, dimensions))
    points[:, :2] += signal * np.eye(3)[labels][:, :2]
    assert logme(points, labels) == pytest.approx(marginal(points, labels), abs=2e-4)


def test_logme_ranks_spaces_by_what_they_tell_and_knows_nothing_of_one_label():
    labels = np.repeat([0, 1, 2], 40)
    told = np.eye(3)[labels]
    found = [logme(told + RNG.normal(0, noise, (120, 3)), labels) for noise in (0.2, 0.6, 2.0)]
    assert found == sorted(found, reverse=True) and found[0] > found[2] + 0.3
    assert np.isnan(logme(told, np.ones(120, int)))


class Both(Telling):
    """The view `told` names the clip's class, `noise` does not."""

    views = ("noise", "told")

    def embed_poses(self, recording, clips):
        told = super().embed_poses(recording, clips)["told"]
        return {"told": told, "noise": np.random.default_rng(len(clips)).normal(size=told.shape).astype(np.float32)}


def test_choices_learn_from_train_clips_and_are_measured_on_test_clips(tmp_path, monkeypatch):
    protocol = protocols.corrected(EmbedderSettings())
    monkeypatch.setattr(study, "compared", lambda *_: {"made": replace(protocol, view="told")})
    monkeypatch.setattr(study, "load_embedder", lambda _: Both())
    found = []
    for place, split in enumerate(["train", "train", "test"]):
        labels = np.random.default_rng(place).integers(0, 4, 20)
        points = np.random.default_rng(place).uniform(100, 400, (1200, 2, 7, 2))
        recording = Recording(f"mouse{place}", points, labels=np.repeat(labels, 60))
        found.append(FoundClips(recording, split, np.arange(20) * 60, labels))
    table = choices(found, protocol, tmp_path)
    assert table["view"].tolist() == ["told", "noise"] and table["F1"].iloc[0] > table["F1"].iloc[1]
    swapped = choices([*found[:2], replace(found[2], labels=(found[2].labels + 1) % 3)], protocol, tmp_path)
    assert swapped["LogME"].tolist() == table["LogME"].tolist() and swapped["F1"].iloc[0] < table["F1"].iloc[0]
    assert choices(found[:2], protocol, tmp_path)["F1"].isna().all()


def test_the_verdict_is_of_ranks_and_of_the_line_chosen():
    table = pd.DataFrame({"LogME": [3.0, 2.0, 1.0], "F1": [0.6, 0.9, 0.1]})
    assert verdict(table) == pytest.approx({"correlation": 1 / 3, "chosen": 0.6, "best": 0.9})
