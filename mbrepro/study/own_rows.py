"""The study's rows on recordings of one's own, those that need no video.

Without a split in the manifest every recording is named by what was trained on other animals, in the folds of `own`.
The published network is CalMS21's baseline (`localizer.BASELINE`), which sees poses at 30 frames a second as it was
made for; layered trees are those that `mbrepro train` trains.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from mbrepro import paths
from mbrepro.data.alignment import back_to_frames, resample
from mbrepro.data.labels import bout_seconds
from mbrepro.data.own.manifest import Manifest, read_manifest
from mbrepro.data.recordings import FPS, UNLABELLED, Dataset, Prediction, Recording, behaviours
from mbrepro.errors import InputError
from mbrepro.method.context import folds_by_animal
from mbrepro.method.localizer import LocalizerSettings
from mbrepro.metrics.bouts import found_bouts
from mbrepro.metrics.frames import evaluate
from mbrepro.study import own, results
from mbrepro.study.baseline import baseline
from mbrepro.study.localization import collapsed
from mbrepro.study.results import Run

ROW = "baseline"  # of the table: poses alone name every frame
SHOWN = {"f1": "F1", "ap": "average precision", "bout_f1_50": "bout F1 at tIoU .5"}


def dataset(manifest: Manifest) -> Dataset:
    """The labelled recordings; without a split all of them are test recordings, and none are there to train on.

    Raises InputError as `own.labelled`, or if one of both splits has no labels.
    """
    recordings, split = own.labelled(manifest), {entry.name: entry.split for entry in manifest.entries}
    train = tuple(r for r in recordings if split[r.name] == "train")
    test = tuple(r for r in recordings if split[r.name] != "train")
    if not test or (not train and any(split.values())):
        raise InputError(f"{manifest.folder}: a split has no labelled recording; label some, or leave split empty")
    animals, name = len({r.animal for r in recordings}), manifest.folder.resolve().name
    source = f"your {len(recordings)} recordings of {animals} animals in “{name}”"
    return Dataset(paths.OWN, manifest.description.classes, train, test, source)


def folds(data: Dataset) -> tuple[Dataset, ...]:
    """What is trained and scored together: the split, or without one each fold of animals with all others to train."""
    if data.train:
        return (data,)
    return tuple(replace(data, train=others, test=held) for others, held in folds_by_animal(data.test, own.OUTER))


def network_runs(
    data: Dataset, settings: LocalizerSettings, validation_fraction: float, seeds: int, folder: Path
) -> list[Run]:
    """Every test recording, at its own rate, by a published network that never saw its animal; a run a seed.

    settings, validation_fraction, folder: as of `baseline`.
    """
    recordings, videos = {r.name: r for r in data.test}, [[] for _ in range(seeds)]
    for part in folds(data):
        even = replace(part, train=_at_published_rate(part.train), test=_at_published_rate(part.test))
        for run in baseline(even, settings, validation_fraction, seeds, folder):
            for video in run.videos:
                recording = recordings[video.name]
                scores = back_to_frames(video.scores, FPS, recording)
                videos[run.seed].append(
                    Prediction(recording.name, recording.labels, scores.argmax(1), scores, recording.fps)
                )
    return [Run(seed, data.task, data.classes, tuple(found)) for seed, found in enumerate(videos)]


def _at_published_rate(recordings: Sequence[Recording]) -> tuple[Recording, ...]:
    return tuple(resample(recording, FPS) for recording in recordings)


def layered_runs(data: Dataset) -> dict[str, list[Run]]:
    """Every test recording by layered trees that never saw its animal, by protocol: each frame by itself, and smoothed.

    Scores that `mbrepro train` made of the same folds are read. Whether the animals are alike says the manifest.
    """
    alike, raw, smoothed = read_manifest(paths.own_data()).description.alike, [], []
    for part in folds(data):
        scores = own.fold_scores(part.train, part.test, alike)
        for r in part.test:
            raw.append(Prediction(r.name, r.labels, scores[r.name].argmax(1), scores[r.name], r.fps))
            smoothed.append(own.named(r, scores[r.name]))
    ways = {"boosting_raw": raw, results.BEYOND: smoothed}
    return {way: [Run(own.SEED, data.task, data.classes, tuple(videos))] for way, videos in ways.items()}


def record(found: Mapping[str, Sequence[Run]], source: str, profile: str, run: str = "") -> pd.DataFrame:
    """Store the runs of each protocol; their rows of results."""
    return pd.concat([results.record(ROW, name, runs, profile, run, source) for name, runs in found.items()])


def recordings_table(data: Dataset) -> pd.DataFrame:
    """A line a recording: animal, rate, minutes, those labelled, share of points missing, bouts of each behaviour."""
    lines = []
    for r in data.recordings:
        line = {"recording": r.name, "animal": r.animal, "fps": f"{r.fps:g}", "minutes": f"{r.seconds / 60:.1f}"}
        line["labelled"] = f"{(r.true != UNLABELLED).sum() / r.fps / 60:.1f}"
        line["points missing"] = f"{1 - r.tracked.mean():.1%}"
        lines.append(line | {name: len(bout_seconds([r], name)[0]) for name in data.behaviours})
    return pd.DataFrame(lines)


def localization_rows(found: Mapping[str, Sequence[Run]]) -> pd.DataFrame:
    """Rows of results of the same runs as localizers, any behaviour being action; scored, not stored."""
    return pd.concat([results.score("localization", name, collapsed(runs)) for name, runs in found.items()])


def by_class(found: Mapping[str, Sequence[Run]]) -> pd.DataFrame:
    """F1, average precision and bout F1 of each behaviour by protocol, first seed: a line a protocol."""
    lines = {}
    for name, (run, *_) in found.items():
        kept = [video.labelled() for video in run.videos]
        true, labels, scores = ([getattr(one, field) for one in kept] for field in ("true", "labels", "scores"))
        told = evaluate(true, labels, scores, run.classes)
        told |= {key: float(values[0]) for key, values in found_bouts(true, labels, run.classes).items()}
        lines[name.replace("_", ", ")] = {
            f"{behaviour}: {title}": told[f"{metric}_{behaviour}"]
            for behaviour in behaviours(run.classes)
            for metric, title in SHOWN.items()
        }
    return pd.DataFrame(lines).T
