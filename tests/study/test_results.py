"""The table: what F1 and MAP mean in each row, scores from predictions, stored and scored again."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from sklearn.metrics import average_precision_score, cohen_kappa_score, f1_score, precision_score

from mbrepro.artifacts import fingerprint
from mbrepro.data.recordings import TASK1_CLASSES, UNLABELLED
from mbrepro.errors import InputError
from mbrepro.metrics.resampling import estimates
from mbrepro.report import front
from mbrepro.study import poster, results
from tests.fixtures.killed import killed_write
from tests.fixtures.runs import random_runs, shuffled


@pytest.fixture(autouse=True)
def study(tmp_path, monkeypatch):
    monkeypatch.setenv("MBREPRO_ROOT", str(tmp_path))
    return tmp_path / "results" / "demo"


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


def test_frames_are_scored_by_bout_and_beyond_chance_and_clips_are_not():
    runs = random_runs(videos=8)
    rows = results.score("baseline", "corrected", runs, resamples=20)
    assert set(results.OF_FRAMES) < set(rows["metric"])
    kappas, by_hand = [], []
    for run in runs:
        true, labels, _ = pooled(run)
        kappas.append(cohen_kappa_score(true, labels))
        pair = [[getattr(video, field) for video in run.videos] for field in ("true", "labels")]
        by_hand.append(estimates(*pair, TASK1_CLASSES, 30.0, 20))
    assert value(rows, "kappa") == pytest.approx(np.mean(kappas))
    for metric in results.OF_FRAMES:
        found = [each[metric]["value"] for each in by_hand]
        assert (value(rows, metric), value(rows, metric, "sd")) == pytest.approx((np.mean(found), np.std(found))), (
            metric
        )
    (single,) = by_hand[:1]
    rows = results.score("baseline", "corrected", runs[:1], resamples=20)
    for metric in ("bout_f1_50", "onset_abs", "fragmented"):
        between = single[metric]["low"], single[metric]["high"]
        assert (value(rows, metric, "low"), value(rows, metric, "high")) == pytest.approx(between), metric
    clips = results.score("clip", "corrected", random_runs(fps=None), resamples=20)
    assert not set(results.OF_FRAMES) & set(clips["metric"])


def test_seconds_follow_the_frame_rate():
    slow, fast = (results.score("baseline", "corrected", random_runs(fps=fps), 20) for fps in (10.0, 30.0))
    assert value(slow, "onset_abs_90") == pytest.approx(3 * value(fast, "onset_abs_90")) != 0
    assert value(slow, "bout_f1_50") == value(fast, "bout_f1_50")


def test_what_no_behaviour_gives_a_value_is_not_defined():
    """Nothing of it occurs or is predicted in one of the tasks: the mean over tasks has no value, and says so."""
    first = random_runs(seeds=1, classes=("other", "groom"), task="task3/groom", videos=8)
    second = random_runs(seeds=1, classes=("other", "approach"), task="task3/approach", videos=8)
    nothing = tuple(replace(v, true=np.zeros(200, int), labels=np.zeros(200, int)) for v in second[0].videos)
    rows = results.score("few_shot", "corrected", [*first, replace(second[0], videos=nothing)], resamples=20)
    assert np.isnan([value(rows, "bout_f1_50"), value(rows, "onset"), value(rows, "bout_f1_50", "low")]).all()
    assert value(rows, "bout_f1_50", "undefined") == 20
    assert value(rows, "edit") > 0 and value(rows, "f1") > 0


def test_the_interval_holds_the_mean_and_is_given_from_eight_videos_on():
    rows = results.score("baseline", "published", random_runs(videos=8))
    assert value(rows, "f1", "low") < value(rows, "f1") < value(rows, "f1", "high")
    assert value(rows, "f1", "n_videos") == 8 and value(rows, "f1", "undefined") == 0
    few = results.score("baseline", "published", random_runs(videos=7))
    assert few[["low", "high"]].isna().all(axis=None) and (few["n_videos"] == 7).all()
    assert value(few, "f1") > 0


def test_several_tasks_have_as_many_videos_as_the_one_with_fewest():
    first = random_runs(seeds=1, classes=("other", "groom"), task="task3/groom", videos=9)
    second = random_runs(seeds=1, classes=("other", "approach"), task="task3/approach", videos=2)
    both = results.score("few_shot", "corrected", first + second, resamples=20)
    assert (both["n_videos"] == 2).all() and both["low"].isna().all()


def test_resamples_without_a_frame_of_a_behaviour_are_counted():
    runs = random_runs(seeds=2, videos=8)
    only_one = [
        replace(run, videos=tuple(replace(v, true=np.where(v.true == 0, 3, v.true)) for v in run.videos[1:]))
        for run in runs
    ]
    runs = [replace(run, videos=(run.videos[0], *rare.videos)) for run, rare in zip(runs, only_one, strict=True)]
    rows = results.score("baseline", "corrected", runs)
    drawn = np.random.default_rng(0).multinomial(8, np.full(8, 1 / 8), size=1000)
    assert value(rows, "map", "undefined") == (drawn[:, 0] == 0).sum() > 300
    assert value(rows, "f1", "undefined") == 0
    assert 0 < value(rows, "map", "low") < value(rows, "map", "high") < 1


def test_a_difference_is_paired_over_the_same_videos():
    good = random_runs(videos=12)
    worse = shuffled(good, 0.3)
    found = results.difference(good, worse)
    f1 = [value(results.score("baseline", "corrected", runs), "f1") for runs in (good, worse)]
    assert found["value"] == pytest.approx(f1[0] - f1[1]) and found["n_videos"] == 12
    assert 0 < found["low"] < found["value"] < found["high"]
    drawn = np.random.default_rng(0).multinomial(12, np.full(12, 1 / 12), size=1000)
    by_hand = []
    for weights in drawn[:40]:
        order = np.repeat(np.arange(12), weights)
        means = []
        for runs in (good, worse):
            pairs = [
                [np.concatenate([getattr(r.videos[k], f) for k in order]) for f in ("true", "labels")] for r in runs
            ]
            means.append(np.mean([f1_score(*pair, labels=[0, 1, 2], average="macro") for pair in pairs]))
        by_hand.append(means[0] - means[1])
    again = results.difference(good, worse, resamples=40)
    assert (again["low"], again["high"]) == pytest.approx(tuple(np.quantile(by_hand, [0.025, 0.975])))
    same = results.difference(good, good)
    assert (same["value"], same["low"], same["high"]) == (0, 0, 0)


def test_a_difference_takes_the_videos_that_both_rows_have_and_refuses_others():
    good = random_runs(videos=9)
    part = [replace(run, videos=run.videos[:3:-1]) for run in good]  # 5 of 9, in another order
    found = results.difference(good, part)
    assert (found["value"], found["n_videos"]) == (0, 5) and np.isnan(found["low"])
    other = [replace(run, videos=tuple(replace(v, true=1 - v.true // 2) for v in run.videos)) for run in good]
    with pytest.raises(InputError, match="other labels of the same videos"):
        results.difference(good, other)
    for wrong in ([], [replace(run, task="task3/groom") for run in good]):
        with pytest.raises(InputError, match="test videos of one task that both"):
            results.difference(good, wrong)


def test_recorded_rows_make_the_table_and_score_again_to_the_same(study):
    for row, protocol in (("pose_vlm", "corrected"), ("baseline", "published")):
        results.record(row, protocol, random_runs(), "demo", source="simulated", epochs=3)
    table = pd.read_csv(study / "table.csv")
    assert list(table.columns) == results.COLUMNS
    assert list(dict.fromkeys(table["row"])) == ["baseline", "pose_vlm"]
    assert results.sources(study) == {"simulated"}
    assert json.loads((study / "rows/baseline-published.json").read_text())["settings"] == {"epochs": 3}
    assert len(results.verify("demo")) == len(table)


def changed(path, old, new):
    before = path.read_bytes()
    assert old in before
    path.write_bytes(before.replace(old, new, 1))
    return before


def sealed_again(path, change):
    """Change a row's content and its hash with it, as a forger would."""
    content = json.loads(path.read_text())
    del content[results.WHOLE]
    change(content)
    path.write_text(json.dumps(content | {results.WHOLE: fingerprint(content)}))


def test_verify_names_a_row_that_was_changed_by_hand(study):
    results.record("clip", "corrected", random_runs(), "demo", epochs=3)
    path = study / "rows/clip-corrected.json"
    before = changed(path, b'"epochs": 3', b'"epochs": 4')
    with pytest.raises(InputError, match=r"clip-corrected\.json was changed after it was written"):
        results.verify("demo")
    path.write_bytes(before)
    for field, other in (("mean", 0.123), ("n_videos", 9), ("published", 0.9)):
        sealed_again(path, lambda content, f=field, o=other: content["rows"][0].update({f: o}))
        with pytest.raises(InputError, match=rf"clip-corrected\.json: f1 {field} scores .*, and the row says {other}"):
            results.verify("demo")
        path.write_bytes(before)
    path.write_text("{")
    with pytest.raises(InputError, match=r"clip-corrected\.json is not a row of results"):
        results.verify("demo")


def test_verify_names_a_byte_of_the_predictions(study):
    results.record("clip", "corrected", random_runs(), "demo")
    path = study / "predictions/clip-corrected.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1  # the last digit of one score: nothing scores otherwise
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"clip-corrected\.safetensors was changed after it was scored"):
        results.verify("demo")


def test_verify_names_the_line_of_a_changed_table_and_what_is_missing(study):
    for row in ("clip", "baseline"):
        results.record(row, "corrected", random_runs(), "demo")
    table, rows, predictions = (study / name for name in ("table.csv", "rows", "predictions"))
    before = changed(table, b"clip,corrected,f1,0.", b"clip,corrected,f1,1.")
    with pytest.raises(InputError, match=r"table\.csv: line 33 is clip,corrected,f1,1\."):
        results.verify("demo")
    table.write_bytes(before)
    for path in (predictions / "clip-corrected.safetensors", rows / "clip-corrected.json"):
        kept = path.read_bytes()
        path.unlink()
        with pytest.raises(InputError, match=rf"{path.name} is missing, and its row is there"):
            results.verify("demo")
        path.write_bytes(kept)
    for path in (predictions / "clip-corrected.safetensors", rows / "clip-corrected.json"):
        path.unlink()
    with pytest.raises(InputError, match=r"table\.csv: line 33 is clip,corrected,f1.* rows give nothing"):
        results.verify("demo")


def test_what_a_killed_write_leaves_is_no_row_and_is_taken_away(study):
    results.record("clip", "corrected", random_runs(), "demo", source="simulated")
    left = [killed_write(study / name) for name in ("rows/clip.json", "table.csv")]
    assert results.sources(study) == {"simulated"} and len(results.verify("demo")) == len(results.read_rows(study))
    (study / "table.csv").unlink()
    results.tidy(study)
    assert not any(path.exists() for path in left)
    results.verify("demo")


def test_a_changed_row_waits_for_its_notebook_and_stops_no_other(study):
    results.record("clip", "corrected", random_runs(), "demo")
    (study / "rows/clip-corrected.json").write_text("{")
    results.record("baseline", "corrected", random_runs(), "demo")
    assert set(pd.read_csv(study / "table.csv")["row"]) == {"baseline"}
    with pytest.raises(InputError, match=r"clip-corrected\.json is not a row"):
        results.read_rows(study)


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
            killed_write(study / folder / f"clip.{ending}")
    assert results.sources(study) == {""}
    assert len(results.verify("demo")) == len(results.read_rows(study))


def test_stored_predictions_come_back_whole(study):
    runs = [*random_runs(1), *random_runs(1, fps=None)]
    results.record("clip", "corrected", runs, "demo")
    back = results.read_predictions(study / "predictions/clip-corrected.safetensors")
    for before, after in zip(runs, back, strict=True):
        assert (before.seed, before.task, before.classes) == (after.seed, after.task, after.classes)
        for one, other in zip(before.videos, after.videos, strict=True):
            assert (one.name, one.fps) == (other.name, other.fps)
            np.testing.assert_array_equal(one.labels, other.labels)
            np.testing.assert_array_equal(one.scores, other.scores)


def test_predictions_stored_before_they_had_a_frame_rate_are_named(study):
    results.record("clip", "corrected", random_runs(), "demo")
    path = study / "predictions/clip-corrected.safetensors"
    with safe_open(path, "numpy") as file:
        index = json.loads(file.metadata()["index"])
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for run in index:
        run["videos"] = [video["name"] for video in run["videos"]]
    save_file(arrays, path, metadata={"index": json.dumps(index)})
    with pytest.raises(InputError, match=r"clip-corrected\.safetensors was stored before predictions had a frame rate"):
        results.read_predictions(path)


def test_a_partial_row_says_so_wherever_it_is_shown(study):
    results.record("clip", "corrected", random_runs(), "demo", partial="video of 3 of 70 train recordings")
    results.record("baseline", "corrected", random_runs(), "demo")
    table = pd.read_csv(study / "table.csv", keep_default_na=False)
    told = dict(zip(table["row"], table["partial"], strict=True))
    assert told == {"clip": "video of 3 of 70 train recordings", "baseline": ""}
    shown = front.study_table(results.read_rows(study), {}, "CalMS21")
    assert shown.count("(partial)") == 1 and f"{poster.TITLES['clip']} (partial)" in shown
    assert len(results.verify("demo")) == len(table)


def test_a_row_that_cannot_be_measured_leaves_the_table(study):
    for row in ("few_shot", "baseline"):
        results.record(row, "published", random_runs(), "demo")
    rows = results.leave_out("few_shot", "published", "demo")
    assert rows["mean"].isna().all() and (rows["n_seeds"] == 0).all()
    assert value(rows, "f1", "published") == 0.02
    assert set(pd.read_csv(study / "table.csv")["row"]) == {"baseline"}
    assert "not run" in front.study_table(results.read_rows(study), {}, "CalMS21")
    results.verify("demo")
    results.leave_out("few_shot", "published", "demo")  # again, with nothing left to take out


def test_unlabelled_frames_are_stored_and_scored_nowhere(study):
    runs = random_runs()
    for run in runs:
        for video in run.videos:
            video.true[:50] = UNLABELLED
    rows = results.record("baseline", "corrected", runs, "demo")
    fields = ("true", "labels", "scores")
    cut = [
        replace(run, videos=tuple(replace(v, **{name: getattr(v, name)[50:] for name in fields}) for v in run.videos))
        for run in runs
    ]
    pd.testing.assert_frame_equal(rows, results.score("baseline", "corrected", cut).assign(partial=""))
    assert results.verify("demo")["mean"].tolist() == rows["mean"].tolist()
    (first, *_) = results.read_row("baseline", "corrected", study)
    assert first.videos[0].true[:51].tolist() == [UNLABELLED] * 50 + [runs[0].videos[0].true[50]]


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
