"""Both stages joined: which frames get which class and score, and where clips lie. Scores worked out by hand."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mbrepro.data.recordings import TASK1_CLASSES, Dataset, Recording
from mbrepro.embedding.embedder import EmbedderSettings
from mbrepro.errors import InputError
from mbrepro.method import pipeline, protocols
from mbrepro.method.localizer import PoseCNN
from mbrepro.method.pipeline import (
    ProposedClips,
    best_epochs,
    choose_view,
    clip_starts,
    fit_clip_head,
    label_frames,
    localize_action,
    needed_starts,
    propose_clips,
    propose_for_seeds,
    train_localizers,
    validation_curves,
    view_scores,
)
from mbrepro.method.proposals import Proposal

PUBLISHED = protocols.published(EmbedderSettings())
CORRECTED = protocols.corrected(EmbedderSettings())


def recording(frames=10, labels=None, name="mouse001", classes=TASK1_CLASSES, seed=0):
    points = np.random.default_rng(seed).uniform(100, 400, (frames, 2, 7, 2))
    return Recording(name, points, classes, labels=labels)


def proposed(p_action, proposals, labels=None, embeddings=None, classes=TASK1_CLASSES):
    p_action = np.array(p_action, np.float32)
    if embeddings is None:
        embeddings = np.zeros((len(proposals), 2))
    made = tuple(Proposal(a, b, 1.0) for a, b in proposals)
    return ProposedClips(recording(len(p_action), classes=classes), p_action, made, labels, embeddings)


def test_published_writes_a_class_only_where_stage_1_says_action():
    clips = proposed([0.1, 0.9, 0.3, 0.8, 0.9, 0.9], [(1, 5)])
    made = label_frames(clips, np.array([[0.2, 0.5, 0.3, 0.0]]), PUBLISHED)
    assert made.labels.tolist() == [3, 1, 3, 1, 1, 3]


def test_corrected_writes_a_class_over_the_whole_proposal():
    clips = proposed([0.1, 0.9, 0.3, 0.8, 0.9, 0.9], [(1, 5)])
    made = label_frames(clips, np.array([[0.2, 0.5, 0.3, 0.0]]), CORRECTED)
    assert made.labels.tolist() == [3, 1, 1, 1, 1, 3]


def test_scores_are_p_action_times_class_score_and_the_rest_is_other():
    clips = proposed([0.4, 0.5, 1.0], [(1, 2), (2, 3)])
    made = label_frames(clips, np.array([[0.2, 0.5, 0.3, 0.0], [1.0, 0.0, 0.0, 0.0]]), PUBLISHED)
    np.testing.assert_allclose(made.scores, [[0, 0, 0, 1], [0.1, 0.25, 0.15, 0.5], [1, 0, 0, 0]], atol=1e-7)
    assert made.labels.tolist() == [3, 1, 0]


def test_a_recording_without_proposals_is_all_other():
    made = label_frames(proposed([0.1, 0.2], []), np.zeros((0, 4)), PUBLISHED)
    assert made.labels.tolist() == [3, 3]
    assert made.scores.tolist() == [[0, 0, 0, 1], [0, 0, 0, 1]]


def test_clips_start_with_the_proposal_or_lie_round_its_middle():
    long = recording(400)
    proposals = [Proposal(0, 20, 1.0), Proposal(100, 160, 1.0), Proposal(200, 230, 1.0), Proposal(380, 400, 1.0)]
    assert clip_starts(proposals, long, PUBLISHED) == [0, 100, 200, 380]
    assert clip_starts(proposals, long, CORRECTED) == [0, 100, 185, 340]
    assert clip_starts(proposals[:1], recording(30), CORRECTED) == [0]


def test_a_head_learns_from_clips_that_hold_a_behaviour_and_in_a_binary_task_from_all():
    points = np.array([[0.0, 0.0], [0.1, 0.0], [5.0, 5.0], [5.1, 5.0]])
    four = [proposed(np.ones(4), [(k, k + 1) for k in range(4)], np.array([0, 0, 3, 1]), points)]
    head = fit_clip_head(four, PUBLISHED, seed=0)
    assert head.known.tolist() == [0, 1]
    two = [proposed(np.ones(4), [(k, k + 1) for k in range(4)], np.array([0, 0, 1, 1]), points, ("other", "groom"))]
    assert fit_clip_head(two, PUBLISHED, seed=0).known.tolist() == [0, 1]


def test_a_binary_task_without_any_proposal_finds_nothing():
    head = fit_clip_head([proposed([0.0], [], np.array([], int), classes=("other", "groom"))], PUBLISHED, seed=0)
    assert head.scores(np.zeros((2, 2))).tolist() == [[1, 0], [1, 0]]


def test_no_clip_with_a_behaviour_is_said():
    with pytest.raises(InputError, match="no train clip that holds a behaviour"):
        fit_clip_head([proposed([1.0], [(0, 1)], np.array([3]))], PUBLISHED, seed=0)


def test_a_trained_localizer_is_used_again_until_its_data_or_settings_change(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline.os, "cpu_count", lambda: 1)  # a fresh interpreter takes longer than the training

    def dataset(seed):
        labels = np.tile([0, 3], 150)
        train = tuple(recording(300, labels, f"mouse00{k}", seed=seed + k) for k in range(3))
        return Dataset("task1", TASK1_CLASSES, train, (), "simulated")

    def stored():
        return {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}

    settings = replace(PUBLISHED.localizer, epochs=1)
    first = train_localizers(dataset(0), settings, 0.0, [0, 1], tmp_path)
    made = stored()
    assert len(made) == 2
    again = train_localizers(dataset(0), settings, 0.0, [0, 1], tmp_path)
    assert stored() == made
    one = dataset(0).train[0]
    p_action = [localize_action(model, one) for model in (*first, *again)]
    np.testing.assert_array_equal(p_action[:2], p_action[2:])
    assert np.abs(p_action[0] - p_action[1]).max() > 1e-3
    train_localizers(dataset(0), settings, 0.34, [0], tmp_path)  # the same networks, of a number of epochs chosen
    train_localizers(dataset(9), settings, 0.0, [0], tmp_path)
    train_localizers(dataset(0), replace(settings, dropout=0.4), 0.0, [0], tmp_path)
    assert len(stored()) == 4
    train_localizers(dataset(0), replace(settings, epochs=2), 0.0, [0], tmp_path)
    after = {path for path in stored() if path.name.endswith("-2.safetensors")}
    assert len(after) == 1 and len(stored()) == 4 + 1


def test_held_out_animals_choose_the_epochs_of_networks_trained_on_all(tmp_path, monkeypatch):
    labels = np.tile([0, 3], 100)
    train = tuple(recording(200, labels, f"mouse00{k}", seed=k) for k in range(4))
    calls = []

    def fit(recordings, targets, settings, seed, validation=None, after_epoch=None):
        calls.append(([r.name for r in recordings], [r.name for r, _ in validation or ()], settings.epochs))
        for epoch in range(1, settings.epochs + 1):
            model = PoseCNN(settings).eval()
            torch.nn.init.constant_(model.classify.bias, epoch)
            if after_epoch:
                after_epoch(epoch, model)
        f1s = [(0.2, 0.7, 0.6, 0.1), (0.2, 0.6, 0.7, 0.1), (0.9, 0.6, 0.6, 0.1)][seed]  # each best after another epoch
        return model, [{"epoch": k, "validation_f1": f1} for k, f1 in enumerate(f1s, 1)]

    monkeypatch.setattr(pipeline, "fit_localizer", fit)
    monkeypatch.setattr(pipeline.os, "cpu_count", lambda: 1)  # in this interpreter, where it is patched
    settings = replace(PUBLISHED.localizer, epochs=4)
    data = Dataset("task1", TASK1_CLASSES, train, (), "simulated")
    (last,) = train_localizers(data, settings, 0.0, [0], tmp_path)
    (chosen,) = train_localizers(data, settings, 0.25, [0], tmp_path)
    assert (last.classify.bias[0], last.settings.epochs) == (4, 4)
    assert (chosen.classify.bias[0], chosen.settings.epochs) == (2, 2)
    (trained_on, none, _), *trials = calls
    assert trained_on == [r.name for r in train] and none == []
    for chosen_on, held_out, tried in trials:
        assert sorted(chosen_on + held_out) == trained_on
        assert (len(held_out), tried) == (1, 4)
    assert len(trials) == 3 and len({name for _, (name,), _ in trials}) > 1  # not the same animal each time
    train_localizers(data, settings, 0.25, [0], tmp_path)
    assert len(calls) == 4  # neither trained nor chosen again
    curves = validation_curves(data, settings, 0.25, tmp_path)
    np.testing.assert_allclose(curves[:, 0], [0.2, 0.2, 0.9])
    assert curves.shape == (3, 4) and best_epochs(curves) == 2
    assert validation_curves(data, settings, 0.0, tmp_path).shape == (0, 4)


def test_networks_trained_side_by_side_are_those_trained_one_by_one(tmp_path):
    labels = np.tile([0, 3], 150)
    data = Dataset("task1", TASK1_CLASSES, (recording(300, labels),), (), "simulated")
    settings = replace(PUBLISHED.localizer, epochs=1)
    together = train_localizers(data, settings, 0.0, [0, 1], tmp_path / "together")
    for seed, model in enumerate(together):
        (alone,) = train_localizers(data, settings, 0.0, [seed], tmp_path / "alone")
        for ours, theirs in zip(alone.state_dict().values(), model.state_dict().values(), strict=True):
            assert torch.equal(ours, theirs)


class Numbered:
    """Embeds a clip as the first frame it begins at, in a view that tells classes apart and one that does not."""

    takes, views, identity = "poses", ("noise", "pose", "pose_steps"), {}
    settings = SimpleNamespace(batch_size=4, model="numbered")

    def __init__(self):
        self.embedded = []

    def embed_poses(self, recording, clips):
        first = np.array([frames[0] for frames in clips], np.float32).reshape(-1, 1)
        self.embedded += first[:, 0].tolist()
        label = np.array([recording.labels[frames[len(frames) // 2]] for frames in clips], np.float32).reshape(-1, 1)
        return {"noise": np.sin(997 * first), "pose": np.hstack([first, 1000 * label]), "pose_steps": first[:, None]}


def track(frames, *spans):
    made = np.zeros(frames, np.float32)
    for a, b in spans:
        made[a:b] = 1
    return made


def test_a_clip_that_seeds_share_is_embedded_once_and_each_seed_gets_its_own(tmp_path):
    one = recording(600, np.zeros(600, int))
    tracks = [track(600, (65, 115), (305, 355)), track(600, (305, 355), (485, 535)), track(600)]
    protocol, embedder = replace(CORRECTED, view="pose"), Numbered()
    made = propose_for_seeds(one, tracks, protocol, embedder, tmp_path)
    assert [clips.embeddings[:, 0].tolist() for clips in made] == [[60, 300], [300, 480], []]
    assert embedder.embedded == [60, 300, 480] == needed_starts(one, tracks, protocol)
    alone = [propose_clips(one, p, protocol, Numbered(), tmp_path / "alone") for p in tracks]
    for ours, theirs in zip(made, alone, strict=True):
        assert ours.proposals == theirs.proposals and np.array_equal(ours.labels, theirs.labels)
        assert np.array_equal(ours.embeddings, theirs.embeddings)


@pytest.mark.parametrize("view", ["pose_steps", "last_100", "auto"])
def test_view_that_a_head_cannot_take_is_refused(tmp_path, view):
    with pytest.raises(InputError, match="choose one of noise, pose, or auto"):
        propose_clips(recording(100), track(100, (20, 60)), replace(CORRECTED, view=view), Numbered(), tmp_path)


def test_auto_takes_the_view_that_is_best_on_held_out_train_animals_and_reads_no_test_recording(tmp_path):
    labels = np.repeat([3, 0, 3, 1, 3, 2, 3, 0, 3, 1, 3, 2], 60)
    train = tuple(recording(720, np.roll(labels, 120 * k), f"mouse{k:03}") for k in range(4))
    data = SimpleNamespace(train=train)  # without a test split there is none to read
    auto = replace(CORRECTED, view="auto", head=replace(CORRECTED.head, kind="knn"))
    scores = view_scores(data, None, auto, Numbered(), tmp_path)
    assert list(scores) == ["noise", "pose"] and scores["pose"] > scores["noise"]
    assert choose_view(data, None, auto, Numbered(), tmp_path) == replace(auto, view="pose")
    assert choose_view(data, None, CORRECTED, Numbered(), tmp_path) is CORRECTED
