"""Sentences made of numbers: what they compare comes out as the numbers lie, whichever way that is."""

import numpy as np
import pandas as pd
import pytest

from mbrepro.method.gate import Guarantee
from mbrepro.report import prose
from mbrepro.study import ablations, results
from mbrepro.study.two_stages import ALWAYS


def table(**f1) -> pd.DataFrame:
    """Rows ROW_PROTOCOL_METRIC=mean, of 5 seeds and 19 videos."""
    lines = []
    for key, mean in f1.items():
        row, protocol, metric = next(
            (row, protocol, key.removeprefix(f"{row}_{protocol}_"))
            for row, protocol in results.ROWS
            if key.startswith(f"{row}_{protocol}_")
        )
        lines.append((row, protocol, metric, mean, 0.013, mean - 0.1, mean + 0.1, 5, 19, 0, np.nan, ""))
    return pd.DataFrame(lines, columns=results.COLUMNS)


def difference(value, low, high, videos=19):
    return {"value": value, "low": low, "high": high, "n_videos": videos, "undefined": 0}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (difference(0.14, 0.09, 0.21), "leads the corrected two stages by 0.14 in F1"),
        (difference(0.14, 0.09, 0.21), "is 0.09 to 0.21, which excludes 0."),
        (difference(-0.14, -0.21, -0.09), "trails the corrected two stages by 0.14 in F1"),
        (difference(-0.14, -0.21, -0.09), "is -0.21 to -0.09, which excludes 0."),
        (difference(0.02, -0.03, 0.05), "which includes 0: these videos do not tell the two apart."),
        (difference(0.001, -0.03, 0.05), "equals the corrected two stages in F1;"),
        (difference(0.2, np.nan, np.nan, 1), "On the same 1 test video (simulated) the baseline"),
        (difference(0.2, np.nan, np.nan, 2), "by 0.20 in F1; they are too few for an interval."),
        (None, "have not both been run"),
    ],
)
def test_who_leads_is_what_the_difference_says(found, said):
    assert said in prose.lead(found, "simulated")


def test_a_gain_is_told_with_its_sign_and_what_its_interval_holds():
    found = {
        "F1": difference(0.031, 0.012, 0.049), "MAP": difference(-0.02, -0.05, -0.01),
        "bout F1": difference(0, -0.01, 0.01), "edit": difference(0.2, np.nan, np.nan, 2),
    }  # fmt: skip
    said = prose.gains(found, "ours", "theirs <")
    for part in (
        "F1: ours minus theirs &lt; is +0.031; the 95 % interval by video, +0.012 to +0.049, excludes 0 (19 test",
        "MAP: ours minus theirs &lt; is -0.020; the 95 % interval by video, -0.050 to -0.010, excludes 0",
        "bout F1: ours minus theirs &lt; is +0.000; the 95 % interval by video, -0.010 to +0.010, includes 0",
        "edit: ours minus theirs &lt; is +0.200; 2 test videos, too few for an interval.",
    ):
        assert part in said


def recorded(poses: float, clips: float) -> pd.DataFrame:
    index = pd.MultiIndex.from_tuples([ablations.CORRECTED, ("poses alone", "every frame", "pose")])
    return pd.DataFrame({"F1": [clips, poses]}, index)


def test_each_line_compares_as_its_two_numbers_do():
    rows = table(pose_vlm_corrected_f1=0.63, pose_vlm_published_calms21_f1=0.25, few_shot_corrected_f1=0.11)
    glued = {"watched_published": "0.21", "watched_corrected": "0.57", "few_shot_always": "0.14"}
    said = prose.corrections(rows, glued, recorded(0.86, 0.70))
    for part in (
        "F1 of 0.63, more than the 0.25 of the published one", "F1 of 0.86, more than the 0.70 of the embedding",
        "cover 57% of the test recordings, more than the 21% that", "F1 of 0.11, less than the 0.14 that calling",
    ):  # fmt: skip
        assert part in said, part
    rows = table(pose_vlm_corrected_f1=0.2, pose_vlm_published_calms21_f1=0.25, few_shot_corrected_f1=0.141)
    glued = {"watched_published": "0.6", "watched_corrected": "0.57", "few_shot_always": "0.139"}
    said = prose.corrections(rows, glued, recorded(0.5, 0.70))
    for part in (
        "0.20, less than the 0.25",
        "0.50, less than the 0.70",
        "57% of the test recordings, less than the 60%",
    ):
        assert part in said, part
    assert "F1 of 0.14, the same as the 0.14" in said


def test_what_was_not_run_is_not_spoken_of():
    said = prose.corrections(table(pose_vlm_corrected_f1=0.63), {"few_shot_always": "nan"}, None)
    assert said == "<ul></ul>"


def test_how_sure_names_the_interval_of_the_mean_and_says_why_there_is_none():
    rows = table(clip_corrected_f1=0.5, few_shot_corrected_f1=0.2, clip_published_f1=0.9, clip_corrected_map=0.1)
    few = rows["row"] == "few_shot"
    rows.loc[few, ["low", "high", "n_videos"]] = [np.nan, np.nan, 2]
    rows.loc[rows["row"] == "clip", "undefined"] = 43
    said = prose.how_sure(rows)
    assert said.count("<li>") == 2 and "other test" not in said
    assert (
        "5 seeds differ by ±0.013 in F1; the 95 % interval of the mean by video is 0.40 to 0.60 (19 test videos)"
        in said
    )
    assert (
        "43 of 1,000 resamples having no value" in said and "Few-shot: 5 seeds differ by ±0.013 in F1; 2 test" in said
    )
    assert "too few for an interval" in said


def test_recorded_ablation_holds_what_the_index_compares():
    poses, clips = ablations.control(ablations.recorded_table()[1])
    assert f"F1 of {poses:.2f}, more than the {clips:.2f} of" in prose.corrections(
        table(pose_vlm_corrected_f1=0.6), {}, ablations.recorded_table()[1]
    )
    assert 0 < clips < poses < 1


def test_gates_are_told_apart_only_where_an_interval_excludes_0_and_no_promise_is_made_of_few_videos():
    areas = pd.DataFrame(
        {"f1": {"difference": 0.91, "confidence": 0.9, "margin": 0.92, "random": 0.91, "oracle": 0.95}}
    )
    gains = {
        "confidence": difference(0.01, 0.002, 0.02), "margin": difference(-0.01, -0.02, 0.001),
        "random": difference(0, -0.01, 0.01), "oracle": difference(-0.04, -0.05, -0.03),
    }  # fmt: skip
    text = prose.gates(areas, gains, Guarantee(None, 19, 230))
    assert "beside confidence: the difference gate minus the other is +0.010; the 95 % interval by video" in text
    assert "margin has the highest mean; these videos tell the difference gate apart from confidence alone." in text
    assert "No threshold" in text and "takes 230 calibration videos, and there are 19" in text
    assert "takes" not in prose.gates(areas, gains, Guarantee(None, 300, 230))
    assert "Shown 60% of the clips" in prose.gates(areas, gains, Guarantee(2, 300, 230))
    same = dict.fromkeys(gains, difference(0, -0.01, 0.01))
    assert "apart from none of them." in prose.gates(areas, same, Guarantee(None, 19, 230))
    every = dict.fromkeys(gains, difference(0.1, 0.05, 0.2))
    assert "apart from all of them." in prose.gates(areas, every, Guarantee(None, 19, 230))


def test_a_pages_first_sentence_compares_as_its_rows_do():
    rows = table(clip_corrected_calms21_f1=0.6, clip_published_calms21_f1=0.7)
    trivial = table(clip_corrected_calms21_f1=0.2).assign(protocol=ALWAYS)
    said = prose.result(pd.concat([rows, trivial]), "clip", "simulated")
    assert "Result, simulated recordings." in said
    assert "Clip classification, corrected, has an F1 of 0.60, less than the 0.70 of the published protocol, in" in said
    assert (
        "in the same metric, on clips of its own and more than the 0.20 of always saying the most frequent behaviour."
        in said
    )
    few = table(few_shot_corrected_calms21_f1=0.1, few_shot_published_calms21_f1=0.2)
    said = prose.result(pd.concat([few, trivial.assign(row="few_shot")]), "few_shot", "CalMS21")
    assert (
        "Few-shot, corrected, has an F1 of 0.10, less than the 0.20 of calling" in said and "published" not in said
    )  # other behaviours as published
    assert "has not been run" in prose.result(rows, "pose_vlm", "CalMS21")
    assert "has not been run" in prose.result(rows, "baseline", "CalMS21")


@pytest.mark.parametrize(("bout", "same"), [(0.4, True), (0.41, False)])
def test_rows_of_both_protocols_are_called_identical_only_if_every_figure_is(bout, same):
    alike = {"calms21_f1": 0.76, "accuracy": 0.8, "bout_f1_50": 0.4}
    corrected = alike | {"bout_f1_50": bout}
    figures = {f"baseline_{name}_{metric}": mean for name, by in (("published", alike), ("corrected", corrected))
               for metric, mean in (by | {"map": 0.9}).items()}  # fmt: skip
    rows = table(**figures)
    rows.loc[(rows["metric"] == "map") & (rows["protocol"] == "published"), "mean"] = 0.1  # another metric there
    trivial = table(baseline_corrected_calms21_f1=0.1).assign(protocol=ALWAYS)
    said = prose.result(pd.concat([rows, trivial]), "baseline", "simulated")
    assert ("so their rows are identical" in said) == same
    assert ("Baseline classification has an F1 of 0.76, more than the 0.10 of always" in said) == same


def look(**told):
    return {f"gate_more_{name}": str(value) for name, value in told.items()}


def test_a_look_at_video_adds_only_what_its_interval_says():
    for low, high, word in [
        (-0.002, 0.018, "adds nothing measurable to poses alone: "), (0.001, 0.018, "adds to poses alone: "),
        (-0.02, -0.001, "takes from what poses alone have: "), (np.nan, np.nan, "may add to poses alone or"),
    ]:  # fmt: skip
        said = prose.look_result(look(**difference(0.005, low, high)), "simulated")
        assert f"A look at video {word}" in said and "poses alone is +0.005" in said, word
    assert "[-0.002, +0.018] in F1 (95 % intervals by video, 19 test videos)" in prose.look_result(
        look(**difference(0.005, -0.002, 0.018)), "simulated"
    )
    assert "nothing is measured here" in prose.look_result({}, "CalMS21")


def test_what_poses_alone_gain_opens_with_whose_recordings_they_are():
    found = {"F1": difference(0.087, 0.062, 0.142), "bout F1": difference(0.2, 0.1, 0.3)}
    said = prose.beyond_result(found, "simulated")
    assert "Result, simulated recordings." in said and "+0.087 [+0.062, +0.142] in F1 and +0.200 [+0.100," in said


def test_openings_from_glued_numbers_follow_them_and_say_when_there_are_none():
    told = {"space_1_NN_full": "0.66", "space_1_NN_best": "0.68", "space_ridge_full": "0.8"}
    said = prose.space_result(told, "simulated")
    assert "recall to 0.68, more than the 0.66 of the whole" in said and "has 0.80, more than the 0.68 of" in said
    assert "No clip" in prose.space_result({}, "simulated")
    told = {"silent_shortest": 0.25, "silent_longest": 0.675, "words_longest": 0.3, "chance_longest": 0.33}
    said = prose.language_result({f"language_{name}": str(value) for name, value in told.items()}, "CalMS21")
    assert "no response in 68% of cases, more than the 25% to the shortest" in said
    assert "recall of 0.30, less than the 0.33 of chance" in said
    assert "no clip to ask" in prose.language_result({}, "CalMS21")


def test_the_ablation_opens_with_its_best_line_beside_poses():
    said = prose.ablation_result(recorded(0.86, 0.70))
    assert (
        "In hindsight the best of 1 ways" in said and "has an F1 of 0.70, less than the 0.86 of the same clips" in said
    )
    assert "No ablation" in prose.ablation_result(None)


def test_a_power_law_is_advised_against_where_its_trial_missed():
    rows = [
        ("f1", "minutes", 0, 0.867, 0.86, 0.88, 0.841), ("map", "minutes", 0, 0.902, 0.89, 0.92, 0.909),
        ("bout_f1_50", "minutes", 0, 0.5, 0.45, 0.55, 0.6), ("f1", "minutes", 1, 0.8, 0.7, 0.9, 0.1),
        ("f1_near", "bouts_near", 0, 0.1, 0.1, 0.1, 0.9),
    ]  # fmt: skip
    laws = pd.DataFrame(rows, columns=["score", "by", "times", "value", "low", "high", "measured"])
    points = pd.DataFrame(
        [(0, 1, 10.0, 0.5), (1, 1, 20.0, 0.6), (0, 2, 30.0, 0.86), (1, 2, 50.0, 0.86), (0, 4, 70.0, 0.7),
         (0, 8, 90.0, 0.81), (1, 8, 110.0, 0.84), (0, 9, 150.0, 0.83), (1, 9, 154.0, 0.83)],
        columns=["draw", "animals", "minutes", "f1"],
    ).assign(map=0.9, bout_f1_50=[0.1] * 7 + [0.7] * 2)  # fmt: skip
    said = prose.labelled_enough(points, laws, "simulated")
    assert "Of 152 labelled minutes, F1 comes within 0.01 of what all give, and stays there, from 100 on" in said
    assert "MAP from 15, bout F1 from 152." in said
    assert "F1 overshoots (0.867 [0.860, 0.880], measured 0.841); MAP holds (" in said
    assert "bout F1 falls short (0.500" in said and "Do not use it here for F1 and bout F1." in said
    assert "Do not" not in prose.labelled_enough(points, laws[laws["score"] == "map"], "own")
    few = prose.labelled_enough(points, laws[:0], "your 4 recordings of 2 animals in “<b>”")
    assert "Result, your 4 recordings of 2 animals in “&lt;b&gt;”.</strong> Of 152" in few
    assert "Too little is labelled" in few


def test_whether_a_localizer_is_needed_follows_the_difference():
    for told, word in [
        (difference(0.004, -0.01, 0.02), "brings nothing that these videos show"),
        (difference(-0.1, -0.2, -0.05), "the localizer is the better one"),
        (difference(0.1, 0.05, 0.2), "the baseline is the better localizer"),
        (difference(0.1, np.nan, np.nan, 2), "too few videos"),
    ]:
        assert word in prose.needed(told)


def test_orders_and_falls_are_those_of_the_tables():
    rows = pd.DataFrame({"precision": [0.7, 0.8], "average precision": [0.9, 0.8]}, ["two", "four"])
    assert "The leader by precision is: four; by average precision: two." in prose.orders(rows)
    assert "By both measures the leader here is: four." in prose.orders(
        rows.assign(**{"average precision": [0.1, 0.8]})
    )
    falls, rises = ({"1s": {"value": value}, "whole": {"value": 0.8}} for value in (0.9, 0.7))
    grid = {"gap_0s": falls, "gap_1s": rises}
    assert "allow more at 1 of 2 gaps;" in prose.falling(grid)
    assert "allow more at every gap;" in prose.falling({"gap_0s": grid["gap_0s"]})
