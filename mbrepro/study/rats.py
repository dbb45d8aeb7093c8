"""Two real rats: stage 1's networks and boosted pose features on the recordings of another laboratory.

Five points of each rat, a third of them missing, and a person's labels of every frame. Every recording is predicted by
models of others: four folds of neighbours, as who was filmed is not said, and the same rats are likeliest in those.
Labels are each frame's most probable class, that of the mean scores around it, or decoded as bouts. Beside them stands
what `mbrepro train` makes of the same files, in the same folds: with its own settings, which were found while looking
at these recordings, and with settings that each fold chose among random ones by folds of its train recordings.
Frames labelled "base", before the intruder enters and after it leaves, count nowhere.
"""

import hashlib
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import sklearn

from mbrepro import paths
from mbrepro.artifacts import cached_arrays, file_hash, versions
from mbrepro.data.annotations import read_frame_labels
from mbrepro.data.labels import bout_seconds, class_frames
from mbrepro.data.processes import side_by_side
from mbrepro.data.recordings import UNLABELLED, Dataset, Prediction, Recording, Skeleton, behaviours
from mbrepro.data.tracking import read_tracking
from mbrepro.errors import InputError
from mbrepro.method import boosting, features
from mbrepro.method.boosting import BoostingSettings, fit_boosting
from mbrepro.method.context import folds_by_animal
from mbrepro.method.decoding import count_bouts, decode, smooth
from mbrepro.method.localizer import BASELINE, LOCALIZER, LocalizerSettings, localize
from mbrepro.method.networks import best_epochs, train_localizers, validation_curves
from mbrepro.method.training import fit_localizer, one_thread
from mbrepro.metrics.frames import confusion, evaluate, weighted_metrics
from mbrepro.metrics.labels import label_metrics
from mbrepro.metrics.resampling import BY_VIDEO, interval, whole_and_drawn
from mbrepro.study import own
from mbrepro.study.localization import collapsed
from mbrepro.study.results import Run

RAT = Skeleton(("top", "body", "tail", "tail-m", "tail-e"), front="top", rear="tail")
CLASSES = ("aggression", "social", "other")
MEANING = {"aggression": "aggression", "social": "social", "nonsocial": "other", "base": None}
CHANNEL = "S1"  # the other holds seven aggressive acts
RIG = {"fps": 30.0, "frame_size": (1920, 1080)}  # neither is stated; points lie within x = 1588 and y = 1053 px
RECORDINGS, FOLDS, SEED = 20, 4, 0
EPOCHS, VALIDATION = 3, 0.25  # of the networks: the most passes tried (two more were no better), the share held out
PUBLISHED, LONG, BOOSTED = "published", "±200 frames", "boosting"
NETWORKS = {
    PUBLISHED: replace(LOCALIZER, classes=len(CLASSES), epochs=EPOCHS),
    LONG: replace(BASELINE, classes=len(CLASSES), epochs=EPOCHS),
}
TREES = BoostingSettings()
SMOOTHED, DECODED = "boosting, smoothed", "boosting, decoded"
TRAINED, CHOSEN = "mbrepro train", "mbrepro train, settings chosen in each fold"
LOCALIZERS = (*NETWORKS, BOOSTED, SMOOTHED, DECODED, TRAINED, CHOSEN)
Layers = tuple[BoostingSettings, ...]  # settings of both, in their order
# Of either layer of `CHOSEN`, drawn from these, which lie around scikit-learn's own; so many pairs are tried.
TRIED, RANGES = 6, {
    "iterations": (40, 80, 160), "learning_rate": (0.05, 0.1, 0.2), "leaves": (7, 15, 31), "smallest": (20, 50, 100),
    "penalty": (0.0, 1.0, 10.0), "share": (0.2, 0.5, 1.0),
}  # fmt: skip
WEIGHTS, LONGEST_S = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0), 60.0  # of decoding: evidence tried, the longest bout counted
# What `retrained` learns from, seconds in the place of minutes; the weight is chosen with these trees too.
FEWER_PASSES, FEWER_TREES = replace(NETWORKS[PUBLISHED], epochs=1), BoostingSettings(every=16, iterations=10)

MEANS = (
    "f1", "precision", "recall", "map", "accuracy", "kappa", "mcc", "f1_by_recording", "f1_within_500ms",
    "near_boundary_500ms", "bout_f1_10", "bout_f1_25", "bout_f1_50", "da", "so", "tp", "ic", "edit", "onset_abs",
    "offset_abs", "true_bouts", "predicted_bouts", "fragmented", "merged",
)  # fmt: skip
BY_CLASS = ("f1", "precision", "recall", "ap", "bout_f1_10", "bout_f1_25", "bout_f1_50")
OF_ACTION = ("f1", "precision", "recall", "map", "bout_f1_50", "kappa")


def read() -> tuple[Recording, ...] | None:
    """The recordings, by number, where this machine has them. Raises InputError if one is missing or damaged."""
    root = paths.real_data()
    if root is None or not (folder := root / "rat_dyads").is_dir():
        return None
    files = {int(re.split(r"\D", path.name, maxsplit=1)[0]): path for path in (folder / "poses").glob("[0-9]*DLC*.csv")}
    if len(files) != RECORDINGS:
        raise InputError(f"{folder}: it has poses of {len(files)} recordings, not {RECORDINGS}: copy it again")
    return tuple(_recording(number, files[number], folder) for number in sorted(files))


def _recording(number: int, poses: Path, folder: Path) -> Recording:
    recording = read_tracking(poses, skeleton=RAT, **RIG)
    labels = read_frame_labels(
        folder / "labels" / f"{number}_annot.txt", recording.fps, len(recording), MEANING, CLASSES, channel=CHANNEL
    )
    named = {"name": f"rats{number:02}", "animal": f"rats{number:02}"}
    return replace(recording, **named, classes=CLASSES, labels=labels, partly_labelled=True)


def figures(recordings: Sequence[Recording]) -> dict[str, object]:
    """What the recordings hold and how well each localizer names the frames of others, and action against the rest.

    "gain", "decoded_gain": how much more boosting scores than the published network, without and with decoding,
    resampled videos being the same for both. "confusion": frames of each recording by true and predicted class.
    "passes", "weights", "layers": of the networks, of decoding and of `CHOSEN`, chosen in each fold.
    """
    weights = [evidence_weight(fold_of(recordings, fold)) for fold in range(FOLDS)]
    layers = chosen_layers(recordings)
    runs = {name: predicted(recordings, name, weights, layers) for name in LOCALIZERS}
    measured = {name: _measured(run) for name, run in runs.items()}
    binary = {name: _measured(collapsed([run])[0]) for name, run in runs.items()}
    return {
        "data": facts(recordings)["data"],
        "localizers": {name: _told(values, _shown(CLASSES)) for name, values in measured.items()},
        "action": {name: _told(values, OF_ACTION) for name, values in binary.items()},
        "gain": _gain(measured[BOOSTED], measured[PUBLISHED]),
        "decoded_gain": _gain(measured[DECODED], measured[PUBLISHED]),
        "confusion": {
            name: {v.name: confusion(v.true, v.labels, len(CLASSES)).tolist() for v in run.videos}
            for name, run in runs.items()
        },
        "passes": {name: [_passes(recordings, fold, name) for fold in range(FOLDS)] for name in NETWORKS},
        "weights": weights,
        "layers": [[asdict(one) for one in both] for both in layers],
        "retrained": retrained(recordings),
    }


def facts(recordings: Sequence[Recording]) -> dict[str, dict]:
    """The part of `figures` that needs no training: frames, bouts, and the share of frames without each point."""
    seen = np.concatenate([r.seen for r in recordings])  # (T, 2, K)
    counts = class_frames(recordings, CLASSES).tolist()
    bouts = {name: sum(map(len, bout_seconds(recordings, name))) for name in CLASSES}
    missing = 1 - seen.mean((0, 1))
    told = {
        "recordings": len(recordings),
        "frames": len(seen),
        "labelled": sum(counts),
        "class_frames": dict(zip(CLASSES, counts, strict=True)),
        "bouts": bouts,
        "missing": float(1 - seen.mean()),
        "missing_by_part": dict(zip(recordings[0].parts, missing.tolist(), strict=True)),
        "a_rat_unseen": float(1 - seen.any(2).all(1).mean()),
    }
    return {"data": told}


def fold_of(recordings: Sequence[Recording], fold: int) -> Dataset:
    """The recordings of one fold as test split, all others as train split."""
    tests = np.array_split(np.arange(len(recordings)), FOLDS)[fold]
    train, test = (tuple(r for k, r in enumerate(recordings) if (k in tests) == held) for held in (False, True))
    return Dataset("rats", CLASSES, train, test, "rat_dyads")


def predicted(recordings: Sequence[Recording], name: str, weights: Sequence[float], layers: Sequence[Layers]) -> Run:
    """The labelled frames of every recording, named by a localizer that was trained on other folds.

    weights: of decoding, layers: of `CHOSEN`, in each fold.
    """
    videos = []
    if name in (TRAINED, CHOSEN):
        for fold, (others, held) in enumerate(folds_by_animal(recordings, FOLDS)):
            scores = own.fold_scores(others, held, alike=True, layers=layers[fold] if name == CHOSEN else ())
            videos += [own.named(recording, scores[recording.name]).labelled() for recording in held]
        return Run(SEED, "rats", CLASSES, tuple(videos))
    for fold in range(FOLDS):
        data = fold_of(recordings, fold)
        scores = _networks(data, NETWORKS[name]) if name in NETWORKS else _boosted(data, TREES)
        labels = _labelled(data, name, scores, weights[fold])
        for recording in data.test:
            found = Prediction(
                recording.name, recording.labels, labels[recording.name], scores[recording.name], recording.fps
            )
            videos.append(found.labelled())
    return Run(SEED, "rats", CLASSES, tuple(videos))


def _labelled(
    data: Dataset, name: str, scores: Mapping[str, np.ndarray], weight: float
) -> dict[str, np.ndarray]:  # fmt: skip
    """Labels (T,) of the test recordings as the row makes them of scores."""
    if name == DECODED:
        return _decoded(data, scores, weight)
    if name == SMOOTHED:
        bouts = [bout_seconds(data.train, behaviour) for behaviour in behaviours(CLASSES)]
        window = round(float(np.median(np.concatenate([s for videos in bouts for s in videos]))) * data.train[0].fps)
        scores = {video: smooth(found, window) for video, found in scores.items()}
    return {video: found.argmax(1) for video, found in scores.items()}


def _decoded(data: Dataset, scores: Mapping[str, np.ndarray], weight: float) -> dict[str, np.ndarray]:
    longest = round(LONGEST_S * data.train[0].fps)
    model = count_bouts([r.true for r in data.train], len(CLASSES), longest)
    return {video: decode(found, model, weight) for video, found in scores.items()}


def evidence_weight(data: Dataset) -> float:
    """The weight of `decode` with the highest F1 on held-out train recordings, named by trees of the others."""
    true, found = [], {weight: [] for weight in WEIGHTS}
    for fold in range(FOLDS):
        inner = fold_of(data.train, fold)
        scores = _boosted(inner, FEWER_TREES)
        kept = {r.name: r.labels != UNLABELLED for r in inner.test}
        true += [r.true[kept[r.name]] for r in inner.test]
        for weight in WEIGHTS:
            labels = _decoded(inner, scores, weight)
            found[weight] += [labels[r.name][kept[r.name]] for r in inner.test]
    return max(WEIGHTS, key=lambda weight: evaluate(true, found[weight], None, CLASSES)["f1"])


def chosen_layers(recordings: Sequence[Recording]) -> list[Layers]:
    """Settings of both layers for each fold: of those tried, the best on held-out ones of its train recordings."""
    return side_by_side([(_best_layers, others) for others, _ in folds_by_animal(recordings, FOLDS)], "rats", "fold")


def _best_layers(train: Sequence[Recording]) -> Layers:
    rng, f1 = random.Random(SEED), {}
    for _ in range(TRIED):
        drawn = ({name: rng.choice(values) for name, values in RANGES.items()} for _ in ("first", "second"))
        layers = tuple(BoostingSettings(bins=31, **one) for one in drawn)
        found = [one.labelled() for one in own.out_of_fold(train, alike=True, layers=layers)]
        f1[layers] = evaluate([v.known for v in found], [v.labels for v in found], None, CLASSES)["f1"]
    return max(f1, key=lambda layers: f1[layers])


def retrained(recordings: Sequence[Recording]) -> dict[str, dict[str, float]]:
    """F1 on the first fold after one pass of the published network, of few trees of few frames, and of `mbrepro train`.

    Training takes minutes and its sums are rounded otherwise on other processors: this is what a test repeats.
    """
    data = fold_of(recordings, 0)
    targets = [r.labels for r in data.train]
    with one_thread():
        network, _ = fit_localizer(data.train, targets, FEWER_PASSES, SEED)
        scores = {PUBLISHED: [localize(network, r) for r in data.test]}
    trees = fit_boosting(data.train, targets, len(CLASSES), FEWER_TREES, SEED)
    scores[BOOSTED] = [trees.scores(r) for r in data.test]
    held_out = own.fold_scores(data.train, data.test, alike=True)
    scores[TRAINED] = [own.named(r, held_out[r.name]).scores for r in data.test]
    labelled = [r.labels != UNLABELLED for r in data.test]
    true = [r.true[kept] for r, kept in zip(data.test, labelled, strict=True)]
    told = {}
    for name, found in scores.items():
        values = evaluate(true, None, [s[kept] for s, kept in zip(found, labelled, strict=True)], CLASSES)
        told[name] = {metric: values[metric] for metric in ("f1", "f1_aggression", "f1_social", "map")}
    return told


def provenance(_: Sequence[Recording]) -> dict[str, object]:
    """What is recorded beside `figures`."""
    folder = paths.real_folder() / "rat_dyads"
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    listed = "".join(f"{file_hash(path)}  {path.relative_to(folder).as_posix()}\n" for path in files)
    return {
        "data": "20 of 58 recordings of two rats: DeepLabCut's points of five parts, labels of the Caltech Behavior "
        "Annotator; 30 frames per second assumed (doi 10.6084/m9.figshare.30393298)",
        "source": "github.com/Blossom0913/Mouse-Behavior-Classifier-Train, commit 85038152, data (MIT)",
        "sha256": hashlib.sha256(listed.encode()).hexdigest(),
        "sha256_of": "the files' SHA-256 and names, as sha256sum lists them in the order of their names",
        "computed_by": "mbrepro.study.rats.figures",
        "intervals": BY_VIDEO,
        "method": f"{FOLDS} folds of neighbouring recordings, one seed of each network; passes, at most {EPOCHS}, by "
        f"three divisions of the train recordings; the weight of decoding by folds of them; settings of {CHOSEN!r}, "
        f"{TRIED} pairs drawn at random, by {own.OUTER} folds of them",
        "checked": "data is computed again wherever the files are, and a test computes retrained again and the scores "
        "of every confusion; the rest takes an hour",
    }


def _networks(data: Dataset, settings: LocalizerSettings) -> dict[str, np.ndarray]:
    (network,) = train_localizers(data, settings, VALIDATION, [SEED], _folder())
    return {r.name: localize(network, r) for r in data.test}


def _passes(recordings: Sequence[Recording], fold: int, name: str) -> int:
    return best_epochs(validation_curves(fold_of(recordings, fold), NETWORKS[name], VALIDATION, _folder()))


def _boosted(data: Dataset, settings: BoostingSettings) -> dict[str, np.ndarray]:
    def scores() -> dict[str, np.ndarray]:
        trees = fit_boosting(data.train, [r.true for r in data.train], len(CLASSES), settings, SEED)
        return {r.name: trees.scores(r) for r in data.test}

    made_from = [settings, SEED, versions(boosting, features, sklearn)]
    for recording in data.recordings:
        made_from += [recording.name, recording.keypoints, recording.labels, recording.seen]
    return cached_arrays(_folder(), "boosted", tuple(made_from), scores)


def _folder() -> Path:
    return paths.data() / "rats"


def _measured(run: Run) -> dict[str, np.ndarray]:
    """Every metric (1 + resamples,) of a run's videos, and then of resampled ones."""
    true, labels, scores = run.arrays()
    weights = whole_and_drawn(len(true))
    told = label_metrics(true, labels, run.classes, [video.rate for video in run.videos], weights)
    return told | weighted_metrics(true, labels, scores, run.classes, weights)


def _shown(classes: Sequence[str]) -> list[str]:
    return [*MEANS, *(f"{metric}_{name}" for name in classes[:-1] for metric in BY_CLASS), "f1_other"]


def _gain(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> dict[str, dict[str, float]]:
    names = ["f1", "f1_aggression", "f1_social", "map", "bout_f1_50", "kappa"]
    return _told({name: one[name] - other[name] for name in names}, names)


def _told(measured: Mapping[str, np.ndarray], names: Sequence[str]) -> dict[str, dict[str, float]]:
    between = {name: interval(measured[name][1:]) for name in names}
    return {name: {"value": float(measured[name][0]), "low": b.low, "high": b.high} for name, b in between.items()}
