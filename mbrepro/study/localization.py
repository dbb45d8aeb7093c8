"""Row "localization": stage 1 tells action from other, alone or as a classifier of more classes does."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mbrepro.data.recordings import Dataset, Prediction, other_index
from mbrepro.method.localizer import LOCALIZER_CLASSES, LocalizerSettings, action_labels
from mbrepro.method.networks import train_localizers
from mbrepro.method.pipeline import localize_action
from mbrepro.study.results import Run


def localization(
    data: Dataset, settings: LocalizerSettings, validation_fraction: float, seeds: int, folder: Path
) -> list[Run]:
    """Row "localization": stage 1 tells action from other at every frame."""
    models = train_localizers(data, settings, validation_fraction, range(seeds), folder)
    runs = []
    for seed, model in enumerate(models):
        videos = []
        for recording in data.test:
            p_action = localize_action(model, recording)
            scores = np.stack([p_action, 1 - p_action], 1)
            true = action_labels(recording.labels, recording.classes)
            videos.append(Prediction(recording.name, true, scores.argmax(1), scores, recording.fps))
        runs.append(Run(seed, data.task, LOCALIZER_CLASSES, tuple(videos)))
    return runs


def collapsed(runs: Sequence[Run]) -> list[Run]:
    """A classifier's predictions read as a localizer's: any behaviour is action, its score the behaviours' sum."""
    out = []
    for run in runs:
        other = other_index(run.classes)
        videos = []
        for video in run.videos:
            scores = np.stack([1 - video.scores[:, other], video.scores[:, other]], 1)
            true, labels = (action_labels(values, run.classes) for values in (video.true, video.labels))
            videos.append(Prediction(video.name, true, labels, scores, video.fps))
        out.append(Run(run.seed, run.task, LOCALIZER_CLASSES, tuple(videos)))
    return out
