"""The table: what F1 and MAP mean in each row, scores from predictions, stored and scored again."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, f1_score, precision_score

from mbrepro.data.recordings import TASK1_CLASSES, Prediction
from mbrepro.errors import InputError
from mbrepro.report import page
from mbrepro.study import poster, results
from mbrepro.study.results import Run


@pytest.fixture(autouse=True)
def study(tmp_path, monkeypatch):
    monkeypatch.setenv("MBREPRO_ROOT", str(tmp_path))
    return tmp_path / "results" / "demo"


def random_runs(seeds=2, videos=3, classes=TASK1_CLASSES, task="task1", frames=200):
    rng = np.random.default_rng(0)
    true = [rng.integers(len(classes), size=frames) for _ in range(videos)]
    runs = []
    for seed in range(seeds):
        made = []
        for number, labels in enumerate(true):
            scores = rng.dirichlet(np.ones(len(classes)), frames) + 0.5 * np.eye(len(classes))[labels]
            made.append(Prediction(f"v{number}", labels, scores.argmax(1), scores))
        runs.append(Run(seed, task, classes, tuple(made)))
    return runs


def pooled(run):
    fields = ("true", "labels", "scores")
    return [np.concatenate([getattr(video, field) for video in run.videos]) for field in fields]


def value(rows, metric, field="mean"):
    return rows.set_index("metric").loc[metric, field]


def test_baseline_is_calms21s_metric_as_scikit_learn_computes_it():
    runs = random_runs()
    rows = results.score("baseline", "published", runs, resamples=20)
    f1, ap = [], []
    for run in runs:
        true, labels, scores = pooled(run)
        f1.append(f1_score(true, labels, labels=[0, 1, 2], average="macro"))
        ap.append(np.mean([average_precision_score(true == k, scores[:, k]) for k in range(3)]))
    assert value(rows, "f1") == pytest.approx(np.mean(f1))
    assert value(rows, "f1", "sd") == pytest.approx(np.std(f1))
    assert value(rows, "map") == pytest.approx(np.mean(ap))
    assert value(rows, "f1", "n_seeds") == 2
    assert value(rows, "f1", "published") == 0.79
    assert np.isnan(value(rows, "accuracy", "published"))


def test_the_published_end_to_end_row_counts_other_and_calls_precision_map():
    (run,) = runs = random_runs(seeds=1)
    true, labels, _ = pooled(run)
    rows = results.score("pose_vlm", "published", runs, resamples=20)
    assert value(rows, "f1") == pytest.approx(f1_score(true, labels, average="macro"))
    assert value(rows, "map") == pytest.approx(precision_score(true, labels, average="macro"))
    assert value(rows, "calms21_f1") == pytest.approx(f1_score(true, labels, labels=[0, 1, 2], average="macro"))


def test_the_published_localization_row_gives_precision_for_map_and_the_corrected_one_does_not():
    runs = random_runs(seeds=1, classes=("action", "other"))
    true, labels, scores = pooled(runs[0])
    published = results.score("localization", "published", runs, resamples=20)
    corrected = results.score("localization", "corrected", runs, resamples=20)
    assert value(published, "map") == pytest.approx(precision_score(true == 0, labels == 0))
    assert value(corrected, "map") == pytest.approx(average_precision_score(true == 0, scores[:, 0]))


def test_several_tasks_are_scored_one_by_one_and_averaged():
    first = random_runs(seeds=1, classes=("other", "groom"), task="task3/groom")
    second = random_runs(seeds=1, classes=("other", "approach"), task="task3/approach", frames=120)
    both = results.score("few_shot", "corrected", first + second, resamples=20)
    apart = [results.score("few_shot", "corrected", runs, resamples=20) for runs in (first, second)]
    assert value(both, "f1") == pytest.approx(np.mean([value(rows, "f1") for rows in apart]))


def test_the_interval_holds_the_mean_and_is_a_point_for_a_single_video():
    rows = results.score("baseline", "published", random_runs(videos=6))
    assert value(rows, "f1", "low") < value(rows, "f1") < value(rows, "f1", "high")
    alone = results.score("baseline", "published", random_runs(videos=1))
    assert value(alone, "f1", "low") == pytest.approx(value(alone, "f1"))


def test_recorded_rows_make_the_table_and_score_again_to_the_same(study):
    for row, protocol in (("pose_vlm", "corrected"), ("baseline", "published")):
        results.record(row, protocol, random_runs(), "demo", source="simulated", epochs=3)
    table = pd.read_csv(study / "table.csv")
    assert list(table.columns) == results.COLUMNS
    assert list(dict.fromkeys(table["row"])) == ["baseline", "pose_vlm"]
    assert results.sources(study) == {"simulated"}
    assert json.loads((study / "rows/baseline-published.json").read_text())["settings"] == {"epochs": 3}
    assert len(results.verify("demo")) == len(table)


def test_verify_finds_a_figure_that_was_changed_by_hand(study):
    results.record("clip", "corrected", random_runs(), "demo")
    path = study / "rows/clip-corrected.json"
    content = json.loads(path.read_text())
    content["rows"][0]["mean"] += 1e-3
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match="f1 mean scores"):
        results.verify("demo")


def test_verify_finds_a_changed_table_and_missing_predictions(study):
    for row in ("clip", "baseline"):
        results.record(row, "corrected", random_runs(), "demo")
    table = study / "table.csv"
    before = table.read_text()
    table.write_text(before.replace("clip,corrected,f1,0.", "clip,corrected,f1,1."))
    with pytest.raises(InputError, match=r"table\.csv is not what the stored rows say"):
        results.verify("demo")
    table.write_text(before)
    (study / "predictions/clip-corrected.safetensors").unlink()
    with pytest.raises(InputError, match=r"clip-corrected\.safetensors is missing"):
        results.verify("demo")


def test_a_run_of_ones_own_leaves_the_table(study):
    results.record("clip", "corrected", random_runs(), "demo")
    before = (study / "table.csv").read_bytes()
    results.record("clip", "corrected", random_runs(seeds=1), "demo", run="clip_seconds=1")
    assert (study / "table.csv").read_bytes() == before
    assert (study / "runs/clip_seconds=1/table.csv").exists()


def test_what_a_killed_write_left_is_read_by_nobody(study):
    results.record("clip", "corrected", random_runs(), "demo")
    for folder in ("rows", "predictions", "."):
        for ending in ("json", "safetensors", "csv"):
            (study / folder / f".1234abcd.partial.{ending}").write_text("{")
    assert results.sources(study) == {""}
    assert len(results.verify("demo")) == len(results.read_rows(study))


def test_stored_predictions_come_back_whole(study):
    runs = random_runs()
    results.record("clip", "corrected", runs, "demo")
    back = results.read_predictions(study / "predictions/clip-corrected.safetensors")
    for before, after in zip(runs, back, strict=True):
        assert (before.seed, before.task, before.classes) == (after.seed, after.task, after.classes)
        for one, other in zip(before.videos, after.videos, strict=True):
            assert one.name == other.name
            np.testing.assert_array_equal(one.labels, other.labels)
            np.testing.assert_array_equal(one.scores, other.scores)


def test_a_partial_row_says_so_wherever_it_is_shown(study):
    results.record("clip", "corrected", random_runs(), "demo", partial="video of 3 of 70 train recordings")
    results.record("baseline", "corrected", random_runs(), "demo")
    table = pd.read_csv(study / "table.csv", keep_default_na=False)
    told = dict(zip(table["row"], table["partial"], strict=True))
    assert told == {"clip": "video of 3 of 70 train recordings", "baseline": ""}
    shown = page.study_table(results.read_rows(study), "CalMS21")
    assert shown.count("(partial)") == 1 and f"{poster.TITLES['clip']} (partial)" in shown
    assert len(results.verify("demo")) == len(table)


def test_a_row_that_cannot_be_measured_leaves_the_table(study):
    for row in ("few_shot", "baseline"):
        results.record(row, "published", random_runs(), "demo")
    rows = results.leave_out("few_shot", "published", "demo")
    assert rows["mean"].isna().all() and (rows["n_seeds"] == 0).all()
    assert value(rows, "f1", "published") == 0.02
    assert set(pd.read_csv(study / "table.csv")["row"]) == {"baseline"}
    assert "not run" in page.study_table(results.read_rows(study), "CalMS21")
    results.verify("demo")
    results.leave_out("few_shot", "published", "demo")  # again, with nothing left to take out


def test_no_seed_is_said():
    with pytest.raises(InputError, match="seeds must be at least 1"):
        results.record("clip", "corrected", [], "demo")


def test_a_row_the_table_does_not_have_is_refused():
    with pytest.raises(InputError, match="the table has rows baseline"):
        results.record("basline", "published", random_runs(), "demo")


def test_the_posters_own_matrix_gives_its_figures_over_four_classes_and_less_over_three():
    told = poster.readings()
    assert told["macro_f1"] == pytest.approx(0.523, abs=1e-3)
    assert told["macro_precision"] == pytest.approx(0.528, abs=1e-3)
    assert told["macro_recall"] == pytest.approx(0.525, abs=1e-3)
    assert told["f1"] == pytest.approx(0.382, abs=1e-3)
