"""Maps of clips: each point with its own clip's picture and facts, at rest and when somebody points at it."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import sync_playwright

from mbrepro import paths
from mbrepro.data.clips import ClipSettings, cut_clips
from mbrepro.data.recordings import Recording
from mbrepro.data.video import write_video
from mbrepro.report import pictures, space_map
from mbrepro.report.plots import colour_of
from mbrepro.study.clip_index import FoundClips, clip_frame
from tests.fixtures import browser
from tests.fixtures.colours import NEAR, SIGHTS, lab

STARTS = ((0, 12, 30), (), (5, 40))


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> list[FoundClips]:
    """Five clips of three recordings, whose videos get lighter from frame to frame."""
    folder, parts = tmp_path_factory.mktemp("videos"), []
    for k, starts in enumerate(STARTS):
        video = folder / f"{k}.mp4"
        write_video(video, (np.full((64, 96, 3), 8 + 60 * k + 2 * i, np.uint8) for i in range(60)), 30.0, 96, 64, crf=0)
        points = np.random.default_rng(k).uniform(200, 400, (60, 2, 7, 2))
        recording = Recording(f"task1/mouse<{k}>", points, labels=np.full(60, k), video=video)
        parts.append(FoundClips(recording, ("train", "test")[k > 1], np.array(starts, int), np.full(len(starts), k)))
    return parts


@pytest.fixture(scope="module")
def frame(found) -> pd.DataFrame:
    return clip_frame(found)


@pytest.fixture(scope="module")
def planes() -> dict[str, np.ndarray]:
    corners = np.array([[0, 0], [4, 0], [4, 2], [0, 2], [2, 1]], np.float32)
    return {"model": corners, "poses <i>": corners[::-1]}


NAMED = {"model": np.array(["attack"] * 4 + ["mount"]), "poses <i>": np.array(["other"] * 5)}
SETTINGS = ClipSettings(seconds=0.5, sampled_fps=8.0, crop="mice", crop_pixels=space_map.SIDE)


@pytest.fixture(scope="module")
def figure(found, frame, planes) -> str:
    return space_map.explorer(planes, frame, NAMED, found, SETTINGS, "simulated").data


def test_middle_frames_are_those_of_the_clips_as_they_are_cut(found):
    for one in found:
        clips = cut_clips(one.recording, one.starts.tolist(), SETTINGS)
        middles = pictures.middle_frames(one.recording, one.starts.tolist(), SETTINGS, space_map.SIDE)
        assert len(middles) == len(clips)
        assert all(np.array_equal(clip[len(clip) // 2], middle) for clip, middle in zip(clips, middles, strict=True))


def test_a_sheet_holds_pictures_row_by_row():
    tiles = [np.full((2, 2, 3), k, np.uint8) for k in range(space_map.COLUMNS + 1)]
    grid = space_map.sheet(tiles)
    assert grid.shape == (4, 2 * space_map.COLUMNS, 3)
    assert grid[0, ::2, 0].tolist() == list(range(space_map.COLUMNS))
    assert grid[2, :4, 0].tolist() == [space_map.COLUMNS] * 2 + [0, 0]


def test_without_its_script_the_first_space_is_there_by_class(figure):
    shown = BeautifulSoup(figure, "html.parser")
    points = [(p["cx"], p["cy"], p["fill"]) for p in shown.select("circle:not(.mb-ring)")]
    attack, mount = colour_of("attack"), colour_of("mount")
    assert points == [
        ("20", "20", attack), ("980", "20", attack), ("980", "600", attack), ("20", "600", mount),
        ("500", "310", mount),
    ]  # fmt: skip
    assert all(control.has_attr("disabled") and control.parent.name == "label" for control in shown.select("[name]"))
    assert [word.get_text() for word in shown.select(".mb-key span")] == ["attack", "mount"] and shown.find("noscript")
    caption = shown.figcaption.get_text()
    assert "model 80%, poses <i> 0%; the most in the space of model." in caption and "5 of 5 clips" in caption


def test_fewer_clips_are_drawn_than_there_are_and_each_keeps_its_own_facts_and_picture(found, frame, planes):
    made = space_map.explorer(planes, frame, NAMED, found, SETTINGS, "simulated", most=2).data
    shown = BeautifulSoup(made, "html.parser")
    clips = json.loads(shown.script.string)["clips"]
    assert [(clip["recording"], clip["class"], clip["from"]) for clip in clips] == [
        ("task1/mouse<0>", "attack", "0.0 s"), ("task1/mouse<2>", "mount", "1.3 s"),
    ]  # fmt: skip
    assert "2 of 5 clips" in shown.figcaption.get_text()


@pytest.mark.parametrize("sight", SIGHTS)
def test_right_and_wrong_are_told_apart_in_every_sight_and_in_grey(sight):
    right, wrong = (lab(colour, sight) for colour in space_map.VERDICT_COLOURS.values())
    assert np.linalg.norm(right - wrong) >= NEAR and abs(right[0] - wrong[0]) >= NEAR


SHOWN = """() => ({
    facts: [...document.querySelectorAll("dd")].map((cell) => cell.textContent),
    key: [...document.querySelectorAll(".mb-key span")].map((cell) => cell.textContent),
    fill: document.querySelector("circle").getAttribute("fill"),
    ring: ["cx", "cy"].map((name) => document.querySelector(".mb-ring").getAttribute(name)),
    hidden: document.querySelector(".mb-thumb").hidden,
    told: document.querySelector("[name=clip]").getAttribute("aria-valuetext"),
})"""


@pytest.mark.skipif(browser.CHROMIUM is None, reason="no Chromium on this machine")
def test_pointing_tapping_and_keys_show_the_clip_that_is_meant(figure, found, tmp_path):
    static = paths.SOURCE / "book" / "_static"
    head = f'<link rel="stylesheet" href="{(static / "mbrepro.css").as_uri()}">'
    head += f'<script src="{(static / "space_map.js").as_uri()}"></script>'
    (tmp_path / "page.html").write_text(f"<!doctype html><meta charset=utf-8>{head}{figure}", encoding="utf-8")
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=browser.CHROMIUM) as chromium:
        page = chromium.new_context(viewport={"width": 1000, "height": 1200}, has_touch=True).new_page()
        page.goto((tmp_path / "page.html").as_uri())
        box = page.locator(".mb-plane svg").bounding_box()
        assert page.evaluate(SHOWN)["hidden"]

        page.mouse.move(box["x"] + 0.98 * box["width"] - 5, box["y"] + 600 / 620 * box["height"] + 4)
        told = page.evaluate(SHOWN)
        assert told["facts"] == ["attack", "attack, right", "task1/mouse<0>", "1.0 s, train"]
        assert told["ring"] == ["980", "600"] and not told["hidden"]
        thumb = page.locator(".mb-thumb")
        middles = [m for f in found for m in pictures.middle_frames(f.recording, f.starts.tolist(), SETTINGS, 8)]
        assert grey(thumb.screenshot()) == pytest.approx(middles[2].mean(), abs=2)

        page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 20)  # near no point: the last stays
        assert page.evaluate(SHOWN) == told
        page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        assert page.evaluate(SHOWN)["facts"] == ["mount", "mount, right", "task1/mouse<2>", "1.3 s, test"]
        assert grey(thumb.screenshot()) == pytest.approx(middles[4].mean(), abs=2)

        page.locator("[name=clip]").press("ArrowLeft")
        told = page.evaluate(SHOWN)
        assert told["told"] == "mount, attack, wrong, task1/mouse<2>, 0.2 s, test"
        page.locator("[name=by]").select_option("verdict")
        assert page.evaluate(SHOWN)["key"] == ["right", "wrong"]
        page.locator("[name=space]").select_option("poses <i>")
        told = page.evaluate(SHOWN)
        assert told["key"] == ["wrong"] and told["fill"] == space_map.VERDICT_COLOURS["wrong"]
        assert told["facts"][1] == "other, wrong" and told["ring"] == ["980", "20"]


def grey(png: bytes) -> float:
    """Mean of the middle of a picture."""
    pixels = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    height, width = pixels.shape[:2]
    return float(pixels[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4].mean())
