"""Both stages, joined: localize, propose, embed, classify, label every frame."""

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import f1_score
from tqdm import tqdm

from mbrepro.artifacts import fingerprint, write_json
from mbrepro.data.recordings import Dataset, Prediction, Recording, other_index, split_by_animal
from mbrepro.embedding.embedder import ClipEmbedder, pooled_views
from mbrepro.embedding.store import embed_recording
from mbrepro.errors import InputError
from mbrepro.method import localizer as localizer_module
from mbrepro.method import training as training_module
from mbrepro.method.heads import Head, fit_head
from mbrepro.method.localizer import (
    LocalizerSettings,
    PoseCNN,
    action_targets,
    load_localizer,
    localize,
    save_localizer,
)
from mbrepro.method.proposals import Proposal, proposal_labels, propose
from mbrepro.method.protocols import Protocol
from mbrepro.method.training import fit_localizer

VALIDATION = 0.25  # share of the train animals held out to choose a view where the protocol holds out none
DIVISIONS = 3  # of the train animals, on whose mean the number of epochs is chosen
ACTION = 0.5  # stage 1 calls a frame action from this P(action) on, as the more likely of its two classes


@dataclass(frozen=True, eq=False)
class ProposedClips:
    """What stage 1 proposed in one recording, and what stage 2 saw there.

    p_action: (T,) P(action). labels: (N,) class index of each proposal, or None if the recording has no labels.
    embeddings: (N, D), the protocol's view.
    """

    recording: Recording
    p_action: np.ndarray
    proposals: tuple[Proposal, ...]
    labels: np.ndarray | None
    embeddings: np.ndarray


def train_localizers(
    dataset: Dataset, settings: LocalizerSettings, validation_fraction: float, seeds: Sequence[int], folder: Path
) -> list[PoseCNN]:
    """The pose networks trained on a dataset's train recordings, one a seed, read from `folder` if trained before.

    With 2 classes the targets are the poster's, action and other; otherwise they are the labels. With a validation
    fraction that share of the train animals is first held out to choose one number of epochs for all seeds (the best of
    `validation_curves`), and then trained on too. One training run gives the network after each of its epochs, so that
    the networks of a validation fraction and those without are of the same runs. Seeds are trained side by side, each
    on one thread, so that the weights do not depend on the number of cores.
    """
    made_from = _made_from(dataset, settings)
    stems = {seed: folder / "localizers" / fingerprint(seed, *made_from) for seed in seeds}
    missing = [(seed, stem) for seed, stem in stems.items() if not _after(stem, settings.epochs).exists()]
    jobs = [(_train, dataset.train, settings, *job) for job in missing]
    tried = enumerate(_curve_paths(dataset, settings, validation_fraction, folder))
    missing = [(division, path) for division, path in tried if not path.exists()]
    jobs += [(_try_epochs, dataset.train, settings, validation_fraction, *job) for job in missing]
    side_by_side(jobs)
    epochs = best_epochs(validation_curves(dataset, settings, validation_fraction, folder))
    return [load_localizer(_after(stem, epochs)) for stem in stems.values()]


def validation_curves(
    dataset: Dataset, settings: LocalizerSettings, validation_fraction: float, folder: Path
) -> np.ndarray:
    """(divisions, epochs) F1 of train animals held out after each epoch, as `train_localizers` tried them.

    Without a validation fraction there is no division.
    """
    paths = _curve_paths(dataset, settings, validation_fraction, folder)
    curves = [json.loads(path.read_text(encoding="utf-8"))["validation_f1"] for path in paths]
    return np.array(curves).reshape(-1, settings.epochs)


def best_epochs(curves: np.ndarray) -> int:
    """The number of epochs, from 1, with the highest mean over `validation_curves`; all of them without a division."""
    return 1 + int(curves.mean(0).argmax()) if len(curves) else curves.shape[1]


def _made_from(dataset: Dataset, settings: LocalizerSettings) -> list:
    made_from = [replace(settings, epochs=1), localizer_module, training_module, Path(__file__), torch.__version__]
    for recording in dataset.train:
        made_from += [recording.name, recording.keypoints, recording.labels, recording.frame_size]
    return made_from


def _curve_paths(dataset: Dataset, settings: LocalizerSettings, validation_fraction: float, folder: Path) -> list[Path]:
    if not validation_fraction:
        return []
    key = fingerprint(settings.epochs, validation_fraction, *_made_from(dataset, settings))
    return [folder / "localizers" / f"validation-{key}-{division}.json" for division in range(DIVISIONS)]


def side_by_side(jobs: Sequence[tuple]) -> None:
    """Do jobs (function, argument, …), as many at a time as there are cores, each in an interpreter of its own.

    A fresh interpreter for each worker, as fork and torch's threads do not mix.
    """
    workers = min(os.cpu_count() or 1, len(jobs))
    if workers <= 1:
        for function, *arguments in jobs:
            function(*arguments)
        return
    # glibc would give a step's arrays back to the system and fault their pages in again: a fifth of the time.
    os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(2**33))
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(2**32))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(*job) for job in jobs]
        for done in tqdm(as_completed(waiting), "train", len(jobs), unit="network", disable=None):
            done.result()


def _after(stem: Path, epoch: int) -> Path:
    return stem.with_name(f"{stem.name}-{epoch}.safetensors")


def _train(train: Sequence[Recording], settings: LocalizerSettings, seed: int, stem: Path) -> None:
    """Train a network and keep it as it is after each epoch."""

    def keep(epoch: int, model: PoseCNN) -> None:
        model.settings = replace(settings, epochs=epoch)
        save_localizer(_after(stem, epoch), model)

    with one_thread():
        fit_localizer(train, [_targets(r, settings) for r in train], settings, seed, after_epoch=keep)


def _try_epochs(
    train: Sequence[Recording], settings: LocalizerSettings, validation_fraction: float, division: int, path: Path
) -> None:
    """Write how good each number of epochs, up to the settings', is for train animals held out.

    division: the seed of which animals those are, and of the network.
    """
    fit, validation = split_by_animal(train, validation_fraction, seed=division)
    held_out = [(r, _targets(r, settings)) for r in validation]
    with one_thread():
        _, history = fit_localizer(fit, [_targets(r, settings) for r in fit], settings, division, validation=held_out)
    write_json(path, {"validation_f1": [row["validation_f1"] for row in history]})


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _targets(recording: Recording, settings: LocalizerSettings) -> np.ndarray:
    if settings.classes == 2:
        return action_targets(recording)
    if settings.classes != len(recording.classes):
        raise InputError(f"{recording.name}: a network of {settings.classes} classes cannot learn {recording.classes}")
    return recording.labels


def predict_frames(model: PoseCNN, recording: Recording) -> Prediction:
    """Stage 1 alone as a classifier: every frame gets the class of highest probability."""
    scores = localize(model, recording)
    return Prediction(recording.name, recording.labels, scores.argmax(1), scores)


def localize_action(model: PoseCNN, recording: Recording) -> np.ndarray:
    """(T,) P(action) from a network of two classes."""
    return localize(model, recording)[:, 0]


def propose_clips(
    recording: Recording, p_action: np.ndarray, protocol: Protocol, embedder: ClipEmbedder, folder: Path
) -> ProposedClips:
    """Proposals of one recording with their labels and the embeddings of their clips."""
    return propose_for_seeds(recording, [p_action], protocol, embedder, folder)[0]


def propose_for_seeds(
    recording: Recording, tracks: Sequence[np.ndarray], protocol: Protocol, embedder: ClipEmbedder, folder: Path
) -> list[ProposedClips]:
    """As `propose_clips` for the P(action) of each seed; a clip that several seeds propose is embedded once.

    Raises InputError if the protocol's view is none that the embedder has and a head can take.
    """
    if protocol.view not in pooled_views(embedder.views):
        raise InputError(
            f"{embedder.settings.model} has no view {protocol.view!r}; choose one of "
            f"{', '.join(pooled_views(embedder.views))}, or auto"
        )
    starts = needed_starts(recording, tracks, protocol)
    embeddings = embed_recording(recording, starts, protocol.clips, embedder, folder)[protocol.view]
    made = []
    for p_action in tracks:
        proposals = tuple(propose(p_action, protocol.rule))
        labels = None
        if recording.labels is not None:
            labels = proposal_labels(recording.labels, proposals, recording.classes)
        mine = np.searchsorted(starts, clip_starts(proposals, recording, protocol))
        made.append(ProposedClips(recording, p_action, proposals, labels, embeddings[mine.astype(int)]))
    return made


def needed_starts(recording: Recording, tracks: Sequence[np.ndarray], protocol: Protocol) -> list[int]:
    """First frames, ascending, of all clips that any of the P(action) proposes."""
    return sorted({start for p in tracks for start in clip_starts(propose(p, protocol.rule), recording, protocol)})


def clip_starts(proposals: Sequence[Proposal], recording: Recording, protocol: Protocol) -> list[int]:
    """First frame of each proposal's clip: the proposal's own, or such that the clip lies round its middle."""
    if protocol.anchor == "start":
        return [proposal.start for proposal in proposals]
    length = round(protocol.clips.seconds * recording.fps)
    latest = max(0, len(recording) - length)
    return [min(latest, max(0, (p.start + p.stop - length) // 2)) for p in proposals]


def train_clips(
    dataset: Dataset, model: PoseCNN, protocol: Protocol, embedder: ClipEmbedder, folder: Path
) -> list[ProposedClips]:
    """The clips a head is trained on: those stage 1 localizes in the train recordings, or those of labelled bouts."""
    return train_clips_for_seeds(dataset, [model], protocol, embedder, folder)[0]


def train_clips_for_seeds(
    dataset: Dataset, models: Sequence[PoseCNN], protocol: Protocol, embedder: ClipEmbedder, folder: Path
) -> list[list[ProposedClips]]:
    """As `train_clips` for each seed's stage 1."""
    by_recording = [
        propose_for_seeds(r, train_tracks(r, models, protocol), protocol, embedder, folder) for r in dataset.train
    ]
    return [list(clips) for clips in zip(*by_recording, strict=True)]


def train_tracks(recording: Recording, models: Sequence[PoseCNN], protocol: Protocol) -> list[np.ndarray]:
    """(T,) P(action) of a train recording for each seed: what its stage 1 says, or for all of them the labels."""
    if protocol.head_clips == "localized":
        return [localize_action(model, recording) for model in models]
    return [recording.action.astype(np.float32)] * len(models)


def proposed_for_seeds(
    dataset: Dataset, models: Sequence[PoseCNN], protocol: Protocol, embedder: ClipEmbedder, folder: Path
) -> list[list[ProposedClips]]:
    """What each seed's stage 1 proposes in the test recordings."""
    by_recording = [
        propose_for_seeds(r, [localize_action(model, r) for model in models], protocol, embedder, folder)
        for r in dataset.test
    ]
    return [list(clips) for clips in zip(*by_recording, strict=True)]


def choose_view(dataset: Dataset, model: PoseCNN, protocol: Protocol, embedder: ClipEmbedder, folder: Path) -> Protocol:
    """The protocol with the view that "auto" stands for; one that names a view is returned as it is.

    A head is fitted on the train clips of some train animals for each view, and the view of highest macro F1 on the
    others' is taken, the embedder's first if two are equal. Seed 0 divides the animals; test recordings are not read.
    """
    if protocol.view != "auto":
        return protocol
    scores = view_scores(dataset, model, protocol, embedder, folder)
    return replace(protocol, view=max(scores, key=scores.get))


def view_scores(
    dataset: Dataset, model: PoseCNN, protocol: Protocol, embedder: ClipEmbedder, folder: Path
) -> dict[str, float]:
    """Macro F1 over behaviours of a head on clips of held-out train animals, for each of the embedder's views."""
    _, validation = split_by_animal(dataset.train, protocol.validation_fraction or VALIDATION, seed=0)
    held_out, scores = {recording.name for recording in validation}, {}
    for view in pooled_views(embedder.views):
        clips = train_clips(dataset, model, replace(protocol, view=view), embedder, folder)
        head = fit_clip_head([c for c in clips if c.recording.name not in held_out], protocol, 0)
        made = [classify_clips(c, head) for c in clips if c.recording.name in held_out]
        true, said = (np.concatenate([getattr(p, field) for p in made]) for field in ("true", "labels"))
        classes = [k for k in np.unique(true) if k >= 0]
        scores[view] = float(f1_score(true, said, labels=classes, average="macro", zero_division=0)) if classes else 0.0
    return scores


def fit_clip_head(clips: Sequence[ProposedClips], protocol: Protocol, seed: int) -> Head:
    """A head from embeddings to classes, trained on the clips that hold a behaviour.

    For a binary task (`other` and one behaviour) the clips without it are the counter-examples and are kept; where
    stage 1 proposed no train clip at all, nothing can be learned and the head says other.
    Raises InputError if a task of more classes has no clip to train on.
    """
    classes = clips[0].recording.classes
    embeddings = np.concatenate([c.embeddings for c in clips])
    labels = np.concatenate([c.labels for c in clips])
    if len(classes) == 2 and not len(labels):
        return Head(2, embeddings.shape[1], np.array([other_index(classes)]), None)
    kept = labels >= 0 if len(classes) == 2 else labels != other_index(classes)
    if not kept.any():
        raise InputError("stage 1 proposes no train clip that holds a behaviour, so no head can be trained")
    return fit_head(embeddings[kept], labels[kept], len(classes), protocol.head, seed)


def classify_clips(clips: ProposedClips, head: Head) -> Prediction:
    """A head's answers on the clips of one recording that hold a behaviour: what the poster's clip row measures."""
    held = clips.labels != other_index(clips.recording.classes)
    scores = head.scores(clips.embeddings[held])
    return Prediction(clips.recording.name, clips.labels[held], scores.argmax(1), scores)


def label_frames(clips: ProposedClips, class_scores: np.ndarray, protocol: Protocol) -> Prediction:
    """Write each proposal's class over its frames; the rest is other.

    class_scores: (N, C) of the proposals' clips. A frame's score is P(action) times its clip's class score, and for
    other what is left of 1, so that average precision ranks frames (0 for every behaviour outside the proposals).
    """
    recording, other = clips.recording, other_index(clips.recording.classes)
    scores = np.zeros((len(recording), len(recording.classes)), np.float32)
    labels = np.full(len(recording), other)
    for proposal, row in zip(clips.proposals, class_scores, strict=True):
        span = slice(proposal.start, proposal.stop)
        scores[span] = clips.p_action[span, None] * row
        kept = clips.p_action[span] >= ACTION if protocol.written == "action" else slice(None)
        labels[span][kept] = row.argmax()
    scores[:, other] = 0
    scores[:, other] = 1 - scores.sum(1)
    return Prediction(recording.name, recording.labels, labels, scores)
