"""How like CalMS21 the simulated recordings are: poses, labels and the published ladder, side by side.

What is known of the real data lies in demo/simulated/real_statistics.json as quantiles and shares, so that the
comparison needs no real data; `mbrepro likeness FOLDER` writes it from the real pose windows and labels in FOLDER.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import ks_2samp
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from mbrepro import paths
from mbrepro.artifacts import file_hash
from mbrepro.data.labels import LabelTrack, transitions
from mbrepro.data.recordings import FPS, OTHER, SPLITS, TASK1_CLASSES, Dataset, runs
from mbrepro.demo.simulated.schedule import real_statistics
from mbrepro.demo.windows import (
    WINDOWS,
    exchanged_share,
    pose_statistics,
    pose_windows,
    read_real_windows,
    window_features,
)  # fmt: skip

POSES_SOURCE = "996 real CalMS21 windows (neurosym-lib dae717a6); simulated windows cut alike"
LABELS_SOURCE = "CalMS21 Task 1 labels, {split} split (Sun et al. 2021)"
LEVELS = (5, 50, 95)  # percentiles compared
POSE_TOLERANCE = 0.15  # a median this share away from the real one is near enough
_POINTS = 99  # quantiles that stand for a distribution of durations
_KIND_POINTS = 41
_FEWEST = 20  # a kind's own durations are recorded from this many on; fewer are pooled over the kinds


def durations(labels: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
    """Frames of bouts by class, of the gaps between two bouts, and of gaps by the class of the bout before.

    labels: (T,) Task 1 class indices of each recording; "other" before its first and after its last bout is no gap.
    """
    found = {name: [] for name in (*TASK1_CLASSES[:3], "gap", *(f"gap after {name}" for name in TASK1_CLASSES[:3]))}
    for values in labels:
        before = None
        for start, stop, value in runs(values):
            name = TASK1_CLASSES[value]
            if name != OTHER:
                found[name].append(stop - start)
                before = name
            elif before is not None and stop < len(values):
                found["gap"].append(stop - start)
                found[f"gap after {before}"].append(stop - start)
    return {name: np.array(frames) for name, frames in found.items()}


def label_statistics(labels: Sequence[np.ndarray]) -> dict[str, tuple[float, str]]:
    """Shares, rates and transitions of Task 1 labels, each with its unit."""
    pooled = np.concatenate(labels)
    found = {f"share of frames, {name}": (float((pooled == k).mean()), "share") for k, name in enumerate(TASK1_CLASSES)}
    for k, name in enumerate(TASK1_CLASSES[:3]):
        found[f"recordings with {name}"] = float(np.mean([(values == k).any() for values in labels])), "share"
    attack = np.sort([(values == 0).sum() for values in labels])[::-1]
    most = attack[: max(1, round(len(labels) / 5))].sum() / max(1, attack.sum())
    found["attack in the fifth of the recordings with most of it"] = float(most), "share"
    rates = [sum(value < 3 for *_, value in runs(values)) / (len(values) / FPS / 60) for values in labels]
    for level in LEVELS:
        found[f"bouts a minute in a recording, p{level}"] = float(np.percentile(rates, level)), "1/min"
    shares = _transition_shares(labels)
    for a, b in zip(*np.nonzero(~np.eye(4, dtype=bool)), strict=True):
        found[f"next after {TASK1_CLASSES[a]} is {TASK1_CLASSES[b]}"] = float(shares[a, b]), "share"
    return found


def _transition_shares(labels: Sequence[np.ndarray]) -> np.ndarray:
    """(4, 4) how often a run of the row's class is followed by one of the column's, of all that are followed."""
    counts = transitions([LabelTrack("", values) for values in labels], TASK1_CLASSES)
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def told_apart(real: np.ndarray, simulated: np.ndarray, seed: int = 0) -> float:
    """Five-fold cross-validated area under the ROC curve of gradient boosting telling real windows from simulated."""
    x = window_features(np.concatenate([real, simulated]))
    y = np.r_[np.zeros(len(real)), np.ones(len(simulated))]
    folds = StratifiedKFold(5, shuffle=True, random_state=seed)
    model = HistGradientBoostingClassifier(max_iter=150, random_state=seed)
    return float(roc_auc_score(y, cross_val_predict(model, x, y, cv=folds, method="predict_proba")[:, 1]))


def likeness(data: Dataset, real_folder: Path | None = None) -> pd.DataFrame:
    """Every comparison of labels and poses: columns what, simulated, real, unit, source.

    data: simulated Task 1. real_folder: real data to tell the windows apart from; without it that row is left out.
    """
    real = real_statistics()
    rows = []
    for split in SPLITS:
        rows += _label_rows([r.labels for r in getattr(data, split)], real["labels"], split)
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
    measured = label_statistics(labels).items()
    rows = [(f"{split}: {what}", mine, recorded["shares"][what], unit, source) for what, (mine, unit) in measured]
    for name, frames in durations(labels).items():
        for level in LEVELS:
            theirs = float(np.percentile(recorded["frames"][name], level) / FPS)
            mine = float(np.percentile(frames, level) / FPS) if len(frames) else np.nan
            rows.append((f"{split}: duration of {name}, p{level}", mine, theirs, "s", source))
        for other in SPLITS:
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
    swaps = exchanged_share(windows), real["exchanged"]
    return [*rows, ("steps in which the mice are exchanged", *swaps, "share", POSES_SOURCE)]


def pose_medians(table: pd.DataFrame) -> pd.DataFrame:
    """Medians of the pose statistics in `likeness`'s order: what, simulated, real, unit, ratio (simulated / real)."""
    medians = table[(table["source"] == POSES_SOURCE) & table["what"].str.endswith(", p50")]
    medians = medians.drop(columns="source").reset_index(drop=True)
    ratio = medians["simulated"] / medians["real"]
    return medians.assign(what=medians["what"].str.removesuffix(", p50"), ratio=ratio)


def label_distances(table: pd.DataFrame) -> pd.DataFrame:
    """Kolmogorov–Smirnov distances of simulated train durations from the real ones, and of the real test ones."""
    found = table["what"].str.extract("^train: KS distance of durations of (?P<name>.*) from real (?P<split>.*)$")
    columns = table[["simulated", "real"]].set_index([found["split"], found["name"]])
    distances = {"simulated train": columns["simulated"]["train"], "real test": columns["real"]["test"]}
    return pd.DataFrame(distances).rename_axis(None)


def measure_real(folder: Path) -> dict:
    """The statistics of the real labels and pose windows in `folder`; the content of real_statistics.json."""
    stored = np.load(Path(folder) / "calms21_labels" / "task1_labels.npz")
    splits = {s: [stored[name] for name in sorted(stored.files) if name.startswith(s)] for s in SPLITS}
    windows, classes = read_real_windows(folder)
    percentiles = {}
    for what, (values, _) in pose_statistics(windows, classes).items():
        percentiles[what] = {f"p{level}": round(float(np.percentile(values, level)), 4) for level in LEVELS}
    return {
        "source": "CalMS21 (Sun et al. 2021): labels of all 89 Task 1 recordings; 996 pose windows",
        "labels": {split: _measured_labels(labels) for split, labels in splits.items()},
        "kinds": {split: _measured_kinds(labels) for split, labels in splits.items()},
        "poses": {"percentiles": percentiles, "exchanged": round(exchanged_share(windows), 5)},
    }


def read_windows() -> np.ndarray | None:
    """The real windows' keypoints, or None where this machine has none."""
    folder = paths.real_data()
    return read_real_windows(folder)[0] if folder and (folder / WINDOWS).exists() else None


def windows_provenance(_: np.ndarray) -> dict[str, object]:
    """What is recorded beside `windows.tracked` of the real windows."""
    return {
        "data": "996 pose windows of CalMS21, 13 samples each, probably every 8th frame",
        "source": "github.com/kavigupta/neurosym-lib, commit dae717a6 (no licence)",
        "sha256": file_hash(paths.real_folder() / WINDOWS),
        "computed_by": "mbrepro.demo.windows.tracked",
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
        own = durations(recordings)
        measured[name] = {
            "recordings": len(recordings),
            "next": np.round(_transition_shares(recordings), 4).tolist(),
            "frames": {k: quantiles(own[k] if len(own[k]) >= _FEWEST else pooled[k], _KIND_POINTS) for k in own},
        }
    return measured


def quantiles(values: np.ndarray, count: int) -> list[float]:
    """`count` quantiles at the middles of as many equal parts: as a sample they stand for the distribution."""
    return np.round(np.quantile(values, (np.arange(count) + 0.5) / count), 1).tolist()
