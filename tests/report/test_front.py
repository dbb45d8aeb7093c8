"""The study's table: one metric for every protocol, and marks where a figure is another's, tuned, or worse."""

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from mbrepro.report import front
from mbrepro.study import poster, results
from mbrepro.study.two_stages import ALWAYS

SOURCE = "simulated"
OWN_PROTOCOLS = ("published", "corrected", "boosting_raw", "beyond")


def rows(row="clip", protocol="corrected", low=0.2, high=0.4, videos=19, undefined=0, partial="", **means):
    lines = [
        (row, protocol, metric, mean, 0.01, low, high, 5, videos, undefined, np.nan, partial)
        for metric, mean in means.items()
    ]
    return pd.DataFrame(lines, columns=results.COLUMNS)


def lines(parts, watched=None, source=SOURCE) -> dict[tuple[str, str], dict[str, str]]:
    """The table's lines by row and metric, each by the heads of its columns."""
    html = BeautifulSoup(front.study_table(pd.concat(parts), watched or {}, source), "html.parser")
    head, found, title = [cell.get_text() for cell in html.find_all("th")], {}, ""
    for line in html.find_all("tr")[1:]:
        cells = [cell.get_text() for cell in line.find_all("td")]
        title = cells[0] or title
        found[title, cells[1]] = dict(zip(head, cells, strict=True))
    return found


def test_both_protocols_stand_in_calms21s_metric_and_what_got_worse_is_marked():
    """As published MAP reads as precision: the row that looks better so is worse in average precision."""
    published = rows("localization", "published", f1=0.9, map=0.5, calms21_f1=0.9, calms21_map=0.95, bout_f1_50=0.301)
    corrected = rows("localization", f1=0.9, map=0.9, calms21_f1=0.9, calms21_map=0.9, bout_f1_50=0.299)
    found = lines([published, corrected])
    title = f"{poster.TITLES['localization']} †"
    assert found[title, "MAP"]["published (simulated)"].startswith("0.95 ± 0.01")
    assert found[title, "MAP"]["corrected (simulated)"] == "0.90 ± 0.01 [0.20, 0.40] ▼"
    assert "▼" not in found[title, "F1"]["corrected (simulated)"]
    assert "▼" not in found[title, front.METRICS["bout_f1_50"]]["corrected (simulated)"]  # the digits shown are alike


def test_the_posters_figures_of_another_metric_stand_in_brackets():
    found = lines([rows(row, calms21_f1=0.5, calms21_map=0.5) for row in poster.ROWS], source="CalMS21")
    printed = {key: line["real mice"] for key, line in found.items()}
    assert printed["Baseline classification", "MAP"] == "0.85" and printed["Localization", "F1"] == "0.92"
    assert printed["Localization", "MAP"] == "(0.88: precision)" and printed["Few-shot", "MAP"] == "(0.01: precision)"
    assert printed["Pose + VLM, end to end", "F1"] == "0.38 (0.52: 4 classes)"
    assert printed["Pose + VLM, end to end", "MAP"] == "(0.52: precision)"
    assert printed["Two people, three behaviours", "F1"] == "0.83 [0.75, 0.86]"


def test_poses_alone_the_trivial_answer_and_the_video_looked_at_have_their_places():
    always = rows("baseline", ALWAYS, calms21_f1=0.14, calms21_map=0.13)
    better = rows("baseline", results.BEYOND, calms21_f1=0.84, calms21_map=0.9, bout_f1_50=0.7)
    found = lines([always, better], {"published": 0.24, "corrected": 0.52})
    first = found["Baseline classification †", "F1"]
    assert first["always the most frequent"] == "0.14 [0.20, 0.40]" and first["published (simulated)"] == "not run"
    assert found["Beyond: poses alone, page 12", "F1"]["corrected (simulated)"].startswith("0.84 ± 0.01")
    looked = found["Pose + VLM, end to end", "video looked at"]
    assert (looked["published (simulated)"], looked["corrected (simulated)"]) == ("24%", "52%")


def test_a_row_of_clips_has_no_bouts_and_one_of_frames_has():
    found = lines([rows(calms21_f1=0.3), rows("baseline", calms21_f1=0.3, bout_f1_50=0.2)])
    assert ("Clip classification", front.METRICS["bout_f1_50"]) not in found
    bouts = found["Baseline classification †", front.METRICS["bout_f1_50"]]
    assert bouts["corrected (simulated)"].startswith("0.20") and bouts["always the most frequent"] == ""


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (rows(calms21_f1=0.3, low=np.nan, high=np.nan, videos=2), "No interval where a row has fewer than 8 test vid"),
        (rows(calms21_f1=0.3, undefined=43), "* Up to 43 of 1,000 resamples have no value and are left out."),
        (rows("baseline", bout_f1_50=0.3, undefined=7), "* Up to 7 of 1,000 resamples"),
    ],
)
def test_notes_say_what_a_cell_lacks(part, said):
    assert said in front.study_table(part, {}, SOURCE)
    plain = front.study_table(rows(calms21_f1=0.3), {}, SOURCE)
    assert "fewer than" not in plain and "resamples" not in plain and '<span class="mb-interval">[0.20, 0.40]<' in plain


def test_the_table_of_ones_own_has_the_localizers_of_poses_and_says_that_no_video_is_looked_at():
    parts = [rows("baseline", name, calms21_f1=0.5, calms21_map=0.6, bout_f1_50=0.25) for name in OWN_PROTOCOLS]
    html = BeautifulSoup(front.own_table(pd.concat(parts)), "html.parser")
    cells = [[cell.get_text(" ") for cell in line.find_all("td")] for line in html.find_all("tr")[1:]]
    assert [line[0] for line in cells] == list(front.OWN.values())
    assert cells[3][1].startswith("0.500 ± 0.010") and "[0.20, 0.40]" in cells[3][1]
    assert all(cell == front.UNSEEN for line in cells[4:7] for cell in line[1:]) and cells[7][1] == "no such behaviour"
