"""Which bouts are shown, and that the videos in the page are of their frames."""

import base64
from dataclasses import replace

import cv2
import numpy as np
import pytest
from bs4 import BeautifulSoup

from mbrepro.data.recordings import Prediction, Recording
from mbrepro.data.video import decode_frames, probe, write_video
from mbrepro.report import bout_videos
from mbrepro.study.results import Run

CLASSES = ("attack", "mount", "other")


@pytest.fixture
def recordings(tmp_path) -> list[Recording]:
    """Frame f of 100 is grey 2 f; the second recording was never filmed."""
    write_video(tmp_path / "a.mp4", [np.full((60, 96, 3), 2 * f, np.uint8) for f in range(100)], 10, 96, 60, crf=0)
    labels = np.repeat([2, 0, 2, 0, 2, 0, 2], [20, 10, 10, 10, 10, 35, 5])
    points = np.full((100, 2, 7, 2), 1000.0)
    made = {"labels": labels, "classes": CLASSES, "fps": 10.0}
    return [Recording("a_1", points, video=tmp_path / "a.mp4", **made), Recording("b_1", points, **made)]


def run_of(recordings) -> Run:
    """Of the three attacks half, none, and all frames are named so."""
    said = np.repeat([2, 0, 2, 0, 2], [25, 10, 25, 35, 5])
    videos = (Prediction(r.name, r.labels, said, np.eye(3)[said], 10.0) for r in recordings)
    return Run(0, "task1", CLASSES, tuple(videos))


def test_the_best_and_the_worst_bout_of_each_behaviour_are_shown_with_what_lies_beside_them(recordings, tmp_path):
    shown = BeautifulSoup(bout_videos.best_and_worst(run_of(recordings), recordings).data, "html.parser")
    assert [caption.get_text() for caption in shown.find_all("figcaption")] == [
        "attack, best: 100% of frames 60 to 94 of a_1 are named so",
        "attack, worst: 0% of frames 40 to 49 of a_1 are named so",
    ]
    for number, (video, frames) in enumerate(zip(shown.find_all("video"), (range(55, 85), range(35, 55)), strict=True)):
        kind, _, data = video["src"].partition(",")
        path = tmp_path / f"{number}.mp4"
        path.write_bytes(base64.b64decode(data))
        pictures = decode_frames(path, range(probe(path).frames))
        still = base64.b64decode(video.find_next("img", class_="mb-still")["src"].partition(",")[2])
        shown_on_paper = cv2.imdecode(np.frombuffer(still, np.uint8), cv2.IMREAD_COLOR)
        assert np.abs(shown_on_paper[:, :, ::-1].astype(int) - pictures[len(pictures) // 2]).mean() < 4
        wide, high = (float(side) for side in video["style"].removeprefix("aspect-ratio: ").split(" / "))
        assert wide == pictures.shape[2] and high > pictures.shape[1] + 60  # where a player's controls lie
        assert kind == "data:video/mp4;base64" and video.has_attr("controls") and pictures.shape[2] == 320
        np.testing.assert_allclose(pictures[:, :20, 100:200].mean((1, 2, 3)), 2 * np.array(frames), atol=3)


def test_bouts_that_are_all_named_alike_are_shown_once(recordings):
    run = run_of(recordings)
    (video,) = (replace(v, labels=np.full(100, 1)) for v in run.videos[:1])
    shown = BeautifulSoup(bout_videos.best_and_worst(replace(run, videos=(video,)), recordings).data, "html.parser")
    assert shown.figcaption.get_text() == "attack, best: 0% of frames 20 to 29 of a_1 are named so"
    assert len(shown.find_all("video")) == 1


def test_without_video_the_page_says_so(recordings):
    told = bout_videos.best_and_worst(run_of(recordings[1:]), recordings)
    assert "No test recording with a behaviour in it has video here." in told.data
