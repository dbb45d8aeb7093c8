"""How like CalMS21 the simulated recordings are: poses, labels and the published ladder, side by side.

What is known of the real data lies in demo/simulated/real_statistics.json as quantiles and shares, never as poses or
labels, so that the comparison needs no real data. `mbrepro likeness FOLDER` writes that file from the real pose windows
and labels in FOLDER.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import ks_2samp
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from mbrepro.data.recordings import FPS, KEYPOINTS, MICE, OTHER, TASK1_CLASSES, Dataset, Recording, runs
from mbrepro.demo.simulated import schedule
from mbrepro.errors import InputError

POSES_SOURCE = "996 real CalMS21 windows (neurosym-lib dae717a6); simulated windows cut alike"
LABELS_SOURCE = "CalMS21 Task 1 labels, {split} split (Sun et al. 2021)"
LEVELS = (5, 50, 95)  # percentiles compared
WINDOW_SAMPLES = 13
# Frames between the samples of a window: an assumption that the data support. Speed changes by 29 % from step to step,
# as it does in two mice filmed at 30 frames a second when they are seen every 7th or 8th frame (ethome's dyad), and 13
# samples every 8th frame span 100 frames.
WINDOW_STEP = 8
_POINTS = 99  # quantiles that stand for a distribution of durations
_KIND_POINTS = 41
_FEWEST = 20  # a kind's own durations are recorded from this many on; fewer are pooled over the kinds
_PART = {name: index for index, name in enumerate(KEYPOINTS)}


def real_statistics() -> dict:
    """What `measure_real` recorded."""
    return json.loads(schedule.STATISTICS.read_text(encoding="utf-8"))


# --- labels ---------------------------------------------------------------------------------------------------------


def durations(labels: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
    """Frames of bouts by class, of the gaps between two bouts, and of gaps by the class of the bout before.

    labels: a (T,) array of Task 1 class indices for each recording. "other" before the first and after the last bout of
    a recording is no gap.
    """
    found = {name: [] for name in (*TASK1_CLASSES[:3], "gap", *(f"gap after {name}" for name in TASK1_CLASSES[:3]))}
    for values in labels:
        before = None
        segments = runs(values)
        for start, stop, value in segments:
            name = TASK1_CLASSES[value]
            if name != OTHER:
                found[name].append(stop - start)
            elif before is not None and stop < len(values):
                found["gap"].append(stop - start)
                found[f"gap after {before}"].append(stop - start)
            before = name if name != OTHER else before
    return {name: np.array(frames) for name, frames in found.items()}


def label_statistics(labels: Sequence[np.ndarray]) -> dict[str, tuple[float, str]]:
    """Shares, rates and transitions of Task 1 labels, each with its unit."""
    pooled = np.concatenate(labels)
    found = {f"share of frames, {name}": (float((pooled == k).mean()), "share") for k, name in enumerate(TASK1_CLASSES)}
    for k, name in enumerate(TASK1_CLASSES[:3]):
        found[f"recordings with {name}"] = float(np.mean([(values == k).any() for values in labels])), "share"
    found["attack in the fifth of the recordings with most of it"] = _share_of_most(labels, 0), "share"
    rates = [sum(value < 3 for *_, value in runs(values)) / (len(values) / FPS / 60) for values in labels]
    for level in LEVELS:
        found[f"bouts a minute in a recording, p{level}"] = float(np.percentile(rates, level)), "1/min"
    counts = transition_counts(labels)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    for a, b in zip(*np.nonzero(~np.eye(4, dtype=bool)), strict=True):
        found[f"next after {TASK1_CLASSES[a]} is {TASK1_CLASSES[b]}"] = float(shares[a, b]), "share"
    return found


def transition_counts(labels: Iterable[np.ndarray]) -> np.ndarray:
    """(4, 4) counts of segments (rows) by the segment that follows."""
    counts = np.zeros((4, 4), int)
    for values in labels:
        order = np.array([value for *_, value in runs(values)])
        np.add.at(counts, (order[:-1], order[1:]), 1)
    return counts


def _share_of_most(labels: Sequence[np.ndarray], value: int) -> float:
    frames = np.sort([(values == value).sum() for values in labels])[::-1]
    return float(frames[: max(1, round(len(frames) / 5))].sum() / max(1, frames.sum()))


# --- poses ----------------------------------------------------------------------------------------------------------


def pose_windows(recordings: Sequence[Recording], count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Windows cut as the real ones at random places: keypoints (N, 13, 2, 7, 2) and labels (N,).

    A window's label is investigation (1) or mount (2) where over half of its samples are, otherwise other (3).
    """
    rng = np.random.default_rng(seed)
    span = WINDOW_STEP * (WINDOW_SAMPLES - 1) + 1
    room = np.array([len(r) - span + 1 for r in recordings])
    if room.min() < 1:
        raise InputError(f"pose windows are {span} frames long, longer than the shortest recording")
    keypoints, classes = [], []
    for index in rng.choice(len(recordings), count, p=room / room.sum()):
        frames = rng.integers(room[index]) + WINDOW_STEP * np.arange(WINDOW_SAMPLES)
        keypoints.append(recordings[index].keypoints[frames])
        labels = recordings[index].labels[frames]
        classes.append(next((k for k in (1, 2) if (labels == k).mean() > 0.5), 3))
    return np.stack(keypoints), np.array(classes)


def read_real_windows(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The real windows in `folder`/calms21_pose_windows, as of `pose_windows`; zero-padded ones are left out."""
    stored = np.load(Path(folder) / "calms21_pose_windows" / "windows.npz")
    keypoints = stored["keypoints"].swapaxes(3, 4)
    whole = ~(keypoints == 0).all(axis=(3, 4)).any(axis=(1, 2))
    classes = np.where(stored["investigation"] == 1, 1, np.where(stored["mount"] == 1, 2, 3))
    return keypoints[whole], classes[whole]


def pose_statistics(windows: np.ndarray, classes: np.ndarray) -> dict[str, tuple[np.ndarray, str]]:
    """Values of every pose statistic, each with its unit.

    windows: (N, 13, 2, 7, 2) px. classes: (N,) 1 investigation, 2 mount, 3 neither. Speeds are of the mean keypoint,
    px a frame over the `WINDOW_STEP` frames between samples. "unsteadiness" is how much a length that a rigid body
    would keep changes between samples: tracking jitter and posture together. Headings run from tail base to neck.
    """
    found = {}
    heading = _angle(windows[..., _PART["neck"], :] - windows[..., _PART["tail_base"], :])  # (N, 13, 2)
    for mouse, who in enumerate(MICE):
        for name, (a, b) in _LENGTHS.items():
            length = np.linalg.norm(windows[:, :, mouse, _PART[a]] - windows[:, :, mouse, _PART[b]], axis=-1)
            found[f"{name}, {who}"] = length, "px"
            if name in ("ear width", "hip width", "nose to neck"):
                found[f"unsteadiness of {name}, {who}"] = np.abs(np.diff(length, axis=1)), "px"
        head = _angle(windows[:, :, mouse, _PART["nose"]] - windows[:, :, mouse, _PART["neck"]])
        found[f"bend of the neck, {who}"] = np.abs(_turn(head, heading[..., mouse])), "degrees"
        turned = np.abs(_turn(heading[:, 1:, mouse], heading[:, :-1, mouse]))
        found[f"turn, {who}"] = turned / WINDOW_STEP, "degrees/frame"
    for value, name in ((3, OTHER), (1, "investigation"), (2, "mount")):
        found |= _between(windows[classes == value], heading[classes == value], name)
    return found


_LENGTHS = {
    "body length": ("nose", "tail_base"), "ear width": ("left_ear", "right_ear"),
    "hip width": ("left_hip", "right_hip"), "nose to neck": ("nose", "neck"),
    "neck to tail base": ("neck", "tail_base"),
}  # fmt: skip


def _between(windows: np.ndarray, heading: np.ndarray, name: str) -> dict[str, tuple[np.ndarray, str]]:
    """Where the mice are to each other, and how fast, in windows of one class."""
    center = windows.mean(axis=3)  # (n, 13, 2, 2)
    speed = np.linalg.norm(np.diff(center, axis=1), axis=-1) / WINDOW_STEP
    apart = center[:, :, 1] - center[:, :, 0]
    nearest = np.linalg.norm(windows[:, :, 0, :1] - windows[:, :, 1], axis=-1).min(axis=2)
    return {
        f"centroid distance, {name}": (np.linalg.norm(apart, axis=-1), "px"),
        f"resident's nose to the intruder, {name}": (nearest, "px"),
        f"relative heading, {name}": (np.abs(_turn(heading[..., 0], heading[..., 1])), "degrees"),
        f"resident's bearing of the intruder, {name}": (np.abs(_turn(heading[..., 0], _angle(apart))), "degrees"),
        f"speed, resident, {name}": (speed[..., 0], "px/frame"),
        f"speed, intruder, {name}": (speed[..., 1], "px/frame"),
    }


def exchanged_share(windows: np.ndarray) -> float:
    """Share of steps between samples that are shorter when the mice are taken for each other: identity swaps."""
    center = windows.mean(axis=3)
    step = lambda a, b: np.linalg.norm(center[:, 1:, a] - center[:, :-1, b], axis=-1)  # noqa: E731
    kept, swapped = step(0, 0) + step(1, 1), step(0, 1) + step(1, 0)
    return float((swapped < 0.5 * kept).mean())


def _angle(vector: np.ndarray) -> np.ndarray:
    return np.arctan2(vector[..., 1], vector[..., 0])


def _turn(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Signed difference of two angles, degrees between -180 and 180."""
    return np.degrees((a - b + np.pi) % (2 * np.pi) - np.pi)


def window_features(windows: np.ndarray) -> np.ndarray:
    """(N, features) for telling windows apart: mean, sd and largest change of 22 lengths, angles and speeds."""
    heading = _angle(windows[..., _PART["neck"], :] - windows[..., _PART["tail_base"], :])
    center = windows.mean(axis=3)
    tracks = [np.linalg.norm(center[:, :, 1] - center[:, :, 0], axis=-1)]
    tracks += [np.linalg.norm(windows[:, :, m, :1] - windows[:, :, 1 - m], axis=-1).min(axis=2) for m in (0, 1)]
    tracks += [np.abs(_turn(heading[..., 0], heading[..., 1]))]
    for mouse in (0, 1):
        for a, b in _LENGTHS.values():
            tracks.append(np.linalg.norm(windows[:, :, mouse, _PART[a]] - windows[:, :, mouse, _PART[b]], axis=-1))
        tracks += [*center[:, :, mouse].transpose(2, 0, 1)]
        step = np.linalg.norm(np.diff(center[:, :, mouse], axis=1), axis=-1)
        turn = np.abs(_turn(heading[:, 1:, mouse], heading[:, :-1, mouse]))
        tracks += [np.pad(step, ((0, 0), (1, 0)), "edge"), np.pad(turn, ((0, 0), (1, 0)), "edge")]
    tracks = np.stack(tracks, axis=1)  # (N, 22, 13)
    change = np.abs(np.diff(tracks, axis=2)).max(axis=2)
    return np.concatenate([tracks.mean(axis=2), tracks.std(axis=2), change], axis=1)


def told_apart(real: np.ndarray, simulated: np.ndarray, seed: int = 0) -> float:
    """Five-fold cross-validated area under the ROC curve of gradient boosting telling real windows from simulated."""
    x = window_features(np.concatenate([real, simulated]))
    y = np.r_[np.zeros(len(real)), np.ones(len(simulated))]
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    model = HistGradientBoostingClassifier(max_iter=150, random_state=seed)
    return float(roc_auc_score(y, cross_val_predict(model, x, y, cv=folds, method="predict_proba")[:, 1]))


# --- the table ------------------------------------------------------------------------------------------------------


def likeness(data: Dataset, real_folder: Path | None = None) -> pd.DataFrame:
    """Every comparison of labels and poses: columns what, simulated, real, unit, source.

    data: simulated Task 1. real_folder: real data to tell the windows apart from; without it that row is left out.
    """
    real = real_statistics()
    rows = []
    for split, recordings in (("train", data.train), ("test", data.test)):
        rows += _label_rows([r.labels for r in recordings], real["labels"], split)
    windows, classes = pose_windows(data.recordings, 2000)
    rows += _pose_rows(windows, classes, real["poses"])
    if real_folder is not None:
        windows, _ = pose_windows(data.recordings, 996)
        auc = told_apart(read_real_windows(real_folder)[0], windows)
        rows.append(("real windows told from simulated", auc, 0.5, "AUC", POSES_SOURCE))
    return pd.DataFrame(rows, columns=["what", "simulated", "real", "unit", "source"])


def _label_rows(labels: Sequence[np.ndarray], real: Mapping, split: str) -> list[tuple]:
    source = LABELS_SOURCE.format(split=split)
    recorded = real[split]
    rows = [
        (f"{split}: {what}", value, recorded["shares"][what], unit, source)
        for what, (value, unit) in label_statistics(labels).items()
    ]
    for name, frames in durations(labels).items():
        for level in LEVELS:
            theirs = float(np.percentile(recorded["frames"][name], level) / FPS)
            mine = float(np.percentile(frames, level) / FPS) if len(frames) else np.nan
            rows.append((f"{split}: duration of {name}, p{level}", mine, theirs, "s", source))
        for other in ("train", "test"):
            yardstick = _ks(recorded["frames"][name], real[other]["frames"][name])
            what = f"{split}: KS distance of durations of {name} from real {other}"
            rows.append((what, _ks(frames, real[other]["frames"][name]), yardstick, "distance", source))
    return rows


def _ks(a: Sequence[float], b: Sequence[float]) -> float:
    return float(ks_2samp(a, b, method="asymp").statistic) if len(a) and len(b) else np.nan


def _pose_rows(windows: np.ndarray, classes: np.ndarray, real: Mapping) -> list[tuple]:
    rows = []
    for what, (values, unit) in pose_statistics(windows, classes).items():
        for level in LEVELS:
            mine = float(np.percentile(values, level)) if values.size else np.nan
            rows.append((f"{what}, p{level}", mine, real["percentiles"][what][f"p{level}"], unit, POSES_SOURCE))
    swaps = exchanged_share(windows)
    return [*rows, ("steps in which the mice are exchanged", swaps, real["exchanged"], "share", POSES_SOURCE)]


POSE_TOLERANCE = 0.15  # a median this share away from the real one is near enough
_POSE_MEDIAN = ", p50"


def pose_medians(table: pd.DataFrame) -> pd.DataFrame:
    """Medians of the pose statistics in `likeness`'s order: what, simulated, real, unit, ratio (simulated / real)."""
    medians = table[(table["source"] == POSES_SOURCE) & table["what"].str.endswith(_POSE_MEDIAN)].copy()
    medians["what"] = medians["what"].str.removesuffix(_POSE_MEDIAN)
    medians["ratio"] = medians["simulated"] / medians["real"]
    return medians.drop(columns="source").reset_index(drop=True)


def label_distances(table: pd.DataFrame) -> pd.DataFrame:
    """Kolmogorov–Smirnov distances of simulated train durations from the real ones, and of the real test ones."""
    middle, end = "train: KS distance of durations of ", " from real train"
    rows = table[table["what"].str.startswith(middle) & table["what"].str.endswith(end)].set_index("what")
    real = table[table["what"].str.startswith(middle) & table["what"].str.endswith(" from real test")]
    names = [what.removeprefix(middle).removesuffix(end) for what in rows.index]
    return pd.DataFrame({"simulated train": rows["simulated"].to_numpy(), "real test": real["real"].to_numpy()}, names)


# --- the real data --------------------------------------------------------------------------------------------------


def measure_real(folder: Path) -> dict:
    """The statistics of the real labels and pose windows in `folder`; the content of real_statistics.json."""
    stored = np.load(Path(folder) / "calms21_labels" / "task1_labels.npz")
    splits = {s: [stored[name] for name in sorted(stored.files) if name.startswith(s)] for s in ("train", "test")}
    windows, classes = read_real_windows(folder)
    percentiles = {
        what: {f"p{level}": round(float(np.percentile(values, level)), 4) for level in LEVELS}
        for what, (values, _) in pose_statistics(windows, classes).items()
    }
    return {
        "source": "CalMS21 (Sun et al. 2021): labels of all 89 Task 1 recordings; 996 pose windows",
        "labels": {split: _measured_labels(labels) for split, labels in splits.items()},
        "kinds": {split: _measured_kinds(labels) for split, labels in splits.items()},
        "poses": {"percentiles": percentiles, "exchanged": round(exchanged_share(windows), 5)},
    }


def _measured_labels(labels: Sequence[np.ndarray]) -> dict:
    return {
        "shares": {what: round(value, 5) for what, (value, _) in label_statistics(labels).items()},
        "opens_with_a_bout": round(float(np.mean([runs(values)[0][1] <= 1 for values in labels])), 4),
        "frames": {name: quantiles(frames, _POINTS) for name, frames in durations(labels).items()},
    }


def _measured_kinds(labels: Sequence[np.ndarray]) -> dict:
    """Transitions and durations of a split's recordings by the behaviours that occur in them."""
    names = {(True, False): "attack", (False, True): "mount", (True, True): "both", (False, False): "none"}
    kinds = {name: [] for name in names.values()}
    for values in labels:
        if (values == 1).any():  # one recording of 3 s holds an attack only
            kinds[names[bool((values == 0).any()), bool((values == 2).any())]].append(values)
    pooled = durations(labels)
    measured = {}
    for name, recordings in kinds.items():
        counts = transition_counts(recordings)
        own = durations(recordings)
        measured[name] = {
            "recordings": len(recordings),
            "next": np.round(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), 4).tolist(),
            "frames": {k: quantiles(own[k] if len(own[k]) >= _FEWEST else pooled[k], _KIND_POINTS) for k in own},
        }
    return measured


def quantiles(values: np.ndarray, count: int) -> list[float]:
    """`count` quantiles at the middles of as many equal parts: as a sample they stand for the distribution."""
    return np.round(np.quantile(values, (np.arange(count) + 0.5) / count), 1).tolist()
