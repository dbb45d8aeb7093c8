"""Stage 1's localizers behind one registry: at equal data, each learns the class scores (T, C) of frames.

What is chosen with scores (calibration, thresholds, the weight of decoding, stage 2) is chosen on those of train
recordings by models that never saw their animal: `fold_jobs`. Scores are kept under what made them.
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

from mbrepro.artifacts import cached_arrays, stored_at, versions
from mbrepro.data.processes import side_by_side
from mbrepro.data.recordings import Recording
from mbrepro.errors import InputError
from mbrepro.method import boosting, dilated, features, localizer, training
from mbrepro.method.boosting import BoostingSettings, fit_boosting
from mbrepro.method.dilated import DilatedSettings, fit_dilated
from mbrepro.method.localizer import BASELINE
from mbrepro.method.training import fit_localizer, one_thread

FOLDS = 3  # of the train animals
REACH = "reach of "  # before a recording's name, of what is stored


class Localizer(Protocol):
    """A trained localizer."""

    def scores(self, recording: Recording) -> np.ndarray:
        """(T, C) probabilities of the classes of every frame."""


@dataclass(frozen=True)
class Kind:
    """What a localizer is fitted by: `fit(recordings, labels, classes, settings, seed)`, and its settings unless given.

    labels: (T,) int64 class index or `UNLABELLED` of each recording. seeded: whether another seed gives another model.
    """

    fit: Callable[..., Localizer]
    settings: object
    seeded: bool = True


# Boosting by other settings than the rats': a tenth of the time, and held-out train animals are named about as well.
LOCALIZERS: dict[str, Kind] = {
    "cnn": Kind(lambda rs, labels, n, how, seed: fit_localizer(rs, labels, replace(how, classes=n), seed)[0], BASELINE),
    "boosting": Kind(fit_boosting, BoostingSettings((1.0, 4.0), every=16, leaves=15, bins=31), seeded=False),
    "dilated": Kind(fit_dilated, DilatedSettings()),
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
    kind = LOCALIZERS[name]
    labels, classes = [r.labels for r in recordings], len(recordings[0].classes)
    with one_thread(), threadpool_limits(1):
        return kind.fit(recordings, labels, classes, settings or kind.settings, seed)


def joined(
    jobs: Sequence[Job], parts: Sequence[Sequence[np.ndarray]], recordings: Sequence[Recording]
) -> list[np.ndarray]:  # fmt: skip
    """What jobs gave for their recordings, in the order of all of them."""
    found = {}
    for job, part in zip(jobs, parts, strict=True):
        found |= {r.name: value for r, value in zip(job.others, part, strict=True)}
    return [found[r.name] for r in recordings]


def fold_jobs(name: str, recordings: Sequence[Recording]) -> list[Job]:
    """The jobs that score each train recording by a localizer of other folds' animals; raises as `by_animal`."""
    return [Job(name, None, 0, *parts) for parts in by_animal(recordings)]


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
        fit, held = (tuple(recordings[k] for k in part) for part in places)
        yield fit, held


def scored(jobs: Sequence[Job], folder: Path) -> list[list[np.ndarray]]:
    """Scores (T, C) float32 of the recordings of each job, trained side by side; read from `folder` if stored."""
    missing = [job for job in jobs if not stored_at(folder / "stage1", job.name, _made_from(job)).exists()]
    side_by_side([(_stored, job, folder) for job in missing], "train", "localizer")
    found = [_stored(job, folder) for job in jobs]
    return [[part[r.name] for r in job.others] for job, part in zip(jobs, found, strict=True)]


def reaches(job: Job, folder: Path) -> list[np.ndarray]:
    """What a job's localizer expects each frame's bout to reach (T, 2), s, as of `Dilated.reach`; stored with scores.

    Raises InputError if it is a localizer that does not tell.
    """
    found = _stored(job, folder)
    if any(REACH + r.name not in found for r in job.others):
        raise InputError(f"the localizer {job.name!r} does not tell how far bouts reach; take dilated")
    return [found[REACH + r.name] for r in job.others]


def _stored(job: Job, folder: Path) -> dict[str, np.ndarray]:
    def make() -> dict[str, np.ndarray]:
        model = fit(job.name, job.train, job.settings, job.seed)
        with one_thread(), threadpool_limits(1):
            found = {r.name: model.scores(r).astype(np.float32) for r in job.others}
            if hasattr(model, "reach"):
                found |= {REACH + r.name: model.reach(r).astype(np.float32) for r in job.others}
        return found

    return cached_arrays(folder / "stage1", job.name, _made_from(job), make)


def _made_from(job: Job) -> tuple:
    made_from = [job.name, job.settings or LOCALIZERS[job.name].settings, job.seed]
    made_from.append(versions(boosting, dilated, features, localizer, training, sklearn, torch))
    for part in (job.train, job.others):
        made_from += [[r.name, r.keypoints, r.labels, r.seen, r.frame_size, r.fps, r.skeleton] for r in part]
    return tuple(made_from)
