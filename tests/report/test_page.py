"""Tables, rows of results, pictures and clips as pages show them."""

import base64
from dataclasses import replace

import cv2
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from mbrepro.artifacts import write_json
from mbrepro.data.clips import ClipSettings
from mbrepro.data.recordings import Dataset, Recording
from mbrepro.data.video import write_video
from mbrepro.report import page
from mbrepro.report.pictures import REAL_FRAMES, Shown
from mbrepro.study import results


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    """Two recordings of 40 grey frames, all of class attack but the last ten."""
    path = tmp_path_factory.mktemp("video") / "grey.mp4"
    write_video(path, [np.full((60, 96, 3), 90, np.uint8)] * 40, 30.0, 96, 60)
    labels, keypoints = np.repeat([0, 2], (30, 10)), np.full((40, 2, 7, 2), 300.0)
    both = [Recording(f"mouse00{k}_x", keypoints, ("attack", "mount", "other"), labels, video=path) for k in (1, 2)]
    return Dataset("task1", both[0].classes, (both[0],), (both[1],), "simulated")


def parsed(shown) -> BeautifulSoup:
    return BeautifulSoup(shown.data, "html.parser")


def captions(shown) -> list[str]:
    return [caption.get_text() for caption in parsed(shown).find_all("figcaption")]


def decoded(source: str) -> cv2.Animation:
    kind, _, data = source.partition(",")
    assert kind == "data:image/webp;base64"
    _, animation = cv2.imdecodeanimation(np.frombuffer(base64.b64decode(data), np.uint8))
    return animation


def test_a_clip_loops_at_its_true_speed_and_stands_still_for_who_asks():
    clip = np.repeat(np.arange(0, 250, 25, dtype=np.uint8), 40 * 60 * 3).reshape(10, 40, 60, 3)
    clip[..., 0] = 0
    shown = parsed(page.gallery([Shown(clip, "a <b>")], fps=20.0))
    moving, still = decoded(shown.img["src"]), decoded(shown.source["srcset"])
    assert [np.round(f[..., :3].mean() * 1.5) for f in moving.frames] == pytest.approx(range(0, 250, 25), abs=4)
    assert moving.frames[5][..., 2].mean() < 12  # red is not taken for blue
    assert list(moving.durations) == [50] * 10 and moving.loop_count == 0
    assert len(still.frames) == 1 and np.abs(still.frames[0][..., :3].mean() * 1.5 - 125) < 4
    assert shown.source["media"] == "(prefers-reduced-motion: reduce)"
    assert shown.figcaption.get_text() == shown.img["alt"] == "a <b>" and not shown.find_all("script")


def test_simulated_frames_without_real_ones_say_what_is_missing(dataset, monkeypatch, tmp_path):
    monkeypatch.setenv("MBREPRO_REAL_DATA", str(tmp_path))
    shown = page.contact_sheet(dataset)
    assert captions(shown) == ["simulated: mouse001, frame 20", "simulated: mouse002, frame 20"]
    assert page.NO_REAL_FRAMES in parsed(shown).get_text() and "github.com/neuroethology/MARS" in page.NO_REAL_FRAMES


def test_real_frames_stand_beside_simulated_ones(dataset, monkeypatch, tmp_path):
    monkeypatch.setenv("MBREPRO_REAL_DATA", str(tmp_path))
    grid = np.full((60, 400, 3), 255, np.uint8)
    grid[5:50, 5:80] = grid[5:50, 105:180] = grid[5:50, 205:280] = 100
    (tmp_path / REAL_FRAMES).parent.mkdir()
    cv2.imwrite(str(tmp_path / REAL_FRAMES), grid)
    shown = page.contact_sheet(dataset)
    assert [title.partition(":")[0] for title in captions(shown)] == ["simulated", "real", "simulated", "real", "real"]
    assert page.NO_REAL_FRAMES not in parsed(shown).get_text()
    # frames of the fetched videos are real themselves
    assert captions(page.contact_sheet(replace(dataset, source="CalMS21"))) == [
        "CalMS21: mouse001, frame 20", "CalMS21: mouse002, frame 20",
    ]  # fmt: skip


def test_every_class_of_task_1_and_every_behaviour_of_task_3_has_a_clip_or_is_named(dataset):
    shown = page.clip_gallery(dataset)
    assert [title.split(" ")[0] for title in captions(shown)] == ["attack", "other"]
    assert parsed(shown).find(class_="mb-source").get_text() == "No video shows mount."
    groom = [replace(r, classes=("other", "groom"), labels=1 - r.labels // 2) for r in dataset.recordings]
    task3 = replace(dataset, task="task3/groom", classes=("other", "groom"), train=(groom[0],), test=(groom[1],))
    unseen = replace(task3, train=(replace(groom[0], video=None),), test=())
    assert [title.split(" ")[0] for title in captions(page.clip_gallery(task3))] == ["groom"]
    assert captions(page.clip_gallery(unseen)) == []


def cells(shown) -> list[list[str]]:
    return [[cell.get_text() for cell in row.find_all(["th", "td"])] for row in parsed(shown).find_all("tr")]


def test_a_table_shows_numbers_to_three_digits_whole_ones_whole_and_text_escaped():
    frame = pd.DataFrame(
        {"n": [3, 1200], "of": [2.0, np.nan], "x": [0.25, np.nan], "share": [1.0, 0.0], "<b>": ["<script>", "a & b"]},
        index=["<i>", "c"],
    )
    assert cells(page.table(frame, "it")) == [
        ["it", "n", "of", "x", "share", "<b>"],
        ["<i>", "3", "2", "0.250", "1.000", "<script>"],
        ["c", "1,200", "not defined", "not defined", "0.000", "a & b"],
    ]
    shown = page.table(frame, words=True)
    assert "<script>" not in shown.data and parsed(shown).table["class"] == ["mb-table", "mb-text"]
    assert cells(shown)[0] == ["n", "of", "x", "share", "<b>"]
    assert cells(page.values({"f1_of_all": 0.5})) == [["", "value"], ["f1 of all", "0.500"]]


def test_captions_are_escaped_beside_the_frames_they_were_made_of(dataset):
    frame = pd.DataFrame(
        {"recording": dataset.train[0].name, "start": [0], "seconds": 0.5, "class": ["attack"],
         "caption": ["<script>alert(1)</script> & more"], "category": ["detailed"]}
    )  # fmt: skip
    shown = page.caption_examples(frame, dataset.train, ClipSettings(seconds=2.0, sampled_fps=8.0))
    assert parsed(shown).find("script") is None and cells(shown)[1:] == [
        ["nondescript", "none of these captions", ""],
        ["detailed", "<script>alert(1)</script> & more", "attack, 0.5 s"],
        ["no response", "none of these captions", ""],
    ]
    (picture,) = [parsed(shown).img["src"]]
    strip = decoded(picture).frames[0]
    assert (
        strip.shape[:2] == (72, 4 * 115) and np.abs(strip[..., :3].mean() - 90) < 4
    )  # 4 frames of 0.5 s at 8 a second


def row(low=0.2, high=0.4, videos=19, undefined=0, metric="f1", protocol="corrected", partial=""):
    values = ("clip", protocol, metric, 0.3, 0.01, low, high, 5, videos, undefined, 0.39, partial)
    return pd.DataFrame([values], columns=results.COLUMNS)


def test_few_videos_give_no_interval():
    few = row(np.nan, np.nan, videos=2)
    assert cells(page.rows_shown(few))[1] == ["corrected", "f1", "0.300 ± 0.010", "none: 2 videos", "0.39"]


def test_an_interval_of_fewer_defined_resamples_says_so():
    assert cells(page.rows_shown(row(undefined=43)))[1][3] == "0.200 – 0.400 (of 957 resamples)"


@pytest.mark.parametrize(
    ("row_", "metric", "protocol", "said"),
    [
        ("baseline", "map", "corrected", "0.85"),
        ("localization", "map", "published", "0.88"),
        ("localization", "map", "corrected", "(0.88: precision)"),
        ("pose_vlm", "f1", "published", "0.52"),
        ("pose_vlm", "f1", "corrected", "0.38 (0.52: 4 classes)"),
        ("pose_vlm", "map", "corrected", "(0.52: precision)"),
    ],
)
def test_a_figure_of_the_poster_of_another_metric_stands_in_brackets(row_, metric, protocol, said):
    assert page.printed(row_, metric, protocol) == said
    line = row(metric=metric, protocol=protocol).assign(row=row_)
    assert cells(page.rows_shown(line))[1][4] == said
    assert cells(page.rows_shown(line.assign(published=np.nan)))[1][4] == ""  # one's own data


def test_rows_say_what_a_metric_is_and_counts_have_fewer_digits():
    counted = row(100.0, 1200.0, metric="merged").assign(mean=345.678, published=np.nan)
    assert cells(page.rows_shown(counted))[1][1:4] == [
        "bouts predicted over several", "345.7 ± 0.010", "100.0 – 1,200.0",
    ]  # fmt: skip
    assert set(page.METRICS) == set(results.OF_FRAMES)


def test_a_row_is_glued_with_its_interval_spread_and_videos():
    assert page.row_numbers(row()) == {
        "clip_corrected_f1": 0.3, "clip_corrected_f1_low": 0.2, "clip_corrected_f1_high": 0.4,
        "clip_corrected_f1_sd": 0.01, "clip_corrected_f1_videos": 19.0,
    }  # fmt: skip


def test_means_of_columns_are_glued_under_their_keys(monkeypatch):
    kept = {}
    monkeypatch.setattr(page, "glue", lambda key, value, display: kept.update({key: value}))
    page.glue_means(pd.DataFrame({"F1 of always": [0.1, 0.3], "x": 1.0}), {"always": "F1 of always"})
    assert kept == {"always": pytest.approx(0.2)}


def test_an_encoders_table_says_that_its_mice_are_simulated_and_its_encoder_is_not(tmp_path):
    line = {"embedder": "dinov2", "view": "cls", "F1": 0.12345, "F1 sd": 0.0206, "MAP": 0.5, "MAP sd": 0.0, "dims": 384}
    made = {"kind": "dinov2", "origin": "from <somewhere>"}
    told = {"data": "simulated, 7 train", "seeds": 5, "frames_a_clip": 4, "encoder": made}
    write_json(tmp_path / "encoder.json", {"provenance": told, "figures": {"table": [line]}})
    shown = parsed(page.recorded_encoder(tmp_path / "encoder.json"))
    notice = shown.find("div", class_="mb-banner").get_text()
    assert notice.startswith("Simulated mice. simulated, 7 train, 5 seeds: mean ± sd over them, 4 frames a clip.")
    assert "dinov2 is a real encoder (from <somewhere>); the mice of this table are not" in notice
    assert [cell.get_text() for cell in shown.find_all("th")] == ["embedder", "view", "F1", "MAP", "dims"]
    cells = [cell.get_text() for cell in shown.find_all("td")]
    assert cells == ["dinov2", "cls", "0.123 ± 0.021", "0.500 ± 0.000", "384"]


def test_names_of_a_folder_and_of_a_task_are_shown_as_text():
    notice = page.source_notice({"your 2 recordings in “<script>”"}, ["Task 1: <b>"])
    assert "“&lt;script&gt;”" in notice and "&lt;b&gt;" in notice and "<script>" not in notice
