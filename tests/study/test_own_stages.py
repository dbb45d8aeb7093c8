"""Clips of one's own recordings: pictures tell what stage 1 cannot, rare behaviours, and no animal in both."""

import numpy as np
import pytest

from mbrepro.data.recordings import UNLABELLED
from mbrepro.embedding.embedder import EmbedderSettings
from mbrepro.embedding.pixels import PixelEmbedder
from mbrepro.method.features import frame_features
from mbrepro.metrics.frames import evaluate
from mbrepro.report import front
from mbrepro.study import own, own_stages, profiles
from mbrepro.study.shots import ALWAYS, POSES, RANDOM, VIDEO
from tests.fixtures.rat_files import FRAMES, NAMES, write_filmed_rats


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five filmed pairs of rats whose pictures are as bright as what they do, and one without a video."""
    return write_filmed_rats(tmp_path_factory.mktemp("rats"))


@pytest.fixture
def data(folder, monkeypatch, tmp_path):
    """Stage 1 sees that something happens, base among it, and not what; it never saw the animals that it scores."""
    monkeypatch.setenv("MBREPRO_OWN", str(folder))
    monkeypatch.setenv("MBREPRO_ROOT", str(tmp_path))
    monkeypatch.delenv("MBREPRO_MODEL", raising=False)
    quiet = np.array([name == "nonsocial" for name in NAMES])
    scores = np.where(quiet[:, None], [0.05, 0.05, 0.9], [0.45, 0.45, 0.1])

    def fold_scores(others, held, alike, layers=()):
        assert alike and not {r.animal for r in others} & {r.animal for r in held}
        return {r.name: scores for r in held}

    monkeypatch.setattr(own, "fold_scores", fold_scores)
    return profiles.load_dataset("task1", "own")


@pytest.fixture
def looking(data):
    embedder = own_stages.embedder_of(data, "pixels")
    assert isinstance(embedder, PixelEmbedder)
    return embedder, own_stages.protocol_of(embedder, 0.5, 8.0)


def f1(run):
    videos = [video.labelled() for video in run.videos]
    return evaluate([v.true for v in videos], [v.labels for v in videos], None, run.classes)["f1"]


def test_stage_2_names_what_stage_1_cannot_in_every_filmed_recording(data, looking, tmp_path):
    embedder, protocol = looking
    assert protocol.view == "mean"
    assert len(own_stages.filmed_folds(data)) == own.OUTER - 1  # the last is of the unfilmed
    found = own_stages.video_runs(data, protocol, embedder, tmp_path)
    assert list(found) == [own_stages.CLIP, own_stages.FRAMES, own_stages.JOINED]
    for (run,) in found.values():
        assert [video.name for video in run.videos] == [r.name for r in data.test[:5]]
    ((clips,), (written,), (joined,)) = found.values()
    assert all(len(v.true) > 5 and (v.labels != v.true).sum() <= 1 for v in clips.videos)  # one shows two behaviours
    assert f1(written) > 0.9 and f1(joined) > 0.9  # stage 1 alone has aggression everywhere: .3


def test_ignored_labels_and_rare_behaviours_are_tasks_of_their_own(data):
    tasks = {task.behaviours[0]: task for task in own_stages.few_shot_tasks(data)}
    assert list(tasks) == ["base", "aggression", "social"]
    for name, task in tasks.items():
        assert task.task == f"own/{name}" and task.classes == ("other", name) and not task.train
        for r in task.test:
            np.testing.assert_array_equal(r.labels == 1, [here == name for here in NAMES])
            assert not (r.labels == UNLABELLED).any()


def test_few_examples_of_pictures_tell_the_rare_and_poses_alone_need_no_video(data, looking, tmp_path, monkeypatch):
    embedder, protocol = looking
    tasks = own_stages.few_shot_tasks(data)[:1]
    runs, drawn = own_stages.few_shot(data, tasks, protocol, embedder, tmp_path, counts=(3,), draws=2)
    assert [run.task for run in runs] == ["own/base"] and len(runs[0].videos) == 5
    ap = drawn.set_index(["embedding", "head"])["AP"]
    assert ap[VIDEO, "linear"] > ap[RANDOM, "linear"] + 0.2
    assert ap[ALWAYS, ""] == pytest.approx(NAMES.count("base") / FRAMES)
    runs, drawn = own_stages.few_shot(data, tasks, protocol, None, tmp_path, counts=(3,), draws=2)
    assert len(runs[0].videos) == 6 and VIDEO not in set(drawn["embedding"]) and POSES in set(drawn["embedding"])
    monkeypatch.setattr(own, "fold_scores", None)
    runs, drawn = own_stages.few_shot(data, [], protocol, None, tmp_path)
    assert not runs and not len(drawn)


def test_rows_that_there_are_none_of_are_said_to_be_missing_and_leave_the_table(data, looking, tmp_path):
    embedder, protocol = looking
    found = own_stages.video_runs(data, protocol, embedder, tmp_path)
    rows = own_stages.record(found, data.source, "", protocol)
    assert list(rows[["row", "protocol"]].drop_duplicates().itertuples(index=False, name=None)) == list(found)
    assert rows["published"].isna().all()
    lines = front.own_lines(rows, ("clip", "pose_vlm", "few_shot"))
    assert list(lines.index[:3]) == [front.OWN[row] for row in found]
    assert (lines.iloc[3] == "no such behaviour").all() and (lines["F1"].iloc[:3].str[0] != "n").all()
    assert own_stages.embedder_of(data, "") is None and own_stages.video_runs(data, protocol, None, tmp_path) == {}
    gone = own_stages.record({}, data.source, "", protocol)
    assert len(gone) == 0 and (front.own_lines(gone, ("clip", "pose_vlm")) == front.UNSEEN).all(axis=None)


def test_a_clips_poses_are_summarised_over_its_own_frames(data):
    protocol = own_stages.protocol_of(None, 0.5, 8.0)
    recording = data.test[5]
    proposed = own_stages.pipeline.propose(recording, np.repeat([0, 1, 0], 100), protocol)
    found = own_stages.pose_summaries(proposed, protocol.clips)
    values, _ = frame_features(recording)
    assert len(found) == len(proposed.starts) > 1
    for row, start in zip(found, proposed.starts, strict=True):
        np.testing.assert_allclose(row[: values.shape[1]], values[start : start + 15].mean(0), rtol=1e-4)
    nothing = own_stages.pipeline.propose(recording, np.zeros(FRAMES), protocol)
    assert own_stages.pose_summaries(nothing, protocol.clips).shape == (0, found.shape[1])
    assert EmbedderSettings().model == protocol.embedder.model
