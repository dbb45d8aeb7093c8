"""The rats: every recording named by models of others, scored on labelled frames, and recorded with what made it."""

from dataclasses import replace

import numpy as np
import pytest

from mbrepro.data import processes
from mbrepro.data.recordings import UNLABELLED, Prediction
from mbrepro.errors import InputError
from mbrepro.method import context
from mbrepro.method.boosting import BoostingSettings
from mbrepro.metrics.agreement import kappa, matthews
from mbrepro.metrics.frames import count_metrics, evaluate
from mbrepro.study import own, rats, recorded
from tests.fixtures.near_and_far import SMALL
from tests.fixtures.rat_files import FRAMES, PARTS, write_rats

PROCESSORS = 0.02  # how far a trained model's F1 may be off on another processor


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Eight recordings as files, and models small enough to learn them at once."""
    monkeypatch.setenv("MBREPRO_REAL_DATA", str(write_rats(tmp_path)))
    monkeypatch.setenv("MBREPRO_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(rats, "RECORDINGS", 8)
    monkeypatch.setattr(
        processes.os, "cpu_count", lambda: 1
    )  # a process for each network takes longer than training it
    small, few = replace(SMALL, classes=3, epochs=1), BoostingSettings((0.5,), every=8, iterations=6, leaves=7)
    monkeypatch.setattr(rats, "NETWORKS", {rats.PUBLISHED: small, rats.LONG: replace(small, spread=2)})
    tried = {name: values[:2] for name, values in rats.RANGES.items()} | {"iterations": (4, 6)}
    few_tried = {"TRIED": 2, "RANGES": tried}
    for name, value in {"TREES": few, "FEWER_TREES": few, "FEWER_PASSES": small, **few_tried}.items():
        monkeypatch.setattr(rats, name, value)
    monkeypatch.setattr(context.fit_layered, "__defaults__", (few, few))
    return rats.read()


def test_recordings_are_read_with_their_parts_gaps_and_labels(made, tmp_path):
    assert [r.name for r in made] == [f"rats{number:02}" for number in (1, 4, 7, 10, 13, 16, 19, 22)]
    first = made[0]
    assert (len(first), first.parts, first.fps, first.classes) == (FRAMES, PARTS, 30.0, rats.CLASSES)
    expected = np.repeat([UNLABELLED, 1, 0, 2, UNLABELLED], [40, 80, 60, 70, 50])
    np.testing.assert_array_equal(first.labels, expected)
    assert first.seen.mean() == pytest.approx(2 / 3, abs=0.03) and np.isfinite(first.keypoints).all()
    next((tmp_path / "rat_dyads" / "poses").iterdir()).unlink()
    with pytest.raises(InputError, match="poses of 7 recordings, not 8"):
        rats.read()


def test_without_the_files_there_is_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("MBREPRO_REAL_DATA", str(tmp_path))
    assert rats.read() is None


def test_every_recording_is_predicted_once_by_models_of_other_folds(made):
    tests = [[r.name for r in rats.fold_of(made, fold).test] for fold in range(rats.FOLDS)]
    assert [name for names in tests for name in names] == [r.name for r in made] and set(map(len, tests)) == {2}
    run = rats.predicted(made, rats.BOOSTED, [1.0] * rats.FOLDS, ())
    assert [(video.name, len(video.true)) for video in run.videos] == [(r.name, 210) for r in made]
    assert evaluate([v.true for v in run.videos], [v.labels for v in run.videos], None, rats.CLASSES)["f1"] > 0.9
    changed = [replace(r, labels=np.where(r.labels == 0, 1, r.labels)) if k < 2 else r for k, r in enumerate(made)]
    again = rats.predicted(changed, rats.BOOSTED, [1.0] * rats.FOLDS, ())
    np.testing.assert_array_equal(again.videos[0].scores, run.videos[0].scores)  # its own labels teach it nothing
    assert not np.array_equal(again.videos[2].scores, run.videos[2].scores)


def test_layers_are_the_best_tried_on_the_train_recordings_of_their_fold(made, monkeypatch):
    """Held-out frames are named right by trees with a penalty alone; only recordings of other folds are looked at."""
    looked_at = []

    def out_of_fold(recordings, alike, layers):
        looked_at.append({r.name for r in recordings})
        right = layers[0].penalty > 0
        return [
            Prediction(r.name, r.labels, r.labels if right else 0 * r.labels, np.zeros((len(r), 3)), r.fps)
            for r in recordings
        ]

    monkeypatch.setattr(rats, "TRIED", 5)
    monkeypatch.setattr(own, "out_of_fold", out_of_fold)
    found = rats.chosen_layers(made)
    assert [first.penalty for first, _ in found] == [1.0] * rats.FOLDS
    for number, names in enumerate(looked_at):
        assert names == {r.name for r in rats.fold_of(made, number // 5).train}


def test_figures_of_made_recordings(made):
    found = recorded.compute("rats", made)
    assert found["data"]["labelled"] == 8 * 210 and found["data"]["frames"] == 8 * FRAMES
    assert found["data"]["class_frames"] == {"aggression": 480, "social": 640, "other": 560}
    assert found["data"]["bouts"] == {"aggression": 8, "social": 8, "other": 8}
    assert found["data"]["missing"] == pytest.approx(1 / 3, abs=0.01)
    for name in rats.LOCALIZERS:
        pooled = np.sum(list(found["confusion"][name].values()), 0)
        assert found["localizers"][name]["f1"]["value"] == pytest.approx(
            float(count_metrics(pooled, rats.CLASSES)["f1"])
        )
        told = found["action"][name]["f1"]
        action = count_metrics(
            [[pooled[:2, :2].sum(), pooled[:2, 2].sum()], [pooled[2, :2].sum(), pooled[2, 2]]], ["a", "other"]
        )
        assert told["value"] == pytest.approx(float(action["f1"])) and told["low"] <= told["value"] <= told["high"]
    scores = [found["localizers"][name]["f1"]["value"] for name in (rats.BOOSTED, rats.PUBLISHED)]
    assert found["gain"]["f1"]["value"] == pytest.approx(scores[0] - scores[1])
    assert [len(layers) for layers in found["layers"]] == [2] * rats.FOLDS
    assert {one["iterations"] for layers in found["layers"] for one in layers} <= {4, 6}
    assert len(found["weights"]) == rats.FOLDS and set(found["weights"]) <= set(rats.WEIGHTS)
    decoded = [found["localizers"][name]["bout_f1_50"]["value"] for name in (rats.DECODED, rats.PUBLISHED)]
    assert found["decoded_gain"]["bout_f1_50"]["value"] == pytest.approx(decoded[0] - decoded[1])
    assert found["localizers"][rats.DECODED]["map"] == found["localizers"][rats.BOOSTED]["map"]  # of the same scores
    assert scores[0] > 0.9 and {len(passes) for passes in found["passes"].values()} == {rats.FOLDS}
    assert set(found["retrained"]) == {rats.PUBLISHED, rats.BOOSTED, rats.TRAINED}


def test_only_the_facts_are_computed_again_where_the_files_are(made, monkeypatch):
    kept = {"data": rats.facts(made)["data"], "localizers": {"boosting": {"f1": {"value": 0.5}}}}
    monkeypatch.setattr(recorded, "read", lambda page: {"figures": kept, "provenance": {}})
    assert recorded.figures("rats") == kept
    kept["data"]["frames"] += 1
    with pytest.raises(InputError, match=r"rats\.json: data\.frames is recorded as 2401"):
        recorded.figures("rats")


def test_recorded_figures_are_what_the_real_rats_give(real_data, monkeypatch):
    """Facts to 1e-9; scores again from confusions whose rows are the real labels; a short training again.

    The networks and trees behind the confusions took an hour, and are not trained again.
    """
    monkeypatch.setenv("MBREPRO_REAL_DATA", str(real_data))
    kept, recordings = recorded.figures("rats"), rats.read()  # compares the facts
    assert recorded.read("rats")["provenance"] == rats.provenance(recordings)
    for name in rats.LOCALIZERS:
        counts = kept["confusion"][name]
        for recording in recordings:
            labels = recording.labels[recording.labels != UNLABELLED]
            assert np.sum(counts[recording.name], 1).tolist() == np.bincount(labels, minlength=3).tolist()
        pooled = np.sum(list(counts.values()), 0)
        values = count_metrics(pooled, rats.CLASSES) | {"kappa": kappa(pooled), "mcc": matthews(pooled)}
        for metric in (
            "f1",
            "precision",
            "recall",
            "accuracy",
            "f1_aggression",
            "f1_social",
            "f1_other",
            "kappa",
            "mcc",
        ):
            assert kept["localizers"][name][metric]["value"] == pytest.approx(float(values[metric]), abs=1e-9)
    again = rats.retrained(recordings)
    for name, values in kept["retrained"].items():
        assert again[name] == pytest.approx(values, abs=PROCESSORS), name


def test_recorded_rats_say_what_the_page_says():
    """Page 11 compares these in words; what is recorded is of all 20 recordings, and no label is in it."""
    content = recorded.read("rats")
    localizers = content["figures"]["localizers"]
    f1 = {name: localizers[name]["f1"]["value"] for name in rats.LOCALIZERS}
    assert f1[rats.BOOSTED] > max(f1[rats.PUBLISHED], f1[rats.LONG])
    gain, decoded = content["figures"]["gain"], content["figures"]["decoded_gain"]
    assert gain["f1"]["low"] > 0 and gain["map"]["low"] > 0 and gain["bout_f1_50"]["high"] < 0
    assert decoded["f1"]["low"] > 0 and decoded["bout_f1_50"]["low"] > 0
    assert abs(f1[rats.SMOOTHED] - f1[rats.BOOSTED]) < 0.01
    layered = (rats.TRAINED, rats.CHOSEN)
    assert min(f1[name] for name in layered) > 0.68 > max(f1[name] for name in f1 if name not in layered)
    for name in layered:
        assert localizers[name]["f1"]["low"] > localizers[rats.PUBLISHED]["f1"]["high"]
        assert localizers[name]["f1_by_recording"]["value"] < f1[name]
    trained = localizers[rats.TRAINED]
    for metric in ("f1", "map"):
        short, long, trees = (localizers[n][metric]["value"] for n in (rats.PUBLISHED, rats.LONG, rats.BOOSTED))
        assert abs(long - short) < abs(trees - long)
    bouts = {name: localizers[name]["bout_f1_50"]["value"] for name in (rats.SMOOTHED, rats.DECODED)}
    assert 0.25 < bouts[rats.DECODED] < bouts[rats.SMOOTHED] < 0.35 < trained["bout_f1_50"]["value"]
    assert {len(videos) for videos in content["figures"]["confusion"].values()} == {rats.RECORDINGS}
    assert len(content["provenance"]["sha256"]) == 64
