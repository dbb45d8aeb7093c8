"""Two labellings compared: by hand, with scikit-learn, with themselves, and two people's as is known of them."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, cohen_kappa_score, f1_score

from mbrepro.data.annotations.boris import write_boris
from mbrepro.data.annotations.bout import Bout
from mbrepro.data.annotations.caltech import write_bento
from mbrepro.data.annotations.paired import Labelled, paired_files, read_labelled
from mbrepro.data.recordings import TASK1_CLASSES, runs
from mbrepro.metrics.bouts import found_bouts
from mbrepro.metrics.matching import CRITERIA, Criteria
from mbrepro.study import recorded
from mbrepro.study.evaluate import SIDES, counted, evaluation, found_by_criterion, match_table, sweep
from tests.fixtures.labellings import human_pairs

CLASSES = ("groom", "other")


def by_hand(name="v", true="..ggg.....g..x", predicted="...gg..g..xgg.", scores=None, start_s=2.0) -> Labelled:
    """Letters g and . for other, x where there is no label, at 2 frames a second from 2 s on."""
    tracks = [np.array(["g.x".index(letter) for letter in text]) for text in (true, predicted)]
    tracks = [np.where(track == 2, -1, track) for track in tracks]
    return Labelled(name, *tracks, 2.0, {} if scores is None else {"groom": scores}, start_s)


def test_the_table_has_a_row_a_bout_with_its_place_in_the_file_and_its_shift():
    """The frame without a label is left out: the true bout that ends in it is one of no frame that counts."""
    table = match_table([by_hand()], CLASSES, Criteria())
    assert table["criterion"].value_counts().to_dict() == dict.fromkeys(CRITERIA, 3)
    rows = table[table["criterion"] == "tiou"].set_index("match")
    assert rows.index.tolist() == ["matched", "false", "false"]
    places = ["start_frame", "stop_frame", "start_s", "stop_s"]
    assert rows.loc["matched", [f"true_{p}" for p in places]].tolist() == [2, 5, 3.0, 4.5]
    assert rows.loc["matched", [f"predicted_{p}" for p in places]].tolist() == [3, 5, 3.5, 4.5]
    assert rows.loc["matched", ["tiou", "onset_s", "offset_s"]].tolist() == [pytest.approx(2 / 3), 0.5, 0]
    assert rows.loc["false", "predicted_start_frame"].tolist() == [7, 11]
    assert rows.loc["false", "true_start_s"].isna().all()


def test_bouts_on_either_side_of_frames_without_a_label_are_one():
    table = match_table([by_hand(true=".ggxg.", predicted=".ggggg")], CLASSES, Criteria())
    row = table[table["criterion"] == "overlap"].iloc[0]
    assert len(table) == 3 and row[["true_start_frame", "true_stop_frame", "predicted_stop_frame"]].tolist() == [
        1,
        5,
        6,
    ]
    assert row["tiou"] == pytest.approx(3 / 4)  # the frame without a label is no part of it


@pytest.fixture(scope="module")
def drawn():
    """Nine recordings of three behaviours, the prediction late and now and then wrong, some frames unlabelled."""
    rng, labelled = np.random.default_rng(5), []
    for k in range(9):
        true = np.repeat(rng.integers(0, 4, 60), rng.integers(1, 30, 60))
        predicted = np.where(rng.random(len(true)) < 0.05, rng.integers(0, 4, len(true)), np.roll(true, 3))
        predicted[20:30] = -1
        scores = {name: rng.random(len(true)) + (true == k) for k, name in enumerate(TASK1_CLASSES[:3])}
        labelled.append(Labelled(f"v{k}", true, predicted, 30.0, scores))
    return labelled


def test_figures_are_those_of_other_implementations(drawn):
    found = evaluation(drawn, TASK1_CLASSES, Criteria())
    kept = [each.predicted >= 0 for each in drawn]
    true, predicted = (
        np.concatenate([getattr(each, side)[k] for each, k in zip(drawn, kept, strict=True)]) for side in SIDES
    )
    assert found["not_scorable"] == {"true": 0, "predicted": 90} and found["frames"] == len(true)
    assert found["metrics"]["f1"]["value"] == pytest.approx(
        f1_score(true, predicted, labels=[0, 1, 2], average="macro")
    )
    assert found["metrics"]["kappa"]["value"] == pytest.approx(cohen_kappa_score(true, predicted))
    for label, name in enumerate(TASK1_CLASSES[:3]):
        scores = np.concatenate([each.scores[name][k] for each, k in zip(drawn, kept, strict=True)])
        assert found["average_precision"][name] == pytest.approx(average_precision_score(true == label, scores))
        bout_f1 = found_bouts([e.true[k] for e, k in zip(drawn, kept, strict=True)],
                              [e.predicted[k] for e, k in zip(drawn, kept, strict=True)], TASK1_CLASSES)  # fmt: skip
        of = found["bouts"]["tiou"][name]
        assert of["f1"]["value"] == pytest.approx(bout_f1[f"bout_f1_50_{name}"][0])
        assert of["f1"]["low"] < of["f1"]["value"] < of["f1"]["high"]
    first = drawn[0].predicted >= 0
    alone = counted(drawn[:1], TASK1_CLASSES)["attack"]
    assert alone["seconds"]["true"] == pytest.approx((drawn[0].true[first] == 0).sum() / 30)
    assert alone["bouts"]["predicted"] == sum(value == 0 for *_, value in runs(drawn[0].predicted[first]))


def test_the_figures_of_bouts_follow_from_the_table(drawn):
    table = match_table(drawn, TASK1_CLASSES, Criteria())
    found = found_by_criterion(table, TASK1_CLASSES)
    for criterion in CRITERIA:
        match = table.loc[table["criterion"] == criterion, "match"].value_counts()
        of_all = found[criterion]["all"]
        assert of_all["precision"]["value"] == pytest.approx(match["matched"] / (match["matched"] + match["false"]))
        assert of_all["recall"]["value"] == pytest.approx(match["matched"] / (match["matched"] + match["missed"]))
    assert found["tiou"]["all"]["f1"]["value"] <= found["overlap"]["all"]["f1"]["value"]


def test_a_sweep_tidies_one_prediction_in_every_way(drawn):
    table = sweep(drawn, TASK1_CLASSES, Criteria(), [0, 0.1], [0, 0.1, 5])
    assert table[["gaps_filled_s", "bouts_dropped_s"]].to_numpy().tolist() == [
        [g, d] for g in (0, 0.1) for d in (0, 0.1, 5)
    ]
    plain = evaluation(drawn, TASK1_CLASSES, Criteria())
    assert table["f1"][0] == pytest.approx(plain["metrics"]["f1"]["value"])
    for criterion in CRITERIA:
        assert table[f"bout_f1_{criterion}"][0] == pytest.approx(plain["bouts"][criterion]["all"]["f1"]["value"])
    assert table["bout_f1_overlap"][1] > table["bout_f1_overlap"][0]  # what was strewn in is dropped
    assert (table.loc[table["bouts_dropped_s"] == 5, "f1"] == 0).all()  # no bout lasts so long


def test_labels_compared_with_themselves_are_1_everywhere(tmp_path):
    rng = np.random.default_rng(2)
    for k in range(3):
        spans = np.cumsum(rng.integers(5, 40, 12))
        bouts = [Bout(name, *spans[2 * i : 2 * i + 2].tolist()) for i, name in enumerate(["attack", "groom"] * 3)]
        write_boris(tmp_path / f"m{k}.csv", bouts[: 6 - k], np.arange(601) / 25)
    labelled, classes = read_labelled(paired_files(tmp_path, tmp_path)[0])
    found = evaluation(labelled, classes, Criteria())
    for name in ("f1", "precision", "recall", "accuracy", "kappa", "mcc", "bout_f1_50", "da", "so", "tp", "ic",
                 "f1_by_recording", *(f"f1_within_{ms}ms" for ms in (100, 250, 500, 1000, 2000))):  # fmt: skip
        assert found["metrics"][name]["value"] == 1, name
    assert found["metrics"]["edit"]["value"] == 100 and found["metrics"]["onset_abs_90"]["value"] == 0
    assert {m["value"] for of in found["bouts"].values() for v in of.values() for m in v.values()} == {1}
    assert {of["agreement"] for v in found["counts"].values() for of in v.values()} == {1}


def test_files_of_two_people_give_what_is_known_of_them(real_data, tmp_path):
    """FACTS 6, from BORIS files of one person and Bento files of the other."""
    for side, tracks in zip(SIDES, human_pairs(real_data), strict=True):
        for k, labels in enumerate(tracks):
            bouts = [Bout(TASK1_CLASSES[value], start, stop) for start, stop, value in runs(labels) if value != 3]
            (tmp_path / side).mkdir(exist_ok=True)
            if side == "true":
                write_boris(tmp_path / side / f"r{k}.csv", bouts, np.arange(len(labels) + 1) / 30)
            else:
                write_bento(tmp_path / side / f"r{k}.annot", bouts, len(labels), 30.0)
    labelled, classes = read_labelled(paired_files(tmp_path / "predicted", tmp_path / "true")[0])
    found = evaluation(labelled, classes, Criteria())
    assert (found["recordings"], found["frames"]) == (10, 184_499)
    known = recorded.read("human")["figures"]["first"]
    assert found["confusion"] == known["confusion"]
    for name, of in known["metrics"].items():  # among them F1 .826, kappa .806, 184 499 frames' accuracy .898
        for part in ("value", "low", "high"):
            assert found["metrics"][name][part] == pytest.approx(of[part], abs=1e-6), (name, part)
    assert found["metrics"]["f1"]["value"] == pytest.approx(0.826, abs=6e-4)
    for name, expected in {"attack": 0.25, "investigation": 0.53, "mount": 0.68}.items():
        assert found["bouts"]["tiou"][name]["f1"]["value"] == pytest.approx(expected, abs=6e-3)
    shifts = match_table(labelled, classes, Criteria()).query("criterion == 'overlap' and match == 'matched'")
    median = shifts.groupby("behaviour")[["onset_s", "offset_s"]].agg(lambda values: values.abs().median())
    assert median["onset_s"].between(0.36, 0.46).all() and median["offset_s"].between(0.49, 0.56).all()
