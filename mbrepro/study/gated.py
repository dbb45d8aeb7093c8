"""Both stages beyond the poster: a gate says which proposals stage 2 is shown, and the two stages' scores are joined.

Whatever is chosen or fitted (the head, the joint, the gate) is so on held-out train animals: stage 1's scores of train
recordings are out of fold (`stage1.out_of_fold`), and so are the head's here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from mbrepro.data.recordings import KEYPOINTS, UNLABELLED, Dataset, Prediction, other_index
from mbrepro.embedding.embedder import ClipEmbedder
from mbrepro.errors import InputError
from mbrepro.method import gate, pipeline
from mbrepro.method.heads import Head, head_settings
from mbrepro.method.pipeline import Proposed, name_clips
from mbrepro.method.protocols import Protocol
from mbrepro.method.stage1 import by_animal
from mbrepro.method.together import embed_together
from mbrepro.metrics.frames import evaluate
from mbrepro.study import beyond
from mbrepro.study.results import Run

HEADS = ("linear", "ridge", "lda", "prototypes", "knn5_cosine")
FUSED = ("linear_early", "lda_early", "linear_late")  # of recordings with a mouse's seven points
EVERY = 5  # frames that the joint learns from are so many apart
LEAST = 1e-6  # of a score whose logarithm is taken
Labels = Callable[[np.ndarray], np.ndarray]  # class scores of frames (T, C) → labels (T,)


def most_probable(scores: np.ndarray) -> np.ndarray:
    """(T,) the most probable class of each frame."""
    return scores.argmax(1)


@dataclass(frozen=True, eq=False)
class Staged:
    """What both stages say of one recording.

    scores: (T, C) stage 1's of frames. spans: (N, 2) first frame and excluded last of the proposals' clips. named: (N,
    C) stage 2's class scores of them.
    """

    proposed: Proposed
    scores: np.ndarray
    spans: np.ndarray
    named: np.ndarray


@dataclass(frozen=True, eq=False)
class Stages:
    """Both stages of one seed: on train recordings out of fold, and on test recordings; the head, and what joins."""

    seed: int
    head: str
    train: tuple[Staged, ...]
    test: tuple[Staged, ...]
    joint: LogisticRegression


def of_seeds(
    data: Dataset, localizer: str, way: str, protocol: Protocol, embedder: ClipEmbedder, seeds: int, folder: Path
) -> tuple[list[Stages], Labels]:
    """`both_stages` of each seed on stage 1 of the protocol "beyond", and how labels are taken from scores.

    data: filmed recordings. localizer, way: of `beyond.stage1_scores` and `beyond.WAYS`. Raises InputError for others.
    """
    known = {"localizer": (localizer, (*beyond.NAMES, beyond.AVERAGE)), "way": (way, beyond.WAYS)}
    for name, (value, values) in known.items():
        if value not in values:
            raise InputError(f"parameter {name} must be {' or '.join(values)}, not {value!r}")
    scores = beyond.stage1_scores(data, seeds, folder)[localizer]
    found = [
        both_stages(data, scores.train, scores.test[seed % len(scores.test)], protocol, embedder, folder, seed)
        for seed in range(seeds)
    ]
    return found, partial(beyond.fit_writer(data.train, scores.train).labels, way)


def both_stages(
    data: Dataset, train_scores: Sequence[np.ndarray], test_scores: Sequence[np.ndarray], protocol: Protocol,
    embedder: ClipEmbedder, folder: Path, seed: int,
) -> Stages:  # fmt: skip
    """Run stage 2 on all that stage 1 proposes; a gate then says what of it would have been seen.

    data: filmed recordings. train_scores: stage 1's (T, C) of each train recording, out of fold; test_scores: of each
    test recording. The head is the one of `HEADS` and `FUSED` with the highest macro-F1 on held-out train animals.
    Raises InputError as the pipeline does, or for too few animals.
    """
    other = other_index(data.classes)
    learned = [
        pipeline.clips_for_head(r, lambda s=s: 1 - s[:, other], protocol)
        for r, s in zip(data.train, train_scores, strict=True)
    ]
    train, test = (
        [pipeline.propose(r, 1 - s[:, other], protocol) for r, s in zip(part, scores, strict=True)]
        for part, scores in ((data.train, train_scores), (data.test, test_scores))
    )
    embed_together(chain(learned, train, test), protocol.clips, embedder, folder)
    named, tried = {}, HEADS + (FUSED if data.train[0].parts == KEYPOINTS else ())
    for name in tried:
        chosen = replace(protocol, head=head_settings(name))
        named[name] = _out_of_fold(learned, train, chosen, embedder, folder, seed)
    head = max(tried, key=lambda name: _clip_f1(train, named[name]))
    chosen = replace(protocol, head=head_settings(head))
    fitted = pipeline.train_head(learned, chosen, embedder, folder, seed)
    said = [fitted.scores(pipeline.embed(one, chosen, embedder, folder)) for one in test]
    both = [
        tuple(Staged(p, s, _spans(p, protocol), n) for p, s, n in zip(*parts, strict=True))
        for parts in ((train, train_scores, named[head]), (test, test_scores, said))
    ]
    return Stages(seed, head, *both, fit_joint(both[0]))


def _out_of_fold(
    learned: Sequence[Proposed], wanted: Sequence[Proposed], protocol: Protocol, embedder: ClipEmbedder, folder: Path,
    seed: int,
) -> list[np.ndarray]:  # fmt: skip
    """(N, C) of the wanted clips of each train recording, by a head that learned from other animals' clips."""
    places, found = {one.recording.name: k for k, one in enumerate(learned)}, {}
    embedded = [pipeline.embed(one, protocol, embedder, folder) for one in learned]
    for fit, held in by_animal([one.recording for one in learned]):
        kept = [places[r.name] for r in fit]
        head: Head = pipeline.fit_clip_head([learned[k] for k in kept], [embedded[k] for k in kept], protocol, seed)
        for k in (places[r.name] for r in held):
            found[k] = head.scores(pipeline.embed(wanted[k], protocol, embedder, folder))
    return [found[k] for k in range(len(learned))]


def _clip_f1(clips: Sequence[Proposed], named: Sequence[np.ndarray]) -> float:
    found = [name_clips(*pair) for pair in zip(clips, named, strict=True)]
    true, labels = ([getattr(one, field) for one in found] for field in ("true", "labels"))
    return evaluate(true, labels, None, clips[0].recording.classes)["f1"]


def _spans(proposed: Proposed, protocol: Protocol) -> np.ndarray:
    length = round(protocol.clips.seconds * proposed.recording.fps)
    return np.stack([proposed.starts, np.minimum(proposed.starts + length, len(proposed.recording))], 1)


def fit_joint(train: Sequence[Staged]) -> LogisticRegression:
    """Multinomial logistic regression of frames under clips on the logarithms of both stages' scores, overlapping
    clips' averaged: a calibrated late fusion of frame and clip, which also says how much each stage is to be believed.
    """
    rows, labels = [], []
    for one in train:
        values, under = _evidence(one, np.ones(len(one.spans), bool))
        kept = np.flatnonzero(under & (one.proposed.recording.labels != UNLABELLED))[::EVERY]
        rows.append(values[kept])
        labels.append(one.proposed.recording.labels[kept])
    return LogisticRegression(max_iter=1000).fit(np.concatenate(rows), np.concatenate(labels))


def _evidence(one: Staged, shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(T, 2 C) logarithms of both stages' scores of each frame, and (T,) whether a clip that is shown lies over it."""
    clips = gate.average_over_time(one.spans[shown], one.named[shown], len(one.scores))
    under = ~np.isnan(clips[:, 0])
    return np.log(np.maximum(np.concatenate([one.scores, np.nan_to_num(clips)], 1), LEAST)), under


def joined(one: Staged, joint: LogisticRegression, shown: np.ndarray) -> np.ndarray:
    """(T, C) class scores of a recording if the clips `shown` (N,) are: joint under them, elsewhere stage 1's."""
    values, under = _evidence(one, shown)
    scores = one.scores.astype(np.float64)
    if under.any():
        scores[under] = 0
        scores[np.ix_(under, joint.classes_)] = joint.predict_proba(values[under])
    return scores


def gains(parts: Sequence[Staged], joint: LogisticRegression, label: Labels) -> np.ndarray:
    """(N,) of all proposals: how much larger a share of its frames is right if every clip is shown than if none is."""
    found = []
    for one in parts:
        labels = [label(joined(one, joint, np.full(len(one.spans), shown))) for shown in (True, False)]
        true, spans = one.proposed.recording.labels, one.proposed.proposals
        found.append(gate.right_share(labels[0], true, spans) - gate.right_share(labels[1], true, spans))
    return np.concatenate(found)


def values_of(stages: Stages, gates: Sequence[str], label: Labels) -> dict[str, np.ndarray]:
    """What each gate takes showing each test proposal for: (N,) frames gained, of all test recordings in order."""
    described, frames = [], []
    for part in (stages.train, stages.test):
        described.append(
            np.concatenate([gate.describe(s.scores, s.proposed.proposals, s.proposed.recording) for s in part])
        )
        frames.append(np.array([p.stop - p.start for s in part for p in s.proposed.proposals]))
    fitted = gate.fit_gate(described[0], gains(stages.train, stages.joint, label), stages.seed)
    classes, truly = stages.test[0].scores.shape[1], gains(stages.test, stages.joint, label)
    return {name: frames[1] * gate.worth(name, described[1], classes, fitted, truly, stages.seed) for name in gates}


def shown_at(stages: Stages, values: np.ndarray, budget: float) -> list[np.ndarray]:
    """(N,) bool of each test recording: the clips that a share of all clips' time buys, by falling value."""
    costs = np.concatenate([np.diff(s.spans, axis=1)[:, 0] for s in stages.test]).astype(float)
    bought = gate.spend(values, costs, budget * costs.sum())
    return np.split(bought, np.cumsum([len(s.spans) for s in stages.test])[:-1])


def run_at(stages: Stages, shown: Sequence[np.ndarray], data: Dataset, label: Labels) -> Run:
    """The test recordings' labels and scores if those clips are shown."""
    videos = []
    for one, kept in zip(stages.test, shown, strict=True):
        recording, scores = one.proposed.recording, joined(one, stages.joint, kept)
        videos.append(Prediction(recording.name, recording.labels, label(scores), scores, recording.fps).labelled())
    return Run(stages.seed, data.task, data.classes, tuple(videos))
