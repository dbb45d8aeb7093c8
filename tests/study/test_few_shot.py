"""The published few-shot row taken apart: what each line changes, what it reads, and whose video is shown."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from mbrepro.data.recordings import Dataset, Prediction, Recording
from mbrepro.embedding.embedder import POSES, EmbedderSettings
from mbrepro.method import protocols
from mbrepro.method.pipeline import localize_action
from mbrepro.study import few_shot as study
from mbrepro.study.few_shot import STEPS, everywhere, mispaired, step_scores
from mbrepro.study.results import Run
from tests.fixtures.near_and_far import made_recording
from tests.fixtures.telling import CLASSES, Telling, recording

PUBLISHED = protocols.published_few_shot(EmbedderSettings(model="one"))
CORRECTED = protocols.corrected_few_shot(EmbedderSettings(model="one"))


def filmed(name: str, frames: int, behaviour: str = "groom") -> Recording:
    labels, keypoints = np.arange(frames) % 2, np.zeros((frames, 2, 7, 2))
    return Recording(name, keypoints, ("other", behaviour), labels=labels, video=Path(f"{name}.mp4"), video_start=3)


def task(behaviour: str, frames: int, numbers=(range(2), range(2, 4))) -> Dataset:
    parts = [tuple(filmed(f"{behaviour}{k}_", frames, behaviour) for k in part) for part in numbers]
    return Dataset(f"task3/{behaviour}", ("other", behaviour), *parts, "made")


def test_every_setting_of_a_protocol_belongs_to_one_step():
    settings = asdict(PUBLISHED)
    clips = settings.pop("clips")
    del settings["name"]
    assert sorted(n for names in STEPS.values() for n in names) == sorted([*settings, *(f"clips.{n}" for n in clips)])


def test_each_recording_is_shown_another_one_that_is_as_long_and_else_none():
    mine, others = task("groom", 50), task("attack", 50)
    short = replace(others, train=(filmed("attack0_", 49, "attack"), *others.train[1:]))
    swapped = mispaired(mine, short)
    assert [r.video.stem for r in swapped.recordings] == ["attack1_", "attack2_", "attack3_", "attack1_"]
    for before, after in zip(mine.recordings, swapped.recordings, strict=True):
        assert asdict(replace(after, video=before.video, video_start=3)).keys() == asdict(before).keys()
        assert after.name == before.name and after.video_start == 0 and np.array_equal(after.labels, before.labels)
    assert all(a.video != b.video for a, b in zip(mine.recordings, mispaired(mine, mine).recordings, strict=True))
    assert mispaired(mine, task("attack", 49)) is None


def test_a_line_changes_one_thing_and_reads_its_metric(monkeypatch):
    """Labels and scores by hand: precision 1/2, F1 2/3 and average precision 1 of a ranking without fault."""
    true, labels = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 0])
    ranked = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.6, 0.4]])
    asked = []

    def few_shot(data, tasks, protocol, embedder, seeds, folder, localize):
        asked.append((protocol, [t.recordings[0].video.stem for t in tasks], localize))
        video = Prediction("v", true, labels, ranked)
        right = replace(video, labels=true)
        return [
            Run(seed, t.task, ("other", "groom"), (right if t.task == "task3/dig" else video,))
            for t in tasks for seed in range(seeds)
        ]  # fmt: skip

    monkeypatch.setattr(study, "few_shot", few_shot)
    monkeypatch.setattr(study, "boosted", lambda *_: "boosted")
    groom, dig, data = task("groom", 50), task("dig", 50), task("attack", 60)
    table = step_scores(data, [groom, dig], "groom", PUBLISHED, CORRECTED, 2, None, lambda settings: settings)
    assert [videos for _, videos, _ in asked[:4]] == [["attack0_"], ["groom0_"], ["groom0_"], ["groom0_", "dig0_"]]
    protocols_ = [protocol for protocol, *_ in asked]
    assert protocols_[:4] == [PUBLISHED] * 4 and protocols_[-4] == CORRECTED
    assert protocols_[-3:] == [CORRECTED.with_model(POSES, "pose")] * 3
    sources = [localize for *_, localize in asked]
    assert sources[-2:] == ["boosted", everywhere] and set(sources[:-2]) == {localize_action}
    assert table["F1"].tolist() == pytest.approx([1 / 2] * 3 + [3 / 4] * (len(table) - 3))
    assert table["MAP"].tolist() == pytest.approx([1 / 2] * 2 + [1] * (len(table) - 2))
    assert table["F1 sd"].eq(0).all() and table["F1 gain"].tolist()[3] == pytest.approx(1 / 4)
    alone = step_scores(data, [groom], "groom", PUBLISHED, CORRECTED, 2, None, lambda settings: settings)
    without = step_scores(data, [dig], "groom", PUBLISHED, CORRECTED, 2, None, lambda settings: settings)
    assert set(table["step"]) - set(alone["step"]) == {"all 2 behaviours"}
    assert without["step"].iloc[0] == "as published" and len(without) == len(table) - 3


def test_clips_over_everything_find_what_stage_1_leaves_out(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "train_localizers", lambda *_: [None])
    parts = [tuple(recording(f"mouse{k:03}", k) for k in part) for part in (range(3), range(10, 13))]
    made = Dataset("task3/groom", CLASSES, *parts, "made")
    protocol = replace(CORRECTED, view="told")

    def found(localize) -> np.ndarray:
        (run,) = study.few_shot(made, [made], protocol, Telling(), 1, tmp_path, localize)
        return np.concatenate([video.labels for video in run.videos])

    true = np.concatenate([r.labels for r in made.test])
    nothing = found(lambda _, r: np.zeros(len(r), np.float32))
    assert not nothing.any() and (found(everywhere) == true).mean() > 0.9


def test_boosted_features_trained_on_task_1_say_where_action_is(tmp_path):
    """Task 1 has action where the animals are close; of a task's recordings nothing but the poses is looked at."""
    made = [made_recording(f"mouse{k:03}_task", 600, k) for k in range(7)]
    data, hidden = (Dataset(r[0].name, made[0].classes, tuple(r), (), "made") for r in (made[:4], made[4:]))
    hidden = replace(hidden, train=tuple(replace(r, labels=0 * r.labels) for r in hidden.train))
    found = study.boosted(data, [hidden, hidden], tmp_path)
    for asked, true in zip(hidden.train, made[4:], strict=True):
        probability = found(None, asked)
        assert probability.shape == (600,) and ((probability > 0.5) == true.action).mean() > 0.9
