"""Both stages on one recording, with one seed's network: localize → propose → embed → name → write.

Each verb is a function here and is called once; what loops over recordings and seeds is in `study`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.metrics import f1_score

from mbrepro.artifacts import fingerprint
from mbrepro.data.recordings import UNLABELLED, Dataset, Prediction, Recording, needed, other_index, split_by_animal
from mbrepro.embedding import pose
from mbrepro.embedding.embedder import POSES, ClipEmbedder, EmbedderSettings
from mbrepro.embedding.store import embed_recording
from mbrepro.errors import InputError
from mbrepro.method import proposals
from mbrepro.method.heads import Head, fit_head
from mbrepro.method.localizer import PoseCNN, action_probability, localize
from mbrepro.method.proposals import Proposal, proposal_labels
from mbrepro.method.protocols import Protocol

VALIDATION = 0.25  # share of the train animals held out to choose a view where the protocol holds out none
ACTION = 0.5  # stage 1 calls a frame action from this P(action) on, as the more likely of its two classes


@dataclass(frozen=True, eq=False)
class Proposed:
    """What stage 1 proposes in one recording, and where the clips lie.

    p_action: (T,) P(action). starts: (N,) first frame of each proposal's clip. labels: (N,) class index of each
    proposal, or None if the recording has no labels.
    """

    recording: Recording
    p_action: np.ndarray
    proposals: tuple[Proposal, ...]
    starts: np.ndarray
    labels: np.ndarray | None

    @property
    def true(self) -> np.ndarray:
        """(N,) `labels`; raises InputError for an unlabelled recording."""
        return needed(self.recording.name, self.labels)


def localize_action(model: PoseCNN, recording: Recording) -> np.ndarray:
    """(T,) P(action) from a localizer or a classifier of more classes, read-only.

    A process computes it once for each network and poses: every protocol, head and table asks for it again.
    """
    weights = [weight.numpy() for weight in model.state_dict().values()]
    key = fingerprint(model.settings, weights, recording.keypoints, recording.frame_size)
    if key not in _localized:
        _localized[key] = action_probability(localize(model, recording))
        _localized[key].flags.writeable = False
    return _localized[key]


_localized: dict[str, np.ndarray] = {}


def propose(recording: Recording, p_action: np.ndarray, protocol: Protocol) -> Proposed:
    """Turn P(action) (T,) into a recording's proposals with their clips' first frames and their labels."""
    found = tuple(proposals.propose(p_action, protocol.rule, recording.clock))
    labels = None if recording.labels is None else proposal_labels(recording.labels, found, recording.classes)
    return Proposed(recording, p_action, found, clip_starts(found, recording, protocol), labels)


def clip_starts(found: Sequence[Proposal], recording: Recording, protocol: Protocol) -> np.ndarray:
    """(N,) first frame of each proposal's clip: the proposal's own, or such that the clip lies round its middle."""
    spans = np.array([(p.start, p.stop) for p in found], np.int64).reshape(-1, 2)
    if protocol.anchor == "start":
        return spans[:, 0]
    seconds = protocol.clips.seconds
    if isinstance(times := recording.clock, np.ndarray):
        middles, latest = recording.edges[spans].mean(1), max(0, recording.edges[-1] - seconds)
        return np.asarray(np.searchsorted(times, np.clip(middles - seconds / 2, 0, latest)))
    length = round(seconds * recording.fps)
    return np.clip((spans.sum(1) - length) // 2, 0, max(0, len(recording) - length))


def propose_for_head(recording: Recording, model: PoseCNN, protocol: Protocol) -> Proposed:
    """The clips of a train recording that a head learns from: the labelled bouts, what stage 1 localizes, or both.

    p_action is stage 1's where it has a part in them.
    """
    return clips_for_head(recording, partial(localize_action, model, recording), protocol)


def clips_for_head(recording: Recording, localized: Callable[[], np.ndarray], protocol: Protocol) -> Proposed:
    """As `propose_for_head`, of any stage 1: `localized` gives its P(action) (T,), and is called if that is needed."""
    parts = []
    if protocol.head_clips != "localized":
        parts.append(propose(recording, recording.action.astype(np.float32), protocol))
    if protocol.head_clips != "labelled":
        parts.append(propose(recording, localized(), protocol))
    together = (np.concatenate([getattr(part, name) for part in parts]) for name in ("starts", "labels"))
    return Proposed(recording, parts[-1].p_action, sum((part.proposals for part in parts), ()), *together)


def embed(proposed: Proposed, protocol: Protocol, embedder: ClipEmbedder, folder: Path) -> np.ndarray:
    """(N, D) embeddings of the proposals' clips in the protocol's view, read from `folder` where they are stored.

    With fusion the `pose.WIDTH` features of the clips' poses come behind them. Raises InputError if the embedder has no
    such view.
    """
    check_view(protocol, embedder)
    view = protocol.view
    found = embed_recording(proposed.recording, proposed.starts, protocol.clips, embedder, folder, [view])[view]
    if protocol.head.fusion == "none":
        return found
    poses = pose.PoseEmbedder(EmbedderSettings(POSES))
    (beside,) = embed_recording(proposed.recording, proposed.starts, protocol.clips, poses, folder).values()
    return np.concatenate([found, beside], 1)


def check_view(protocol: Protocol, embedder: ClipEmbedder) -> None:
    """Raise InputError unless the protocol's view is one that the embedder has."""
    if protocol.view not in embedder.views:
        known = f"{', '.join(embedder.views)}, or auto"
        raise InputError(f"{embedder.settings.model} has no view {protocol.view!r}; choose one of {known}")


def fit_clip_head(
    proposed: Sequence[Proposed], embeddings: Sequence[np.ndarray], protocol: Protocol, seed: int
) -> Head:
    """A head from embeddings to classes, trained on the clips that hold a behaviour.

    Clips without one are kept as counter-examples if the protocol says so, and for a binary task (`other` and one
    behaviour) always; where stage 1 proposed no train clip of such a task, nothing can be learned and the head says
    other. Raises InputError if a task of more classes has no clip to train on.
    """
    classes = proposed[0].recording.classes
    pooled = np.concatenate(embeddings)
    labels = np.concatenate([p.labels for p in proposed])
    if len(classes) == 2 and not len(labels):
        return Head(2, pooled.shape[1], np.array([other_index(classes)]), None)
    held = (labels != other_index(classes)) & (labels != UNLABELLED)
    kept = held | ((labels != UNLABELLED) & (len(classes) == 2 or protocol.counter_examples))
    if not (held if len(classes) > 2 else kept).any():
        raise InputError("stage 1 proposes no train clip that holds a behaviour, so no head can be trained")
    split = pooled.shape[1] - pose.WIDTH if protocol.head.fusion == "late" else None
    animals = np.repeat([p.recording.animal for p in proposed], [len(p.starts) for p in proposed])
    return fit_head(pooled[kept], labels[kept], len(classes), protocol.head, seed, split, animals[kept])


def train_head(
    proposed: Sequence[Proposed], protocol: Protocol, embedder: ClipEmbedder, folder: Path, seed: int
) -> Head:
    """Embed the clips of `propose_for_head`, of train recordings, and fit a head on them; see `fit_clip_head`."""
    return fit_clip_head(proposed, [embed(p, protocol, embedder, folder) for p in proposed], protocol, seed)


def name_clips(proposed: Proposed, class_scores: np.ndarray) -> Prediction:
    """A head's answers (N, C) on the clips that hold a behaviour: what the poster's clip row measures."""
    held = (proposed.true != other_index(proposed.recording.classes)) & (proposed.true != UNLABELLED)
    scores = class_scores[held]
    return Prediction(proposed.recording.name, proposed.true[held], scores.argmax(1), scores)


def write_frames(proposed: Proposed, class_scores: np.ndarray, protocol: Protocol) -> Prediction:
    """Write each proposal's class over its frames; the rest is other.

    class_scores: (N, C) of the proposals' clips. A frame's score is P(action) times its clip's class score, and for
    other what is left of 1, so that average precision ranks frames (0 for every behaviour outside the proposals).
    """
    recording, other = proposed.recording, other_index(proposed.recording.classes)
    scores = np.zeros((len(recording), len(recording.classes)), np.float32)
    labels = np.full(len(recording), other)
    for proposal, row in zip(proposed.proposals, class_scores, strict=True):
        span = slice(proposal.start, proposal.stop)
        scores[span] = proposed.p_action[span, None] * row
        kept = proposed.p_action[span] >= ACTION if protocol.written == "action" else slice(None)
        labels[span][kept] = row.argmax()
    scores[:, other] = 0
    scores[:, other] = 1 - scores.sum(1)
    return Prediction(recording.name, recording.labels, labels, scores, recording.fps)


def view_scores(
    dataset: Dataset, model: PoseCNN, protocol: Protocol, embedder: ClipEmbedder, folder: Path
) -> dict[str, float]:
    """Macro F1 over behaviours of a head on clips of held-out train animals, for each of the embedder's views.

    Seed 0 divides the animals; test recordings are not read.
    """
    parts = split_by_animal(dataset.train, protocol.validation_fraction or VALIDATION, seed=0)
    fit, validation = ([propose_for_head(r, model, protocol) for r in part] for part in parts)
    scores = {}
    for view in embedder.views:
        chosen = replace(protocol, view=view)
        head = fit_clip_head(fit, [embed(p, chosen, embedder, folder) for p in fit], protocol, 0)
        named = [name_clips(p, head.scores(embed(p, chosen, embedder, folder))) for p in validation]
        true, labels = (np.concatenate([getattr(p, field) for p in named]) for field in ("true", "labels"))
        options = {"labels": np.unique(true), "average": "macro", "zero_division": 0}
        scores[view] = float(f1_score(true, labels, **options)) if len(true) else 0
    return scores
