"""The model asked directly what a clip shows, with no head and no training: rows `prompt`."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import softmax

from mbrepro.data.clips import ClipSettings, cut_clips
from mbrepro.data.recordings import UNLABELLED, Dataset
from mbrepro.embedding.asked import Asked, can_be_asked
from mbrepro.embedding.embedder import PROMPT, ClipEmbedder
from mbrepro.embedding.qwen import QwenVLEmbedder
from mbrepro.embedding.store import embed_recording
from mbrepro.method import pipeline
from mbrepro.method.networks import train_localizers
from mbrepro.method.pipeline import Proposed, localize_action, propose
from mbrepro.method.protocols import Protocol
from mbrepro.metrics.frames import evaluate
from mbrepro.study import results
from mbrepro.study.clip_index import FoundClips
from mbrepro.study.results import Run

READ_AS = {"answers": "as given", "calibrated": "corrected"}
READ = "calibrated"  # the view whose answers rows are made of


def words(classes: Sequence[str]) -> list[str]:
    """What the model is to say for each class: its name."""
    return [name.replace("_", " ") for name in classes]


def asked_about(classes: Sequence[str], model: QwenVLEmbedder, shown: Sequence[tuple[np.ndarray, str]] = ()) -> Asked:
    """The model, to be asked the poster's question with the classes' words as answers; shown: as of `Asked`."""
    question = f"{PROMPT}? Answer with one of these: {', '.join(words(classes))}."
    return Asked(model, question, words(classes), shown)


def examples(
    parts: Sequence[FoundClips | Proposed], count: int, settings: ClipSettings, seed: int
) -> list[tuple[np.ndarray, str]]:
    """Up to `count` labelled clips of each class, drawn by the seed and in an order of its own, with their words."""
    rng, classes = np.random.default_rng(seed), parts[0].recording.classes
    labels = np.concatenate([part.labels for part in parts])
    places = [(part.recording, int(start)) for part in parts for start in part.starts]
    chosen = []
    for label in np.setdiff1d(labels, [UNLABELLED]):
        held = np.flatnonzero(labels == label)
        chosen += rng.choice(held, min(count, len(held)), replace=False).tolist()
    return [
        (cut_clips(places[k][0], [places[k][1]], settings)[0], words(classes)[labels[k]])
        for k in rng.permutation(chosen).astype(int)
    ]


def answers(
    parts: Sequence[FoundClips | Proposed], settings: ClipSettings, asked: Asked, folder: Path, view: str
) -> np.ndarray:
    """(N, C) scores of clips that sum to 1, from a view of `Asked`; what was asked before is read from `folder`."""
    found = [embed_recording(p.recording, p.starts, settings, asked, folder, [view])[view] for p in parts]
    return softmax(np.concatenate(found), axis=1)


def prompted(
    train: Sequence[FoundClips], test: Sequence[FoundClips], settings: ClipSettings, model: QwenVLEmbedder,
    folder: Path, shots: Sequence[float] = (0, 1), seed: int = 0,
) -> pd.DataFrame:  # fmt: skip
    """Accuracy, F1 and average precision of the model's own answers on the test clips, as it gives them and calibrated.

    A line for each of both and each number of labelled train clips of every class that it is shown first.
    """
    classes, lines = test[0].recording.classes, []
    true = np.concatenate([f.labels for f in test])
    for count in map(int, shots):
        asked = asked_about(classes, model, examples(train, count, settings, seed))
        for view in asked.views:
            scores = answers(test, settings, asked, folder, view)
            told = evaluate([true], [scores.argmax(1)], [scores], classes)
            lines.append((count, READ_AS[view], told["accuracy"], told["f1"], told["map"]))
    return pd.DataFrame(lines, columns=["clips shown of each class", "answers", "accuracy", "F1", "AP"])


def runs(
    row: str, data: Dataset, tasks: Sequence[Dataset], protocol: Protocol, model: ClipEmbedder, folder: Path
) -> list[Run]:  # fmt: skip
    """A row's clips or frames by the model's own answers (`READ`), no clip being shown before; a run a task.

    Asked about is every clip that the first seed's stage 1, trained on `data`, proposes in the test recordings. None of
    a model that cannot be asked. tasks: of recordings with video.
    """
    if not can_be_asked(model):
        return []
    read = pipeline.name_clips if row == results.CLIPS else partial(pipeline.write_frames, protocol=protocol)
    (network,) = train_localizers(data, protocol.localizer, protocol.validation_fraction, [0], folder)
    found = []
    for task in tasks:
        asked = asked_about(task.classes, model)
        proposed = [propose(r, localize_action(network, r), protocol) for r in task.test]
        videos = [read(one, answers([one], protocol.clips, asked, folder, READ)) for one in proposed]
        found.append(Run(0, task.task, task.classes, tuple(videos)))
    return found


def record(
    row: str, runs: Sequence[Run], data: Dataset, profile: str, run: str = "", part: str = "", **settings: object
) -> pd.DataFrame:
    """Store the model's own answers as a row's protocol "prompt", or take that out of the results without any."""
    if not runs:
        return results.leave_out(row, results.PROMPT, profile, run)
    return results.record(row, results.PROMPT, runs, profile, run, data.source, part, **settings)
