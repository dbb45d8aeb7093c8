"""Protocol "beyond" on poses alone: train recordings choose, test recordings are only named, and rows verify."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from mbrepro import paths
from mbrepro.data.recordings import Dataset
from mbrepro.method import stage1
from mbrepro.method.boosting import BoostingSettings
from mbrepro.method.dilated import DilatedSettings
from mbrepro.study import beyond, results
from tests.fixtures.near_and_far import made_recording

QUICK = {
    "boosting": BoostingSettings(windows_s=(0.5,), iterations=6, leaves=5, bins=15),
    "dilated": DilatedSettings(step=2, width=12, layers=2, crop=50, batch=4, epochs=8, dropout=0.0),
}


@pytest.fixture(scope="module", autouse=True)
def quick():
    with pytest.MonkeyPatch.context() as patch:
        kinds = {name: replace(stage1.LOCALIZERS[name], settings=QUICK[name]) for name in QUICK}
        patch.setattr(stage1, "LOCALIZERS", stage1.LOCALIZERS | kinds)
        patch.setattr(stage1, "side_by_side", lambda jobs, *_: [f(*a) for f, *a in jobs])  # other processes have others
        yield


@pytest.fixture(scope="module")
def data():
    made = [made_recording(f"mouse{k:03}_x", 300, k) for k in range(8)]
    return Dataset("task1", made[0].classes, tuple(made[:6]), tuple(made[6:]), "simulated")


@pytest.fixture(scope="module")
def scores(data, tmp_path_factory):
    return beyond.stage1_scores(data, 2, tmp_path_factory.getbasetemp() / "beyond")


@pytest.fixture(scope="module")
def fitted(data, scores, tmp_path_factory):
    return beyond.writers(data, scores, tmp_path_factory.getbasetemp() / "beyond")


@pytest.fixture(scope="module")
def writers(fitted):
    return fitted[0]


def test_scores_are_of_every_train_and_test_recording_and_average_is_their_mean(data, scores):
    assert list(scores) == ["boosting", "dilated", "average"]
    assert [len(scores[name].test) for name in scores] == [1, 2, 2]  # trees are the same from any seed
    for found in scores.values():
        assert [s.shape for s in found.train] == [(300, 4)] * 6
        assert all([s.shape for s in part] == [(300, 4)] * 2 for part in found.test)
    mean = (scores["boosting"].test[0][1] + scores["dilated"].test[1][1]) / 2
    np.testing.assert_allclose(scores["average"].test[1][1], mean)
    assert not np.array_equal(*(scores["dilated"].test[seed][0] for seed in (0, 1)))


def test_a_class_is_smoothed_over_its_median_bout_and_others_over_theirs(data, scores, writers):
    writer = writers["average"]
    for k, name in enumerate(data.classes):
        lasting = np.concatenate(
            [np.diff(np.flatnonzero(np.diff(np.r_[0, r.labels == k, 0])))[::2] for r in data.train]
        )
        assert writer.windows[k] == (round(np.median(lasting)) if len(lasting) else 1), name
    found, window = scores["average"].train[0], writer.windows[1]
    around = found[100 - window // 2 : 100 + (window + 1) // 2, 1]
    assert beyond.smoothed(found, writer.windows)[100, 1] == pytest.approx(around.mean(), abs=1e-6)


def test_every_way_names_near_mice(data, scores, writers):
    for name, way in [(name, way) for name in scores for way in beyond.WAYS]:
        runs = beyond.runs_of(data, scores[name], writers[name], way)
        f1 = results.score("baseline", "beyond", runs, 10).set_index("metric")["mean"]
        assert [run.seed for run in runs] == list(range(len(scores[name].test)))
        assert f1["f1"] > 0.3, (name, way)  # of three behaviours only one occurs, so that 1 / 3 is perfect


def test_the_weight_of_decoding_is_the_best_of_those_tried(data, scores, writers):
    writer, found = writers["dilated"], scores["dilated"].train
    worth = partial(beyond.worth, way=beyond.DECODED, recordings=data.train[::3], scores=found[::3])
    assert worth(writer) == max(worth(replace(writer, weight=weight)) for weight in beyond.WEIGHTS)


def test_the_protocols_pair_is_the_best_of_all(data, scores, fitted):
    by, chosen = fitted
    tried = {
        (name, way): beyond.worth(by[name], way, data.train[::3], scores[name].train[::3])
        for name in scores
        for way in beyond.WAYS
    }
    assert tried[chosen] == max(tried.values())


def test_what_was_searched_for_is_read_again(data, scores, fitted, tmp_path_factory, monkeypatch):
    monkeypatch.setattr(beyond, "worth", None)
    again, chosen = beyond.writers(data, scores, tmp_path_factory.getbasetemp() / "beyond")
    assert chosen == fitted[1] and [w.weight for w in again.values()] == [w.weight for w in fitted[0].values()]


def test_test_labels_decide_nothing(data, scores, fitted, tmp_path):
    writers, chosen = fitted
    turned = replace(data, test=tuple(replace(r, labels=(r.labels + 1) % 4) for r in data.test))
    again, best = beyond.writers(turned, scores, tmp_path)
    assert best == chosen
    for name, writer in writers.items():
        assert again[name].weight == writer.weight and again[name].windows == writer.windows
        assert all(np.array_equal(again[name].factors[way], writer.factors[way]) for way in writer.factors)


def test_rows_are_stored_and_score_the_same_again(data, scores, fitted, tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "results", lambda *_: tmp_path)
    rows, ours = beyond.record(data, scores, *fitted, "demo")
    assert set(rows["protocol"]) == {*results.POSES, results.BEYOND}
    chosen = "_".join(fitted[1])
    f1 = rows[rows["metric"] == "f1"].set_index("protocol")["mean"]
    assert f1["beyond"] == f1[chosen]
    assert results.verify("demo")["protocol"].nunique() == 10
    gained = beyond.differences(ours, ours)
    assert [told["value"] for told in gained.values()] == [0, 0]
    shown = beyond.beside(rows, {"corrected": ours})
    assert shown["protocol"].iloc[0] == "corrected" and len(shown) > len(rows)


def test_true_bouts_have_no_error_and_long_clips_show_more(data, scores, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp() / "beyond"
    table = beyond.extents(data, scores["dilated"].test[0], folder)
    assert table.loc["the true bout", ["onset off by (s)", "offset off by (s)"]].tolist() == [0, 0]
    assert table.loc["the true bout", "F1"] == table["F1"].max()
    fixed = table.loc[["1 s", "2 s", "5 s", "10 s"], "share shown"]
    assert fixed.is_monotonic_increasing
    assert table.loc["two people, real mice", "onset off by (s)"] > 0
    same = "F1 of a fixed length, same share"
    assert table.loc["2 s", same] == pytest.approx(table.loc["2 s", "F1"])


def test_log_loss_by_hand(data, scores):
    found = beyond.calibration_table(data, scores)
    true, told = (np.concatenate(part) for part in ([r.labels for r in data.test], scores["dilated"].test[0]))
    by_hand = -np.log(np.maximum(told[np.arange(len(true)), true].astype(float), 1e-15)).mean()
    assert found.loc["dilated", "calibrated"] == pytest.approx(by_hand, rel=1e-3)
