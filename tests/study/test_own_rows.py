"""Rows of one's own recordings: who learns from whom, at which rate, and scores that are scikit-learn's."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from mbrepro import paths
from mbrepro.data.own.manifest import read_manifest
from mbrepro.data.recordings import UNLABELLED, Dataset, Prediction
from mbrepro.errors import InputError
from mbrepro.method.localizer import BASELINE
from mbrepro.study import own, own_rows, profiles
from mbrepro.study.results import Run
from tests.fixtures.rat_files import FRAMES, write_manifest, write_rats

CLASSES = ("aggression", "social", "other")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six recordings of two rats, the first two of the same pair."""
    folder = write_manifest(write_rats(tmp_path_factory.mktemp("rats"), (1, 4, 7, 10, 13, 16)) / "rat_dyads")
    table = folder / "recordings.csv"
    table.write_text(table.read_text().replace("pair 4", "pair 1"))
    return folder


@pytest.fixture
def data(folder, monkeypatch) -> Dataset:
    monkeypatch.setenv("MBREPRO_OWN", str(folder))
    return profiles.load_dataset("task1", "own")


def split(folder, tmp_path, splits):
    lines = (folder / "recordings.csv").read_text().splitlines()
    rows = [f"{line};{part}" for line, part in zip(lines[1:], ("split", *splits), strict=True)]
    (tmp_path / "recordings.csv").write_text("\n".join(rows))
    (tmp_path / "dataset.yml").write_text((folder / "dataset.yml").read_text())
    for part in ("poses", "labels"):
        shutil.copytree(folder / part, tmp_path / part)
    return read_manifest(tmp_path)


def test_without_a_split_every_animal_is_scored_once_by_models_of_the_others(data):
    assert data.source == "your 6 recordings of 5 animals in “rat_dyads”" and data.classes == CLASSES and not data.train
    parts = own_rows.folds(data)
    assert len(parts) == own.OUTER
    for part in parts:
        assert {r.name for r in part.recordings} == {r.name for r in data.test}
        assert not {r.animal for r in part.train} & {r.animal for r in part.test}
    assert [r.name for part in parts for r in part.test] == [r.name for r in data.test]


def test_a_split_is_kept_and_one_without_labels_is_refused(folder, tmp_path):
    found = own_rows.dataset(split(folder, tmp_path, ["test", "test", *4 * ["train"]]))
    assert own_rows.folds(found) == (found,) and [r.name for r in found.test] == ["rats01", "rats04"]
    for others in (6 * ["train"], 6 * ["test"]):
        rows = (tmp_path / "recordings.csv").read_text().splitlines()
        rows[1:] = [f"{row.rpartition(';')[0]};{part}" for row, part in zip(rows[1:], others, strict=True)]
        (tmp_path / "recordings.csv").write_text("\n".join(rows))
        with pytest.raises(InputError, match="a split has no labelled recording; label some, or leave split empty"):
            own_rows.dataset(read_manifest(tmp_path))


def test_networks_see_thirty_frames_a_second_and_name_the_recordings_own(data, monkeypatch):
    """A network that tells the share of its recording that has gone by, which is the same at any rate."""
    slow = [replace(r, fps=25.0) for r in data.test]
    seen = []

    def baseline(part, settings, fraction, seeds, folder):
        seen.append((part, settings, fraction, folder))
        runs = []
        for seed in range(seeds):
            videos = []
            for r in part.test:
                gone = np.arange(len(r)) / len(r)
                scores = np.stack([gone, 1 - gone, np.full(len(r), 0.1 * seed)], 1)
                videos.append(Prediction(r.name, r.labels, scores.argmax(1), scores, r.fps))
            runs.append(Run(seed, part.task, part.classes, tuple(videos)))
        return runs

    monkeypatch.setattr(own_rows, "baseline", baseline)
    runs = own_rows.network_runs(replace(data, test=tuple(slow)), BASELINE, 0.25, 2, paths.SOURCE)
    assert len(seen) == own.OUTER
    for part, *how in seen:
        assert how == [BASELINE, 0.25, paths.SOURCE]
        assert all(r.fps == 30 and len(r) == FRAMES * 30 / 25 for r in part.recordings)
        assert not {r.animal for r in part.train} & {r.animal for r in part.test}
    for seed, run in enumerate(runs):
        assert run.seed == seed and run.task == "own" and [v.name for v in run.videos] == [r.name for r in slow]
        for video, recording in zip(run.videos, slow, strict=True):
            assert video.fps == 25 and video.true is recording.labels
            np.testing.assert_allclose(video.scores[:, 0], np.arange(FRAMES) / FRAMES, atol=1e-6)
            assert (video.scores[:, 2] == 0.1 * seed).all() and (video.labels == video.scores.argmax(1)).all()


def made_scores(data, seed=0):
    rng = np.random.default_rng(seed)
    return {r.name: np.repeat(rng.dirichlet(np.ones(3), 15), FRAMES // 15, axis=0) for r in data.test}


def test_layered_trees_are_those_of_train_and_know_no_animal_that_they_score(data, monkeypatch):
    scores = made_scores(data)

    def fold_scores(others, held, alike, layers=()):
        assert alike and not {r.animal for r in others} & {r.animal for r in held}
        return {r.name: scores[r.name] for r in held}

    monkeypatch.setattr(own, "fold_scores", fold_scores)
    found = own_rows.layered_runs(data)
    assert list(found) == ["boosting_raw", "beyond"]
    ((raw,), (smoothed,)) = found.values()
    trained = own.out_of_fold(data.test, True)
    for one, other, card in zip(raw.videos, smoothed.videos, trained, strict=True):
        assert (one.scores == scores[one.name]).all() and (one.labels == one.scores.argmax(1)).all()
        assert other.name == card.name and (other.scores == card.scores).all() and (other.labels == card.labels).all()


def test_scores_of_each_behaviour_are_scikit_learns_on_labelled_frames(data):
    scores = made_scores(data, 1)
    videos = tuple(Prediction(r.name, r.labels, scores[r.name].argmax(1), scores[r.name], r.fps) for r in data.test)
    table = own_rows.by_class({"boosting_raw": [Run(0, "own", CLASSES, videos)]})
    assert list(table.index) == ["boosting, raw"] and list(table)[2] == "aggression: bout F1 at tIoU .5"
    true = np.concatenate([r.labels for r in data.test])
    kept, told = true != UNLABELLED, np.concatenate([scores[r.name] for r in data.test])
    for k, name in enumerate(CLASSES[:2]):
        assert table.loc["boosting, raw", f"{name}: F1"] == pytest.approx(
            f1_score(true[kept] == k, told[kept].argmax(1) == k)
        )
        assert table.loc["boosting, raw", f"{name}: average precision"] == pytest.approx(
            average_precision_score(true[kept] == k, told[kept][:, k])
        )


def test_the_table_of_recordings_tells_what_is_labelled_and_missing(data):
    table = own_rows.recordings_table(data).set_index("recording")
    assert table.loc["rats04", ["animal", "fps", "minutes", "labelled"]].tolist() == ["pair 1", "30", "0.2", "0.1"]
    assert (table[["aggression", "social"]] == 1).all(axis=None)
    assert all(28 < float(share.rstrip("%")) < 39 for share in table["points missing"])  # a third
