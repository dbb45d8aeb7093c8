"""Where a profile's recordings and model come from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mbrepro.data.recordings import OTHER, TASK1_CLASSES, Dataset, Recording
from mbrepro.data.video import write_video
from mbrepro.demo.simulated.release import write_calms21
from mbrepro.errors import InputError
from mbrepro.report import tables
from mbrepro.study import profiles
from mbrepro.study.parameters import numbers

BINARY = (OTHER, "groom")


def made(name: str, seed: int, classes=TASK1_CLASSES, **fields) -> Recording:
    keypoints = np.random.default_rng(seed).uniform(0, 500, (60, 2, 7, 2))
    return Recording(name, keypoints, classes, labels=np.zeros(60, int), **fields)


@pytest.fixture
def release(monkeypatch):
    """Task 1 with video. In Task 3 train m1 is also in Task 1 train; in test m3 is in its train and m4 in its test."""
    video = Path("video.mp4")
    task1 = Dataset(
        "task1", TASK1_CLASSES, tuple(made(f"m{k}_task1", k, video=video) for k in (1, 3)),
        (made("m4_task1", 4, video=video),), "CalMS21",
    )  # fmt: skip
    train = tuple(made(f"m{k}_task3", k, BINARY) for k in (1, 2))
    test = tuple(made(f"m{k}_task3", k, BINARY) for k in (3, 4))
    task3 = Dataset("task3/groom", BINARY, train, test, "CalMS21")
    monkeypatch.setattr(profiles, "calms21_folder", lambda: Path("data"))
    monkeypatch.setattr(profiles, "load_calms21", lambda folder, task: task1 if task == "task1" else task3)
    return task1, task3


def test_task_3_gets_the_videos_it_is_found_in_but_no_test_animal_that_task_1_trains_on(release):
    data = profiles.load_dataset("task3/groom", "calms21")
    assert [r.name for r in data.recordings if r.video] == ["m1_task3", "m4_task3"]
    assert data.partial == "video of 1 of 2 train and 1 of 2 test recordings"
    pairs = profiles.task3_pairs(["groom"], "calms21")["groom"]
    assert [(p.sequence, p.video_of) for p in pairs if p.video_of] == [
        ("m1_task3", "m1_task1"), ("m3_task3", "m3_task1"), ("m4_task3", "m4_task1"),
    ]  # fmt: skip
    shown = tables.video_table({"groom": data}, {"groom": pairs})
    assert shown["found in Task 1"].tolist()[0] == "m1_task3 in m1_task1"
    assert "m3_task3 in m3_task1" in shown["found in Task 1"].tolist()[1] and shown["with video"].tolist() == [1, 1]
    assert "m3_task3, as Task 1 trains on m3" in shown["without its video"].tolist()[1]


def test_no_test_sequence_of_a_release_shows_an_animal_that_a_train_sequence_shows(tmp_path, monkeypatch):
    task1 = Dataset(
        "task1", TASK1_CLASSES, (made("mouse001_x", 1),), (made("mouse002_x", 2), made("mouse003_x", 3)), ""
    )
    parts = [replace(r, classes=BINARY) for r in (task1.test[0], task1.test[0], task1.test[1])]
    cut = [
        replace(r, name=f"mouse00{k}_y", animal="", keypoints=r.keypoints[a:b], labels=r.labels[a:b] * 0)
        for k, (r, a, b) in enumerate(zip(parts, (0, 25, 5), (30, 60, 60), strict=True), 4)
    ]
    write_calms21(tmp_path, task1, {"groom": Dataset("task3/groom", BINARY, tuple(cut[:1]), tuple(cut[1:]), "")})
    for split, name in (("train", "mouse001"), ("test", "mouse002"), ("test", "mouse003")):
        path = tmp_path / "task1_videos_mp4" / split / f"{name}_x.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(path, np.zeros((60, 16, 16, 3), np.uint8), 30, 16, 16)
    monkeypatch.setenv("MBREPRO_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(profiles, "calms21_folder", lambda: tmp_path)
    data = profiles.load_dataset("task3/groom", "calms21")
    assert [(r.name, r.video and r.video.stem) for r in data.recordings] == [
        ("mouse004_y", "mouse002_x"), ("mouse005_y", None), ("mouse006_y", "mouse003_x"),
    ]  # fmt: skip
    shown = tables.video_table({"groom": data}, profiles.task3_pairs(["groom"], "calms21"))
    assert shown["without its video"].tolist()[1] == "mouse005_y, as train sequence mouse004_y shows mouse002 too"


def test_without_a_video_in_task_1_there_is_none(release, monkeypatch):
    task1, task3 = release
    other = replace(task1, train=(made("m8_task1", 8),), test=(made("m9_task1", 9),))
    monkeypatch.setattr(profiles, "load_calms21", lambda folder, task: other if task == "task1" else task3)
    assert not any(r.video for r in profiles.load_dataset("task3/groom", "calms21").recordings)


def test_the_demo_has_no_pairs():
    assert profiles.task3_pairs(["groom"], "demo") == {}


def test_the_published_model_is_the_posters_and_a_model_of_ones_own_takes_the_place_of_both(monkeypatch):
    monkeypatch.delenv("MBREPRO_MODEL", raising=False)
    published, corrected = (profiles.embedder_settings("calms21", p).model for p in ("published", "corrected"))
    assert (published, corrected) == ("Qwen/Qwen2-VL-2B-Instruct", "Qwen/Qwen2.5-VL-3B-Instruct")
    monkeypatch.setenv("MBREPRO_MODEL", "/models/mine")
    assert {profiles.embedder_settings("calms21", p).model for p in ("published", "corrected")} == {"/models/mine"}
    assert profiles.embedder_settings("demo", "corrected").model == "stand-in"


def test_a_notebook_may_name_another_model_in_both_profiles(monkeypatch):
    monkeypatch.setenv("MBREPRO_MODEL", "/models/mine")
    assert profiles.embedder_settings("calms21", "corrected", "poses").model == "poses"
    chosen, own = (profiles.embedder_settings("demo", "corrected", name) for name in ("/models/other", ""))
    assert (chosen.model, own.model) == ("/models/other", "stand-in") and chosen.max_pixels == own.max_pixels


def test_numbers_of_a_parameter_are_read_or_it_is_named():
    assert numbers("0.5, 1,20") == [0.5, 1, 20]
    for wrong in ("1,two", "", "1,-2", "nan"):
        with pytest.raises(InputError, match=f"gaps takes numbers of at least 0, separated by commas, not '{wrong}'"):
            numbers(wrong, "gaps")


def test_an_unknown_profile_is_refused():
    with pytest.raises(InputError, match="no profile 'real'"):
        profiles.load_dataset("task1", "real")
