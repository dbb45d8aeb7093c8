"""Stage 1's localizers behind one registry: at equal data, each learns the class scores (T, C) of frames.

What is chosen with scores (calibration, thresholds, the weight of decoding, stage 2) is chosen on those of train
recordings by models that never saw their animal: `out_of_fold`. Scores are kept under what made them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import sklearn
import torch
from sklearn.model_selection import GroupKFold
from threadpoolctl import threadpool_limits

from mbrepro.artifacts import cached_arrays, versions
from mbrepro.data.recordings import Recording
from mbrepro.errors import InputError
from mbrepro.method import boosting, features, localizer, training
from mbrepro.method.boosting import BoostingSettings, fit_boosting
from mbrepro.method.localizer import BASELINE, LocalizerSettings, PoseCNN
from mbrepro.method.processes import one_thread, side_by_side
from mbrepro.method.training import fit_localizer

FOLDS = 3  # of the train animals


class Localizer(Protocol):
    """A trained localizer."""

    def scores(self, recording: Recording) -> np.ndarray:
        """(T, C) probabilities of the classes of every frame."""


def _fit_cnn(
    recordings: Sequence[Recording], labels: Sequence[np.ndarray], classes: int, settings: LocalizerSettings, seed: int
) -> PoseCNN:
    return fit_localizer(recordings, labels, replace(settings, classes=classes), seed)[0]


# By its name: what fits a localizer, `fit(recordings, labels, classes, settings, seed)`, with labels (T,) int64 class
# index or `UNLABELLED` of each recording, and the settings it has unless others are given. A seed gives one model.
# Fewer leaves and bins than the rats' trees have: half the time, and held-out train animals are named no worse.
LOCALIZERS: dict[str, tuple[Callable[..., Localizer], object]] = {
    "cnn": (_fit_cnn, BASELINE),
    "boosting": (fit_boosting, BoostingSettings(every=8, leaves=15, bins=31)),
}


@dataclass(frozen=True, eq=False)
class Job:
    """One localizer to be trained, by its name in `LOCALIZERS`, and the recordings that it is to score."""

    name: str
    settings: object
    seed: int
    train: tuple[Recording, ...]
    others: tuple[Recording, ...]


def fit(name: str, recordings: Sequence[Recording], settings: object, seed: int) -> Localizer:
    """The localizer `name` trained on labelled recordings of one skeleton and the same classes; settings None: its own.

    The same on any number of cores. Raises InputError for a name not in `LOCALIZERS`, or as the localizers do.
    """
    if name not in LOCALIZERS:
        raise InputError(f"there is no localizer {name!r}; take {', '.join(LOCALIZERS)}")
    maker, own = LOCALIZERS[name]
    with one_thread(), threadpool_limits(1):
        return maker(recordings, [r.labels for r in recordings], len(recordings[0].classes), settings or own, seed)


def out_of_fold(
    name: str, recordings: Sequence[Recording], settings: object, seed: int, folder: Path, folds: int = FOLDS
) -> list[np.ndarray]:
    """Scores (T, C) of each train recording by a localizer trained on the recordings of other folds' animals.

    Read from `folder` where they are stored. Raises InputError if there are fewer animals than folds.
    """
    jobs = fold_jobs(name, recordings, settings, seed, folds)
    found = {r.name: s for job, part in zip(jobs, scored(jobs, folder), strict=True)
             for r, s in zip(job.others, part, strict=True)}  # fmt: skip
    return [found[r.name] for r in recordings]


def fold_jobs(
    name: str, recordings: Sequence[Recording], settings: object, seed: int, folds: int = FOLDS
) -> list[Job]:  # fmt: skip
    """The jobs of `out_of_fold`."""
    return [Job(name, settings, seed, *parts) for parts in by_animal(recordings, folds)]


def by_animal(
    recordings: Sequence[Recording], folds: int = FOLDS
) -> Iterator[tuple[tuple[Recording, ...], tuple[Recording, ...]]]:
    """Recordings to train on and those held out, for each fold; no animal is in two folds.

    Raises InputError if there are fewer animals than folds.
    """
    animals = [r.animal for r in recordings]
    if len(set(animals)) < folds:
        raise InputError(f"{folds} folds by animal need as many animals, and there are {len(set(animals))}")
    for places in GroupKFold(folds).split(animals, groups=animals):
        yield tuple(tuple(recordings[k] for k in part) for part in places)


def scored(jobs: Sequence[Job], folder: Path) -> list[list[np.ndarray]]:
    """Scores (T, C) float32 of the recordings of each job, trained side by side; read from `folder` if stored."""
    side_by_side([(_stored, job, folder) for job in jobs], "train", "localizer")
    return [_stored(job, folder) for job in jobs]


def _stored(job: Job, folder: Path) -> list[np.ndarray]:
    def make() -> dict[str, np.ndarray]:
        model = fit(job.name, job.train, job.settings, job.seed)
        with one_thread(), threadpool_limits(1):
            return {r.name: model.scores(r).astype(np.float32) for r in job.others}

    made_from = [job.name, job.settings or LOCALIZERS[job.name][1], job.seed]
    made_from.append(versions(boosting, features, localizer, training, sklearn, torch))
    for part in (job.train, job.others):
        made_from += [[r.name, r.keypoints, r.labels, r.seen, r.frame_size, r.fps, r.skeleton] for r in part]
    found = cached_arrays(folder / "stage1", job.name, tuple(made_from), make)
    return [found[r.name] for r in job.others]
