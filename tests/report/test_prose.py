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


def test_gates_are_compared_as_their_areas_are_and_no_promise_is_made_of_few_videos():
    areas = pd.DataFrame(
        {"f1": {"difference": 0.91, "confidence": 0.9, "margin": 0.92, "random": 0.91, "oracle": 0.95}}
    )
    text = prose.gates(areas, Guarantee(None, 19, 230))
    assert "mean F1 of 0.910, more than the 0.900 of confidence" in text
    assert "0.910, less than the 0.920 of margin" in text and "0.910, the same as the 0.910 of random" in text
    assert "Of the gates that know no labels, margin has the highest." in text
    assert "No threshold" in text and "takes 230 calibration videos, and there are 19" in text
    assert "takes" not in prose.gates(areas, Guarantee(None, 300, 230))
    assert "Shown 60% of the clips" in prose.gates(areas, Guarantee(2, 300, 230))


def test_a_pages_first_sentence_compares_as_its_rows_do():
    rows = table(clip_corrected_calms21_f1=0.6, clip_published_calms21_f1=0.7)
    trivial = table(clip_corrected_calms21_f1=0.2).assign(protocol=ALWAYS)
    said = prose.result(pd.concat([rows, trivial]), "clip", "simulated")
    assert "Clip classification, corrected, has an F1 of 0.60, less than the 0.70 of the published protocol, in" in said
    assert "It is 0.60, more than the 0.20 of always saying the most frequent behaviour." in said
    few = table(few_shot_corrected_calms21_f1=0.1, few_shot_published_calms21_f1=0.2)
    said = prose.result(pd.concat([few, trivial.assign(row="few_shot")]), "few_shot", "CalMS21")
    assert (
        "Few-shot, corrected, has an F1 of 0.10, less than the 0.20 of always" in said and "published" not in said
    )  # other behaviours as published
    assert "has not been run" in prose.result(rows, "pose_vlm", "CalMS21")
