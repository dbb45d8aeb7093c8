"""Both stages beyond the poster: a gate says which proposals stage 2 is shown, and the two stages' scores are joined.

Whatever is chosen or fitted (the head, its view, the joint, the gate, how much it lets through) is so on held-out train
animals: stage 1's scores of train recordings are out of fold (`beyond.stage1_scores`), and so are the head's here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.special import softmax
from sklearn.model_selection import GroupKFold

from mbrepro.data.recordings import KEYPOINTS, UNLABELLED, Dataset, Prediction, other_index
from mbrepro.demo.simulated import DemoSettings, simulate_recording
from mbrepro.embedding.embedder import POSES, ClipEmbedder, EmbedderSettings
from mbrepro.embedding.pose import PoseEmbedder
from mbrepro.errors import InputError
from mbrepro.method import gate, pipeline
from mbrepro.method.heads import Head, head_settings
from mbrepro.method.pipeline import Proposed, name_clips
from mbrepro.method.protocols import Protocol
from mbrepro.method.stage1 import FOLDS, by_animal
from mbrepro.method.together import embed_together
from mbrepro.metrics.frames import evaluate
from mbrepro.study.beyond import Scores
from mbrepro.study.results import Run

HEADS = ("linear", "ridge", "lda", "prototypes", "knn5_cosine")
FUSED = ("linear_early", "lda_early")  # of embeddings of video, of recordings with a mouse's seven points
FEWEST = 2  # train animals with video, of which each in turn is held out
EVERY = 5  # frames that the joint learns from are so many apart
RIDGE = 0.01  # times the squares of what the joint adds to stage 1, beside the mean log loss
DOUBT = 0.1  # of stage 2's scores, shared out among the classes: its head may not know one
LEAST = 1e-6  # of a score whose logarithm is taken
Labels = Callable[[np.ndarray], np.ndarray]  # class scores of frames (T, C) → labels (T,)


@dataclass(frozen=True, eq=False)
class Staged:
    """What both stages say of one recording.

    scores: (T, C) stage 1's of frames. spans: (N, 2) first frame and excluded last of the proposals' clips. named: (N,
    C) stage 2's class scores of them. seconds: (N,) of the clips where they are not all the protocol's.
    """

    proposed: Proposed
    scores: np.ndarray
    spans: np.ndarray
    named: np.ndarray
    seconds: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Joint:
    """A logarithmic opinion pool of both stages' scores (Genest and Zidek 1986, Statistical Science 1:114).

    trust: stage 2's exponent, 0 if it is not believed; that of stage 1, whose scores are calibrated, is 1. bias: (C,)
    added for each class.
    """

    trust: float
    bias: np.ndarray

    def scores(self, own: np.ndarray, clips: np.ndarray) -> np.ndarray:
        """(T, C) class scores from the logarithms of stage 1's (T, C) and stage 2's (T, C)."""
        return softmax(own + self.trust * clips + self.bias, axis=1)


@dataclass(frozen=True, eq=False)
class Stages:
    """Both stages: on filmed train recordings out of fold, and on test recordings for each seed.

    head, view: of stage 2; fitted: the head, on all train recordings. label: how labels are taken from scores of
    frames. joint: what joins both stages' scores.
    """

    head: str
    view: str
    fitted: Head
    label: Labels
    train: tuple[Staged, ...]
    test: tuple[tuple[Staged, ...], ...]
    joint: Joint


def enough(data: Dataset) -> bool:
    """Whether so many train animals have video that some can be held out."""
    return len({r.animal for r in data.train if r.video is not None}) >= FEWEST


def of_filmed(data: Dataset, scores: Scores) -> tuple[Dataset, Scores]:
    """The filmed recordings, and their scores among those of all recordings of `beyond.stage1_scores`."""
    train, test = ([r.video is not None for r in part] for part in (data.train, data.test))

    def kept(part: Sequence[np.ndarray], filmed: Sequence[bool]) -> list[np.ndarray]:
        return [s for s, wanted in zip(part, filmed, strict=True) if wanted]

    found = Scores(kept(scores.train, train), [kept(s, test) for s in scores.test], kept(scores.raw, test))
    return data.filmed(), found


def both_stages(
    data: Dataset, scores: Scores, seeds: int, label: Labels, protocol: Protocol, embedder: ClipEmbedder, folder: Path,
    heads: Sequence[str] = (),
) -> Stages:  # fmt: skip
    """Run stage 2 on all that stage 1 proposes; a gate then says what of it would have been seen.

    data, scores: of recordings that the embedder can look at. The head is the one of `HEADS` and `FUSED`, and with the
    view "auto" the view that of the embedder's, with the highest macro-F1 of clips of held-out train animals. Raises
    InputError as the pipeline does, or for fewer than `FEWEST` train animals. heads: to choose among, in their place.
    """
    other, tests = other_index(data.classes), [scores.test[seed % len(scores.test)] for seed in range(seeds)]
    learned = for_head(data, scores, protocol)
    train, *test = (
        [pipeline.propose(r, 1 - s[:, other], protocol) for r, s in zip(part, found, strict=True)]
        for part, found in ((data.train, scores.train), *((data.test, found) for found in tests))
    )
    embed_together(chain(learned, train, *test), protocol.clips, embedder, folder)
    fused = FUSED if embedder.takes != POSES and data.train[0].parts == KEYPOINTS else ()
    views = embedder.views if protocol.view == "auto" else (protocol.view,)
    named = {
        (head, view): _of_view(learned, train, with_head(protocol, head, view), embedder, folder)
        for head in heads or HEADS + fused
        for view in views
    }
    best = max(named, key=lambda pair: _clip_f1(train, named[pair]))
    chosen = with_head(protocol, *best)
    fitted = pipeline.train_head(learned, chosen, embedder, folder, 0)
    said = [[fitted.scores(pipeline.embed(one, chosen, embedder, folder)) for one in part] for part in test]
    staged = [
        tuple(Staged(p, s, spans_of(p, protocol.clips.seconds), n) for p, s, n in zip(*parts, strict=True))
        for parts in ((train, scores.train, named[best]), *zip(test, tests, said, strict=True))
    ]
    return Stages(*best, fitted, label, staged[0], tuple(staged[1:]), fit_joint(staged[0]))


def for_head(data: Dataset, scores: Scores, protocol: Protocol) -> list[Proposed]:
    """The clips that the head learns from, of each train recording."""
    other = other_index(data.classes)
    return [
        pipeline.clips_for_head(r, partial(np.subtract, 1, s[:, other]), protocol)
        for r, s in zip(data.train, scores.train, strict=True)
    ]


def with_head(protocol: Protocol, head: str, view: str) -> Protocol:
    """The protocol with a head, by its name, and a view."""
    return replace(protocol, head=head_settings(head), view=view)


def _of_view(
    learned: Sequence[Proposed], wanted: Sequence[Proposed], protocol: Protocol, embedder: ClipEmbedder, folder: Path
) -> list[np.ndarray]:  # fmt: skip
    embedded = [pipeline.embed(one, protocol, embedder, folder) for one in wanted]
    return out_of_fold(learned, embedded, protocol, embedder, folder)


def out_of_fold(
    learned: Sequence[Proposed], wanted: Sequence[np.ndarray], protocol: Protocol, embedder: ClipEmbedder, folder: Path
) -> list[np.ndarray]:  # fmt: skip
    """(N, C) of clips (N, D) of each train recording, by a head that learned from other animals' clips."""
    recordings = [one.recording for one in learned]
    places, found = {r.name: k for k, r in enumerate(recordings)}, {}
    embedded = [pipeline.embed(one, protocol, embedder, folder) for one in learned]
    for fit, held in by_animal(recordings, max(FEWEST, min(FOLDS, len({r.animal for r in recordings})))):
        kept = [places[r.name] for r in fit]
        head: Head = pipeline.fit_clip_head([learned[k] for k in kept], [embedded[k] for k in kept], protocol, 0)
        for k in (places[r.name] for r in held):
            found[k] = head.scores(wanted[k])
    return [found[k] for k in range(len(learned))]


def _clip_f1(clips: Sequence[Proposed], named: Sequence[np.ndarray]) -> float:
    found = [name_clips(*pair) for pair in zip(clips, named, strict=True)]
    true, labels = ([getattr(one, field) for one in found] for field in ("true", "labels"))
    return evaluate(true, labels, None, clips[0].recording.classes)["f1"]


def spans_of(proposed: Proposed, seconds: float | np.ndarray) -> np.ndarray:
    """(N, 2) first frame and excluded last of the proposals' clips, which last so long."""
    stops = proposed.starts + np.round(seconds * proposed.recording.fps).astype(np.int64)
    return np.stack([proposed.starts, np.minimum(stops, len(proposed.recording))], 1)


def perfect(stages: Stages, frame_by_frame: bool = False) -> Stages:
    """The same if stage 2 named every clip by its proposal's label, or every frame under a clip by its own."""

    def named(one: Staged) -> Staged:
        recording, spans, labels = one.proposed.recording, one.spans, one.proposed.true
        if frame_by_frame:
            under = np.flatnonzero(_evidence(one, np.ones(len(spans), bool))[2])
            spans, labels = np.stack([under, under + 1], 1), recording.true[under]
        known = np.where(labels == UNLABELLED, other_index(recording.classes), labels)
        return replace(one, spans=spans, named=np.eye(len(recording.classes))[known])

    train, *test = (tuple(named(one) for one in part) for part in (stages.train, *stages.test))
    return replace(stages, head="labels", train=train, test=tuple(test), joint=fit_joint(train))


def by_true_poses(
    data: Dataset, scores: Scores, seeds: int, label: Labels, protocol: Protocol, folder: Path, scale: float
) -> Stages:  # fmt: skip
    """`both_stages` of the demo if stage 2 saw where the body parts truly are, of which video is a picture."""
    settings = DemoSettings().scaled(scale)
    train, test = (
        tuple(replace(r, keypoints=simulate_recording(data.task, r.name, settings)[1], seen=None) for r in part)
        for part in (data.train, data.test)
    )
    embedder = PoseEmbedder(EmbedderSettings(POSES))
    chosen = replace(protocol, embedder=embedder.settings, view="auto")
    return both_stages(replace(data, train=train, test=test), scores, seeds, label, chosen, embedder, folder)


def fit_joint(train: Sequence[Staged]) -> Joint:
    """The joint of least log loss on frames under clips, kept near what leaves stage 1 alone as it is."""
    parts, labels = [], []
    for one in train:
        *values, under = _evidence(one, np.ones(len(one.spans), bool))
        kept = np.flatnonzero(under & (one.proposed.recording.labels != UNLABELLED))[::EVERY]
        parts.append([value[kept] for value in values])
        labels.append(one.proposed.recording.true[kept])
    own, clips = (np.concatenate(part) for part in zip(*parts, strict=True))
    true, classes = np.concatenate(labels), own.shape[1]

    def loss(parameters: np.ndarray) -> float:
        told = Joint(parameters[0], parameters[1:]).scores(own, clips)[np.arange(len(true)), true]
        return -np.log(told).mean() + RIDGE * np.square(parameters).sum()

    found = minimize(loss, np.zeros(1 + classes), bounds=[(0, None)] + [(None, None)] * classes).x
    return Joint(float(found[0]), found[1:])


def _evidence(one: Staged, shown: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logarithms of both stages' scores of frames, (T, C) each, and (T,) whether a shown clip lies over them."""
    clips = gate.average_over_time(one.spans[shown], one.named[shown], len(one.scores))
    under = ~np.isnan(clips[:, 0])
    clips = np.where(under[:, None], (1 - DOUBT) * clips + DOUBT / clips.shape[1], 1)
    return np.log(np.maximum(one.scores, LEAST)), np.log(clips), under


def joined(one: Staged, joint: Joint, shown: np.ndarray) -> np.ndarray:
    """(T, C) class scores of a recording if the clips `shown` (N,) are: joint under them, elsewhere stage 1's."""
    own, clips, under = _evidence(one, shown)
    return np.where(under[:, None], joint.scores(own, clips), one.scores.astype(np.float64))


def gains(parts: Sequence[Staged], stages: Stages) -> np.ndarray:
    """(N,) of all proposals: how much larger a share of its frames is right if every clip is shown than if none is."""
    found = []
    for one in parts:
        labels = [stages.label(joined(one, stages.joint, np.full(len(one.spans), shown))) for shown in (True, False)]
        true, spans = one.proposed.recording.labels, one.proposed.proposals
        found.append(gate.right_share(labels[0], true, spans) - gate.right_share(labels[1], true, spans))
    return np.concatenate(found)


def gate_values(stages: Stages) -> tuple[np.ndarray, list[dict[str, np.ndarray]]]:
    """What showing each proposal is taken for: (N,) frames gained, of all recordings in order.

    First of train recordings, as `train_gate` has it; then by each of `gate.GATES` of test recordings, for each seed.
    """
    fitted, held_out = train_gate(stages)
    classes, values = stages.train[0].scores.shape[1], []
    for seed, part in enumerate(stages.test):
        described, truly = _described(part), gains(part, stages)
        each = {name: gate.worth(name, described, classes, fitted, truly, seed) for name in gate.GATES}
        values.append({name: _frames(part) * found for name, found in each.items()})
    return held_out, values


def train_gate(stages: Stages) -> tuple[gate.Forest, np.ndarray]:
    """The difference gate of train recordings; (N,) frames that each of their proposals gains by one of other animals.

    Raises InputError if fewer than `FEWEST` train animals have proposals.
    """
    train, gain = _described(stages.train), gains(stages.train, stages)
    names = [one.proposed.recording.animal for one in stages.train for _ in one.spans]
    if (count := len(set(names))) < FEWEST:
        raise InputError(
            f"a gate is fitted on clips of {FEWEST} train animals or more, and stage 1 proposes some of {count}"
        )
    held_out = np.empty(len(gain))
    for fit, held in GroupKFold(min(FOLDS, count)).split(train, groups=names):
        held_out[held] = gate.fit_gate(train[fit], gain[fit]).predict(train[held])
    return gate.fit_gate(train, gain), _frames(stages.train) * held_out


def expected(fitted: gate.Forest, one: Staged) -> np.ndarray:
    """(N,) frames that showing each proposal of a recording gains, as a fitted gate has it."""
    return _frames([one]) * fitted.predict(_described([one]))


def _described(parts: Sequence[Staged]) -> np.ndarray:
    return np.concatenate([gate.describe(s.scores, s.proposed.proposals, s.proposed.recording) for s in parts])


def _frames(parts: Sequence[Staged]) -> np.ndarray:
    return np.array([p.stop - p.start for one in parts for p in one.proposed.proposals])


def shown_at(parts: Sequence[Staged], values: np.ndarray, budget: float) -> list[np.ndarray]:
    """(N,) bool of each recording: the clips that a share of all clips' time buys, by falling value."""
    costs = np.concatenate([np.diff(s.spans, axis=1)[:, 0] for s in parts]).astype(float)
    bought = gate.spend(values, costs, budget * costs.sum())
    return np.split(bought, np.cumsum([len(s.spans) for s in parts])[:-1])


def runs_at(stages: Stages, shown: Sequence[Sequence[np.ndarray]], data: Dataset) -> list[Run]:
    """`run_at` of the test recordings for each seed."""
    return [run_at(*pair, stages, data, seed) for seed, pair in enumerate(zip(stages.test, shown, strict=True))]


def run_at(parts: Sequence[Staged], shown: Sequence[np.ndarray], stages: Stages, data: Dataset, seed: int = 0) -> Run:
    """The recordings' labels and scores if those clips are shown."""
    videos = []
    for one, kept in zip(parts, shown, strict=True):
        recording, scores = one.proposed.recording, joined(one, stages.joint, kept)
        found = Prediction(recording.name, recording.labels, stages.label(scores), scores, recording.fps)
        videos.append(found.labelled())
    return Run(seed, data.task, data.classes, tuple(videos))
