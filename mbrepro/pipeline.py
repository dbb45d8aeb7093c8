"""Both stages, joined: localize, propose, embed, classify, label every frame."""

import contextlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from os import cpu_count
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from mbrepro import localizer as localizer_module
from mbrepro.artifacts import fingerprint
from mbrepro.embedding.embedder import ClipEmbedder
from mbrepro.embedding.store import embed_recording
from mbrepro.errors import InputError
from mbrepro.heads import Head, fit_head
from mbrepro.localizer import (
    LocalizerSettings,
    PoseCNN,
    action_targets,
    fit_localizer,
    load_localizer,
    localize,
    save_localizer,
)
from mbrepro.proposals import Proposal, proposal_labels, propose
from mbrepro.protocols import Protocol
from mbrepro.recordings import Dataset, Prediction, Recording, other_index, split_by_animal

ACTION = 0.5  # stage 1 calls a frame action from this P(action) on, as the more likely of its two classes


@dataclass(frozen=True, eq=False)
class ProposedClips:
    """What stage 1 proposed in one recording, and what stage 2 saw there.

    p_action: (T,) P(action). labels: (N,) class index of each proposal, or None if the recording has no labels.
    embeddings: (N, D).
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
    fraction that share of the train animals is first held out to choose one number of epochs for all seeds, and then
    trained on too. Seeds are trained side by side, each on one thread, so that the weights do not depend on the number
    of cores.
    """
    made_from = [settings, validation_fraction, localizer_module, Path(__file__), torch.__version__]
    for recording in dataset.train:
        made_from += [recording.name, recording.keypoints, recording.labels, recording.frame_size]
    paths = [folder / "localizers" / f"{fingerprint(seed, *made_from)}.safetensors" for seed in seeds]
    missing = [(seed, path) for seed, path in zip(seeds, paths, strict=True) if not path.exists()]
    if missing and validation_fraction:
        with _one_thread():
            settings = replace(settings, epochs=_best_epoch(dataset.train, settings, validation_fraction))
    workers = min(cpu_count() or 1, len(missing))
    if workers > 1:
        # A fresh interpreter for each worker, as fork and torch's threads do not mix.
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            waiting = [pool.submit(_train, dataset.train, settings, *job) for job in missing]
            for done in tqdm(as_completed(waiting), "train", len(missing), unit="network", disable=None):
                done.result()
    else:
        for job in missing:
            _train(dataset.train, settings, *job)
    return [load_localizer(path) for path in paths]


def _train(train: Sequence[Recording], settings: LocalizerSettings, seed: int, path: Path) -> None:
    with _one_thread():
        model, _ = fit_localizer(train, [_targets(r, settings) for r in train], settings, seed)
    save_localizer(path, model)


def _best_epoch(train: Sequence[Recording], settings: LocalizerSettings, validation_fraction: float) -> int:
    """How many epochs, up to the settings', are best for train animals that were held out; chosen once, with seed 0."""
    fit, validation = split_by_animal(train, validation_fraction, seed=0)
    held_out = [(r, _targets(r, settings)) for r in validation]
    _, history = fit_localizer(fit, [_targets(r, settings) for r in fit], settings, 0, validation=held_out)
    return max(history, key=lambda row: row["validation_f1"])["epoch"]


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
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
    proposals = tuple(propose(p_action, protocol.rule))
    labels = None
    if recording.labels is not None:
        labels = proposal_labels(recording.labels, proposals, recording.classes)
    starts = clip_starts(proposals, recording, protocol)
    embeddings = embed_recording(recording, starts, protocol.clips, embedder, folder)
    return ProposedClips(recording, p_action, proposals, labels, embeddings)


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
    tracks = [
        localize_action(model, r) if protocol.head_clips == "localized" else r.action.astype(np.float32)
        for r in dataset.train
    ]
    return [propose_clips(r, p, protocol, embedder, folder) for r, p in zip(dataset.train, tracks, strict=True)]


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
