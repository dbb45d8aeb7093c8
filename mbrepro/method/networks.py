"""Stage 1's networks: trained once for each seed, kept under what made them, and read back."""

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from mbrepro.artifacts import fingerprint, read_json, versions, write_json
from mbrepro.data.processes import side_by_side
from mbrepro.data.recordings import Dataset, Recording, split_by_animal
from mbrepro.errors import InputError
from mbrepro.method import localizer, training
from mbrepro.method.localizer import LocalizerSettings, PoseCNN, action_labels, load_localizer, save_localizer
from mbrepro.method.training import fit_localizer, one_thread

DIVISIONS = 3  # of the train animals, on whose mean the number of epochs is chosen


def train_localizers(
    dataset: Dataset, settings: LocalizerSettings, validation_fraction: float, seeds: Sequence[int], folder: Path
) -> list[PoseCNN]:
    """The pose networks trained on a dataset's train recordings, one a seed, read from `folder` if trained before.

    With 2 classes the targets are the poster's, action and other; otherwise they are the labels. With a validation
    fraction that share of the train animals is first held out to choose one number of epochs for all seeds (the best of
    `validation_curves`), and then trained on too. One training run gives the network after each of its epochs, so that
    the networks of a validation fraction and those without are of the same runs. Seeds are trained side by side, each
    on one thread, so that the weights do not depend on the number of cores. A stored network or curve that cannot be
    read is made again.
    """
    made = made_from(dataset, settings)
    stems = {seed: folder / "localizers" / fingerprint(seed, *made) for seed in seeds}

    def missing(epochs: int) -> list[tuple]:
        lacking = [job for job in stems.items() if _stored(job[1], epochs) is None]
        return [(_train, dataset.train, settings, *job) for job in lacking]

    tried = enumerate(_curve_paths(dataset, settings, validation_fraction, folder))
    untried = [(division, path) for division, path in tried if _curve(path) is None]
    trying = [(_try_epochs, dataset.train, settings, validation_fraction, *job) for job in untried]
    side_by_side(missing(settings.epochs) + trying, "train", "network")
    epochs = best_epochs(validation_curves(dataset, settings, validation_fraction, folder))
    side_by_side(missing(epochs), "train", "network")  # where a stored network is damaged
    return [load_localizer(_after(stem, epochs)) for stem in stems.values()]


def validation_curves(
    dataset: Dataset, settings: LocalizerSettings, validation_fraction: float, folder: Path
) -> np.ndarray:
    """(divisions, epochs) F1 of train animals held out, none without a fraction; InputError if they were not tried."""
    curves = [_curve(path) for path in _curve_paths(dataset, settings, validation_fraction, folder)]
    if any(curve is None for curve in curves):
        raise InputError("no number of epochs was tried on these train animals: train the networks first")
    return np.array(curves).reshape(-1, settings.epochs)


def best_epochs(curves: np.ndarray) -> int:
    """The number of epochs, from 1, with the highest mean over `validation_curves`; all of them without a division."""
    return 1 + int(curves.mean(0).argmax()) if len(curves) else curves.shape[1]


def made_from(dataset: Dataset, settings: LocalizerSettings) -> list[object]:
    """What decides a network beside its seed and its epochs: the train recordings, settings, code and library."""
    parts = [replace(settings, epochs=1), versions(localizer, training, torch)]
    for recording in dataset.train:
        parts += [recording.name, recording.keypoints, recording.labels, recording.frame_size]
    return parts


def _after(stem: Path, epoch: int) -> Path:
    return stem.with_name(f"{stem.name}-{epoch}.safetensors")


def _stored(stem: Path, epoch: int) -> PoseCNN | None:
    with contextlib.suppress(InputError):
        return load_localizer(_after(stem, epoch))
    return None


def _curve_paths(dataset: Dataset, settings: LocalizerSettings, validation_fraction: float, folder: Path) -> list[Path]:
    if not validation_fraction:
        return []
    key = fingerprint(settings.epochs, validation_fraction, *made_from(dataset, settings))
    return [folder / "localizers" / f"validation-{key}-{division}.json" for division in range(DIVISIONS)]


def _curve(path: Path) -> list[float] | None:
    with contextlib.suppress(FileNotFoundError, ValueError, KeyError, TypeError):
        return [float(value) for value in read_json(path)["validation_f1"]]
    return None


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
    """Write how good each number of epochs is for the train animals held out that the seed `division` draws."""
    fit, validation = split_by_animal(train, validation_fraction, seed=division)
    held_out = [(r, _targets(r, settings)) for r in validation]
    with one_thread():
        _, history = fit_localizer(fit, [_targets(r, settings) for r in fit], settings, division, validation=held_out)
    write_json(path, {"validation_f1": [row["validation_f1"] for row in history]})


def _targets(recording: Recording, settings: LocalizerSettings) -> np.ndarray:
    if settings.classes == 2:
        return action_labels(recording.labels, recording.classes)
    if settings.classes != len(recording.classes):
        raise InputError(f"{recording.name}: a network of {settings.classes} classes cannot learn {recording.classes}")
    return recording.true
