"""Pictures and clips as pages show them."""

import base64
from dataclasses import replace

import cv2
import numpy as np
import pytest
from bs4 import BeautifulSoup

from mbrepro.data.recordings import Dataset, Recording
from mbrepro.data.video import write_video
from mbrepro.report import page
from mbrepro.report.pictures import REAL_FRAMES, Shown


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
