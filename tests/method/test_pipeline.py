"""Both stages joined: which frames get which class and score, and where clips lie. Scores worked out by hand."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.pipeline import Pipeline

from mbrepro.data.clips import clip_frames
from mbrepro.data.recordings import TASK1_CLASSES, UNLABELLED, Recording
from mbrepro.embedding.embedder import POSES, EmbedderSettings
from mbrepro.embedding.pose import PoseEmbedder
from mbrepro.errors import InputError
from mbrepro.method import pipeline, protocols
from mbrepro.method.pipeline import (
    Proposed,
    clip_starts,
    embed,
    fit_clip_head,
    name_clips,
    propose,
    propose_for_head,
    view_scores,
    write_frames,
)
from mbrepro.method.proposals import Proposal
from mbrepro.method.protocols import CHOICES

PUBLISHED = protocols.published(EmbedderSettings())
CORRECTED = protocols.corrected(EmbedderSettings())


def recording(frames=10, labels=None, name="mouse001", classes=TASK1_CLASSES, seed=0):
    points = np.random.default_rng(seed).uniform(100, 400, (frames, 2, 7, 2))
    return Recording(name, points, classes, labels=labels)


def proposed(p_action, spans, labels=None, classes=TASK1_CLASSES):
    p_action = np.array(p_action, np.float32)
    found = tuple(Proposal(a, b, 1.0) for a, b in spans)
    starts = np.array([a for a, _ in spans], int)
    return Proposed(recording(len(p_action), classes=classes), p_action, found, starts, labels)


def test_published_writes_a_class_only_where_stage_1_says_action():
    clips = proposed([0.1, 0.9, 0.3, 0.8, 0.9, 0.9], [(1, 5)])
    made = write_frames(clips, np.array([[0.2, 0.5, 0.3, 0.0]]), PUBLISHED)
    assert made.labels.tolist() == [3, 1, 3, 1, 1, 3]


def test_corrected_writes_a_class_over_the_whole_proposal():
    clips = proposed([0.1, 0.9, 0.3, 0.8, 0.9, 0.9], [(1, 5)])
    made = write_frames(clips, np.array([[0.2, 0.5, 0.3, 0.0]]), CORRECTED)
    assert made.labels.tolist() == [3, 1, 1, 1, 1, 3]


def test_scores_are_p_action_times_class_score_and_the_rest_is_other():
    clips = proposed([0.4, 0.5, 1.0], [(1, 2), (2, 3)])
    made = write_frames(clips, np.array([[0.2, 0.5, 0.3, 0.0], [1.0, 0.0, 0.0, 0.0]]), PUBLISHED)
    np.testing.assert_allclose(made.scores, [[0, 0, 0, 1], [0.1, 0.25, 0.15, 0.5], [1, 0, 0, 0]], atol=1e-7)
    assert made.labels.tolist() == [3, 1, 0]


def test_a_recording_without_proposals_is_all_other():
    made = write_frames(proposed([0.1, 0.2], []), np.zeros((0, 4)), PUBLISHED)
    assert made.labels.tolist() == [3, 3]
    assert made.scores.tolist() == [[0, 0, 0, 1], [0, 0, 0, 1]]


def test_clips_start_with_the_proposal_or_lie_round_its_middle():
    long = recording(400)
    proposals = [Proposal(0, 20, 1.0), Proposal(100, 160, 1.0), Proposal(200, 230, 1.0), Proposal(380, 400, 1.0)]
    assert clip_starts(proposals, long, PUBLISHED).tolist() == [0, 100, 200, 380]
    assert clip_starts(proposals, long, CORRECTED).tolist() == [0, 100, 185, 340]
    assert clip_starts(proposals[:1], recording(30), CORRECTED).tolist() == [0]


def test_clips_of_an_uneven_clock_lie_round_the_middle_in_seconds():
    """100 frames at 30 a second, then 100 at 10: 3.333 s and 10 s; a clip lasts 2 s."""
    times = np.r_[np.arange(100) / 30, 100 / 30 + np.arange(100) / 10]
    uneven = replace(recording(200), times=times, fps=199 / times[-1])
    proposals = [Proposal(0, 20, 1.0), Proposal(40, 100, 1.0), Proposal(100, 160, 1.0), Proposal(190, 200, 1.0)]
    # middles at .333, 2.333, 6.333 s; the last clip ends with the recording, at 13.3 s
    assert clip_starts(proposals, uneven, PUBLISHED).tolist() == [0, 40, 100, 190]
    starts = clip_starts(proposals, uneven, CORRECTED)
    np.testing.assert_allclose(times[starts], [0, 1.333, 5.333, 11.3], atol=0.08)


def test_a_head_learns_from_clips_that_hold_a_behaviour_and_in_a_binary_task_from_all():
    points = np.array([[0.0, 0.0], [0.1, 0.0], [5.0, 5.0], [5.1, 5.0]])
    spans = [(k, k + 1) for k in range(4)]
    four = proposed(np.ones(4), spans, np.array([0, 0, 3, 1]))
    assert fit_clip_head([four], [points], PUBLISHED, seed=0).known.tolist() == [0, 1]
    assert fit_clip_head([four], [points], CORRECTED, seed=0).known.tolist() == [0, 1, 3]  # counter-examples
    two = proposed(np.ones(4), spans, np.array([0, 0, 1, 1]), ("other", "groom"))
    assert fit_clip_head([two], [points], PUBLISHED, seed=0).known.tolist() == [0, 1]
    for labels, classes in ((np.array([0, 0, UNLABELLED, 1]), TASK1_CLASSES), (two.labels, two.recording.classes)):
        unlabelled = proposed(np.ones(4), spans, np.where(np.arange(4) == 2, UNLABELLED, labels), classes)
        assert fit_clip_head([unlabelled], [points], PUBLISHED, seed=0).known.tolist() == [0, 1]


def test_a_binary_task_without_any_proposal_finds_nothing():
    nothing = proposed([0.0], [], np.array([], int), classes=("other", "groom"))
    head = fit_clip_head([nothing], [np.zeros((0, 2))], PUBLISHED, seed=0)
    assert head.scores(np.zeros((2, 2))).tolist() == [[1, 0], [1, 0]]


@pytest.mark.parametrize("protocol", [PUBLISHED, CORRECTED])
def test_no_clip_with_a_behaviour_is_said(protocol):
    with pytest.raises(InputError, match="no train clip that holds a behaviour"):
        fit_clip_head([proposed([1.0], [(0, 1)], np.array([3]))], [np.zeros((1, 2))], protocol, seed=0)


def test_clips_for_a_head_are_labelled_bouts_what_stage_1_localizes_or_both(monkeypatch):
    labels = np.r_[np.full(30, 3), np.full(60, 1), np.full(60, 3)]
    one = recording(150, labels)
    p_action = np.r_[np.zeros(40), np.ones(40), np.zeros(30), np.ones(40)].astype(np.float32)  # the second is false
    monkeypatch.setattr(pipeline, "localize_action", lambda *_: p_action)
    found = {kind: propose_for_head(one, None, replace(CORRECTED, head_clips=kind)) for kind in CHOICES["head_clips"]}
    assert set(found["labelled"].labels) == {1} and set(found["localized"].labels) == {1, 3}
    assert found["labelled"].proposals[0].start < 31 < 39 <= found["localized"].proposals[0].start
    for name in ("starts", "labels", "proposals"):
        parts = [list(getattr(found[kind], name)) for kind in ("labelled", "localized")]
        assert list(getattr(found["both"], name)) == parts[0] + parts[1]


def test_clips_named_are_those_that_hold_a_behaviour():
    four = proposed(np.ones(9), [(0, 3), (3, 6), (6, 9), (9, 9)], np.array([2, 3, 0, UNLABELLED]))
    named = name_clips(four, np.array([[0.1, 0.2, 0.7, 0], [0.9, 0.1, 0, 0], [0.3, 0.6, 0.1, 0], [1, 0, 0, 0]]))
    assert (named.true.tolist(), named.labels.tolist()) == ([2, 0], [2, 1])


class Numbered:
    """Embeds a clip as the first frame it begins at, in a view that tells classes apart and one that does not."""

    takes, views, identity = "poses", ("noise", "pose"), {}
    settings = SimpleNamespace(batch_size=4, model="numbered")

    def __init__(self):
        self.embedded = []

    def embed_poses(self, recording, clips):
        first = np.array([frames[0] for frames in clips], np.float32).reshape(-1, 1)
        self.embedded += first[:, 0].tolist()
        label = np.array([recording.labels[frames[len(frames) // 2]] for frames in clips], np.float32).reshape(-1, 1)
        return {"noise": np.sin(997 * first), "pose": np.hstack([first, 1000 * label])}


def track(frames, *spans):
    made = np.zeros(frames, np.float32)
    for a, b in spans:
        made[a:b] = 1
    return made


def test_a_clip_that_seeds_share_is_embedded_once_and_each_seed_gets_its_own(tmp_path):
    one = recording(600, np.zeros(600, int))
    tracks = [track(600, (65, 115), (305, 355)), track(600, (305, 355), (485, 535)), track(600)]
    protocol, embedder = replace(CORRECTED, view="pose"), Numbered()
    by_seed = [propose(one, p_action, protocol) for p_action in tracks]
    embeddings = [embed(found, protocol, embedder, tmp_path) for found in by_seed]
    assert [rows[:, 0].tolist() for rows in embeddings] == [[60, 300], [300, 480], []]
    assert embedder.embedded == [60, 300, 480]
    assert [found.labels.tolist() for found in by_seed] == [[0, 0], [0, 0], []]


@pytest.mark.parametrize("view", ["vision", "last_100", "auto"])
def test_view_that_a_head_cannot_take_is_refused(tmp_path, view):
    protocol = replace(CORRECTED, view=view)
    found = propose(recording(100), track(100, (20, 60)), protocol)
    with pytest.raises(InputError, match="choose one of noise, pose, or auto"):
        embed(found, protocol, Numbered(), tmp_path)


def test_views_are_scored_on_held_out_train_animals_and_no_test_recording_is_read(tmp_path):
    labels = np.repeat([3, 0, 3, 1, 3, 2, 3, 0, 3, 1, 3, 2], 60)
    train = tuple(recording(720, np.roll(labels, 120 * k), f"mouse{k:03}") for k in range(4))
    data = SimpleNamespace(train=train)  # without a test split there is none to read
    auto = replace(CORRECTED, view="auto", head=replace(CORRECTED.head, kind="knn"), head_clips="labelled")
    scores = view_scores(data, None, auto, Numbered(), tmp_path)
    assert list(scores) == ["noise", "pose"] and scores["pose"] > scores["noise"]


def test_fusion_puts_the_poses_of_the_same_clips_behind_the_embedding(tmp_path):
    labels = np.repeat([3, 0, 3, 1, 3, 2], 60)
    train = [recording(360, np.roll(labels, 60 * k), f"mouse{k:03}", seed=k) for k in range(3)]
    alone = replace(CORRECTED, view="pose", head_clips="labelled")
    clips = [propose_for_head(r, None, alone) for r in train]
    poses = PoseEmbedder(EmbedderSettings(POSES))
    for fusion in ("early", "late"):
        fused = replace(alone, head=replace(alone.head, fusion=fusion))
        found = [embed(one, fused, Numbered(), tmp_path) for one in clips]
        for one, rows in zip(clips, found, strict=True):
            frames = [clip_frames(start, one.recording, fused.clips) for start in one.starts]
            np.testing.assert_array_equal(rows[:, :2], embed(one, alone, Numbered(), tmp_path))
            np.testing.assert_array_equal(rows[:, 2:], poses.embed_poses(one.recording, frames)["pose"])
        head = fit_clip_head(clips, found, fused, seed=0)
        assert head.width == 2 + poses.width
        assert isinstance(head.model, Pipeline) == (fusion == "early")
        assert np.allclose(head.scores(found[0]).sum(1), 1)
