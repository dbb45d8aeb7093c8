"""Which clips a model is shown and asked about, and what its answers are scored as, in both rows."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import accuracy_score

from mbrepro.data.clips import ClipSettings, cut_clips
from mbrepro.data.recordings import TASK1_CLASSES, Dataset, Recording
from mbrepro.data.video import write_video
from mbrepro.embedding import EmbedderSettings, load_embedder
from mbrepro.embedding.asked import Asked
from mbrepro.method import pipeline, protocols
from mbrepro.study import asking, results
from mbrepro.study import shots as shots_module
from mbrepro.study.clip_index import FoundClips
from mbrepro.study.few_shot import everywhere
from mbrepro.study.shots import PROMPTED, means, shots
from tests.fixtures.tiny_checkpoint import write_checkpoint

CLIPS = ClipSettings(seconds=0.5, sampled_fps=8.0)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = write_checkpoint(tmp_path_factory.mktemp("tiny"))
    return load_embedder(EmbedderSettings(model=str(folder), max_pixels=56 * 56))


def filmed(folder, name: str, seed: int, classes=TASK1_CLASSES, labels=None) -> Recording:
    rng = np.random.default_rng(seed)
    video = folder / f"{name}.mp4"
    write_video(video, (np.full((64, 96, 3), rng.integers(40, 220, 3), np.uint8) for _ in range(120)), 30.0, 96, 64)
    labels = rng.integers(0, len(classes), 8).repeat(15) if labels is None else labels
    return Recording(name, rng.uniform(200, 400, (120, 2, 7, 2)), classes, labels=labels, video=video)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("filmed")
    starts = np.arange(0, 105, 15)
    parts = [filmed(folder, f"mouse{k}", k) for k in range(3)]
    return [FoundClips(r, "test" if k == 2 else "train", starts, r.labels[starts]) for k, r in enumerate(parts)]


def test_examples_are_of_every_class_as_many_as_there_are_and_the_seeds_own(found):
    train = found[:2]
    counts = np.bincount(np.concatenate([f.labels for f in train]), minlength=4)
    shown = asking.examples(train, 2, CLIPS, 0)
    said = [word for _, word in shown]
    assert [said.count(word) for word in TASK1_CLASSES] == np.minimum(counts, 2).tolist()
    for clip, word in shown:
        same = [(f, k) for f in train for k, start in enumerate(f.starts)
                if np.array_equal(cut_clips(f.recording, [start], CLIPS)[0], clip)]  # fmt: skip
        assert word in {TASK1_CLASSES[f.labels[k]] for f, k in same}
    other = asking.examples(train, 2, CLIPS, 1)
    assert any(not np.array_equal(a, b) for (a, _), (b, _) in zip(shown, other, strict=False))
    assert asking.examples(train, 0, CLIPS, 0) == []


def test_answers_are_scored_as_the_model_gives_them_and_calibrated_and_asked_once(model, found, tmp_path, monkeypatch):
    table = asking.prompted(found[:2], found[2:], CLIPS, model, tmp_path, (0, 1))
    assert table["clips shown of each class"].tolist() == [0, 0, 1, 1]
    assert table["answers"].tolist() == ["as given", "corrected"] * 2
    asked = asking.asked_about(TASK1_CLASSES, model)
    assert asked.question.endswith("Answer with one of these: attack, investigation, mount, other.")
    told = asked.embed(cut_clips(found[2].recording, found[2].starts, CLIPS), 8.0)
    for line, view in enumerate(asked.views):
        wanted = accuracy_score(found[2].labels, softmax(told[view], 1).argmax(1))
        assert table["accuracy"][line] == pytest.approx(wanted)
    monkeypatch.setattr(Asked, "embed", None)
    again = asking.prompted(found[:2], found[2:], CLIPS, model, tmp_path, (0, 1))
    assert again.equals(table)


def test_rows_of_the_models_answers_are_stored_and_score_again(model, found, tmp_path, monkeypatch):
    data = Dataset("task1", TASK1_CLASSES, tuple(f.recording for f in found[:2]), (found[2].recording,), "made")
    monkeypatch.setattr(asking, "train_localizers", lambda *_: [None])
    monkeypatch.setattr(asking, "localize_action", everywhere)
    monkeypatch.setattr(results.paths, "results", lambda *_: tmp_path)
    protocol = protocols.corrected(model.settings, 1, 0.5, 8.0, "frame", "video_100")
    runs = {row: asking.runs(row, data, [data], protocol, model, tmp_path / "store") for row in ("clip", "few_shot")}
    proposed = pipeline.propose(data.test[0], everywhere(None, data.test[0]), protocol)
    clips = cut_clips(data.test[0], proposed.starts, protocol.clips)
    told = softmax(asking.asked_about(TASK1_CLASSES, model).embed(clips, 8.0)["calibrated"], 1)
    ((named,),), ((written,),) = ([run.videos for run in runs[row]] for row in ("clip", "few_shot"))
    held = proposed.labels < 3  # of attack, investigation and mount
    np.testing.assert_allclose(named.scores, told[held], atol=1e-6)
    assert named.true.tolist() == proposed.labels[held].tolist() and named.fps is None
    for proposal, scores in zip(proposed.proposals, told, strict=True):
        assert set(written.labels[proposal.start : proposal.stop]) == {scores.argmax()}
    for row, ours in runs.items():
        rows = asking.record(row, ours, data, "demo")
        assert set(rows["protocol"]) == {"prompt"} and set(rows["n_seeds"]) == {1}
    assert len(results.verify("demo")) == sum(len(results.reading(row, "prompt", row != "clip")) for row in runs)
    assert asking.runs("clip", data, [data], protocol, None, tmp_path) == []  # nothing that can be asked
    assert asking.record("clip", [], data, "demo")["mean"].isna().all()
    assert set(results.verify("demo")["row"]) == {"few_shot"}


def test_few_shot_has_a_line_for_each_number_of_clips_that_the_model_is_shown(model, tmp_path, monkeypatch):
    classes, labels = ("other", "mount_attempt"), np.repeat([0, 1], 60)
    parts = [(filmed(tmp_path, f"mouse{k}", k, classes, labels),) for k in range(2)]
    task = Dataset("task3/mount_attempt", classes, *parts, "made")
    monkeypatch.setattr(shots_module, "train_localizers", lambda *_: [None])
    protocol = protocols.corrected_few_shot(model.settings, 1, 0.5, 8.0, "frame", "video_100")
    table = shots(task, [task], protocol, model, tmp_path, counts=(1,), draws=1, asked=(0, 2), localize=everywhere)
    lines = means(table).set_index(["embedding", "shots"]).loc[PROMPTED]
    assert lines.index.tolist() == [0, 2] and lines[["F1", "AP"]].notna().all(axis=None)
